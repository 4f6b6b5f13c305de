//! Making a template: a guest is booted with a mark in its initramfs, stands still when everything is loaded, and is kept
//! with its memory in a file. It sees nothing of the user's: its disks are empty ones of its own, and so are its folders, unless they
//! come when it is resumed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cartridge_initramfs::cpio::Cpio;
use cartridge_supervise::Cancel;
use rustix::fs::{FallocateFlags, SeekFrom, fallocate, seek};
use rustix::process::{Pid, setpriority_process};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::Key;
use super::error::{TemplateError, blocking, cancelled};
use super::store::{DEVICES, Draft, MEMORY, Template};
use crate::display::Screen;
use crate::guest::{GuestEvent, GuestHandle, GuestPlan, start_in_file};
use crate::machine::{Boot, DiskFormat, RuntimeDir};
use crate::serial::BootStep;
use crate::share::Access;
use crate::slot;

/// How long such a guest may take: it runs when nothing else does, on a machine that may be busy.
const LIMIT: Duration = Duration::from_secs(600);
/// How nicely it runs: everything else comes first (nice(2)).
const NICE: i32 = 10;
/// The most room that a guest takes before it is ready, bytes: far more than any initramfs unpacked.
const NEEDED: u64 = 1 << 30;
/// The size of a disk that stands in for another, bytes.
const DISK: u64 = 1 << 20;
/// The mark in the initramfs; `vmtools/guest/src/boot/template.rs` looks for it.
const MARK: &str = "/etc/cartridge/template";
/// What is in it for a guest whose folders come when it is resumed.
const FOLDERS: &[u8] = b"folders";
/// Where in a draft lies what is needed in the making alone.
const MAKING: &str = "making";
/// How often a folder that is not empty yet is removed again, and after how long each time.
const TRIES: u32 = 50;
const AGAIN: Duration = Duration::from_millis(100);
/// Pieces of memory that are looked at for whether anything is in them, bytes.
const PIECE: usize = 64 * 1024;

/// Makes the template of `key`, which is that of `plan`, in `store`, a folder of a cache. Its guest has a directory of its own
/// in `runtime`, where guests of this user have theirs. It needs seconds of processor time, at a low priority.
///
/// # Errors
/// [`TemplateError`]; nothing is left of it.
pub async fn make(
    plan: &GuestPlan,
    key: &Key,
    store: &Path,
    runtime: &Path,
    cancel: &Cancel,
) -> Result<Template, TemplateError> {
    let needed = NEEDED.min(plan.machine.memory_mib << 20);
    let (draft, plan, place) = {
        let (plan, late, store, runtime) = (plan.clone(), key.late, store.to_owned(), runtime.to_owned());
        blocking(move || {
            let draft = Draft::new(&store)?;
            let free = rustix::fs::statvfs(&store).map_err(|e| TemplateError::io("look at", &store)(e.into()))?;
            let free = free.f_bavail * free.f_frsize;
            if free < needed {
                return Err(TemplateError::NoRoom { store, needed, free });
            }
            let place = Place(Some(RuntimeDir::create_in(&runtime, "template")?));
            let making = draft.path().join(MAKING);
            let prepared = stand_ins(plan, late, &making, &place).map_err(TemplateError::io("write", &making))?;
            Ok((draft, prepared, place))
        })
        .await?
    };
    let kept = keep(plan, key.late, &draft, cancel).await;
    place.clear().await;
    kept?;
    let (key, cancel) = (key.clone(), cancel.clone());
    blocking(move || {
        let (making, memory) = (draft.path().join(MAKING), draft.path().join(MEMORY));
        fs::remove_dir_all(&making).map_err(TemplateError::io("remove", &making))?;
        leave_holes(&memory, &cancel).map_err(TemplateError::io("write", &memory))?;
        if cancel.is_cancelled() { Err(TemplateError::Cancelled) } else { draft.commit(&key) }
    })
    .await
}

/// The guest's directory, removed with it.
struct Place(Option<RuntimeDir>);

impl Place {
    /// Removes it. A QEMU that was killed while it started may still put something there before it is gone.
    async fn clear(mut self) {
        let Some(path) = self.0.take().map(|dir| dir.path().to_owned()) else { return };
        for _ in 0..TRIES {
            match RuntimeDir::open(&path).and_then(RuntimeDir::remove) {
                Ok(()) => return,
                Err(_) if !path.exists() => return,
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(dir) = self.0.take() {
            // What cannot be removed is swept by the next guest.
            let _ = dir.remove();
        }
    }
}

/// The plan of a guest of the same machine that has nothing of the user's, and the mark. Blocks.
fn stand_ins(mut plan: GuestPlan, late: u32, making: &Path, place: &Place) -> io::Result<GuestPlan> {
    let folder = making.join("folder");
    fs::create_dir_all(&folder)?;
    for (number, layer) in plan.machine.layers.iter_mut().enumerate() {
        *layer = empty_disk(&making.join(format!("layer{number}")))?;
    }
    for (number, disk) in plan.machine.disks.iter_mut().enumerate() {
        (disk.file, disk.format) = (empty_disk(&making.join(format!("disk{number}")))?, DiskFormat::Raw);
    }
    // These ports are the other guest's.
    plan.machine.forwards.clear();
    plan.sharing.serving.virtiofsd.clear();
    if late > 0 {
        plan.sharing.folders.clear();
    }
    for shared in &mut plan.sharing.folders {
        shared.dir.clone_from(&folder);
        shared.access = Access::ReadOnly;
    }
    if let Boot::Direct { initrds, .. } = &mut plan.boot {
        let mark = making.join("mark.cpio");
        let mut cpio = Cpio::new(File::create(&mark)?);
        cpio.bytes(Path::new(MARK), 0o644, if late > 0 { FOLDERS } else { b"" })?;
        cpio.finish()?;
        initrds.push(mark);
    }
    if let Some(dir) = &place.0 {
        dir.path().clone_into(&mut plan.runtime);
    }
    Ok(plan)
}

fn empty_disk(path: &Path) -> io::Result<PathBuf> {
    File::create(path)?.set_len(DISK)?;
    Ok(path.to_owned())
}

/// Boots the guest until it is ready, and keeps it in the draft. QEMU has ended when this returns.
async fn keep(plan: GuestPlan, late: u32, draft: &Draft, cancel: &Cancel) -> Result<(), TemplateError> {
    let (sender, events) = mpsc::channel(64);
    let memory = draft.path().join(MEMORY);
    let guest = tokio::select! {
        guest = start_in_file(plan, (&memory, late), sender, Arc::new(Screen::new())) => guest?,
        () = cancelled(cancel) => return Err(TemplateError::Cancelled),
    };
    let kept = tokio::select! {
        kept = save(&guest, events, draft) => kept,
        () = cancelled(cancel) => Err(TemplateError::Cancelled),
    };
    guest.end(|_, _| ()).await;
    kept
}

/// Saves the guest in the draft once it is ready.
async fn save(guest: &GuestHandle, mut events: mpsc::Receiver<GuestEvent>, draft: &Draft) -> Result<(), TemplateError> {
    lower_priority(guest);
    ready(&mut events).await?;
    // It writes to no serial line any more, but what QEMU says must not pile up.
    tokio::spawn(async move { while events.recv().await.is_some() {} });
    let monitor = guest.monitor();
    let qmp = monitor.qmp();
    qmp.execute("stop", None).await?;
    if let Some(reasons) = slot::blocked(qmp).await? {
        return Err(TemplateError::NotReady { how: reasons });
    }
    slot::leave_out_shared(qmp, true).await?;
    slot::save_memory(qmp, &draft.path().join(DEVICES), &Cancel::new(), &mut |_, _| ()).await?;
    Ok(())
}

/// Waits until the guest says so.
async fn ready(events: &mut mpsc::Receiver<GuestEvent>) -> Result<(), TemplateError> {
    let until = Instant::now() + LIMIT;
    let how = loop {
        match timeout_at(until, events.recv()).await {
            Ok(Some(GuestEvent::Boot(BootStep::Ready))) => return Ok(()),
            Ok(Some(GuestEvent::Boot(BootStep::Failed { what, .. }))) => break what,
            Ok(Some(GuestEvent::Boot(_))) => break "its init passed over the mark".to_owned(),
            Ok(Some(GuestEvent::Ended(end))) => break end.how,
            Ok(Some(_)) => {}
            Ok(None) => break "it has ended".to_owned(),
            Err(_) => break format!("it was not ready within {} s", LIMIT.as_secs()),
        }
    };
    Err(TemplateError::NotReady { how })
}

/// Lets everything else run first. Each thread has a priority of its own (setpriority(2), "C library/kernel differences").
fn lower_priority(guest: &GuestHandle) {
    let threads = fs::read_dir(format!("/proc/{}/task", guest.pid())).into_iter().flatten().flatten();
    let threads = threads.filter_map(|it| it.file_name().to_str()?.parse::<i32>().ok());
    for thread in threads.filter_map(Pid::from_raw) {
        // One that has ended meanwhile needs none.
        let _ = setpriority_process(Some(thread), NICE);
    }
}

/// Gives back the room of memory that holds nothing: a kernel clears what it has not even used.
fn leave_holes(path: &Path, cancel: &Cancel) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    // Only what has room of its own is read; past the last of it there is nothing (ENXIO).
    while let Ok(data) = seek(&file, SeekFrom::Data(at)) {
        let end = seek(&file, SeekFrom::Hole(data))?;
        at = data / PIECE as u64 * PIECE as u64;
        while at < end && !cancel.is_cancelled() {
            let filled = file.read_at(&mut piece, at)?;
            if filled == 0 {
                return Ok(());
            }
            if piece[..filled].iter().all(|byte| *byte == 0) {
                let holes = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                match fallocate(&file, holes, at, filled as u64) {
                    // A file system without holes keeps the zeros.
                    Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
                    Err(e) => return Err(e.into()),
                }
            }
            at += filled as u64;
        }
        if cancel.is_cancelled() {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn memory_keeps_what_is_in_it_and_takes_no_room_for_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("memory");
        let mut bytes = vec![0; 8 << 20];
        bytes[5 << 20] = 1;
        bytes.push(0);
        fs::write(&path, &bytes).unwrap();
        leave_holes(&path, &Cancel::new()).unwrap();
        assert!(fs::read(&path).unwrap() == bytes);
        assert!(path.metadata().unwrap().blocks() * 512 <= 1 << 20);
    }
}

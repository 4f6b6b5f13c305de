//! What these tests share: a small root made of busybox, and a guest that boots a kernel directly.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use cartridge_supervise::{Cancel, CommandLine, run};
use vmtools::boot::{DirectBoot, Prepared, Root, prepare};
use vmtools::share::Access;
use vmtools::{BootStep, GuestEvent, Machine, Share, Transport};

use crate::harness::{Guest, kernel, machine, plan};

/// A place for a test, with a cache of its own.
pub fn place() -> tempfile::TempDir {
    let dir = tempfile::Builder::new().prefix("direct").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

pub fn direct(root: Root) -> DirectBoot {
    DirectBoot { kernel: kernel(), modules: None, initrds: vec![], root, cmdline: String::new() }
}

pub fn layers(disk: &Path) -> Root {
    Root::Layers { disk: disk.to_owned(), layers: vec![], keep: None }
}

pub fn folder(dir: &Path, access: Access) -> Root {
    Root::Folder { dir: dir.to_owned(), access }
}

pub fn prepared(boot: &DirectBoot, place: &Path) -> Prepared {
    prepare(boot, &place.join("cache"), &Cancel::new()).unwrap_or_else(|e| panic!("{e}"))
}

/// Boots it; folders are served by QEMU itself.
pub async fn start(boot: &DirectBoot, place: &Path) -> Guest {
    start_with(boot, place, |_| ()).await
}

pub async fn start_with(boot: &DirectBoot, place: &Path, change: impl FnOnce(&mut Machine)) -> Guest {
    let prepared = prepared(boot, place);
    let shares = prepared.shares.iter().map(|it| Share {
        tag: it.tag.clone(),
        transport: Transport::Plan9 { dir: it.dir.clone(), read_only: it.access != Access::Writable },
    });
    let mut machine = Machine { memory_mib: 512, shares: shares.collect(), layers: prepared.layers, ..machine() };
    change(&mut machine);
    plan(machine, prepared.boot).start().await.unwrap_or_else(|e| panic!("{e}"))
}

/// Boots it with its folders served as a front end has them served: virtiofs where this host has it, or else 9p.
pub async fn start_served(boot: &DirectBoot, place: &Path) -> Guest {
    let prepared = prepared(boot, place);
    let mut plan = plan(Machine { memory_mib: 512, layers: prepared.layers, ..machine() }, prepared.boot);
    plan.plan.sharing.folders = prepared.shares;
    plan.plan.sharing.serving.kernel = prepared.kernel;
    plan.start().await.unwrap_or_else(|e| panic!("{e}"))
}

/// The next step of the boot that `wanted` wants.
pub async fn step(guest: &mut Guest, what: &str, wanted: impl Fn(&BootStep) -> bool) -> BootStep {
    guest
        .until(what, |event| match event {
            GuestEvent::Boot(step) if wanted(step) => Some(step.clone()),
            GuestEvent::Boot(BootStep::Failed { what, there }) => panic!("{what}\n{there:#?}"),
            _ => None,
        })
        .await
}

/// Runs a command in the shell on the serial line, and gives what it printed.
pub async fn shell(guest: &mut Guest, command: &str) -> String {
    // The echo of the command does not hold the marks as they are printed.
    let line = format!("printf '<%s>' BEGIN; {{ {command}; }} 2>&1; printf '<%s>' END\n");
    let from = guest.serial.len();
    guest.handle.send_serial(line.into_bytes());
    loop {
        let text = String::from_utf8_lossy(&guest.serial[from..]).into_owned();
        if let Some((_, after)) = text.split_once("<BEGIN>")
            && let Some((printed, _)) = after.split_once("<END>")
        {
            return printed.replace('\r', "").trim().to_owned();
        }
        guest.until(command, |event| matches!(event, GuestEvent::Serial(_)).then_some(())).await;
    }
}

/// A root of busybox alone, with a marker and without an init.
pub fn busybox_root(root: &Path) {
    for dir in ["bin", "dev", "etc", "home/me", "proc", "root", "run", "sys", "tmp", "usr/bin"] {
        std::fs::create_dir_all(root.join(dir)).unwrap();
    }
    let busybox =
        ["/bin/busybox", "/usr/bin/busybox"].iter().find(|it| Path::new(it).exists()).expect("busybox-static");
    std::fs::copy(busybox, root.join("bin/busybox")).unwrap();
    for applet in
        "sh cat ls echo printf mount umount rm mv cp mkdir touch chmod find poweroff sync ln test id stat".split(' ')
    {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    std::fs::write(root.join("etc/marker"), "the lowest layer\n").unwrap();
}

/// Packs `root` with `name`, in this folder.
pub fn squashfs(root: &Path, image: &Path) -> PathBuf {
    std::fs::create_dir_all(image.parent().unwrap()).unwrap();
    let line = CommandLine::new("mksquashfs").arg(root).arg(image);
    tool(line.args(["-quiet", "-no-progress", "-all-root", "-comp", "gzip", "-Xcompression-level", "1", "-noappend"]));
    image.to_owned()
}

/// An ISO of everything below `root`.
pub fn iso(root: &Path, image: &Path) -> PathBuf {
    let line = CommandLine::new("xorriso").args(["-as", "mkisofs", "-quiet", "-R", "-J", "-V", "TESTED", "-o"]);
    tool(line.arg(image).arg(root));
    image.to_owned()
}

pub fn tool(line: CommandLine) {
    run(&line, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
}

/// Powers the guest off and waits for its end.
pub async fn poweroff(mut guest: Guest) {
    guest.handle.send_serial(b"poweroff\n".to_vec());
    let end = guest.until("the end", |e| if let GuestEvent::Ended(end) = e { Some(end.clone()) } else { None }).await;
    assert_eq!(end.status, vmtools::GuestStatus::PoweredOff, "{}", end.how);
}

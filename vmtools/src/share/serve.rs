//! Chooses for each folder, starts what serves it, and keeps that alive.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cartridge_supervise::{Channel, Exit, Observer, ProcessHandle, isolation_support, spawn};
use tokio::time::{Instant, sleep};

use super::virtiofsd::{self, Daemon};
use super::{Access, Chosen, Kind, Serving, ShareError, SharedFolder, choose, folder, told};
use crate::machine::{RuntimePaths, Share, Transport};

/// How long a virtiofsd may take to open its socket, on a machine that is busy.
const OPENING: Duration = Duration::from_secs(20);
/// How often we look.
const RETRY: Duration = Duration::from_millis(10);

/// Is given what a virtiofsd prints, and how it ended if it failed. Called from threads; must not wait.
pub type Words = Arc<dyn Fn(String) + Send + Sync>;

/// Keeps the folders of one guest served. Dropping it ends whatever serves them: it must live as long as QEMU.
#[derive(Debug)]
pub struct ShareHandle {
    daemons: Vec<ProcessHandle>,
    chosen: Vec<Chosen>,
}

impl ShareHandle {
    /// What was chosen for each folder, in their order.
    #[must_use]
    pub fn chosen(&self) -> &[Chosen] {
        &self.chosen
    }

    /// What the guest is to be told, for [`Machine::told`](crate::machine::Machine::told).
    #[must_use]
    pub fn told(&self) -> Option<(String, String)> {
        told::told(&self.chosen)
    }

    /// Process ids of the virtiofsds.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.daemons.iter().map(ProcessHandle::pid).collect()
    }
}

/// Chooses virtiofs or 9p for each folder and starts a virtiofsd where that is chosen; one that does not start costs its
/// folder virtiofs, not the guest: 9p takes its place, and the reason holds its words. Must be called inside a tokio runtime.
///
/// # Errors
/// [`ShareError`] for a folder that is missing or must not be lent, a bad tag, or a kernel that can mount neither.
pub async fn serve(
    folders: &[SharedFolder],
    runtime: &RuntimePaths,
    serving: &Serving,
    words: Words,
) -> Result<(Vec<Share>, ShareHandle), ShareError> {
    let mut handle = ShareHandle { daemons: Vec::new(), chosen: Vec::new() };
    let mut shares = Vec::new();
    if let Some(tag) = folder::bad_tag(folders) {
        return Err(ShareError::Tag { tag });
    }
    if folders.is_empty() {
        return Ok((shares, handle));
    }
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let asked = (folders.to_vec(), serving.clone());
    // Programs are asked and paths are looked at: not on the threads that everything else waits for.
    let looking = tokio::task::spawn_blocking(move || {
        let (folders, serving) = asked;
        let dirs = folders.iter().map(|it| folder::checked(it, home.as_deref())).collect::<Result<Vec<_>, _>>()?;
        let daemon =
            if serving.kernel.virtiofs == Some(false) { Err(String::new()) } else { usable(&serving.virtiofsd) };
        Ok((dirs, daemon))
    });
    let (dirs, mut daemon) = match looking.await {
        Ok(found) => found?,
        Err(e) => {
            let dir = folders.first().map(|it| it.dir.clone()).unwrap_or_default();
            return Err(ShareError::Folder { dir, problem: e.to_string() });
        }
    };
    for (number, (wish, dir)) in folders.iter().zip(dirs).enumerate() {
        let shown = daemon.as_ref().map(|it| it.program.display().to_string());
        let choice = choose::choose(serving.kernel, shown.as_deref().map_err(|why| why.as_str()));
        let (mut kind, mut why) = choice.ok_or_else(|| ShareError::NoDriver { dir: dir.clone() })?;
        let writable = wish.access == Access::Writable;
        let mut transport = Transport::Plan9 { dir: dir.clone(), read_only: !writable };
        if let (Kind::Virtiofs, Ok(found)) = (kind, &daemon) {
            let socket = runtime.share(number);
            match start(found, (&dir, writable), &socket, &words).await {
                Ok(process) => {
                    handle.daemons.push(process);
                    transport = Transport::Virtiofs { socket };
                }
                Err(problem) => {
                    let second = choose::choose(serving.kernel, Err(&problem));
                    (kind, why) = second.ok_or_else(|| ShareError::NoDriver { dir: dir.clone() })?;
                    // What did not start once is not waited for again.
                    daemon = Err(problem);
                }
            }
        }
        shares.push(Share { tag: wish.tag.clone(), transport });
        let SharedFolder { tag, at, access, .. } = wish.clone();
        handle.chosen.push(Chosen { tag, dir, at, access, kind, why });
    }
    Ok((shares, handle))
}

/// Whether a virtiofsd will serve the folders, as far as that is known before. Blocks.
pub(crate) fn by_virtiofs(serving: &Serving) -> bool {
    serving.kernel.virtiofs != Some(false) && usable(&serving.virtiofsd).is_ok()
}

/// A virtiofsd that can be shut in. Blocks.
fn usable(places: &[PathBuf]) -> Result<Daemon, String> {
    let daemon = virtiofsd::find(places)?;
    match isolation_support() {
        Ok(_) => Ok(daemon),
        Err(e) => Err(format!("a virtiofsd cannot be shut in on this host: {e}")),
    }
}

/// Starts one and waits for its socket.
async fn start(
    daemon: &Daemon,
    (dir, writable): (&Path, bool),
    socket: &Path,
    words: &Words,
) -> Result<ProcessHandle, String> {
    let runtime = socket.parent().unwrap_or(Path::new("/"));
    match std::fs::remove_file(socket) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(format!("{}: {e}", socket.display())),
        _ => {}
    }
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let line = virtiofsd::command(daemon, dir, writable, (runtime, socket), files);
    let observer = Said { words: Arc::clone(words), dir: dir.to_path_buf() };
    let process = spawn(&line, observer).map_err(|e| e.to_string())?;
    let until = Instant::now() + OPENING;
    while !socket.exists() {
        if let Some(exit) = process.exit() {
            let said = exit.evidence_text();
            return Err(format!("{} ended at once ({}): {}", daemon.program.display(), exit.describe(), said.trim()));
        }
        if Instant::now() >= until {
            let limit = OPENING.as_secs();
            return Err(format!("{} did not open its socket within {limit} s", daemon.program.display()));
        }
        sleep(RETRY).await;
    }
    Ok(process)
}

/// Passes on what a virtiofsd says.
struct Said {
    words: Words,
    dir: PathBuf,
}

impl Observer for Said {
    fn output(&mut self, _channel: Channel, bytes: &[u8]) {
        for line in String::from_utf8_lossy(bytes).lines() {
            (self.words)(format!("virtiofsd: {line}"));
        }
    }

    fn exited(&mut self, exit: &Exit) {
        // It ends by itself when QEMU does.
        if !exit.status.success() {
            (self.words)(format!("virtiofsd of {} ended ({})", self.dir.display(), exit.describe()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Mutex;

    use super::super::GuestKernel;
    use super::*;

    fn script(dir: &Path, text: &str) -> PathBuf {
        let path = dir.join("virtiofsd");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    async fn with(serving: Serving, access: Access) -> Result<(Vec<Share>, ShareHandle, String), ShareError> {
        let dir = tempfile::tempdir().unwrap();
        let lent = dir.path().join("lent");
        std::fs::create_dir(&lent).unwrap();
        let folder = SharedFolder { tag: "repository".into(), dir: lent, at: "/root/a".into(), access };
        let heard = Arc::new(Mutex::new(String::new()));
        let ear = Arc::clone(&heard);
        let words: Words = Arc::new(move |line| ear.lock().unwrap().push_str(&format!("{line}\n")));
        let (shares, handle) = serve(&[folder], &RuntimePaths::new(dir.path()), &serving, words).await?;
        let heard = heard.lock().unwrap().clone();
        Ok((shares, handle, heard))
    }

    #[tokio::test]
    async fn without_a_virtiofsd_it_is_9p_and_says_why() {
        let none = Serving { virtiofsd: Vec::new(), ..Serving::default() };
        let (shares, handle, _) = with(none.clone(), Access::Overlaid).await.unwrap();
        assert!(matches!(&shares[0].transport, Transport::Plan9 { read_only: true, .. }), "{shares:?}");
        let words = handle.chosen()[0].words();
        assert!(words.contains("overlaid, by 9p: there is no virtiofsd on this machine"), "{words}");
        assert!(handle.told().unwrap().1.contains(r#""kind":"9p""#));
        let (shares, ..) = with(none, Access::Writable).await.unwrap();
        assert!(matches!(&shares[0].transport, Transport::Plan9 { read_only: false, .. }), "{shares:?}");
    }

    #[tokio::test]
    async fn a_virtiofsd_that_dies_at_once_costs_virtiofs_and_its_words_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let fake = script(dir.path(), "case $1 in --help) echo --shared-dir;; *) echo no such luck >&2; exit 3;; esac");
        let serving = Serving { virtiofsd: vec![fake], ..Serving::default() };
        let (shares, handle, heard) = with(serving.clone(), Access::ReadOnly).await.unwrap();
        assert!(matches!(&shares[0].transport, Transport::Plan9 { read_only: true, .. }), "{shares:?}");
        let why = &handle.chosen()[0].why;
        assert!(why.contains("ended at once (exit code 3): no such luck"), "{why}");
        assert!(heard.contains("virtiofsd: no such luck"), "{heard}");
        let only = Serving { kernel: GuestKernel { plan9: Some(false), virtiofs: None }, ..serving };
        let error = with(only, Access::ReadOnly).await.unwrap_err().to_string();
        assert!(error.contains("neither virtiofs nor 9p"), "{error}");
    }

    #[tokio::test]
    async fn what_must_not_be_lent_is_refused() {
        let runtime = RuntimePaths::new(Path::new("/run/none"));
        let of = |dir: &str, tag: &str| SharedFolder {
            tag: tag.into(),
            dir: dir.into(),
            at: "/a".into(),
            access: Access::Writable,
        };
        let serving = Serving { virtiofsd: Vec::new(), ..Serving::default() };
        for (folder, expected) in [
            (of("/etc", "a"), "belongs to the system"),
            (of("/absent/x", "a"), "No such file"),
            (of("/tmp", "A B"), "mount tag"),
        ] {
            let error = serve(&[folder], &runtime, &serving, Arc::new(|_| ())).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}

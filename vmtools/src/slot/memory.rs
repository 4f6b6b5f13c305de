//! A guest's memory and devices, out of QEMU and into it, through a pipe: QEMU's sandbox lets it run no helper, and a
//! descriptor that it is given works with every version. The other end of the pipe is ours, so a full disk is told by the
//! system itself, and not as QEMU's "migration failed".

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cartridge_supervise::Cancel;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::qmp::{Qmp, QmpError};
use crate::slot::error::SlotError;

/// What QEMU calls the descriptor that we pass.
const NAME: &str = "cartridge-slot";
/// How often QEMU is asked how far it is.
const LOOK: Duration = Duration::from_millis(10);
/// No limit, bytes a second: the default of 128 MiB would make a large guest stand still for long
/// (`qapi/migration.json`, "max-bandwidth").
const BANDWIDTH: u64 = 1 << 40;
/// How long QEMU may take to stop when it was told to, or when its pipe is closed.
const STOPPING: Duration = Duration::from_secs(10);
/// How much the pipe holds, bytes: what an ordinary user may ask for (pipe(7)).
const PIPE: usize = 1024 * 1024;

/// Writes memory and devices of a guest that stands still to `file`, which must not exist; `progress` is told bytes done
/// and bytes in all. Returns the file's length.
pub(crate) async fn save(
    qmp: &Qmp,
    file: &Path,
    cancel: &Cancel,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<u64, SlotError> {
    qmp.execute("migrate-set-parameters", Some(json!({ "max-bandwidth": BANDWIDTH }))).await?;
    let (reader, writer) = io::pipe().map_err(SlotError::io("make a pipe for", file))?;
    let _ = rustix::pipe::fcntl_setpipe_size(&writer, PIPE);
    qmp.execute_with_fd("getfd", Some(json!({ "fdname": NAME })), writer.into()).await?;
    let path = file.to_owned();
    let copying = tokio::task::spawn_blocking(move || drain(reader, &path));
    if let Err(error) = qmp.execute("migrate", Some(json!({ "uri": format!("fd:{NAME}") }))).await {
        // Unless QEMU has taken it, the descriptor is still open there, and the copying would wait for ever.
        let _ = qmp.execute("closefd", Some(json!({ "fdname": NAME }))).await;
        return Err(refused(error));
    }
    let outcome = watch(qmp, cancel, progress).await;
    let copied = copying.await.unwrap_or_else(|e| Err(io::Error::other(e)));
    match (outcome, copied) {
        // What the system said of the file explains what QEMU says.
        (_, Err(source)) => Err(SlotError::Io { action: "write", path: file.to_owned(), source }),
        (Err(error), _) => Err(error),
        (Ok(()), Ok(bytes)) => Ok(bytes),
    }
}

/// Why QEMU would not begin, in our words where it is something that is mounted or attached.
fn refused(error: QmpError) -> SlotError {
    match error {
        QmpError::Refused { description, .. } if is_bound(&description) => SlotError::Blocked { reasons: description },
        other => other.into(),
    }
}

/// Whether QEMU says that something binds the guest to this host (hw/9pfs/9p.c, migration/savevm.c).
fn is_bound(words: &str) -> bool {
    words.contains("is mounted in the guest")
        || words.contains("non-migratable device")
        || words.contains("disabled when")
}

/// Waits until QEMU is done.
async fn watch(qmp: &Qmp, cancel: &Cancel, progress: &mut (dyn FnMut(u64, u64) + Send)) -> Result<(), SlotError> {
    let mut stopping: Option<(Instant, SlotError)> = None;
    loop {
        let state = state(&qmp.execute("query-migrate", None).await?);
        match (&state, stopping.take()) {
            (State::Done, None) => return Ok(()),
            (State::Done | State::Failed(_) | State::None, Some((_, why))) => return Err(why),
            (State::Failed(words), None) => return Err(SlotError::NotSaved { words: words.clone() }),
            (State::None, None) => return Err(SlotError::NotSaved { words: "it has not begun".into() }),
            (State::Active { .. }, Some((since, why))) if since.elapsed() > STOPPING => return Err(why),
            (State::Active { .. }, Some(waiting)) => stopping = Some(waiting),
            (State::Active { done, total }, None) => {
                progress(*done, *total);
                // A pipe that nobody drains any more makes QEMU fail by itself; one that it has closed means that it is
                // about to say that it is done.
                if cancel.is_cancelled() {
                    qmp.execute("migrate_cancel", None).await?;
                    stopping = Some((Instant::now(), SlotError::Cancelled));
                }
            }
        }
        sleep(LOOK).await;
    }
}

/// Says whether memory that lies in a shared file is left out, where it is saved and where it is loaded: it is in that file
/// (`qapi/migration.json`, since QEMU 4.0).
pub(crate) async fn leave_out_shared(qmp: &Qmp, on: bool) -> Result<(), QmpError> {
    let capabilities = json!({ "capabilities": [{ "capability": "x-ignore-shared", "state": on }] });
    qmp.execute("migrate-set-capabilities", Some(capabilities)).await.map(drop)
}

/// Takes everything out of the pipe into a new file. Blocks until QEMU closes its end.
fn drain(mut pipe: io::PipeReader, path: &Path) -> io::Result<u64> {
    let mut file = File::options().write(true).create_new(true).open(path)?;
    // From a pipe to a file the system moves pages without copying them twice.
    io::copy(&mut pipe, &mut file)
}

/// Gives the memory in `file` to a QEMU that waits for it (`-incoming defer`).
pub(crate) async fn load(qmp: &Qmp, file: &Path) -> Result<(), LoadError> {
    let failed = |source| LoadError::File { path: file.to_owned(), source };
    let source = File::open(file).map_err(failed)?;
    let (reader, writer) = io::pipe().map_err(failed)?;
    let _ = rustix::pipe::fcntl_setpipe_size(&writer, PIPE);
    qmp.execute_with_fd("getfd", Some(json!({ "fdname": NAME })), reader.into()).await?;
    let feeding = tokio::task::spawn_blocking(move || feed(source, writer));
    qmp.execute("migrate-incoming", Some(json!({ "uri": format!("fd:{NAME}") }))).await?;
    loop {
        match state(&qmp.execute("query-migrate", None).await?) {
            State::Done => break,
            State::Failed(words) => return Err(LoadError::Refused { words }),
            State::Active { .. } | State::None => sleep(LOOK).await,
        }
    }
    match feeding.await.unwrap_or_else(|e| Err(io::Error::other(e))) {
        // QEMU reads to the end of what it understands and closes its end.
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => Err(failed(source)),
        _ => Ok(()),
    }
}

fn feed(mut file: File, mut pipe: io::PipeWriter) -> io::Result<()> {
    let mut piece = vec![0; PIPE];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(n) => pipe.write_all(&piece[..n])?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Memory could not be given to QEMU.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("QEMU did not take it: {words}")]
    Refused { words: String },
    #[error(transparent)]
    Control(#[from] QmpError),
}

/// How far a migration is.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// There is none.
    None,
    Active {
        done: u64,
        total: u64,
    },
    Done,
    Failed(String),
}

/// Reads the answer of `query-migrate` (`qapi/migration.json`, MigrationInfo).
fn state(answer: &Value) -> State {
    let number = |pointer: &str| answer.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    match answer.get("status").and_then(Value::as_str) {
        None | Some("none") => State::None,
        Some("completed") => State::Done,
        Some("failed" | "cancelled") => {
            let words = answer.get("error-desc").and_then(Value::as_str);
            State::Failed(words.unwrap_or("it says no more").to_owned())
        }
        Some(_) => {
            let total = number("/ram/total");
            State::Active { done: total.saturating_sub(number("/ram/remaining")), total }
        }
    }
}

/// Why this guest cannot be saved just now, in QEMU's words.
pub(crate) async fn blocked(qmp: &Qmp) -> Result<Option<String>, QmpError> {
    let answer = qmp.execute("query-migrate", None).await?;
    let reasons = answer.get("blocked-reasons").and_then(Value::as_array).into_iter().flatten();
    let reasons: Vec<&str> = reasons.filter_map(Value::as_str).collect();
    Ok((!reasons.is_empty()).then(|| reasons.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_understood() {
        assert_eq!(state(&json!({})), State::None);
        assert_eq!(state(&json!({"status": "completed"})), State::Done);
        assert_eq!(state(&json!({"status": "failed", "error-desc": "x"})), State::Failed("x".into()));
        let active = json!({"status": "active", "ram": {"total": 100, "remaining": 30}});
        assert_eq!(state(&active), State::Active { done: 70, total: 100 });
        assert_eq!(state(&json!({"status": "setup"})), State::Active { done: 0, total: 0 });
        assert!(is_bound(
            "Migration is disabled when VirtFS export path '/x' is mounted in the guest using mount_tag 'r'"
        ));
        assert!(is_bound("State blocked by non-migratable device '0000:00:04.0/vhost-user-fs'"));
        assert!(!is_bound("There's a migration process in progress"));
    }
}

//! `cartridge logs`: show the log files of a session, also of one that is over.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::{LogName, LogsArgs};
use super::print::{self, out};
use crate::paths::Paths;
use crate::session::event::EVENT_VERSION;
use crate::session::failure::exit_code;
use crate::session::logs::{Pane, stage_of};
use crate::session::record;

/// Longer lines are cut, bytes: a guest may send a gigabyte without a newline.
const LINE_LIMIT: u64 = 64 * 1024;

/// Shows the log and returns the exit code.
pub(super) async fn run(args: &LogsArgs, paths: &Paths) -> u8 {
    let sessions = record::directories(paths);
    if args.list {
        let living: Vec<String> = record::living(paths).into_iter().map(|l| l.id).collect();
        for dir in sessions {
            let id = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let state = if living.contains(&id) { "running" } else { "over" };
            out(&format!("{id}  {state}  {}", dir.display()));
        }
        return exit_code::GOOD;
    }
    let stage = args.stage.as_deref();
    let log = args.log.unwrap_or(if stage.is_some() { LogName::Build } else { LogName::Session });
    let pane = Pane::from(log);
    if stage.is_some() && pane != Pane::Build {
        print::err(&format!(
            "cartridge: only the build log has stages: cartridge logs build --stage {}",
            stage.unwrap_or_default()
        ));
        return exit_code::USAGE;
    }
    let dir = match &args.session {
        Some(id) => sessions.into_iter().find(|dir| dir.file_name().is_some_and(|name| name == id.as_str())),
        None => newest(&sessions, pane).cloned(),
    };
    let Some(dir) = dir else {
        print::err("cartridge: there is no such log. `cartridge logs --list` lists the sessions");
        return exit_code::USAGE;
    };
    let path = dir.join(pane.file_name());
    // A stage of a build under way may still come.
    if let Some(stage) = stage.filter(|_| !args.follow)
        && let Ok(stages) = stages(&path)
        && !stages.iter().any(|it| it == stage)
    {
        let known = if stages.is_empty() { "none".to_owned() } else { stages.join(", ") };
        let words = format!("the log {} has no stage {stage:?}; its stages: {known}", path.display());
        print::wrong(args.json, "There is no such stage", &words, exit_code::USAGE);
        if args.json {
            print::finished(exit_code::USAGE);
        }
        return exit_code::USAGE;
    }
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) => {
            print::err(&format!("cartridge: {}: {error}", path.display()));
            return exit_code::INTERNAL;
        }
    };
    if args.json {
        return lines(pane, file, stage);
    }
    if let Some(stage) = stage {
        return of_stage(file, stage, args.follow).await;
    }
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match file.read(&mut chunk) {
            Ok(0) if args.follow => tokio::time::sleep(Duration::from_millis(200)).await,
            Ok(0) => return exit_code::GOOD,
            Ok(n) => {
                if std::io::stdout().write_all(&chunk[..n]).and_then(|()| std::io::stdout().flush()).is_err() {
                    return exit_code::GOOD;
                }
            }
            Err(error) => {
                print::err(&format!("cartridge: {}: {error}", path.display()));
                return exit_code::INTERNAL;
            }
        }
    }
}

/// The session that is meant where none is named: the newest whose log says something, of those that built or had a guest.
/// Sessions that only looked at something have nothing to tell but that.
fn newest(sessions: &[PathBuf], pane: Pane) -> Option<&PathBuf> {
    let says = |dir: &Path, pane: Pane| dir.join(pane.file_name()).metadata().is_ok_and(|meta| meta.len() > 0);
    let telling = || sessions.iter().rev().filter(|dir| says(dir, pane));
    // QEMU says nothing in a guest that runs well.
    let did_something = |dir: &&PathBuf| [Pane::Build, Pane::Qemu, Pane::Serial].into_iter().any(|it| says(dir, it));
    telling().find(did_something).or_else(|| telling().next())
}

/// The stages of which a log has lines, in the order of the first of them.
fn stages(path: &Path) -> std::io::Result<Vec<String>> {
    let mut file = BufReader::new(File::open(path)?);
    let (mut stages, mut line) = (Vec::<String>::new(), Vec::new());
    while file.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line)? > 0 {
        if let Some(stage) = stage_of(&line)
            && !stages.iter().any(|it| it == stage)
        {
            stages.push(stage.to_owned());
        }
        line.clear();
    }
    Ok(stages)
}

/// The lines of one stage, whole ones only while the log grows.
async fn of_stage(file: File, stage: &str, follow: bool) -> u8 {
    let mut file = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        let room = LINE_LIMIT.saturating_sub(line.len() as u64);
        let read = file.by_ref().take(room).read_until(b'\n', &mut line);
        let whole = line.ends_with(b"\n") || line.len() as u64 >= LINE_LIMIT;
        match read {
            Ok(0) if follow && !whole => tokio::time::sleep(Duration::from_millis(200)).await,
            Ok(read) => {
                if (whole || !follow) && stage_of(&line) == Some(stage) {
                    let text = String::from_utf8_lossy(&line);
                    out(text.trim_end_matches(['\n', '\r']));
                }
                if whole || !follow {
                    line.clear();
                }
                if read == 0 && !follow {
                    return exit_code::GOOD;
                }
            }
            Err(error) => {
                print::err(&format!("cartridge: {error}"));
                return exit_code::INTERNAL;
            }
        }
    }
}

/// The log as JSON, a line each; bytes that are not UTF-8 are replaced. With a stage, its lines only.
fn lines(pane: Pane, file: File, stage: Option<&str>) -> u8 {
    let mut file = BufReader::new(file);
    let mut line = Vec::new();
    for number in 0_u64.. {
        line.clear();
        match file.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) if stage.is_some() && stage_of(&line) != stage => {}
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                let text = text.trim_end_matches(['\n', '\r']);
                let event = serde_json::json!({
                    "v": EVENT_VERSION, "event": "log_line", "pane": pane, "number": number,
                    "stage": if pane == Pane::Build { stage_of(&line) } else { None }, "text": text,
                });
                // The serial line is the guest's own words.
                if pane == Pane::Serial { print::as_it_is(&event.to_string()) } else { print::json(&event) }
            }
            Err(error) => {
                print::err(&format!("cartridge: {error}"));
                return exit_code::INTERNAL;
            }
        }
    }
    print::finished(exit_code::GOOD);
    exit_code::GOOD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_that_is_meant_is_the_newest_that_built_or_had_a_guest() {
        let top = tempfile::tempdir().unwrap();
        let made = |id: &str, logs: &[(Pane, &str)]| {
            let dir = top.path().join(id);
            std::fs::create_dir(&dir).unwrap();
            for (pane, text) in logs {
                std::fs::write(dir.join(pane.file_name()), text).unwrap();
            }
            dir
        };
        let built = made("1", &[(Pane::Session, "s"), (Pane::Build, "b"), (Pane::Serial, "old")]);
        let warm = made("2", &[(Pane::Session, "s"), (Pane::Build, ""), (Pane::Qemu, ""), (Pane::Serial, "new")]);
        let looked = made("3", &[(Pane::Session, "s"), (Pane::Build, ""), (Pane::Serial, "")]);
        let sessions = [built.clone(), warm.clone(), looked];
        assert_eq!(newest(&sessions, Pane::Serial), Some(&warm));
        assert_eq!(newest(&sessions, Pane::Session), Some(&warm));
        assert_eq!(newest(&sessions, Pane::Build), Some(&built));
        assert_eq!(newest(&sessions, Pane::Qemu), None);
    }
}

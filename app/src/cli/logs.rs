//! `cartridge logs`: show the log files of a session, also of one that is over.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use super::args::LogsArgs;
use super::print::out;
use crate::paths::Paths;
use crate::session::failure::exit_code;
use crate::session::logs::Pane;
use crate::session::record;

/// Shows the log and returns the exit code.
pub(super) async fn run(args: &LogsArgs, paths: &Paths) -> u8 {
    let mut sessions: Vec<PathBuf> =
        std::fs::read_dir(paths.sessions()).map(|dir| dir.flatten().map(|e| e.path()).collect()).unwrap_or_default();
    sessions.sort();
    if args.list {
        let living: Vec<String> = record::living(paths).into_iter().map(|l| l.id).collect();
        for dir in sessions {
            let id = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let state = if living.contains(&id) { "running" } else { "over" };
            out(&format!("{id}  {state}  {}", dir.display()));
        }
        return exit_code::GOOD;
    }
    let pane = Pane::from(args.log);
    let dir = match &args.session {
        Some(id) => sessions.into_iter().find(|dir| dir.file_name().is_some_and(|name| name == id.as_str())),
        // A session that never got that far has an empty log: the newest that says something is meant.
        None => sessions.into_iter().rev().find(|dir| dir.join(pane.file_name()).metadata().is_ok_and(|m| m.len() > 0)),
    };
    let Some(dir) = dir else {
        eprintln!("cartridge: there is no such log. `cartridge logs --list` lists the sessions");
        return exit_code::USAGE;
    };
    let path = dir.join(pane.file_name());
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) => {
            eprintln!("cartridge: {}: {error}", path.display());
            return exit_code::INTERNAL;
        }
    };
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
                eprintln!("cartridge: {}: {error}", path.display());
                return exit_code::INTERNAL;
            }
        }
    }
}

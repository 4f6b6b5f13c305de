//! `cartridge shot`: photograph the guest of a session that somebody else runs.

use std::time::Duration;

use super::args::ShotArgs;
use super::print::{self, out};
use crate::paths::Paths;
use crate::session::failure::exit_code;
use crate::session::{Event, record};

/// How long the guest's display may take to answer.
const LIMIT: Duration = Duration::from_secs(10);

/// Saves the picture and returns the exit code.
pub(super) async fn run(args: &ShotArgs, paths: &Paths) -> u8 {
    let guests: Vec<_> = record::living(paths).into_iter().filter(|session| session.made.guest.is_some()).collect();
    let session = match &args.session {
        Some(id) => guests.iter().find(|session| &session.id == id),
        None => guests.first(),
    };
    let Some(runtime) = session.and_then(|session| session.made.runtime.clone()) else {
        let ids: Vec<_> = guests.iter().map(|s| format!("{} ({})", s.id, s.made.who)).collect();
        let known =
            if ids.is_empty() { "no guest is running".to_owned() } else { format!("running: {}", ids.join(", ")) };
        eprintln!("cartridge: there is no such guest; {known}");
        return exit_code::USAGE;
    };
    let frame = match vmtools::display::grab(&runtime, LIMIT).await {
        Ok(frame) => frame,
        Err(error) => {
            eprintln!("cartridge: {error}");
            return exit_code::GUEST;
        }
    };
    let (file, uniform) = (args.file.clone(), frame.is_uniform());
    let code = match tokio::task::spawn_blocking(move || frame.save_png(&file)).await {
        Ok(Ok(())) if args.json => {
            print::event(Event::ScreenshotTaken { path: args.file.clone(), uniform });
            exit_code::GOOD
        }
        Ok(Ok(())) => {
            out(&format!("screenshot: {}", args.file.display()));
            exit_code::GOOD
        }
        Ok(Err(error)) => {
            eprintln!("cartridge: {error}");
            exit_code::INTERNAL
        }
        Err(error) => {
            eprintln!("cartridge: {error}");
            exit_code::INTERNAL
        }
    };
    if args.json {
        print::finished(code);
    }
    code
}

//! `cartridge shot`: photograph the guest of a session that somebody else runs, or print the text on its screen.

use std::path::Path;
use std::time::Duration;

use vmtools::ocr::{OcrError, read_text};
use vmtools::{Cancel, Frame};

use super::args::ShotArgs;
use super::print::{self, out};
use crate::paths::Paths;
use crate::session::failure::exit_code;
use crate::session::{Event, record};

/// How long the guest's display may take to answer.
const LIMIT: Duration = Duration::from_secs(10);

/// Saves the picture and returns the exit code.
pub(super) async fn run(args: &ShotArgs, paths: &Paths) -> u8 {
    let code = save(args, paths).await;
    if args.json {
        print::finished(code);
    }
    code
}

async fn save(args: &ShotArgs, paths: &Paths) -> u8 {
    let wrong = |detail: &str, code| {
        print::wrong(args.json, "The guest could not be photographed", detail, code);
        code
    };
    let guests: Vec<_> = record::living(paths).into_iter().filter(|session| session.made.guest.is_some()).collect();
    let session = match &args.session {
        Some(id) => guests.iter().find(|session| &session.id == id),
        None => guests.first(),
    };
    let Some(runtime) = session.and_then(|session| session.made.runtime.clone()) else {
        let ids: Vec<_> = guests.iter().map(|s| format!("{} ({})", s.id, s.made.who)).collect();
        let known =
            if ids.is_empty() { "no guest is running".to_owned() } else { format!("running: {}", ids.join(", ")) };
        return wrong(&format!("there is no such guest; {known}"), exit_code::USAGE);
    };
    let frame = match vmtools::display::grab(&runtime, LIMIT).await {
        Ok(frame) => frame,
        Err(error) => return wrong(&error.to_string(), exit_code::GUEST),
    };
    if args.text
        && let Err((detail, code)) = print_text(frame.clone(), args.json).await
    {
        return wrong(&detail, code);
    }
    let Some(file) = args.file.clone() else { return exit_code::GOOD };
    let (path, uniform) = (file.clone(), frame.is_uniform());
    match tokio::task::spawn_blocking(move || frame.save_png(&file)).await {
        Ok(Ok(())) if args.json => print::event(Event::ScreenshotTaken { path, uniform }),
        Ok(Ok(())) => out(&format!("screenshot: {}", path.display())),
        Ok(Err(error)) => return wrong(&error.to_string(), exit_code::INTERNAL),
        Err(error) => return wrong(&error.to_string(), exit_code::INTERNAL),
    }
    exit_code::GOOD
}

/// Prints the text that is on the picture.
async fn print_text(frame: Frame, json: bool) -> Result<(), (String, u8)> {
    let read = move || read_text(Path::new("tesseract"), &frame, None, &Cancel::new());
    let text = match tokio::task::spawn_blocking(read).await {
        Ok(Ok(text)) => text,
        Ok(Err(error @ OcrError::Absent)) => return Err((error.to_string(), exit_code::HOST)),
        Ok(Err(error)) => return Err((error.to_string(), exit_code::INTERNAL)),
        Err(error) => return Err((error.to_string(), exit_code::INTERNAL)),
    };
    match json {
        true => print::event(Event::TextRead { text }),
        false => out(text.trim_end()),
    }
    Ok(())
}

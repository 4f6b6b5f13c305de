//! `cartridge diff`: in what two images differ, by their records where those are true to them, else by what is in them.

use std::ffi::OsStr;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use isoprep::Cancel;
use isoprep::contents::{BuildRecord, Change, Difference, Reading, ReadingProgress, RecordError, Side, Watch, show};
use tokio::signal::unix::{SignalKind, signal};

use super::args::{Colour, DiffArgs};
use super::print::{self, out};
use crate::paths::Paths;
use crate::session::Event;
use crate::session::event::{EVENT_VERSION, Failure};
use crate::session::failure::exit_code;

/// Exit codes, as diff(1) has them.
const SAME: u8 = 0;
const DIFFERENT: u8 = 1;
const TROUBLE: u8 = 2;
/// How many lines of each list are shown unless all are asked for.
const LINES: usize = 50;

/// Why there is no answer.
enum Trouble {
    Cancelled,
    /// In words.
    Told(String),
}

/// What came out of a comparison.
struct Compared {
    difference: Difference,
    names: Change<String>,
    notices: Vec<String>,
}

/// Compares and returns the exit code.
pub(super) async fn run(args: DiffArgs, paths: &Paths) -> u8 {
    let json = args.json;
    let code = match compare(&args, paths).await {
        Ok(compared) => show(&args, &compared),
        Err(Trouble::Cancelled) => exit_code::CANCELLED,
        Err(Trouble::Told(detail)) if json => {
            let title = "The images could not be compared".to_owned();
            let failure = Failure { title, detail, advice: None, command: None, pane: None, exit_code: TROUBLE };
            print::event(Event::Failed { failure });
            TROUBLE
        }
        Err(Trouble::Told(detail)) => {
            print::err(&format!("cartridge: {detail}"));
            TROUBLE
        }
    };
    if json {
        print::finished(code);
    }
    code
}

fn show(args: &DiffArgs, compared: &Compared) -> u8 {
    let Compared { difference, names, notices } = compared;
    for notice in notices {
        print::err(&format!("cartridge: {notice}"));
    }
    let names = Change { from: names.from.as_str(), to: names.to.as_str() };
    let undecided = difference.undecided();
    let code = match difference.is_empty() {
        false => DIFFERENT,
        true if undecided == 0 => SAME,
        true => {
            print::err(&format!("cartridge: nothing differs, but {undecided} files could not be compared"));
            TROUBLE
        }
    };
    if args.json {
        if let Ok(mut event) = show::json(difference, &names) {
            event["v"] = EVENT_VERSION.into();
            event["event"] = "compared".into();
            print::json(&event);
        }
    } else if code == DIFFERENT {
        let terminal = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
        let colour = match args.colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal,
        };
        let style = show::Style { colour, most: if args.all { usize::MAX } else { LINES } };
        out(show::text(difference, &names, style).trim_end());
    }
    code
}

/// Finds both images and compares them where it may block; a signal ends it.
async fn compare(args: &DiffArgs, paths: &Paths) -> Result<Compared, Trouble> {
    let (from, to) = match &args.to {
        Some(to) => (image_of(&args.from, paths)?, image_of(to, paths)?),
        None => {
            let now = image_of(&args.from, paths)?;
            (BuildRecord::of_the_build_before(&now), now)
        }
    };
    if let Some(missing) = [Some(&args.from), args.to.as_ref()].into_iter().flatten().find(|it| !it.exists()) {
        return Err(Trouble::Told(format!(
            "{} does not exist: name an image, its record, or a repository",
            missing.display()
        )));
    }
    if args.to.is_none() && !from.exists() {
        return Err(Trouble::Told(format!(
            "no build before the last one of {} is recorded: name another image to compare with",
            args.from.display()
        )));
    }
    let cancel = Cancel::new();
    let (Ok(mut interrupts), Ok(mut terms)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
        return Err(Trouble::Told("signals cannot be caught on this system".to_owned()));
    };
    let bar = Arc::new(bar(args.json));
    let mut work = tokio::task::spawn_blocking({
        let (cancel, bar) = (cancel.clone(), Arc::clone(&bar));
        move || read_and_compare(&from, &to, &cancel, &bar)
    });
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            _ = interrupts.recv() => cancel.cancel(),
            _ = terms.recv() => cancel.cancel(),
        }
    };
    bar.finish_and_clear();
    match done {
        _ if cancel.is_cancelled() => Err(Trouble::Cancelled),
        Ok(compared) => compared.map_err(|error| Trouble::Told(error.to_string())),
        Err(error) => Err(Trouble::Told(error.to_string())),
    }
}

fn read_and_compare(from: &Path, to: &Path, cancel: &Cancel, bar: &ProgressBar) -> Result<Compared, RecordError> {
    let tell = |progress: ReadingProgress| {
        bar.set_length(progress.total.unwrap_or(0));
        bar.set_position(progress.done);
        bar.set_message(match progress.doing {
            Reading::Listing => "reading directories",
            Reading::Comparing => "comparing packed content",
            Reading::Hashing => "hashing content",
            Reading::Copying => "taking files out",
        });
    };
    let watch = Watch { cancel, tell: &tell };
    let (mut one, mut two) = (Side::load(from, &watch)?, Side::load(to, &watch)?);
    let difference = one.compare(&mut two, &watch)?;
    let name = |path: &Path| path.display().to_string();
    let notices = [&one.notice, &two.notice].into_iter().flatten().cloned().collect();
    Ok(Compared { difference, names: Change { from: name(from), to: name(to) }, notices })
}

fn bar(json: bool) -> ProgressBar {
    let target = if json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(None, target);
    if let Ok(style) = ProgressStyle::with_template("{bar:28} {percent:>3}%  {elapsed}  {wide_msg}") {
        bar.set_style(style.progress_chars("━━╌"));
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// The file that is meant: an ISO or a record as it is, and for a cartridge the image of its last build, or that one's
/// record if the image is gone.
fn image_of(named: &Path, paths: &Paths) -> Result<PathBuf, Trouble> {
    let is_cartridge = named.is_dir() || named.file_name() == Some(OsStr::new(isoprep::recipe::FILE_NAME));
    if !is_cartridge {
        return Ok(named.to_path_buf());
    }
    let file = isoprep::open(named).map_err(|error| Trouble::Told(error.to_string()))?;
    let root = file.file.parent().unwrap_or(Path::new("/"));
    let name = match isoprep::parse(&file.text, root) {
        Ok(recipe) => recipe.name,
        Err(error) => return Err(Trouble::Told(error.to_string())),
    };
    let iso = paths.images_of(&name, root).join(format!("{name}.iso"));
    let record = BuildRecord::beside(&iso);
    match (iso.exists(), record.exists()) {
        (true, _) => Ok(iso),
        (false, true) => Ok(record),
        (false, false) => Err(Trouble::Told(format!(
            "{} has not been built yet: `cartridge build {}` builds it",
            root.display(),
            root.display()
        ))),
    }
}

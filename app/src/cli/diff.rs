//! `cartridge diff A B`: in what two images differ.

use std::io::IsTerminal as _;
use std::path::Path;

use isoprep::Cancel;
use isoprep::contents::{Change, RecordError, Side, Watch, show};

use super::args::DiffArgs;
use super::print::out;
use crate::session::event::EVENT_VERSION;
use crate::session::failure::exit_code;

/// How many lines of each list are shown; JSON has more.
const LINES: usize = 200;

/// Compares and returns the exit code. It only reads: a signal may end it at any moment.
pub(super) async fn run(args: DiffArgs) -> u8 {
    match tokio::task::spawn_blocking(move || compare(&args)).await {
        Ok(Ok(())) => exit_code::GOOD,
        Ok(Err(error)) => {
            eprintln!("cartridge: {error}");
            exit_code::INTERNAL
        }
        Err(error) => {
            eprintln!("cartridge: {error}");
            exit_code::INTERNAL
        }
    }
}

fn compare(args: &DiffArgs) -> Result<(), RecordError> {
    let cancel = Cancel::new();
    let watch = Watch { cancel: &cancel, tell: &|_| () };
    let mut from = Side::load(&args.from, &watch)?;
    let mut to = Side::load(&args.to, &watch)?;
    for notice in [&from.notice, &to.notice].into_iter().flatten() {
        eprintln!("{notice}");
    }
    let difference = from.compare(&mut to, &watch)?;
    let shown = |path: &Path| path.display().to_string();
    let (first, second) = (shown(&args.from), shown(&args.to));
    let names = Change { from: first.as_str(), to: second.as_str() };
    if args.json {
        if let Ok(mut value) = show::json(&difference, &names) {
            value["v"] = EVENT_VERSION.into();
            value["event"] = "compared".into();
            out(&value.to_string());
        }
        super::print::finished(exit_code::GOOD);
    } else {
        let style = show::Style { colour: std::io::stdout().is_terminal(), most: LINES };
        out(show::text(&difference, &names, style).trim_end());
    }
    Ok(())
}

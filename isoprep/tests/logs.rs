//! Logs that real tools left, good and bad: each bad one gives the finding that is expected, each good one none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cartridge_supervise::Channel;
use isoprep::mkarchiso::{MkarchisoLog, MkarchisoNews};
use isoprep::pacman_log::PacmanStep::Checking;
use isoprep::pacman_log::{Findings, LogFinding, PacmanLog, PacmanNews, Weight};
use proptest::prelude::*;

/// A line of `logs/expected.tsv`.
#[derive(Debug)]
struct Expected {
    log: String,
    succeeded: bool,
    /// Kind, line and subject; `None` for a good log.
    finding: Option<(String, usize, String)>,
    /// Whether that is only a doubt: written with a tilde.
    doubt: bool,
}

fn logs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/logs")
}

fn expected() -> Vec<Expected> {
    let table = fs::read_to_string(logs().join("expected.tsv")).unwrap();
    let rows = table.lines().skip(1).map(|row| {
        let cells: Vec<&str> = row.split('\t').collect();
        let [log, exit, kind, line, subject] = cells[..] else { panic!("not five columns: {row}") };
        let doubt = kind.starts_with('~');
        let kind = kind.trim_start_matches('~');
        let finding = (kind != "-").then(|| (kind.to_owned(), line.parse().unwrap(), subject.to_owned()));
        Expected { log: log.to_owned(), succeeded: exit == "0", finding, doubt }
    });
    rows.collect()
}

fn kind(finding: &LogFinding) -> String {
    serde_json::to_value(finding.kind).unwrap().as_str().unwrap().to_owned()
}

fn pacman(bytes: &[u8], succeeded: bool, chunk: usize) -> (Findings, Vec<PacmanNews>) {
    let mut log = PacmanLog::new();
    let mut news: Vec<PacmanNews> = Vec::new();
    for chunk in bytes.chunks(chunk) {
        news.extend(log.feed(Channel::Stdout, chunk));
    }
    news.extend(log.finish(succeeded));
    (log.findings().clone(), news)
}

fn compare(wanted: &Expected, findings: &Findings, text: &str) {
    let error = findings.first_error(wanted.succeeded);
    let doubt = findings.iter().find(|it| it.weight == Weight::Doubt);
    if wanted.doubt || wanted.succeeded && wanted.finding.is_none() {
        assert_eq!(error, None, "{}", wanted.log);
    }
    let found = if wanted.doubt { doubt } else { error.or(doubt.filter(|_| wanted.succeeded)) };
    let found = found.map(|it| (kind(it), it.line, it.subject.clone().unwrap_or_default()));
    assert_eq!(found, wanted.finding, "{}", wanted.log);
    if let Some((_, line, _)) = &found {
        assert!(text.lines().nth(line - 1).is_some_and(|it| !it.trim().is_empty()), "{}: line {line}", wanted.log);
    }
}

#[test]
fn every_log_of_pacman_s_gives_what_is_expected() {
    for wanted in expected().iter().filter(|it| it.log.starts_with("pacman/")) {
        let bytes = fs::read(logs().join(format!("{}.log", wanted.log))).unwrap();
        for chunk in [1, 7, usize::MAX] {
            let (found, _) = pacman(&bytes, wanted.succeeded, chunk);
            compare(wanted, &found, &String::from_utf8_lossy(&bytes));
        }
    }
}

#[test]
fn every_log_of_mkarchiso_s_gives_what_is_expected() {
    for wanted in expected().iter().filter(|it| it.log.starts_with("mkarchiso/")) {
        let bytes = fs::read(logs().join(format!("{}.log", wanted.log))).unwrap();
        for chunk in [1, 7, usize::MAX] {
            let mut log = MkarchisoLog::new();
            let mut news = Vec::new();
            for chunk in bytes.chunks(chunk) {
                news.extend(log.feed(Channel::Stdout, chunk));
            }
            news.extend(log.finish(wanted.succeeded));
            compare(wanted, log.findings(), &String::from_utf8_lossy(&bytes));
            let told = news.iter().filter(|it| matches!(it, MkarchisoNews::Found { .. })).count();
            assert_eq!(told, log.findings().iter().count(), "{}", wanted.log);
        }
    }
}

#[test]
fn every_log_is_expected() {
    let named: BTreeSet<String> = expected().into_iter().map(|it| it.log).collect();
    let mut there = BTreeSet::new();
    for dir in fs::read_dir(logs()).unwrap().flatten().filter(|it| it.path().is_dir()) {
        for log in fs::read_dir(dir.path()).unwrap().flatten() {
            let path = log.path().with_extension("");
            there.insert(path.strip_prefix(logs()).unwrap().to_str().unwrap().to_owned());
        }
    }
    assert_eq!(named, there);
}

#[test]
fn progress_in_a_pipe_counts_to_the_end() {
    let bytes = fs::read(logs().join("pacman/good.log")).unwrap();
    let (_, news) = pacman(&bytes, true, 16);
    let shown: Vec<String> = news.iter().filter(|it| !matches!(it, PacmanNews::Line { .. })).map(brief).collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn progress_on_a_terminal_has_percentages_and_bytes() {
    let bytes = fs::read(logs().join("pacman/terminal-preset-missing.log")).unwrap();
    let (_, news) = pacman(&bytes, true, 16);
    let fetched: Vec<u8> = news
        .iter()
        .filter_map(|it| match it {
            PacmanNews::Fetched { percent, .. } => Some(*percent),
            _ => None,
        })
        .collect();
    assert!(fetched.is_sorted() && fetched.last() == Some(&100), "{fetched:?}");
    let part =
        |it: &PacmanNews| matches!(it, PacmanNews::Item { step, percent: Some(1..100), .. } if *step == Checking);
    assert!(news.iter().any(part), "no percentage of a check");
    let lines = news.iter().filter(|it| matches!(it, PacmanNews::Line { .. })).count();
    assert!(lines < 60, "redrawn bars are no lines: {lines}");
}

fn brief(news: &PacmanNews) -> String {
    serde_json::to_string(news).unwrap()
}

/// Words that the reader looks for, to be thrown together.
const WORDS: [&str; 24] = [
    "error: ",
    "==> ERROR: ",
    "[mkarchiso] ERROR: ",
    "[mkarchiso] INFO: Creating ISO image",
    "\r",
    "\n",
    "\x1b[1F",
    "\x1b",
    ": File ",
    "'",
    "\"",
    " is corrupted (",
    " exists in filesystem",
    "(1/2) ",
    "]",
    "100%",
    "[Y/n] ",
    "xorriso : UPDATE :",
    " downloading...",
    "Packages (",
    "Total Download Size: 1e400 TiB",
    ": line 9: ",
    "env: ‘",
    "failed retrieving file ",
];

proptest! {
    #[test]
    fn whatever_is_printed_is_read_without_a_panic(
        parts in prop::collection::vec(prop_oneof![
            prop::sample::select(WORDS.to_vec()).prop_map(|it| it.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 0..12),
        ], 0..60),
        succeeded in any::<bool>(),
    ) {
        let bytes = parts.concat();
        let mut mkarchiso = MkarchisoLog::new();
        let mut told = mkarchiso.feed(Channel::Stdout, &bytes);
        told.extend(mkarchiso.feed(Channel::Stderr, &bytes));
        told.extend(mkarchiso.finish(succeeded));
        let lines = told.iter().filter(|it| matches!(it, MkarchisoNews::Line { .. })).count();
        for finding in mkarchiso.findings().iter() {
            prop_assert!(finding.line >= 1 && finding.line <= lines, "{finding}");
        }
        let (findings, _) = pacman(&bytes, succeeded, 5);
        prop_assert!(succeeded || findings.iter().count() == 0 || findings.first_error(false).is_some()
            || findings.iter().all(|it| it.weight == Weight::Doubt));
    }
}

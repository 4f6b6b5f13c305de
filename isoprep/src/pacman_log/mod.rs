//! What pacman prints, read while it runs: how far it is, and what went wrong.
//!
//! Pure: bytes in, news out. It reads the output of pacman 6 and 7, of pacstrap, and of what they run (mkinitcpio and
//! other hooks), in a pipe or on a terminal, in English (`LC_ALL=C.UTF-8`). [`PacmanLog`] is for a pacman that runs
//! alone; [`PacmanReader`] reads lines for those who number them themselves.

mod explain;
mod finding;
mod lines;
mod nearest;
mod patterns;
mod progress;

use cartridge_supervise::Channel;
use serde::Serialize;

pub use finding::{FaultKind, Findings, LogFinding, Weight};
pub use lines::{LINE_LIMIT, LineCutter, Piece};
pub use nearest::nearest_names;
pub(crate) use patterns::{Recognised, quoted};
pub use progress::PacmanStep;
use progress::Told;

/// How many failed downloads wait for the word whether another server had the file.
const PENDING: usize = 50;

/// One thing that pacman told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PacmanNews {
    /// A line for the log. Written in this order, `number` is its line there.
    Line {
        /// From 1.
        number: usize,
        /// Without its end, colours and control characters.
        text: String,
    },
    /// Another step begins.
    Step {
        /// Which.
        step: PacmanStep,
    },
    /// How much there is to do. Told as pacman learns it: what is not known yet is `None`.
    Planned {
        /// Packages to install.
        packages: u64,
        /// Bytes to fetch; none of what is in the cache.
        download_bytes: Option<u64>,
        /// Bytes that the packages take when installed.
        installed_bytes: Option<u64>,
    },
    /// A package, or a hook, is worked on. In a pipe it is told when it begins.
    Item {
        /// In which step.
        step: PacmanStep,
        /// The package or hook, as pacman calls it.
        name: String,
        /// Which one it is, from 1.
        number: u64,
        /// Out of how many; 0 while that is not known.
        total: u64,
        /// How far it is itself, 0 to 100; on a terminal only.
        percent: Option<u8>,
    },
    /// Bytes that were fetched of all; on a terminal only.
    Fetched {
        /// So far.
        bytes: u64,
        /// 0 to 100.
        percent: u8,
    },
    /// Something went wrong; [`Findings::first_error`] says which of these to show.
    Found {
        /// What.
        finding: LogFinding,
    },
}

/// Reads the output of one pacman.
#[derive(Debug, Default)]
pub struct PacmanLog {
    cutters: [LineCutter; 2],
    reader: PacmanReader,
    lines: usize,
}

impl PacmanLog {
    /// A reader at the beginning.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what came out of one of the pipes, in chunks that may end anywhere.
    pub fn feed(&mut self, channel: Channel, bytes: &[u8]) -> Vec<PacmanNews> {
        let Self { cutters, reader, lines } = self;
        let [out, err] = cutters;
        let cutter = if channel == Channel::Stdout { out } else { err };
        let mut news = Vec::new();
        cutter.feed(bytes, |piece| read(piece, reader, lines, &mut news));
        news
    }

    /// Takes the end of both pipes: what waits is told. `succeeded` is what pacman's exit code says.
    pub fn finish(&mut self, succeeded: bool) -> Vec<PacmanNews> {
        let Self { cutters, reader, lines } = self;
        let mut news = Vec::new();
        for cutter in cutters {
            cutter.finish(|piece| read(piece, reader, lines, &mut news));
        }
        reader.finish(succeeded, &mut news);
        news
    }

    /// What was found so far.
    #[must_use]
    pub fn findings(&self) -> &Findings {
        &self.reader.findings
    }
}

fn read(piece: Piece, reader: &mut PacmanReader, lines: &mut usize, news: &mut Vec<PacmanNews>) {
    match piece {
        Piece::Line(text) => {
            *lines += 1;
            news.push(PacmanNews::Line { number: *lines, text: text.clone() });
            reader.line(*lines, &text, news);
        }
        Piece::Redrawn(text) => reader.redrawn(&text, news),
    }
}

/// Reads lines of pacman's that somebody else cut and numbered.
#[derive(Debug, Default)]
pub struct PacmanReader {
    step: Option<PacmanStep>,
    packages: u64,
    download_bytes: Option<u64>,
    installed_bytes: Option<u64>,
    fetching: u64,
    installing: u64,
    /// The hook, or the package, whose own output comes now, and the line where it began.
    running: Option<(String, usize)>,
    /// Failed downloads: harmless if the next server has the file.
    pending: Vec<LogFinding>,
    /// The last finding, while lines of detail may follow it.
    open: Option<LogFinding>,
    findings: Findings,
}

impl PacmanReader {
    /// What was found so far.
    #[must_use]
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    pub(crate) fn findings_mut(&mut self) -> &mut Findings {
        &mut self.findings
    }

    /// Takes the line `number`; says whether it was pacman's or its hooks' own words for progress or a failure.
    pub fn line(&mut self, number: usize, text: &str, news: &mut Vec<PacmanNews>) -> bool {
        if let Some(open) = &mut self.open {
            // Empty lines stand between a failure and its details.
            if text.trim().is_empty() {
                return true;
            }
            if let Some(detail) = patterns::recognise(text).filter(|it| it.kind == open.kind) {
                open.detail(text, detail.subject);
                return true;
            }
        }
        self.close(news);
        if let Some(found) = patterns::recognise(text) {
            self.found(number, text, found, news);
            return true;
        }
        if text == "warning: failed to retrieve some files" {
            self.promote(news);
            return true;
        }
        progress::told(text).map(|told| self.told(number, told, news)).is_some()
    }

    /// Takes something that was drawn and is drawn over.
    pub fn redrawn(&mut self, text: &str, news: &mut Vec<PacmanNews>) {
        if let Some(told) = progress::told(text) {
            self.told(0, told, news);
        }
    }

    /// Takes the end: what waits is told.
    pub fn finish(&mut self, succeeded: bool, news: &mut Vec<PacmanNews>) {
        self.close(news);
        if !succeeded {
            self.promote(news);
        }
    }

    fn told(&mut self, line: usize, told: Told<'_>, news: &mut Vec<PacmanNews>) {
        match told {
            Told::Step(step) => self.enter(step, news),
            Told::Packages(packages) => {
                self.packages = packages;
                self.planned(news);
            }
            Told::DownloadSize(bytes) => {
                self.download_bytes = Some(bytes);
                self.planned(news);
            }
            Told::InstalledSize(bytes) => {
                self.installed_bytes = Some(bytes);
                self.planned(news);
            }
            Told::Downloading(name) => {
                self.fetching += 1;
                let total = if self.step == Some(PacmanStep::Downloading) { self.packages } else { 0 };
                let step = self.step.unwrap_or(PacmanStep::Downloading);
                news.push(PacmanNews::Item { step, name: name.into(), number: self.fetching, total, percent: None });
            }
            Told::Installing(name) => {
                self.installing += 1;
                self.running = Some((name.to_owned(), line));
                let (step, number) = (PacmanStep::Installing, self.installing);
                news.push(PacmanNews::Item { step, name: name.into(), number, total: self.packages, percent: None });
            }
            Told::Counted { done, total, what, percent } => {
                // On a terminal the checks have bars, and no line of their own before.
                if what.starts_with("checking ") || what == "loading package files" {
                    self.enter(PacmanStep::Checking, news);
                }
                let step = self.step.unwrap_or(PacmanStep::Installing);
                // "installing linux" → "linux"; a check or a hook keeps its words.
                let name = match what.split_once(' ') {
                    Some((_, name)) if step == PacmanStep::Installing && !name.contains(' ') => name,
                    _ => what,
                };
                if self.running.as_ref().is_none_or(|(running, _)| running != name) {
                    self.running = Some((name.to_owned(), line));
                }
                news.push(PacmanNews::Item { step, name: name.to_owned(), number: done, total, percent });
            }
            Told::Fetched { name, bytes, percent } if name.starts_with("Total (") => {
                news.push(PacmanNews::Fetched { bytes, percent });
            }
            Told::Fetched { .. } => {}
        }
    }

    fn planned(&self, news: &mut Vec<PacmanNews>) {
        let Self { packages, download_bytes, installed_bytes, .. } = *self;
        news.push(PacmanNews::Planned { packages, download_bytes, installed_bytes });
    }

    fn enter(&mut self, step: PacmanStep, news: &mut Vec<PacmanNews>) {
        if self.step == Some(step) && step != PacmanStep::Hooks {
            return;
        }
        self.step = Some(step);
        (self.fetching, self.installing) = (0, 0);
        self.running = None;
        // It went on: what one server did not have, another had.
        self.pending.clear();
        self.findings.next_step();
        news.push(PacmanNews::Step { step });
    }

    fn found(&mut self, number: usize, text: &str, mut found: Recognised, news: &mut Vec<PacmanNews>) {
        let text = patterns::after_prompt(text);
        if found.kind == FaultKind::Other && text.trim().starts_with("error: command ") {
            found = self.command_failed(found);
        }
        if found.kind == FaultKind::Transaction {
            self.promote(news);
        }
        let finding = LogFinding::new(found.kind, found.weight, (number, text), found.subject);
        match found.kind {
            _ if text.trim().starts_with("error: failed retrieving file ") => {
                if self.pending.len() < PENDING {
                    self.pending.push(finding);
                }
            }
            FaultKind::FileConflict | FaultKind::PackageConflict | FaultKind::Dependency | FaultKind::Owners => {
                self.open = Some(finding);
            }
            _ => self.add(finding, news),
        }
    }

    /// Whose command failed: a hook's or a package's script's. If the command itself said why, this says no more.
    fn command_failed(&self, found: Recognised) -> Recognised {
        let Some((name, since)) = &self.running else { return found };
        let kind = match self.step {
            Some(PacmanStep::Hooks) => FaultKind::PacmanHook,
            Some(PacmanStep::Installing) => FaultKind::Scriptlet,
            _ => return found,
        };
        let told = self.findings.any_since(*since, |finding| finding.weight == Weight::Cause);
        let weight = if told { Weight::Summary } else { Weight::Doubt };
        Recognised { kind, weight, subject: Some(name.clone()) }
    }

    fn promote(&mut self, news: &mut Vec<PacmanNews>) {
        for mut finding in std::mem::take(&mut self.pending) {
            finding.weight = Weight::Cause;
            self.add(finding, news);
        }
    }

    fn close(&mut self, news: &mut Vec<PacmanNews>) {
        if let Some(finding) = self.open.take() {
            self.add(finding, news);
        }
    }

    pub(crate) fn add(&mut self, finding: LogFinding, news: &mut Vec<PacmanNews>) {
        self.findings.add(finding.clone());
        news.push(PacmanNews::Found { finding });
    }
}

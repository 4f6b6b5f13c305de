//! What a log gives away about a failure: the line that matters, what it most likely means, and what to do. Tools print
//! many lines that begin with "error"; each has a [`Weight`], and [`Findings::first_error`] picks the one to show.

use std::fmt;

use serde::Serialize;

use super::explain::explain;

/// How many findings are kept: the first ones, which are the ones that matter.
const KEPT: usize = 200;
/// How many lines of detail a finding keeps.
const DETAILS: usize = 20;

/// What kind of failure a line tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// No repository has a package of that name.
    PackageNotFound,
    /// A package needs another that no repository has.
    Dependency,
    /// Two packages exclude one another.
    PackageConflict,
    /// A package's file is there already.
    FileConflict,
    /// A file could not be fetched from any server.
    Download,
    /// A signature is missing, bad, or by a key that is not trusted.
    Signature,
    /// A package's file is not what the repository says it is.
    CorruptPackage,
    /// A repository's database cannot be read.
    BadDatabase,
    /// A file system is full.
    DiskFull,
    /// A package's file could not be written.
    Extract,
    /// Another pacman holds the database, or a dead one left its lock.
    Locked,
    /// `pacman.conf` cannot be used.
    PacmanConfig,
    /// A pacman hook failed.
    PacmanHook,
    /// A package's install script failed.
    Scriptlet,
    /// pacman could not shut its downloader in.
    Sandbox,
    /// Something needs root.
    Privilege,
    /// Files could not be given to their owners.
    Owners,
    /// A mkinitcpio hook is named whose package is not installed.
    InitcpioHook,
    /// A mkinitcpio preset or configuration is not there.
    InitcpioPreset,
    /// A kernel module, program or file that an initramfs wants is not there.
    InitcpioPart,
    /// mkinitcpio failed in another way.
    Initcpio,
    /// A file that a tool wanted is not there.
    MissingFile,
    /// A tool is not installed.
    MissingTool,
    /// Something could not be mounted.
    Mount,
    /// `profiledef.sh` or another script has a mistake.
    Script,
    /// mkarchiso itself refused or gave up.
    Mkarchiso,
    /// The helper that polkit guards refused or failed.
    Helper,
    /// The root image could not be packed.
    RootImage,
    /// The ISO could not be written.
    IsoImage,
    /// The EFI partition's image could not be made.
    EfiImage,
    /// A boot loader could not be made.
    BootLoader,
    /// Somebody interrupted a tool, or the kernel killed it.
    Interrupted,
    /// pacman gave up a transaction.
    Transaction,
    /// Any other line that a tool calls an error.
    Other,
}

impl FaultKind {
    /// Whether a full disk may show itself as this.
    fn is_of_writing(self) -> bool {
        use FaultKind::{EfiImage, Extract, IsoImage, MissingFile, Other, RootImage};
        matches!(self, Extract | RootImage | IsoImage | EfiImage | MissingFile | Other)
    }
}

/// How much a line says about the end of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// What was made cannot be trusted after this, whatever the exit code says.
    Cause,
    /// May be harmless: many tools go on after it.
    Doubt,
    /// Tells that something earlier failed, but not what.
    Summary,
}

/// One failure that a log tells of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogFinding {
    /// What kind it is.
    pub kind: FaultKind,
    /// How much it says.
    pub weight: Weight,
    /// The line of the log, from 1.
    pub line: usize,
    /// That line.
    pub text: String,
    /// Lines after it that belong to it, at most 20.
    pub details: Vec<String>,
    /// What it is about: a package, a hook, a file.
    pub subject: Option<String>,
    /// In a few words.
    pub title: String,
    /// What most likely made it happen.
    pub cause: String,
    /// What to do.
    pub advice: String,
}

impl LogFinding {
    /// A finding with the words for its kind.
    #[must_use]
    pub fn new(kind: FaultKind, weight: Weight, (line, text): (usize, &str), subject: Option<String>) -> Self {
        let mut finding = Self {
            kind,
            weight,
            line,
            text: text.trim().to_owned(),
            details: Vec::new(),
            subject,
            title: String::new(),
            cause: String::new(),
            advice: String::new(),
        };
        finding.explain();
        finding
    }

    /// Adds a line of detail, and what it is about where that was not known.
    pub(crate) fn detail(&mut self, text: &str, subject: Option<String>) {
        if self.details.len() < DETAILS {
            self.details.push(text.trim().to_owned());
        }
        if self.subject.is_none() && subject.is_some() {
            self.subject = subject;
            self.explain();
        }
    }

    /// Adds the nearest names that exist to the advice of a package that was not found.
    pub fn suggest(&mut self, names: &[String]) {
        if let [first, rest @ ..] = names {
            let others: String = rest.iter().map(|name| format!(", \"{name}\"")).collect();
            self.advice = format!("Did you mean \"{first}\"{others}? {}", self.advice);
        }
    }

    fn explain(&mut self) {
        let (title, cause, advice) = explain(self.kind, self.subject.as_deref());
        (self.title, self.cause, self.advice) = (title, cause, advice);
    }
}

impl fmt::Display for LogFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  line {}: {}", self.title, self.line, self.text)?;
        for detail in &self.details {
            write!(f, "\n    {detail}")?;
        }
        write!(f, "\n  {}\n  {}", self.cause, self.advice)
    }
}

/// All findings of a log, in the order of its lines.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    list: Vec<(u32, LogFinding)>,
    step: u32,
}

impl Findings {
    /// Says that the tool went on to another step.
    pub(crate) fn next_step(&mut self) {
        self.step = self.step.saturating_add(1);
    }

    pub(crate) fn add(&mut self, finding: LogFinding) {
        if self.list.len() < KEPT {
            self.list.push((self.step, finding));
        }
    }

    /// Changes the weight of those findings that `wanted` picks.
    pub(crate) fn weigh(&mut self, weight: Weight, wanted: impl Fn(&LogFinding) -> bool) {
        self.list.iter_mut().filter(|(_, it)| wanted(it)).for_each(|(_, it)| it.weight = weight);
    }

    /// Whether a finding after line `line` satisfies `wanted`.
    pub(crate) fn any_since(&self, line: usize, wanted: impl Fn(&LogFinding) -> bool) -> bool {
        self.list.iter().any(|(_, finding)| finding.line >= line && wanted(finding))
    }

    /// Every finding, in the order they were made.
    pub fn iter(&self) -> impl Iterator<Item = &LogFinding> {
        self.list.iter().map(|(_, finding)| finding)
    }

    /// The failure to show.
    ///
    /// That is the first [`Weight::Cause`], whether or not the tool says that it succeeded. If it does not and there is
    /// none: the first doubt of the step that the first summary was in, else that summary, else the first doubt of the
    /// step that was the last. A doubt of an earlier step is not blamed: the tool went on after it.
    #[must_use]
    pub fn first_error(&self, succeeded: bool) -> Option<&LogFinding> {
        let first = |wanted: &dyn Fn(u32, &LogFinding) -> bool| {
            let found = self.list.iter().filter(|(step, finding)| wanted(*step, finding));
            found.min_by_key(|(_, finding)| finding.line)
        };
        if let Some((at, cause)) = first(&|_, finding| finding.weight == Weight::Cause) {
            // What a tool could not write it complains about in words of its own before the system's are told.
            let full = first(&|step, it| {
                step == *at
                    && it.weight == Weight::Cause
                    && it.kind == FaultKind::DiskFull
                    && cause.kind.is_of_writing()
            });
            return Some(full.map_or(cause, |(_, full)| full));
        }
        if succeeded {
            return None;
        }
        let summary = first(&|_, finding| finding.weight == Weight::Summary);
        let near = summary.and_then(|(at, _)| first(&|step, it| it.weight == Weight::Doubt && step == *at));
        near.or(summary).or_else(|| first(&|step, _| step == self.step)).map(|(_, finding)| finding)
    }
}

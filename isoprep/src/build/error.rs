//! Everything that can go wrong in a build, in words that say what to do next.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use cartridge_supervise::RunError;

use crate::assembly::AssemblyError;
use crate::cache::atomic;
use crate::lint::{self, LintFinding, Severity};
use crate::mkarchiso::MkarchisoError;
use crate::pacman_log::LogFinding;
use crate::profile::ProfileError;
use crate::progress::StageName;

/// How many paths an error names before it only counts.
pub(crate) const NAMED: usize = 20;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Somebody asked to stop; nothing is left running and the previous image is as it was.
    #[error("the build was cancelled during {stage}")]
    Cancelled {
        /// The stage that was cut short.
        stage: StageName,
    },
    /// Entries of the repository cannot be read.
    #[error("{stage}: {} cannot be read:{}\n  Change their permissions, or name them under source.exclude.", counted(*total), listed(entries, *total))]
    Unreadable {
        /// Always `assemble`.
        stage: StageName,
        /// The first 20, with what the system said.
        entries: Vec<(PathBuf, String)>,
        /// How many there are.
        total: usize,
    },
    /// The repository does not fit.
    #[error("{stage}: the repository is too big: {why}\n  {advice}")]
    TooBig {
        /// Always `assemble`.
        stage: StageName,
        /// The numbers.
        why: String,
        /// What to change.
        advice: String,
    },
    /// A setting of the recipe cannot be obeyed.
    #[error("{stage}: {what}\n  {advice}")]
    Refused {
        /// The stage that would need it.
        stage: StageName,
        /// What is wrong.
        what: String,
        /// What to change.
        advice: String,
    },
    /// A file of the repository or of the host changed between being hashed and being packed.
    #[error("{stage}: {} changed while the image was being built\n  Build again once it is at rest.", path.display())]
    Changed {
        /// The stage that read it.
        stage: StageName,
        /// Which file.
        path: PathBuf,
    },
    /// A file system is full. The previous image and the cache are as they were.
    #[error("{stage}: no room in {}: {} needed, {} free\n  Free some space there, or choose another folder.", path.display(), mebibytes(*needed), mebibytes(*free))]
    DiskFull {
        /// The stage that was writing.
        stage: StageName,
        /// Where.
        path: PathBuf,
        /// Bytes that the stage needs there.
        needed: u64,
        /// Bytes that were free there.
        free: u64,
    },
    /// A file operation failed.
    #[error("{stage}: could not {doing} {}: {source}", path.display())]
    Io {
        /// The stage.
        stage: StageName,
        /// A verb: "read", "write".
        doing: &'static str,
        /// What it was about.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The build would fail late or silently: said before it begins.
    #[error(
        "{stage}: {} would make this build fail; correct it, or build anyway\n{}",
        errors(findings),
        lint::render_text(findings, false)
    )]
    Lint {
        /// Always `lint`.
        stage: StageName,
        /// Everything that was found, the worst first.
        findings: Vec<LintFinding>,
    },
    /// Packages could not be fetched or installed.
    #[error("{stage}: {finding}\n  command: {command}")]
    Packages {
        /// Always `packages`.
        stage: StageName,
        /// The first thing that went wrong, in pacman's own words, and what to do.
        finding: Box<LogFinding>,
        /// The command, to be copied.
        command: String,
    },
    /// mkarchiso made no image.
    #[error("{stage}: {source}")]
    Mkarchiso {
        /// The stage that ran it.
        stage: StageName,
        /// Why.
        source: Box<MkarchisoError>,
    },
    /// The archiso profile cannot be read.
    #[error("{stage}: {source}")]
    Profile {
        /// The stage that reads it.
        stage: StageName,
        /// What is wrong with it, with file and line.
        source: Box<ProfileError>,
    },
    /// A program that this image needs is not on this host.
    #[error("{stage}: {what}")]
    Missing {
        /// The stage that needs it.
        stage: StageName,
        /// Which, and what brings it.
        what: String,
    },
    /// An archiso profile cannot be assembled.
    #[error("{stage}: {source}")]
    Assembly {
        /// Always `assemble`.
        stage: StageName,
        /// Why, and what to change.
        source: AssemblyError,
    },
    /// A tool failed.
    #[error("{stage}: {source}")]
    Tool {
        /// The stage that ran it.
        stage: StageName,
        /// What it said, with the command to run again.
        source: RunError,
    },
}

impl BuildError {
    /// The stage that it happened in.
    #[must_use]
    pub fn stage(&self) -> Option<StageName> {
        match self {
            Self::Cancelled { stage }
            | Self::Unreadable { stage, .. }
            | Self::TooBig { stage, .. }
            | Self::Refused { stage, .. }
            | Self::Changed { stage, .. }
            | Self::DiskFull { stage, .. }
            | Self::Io { stage, .. }
            | Self::Lint { stage, .. }
            | Self::Packages { stage, .. }
            | Self::Mkarchiso { stage, .. }
            | Self::Profile { stage, .. }
            | Self::Missing { stage, .. }
            | Self::Assembly { stage, .. }
            | Self::Tool { stage, .. } => Some(*stage),
        }
    }

    /// Whether it was asked for rather than suffered.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled { .. })
    }

    pub(crate) fn io(stage: StageName, doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { stage, doing, path: path.to_path_buf(), source }
    }

    /// For writing `needed` bytes to `path`: tells a full disk from other failures.
    pub(crate) fn write(stage: StageName, path: &Path, needed: u64) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                let place = path.parent().unwrap_or(path).to_path_buf();
                let free = atomic::free(&place).unwrap_or(0);
                return Self::DiskFull { stage, path: place, needed, free };
            }
            Self::Io { stage, doing: "write", path: path.to_path_buf(), source }
        }
    }

    pub(crate) fn profile(stage: StageName, source: ProfileError) -> Self {
        match source {
            ProfileError::Cancelled { .. } => Self::Cancelled { stage },
            source => Self::Profile { stage, source: Box::new(source) },
        }
    }

    pub(crate) fn missing(stage: StageName, what: String) -> Self {
        Self::Missing { stage, what }
    }

    pub(crate) fn assembly(stage: StageName) -> impl FnOnce(AssemblyError) -> Self {
        move |source| Self::Assembly { stage, source }
    }

    pub(crate) fn tool(stage: StageName) -> impl FnOnce(RunError) -> Self {
        move |source| match source {
            RunError::Cancelled { .. } => Self::Cancelled { stage },
            source => Self::Tool { stage, source },
        }
    }
}

/// Fails before anything is written if `dir` has not `needed` bytes free.
pub(crate) fn room_for(stage: StageName, dir: &Path, needed: u64) -> Result<(), BuildError> {
    let free = atomic::free(dir).map_err(BuildError::io(stage, "look at", dir))?;
    if free < needed {
        return Err(BuildError::DiskFull { stage, path: dir.to_path_buf(), needed, free });
    }
    Ok(())
}

/// A size for people.
pub(crate) fn mebibytes(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    if bytes >= 10 * MIB { format!("{} MiB", bytes.div_ceil(MIB)) } else { format!("{} KiB", bytes.div_ceil(1 << 10)) }
}

fn counted(total: usize) -> String {
    if total == 1 { "an entry of the repository".to_owned() } else { format!("{total} entries of the repository") }
}

fn listed(entries: &[(PathBuf, String)], total: usize) -> String {
    let mut text = String::new();
    for (path, why) in entries {
        let _ = write!(text, "\n  {}: {why}", path.display());
    }
    if total > entries.len() {
        let _ = write!(text, "\n  … and {} more", total - entries.len());
    }
    text
}

fn errors(findings: &[LintFinding]) -> String {
    match findings.iter().filter(|finding| finding.severity == Severity::Error).count() {
        1 => "one finding".to_owned(),
        many => format!("{many} findings"),
    }
}

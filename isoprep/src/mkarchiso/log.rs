//! What mkarchiso prints, read while it runs: stage, packages, percentages, and the first real error, whatever the exit
//! code says. Pure: bytes in, news out. pacman's part is read by [`PacmanReader`].

use cartridge_supervise::Channel;
use serde::Serialize;

use super::log_patterns::{message, percent, recognise, stage};
use crate::pacman_log::{FaultKind, Findings, LineCutter, LogFinding, PacmanNews, PacmanReader, Piece, Weight};

/// What mkarchiso is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MkarchisoStage {
    /// Reads and checks the profile.
    Checking,
    /// Copies the profile's own files.
    Files,
    /// pacstrap installs packages, hooks run.
    Packages,
    /// Writes version files, runs the profile's script.
    Customizing,
    /// Places kernel, initramfs and boot loaders.
    BootLoaders,
    /// Packs the root file system.
    RootImage,
    /// Writes the ISO.
    Iso,
}

impl std::fmt::Display for MkarchisoStage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Checking => "checking",
            Self::Files => "files",
            Self::Packages => "installing packages",
            Self::Customizing => "customizing",
            Self::BootLoaders => "setting up boot loaders",
            Self::RootImage => "packing the root",
            Self::Iso => "writing the image",
        })
    }
}

/// One thing that mkarchiso told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MkarchisoNews {
    /// A line for the log. Written in this order, `number` is its line there.
    Line {
        /// From 1.
        number: usize,
        /// Without its end, colours and control characters.
        text: String,
    },
    /// Another build fetches packages into the same cache; this one begins after it.
    Waiting,
    /// Another stage begins.
    Stage {
        /// Which.
        stage: MkarchisoStage,
    },
    /// How far a stage is, where its tool says so.
    Percent {
        /// Which stage.
        stage: MkarchisoStage,
        /// 0 to 100.
        percent: u8,
    },
    /// What pacman told; never a line or a finding.
    Pacman {
        /// What.
        news: PacmanNews,
    },
    /// Something went wrong; [`Findings::first_error`] says which of these to show.
    Found {
        /// What.
        finding: LogFinding,
    },
}

/// Reads the output of one run of mkarchiso.
#[derive(Debug, Default)]
pub struct MkarchisoLog {
    cutters: [LineCutter; 2],
    reader: Reader,
}

#[derive(Debug, Default)]
struct Reader {
    pacman: PacmanReader,
    stage: Option<MkarchisoStage>,
    lines: usize,
    /// The end of the log, for a failure that nothing explains.
    tail: Vec<String>,
}

/// How many lines of the end are kept.
const TAIL: usize = 12;

impl MkarchisoLog {
    /// A reader at the beginning.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what came out of one of the pipes, in chunks that may end anywhere.
    pub fn feed(&mut self, channel: Channel, bytes: &[u8]) -> Vec<MkarchisoNews> {
        let Self { cutters: [out, err], reader } = self;
        let cutter = if channel == Channel::Stdout { out } else { err };
        let mut news = Vec::new();
        cutter.feed(bytes, |piece| reader.read(piece, &mut news));
        news
    }

    /// Takes the end of both pipes: what waits is told. `succeeded` is what the exit code says.
    pub fn finish(&mut self, succeeded: bool) -> Vec<MkarchisoNews> {
        let Self { cutters, reader } = self;
        let mut news = Vec::new();
        for cutter in cutters {
            cutter.finish(|piece| reader.read(piece, &mut news));
        }
        reader.pass(&mut news, |pacman, told| pacman.finish(succeeded, told));
        news
    }

    /// What was found so far.
    #[must_use]
    pub fn findings(&self) -> &Findings {
        self.reader.pacman.findings()
    }

    /// The stage that it is in.
    #[must_use]
    pub fn stage(&self) -> Option<MkarchisoStage> {
        self.reader.stage
    }

    /// The last lines, at most twelve.
    #[must_use]
    pub fn tail(&self) -> &[String] {
        &self.reader.tail
    }
}

impl Reader {
    fn read(&mut self, piece: Piece, news: &mut Vec<MkarchisoNews>) {
        match piece {
            Piece::Line(text) => self.line(text, news),
            Piece::Redrawn(text) => match (self.stage, percent(&text)) {
                (Some(stage), Some(percent)) => news.push(MkarchisoNews::Percent { stage, percent }),
                _ => self.pass(news, |pacman, told| pacman.redrawn(&text, told)),
            },
        }
    }

    fn line(&mut self, text: String, news: &mut Vec<MkarchisoNews>) {
        self.lines += 1;
        let number = self.lines;
        news.push(MkarchisoNews::Line { number, text: text.clone() });
        if let Some(stage) = message(&text).filter(|it| it.0 == "INFO").and_then(|it| stage(it.1)) {
            self.enter(stage, news);
        }
        if let (Some(stage), Some(percent)) = (self.stage, percent(&text)) {
            news.push(MkarchisoNews::Percent { stage, percent });
        } else if let Some(found) = recognise(&text, self.stage) {
            let finding = LogFinding::new(found.kind, found.weight, (number, &text), found.subject);
            self.blame(&finding);
            self.pass(news, |pacman, told| pacman.add(finding, told));
        } else {
            self.pass(news, |pacman, told| {
                pacman.line(number, &text, told);
            });
        }
        if !text.trim().is_empty() {
            if self.tail.len() == TAIL {
                self.tail.remove(0);
            }
            self.tail.push(text);
        }
    }

    fn enter(&mut self, stage: MkarchisoStage, news: &mut Vec<MkarchisoNews>) {
        if self.stage != Some(stage) {
            self.stage = Some(stage);
            self.pacman.findings_mut().next_step();
            news.push(MkarchisoNews::Stage { stage });
        }
    }

    /// Without a kernel or an initramfs it was the hook that makes them: then its failure was no trifle.
    fn blame(&mut self, finding: &LogFinding) {
        let boot = |it: &str| it.contains("/boot/initramfs-") || it.contains("/boot/vmlinuz-");
        if finding.kind == FaultKind::MissingFile && finding.subject.as_deref().is_some_and(boot) {
            self.pacman.findings_mut().weigh(Weight::Cause, |it| {
                let says = |word: &str| it.subject.as_deref().is_some_and(|it| it.to_lowercase().contains(word));
                let hook = it.kind == FaultKind::PacmanHook && it.weight == Weight::Doubt;
                hook && (says("initcpio") || says("initramfs") || says("kernel"))
            });
        }
    }

    /// Hands something to pacman's reader and passes on what it tells.
    fn pass(&mut self, news: &mut Vec<MkarchisoNews>, hand: impl FnOnce(&mut PacmanReader, &mut Vec<PacmanNews>)) {
        let mut told = Vec::new();
        hand(&mut self.pacman, &mut told);
        news.extend(told.into_iter().map(|told| match told {
            PacmanNews::Found { finding } => MkarchisoNews::Found { finding },
            news => MkarchisoNews::Pacman { news },
        }));
    }
}

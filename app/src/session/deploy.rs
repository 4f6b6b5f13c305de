//! Writing an image to a USB stick or a card: what front ends ask for, what they are told, and what is decided of that without
//! touching anything.

use std::path::PathBuf;

use isoprep::deploy::{
    Away, DeployStage, DeployStep, Deployed, Disk, DiskImage, Policy, Refusal, Starts, Wanted, label_size, verdict,
};
use serde::Serialize;

use super::event::Failure;
use super::failure::exit_code;
use super::pace::Pace;

/// A request about disks.
#[derive(Clone, Debug)]
pub enum DeployCommand {
    /// Tell which disks there are and which of them an image may be written to, now and whenever that changes, until
    /// [`Unwatch`](Self::Unwatch): [`DeployEvent::DisksSeen`] or [`DeployEvent::DisksUnseen`] follows.
    Watch(DeployImage),
    /// Nobody looks at them any more.
    Unwatch,
    /// Write: [`DeployEvent::DeployEnded`] or [`DeployEvent::DeployFailed`] is the end of it.
    Write(DeployWish),
    /// Stop writing. The disk is not bootable then, and that is told.
    Cancel,
}

/// The image that disks are looked at for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeployImage {
    /// None: the disks alone are wanted.
    None,
    /// The one at this path.
    At(PathBuf),
    /// The one that the last build of the inserted cartridge has left, in whatever session.
    Built,
}

/// What is to be written where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployWish {
    /// The image.
    pub image: PathBuf,
    /// The disk that was chosen, as it was seen.
    pub disk: Wanted,
    /// What the user has typed to confirm it.
    pub typed: String,
    /// Whether it is ejected in the end.
    pub eject: bool,
}

impl DeployWish {
    /// Whether what was typed is the disk's name, or its node.
    #[must_use]
    pub fn confirmed(&self) -> bool {
        let typed = self.typed.trim();
        typed.strip_prefix("/dev/").unwrap_or(typed) == self.disk.name
    }

    /// Why nothing is written if it is not.
    pub(super) fn unconfirmed(&self) -> Failure {
        Failure {
            title: "Nothing was written".into(),
            detail: format!("{:?} was typed, and the disk is called {}", self.typed.trim(), self.disk.name),
            advice: Some(format!("Type {} if that is the disk that you mean", self.disk.name)),
            command: None,
            pane: None,
            exit_code: exit_code::USAGE,
        }
    }
}

/// What is told of disks.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum DeployEvent {
    /// The disks of this host, and the image that is meant for one.
    DisksSeen {
        /// The image, unless none was named.
        image: Option<ImageView>,
        /// The disks: those that can be written to first.
        disks: Vec<DiskView>,
    },
    /// The disks cannot be seen, or the image cannot.
    DisksUnseen {
        /// Why.
        failure: Failure,
    },
    /// An image is being written.
    DeployBegan {
        /// The image.
        image: PathBuf,
        /// The disk's name.
        disk: String,
    },
    /// It goes on; told a few times a second.
    DeployAdvanced {
        /// How far it is.
        step: DeployStep,
        /// How quickly, and how long this stage still takes, where that can be known.
        pace: Option<Pace>,
    },
    /// It is written, and was read back.
    DeployEnded {
        /// The image.
        image: PathBuf,
        /// The disk's name.
        disk: String,
        /// How.
        deployed: Deployed,
    },
    /// It is not.
    DeployFailed {
        /// What and why.
        failure: Failure,
        /// Whether the disk is not what it was: then it is not bootable.
        touched: bool,
        /// It was asked to stop.
        cancelled: bool,
    },
}

/// An image, as far as a disk must be large enough for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageView {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// From what it starts.
    pub starts: Starts,
}

impl ImageView {
    /// Of one that is open.
    #[must_use]
    pub fn of(path: PathBuf, image: &DiskImage) -> Self {
        Self { path, bytes: image.bytes(), starts: image.starts() }
    }

    /// What is strange about it, if anything.
    #[must_use]
    pub fn warning(&self) -> Option<&'static str> {
        match self.starts {
            Starts::Disk => None,
            Starts::DiscOnly => Some(
                "This image has neither a boot sector nor a partition table: computers start it from a disc, not from a stick",
            ),
        }
    }
}

/// A disk, and why it is not written to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiskView {
    /// The disk.
    #[serde(flatten)]
    pub disk: Disk,
    /// Why it is not written to; `None` if it may be.
    pub refusal: Option<Refusal>,
}

impl DiskView {
    /// "SanDisk Ultra, 15.5 GB".
    #[must_use]
    pub fn title(&self) -> String {
        let disk = &self.disk;
        if disk.bytes == 0 { disk.title().to_owned() } else { format!("{}, {}", disk.title(), label_size(disk.bytes)) }
    }

    /// What is on it, or why it is refused, in a line.
    #[must_use]
    pub fn words(&self) -> String {
        match (&self.refusal, self.disk.parts.len()) {
            (Some(refusal), _) => refusal.to_string(),
            (None, 0) => "no partitions".into(),
            (None, 1) => "1 partition, not mounted".into(),
            (None, many) => format!("{many} partitions, none mounted"),
        }
    }
}

/// The disks as they are shown for an image of `needed` bytes: what can be held in a hand or is built in, not what the kernel makes
/// up, and not empty slots of a reader; those that can be written to first.
#[must_use]
pub fn shown(disks: Vec<Disk>, needed: u64) -> Vec<DiskView> {
    let hidden = |it: &Refusal| matches!(it, Refusal::Virtual | Refusal::Optical);
    let mut shown: Vec<DiskView> = disks
        .into_iter()
        .map(|disk| DiskView { refusal: verdict(&disk, needed, Policy::Removable).err(), disk })
        .filter(|it| !it.refusal.as_ref().is_some_and(hidden))
        // Loop devices and the like are in use, too.
        .filter(|it| it.disk.bus != isoprep::deploy::Bus::Virtual)
        .collect();
    let rank = |it: &DiskView| (it.refusal.is_some(), !it.disk.removable);
    shown.sort_by_key(rank);
    shown
}

impl DeployEvent {
    /// In words; `None` for what is better shown as a bar or a list.
    #[must_use]
    pub fn sentence(&self) -> Option<String> {
        Some(match self {
            Self::DisksSeen { .. } | Self::DeployAdvanced { .. } => return None,
            Self::DisksUnseen { failure } => failure.sentence(),
            Self::DeployBegan { image, disk } => format!("Writing {} to /dev/{disk}", image.display()),
            Self::DeployEnded { image, disk, deployed } => format!(
                "Wrote {} ({}) to /dev/{disk} and read it back in {:.1} s. {}",
                image.display(),
                label_size(deployed.bytes),
                deployed.took.as_secs_f64(),
                away_words(&deployed.away)
            ),
            Self::DeployFailed { failure, .. } => failure.sentence(),
        })
    }
}

/// What to do with the disk now.
#[must_use]
pub fn away_words(away: &Away) -> String {
    match away {
        Away::Off => "It is switched off: pull it out".into(),
        Away::Ejected => "It is ejected: pull it out".into(),
        Away::Stays { why: None } => "It stays; eject it before you pull it out".into(),
        Away::Stays { why: Some(why) } => {
            format!("It could not be ejected ({why}): all of it is written, so pull it out once nothing has mounted it")
        }
    }
}

/// What is being done, as one reads it beside a bar.
#[must_use]
pub fn stage_words(stage: DeployStage) -> &'static str {
    match stage {
        DeployStage::Opening => "Opening the disk",
        DeployStage::Writing => "Writing",
        DeployStage::Verifying => "Reading back",
        DeployStage::Ejecting => "Ejecting",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use isoprep::deploy::{Bus, DeviceNumber, Part, Way};

    use super::*;

    fn disk(name: &str, bus: Bus, removable: bool, bytes: u64) -> Disk {
        let number = DeviceNumber { major: 8, minor: 0 };
        let part = Part { name: format!("{name}1"), number };
        Disk {
            name: name.into(),
            number,
            sequence: None,
            bytes,
            block: 512,
            model: String::new(),
            bus,
            removable,
            read_only: false,
            parts: vec![part],
            uses: vec![],
        }
    }

    #[test]
    fn what_can_be_written_to_comes_first_and_what_is_no_hardware_not_at_all() {
        let disks = vec![
            disk("sda", Bus::Other, false, 9000),
            disk("sdb", Bus::Usb, true, 10),
            disk("sdc", Bus::Usb, true, 9000),
            disk("loop0", Bus::Virtual, false, 9000),
            disk("sr0", Bus::Optical, true, 9000),
            disk("sdd", Bus::Usb, true, 0),
        ];
        let rows: Vec<_> =
            shown(disks, 1000).iter().map(|it| format!("{} {}: {}", it.disk.name, it.title(), it.words())).collect();
        let expected = [
            "sdc USB disk, 9.0 kB: 1 partition, not mounted",
            "sdb USB disk, 10 B: it is too small: 10 B where 1.0 kB are needed",
            "sdd USB disk: there is no medium in it",
            "sda disk, 9.0 kB: it is built in",
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn only_the_disk_s_name_confirms() {
        let disk = Wanted::of(&disk("sdb", Bus::Usb, true, 9));
        let wish = |typed: &str| DeployWish { image: "x".into(), disk: disk.clone(), typed: typed.into(), eject: true };
        assert!(["sdb", " sdb\n", "/dev/sdb"].iter().all(|typed| wish(typed).confirmed()));
        assert!(["", "SDB", "sd", "sdb1", "sdc", "y", "/dev/", "dev/sdb"].iter().all(|typed| !wish(typed).confirmed()));
        assert!(wish("y").unconfirmed().detail.contains("\"y\" was typed, and the disk is called sdb"));
    }

    #[test]
    fn the_end_says_what_to_do_with_the_disk() {
        let deployed = Deployed { bytes: 9, way: Way::Udisks, took: Duration::from_millis(2500), away: Away::Off };
        let event = DeployEvent::DeployEnded { image: "/x.iso".into(), disk: "sdb".into(), deployed };
        let said = "Wrote /x.iso (9 B) to /dev/sdb and read it back in 2.5 s. It is switched off: pull it out";
        assert_eq!(event.sentence().as_deref(), Some(said));
        let json = serde_json::to_value(super::super::event::Event::Deploy(event)).unwrap();
        assert_eq!((json["event"].as_str(), json["deployed"]["way"].as_str()), (Some("deploy_ended"), Some("udisks")));
    }
}

//! The block devices of this machine, from `/sys/block`.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::block::{HEAD, Volume, volume};

/// How long a device may take to appear once its driver is loaded, and how often we look.
const PATIENCE: Duration = Duration::from_secs(5);
const BEAT: Duration = Duration::from_millis(20);

/// A disk or a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Disk {
    /// Its name below `/dev`.
    pub(super) name: String,
    /// The serial number; a partition has its disk's.
    pub(super) serial: String,
    pub(super) partition: bool,
    /// Bytes.
    pub(super) size: u64,
    pub(super) volume: Option<Volume>,
}

impl Disk {
    pub(super) fn device(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }

    fn words(&self) -> String {
        let Self { name, serial, size, volume, .. } = self;
        let mut text = format!("/dev/{name}: {} MiB", size >> 20);
        if !serial.is_empty() {
            text.push_str(&format!(", serial {serial}"));
        }
        match volume {
            Some(Volume { kind, label, uuid, .. }) => {
                text.push_str(&format!(", {kind}"));
                for (word, value) in [("label", label), ("UUID", uuid)] {
                    if !value.is_empty() {
                        text.push_str(&format!(", {word} {value}"));
                    }
                }
            }
            None => text.push_str(", no file system that is known here"),
        }
        text
    }
}

/// Waits for the first disk that `wanted` wants. `None`: it did not come.
pub(super) fn wait_for(wanted: impl Fn(&Disk) -> bool) -> Option<Disk> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = all().into_iter().find(&wanted) {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(BEAT);
    }
}

/// Every disk with something in it, each followed by its partitions, in order.
pub(super) fn all() -> Vec<Disk> {
    let mut found = Vec::new();
    for dir in children(Path::new("/sys/block")) {
        let serial = word(&dir.join("serial")).or_else(|| word(&dir.join("device/serial"))).unwrap_or_default();
        let parts = children(&dir).into_iter().filter(|it| it.join("partition").exists());
        for (place, partition) in std::iter::once((dir.clone(), false)).chain(parts.map(|it| (it, true))) {
            let Some(name) = place.file_name().and_then(|name| name.to_str()) else { continue };
            let sectors: u64 = word(&place.join("size")).and_then(|it| it.parse().ok()).unwrap_or(0);
            // Loop devices and drives without a medium.
            if sectors > 0 {
                let volume = look(&Path::new("/dev").join(name));
                let (name, serial) = (name.to_owned(), serial.clone());
                found.push(Disk { name, serial, partition, size: sectors << 9, volume });
            }
        }
    }
    found
}

/// All of them, for people.
pub(super) fn words() -> Vec<String> {
    let all: Vec<String> = all().iter().map(Disk::words).collect();
    if all.is_empty() { vec!["this machine has no disk that the kernel can see".to_owned()] } else { all }
}

/// The file system of a device or a file.
pub(super) fn look(path: &Path) -> Option<Volume> {
    let mut head = Vec::new();
    File::open(path).ok()?.take(HEAD as u64).read_to_end(&mut head).ok()?;
    volume(&head)
}

fn word(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

pub(super) fn children(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir).into_iter().flatten().flatten().map(|it| it.path()).collect();
    paths.sort();
    paths
}

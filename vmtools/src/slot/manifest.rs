//! `slot.json`: what a slot says of itself. Pure. Read tolerantly: what is unknown is passed over, what is missing has a
//! default, and whatever is dangerous to believe (names of files) is checked.

use serde::{Deserialize, Serialize};

use super::inputs::{Mismatch, SlotInputs};
use crate::serial::GuestReport;

/// The manifest's name in a slot.
pub(super) const FILE: &str = "slot.json";
/// The picture's.
pub(super) const PICTURE: &str = "picture.png";
/// That of the memory and the devices, in the form in which QEMU moves guests (`docs/devel/migration.rst`).
pub(super) const MEMORY: &str = "memory";
/// That of the firmware variables.
pub(super) const VARS: &str = "vars.fd";
/// The version of the manifest. A reader that knows an older one cannot use the slot.
pub(super) const VERSION: u32 = 1;
/// The largest manifest that is read, bytes: one of ours has a few KiB.
pub(super) const LIMIT: u64 = 1024 * 1024;

/// What a slot says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this form, 1.
    pub v: u32,
    /// What people call it.
    pub name: String,
    /// When it was saved, seconds since 1970, UTC.
    #[serde(default)]
    pub made: u64,
    /// What it depends on.
    pub inputs: SlotInputs,
    /// The kernel's command line, for a guest that was booted directly.
    #[serde(default)]
    pub cmdline: Option<String>,
    /// Length of the memory file, bytes.
    pub memory_bytes: u64,
    /// Its disks in the machine's order: names of files beside the manifest.
    #[serde(default)]
    pub disks: Vec<String>,
    /// Whether it has firmware variables.
    #[serde(default)]
    pub vars: bool,
    /// Whether there is a picture of the moment.
    #[serde(default)]
    pub picture: bool,
    /// Layers that had been plugged into the guest.
    #[serde(default)]
    pub plugged: Vec<Plugged>,
    /// The last that our program in the guest had said; `None` if the guest had not come so far, or has none.
    #[serde(default)]
    pub report: Option<GuestReport>,
}

impl Manifest {
    /// The hash of the tree that the guest has: of the layer that it reported last, else the image's.
    #[must_use]
    pub fn tree_seen(&self) -> Option<&str> {
        // What is live is not hashed.
        let layered = self.report.as_ref().filter(|_| self.is_layered());
        layered.map(|report| report.tree.as_str()).or(self.inputs.tree.as_deref())
    }

    /// Whether the guest has that tree from a layer that was plugged into it, and not from its image.
    #[must_use]
    pub fn is_layered(&self) -> bool {
        self.report.as_ref().is_some_and(|report| report.generation > 0 && report.live().is_none())
    }

    /// In what the present differs from what the slot has.
    pub(super) fn mismatches(&self, now: &SlotInputs) -> Vec<Mismatch> {
        let seen = self.tree_seen().map(ToOwned::to_owned);
        SlotInputs { tree: seen, ..self.inputs.clone() }.mismatches(now)
    }
}

/// A layer in a port of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plugged {
    /// The port, from 0.
    pub port: u32,
    /// The serial number by which the guest knows it: "cartridge-layer-3". At most 20 bytes (virtio, 5.2.6).
    pub serial: String,
    /// A file: in a slot the name of one beside the manifest, in a running guest its path.
    pub file: std::path::PathBuf,
}

/// A manifest that cannot be used, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ManifestError {
    #[error("its {FILE} cannot be understood ({0})")]
    Broken(String),
    #[error("it was saved by a newer Cartridge (form {0}, this one knows {VERSION})")]
    Newer(u64),
    #[error("its {FILE} names a file that is not its own: {0:?}")]
    Foreign(String),
}

/// Understands a manifest.
pub(super) fn parse(bytes: &[u8]) -> Result<Manifest, ManifestError> {
    #[derive(Deserialize)]
    struct Form {
        v: u64,
    }
    let broken = |e: serde_json::Error| ManifestError::Broken(e.to_string());
    let form: Form = serde_json::from_slice(bytes).map_err(broken)?;
    if form.v > u64::from(VERSION) {
        return Err(ManifestError::Newer(form.v));
    }
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(broken)?;
    let plugged = manifest.plugged.iter().map(|it| it.file.as_os_str().as_encoded_bytes());
    let kept = manifest.inputs.files.iter().filter_map(|it| it.kept.as_deref()).map(str::as_bytes);
    let names = manifest.disks.iter().map(String::as_bytes).chain(plugged).chain(kept);
    match names.into_iter().find(|name| !is_ours(name)) {
        Some(name) => Err(ManifestError::Foreign(String::from_utf8_lossy(name).into_owned())),
        None => Ok(manifest),
    }
}

/// As it is written.
pub(super) fn text(manifest: &Manifest) -> Vec<u8> {
    // A struct of words and numbers always serialises.
    let mut text = serde_json::to_vec_pretty(manifest).unwrap_or_default();
    text.push(b'\n');
    text
}

/// Whether a file of that name in a slot is one that we put there. Nothing else is opened, and nothing else removed.
pub(super) fn is_ours(name: &[u8]) -> bool {
    if [FILE, PICTURE, MEMORY, VARS].iter().any(|known| known.as_bytes() == name) {
        return true;
    }
    let numbered = |start: &str, end: &str| {
        let number = name.strip_prefix(start.as_bytes()).and_then(|rest| rest.strip_suffix(end.as_bytes()));
        number.is_some_and(|it| !it.is_empty() && it.len() <= 3 && it.iter().all(u8::is_ascii_digit))
    };
    numbered("disk", ".qcow2") || numbered("kept", "") || numbered("plugged", ".sfs")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn manifest() -> Manifest {
        Manifest {
            v: VERSION,
            name: "before Submit".into(),
            made: 1_795_000_000,
            inputs: crate::slot::inputs::tests::inputs(),
            cmdline: None,
            memory_bytes: 7,
            disks: vec!["disk0.qcow2".into()],
            vars: true,
            picture: true,
            plugged: vec![Plugged { port: 0, serial: "cartridge-layer-1".into(), file: "plugged0.sfs".into() }],
            report: None,
        }
    }

    #[test]
    fn the_tree_of_the_last_layer_counts_before_that_of_the_image() {
        let report = |generation| -> GuestReport {
            let text = r#"{"name":"a","kernel":"6","firmware":"bios","accelerator":"tcg","files":1,"tree":"layer","path":"/a"}"#;
            GuestReport { generation, ..serde_json::from_str(text).unwrap() }
        };
        let image = SlotInputs { tree: Some("image".into()), ..manifest().inputs };
        let seen = |report| Manifest { inputs: image.clone(), report, ..manifest() };
        assert_eq!(seen(None).tree_seen(), Some("image"));
        assert_eq!(seen(Some(report(0))).tree_seen(), Some("image"));
        let layered = seen(Some(report(2)));
        assert!(layered.is_layered() && !seen(Some(report(0))).is_layered() && !seen(None).is_layered());
        assert_eq!(layered.tree_seen(), Some("layer"));
        let now = |tree: &str| SlotInputs { tree: Some(tree.into()), ..image.clone() };
        assert_eq!((layered.mismatches(&now("layer")).len(), layered.mismatches(&now("image")).len()), (0, 1));
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(parse(&text(&manifest())), Ok(manifest()));
    }

    #[test]
    fn what_is_new_or_missing_costs_nothing_and_what_is_wrong_is_said() {
        let mut value: serde_json::Value = serde_json::from_slice(&text(&manifest())).unwrap();
        value["new"] = "x".into();
        for key in ["made", "disks", "vars", "picture", "plugged", "report"] {
            value.as_object_mut().unwrap().remove(key);
        }
        assert!(parse(value.to_string().as_bytes()).unwrap().disks.is_empty());
        value["disks"] = serde_json::json!(["../../etc/passwd"]);
        assert!(matches!(parse(value.to_string().as_bytes()), Err(ManifestError::Foreign(_))));
        value["v"] = 2.into();
        assert_eq!(parse(value.to_string().as_bytes()), Err(ManifestError::Newer(2)));
        assert!(matches!(parse(b"{"), Err(ManifestError::Broken(_))));
        for name in ["disk.qcow2", "disk1234.qcow2", "kept", "a", "", "disk1.qcow2/", "slot.json.part"] {
            assert!(!is_ours(name.as_bytes()), "{name}");
        }
        assert!(is_ours(b"disk0.qcow2") && is_ours(b"kept12") && is_ours(b"memory"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = parse(&bytes);
        }
    }
}

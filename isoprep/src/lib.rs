//! Turns a repository and a recipe into a bootable image, and ejects what that left.
//!
//! The repository is only ever read. Everything is decided in pure functions and done by the stages; processes are
//! started through `cartridge-supervise` alone.
#![allow(missing_docs)]
pub use cartridge_supervise::Cancel;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageName(pub &'static str);
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Files,
    Bytes,
    Percent,
}
#[derive(Serialize, Clone, Debug)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Progress {
    Planned { stages: Vec<StageName> },
    Started { stage: StageName },
    Advanced { stage: StageName, done: u64, total: Option<u64>, unit: Unit },
    Finished { stage: StageName, reused: bool, took: Duration },
    Line { stage: StageName, text: String },
}
#[derive(Serialize, Clone, Debug)]
pub struct Image {
    pub iso: PathBuf,
    pub bytes: u64,
    pub kernel: PathBuf,
    pub initrds: Vec<PathBuf>,
    pub cmdline: String,
    pub kernel_version: String,
    pub files: u64,
    pub tree_hash: String,
    pub reused: bool,
}
#[derive(Serialize, Clone, Debug)]
pub struct Survey {
    pub path: PathBuf,
    pub files: u64,
    pub bytes: u64,
    pub mounts: Vec<PathBuf>,
}
#[derive(Serialize, Clone, Debug)]
pub struct Untouched {
    pub path: PathBuf,
    pub reason: String,
}
#[derive(Serialize, Clone, Debug)]
pub struct EjectReport {
    pub removed: u64,
    pub bytes: u64,
    pub untouched: Vec<Untouched>,
}
pub struct FieldDoc {
    pub key: &'static str,
    pub label: &'static str,
    pub kind: FieldKind,
    pub default: &'static str,
    pub unit: &'static str,
    pub range: &'static str,
    pub doc: &'static str,
}
pub enum FieldKind {
    Text,
    Integer { min: i64, max: i64 },
    Size,
    Choice(&'static [&'static str]),
    Folder,
    File,
    List,
    Map,
}
pub const FIELDS: &[FieldDoc] = &[
    FieldDoc {
        key: "name",
        label: "Name",
        kind: FieldKind::Text,
        default: "",
        unit: "",
        range: "letters, digits, - and _",
        doc: "Name of the cartridge",
    },
    FieldDoc {
        key: "source.path",
        label: "Repository",
        kind: FieldKind::Folder,
        default: ".",
        unit: "",
        range: "",
        doc: "Folder that is injected",
    },
    FieldDoc {
        key: "source.into",
        label: "Path in the guest",
        kind: FieldKind::Text,
        default: "",
        unit: "",
        range: "",
        doc: "Where it is in the guest",
    },
    FieldDoc {
        key: "source.exclude",
        label: "Exclude",
        kind: FieldKind::List,
        default: "",
        unit: "",
        range: "",
        doc: "Globs",
    },
    FieldDoc {
        key: "image.kernel",
        label: "Kernel",
        kind: FieldKind::File,
        default: "",
        unit: "",
        range: "",
        doc: "Kernel image",
    },
    FieldDoc {
        key: "guest.cpus",
        label: "CPUs",
        kind: FieldKind::Integer { min: 1, max: 256 },
        default: "4",
        unit: "CPUs",
        range: "1 to 256",
        doc: "CPUs of the guest",
    },
    FieldDoc {
        key: "guest.memory",
        label: "Memory",
        kind: FieldKind::Size,
        default: "4G",
        unit: "",
        range: "128M to 1T",
        doc: "Memory of the guest",
    },
    FieldDoc {
        key: "guest.firmware",
        label: "Firmware",
        kind: FieldKind::Choice(&["bios", "uefi"]),
        default: "bios",
        unit: "",
        range: "",
        doc: "Firmware",
    },
];

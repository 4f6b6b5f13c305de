//! The edits that mend findings. An edit is plain data; [`apply`](super::apply()) does it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::finding::lossy;

/// One change of `cartridge.toml` or of a file of the repository. Files are named relative to the folder of
/// `cartridge.toml`; lines count from 1 and are given without their line end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Edit {
    /// Gives a field of `cartridge.toml` a value, as a form shows it.
    SetCartridgeField {
        /// A key of [`FIELDS`](crate::recipe::FIELDS).
        key: String,
        /// As [`set_field`](crate::recipe::set_field) takes it.
        value: String,
    },
    /// Appends to a list of `cartridge.toml`, unless it is in there.
    AddToCartridgeList {
        /// A key of [`FIELDS`](crate::recipe::FIELDS) whose kind is a list.
        key: String,
        /// The new item.
        value: String,
    },
    /// Takes one item out of a list of `cartridge.toml`.
    RemoveFromCartridgeList {
        /// A key of [`FIELDS`](crate::recipe::FIELDS) whose kind is a list.
        key: String,
        /// The item; the first that is equal goes.
        value: String,
    },
    /// Replaces a line.
    ReplaceLine {
        /// The file.
        #[serde(serialize_with = "lossy")]
        file: PathBuf,
        /// Which line.
        line: usize,
        /// What has to be there.
        old: String,
        /// What comes in its place; may hold line feeds.
        new: String,
    },
    /// Inserts a line after another one.
    InsertLine {
        /// The file.
        #[serde(serialize_with = "lossy")]
        file: PathBuf,
        /// The number that the new line will have; at least 2.
        line: usize,
        /// What has to be on the line above.
        above: String,
        /// The new line.
        text: String,
    },
    /// Removes a line.
    RemoveLine {
        /// The file.
        #[serde(serialize_with = "lossy")]
        file: PathBuf,
        /// Which line.
        line: usize,
        /// What has to be there.
        old: String,
    },
    /// Turns the line ends CR LF of a whole file into LF.
    UnixLineEnds {
        /// The file.
        #[serde(serialize_with = "lossy")]
        file: PathBuf,
    },
    /// Changes the permission bits of a file.
    Chmod {
        /// The file.
        #[serde(serialize_with = "lossy")]
        file: PathBuf,
        /// The new bits.
        mode: u32,
    },
}

impl Edit {
    /// Whether it changes the user's repository, so that the user has to be asked first. Edits of `cartridge.toml` do
    /// not.
    #[must_use]
    pub const fn asks(&self) -> bool {
        !matches!(
            self,
            Self::SetCartridgeField { .. } | Self::AddToCartridgeList { .. } | Self::RemoveFromCartridgeList { .. }
        )
    }
}

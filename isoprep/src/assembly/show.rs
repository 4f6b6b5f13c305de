//! An assembly as a tree for people: where each file came from, what was replaced, what was removed. Pure.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::model::{Assembly, Kind, Origin, Piece};
use super::problem::shown;
use crate::known_name::{self, KnownName};

/// How far a name is indented for each folder above it, columns.
const INDENT: usize = 2;
/// The widest column of names, beyond which origins are not aligned.
const WIDEST: usize = 72;

/// One line of the tree. A list of them is in the order of a tree that is all open, so that a panel closes a folder by
/// passing over the `below` nodes behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The last part of its path, on one line whatever bytes it has.
    pub name: String,
    /// Its path relative to the profile, likewise.
    pub path: String,
    /// How many folders it lies in.
    pub depth: usize,
    /// How many nodes lie in it, and in what lies in it.
    pub below: usize,
    /// "folder", "file" or "link".
    #[serde(deserialize_with = "known_name::read")]
    pub kind: KnownName,
    /// Permission bits, 0 to 0o7777; for a link 0.
    pub mode: u32,
    /// The mode that the live system will have, where it is set for this one.
    pub live_mode: Option<u32>,
    /// Bytes; 0 for what is no file.
    pub size: u64,
    /// Where a link leads.
    pub target: Option<String>,
    /// Who brought it.
    pub origin: Origin,
    /// The file on the host.
    pub from: Option<PathBuf>,
    /// Whose it replaces, oldest first.
    pub replaced: Vec<Origin>,
    /// Whether it is not in the profile, because `remove` says so.
    pub removed: bool,
}

/// The tree as a list.
#[must_use]
pub fn nodes(assembly: &Assembly) -> Vec<Node> {
    let mut all: BTreeMap<&Path, (&Piece, bool)> =
        assembly.removed.iter().map(|(path, piece)| (path.as_path(), (piece, true))).collect();
    all.extend(assembly.pieces.iter().map(|(path, piece)| (path.as_path(), (piece, false))));
    let mut nodes: Vec<Node> = all.into_iter().map(|(path, (piece, removed))| node(path, piece, removed)).collect();
    // From the end: what lies in a node is everything behind it that is deeper.
    let mut open: Vec<(usize, usize)> = Vec::new();
    for (index, node) in nodes.iter_mut().enumerate().rev() {
        let mut below = 0;
        while let Some((_, count)) = open.pop_if(|(depth, _)| *depth > node.depth) {
            below += count;
        }
        node.below = below;
        open.push((node.depth, below + 1));
        debug_assert!(index != 0 || node.depth == 0, "a tree begins at its top");
    }
    nodes
}

fn node(path: &Path, piece: &Piece, removed: bool) -> Node {
    let target = if let Kind::Link { target } = &piece.kind { Some(shown(Path::new(target))) } else { None };
    Node {
        name: shown(Path::new(path.file_name().unwrap_or_default())),
        path: shown(path),
        depth: path.components().count().saturating_sub(1),
        below: 0,
        kind: piece.kind.word(),
        mode: if target.is_some() { 0 } else { piece.mode },
        live_mode: piece.wished,
        size: piece.size(),
        target,
        origin: piece.origin,
        from: piece.from.clone(),
        replaced: piece.replaced.clone(),
        removed,
    }
}

/// The tree as text: a line for each node, its origin beside it, then where the repository goes, what is wrong and what
/// is strange.
#[must_use]
pub fn text(assembly: &Assembly) -> String {
    let mut text = lines(&nodes(assembly));
    for (number, layer) in assembly.layers.iter().enumerate() {
        let origin = number.checked_sub(1).map_or(Origin::Base, Origin::Overlay);
        let _ = writeln!(text, "{origin}: {}", shown(layer));
    }
    let _ = writeln!(text, "the repository: {}", shown(&assembly.into));
    for problem in &assembly.problems {
        let _ = writeln!(text, "error: {problem}");
    }
    for warning in &assembly.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

/// The nodes of a tree as text: a line for each, its origin beside it.
#[must_use]
pub fn lines(nodes: &[Node]) -> String {
    let lines: Vec<(String, String)> = nodes.iter().map(|node| (label(node), remark(node))).collect();
    let width =
        lines.iter().map(|(label, _)| label.chars().count()).filter(|width| *width <= WIDEST).max().unwrap_or(0);
    let mut text = String::new();
    for (label, remark) in lines {
        let _ = writeln!(text, "{label:width$}  {remark}");
    }
    text
}

fn label(node: &Node) -> String {
    let mark = if node.removed { '-' } else { ' ' };
    let mut label = format!("{mark} {:indent$}{}", "", node.name, indent = node.depth * INDENT);
    match (&node.target, node.kind) {
        (Some(target), _) => label += &format!(" -> {target}"),
        (None, "folder") => label.push('/'),
        _ => {}
    }
    label
}

fn remark(node: &Node) -> String {
    let mut remark = node.origin.to_string();
    if !node.replaced.is_empty() {
        let others: Vec<String> = node.replaced.iter().map(ToString::to_string).collect();
        remark += &format!(", replaces {}", others.join(", "));
    }
    if let Some(mode) = node.live_mode.filter(|_| !node.removed) {
        remark += &format!(", mode {mode:o}");
    }
    if node.removed {
        remark += ", removed";
    }
    remark
}

//! Which nodes of the assembled profile's tree are rows: open folders, a filter, what is not plainly of the base. Pure.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use isoprep::assembly::{Node, Origin};

/// What of the tree is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Folders that are opened or closed against the rule: the folders at the top are open, those in them are closed.
    pub turned: HashSet<String>,
    /// Only what holds this in its path or in its origin's words, in any case, and what it lies in.
    pub filter: String,
    /// Only what is not plainly of the base, and what it lies in.
    pub changed_only: bool,
}

impl Wanted {
    /// Whether a folder is open where nothing is filtered.
    #[must_use]
    pub fn open(&self, node: &Node) -> bool {
        (node.depth == 0) != self.turned.contains(&node.path)
    }

    /// Whether only a part of the tree is asked for, which is then all open.
    #[must_use]
    pub fn partial(&self) -> bool {
        self.changed_only || !self.filter.trim().is_empty()
    }
}

/// Whether a node is of the base and nothing else.
#[must_use]
pub fn plain(node: &Node) -> bool {
    node.origin == Origin::Base && node.replaced.is_empty() && !node.removed
}

/// The overlays by the folders that they are: a number says nothing to whoever has more than one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlays(BTreeMap<usize, String>);

impl Overlays {
    /// Those of a tree: what a node of one was copied from ends with its place in the profile. Below `root` they are named
    /// relative to it.
    #[must_use]
    pub fn of(nodes: &[Node], root: Option<&Path>) -> Self {
        let mut names = BTreeMap::new();
        for node in nodes {
            let Origin::Overlay(number) = node.origin else { continue };
            let Some(from) = node.from.as_ref().filter(|from| from.ends_with(&node.path)) else { continue };
            names.entry(number).or_insert_with(|| {
                let above = Path::new(&node.path).components().count();
                let folder = from.ancestors().nth(above).unwrap_or(from);
                let shown = root.and_then(|root| folder.strip_prefix(root).ok()).unwrap_or(folder);
                shown.display().to_string()
            });
        }
        Self(names)
    }

    /// An origin in words: the folder of an overlay.
    #[must_use]
    pub fn name(&self, origin: Origin) -> String {
        match origin {
            Origin::Overlay(number) => self.0.get(&number).filter(|name| !name.is_empty()).cloned(),
            _ => None,
        }
        .unwrap_or_else(|| origin.to_string())
    }

    /// What a node replaces, in words.
    #[must_use]
    pub fn replaced(&self, node: &Node) -> String {
        let others: Vec<String> = node.replaced.iter().map(|origin| self.name(*origin)).collect();
        format!("replaces {}", others.join(", "))
    }

    /// Where a node came from, in words: "iso/configs, replaces base"; "base, removed".
    #[must_use]
    pub fn origin(&self, node: &Node) -> String {
        let mut words = self.name(node.origin);
        if !node.replaced.is_empty() {
            words += &format!(", {}", self.replaced(node));
        }
        if node.removed {
            words += ", removed";
        }
        words
    }
}

/// The rows: places in `nodes`, in their order.
#[must_use]
pub fn rows(nodes: &[Node], wanted: &Wanted, overlays: &Overlays) -> Vec<usize> {
    if wanted.partial() { part(nodes, wanted, overlays) } else { open(nodes, wanted) }
}

fn open(nodes: &[Node], wanted: &Wanted) -> Vec<usize> {
    let mut rows = Vec::new();
    let mut at = 0;
    while let Some(node) = nodes.get(at) {
        rows.push(at);
        let closed = node.kind == "folder" && !wanted.open(node);
        at = at.saturating_add(if closed { node.below.saturating_add(1) } else { 1 });
    }
    rows
}

fn part(nodes: &[Node], wanted: &Wanted, overlays: &Overlays) -> Vec<usize> {
    let needle = wanted.filter.trim().to_lowercase();
    let fits = |node: &Node| {
        let holds = needle.is_empty()
            || node.path.to_lowercase().contains(&needle)
            || (!plain(node) && overlays.origin(node).to_lowercase().contains(&needle));
        holds && !(wanted.changed_only && plain(node))
    };
    let mut rows = Vec::new();
    // The folders that lie above, of which none is a row yet from `shown` on.
    let mut above: Vec<usize> = Vec::new();
    let mut shown = 0;
    for (at, node) in nodes.iter().enumerate() {
        above.truncate(node.depth);
        shown = shown.min(above.len());
        if fits(node) {
            rows.extend_from_slice(&above[shown..]);
            rows.push(at);
            shown = above.len();
            above.push(at);
            shown += 1;
        } else {
            above.push(at);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(path: &str, kind: &'static str, below: usize) -> Node {
        Node {
            name: path.rsplit('/').next().unwrap_or_default().to_owned(),
            path: path.to_owned(),
            depth: path.matches('/').count(),
            below,
            kind,
            mode: 0o644,
            live_mode: None,
            size: 0,
            target: None,
            origin: Origin::Base,
            from: None,
            replaced: Vec::new(),
            removed: false,
        }
    }

    fn tree() -> Vec<Node> {
        let mut nodes = vec![
            node("airootfs", "folder", 5),
            node("airootfs/etc", "folder", 3),
            node("airootfs/etc/hostname", "file", 0),
            node("airootfs/etc/systemd", "folder", 1),
            node("airootfs/etc/systemd/Motd", "file", 0),
            node("airootfs/root", "folder", 0),
            node("profiledef.sh", "file", 0),
        ];
        nodes[4].origin = Origin::Overlay(0);
        nodes[4].from = Some("/srv/x/iso/configs/airootfs/etc/systemd/Motd".into());
        nodes[4].replaced = vec![Origin::Base, Origin::Overlay(7)];
        nodes
    }

    fn paths(wanted: &Wanted) -> Vec<String> {
        let nodes = tree();
        let overlays = Overlays::of(&nodes, Some(Path::new("/srv/x")));
        rows(&nodes, wanted, &overlays).into_iter().map(|at| nodes[at].path.clone()).collect()
    }

    #[test]
    fn folders_open_and_close() {
        let mut wanted = Wanted::default();
        assert_eq!(paths(&wanted), ["airootfs", "airootfs/etc", "airootfs/root", "profiledef.sh"]);
        wanted.turned.insert("airootfs/etc".to_owned());
        assert_eq!(paths(&wanted).len(), 6);
        wanted.turned.insert("airootfs".to_owned());
        assert_eq!(paths(&wanted), ["airootfs", "profiledef.sh"]);
    }

    #[test]
    fn a_filter_shows_what_fits_and_the_folders_above_it_once() {
        let filter = |filter: &str| paths(&Wanted { filter: filter.to_owned(), ..Wanted::default() });
        assert_eq!(filter("motd"), ["airootfs", "airootfs/etc", "airootfs/etc/systemd", "airootfs/etc/systemd/Motd"]);
        assert_eq!(filter("ISO/configs"), filter("motd"));
        assert_eq!(filter("hostname"), ["airootfs", "airootfs/etc", "airootfs/etc/hostname"]);
        assert_eq!(filter("etc").len(), 5);
        assert_eq!(filter("nothing here"), [] as [&str; 0]);
        assert_eq!(paths(&Wanted { changed_only: true, ..Wanted::default() }), filter("motd"));
    }

    #[test]
    fn an_overlay_is_named_by_its_folder_where_that_is_known() {
        let nodes = tree();
        let words = |root| Overlays::of(&nodes, root).origin(&nodes[4]);
        assert_eq!(words(Some(Path::new("/srv/x"))), "iso/configs, replaces base, overlay 8");
        assert_eq!(words(Some(Path::new("/elsewhere"))), "/srv/x/iso/configs, replaces base, overlay 8");
    }
}

//! Boot entries added, removed and changed, with the words of the command line that did.

use std::collections::HashMap;

use serde::Serialize;

use super::Change;
use crate::contents::model::{BootEntry, ImageContents, Loader};
use crate::contents::tree_path::TreePath;

/// In what the boot loaders' menus differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BootDifference {
    /// Entries that only the second has.
    pub added: Vec<BootEntry>,
    /// Entries that only the first has.
    pub removed: Vec<BootEntry>,
    /// Entries that differ.
    pub changed: Vec<BootChange>,
}

/// A boot entry that differs. The image's own label and UUID as the value of a word do not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BootChange {
    /// Whose entry it is.
    pub loader: Loader,
    /// The file that it is in.
    pub file: TreePath,
    /// Its titles.
    pub title: Change<String>,
    /// Its kernels, if they differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Change<Option<String>>>,
    /// Its initramfs parts, if they differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initrds: Option<Change<Vec<String>>>,
    /// Words of the command line that only one of them has, in order.
    pub words: Change<Vec<String>>,
    /// Whether the words that both have stand in another order.
    pub reordered: bool,
}

impl BootDifference {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    pub(super) fn reversed(self) -> Self {
        let turn = |it: BootChange| BootChange {
            title: it.title.reversed(),
            kernel: it.kernel.map(Change::reversed),
            initrds: it.initrds.map(Change::reversed),
            words: it.words.reversed(),
            ..it
        };
        Self { added: self.removed, removed: self.added, changed: self.changed.into_iter().map(turn).collect() }
    }
}

pub(super) fn compare(from: &ImageContents, to: &ImageContents) -> BootDifference {
    let mut found = BootDifference::default();
    for (one, two) in pairs(&from.boot_entries, &to.boot_entries) {
        match (one, two) {
            (Some(one), Some(two)) => found.changed.extend(change((from, one), (to, two))),
            (Some(one), None) => found.removed.push(one.clone()),
            (None, Some(two)) => found.added.push(two.clone()),
            (None, None) => {}
        }
    }
    found
}

type Pair<'a> = (Option<&'a BootEntry>, Option<&'a BootEntry>);

/// Pairs entries: those of one file and title, then what is left of a file in its order. Each list keeps its order.
fn pairs<'a>(from: &'a [BootEntry], to: &'a [BootEntry]) -> Vec<Pair<'a>> {
    let mut partner: Vec<Option<usize>> = vec![None; from.len()];
    let mut taken = vec![false; to.len()];
    let by_title = |entry: &'a BootEntry| (entry.loader, &entry.file, entry.title.as_str());
    let by_file = |entry: &'a BootEntry| (entry.loader, &entry.file, "");
    let keys: [&dyn Fn(&'a BootEntry) -> (Loader, &'a TreePath, &'a str); 2] = [&by_title, &by_file];
    for key in keys {
        let mut free: HashMap<_, Vec<usize>> = HashMap::new();
        for at in (0..to.len()).rev().filter(|at| !taken[*at]) {
            free.entry(key(&to[at])).or_default().push(at);
        }
        for (entry, partner) in from.iter().zip(&mut partner).filter(|(_, partner)| partner.is_none()) {
            *partner = free.get_mut(&key(entry)).and_then(Vec::pop);
            partner.iter().for_each(|at| taken[*at] = true);
        }
    }
    let left = from.iter().zip(partner).map(|(one, two)| (Some(one), two.map(|two| &to[two])));
    let right = to.iter().zip(taken).filter(|(_, taken)| !taken).map(|(two, _)| (None, Some(two)));
    left.chain(right).collect()
}

fn change((from, one): (&ImageContents, &BootEntry), (to, two): (&ImageContents, &BootEntry)) -> Option<BootChange> {
    let (words1, words2) = (words(from, &one.options), words(to, &two.options));
    let only = |these: &[Word<'_>], those: &[Word<'_>]| {
        let mut count: HashMap<&str, usize> = HashMap::new();
        those.iter().for_each(|word| *count.entry(word.key.as_str()).or_default() += 1);
        let mut is_new = |word: &&Word<'_>| match count.get_mut(word.key.as_str()) {
            Some(left) if *left > 0 => {
                *left -= 1;
                false
            }
            _ => true,
        };
        these.iter().filter(|word| is_new(word)).map(|word| word.text.to_owned()).collect::<Vec<_>>()
    };
    let (removed, added) = (only(&words1, &words2), only(&words2, &words1));
    let same_words = removed.is_empty() && added.is_empty();
    let keys = |words: &[Word<'_>]| words.iter().map(|word| word.key.clone()).collect::<Vec<_>>();
    let change = BootChange {
        loader: one.loader,
        file: one.file.clone(),
        title: Change { from: one.title.clone(), to: two.title.clone() },
        kernel: Change::of(one.kernel.clone(), two.kernel.clone()),
        initrds: Change::of(one.initrds.clone(), two.initrds.clone()),
        reordered: same_words && keys(&words1) != keys(&words2),
        words: Change { from: removed, to: added },
    };
    let same = one.title == two.title && change.kernel.is_none() && change.initrds.is_none();
    (!same || !same_words || change.reordered).then_some(change)
}

struct Word<'a> {
    text: &'a str,
    /// What is compared: the image's own label and UUID are replaced.
    key: String,
}

fn words<'a>(contents: &ImageContents, options: &'a str) -> Vec<Word<'a>> {
    let word = |text: &'a str| {
        let own = |value: &str| match value {
            "" => None,
            value if value == contents.uuid => Some("\0uuid"),
            value if value == contents.label => Some("\0label"),
            _ => None,
        };
        let key = text.rsplit_once('=').and_then(|(key, value)| Some(format!("{key}={}", own(value)?)));
        Word { text, key: key.unwrap_or_else(|| text.to_owned()) }
    };
    options.split_whitespace().map(word).collect()
}

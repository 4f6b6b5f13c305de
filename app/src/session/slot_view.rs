//! Slots as front ends show them: what each is, and in what the present differs from what it depends on.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use vmtools::slot::{Manifest, Mismatch, Slot};

/// A slot as front ends show it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotView {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub dir: PathBuf,
    /// When it was saved, seconds since 1970; 0 if that is not known.
    pub made: u64,
    /// What it takes on the disk, bytes.
    pub bytes: u64,
    /// The picture of the moment.
    pub picture: Option<PathBuf>,
    /// What it depends on, for people: "QEMU 7.2.22 (tcg, max), image /x.iso".
    pub depends: String,
    /// Why it cannot be used.
    pub problem: Option<String>,
    /// In what the present differs from what it depends on, as it was when the slots were listed; `None` where that is not
    /// known. Restoring compares anew.
    pub differs: Option<Vec<Mismatch>>,
    /// Whether the repository's tree in it is the repository's as it was when this was found; `None` where one of them is not
    /// known.
    pub same_tree: Option<bool>,
    /// Whether it has its tree from a layer that was plugged into the guest, and not from its image.
    pub layered: bool,
}

impl SlotView {
    /// Why it cannot be restored as things are, in words; `None` if it can, as far as is known.
    #[must_use]
    pub fn obstacle(&self) -> Option<String> {
        let fatal = |it: &&Mismatch| it.fatal;
        let says = |it: &Mismatch| it.says.clone();
        self.problem.clone().or_else(|| self.differs.iter().flatten().find(fatal).map(says))
    }

    /// What has changed since, and does not keep it from being restored.
    #[must_use]
    pub fn changes(&self) -> Vec<&Mismatch> {
        self.differs.iter().flatten().filter(|it| !it.fatal).collect()
    }

    /// With what was found when it was compared; `tree` is that of the repository as it is.
    pub(super) fn compared(mut self, slot: &Slot, differs: Vec<Mismatch>, tree: Option<&str>) -> Self {
        let own = slot.manifest.as_ref().ok().and_then(|manifest| manifest.tree_seen());
        self.same_tree = own.zip(tree).map(|(own, now)| own == now);
        self.differs = Some(differs);
        self
    }
}

impl From<&Slot> for SlotView {
    fn from(slot: &Slot) -> Self {
        let depends = slot.manifest.as_ref().map_or_else(
            |_| String::new(),
            |manifest| {
                let inputs = &manifest.inputs;
                let mut text = format!("QEMU {} ({}, {})", inputs.qemu, inputs.accelerator, inputs.processor);
                for file in &inputs.files {
                    text.push_str(&format!(", {} {}", file.what, file.path.display()));
                }
                if manifest.is_layered() {
                    text.push_str(", with the repository in a layer that was plugged in");
                }
                text
            },
        );
        Self {
            name: slot.name.to_string(),
            dir: slot.dir.clone(),
            made: slot.manifest.as_ref().map_or(0, |manifest| manifest.made),
            bytes: slot.bytes,
            picture: slot.picture(),
            depends,
            problem: slot.manifest.as_ref().err().cloned(),
            differs: None,
            same_tree: None,
            layered: slot.manifest.as_ref().is_ok_and(Manifest::is_layered),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fatal_is_an_obstacle_and_the_rest_a_change() {
        let differs = |fatal| Mismatch { what: "QEMU".into(), says: "QEMU was 7, and is 8 now".into(), fatal };
        let slot = SlotView { differs: Some(vec![differs(false)]), ..SlotView::default() };
        assert_eq!((slot.obstacle(), slot.changes().len()), (None, 1));
        let slot = SlotView { differs: Some(vec![differs(false), differs(true)]), ..slot };
        assert_eq!((slot.obstacle().as_deref(), slot.changes().len()), (Some("QEMU was 7, and is 8 now"), 1));
        let slot = SlotView { problem: Some("its memory is short".into()), ..slot };
        assert_eq!(slot.obstacle().as_deref(), Some("its memory is short"));
    }
}

//! How what changed in the repository comes to the guest: the quickest way that is true for this guest. Pure.

use serde::{Deserialize, Serialize};

/// A way for changes to come to the guest, the quickest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The guest has the repository mounted live: nothing is to be done.
    Live,
    /// The repository is packed as a layer, plugged into the guest as a disk, and mounted over what it has.
    Layer,
    /// The guest of the slot that `[test]` names is restored, and gets the repository as a layer.
    Slot,
    /// A new image is built where one is needed, and a kernel is booted without a boot loader, as `[boot]` says.
    Direct,
    /// A new image is built, with everything reused that did not change, and booted.
    Image,
}

/// What decides the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// A guest runs.
    pub(super) running: bool,
    /// It has told that it has the repository mounted from this host.
    pub(super) live: bool,
    /// It has reported by a program of ours, which mounts a layer that is plugged in.
    pub(super) reports: bool,
    /// No guest runs, and there is the slot that `[test]` names.
    pub(super) slot: bool,
    /// The cartridge is booted without a boot loader.
    pub(super) direct: bool,
}

impl Way {
    /// The quickest way.
    pub(super) fn quickest(facts: Facts) -> Self {
        match facts {
            Facts { running: true, live: true, .. } => Self::Live,
            Facts { running: true, reports: true, .. } => Self::Layer,
            Facts { slot: true, .. } => Self::Slot,
            Facts { direct: true, .. } => Self::Direct,
            _ => Self::Image,
        }
    }

    /// What is done, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Live => "the guest sees them by itself: it has the repository mounted live",
            Self::Layer => "the repository is plugged in as a new layer, over what the guest has",
            Self::Slot => "the test's slot is restored, and the repository plugged in as a layer",
            Self::Direct => "what is booted directly is made again, from what did not change, and booted",
            Self::Image => "the image is built again, from what did not change, and booted",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quickest_way_is_one_that_the_guest_can_go() {
        let of = |running, live, reports| Way::quickest(Facts { running, live, reports, ..Facts::default() });
        assert_eq!(of(true, true, true), Way::Live);
        assert_eq!(of(true, false, true), Way::Layer);
        assert_eq!(of(true, false, false), Way::Image);
        assert_eq!(of(false, true, true), Way::Image);
        assert_eq!(Way::quickest(Facts { slot: true, direct: true, ..Facts::default() }), Way::Slot);
        assert_eq!(Way::quickest(Facts { direct: true, ..Facts::default() }), Way::Direct);
    }
}

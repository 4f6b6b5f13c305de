//! How what changed in the repository comes to the guest: the quickest way that is true for this guest. Pure.

use serde::Serialize;

/// A way for changes to come to the guest, the quickest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The guest has the repository mounted live: nothing is to be done.
    Live,
    /// The repository is packed as a layer, plugged into the guest as a disk, and mounted over what it has.
    Layer,
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
}

impl Way {
    /// The quickest way.
    pub(super) fn quickest(facts: Facts) -> Self {
        match facts {
            Facts { running: true, live: true, .. } => Self::Live,
            Facts { running: true, reports: true, .. } => Self::Layer,
            _ => Self::Image,
        }
    }

    /// What is done, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Live => "the guest sees them by itself: it has the repository mounted live",
            Self::Layer => "the repository is plugged in as a new layer, over what the guest has",
            Self::Image => "the image is built again, from what did not change, and booted",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quickest_way_is_one_that_the_guest_can_go() {
        let of = |running, live, reports| Way::quickest(Facts { running, live, reports });
        assert_eq!(of(true, true, true), Way::Live);
        assert_eq!(of(true, false, true), Way::Layer);
        assert_eq!(of(true, false, false), Way::Image);
        assert_eq!(of(false, true, true), Way::Image);
    }
}

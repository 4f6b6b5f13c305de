//! How what changed in the repository comes to the guest: the quickest way that is true for this guest. Pure.

use serde::Serialize;

/// A way for changes to come to the guest, the quickest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The guest has the repository mounted live: nothing is to be done.
    Live,
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
}

impl Way {
    /// The quickest way.
    pub(super) fn quickest(facts: Facts) -> Self {
        if facts.running && facts.live { Self::Live } else { Self::Image }
    }

    /// What is done, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Live => "the guest sees them by itself: it has the repository mounted live",
            Self::Image => "the image is built again, from what did not change, and booted",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_running_guest_sees_anything_live() {
        assert_eq!(Way::quickest(Facts { running: true, live: true }), Way::Live);
        assert_eq!(Way::quickest(Facts { running: false, live: true }), Way::Image);
        assert_eq!(Way::quickest(Facts { running: true, live: false }), Way::Image);
    }
}

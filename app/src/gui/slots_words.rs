//! What is said of a slot: how old it is, and how it fits what is there now. Pure.

use super::words;
use crate::session::event::SlotView;

/// How a slot fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// What it depends on is as it was.
    Same,
    /// Something is another, and it can be restored.
    Changed,
    /// It cannot be restored as things are.
    Not,
    /// Nobody has compared.
    Unknown,
}

/// How it fits, in a line.
#[must_use]
pub fn fit(slot: &SlotView) -> (Fit, String) {
    if let Some(why) = &slot.problem {
        return (Fit::Not, format!("Cannot be restored: {why}"));
    }
    if let Some(why) = slot.obstacle() {
        return (Fit::Not, format!("Cannot be restored now: {why}"));
    }
    let changes = slot.changes();
    if !changes.is_empty() {
        let mut parts: Vec<String> = Vec::new();
        for change in changes {
            let words = match change.what.as_str() {
                "repository" if slot.layered => "its layer has another tree than the repository now".to_owned(),
                "repository" => "another tree than the repository now".to_owned(),
                "image" => "another image".to_owned(),
                "QEMU" => "another QEMU".to_owned(),
                "cartridge" => "another cartridge".to_owned(),
                other => format!("another {other}"),
            };
            if !parts.contains(&words) {
                parts.push(words);
            }
        }
        return (Fit::Changed, words::sentence(&parts.join(", ")));
    }
    match (&slot.differs, slot.same_tree) {
        (None, _) => (Fit::Unknown, "Compared when it is restored".to_owned()),
        (Some(_), Some(true)) if slot.layered => (Fit::Same, "Its layer has the repository as it is now".to_owned()),
        (Some(_), Some(true)) => (Fit::Same, "Same tree as the repository now".to_owned()),
        (Some(_), _) => (Fit::Same, "Fits this machine and this QEMU".to_owned()),
    }
}

/// How long ago something was, both in seconds since 1970: "just now", "5 min ago", "3 h ago", "12 days ago".
#[must_use]
pub fn ago(made: u64, now: u64) -> String {
    let s = now.saturating_sub(made);
    match (made, s) {
        (0, _) => "at an unknown time".to_owned(),
        (_, 0..60) => "just now".to_owned(),
        (_, 60..3600) => format!("{} min ago", s / 60),
        (_, 3600..86_400) => format!("{} h ago", s / 3600),
        (_, 86_400..172_800) => "yesterday".to_owned(),
        _ => format!("{} days ago", words::count(s / 86_400)),
    }
}

/// How many there are and what they take: "3 slots · 1.2 GiB"; `None` for none.
#[must_use]
pub fn sum(slots: &[SlotView]) -> Option<String> {
    let bytes = slots.iter().map(|slot| slot.bytes).fold(0, u64::saturating_add);
    let number = words::number(slots.len() as u64, "slot", "slots");
    (!slots.is_empty()).then(|| format!("{number} · {}", words::bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use vmtools::slot::Mismatch;

    use super::*;

    fn slot(differs: Option<&[(&str, bool)]>) -> SlotView {
        let mismatch = |(what, fatal): &(&str, bool)| Mismatch {
            what: (*what).into(),
            says: format!("the {what}"),
            fatal: *fatal,
        };
        SlotView { differs: differs.map(|it| it.iter().map(mismatch).collect()), ..SlotView::default() }
    }

    #[test]
    fn how_a_slot_fits_is_said_in_a_line() {
        assert_eq!(fit(&slot(None)).0, Fit::Unknown);
        assert_eq!(fit(&slot(Some(&[]))), (Fit::Same, "Fits this machine and this QEMU".into()));
        let same = SlotView { same_tree: Some(true), ..slot(Some(&[])) };
        assert_eq!(fit(&same), (Fit::Same, "Same tree as the repository now".into()));
        let layer = SlotView { layered: true, ..same };
        assert_eq!(fit(&layer), (Fit::Same, "Its layer has the repository as it is now".into()));
        let changed = slot(Some(&[("repository", false), ("image", false), ("image", false)]));
        assert_eq!(fit(&changed), (Fit::Changed, "Another tree than the repository now, another image".into()));
        let not = slot(Some(&[("repository", false), ("memory", true)]));
        assert_eq!(fit(&not), (Fit::Not, "Cannot be restored now: the memory".into()));
        let broken = SlotView { problem: Some("its memory is short".into()), ..slot(None) };
        assert_eq!(fit(&broken), (Fit::Not, "Cannot be restored: its memory is short".into()));
    }

    #[test]
    fn ages_and_sums() {
        let all = [0, 59, 61, 7_300, 90_000, 1_100_000].map(|s| ago(10, 10 + s));
        assert_eq!(all, ["just now", "just now", "1 min ago", "2 h ago", "yesterday", "12 days ago"]);
        assert_eq!((ago(0, 5), ago(9, 5)), ("at an unknown time".into(), "just now".into()));
        assert_eq!(sum(&[]), None);
        let one = SlotView { bytes: 3 << 20, ..SlotView::default() };
        assert_eq!(sum(std::slice::from_ref(&one)).as_deref(), Some("1 slot · 3.0 MiB"));
        assert_eq!(sum(&[one.clone(), one]).as_deref(), Some("2 slots · 6.0 MiB"));
    }
}

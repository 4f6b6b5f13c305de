//! What the guest is told of its folders: a JSON list under the name `shares`, read by `vmtools/guest/src/shares.rs`.

use serde::Serialize;

use super::Chosen;

/// The name that the list has among the words for a guest.
pub(super) const NAME: &str = "shares";

#[derive(Serialize)]
struct Told<'a> {
    tag: &'a str,
    kind: &'a str,
    at: std::borrow::Cow<'a, str>,
    access: &'a str,
}

/// The words for a guest with these folders: none without folders.
pub(super) fn told(chosen: &[Chosen]) -> Option<(String, String)> {
    if chosen.is_empty() {
        return None;
    }
    let list: Vec<_> = chosen
        .iter()
        .map(|it| Told { tag: &it.tag, kind: it.kind.word(), at: it.at.to_string_lossy(), access: it.access.word() })
        .collect();
    // A list of words always serialises.
    Some((NAME.to_owned(), serde_json::to_string(&list).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::super::{Access, Kind};
    use super::*;

    #[test]
    fn the_guest_is_told_what_to_mount_where() {
        assert_eq!(told(&[]), None);
        let chosen = Chosen {
            tag: "repository".into(),
            dir: "/home/me/a".into(),
            at: "/root/a, \"b\"".into(),
            access: Access::ReadOnly,
            kind: Kind::Plan9,
            why: "x".into(),
        };
        let (name, text) = told(&[chosen]).unwrap();
        assert_eq!(name, "shares");
        assert_eq!(text, r#"[{"tag":"repository","kind":"9p","at":"/root/a, \"b\"","access":"read-only"}]"#);
        assert!(!text.contains("/home"), "the guest does not learn where it lies here");
    }
}

//! What `evaluate.sh` prints, as three sets of variables. The stream is the profile's too, so nothing in it is believed.

use std::collections::BTreeMap;

use super::declare::{BashVariable, parse_declarations};

/// Variables by name.
pub(super) type Variables = BTreeMap<String, BashVariable>;

/// Every variable before the profile was sourced, inside the function that sourced it, and after that function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) before: Variables,
    pub(super) inside: Variables,
    pub(super) after: Variables,
}

/// Reads the answer; `marker` is the word that `evaluate.sh` was given after the profile had run.
///
/// No variable of bash holds a NUL, so what stands between a NUL, the marker and a NUL is bash's. What a profile prints by a
/// trap comes before the first marker.
pub(super) fn parse(output: &[u8], marker: &str) -> Result<Answer, String> {
    let cut = format!("\0{marker}\0");
    let pieces = split(output, cut.as_bytes());
    let [first, inside, after, _] = pieces.as_slice() else {
        return Err(format!("its answer has {} parts instead of 4", pieces.len()));
    };
    let before = first.split(|byte| *byte == 0).next().unwrap_or_default();
    let read = |part: &[u8], name: &str| parse_declarations(part).map_err(|e| format!("{e} ({name})"));
    Ok(Answer {
        before: read(before, "before it was sourced")?,
        inside: read(inside, "inside the function that sourced it")?,
        after: read(after, "after it was sourced")?,
    })
}

/// Whether the answer goes to its end.
pub(super) fn is_complete(output: &[u8], marker: &str) -> bool {
    split(output, format!("\0{marker}\0").as_bytes()).len() >= 4
}

fn split<'a>(mut bytes: &'a [u8], at: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    // More pieces than any answer has are not worth counting.
    while pieces.len() < 8
        && let Some(found) = find(bytes, at)
    {
        pieces.push(&bytes[..found]);
        bytes = &bytes[found + at.len()..];
    }
    pieces.push(bytes);
    pieces
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(nul) = bytes.get(from..)?.iter().position(|byte| *byte == 0) {
        if bytes[from + nul..].starts_with(wanted) {
            return Some(from + nul);
        }
        from += nul + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_sets_are_told_apart_whatever_else_is_printed() {
        let output = b"declare -- a=\"1\"\n\0hi\nhi\n\0m\0declare -- a=\"2\"\ndeclare -- l=\"\"\n\0m\0declare -- a=\"3\"\n\0m\0bye";
        let answer = parse(output, "m").unwrap();
        let values =
            |set: &Variables| set.iter().map(|(name, it)| format!("{name}{}", it.value.scalar())).collect::<Vec<_>>();
        assert_eq!(
            (values(&answer.before), values(&answer.inside), values(&answer.after)),
            (vec!["a1".into()], vec!["a2".into(), "l".into()], vec!["a3".into()])
        );
        assert!(is_complete(output, "m") && !is_complete(output, "n"));
    }

    #[test]
    fn anything_else_is_refused() {
        for output in
            ["", "x", "\0m\0\0m\0", "a\0m\0\0m\0\0m\0", "\0m\0x\0m\0\0m\0", "\0m\0\0m\0\0m\0\0m\0", "\0n\0\0n\0\0n\0"]
        {
            assert!(parse(output.as_bytes(), "m").is_err(), "{output:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_answered(bytes: Vec<u8>, pieces in proptest::collection::vec(0_usize..6, 0..12)) {
            let _ = parse(&bytes, "m");
            let parts: [&[u8]; 6] = [b"\0m\0", b"declare -- a=\"1\"\n", b"\0", b"m", &bytes, b"declare -a b=("];
            let built: Vec<u8> = pieces.iter().flat_map(|index| parts[*index].to_vec()).collect();
            if parse(&built, "m").is_ok() {
                proptest::prop_assert!(is_complete(&built, "m"));
            }
        }
    }
}

//! Whatever an evaluated profile makes bash print, the reader answers with a definition or an error.
//!
//! The input is the exit code's byte, then standard output, standard error and the text of `profiledef.sh`, parted by the line
//! `----`.

#![no_main]

use isoprep::profile::{definition_of, parse_declarations};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((code, rest)) = input.split_first() else { return };
    let mut parts = split(rest, b"\n----\n");
    let mut next = || parts.pop().unwrap_or_default();
    let (output, errors, source) = (next(), next(), next());
    let source = String::from_utf8_lossy(source);
    let lines = source.matches('\n').count() + 1;
    match definition_of(output, errors, i32::from(*code), &source) {
        Ok((definition, warnings)) => {
            assert!(*code == 0, "a failure was taken for an answer");
            assert!(definition.lines.values().all(|line| (1..=lines).contains(line)));
            assert!(!definition.iso_name.is_empty() && !definition.build_modes.is_empty());
            assert!(definition.file_permissions.values().all(|it| it.mode <= 0o7777));
            drop(warnings);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let _ = parse_declarations(output);
});

/// The first three parts, last first.
fn split<'a>(mut bytes: &'a [u8], at: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    while parts.len() < 2
        && let Some(found) = bytes.windows(at.len()).position(|window| window == at)
    {
        parts.insert(0, &bytes[..found]);
        bytes = &bytes[found + at.len()..];
    }
    parts.insert(0, bytes);
    parts
}

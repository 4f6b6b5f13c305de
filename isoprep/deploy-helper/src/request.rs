//! The request: one JSON document on one line. Pure: whether there is such a disk is for `cartridge-disks` to find out.

use std::io::{BufRead, BufReader, Read};

use cartridge_disks::Wanted;
use serde::Deserialize;

use crate::HelperError;

/// The longest request that is read, bytes.
const LONGEST: u64 = 4096;
/// The longest name of a device, as the kernel has it (`DISK_NAME_LEN`).
const LONGEST_NAME: usize = 31;

/// What the caller wants.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// The disk that the user has said yes to.
    pub(crate) disk: Wanted,
    /// Bytes that it must have room for.
    pub(crate) needed: u64,
}

impl Request {
    /// Reads the first line. What else comes is not looked at.
    pub(crate) fn read(input: impl Read) -> Result<Self, HelperError> {
        let mut text = Vec::new();
        BufReader::new(input.take(LONGEST + 1)).read_until(b'\n', &mut text).map_err(HelperError::Read)?;
        Self::parse(&text)
    }

    fn parse(text: &[u8]) -> Result<Self, HelperError> {
        if text.len() as u64 > LONGEST {
            return Err(HelperError::Request(format!("it has more than {LONGEST} bytes")));
        }
        let request: Self = serde_json::from_slice(text).map_err(|error| HelperError::Request(error.to_string()))?;
        let name = &request.disk.name;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'!');
        if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(plain) {
            return Err(HelperError::Request("its disk is no name of a device".to_owned()));
        }
        if request.needed == 0 {
            return Err(HelperError::Request("it needs no room".to_owned()));
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str =
        r#"{"disk":{"name":"sdb","number":{"major":8,"minor":16},"sequence":9,"bytes":8000000000},"needed":700}"#;

    #[test]
    fn what_the_program_writes_is_read() {
        // The same text is in the program's own test.
        let request = Request::read(format!("{GOOD}\nmore").as_bytes()).unwrap();
        assert_eq!((request.disk.name.as_str(), request.disk.sequence, request.needed), ("sdb", Some(9), 700));
    }

    #[test]
    fn nothing_else_is() {
        let long = "x".repeat(32);
        for (from, to) in [
            ("\"sdb\"", "\"\""),
            ("\"sdb\"", "\"../sda\""),
            ("\"sdb\"", "\"sd b\""),
            ("\"sdb\"", "\"sdb\\u0000\""),
            ("\"sdb\"", &format!("\"{long}\"") as &str),
            (":700", ":0"),
            (":700", ":-1"),
            (":700", ":700,\"more\":1"),
            ("\"minor\":16", "\"minor\":4294967296"),
            (",\"bytes\":8000000000", ""),
            ("\"bytes\":", "\"path\":\"/dev/sda\",\"bytes\":"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert!(text != GOOD && Request::parse(text.as_bytes()).is_err(), "{text}");
        }
        for text in ["", "null", "[]", "{}", "\n"] {
            assert!(Request::parse(text.as_bytes()).is_err(), "{text}");
        }
        let mut long = GOOD.as_bytes().to_vec();
        long.resize(LONGEST as usize + 1, b' ');
        assert!(Request::parse(&long).is_err());
    }

    /// Those of the fuzz target.
    #[test]
    fn seeds_are_read() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/seeds/requests");
        let seeds = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let good: Vec<_> = seeds.filter(|it| Request::read(&std::fs::read(it).unwrap()[..]).is_ok()).collect();
        let names: std::collections::BTreeSet<_> = good.iter().filter_map(|it| it.file_name()?.to_str()).collect();
        assert_eq!(names, ["disk"].into());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Request::read(&bytes[..]);
        }
    }
}

//! The request: one JSON document with directories and a time, on one line. Pure: whether the directories are what they should
//! be is for `pinned` to find out.

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::error::HelperError;

/// The longest request that is read, bytes.
pub(crate) const LONGEST: u64 = 16 * 1024;
/// The longest path, bytes (`PATH_MAX`, with its NUL).
const LONGEST_PATH: usize = 4095;
/// The last second that four digits of a year can name: 9999-12-31, as ISO 9660 writes it.
const LAST: u64 = 253_402_300_799;

/// What the caller wants: that what dead helpers left is removed, that an image is built, or both.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// Work directories with Cartridge's marker, in which a helper that was killed left what only root can remove.
    #[serde(default)]
    pub(crate) clear: Vec<PathBuf>,
    /// The image.
    pub(crate) build: Option<Build>,
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Build {
    /// The assembled profile.
    pub(crate) profile: PathBuf,
    /// A work directory with Cartridge's marker.
    pub(crate) work: PathBuf,
    /// A directory inside `work`, for the image.
    pub(crate) out: PathBuf,
    /// Directories of the user's that pacman reads.
    #[serde(default)]
    pub(crate) readable: Vec<PathBuf>,
    /// The time stamp of what is made, seconds since 1970.
    pub(crate) source_date_epoch: u64,
}

impl Request {
    /// Reads a request.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, HelperError> {
        if text.len() as u64 > LONGEST {
            return Err(HelperError::Request(format!("it has more than {LONGEST} bytes")));
        }
        let request: Self = serde_json::from_slice(text).map_err(|error| HelperError::Request(error.to_string()))?;
        request.paths().try_for_each(|(what, path)| match wrong(path) {
            Some(wrong) => Err(HelperError::Path { what, path: path.to_path_buf(), wrong: wrong.to_owned() }),
            None => Ok(()),
        })?;
        match &request.build {
            Some(build) => build.check()?,
            None if request.clear.is_empty() => {
                return Err(HelperError::Request("it asks for nothing".to_owned()));
            }
            None => {}
        }
        Ok(request)
    }

    fn paths(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let build = self.build.iter().flat_map(|it| {
            let one = [("profile", it.profile.as_path()), ("work", &it.work), ("out", &it.out)];
            one.into_iter().chain(it.readable.iter().map(|path| ("readable", path.as_path())))
        });
        self.clear.iter().map(|path| ("clear", path.as_path())).chain(build)
    }
}

impl Build {
    fn check(&self) -> Result<(), HelperError> {
        if self.source_date_epoch > LAST {
            return Err(HelperError::Request("source_date_epoch is after the year 9999".to_owned()));
        }
        self.out_in_work().map(drop)
    }

    /// `out`, relative to `work`.
    pub(crate) fn out_in_work(&self) -> Result<&Path, HelperError> {
        let inside = self.out.strip_prefix(&self.work).ok().filter(|it| !it.as_os_str().is_empty());
        inside.ok_or_else(|| HelperError::Path {
            what: "out",
            path: self.out.clone(),
            wrong: "is not inside work".to_owned(),
        })
    }
}

/// What is wrong with how a path is written.
fn wrong(path: &Path) -> Option<&'static str> {
    use std::os::unix::ffi::OsStrExt;
    let bytes = path.as_os_str().as_bytes();
    if !path.is_absolute() {
        return Some("is not absolute");
    }
    if bytes.len() > LONGEST_PATH {
        return Some("is too long");
    }
    if bytes.contains(&0) {
        return Some("has a NUL byte");
    }
    // `components` hides "." and doubled slashes; the text must not have them either.
    let plain = path.components().skip(1).all(|it| matches!(it, Component::Normal(_)));
    let written: PathBuf = path.components().collect();
    if !plain || written.as_os_str() != path.as_os_str() || path == Path::new("/") {
        return Some("is not a plain path without \".\", \"..\" and doubled slashes");
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn build(text: &[u8]) -> Result<Build, HelperError> {
        Request::parse(text).map(|it| it.build.unwrap())
    }

    fn json(profile: &str, work: &str, out: &str, more: &str) -> Vec<u8> {
        let quote = |text: &str| serde_json::to_string(text).unwrap();
        format!(
            "{{\"build\":{{\"profile\":{},\"work\":{},\"out\":{},\"source_date_epoch\":7{more}}}}}",
            quote(profile),
            quote(work),
            quote(out)
        )
        .into_bytes()
    }

    #[test]
    fn a_request_is_read() {
        let request = build(&json("/a/p", "/a/w", "/a/w/x y/o", "")).unwrap();
        assert_eq!(request.out_in_work().unwrap(), Path::new("x y/o"));
        assert_eq!((request.profile, request.source_date_epoch), (PathBuf::from("/a/p"), 7));
    }

    #[test]
    fn what_the_engine_writes_is_read() {
        // The same text is in the engine's own test.
        let text = br#"{"clear":["/c/old"],"build":{"profile":"/c/profile","work":"/c/s","out":"/c/s/out","readable":["/c/r"],"source_date_epoch":7}}"#;
        let request = Request::parse(text).unwrap();
        assert_eq!((request.clear, request.build.unwrap().readable), (vec!["/c/old".into()], vec!["/c/r".into()]));
        assert_eq!(Request::parse(br#"{"clear":["/c/old"]}"#).unwrap().build, None);
    }

    #[test]
    fn nothing_else_is() {
        let good = ["/a/p", "/a/w", "/a/w/o"];
        for (index, bad) in [0, 1, 2].into_iter().flat_map(|index| {
            ["", "/", "a/b", "/a/../b", "/a/./b", "/a//b", "/a/b/", "/a\0b", "../w", "/.."].map(|bad| (index, bad))
        }) {
            let mut paths = good;
            paths[index] = bad;
            assert!(Request::parse(&json(paths[0], paths[1], paths[2], "")).is_err(), "{paths:?}");
        }
        for out in ["/a/w", "/a/wo", "/a/o", "/a"] {
            assert!(Request::parse(&json("/a/p", "/a/w", out, "")).is_err(), "{out}");
        }
        assert!(Request::parse(&json("/a/p", "/a/w", "/a/w/o", ",\"more\":1")).is_err());
        assert!(Request::parse(&json("/a/p", "/a/w", "/a/w/o", ",\"work\":\"/b\"")).is_err());
        assert!(Request::parse(&json("/a/p", "/a/w", "/a/w/o", ",\"readable\":[\"/a/../b\"]")).is_err());
        for text in ["{}", "{\"clear\":[]}", "{\"clear\":[\"/a/\"]}", "{\"clear\":[\"/a\"],\"more\":1}"] {
            assert!(Request::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Request::parse(b"").is_err() && Request::parse(b"null").is_err() && Request::parse(b"[]").is_err());
        let mut long = json("/a/p", "/a/w", "/a/w/o", "");
        long.resize(LONGEST as usize + 1, b' ');
        assert!(Request::parse(&long).is_err());
        let late = String::from_utf8(json("/a/p", "/a/w", "/a/w/o", "")).unwrap();
        assert!(Request::parse(late.replace(":7", ":253402300800").as_bytes()).is_err());
        assert!(Request::parse(late.replace(":7", ":-1").as_bytes()).is_err());
    }

    /// Those of the fuzz target.
    #[test]
    fn seeds_are_read() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/seeds/requests");
        let seeds = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let good: Vec<_> = seeds.filter(|it| Request::parse(&std::fs::read(it).unwrap()).is_ok()).collect();
        let names: std::collections::BTreeSet<_> = good.iter().filter_map(|it| it.file_name()?.to_str()).collect();
        assert_eq!(names, ["both", "clear", "here"].into());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Request::parse(&bytes);
        }

        #[test]
        fn what_is_accepted_is_plain(profile in "[/a.b \\n\"\u{e4}]{0,12}", work in "[/a.b]{0,12}", tail in "[/a.b]{0,12}") {
            let out = format!("{work}{tail}");
            if let Ok(request) = build(&json(&profile, &work, &out, "")) {
                for path in [&request.profile, &request.work, &request.out] {
                    let text = path.to_str().unwrap();
                    prop_assert!(text.starts_with('/') && text.len() > 1 && !text.ends_with('/'));
                    prop_assert!(!text.split('/').skip(1).any(|it| it.is_empty() || it == "." || it == ".."));
                }
                prop_assert!(request.out.starts_with(&request.work) && request.out != request.work);
            }
        }
    }
}

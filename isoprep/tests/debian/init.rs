//! The reporter that the program carries, made by the very code that makes it for the program. It is taken as a file,
//! because the image builder does not know the machine room.
#![allow(dead_code, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

#[path = "../../../vmtools/build.rs"]
mod maker;

/// Says where it is to somebody who cannot build it.
pub const READY: &str = "CARTRIDGE_TEST_INIT";

/// Where the reporter is.
pub fn file() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        if let Some(ready) = std::env::var_os(READY) {
            return ready.into();
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let made = maker::build(root, &made_for_the_program(tmp).unwrap_or_else(|| tmp.join("guest-target")));
        made.unwrap_or_else(|e| panic!("{e}"))
    })
}

/// What the build of the program left, newest first: then nothing has to be made again.
fn made_for_the_program(tmp: &Path) -> Option<PathBuf> {
    let profiles = fs::read_dir(tmp.parent()?).ok()?.flatten().map(|it| it.path().join("build"));
    let builds = profiles.filter_map(|it| fs::read_dir(it).ok()).flat_map(|it| it.flatten());
    let targets = builds.map(|it| it.path().join("out/guest-target")).filter(|it| it.is_dir());
    targets.max_by_key(|it| it.metadata().and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH))
}

/// The reporter itself.
pub fn bytes() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| fs::read(file()).unwrap())
}

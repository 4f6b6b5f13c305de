//! What the last build of a cartridge left, remembered beside its image, so that a later session can boot it.

use std::path::Path;

use isoprep::{BuildKind, EngineKind, Image, Recipe};
use serde::{Deserialize, Serialize};

/// In the image directory of a cartridge: what the last build left.
pub(super) const IMAGE_RECORD: &str = "image.json";
/// Beside it: how long its stages took.
pub(super) const TIMES: &str = "times.json";

/// An image, and what is known of it besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Built {
    #[serde(flatten)]
    pub(super) image: Image,
    /// Why nothing in it reports, if that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mute: Option<String>,
}

impl Built {
    /// The image that a build of `recipe` has left.
    pub(super) fn new(image: Image, recipe: &Recipe) -> Self {
        Self { image, mute: mute(recipe.image.engine, recipe.image.build) }
    }

    /// The image that the record tells of, if it is there and no younger than its record: a build that was killed between
    /// the two leaves an image that nobody knows.
    pub(super) fn load(record: &Path) -> Option<Self> {
        let built: Self = serde_json::from_str(&std::fs::read_to_string(record).ok()?).ok()?;
        let (iso, told) = (built.image.iso.metadata().ok()?, record.metadata().ok()?);
        let known = iso.is_file() && iso.len() == built.image.bytes && iso.modified().ok()? <= told.modified().ok()?;
        known.then_some(built)
    }

    /// Remembers it.
    pub(super) fn save(&self, record: &Path) -> std::io::Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(std::io::Error::other)?;
        isoprep::save_atomically(record, &text)
    }
}

/// Why an image has no program of ours in it that reports.
fn mute(engine: EngineKind, build: BuildKind) -> Option<String> {
    let why = match (engine, build) {
        (EngineKind::Micro, _) => return None,
        (EngineKind::Mkarchiso, _) => "mkarchiso puts nothing of Cartridge's into it (engine = \"mkarchiso\")",
        (_, BuildKind::Release) => "a release has nothing of Cartridge's in it (build = \"release\")",
        (_, BuildKind::Dev) => return None,
    };
    Some(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_comes_back_and_an_older_record_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let (iso, record) = (dir.path().join("x.iso"), dir.path().join(IMAGE_RECORD));
        std::fs::write(&iso, "12345").unwrap();
        let image = Image {
            iso,
            bytes: 5,
            kernel: "/k".into(),
            initrds: vec![],
            cmdline: String::new(),
            kernel_version: "6".into(),
            files: 1,
            tree_hash: "0".into(),
            reused: false,
        };
        let built = Built { image: image.clone(), mute: mute(EngineKind::Archiso, BuildKind::Release) };
        built.save(&record).unwrap();
        assert_eq!(Built::load(&record), Some(built));
        std::fs::write(&record, serde_json::to_string(&image).unwrap()).unwrap();
        assert_eq!(Built::load(&record), Some(Built { image: image.clone(), mute: None }));
        std::fs::write(&image.iso, "changed").unwrap();
        assert_eq!(Built::load(&record), None);
    }

    #[test]
    fn an_image_of_ours_reports_unless_it_is_a_release() {
        assert_eq!(mute(EngineKind::Micro, BuildKind::Release), None);
        assert_eq!(mute(EngineKind::Debian, BuildKind::Dev), None);
        assert!(mute(EngineKind::Tree, BuildKind::Release).unwrap().contains("release"));
        assert!(mute(EngineKind::Mkarchiso, BuildKind::Dev).unwrap().contains("mkarchiso"));
    }
}

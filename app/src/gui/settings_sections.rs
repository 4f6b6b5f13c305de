//! Which fields the form shows, under which titles and in which order: what decides most comes first, and what means
//! nothing to the chosen engine is left out. Pure.

use isoprep::{EngineKind, FIELDS, FieldDoc};

use crate::session::event::{CartridgeView, FieldView};

/// The field that names the engine.
pub const ENGINE: &str = "image.engine";

/// A title, the keys that come first under it, in order, and the section of the file whose other fields follow.
struct Section {
    title: &'static str,
    keys: &'static [&'static str],
    rest: Option<&'static str>,
    /// Whether it is folded away until it is asked for.
    folded: bool,
}

const SECTIONS: [Section; 9] = [
    Section { title: "Cartridge", keys: &[ENGINE, "name", "image.build"], rest: Some(""), folded: false },
    Section {
        title: "Image",
        keys: &["image.base", "image.overlays", "image.remove", "image.packages", "image.pacman_conf", "image.mirror"],
        rest: None,
        folded: false,
    },
    Section {
        title: "Repository",
        keys: &["source.path", "source.into", "source.exclude"],
        rest: Some("source"),
        folded: false,
    },
    Section { title: "Live system", keys: &["image.files", "image.env"], rest: None, folded: false },
    Section { title: "Booting", keys: &["image.kernel", "image.cmdline"], rest: Some("image"), folded: false },
    Section { title: "Direct boot", keys: &[], rest: Some("boot"), folded: true },
    Section {
        title: "Guest",
        keys: &[
            "guest.cpus",
            "guest.memory",
            "guest.firmware",
            "guest.disk",
            "guest.gpu",
            "guest.network",
            "guest.forward",
        ],
        rest: None,
        folded: false,
    },
    Section { title: "More of the guest", keys: &[], rest: Some("guest"), folded: true },
    Section { title: "Test", keys: &[], rest: Some("test"), folded: true },
];

/// The engine that a cartridge names, if it is one.
#[must_use]
pub fn engine(cartridge: &CartridgeView) -> Option<EngineKind> {
    let named = cartridge.fields.iter().find(|field| field.key == ENGINE)?;
    EngineKind::ALL.into_iter().find(|engine| engine.word() == named.value)
}

/// The sections of the form, whether each is folded until it is asked for, and their fields. A field that means nothing to the engine is there only if it is set all the
/// same, so that it can be seen and taken away.
pub fn sections(
    cartridge: &CartridgeView,
) -> impl Iterator<Item = (&'static str, bool, impl Iterator<Item = (&'static FieldDoc, &FieldView)> + Clone)> {
    let engine = engine(cartridge);
    SECTIONS.iter().map(move |section| {
        let fields = docs(section).filter_map(move |doc| {
            let view = cartridge.fields.iter().find(|view| view.key == doc.key)?;
            let means = engine.is_none_or(|engine| doc.engines.contains(&engine));
            (means || !view.is_default || view.error.is_some()).then_some((doc, view))
        });
        (section.title, section.folded, fields)
    })
}

fn docs(section: &'static Section) -> impl Iterator<Item = &'static FieldDoc> + Clone {
    let first = section.keys.iter().filter_map(|key| FIELDS.iter().find(|doc| doc.key == *key));
    let named = |doc: &&FieldDoc| SECTIONS.iter().any(|section| section.keys.contains(&doc.key));
    let rest = FIELDS.iter().filter(move |doc| Some(section_of(doc.key)) == section.rest && !named(doc));
    first.chain(rest)
}

fn section_of(key: &str) -> &str {
    key.split_once('.').map_or("", |(section, _)| section)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cartridge(engine: &str, set: &[&str]) -> CartridgeView {
        let field = |doc: &FieldDoc| FieldView {
            key: doc.key.to_owned(),
            value: if doc.key == ENGINE { engine.to_owned() } else { doc.default.to_owned() },
            is_default: !set.contains(&doc.key),
            error: None,
        };
        CartridgeView { fields: FIELDS.iter().map(field).collect(), ..CartridgeView::default() }
    }

    fn keys(cartridge: &CartridgeView) -> Vec<&'static str> {
        sections(cartridge).flat_map(|(_, _, fields)| fields.map(|(doc, _)| doc.key).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn every_field_is_there_once_and_the_engine_is_first() {
        let mut all = keys(&cartridge("a typing error", &[]));
        assert_eq!(all[0], ENGINE);
        all.sort_unstable();
        let mut wanted: Vec<_> = FIELDS.iter().map(|doc| doc.key).collect();
        wanted.sort_unstable();
        assert_eq!(all, wanted);
    }

    #[test]
    fn an_engine_shows_what_means_something_to_it_and_what_is_set_all_the_same() {
        let micro = keys(&cartridge("micro", &[]));
        assert!(micro.contains(&"image.kernel") && !micro.contains(&"image.overlays"));
        let archiso = keys(&cartridge("archiso", &[]));
        assert!(archiso.contains(&"image.overlays") && !archiso.contains(&"image.kernel"));
        assert!(keys(&cartridge("archiso", &["image.kernel"])).contains(&"image.kernel"));
    }
}

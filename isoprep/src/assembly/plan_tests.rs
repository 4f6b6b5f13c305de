//! What holds for every plan, whatever the layers are made of.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use proptest::prelude::*;

use super::listing::{Found, Listed, Listing, Single};
use super::model::{Assembly, Ingredients, Kind};
use super::plan::plan;
use super::{nodes, text};
use crate::cache::stat_index::Look;

/// Few names, so that layers meet; some that no path should have.
fn name() -> impl Strategy<Value = String> {
    let usual = ["airootfs", "etc", "root", "demo", "profiledef.sh", "packages.x86_64", "a", "b", "profile.d"];
    prop_oneof![9 => proptest::sample::select(usual.to_vec()).prop_map(str::to_owned),
                1 => proptest::sample::select(vec!["..", ".", "", "/", "a\nb", "x\0y"]).prop_map(str::to_owned)]
}

fn path() -> impl Strategy<Value = PathBuf> {
    prop::collection::vec(name(), 0..5).prop_map(|names| PathBuf::from(names.join("/")))
}

fn listed() -> impl Strategy<Value = Listed> {
    let target = prop::collection::vec(name(), 0..4).prop_map(|names| OsString::from(names.join("/")));
    let kind = prop_oneof![
        Just(Kind::Dir),
        (0..9_u64).prop_map(|size| Kind::File { size }),
        target.prop_map(|target| Kind::Link { target })
    ];
    (kind, 0..0o10000_u32).prop_map(|(kind, mode)| Listed { kind, mode, look: Look::default() })
}

fn layer() -> impl Strategy<Value = Listing> {
    prop::collection::btree_map(path(), listed(), 0..12).prop_map(|entries| {
        let lists = entries.keys().map(|path| (path.clone(), b"base\n".to_vec())).collect();
        Listing { root: "/layer".into(), entries, left_out: Vec::new(), lists }
    })
}

fn ingredients() -> impl Strategy<Value = Ingredients> {
    let files =
        prop::collection::btree_map(path().prop_map(|it| Path::new("/").join(it)), Just(PathBuf::from("/f")), 0..4);
    let packages = prop::collection::vec("[a-z -]{0,3}", 0..3);
    let env = prop::collection::btree_map("[A-Z ]{0,2}", ".{0,3}", 0..2);
    (prop::collection::vec(path(), 0..4), files, packages, env, path(), prop::option::of(path()), any::<bool>())
        .prop_map(|(remove, files, packages, env, into, package_list, conf)| Ingredients {
            base: "/layer".into(),
            overlays: Vec::new(),
            remove,
            pacman_conf: conf.then(|| "/f".into()),
            packages,
            package_list,
            files,
            env,
            into: Path::new("/").join(into),
        })
}

fn check(assembly: &Assembly) -> Result<(), TestCaseError> {
    for (path, piece) in &assembly.pieces {
        let plain = !path.as_os_str().is_empty() && path.components().all(|it| matches!(it, Component::Normal(_)));
        prop_assert!(plain && path.components().collect::<PathBuf>().as_os_str() == path.as_os_str(), "{:?}", path);
        prop_assert!(!path.as_os_str().as_encoded_bytes().contains(&0), "{:?}", path);
        let above = path.parent().filter(|it| !it.as_os_str().is_empty());
        let in_folder = above.is_none_or(|above| assembly.pieces.get(above).is_some_and(super::Piece::is_dir));
        prop_assert!(in_folder, "{:?} lies in no folder", path);
        if let Some(text) = &piece.text {
            prop_assert_eq!(piece.size(), text.len() as u64);
        }
    }
    for (path, mode) in assembly.modes(&BTreeMap::new()) {
        let piece = assembly.pieces.get(&Path::new("airootfs").join(path.strip_prefix("/").unwrap_or(&path)));
        let has_mode = piece.is_some_and(|piece| !matches!(piece.kind, Kind::Link { .. }));
        prop_assert!(has_mode && mode <= 0o7777);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn no_path_leads_out_and_all_above_a_piece_are_folders(
        layers in prop::collection::vec(layer(), 0..4),
        ingredients in ingredients(),
    ) {
        let single = Single { from: "/f".into(), size: 3, mode: 0o640, look: Look::default() };
        let found = Found { layers, singles: [("/f".into(), single)].into(), problems: Vec::new() };
        let assembly = plan(&ingredients, &found);
        check(&assembly)?;
        prop_assert_eq!(&plan(&ingredients, &found), &assembly);
        // Every node is somebody's child, and every child is counted.
        let nodes = nodes(&assembly);
        let top: usize = nodes.iter().filter(|node| node.depth == 0).map(|node| node.below + 1).sum();
        let rooted = nodes.first().is_none_or(|node| node.depth == 0);
        prop_assert!(!rooted || top == nodes.len());
        let lines = text(&assembly).lines().count();
        let others = assembly.layers.len() + 1 + assembly.problems.len() + assembly.warnings.len();
        prop_assert_eq!(lines, nodes.len() + others);
    }
}

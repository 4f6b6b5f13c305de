//! The values of a profile as lines of bash, for a copy whose own text cannot find them: it asks git, or reads what lies beside
//! the profile, and a copy has neither. Pure.

use std::path::{Path, PathBuf};

use super::permissions::{Modes, permissions_block, quote};
use crate::profile::{FilePermission, ImageType, Profile};

/// Lines that set what mkarchiso reads to what `profile` says, and then `modes`; `conf` is the `pacman.conf` in the copy.
pub(crate) fn values_block(profile: &Profile, modes: &Modes, conf: &Path) -> Vec<u8> {
    let it = &profile.definition;
    let mut block =
        b"\n# The values of the profile where it lies, added by Cartridge to this copy, which has no checkout.\n"
            .to_vec();
    for (name, value) in [
        ("iso_name", it.iso_name.as_str()),
        ("iso_label", &it.iso_label),
        ("iso_publisher", &it.iso_publisher),
        ("iso_application", &it.iso_application),
        ("iso_version", &it.iso_version),
        ("install_dir", &it.install_dir),
        ("arch", &it.arch),
        ("airootfs_image_type", word(&it.image_type)),
    ] {
        set(&mut block, name, Path::new(value));
    }
    set(&mut block, "pacman_conf", conf);
    if let Some(list) = own_list(profile) {
        set(&mut block, "packages", &list);
    }
    let modes_of_boot: Vec<String> = it.boot_modes.iter().map(|mode| mode.word.clone()).collect();
    for (name, list) in [
        ("buildmodes", &it.build_modes),
        ("bootmodes", &modes_of_boot),
        ("airootfs_image_tool_options", &it.image_tool_options),
        ("bootstrap_tarball_compression", &it.bootstrap_compression),
        ("pkg_list", &it.pkg_list),
        ("bootstrap_pkg_list", &it.bootstrap_pkg_list),
    ] {
        block.extend(format!("declare -ga {name}=(").bytes());
        for value in list {
            quote(Path::new(value), &mut block);
            block.push(b' ');
        }
        block.extend(b")\n");
    }
    block.extend(b"declare -gA file_permissions=()\n");
    for (path, FilePermission { uid, gid, mode }) in &it.file_permissions {
        block.extend(b"file_permissions+=([");
        quote(Path::new(path), &mut block);
        block.extend(format!("]='{uid}:{gid}:{mode:o}')\n").bytes());
    }
    block.extend(permissions_block(modes));
    block
}

/// Whether a copy, read as mkarchiso will, has the values of `profile`, the `modes` and the `conf`.
pub(crate) fn has_values(copy: &Profile, profile: &Profile, modes: &Modes, conf: &Path) -> bool {
    let (mut wanted, mut found) = (profile.definition.clone(), copy.definition.clone());
    let root = |mode: &u32| FilePermission { uid: 0, gid: 0, mode: *mode };
    // A key that is no text cannot be read back; bash has it all the same.
    let texts = modes.iter().filter_map(|(path, mode)| Some((path.to_str()?.to_owned(), root(mode))));
    wanted.file_permissions.extend(texts);
    found.file_permissions.retain(|path, _| wanted.file_permissions.contains_key(path));
    wanted.pacman_conf = conf.to_path_buf();
    for it in [&mut wanted, &mut found] {
        (it.internal, it.unknown, it.lines) = Default::default();
    }
    let list = |it: &Profile| it.packages.packages.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
    found == wanted && list(copy) == list(profile)
}

/// The package list by its path in the profile, where it is not the usual one.
fn own_list(profile: &Profile) -> Option<PathBuf> {
    let list = profile.packages.file.strip_prefix(&profile.dir).ok()?;
    let usual = format!("packages.{}", profile.definition.arch);
    (list != Path::new(&usual)).then(|| list.to_path_buf())
}

fn set(block: &mut Vec<u8>, name: &str, value: &Path) {
    block.extend(format!("declare -g {name}=").bytes());
    quote(value, block);
    block.push(b'\n');
}

fn word(kind: &ImageType) -> &str {
    match kind {
        ImageType::Squashfs => "squashfs",
        ImageType::Erofs => "erofs",
        ImageType::Ext4Squashfs => "ext4+squashfs",
        ImageType::Unknown(word) => word,
    }
}

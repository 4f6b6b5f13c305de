//! The base of an image: what the first stage of every engine of a distribution leaves in the cache, and what those
//! stages do alike. A root of its own is made and filled, what boot loaders and layers need is taken out of it, the
//! rest is packed; the root is removed again in any case.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::build::{BuildError, room_for};
use crate::cache::{Cache, Entry, atomic};
use crate::host::Tools;
use crate::plan::Key;
use crate::progress::Reporter;
use crate::rootfs::{KeptRoot, Packing, RootTree, Script, pack_command};

/// The packed root in the entry.
pub(crate) const ROOT: &str = "root.sfs";
/// What boot loaders are made of, in the entry: a folder with the root's own paths.
pub(crate) const BOOT: &str = "boot";
/// Names and versions of the packages.
pub(crate) const PACKAGE_LIST: &str = "pkglist.txt";
/// The folders of the root with modes and owners, NUL-terminated.
const FOLDERS: &str = "folders";
/// What was installed, as JSON.
pub(crate) const INSTALLED: &str = "installed.json";

/// A package of the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledPackage {
    /// Its name.
    pub name: String,
    /// `epoch:version-release`.
    pub version: String,
    /// The repository that it came from; empty where that is not known.
    pub repository: String,
}

/// Makes an entry in an empty root below `work`. `make` fills the root and the entry's folder, which programs of the root may
/// not write, and says what was installed. `needed` is the room to ask for before anything is done, bytes. With the entry comes
/// the root itself, as it was packed.
pub(crate) fn base(
    (work, epoch, needed): (&Path, u64, u64),
    (cache, key): (&Cache, Key),
    reporter: &Reporter<'_>,
    make: impl FnOnce(&mut RootTree<'_>, &Path) -> Result<Vec<InstalledPackage>, BuildError>,
) -> Result<(Entry, KeptRoot), BuildError> {
    let stage = reporter.stage;
    room_for(stage, work, needed)?;
    let write = |e| BuildError::write(stage, Path::new("the cache"), needed)(e);
    let draft = cache.draft(stage, key).map_err(write)?;
    let dir = draft.file("");
    let mut tree = RootTree::create(work, epoch, reporter)?;
    // Whatever happens: a tree of lent users is not left for others to remove.
    let kept = KeptRoot::new(&tree);
    let installed = make(&mut tree, &dir)?;
    let file = dir.join(INSTALLED);
    let listed = serde_json::to_vec(&installed).map_err(io::Error::other);
    listed.and_then(|bytes| atomic::write_new(&file, &bytes)).map_err(BuildError::write(stage, &file, 0))?;
    Ok((draft.commit().map_err(write)?, kept))
}

/// Copies everything that boot loaders are made of out of `root`, at the same paths, and says which folders the root
/// has, for layers that are laid over it.
pub(crate) fn collect(root: &Path, entry: &Path) -> Script {
    let mut script = Script::new();
    script.set("root", root).set("to", entry.join(BOOT)).set("folders", entry.join(FOLDERS)).text(COLLECT);
    script
}

/// A link is followed within the root only.
const COLLECT: &str = r#"cd -- "$root"
here=$(pwd -P)
mkdir -p -- "$to"
wanted=(boot/vmlinuz-* boot/initramfs-*.img boot/initrd.img-* boot/initrd-* boot/{intel-uc,intel-ucode,amd-uc,amd-ucode}.img
    boot/{early_ucode,microcode}.cpio boot/memtest86+/memtest.{bin,efi} usr/lib/syslinux/bios/*.c32
    usr/lib/syslinux/bios/{lpxelinux.0,memdisk,isolinux.bin,isohdpfx.bin} usr/lib/systemd/boot/efi/systemd-boot*.efi
    usr/share/edk2-shell/*/Shell_Full.efi usr/share/hwdata/pci.ids usr/lib/modules/*/modules.alias
    usr/share/licenses/{intel-uc,intel-ucode,amd-uc,amd-ucode}/* usr/share/licenses/spdx/GPL-2.0-only.txt)
there=()
for file in "${wanted[@]}"; do
    if [ -f "$file" ]; then there+=("$file"); fi
done
if [ ${#there[@]} -gt 0 ]; then
    mapfile -d '' -t real < <(realpath -ez -- "${there[@]}")
    if [ ${#real[@]} -ne ${#there[@]} ]; then echo "error: the root changes while it is read" >&2; exit 1; fi
    for i in "${!there[@]}"; do
        case ${real[i]} in
            "${here%/}"/*) ;;
            *) echo "warning: ${there[i]} leads out of the root and is passed over"; unset "there[i]" ;;
        esac
    done
fi
if [ ${#there[@]} -gt 0 ]; then
    cp -L --parents --preserve=timestamps -t "$to" -- "${there[@]}"
    find "$to" -mindepth 1 \( -type d -exec chmod 755 -- {} + \) -o -exec chmod 644 -- {} +
fi
find . -xdev -type d -printf '%m %U %G %p\0' >"$folders""#;

/// Shell functions that print name and version of each package of `$root`, sorted: from alpm's local database (`desc`,
/// `%NAME%`, `%VERSION%`), and from dpkg's (deb-control(5), `Status`).
pub(crate) const PACKAGE_LISTS: &str = r#"pacman_packages() {
    # One awk for all: a root has a thousand of these files, or none at all.
    if [ ! -d "$root/var/lib/pacman/local" ]; then return 0; fi
    find "$root/var/lib/pacman/local" -mindepth 2 -maxdepth 2 -name desc -print0 |
        LC_ALL=C xargs -0r awk 'FNR == 1 && NR > 1 { print name " " version; name = version = "" }
            /^%NAME%$/ { getline name } /^%VERSION%$/ { getline version } END { print name " " version }' | LC_ALL=C sort
}
dpkg_packages() {
    awk '/^Package: / { name = $2; version = ""; there = 0 } /^Status: / { there = $NF == "installed" }
        /^Version: / { version = $2 } /^$/ { if (there) print name " " version; there = 0 }
        END { if (there) print name " " version }' "$root/var/lib/dpkg/status" | LC_ALL=C sort
}"#;

/// Takes away what every root has and no image must carry, or what differs from run to run: temporary files and the
/// caches of ldconfig. The machine's identity is left empty, or says `$identity`.
pub(crate) const TIDY: &str = r#"clean() { if [ -d "$1" ]; then find "$@" -delete; fi; }
clean "$root/var/tmp" -mindepth 1
rm -f -- "$root/etc/machine-id" "$root/var/cache/ldconfig/aux-cache"
printf '%s' "$identity" >"$root/etc/machine-id""#;

/// Packs `root`, as `packing` says. Nothing is mounted in it any more: what was, was in the namespaces of the processes before.
pub(crate) fn pack(
    tools: &Tools,
    tree: &RootTree<'_>,
    (root, entry, epoch): (&Path, &Path, u64),
    packing: &Packing,
    more: &[&str],
) -> Result<(), BuildError> {
    let tool = tools.program("mksquashfs").map_err(|what| BuildError::missing(tree.stage(), what))?;
    let line = pack_command(tool, packing, root, &entry.join(ROOT), epoch);
    tree.run(line.args(more), tree.isolation().writable(entry)).map(drop)
}

/// The packages of [`PACKAGE_LIST`], with the repository that `from` knows.
pub(crate) fn listed(entry: &Path, from: impl Fn(&str) -> Option<String>) -> io::Result<Vec<InstalledPackage>> {
    let text = fs::read_to_string(entry.join(PACKAGE_LIST))?;
    let package = |line: &str| {
        let (name, version) = line.split_once(' ')?;
        let repository = from(name).unwrap_or_default();
        Some(InstalledPackage { name: name.to_owned(), version: version.to_owned(), repository })
    };
    Ok(text.lines().filter_map(package).collect())
}

/// A folder of the root: permission bits, owner and group by its path.
pub(crate) type Folders = BTreeMap<PathBuf, (u32, u32, u32)>;

/// The folders that the root of an entry has.
pub(crate) fn folders(entry: &Entry) -> io::Result<Folders> {
    use std::os::unix::ffi::OsStringExt;
    let place = entry.file(FOLDERS);
    let open = fs::File::open(&place).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", place.display())));
    let mut folders = Folders::new();
    for record in io::BufReader::new(open?).split(0) {
        let record = record?;
        let mut parts = record.splitn(4, |byte| *byte == b' ');
        let mut number = |radix| {
            let text = std::str::from_utf8(parts.next()?).ok()?;
            u32::from_str_radix(text, radix).ok()
        };
        let (Some(mode), Some(uid), Some(gid)) = (number(8), number(10), number(10)) else { continue };
        let Some(path) = parts.next() else { continue };
        let path = PathBuf::from(std::ffi::OsString::from_vec(path.to_vec()));
        folders.insert(Path::new("/").join(path.strip_prefix(".").unwrap_or(&path)), (mode, uid, gid));
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bash(script: &Script) -> String {
        let line = cartridge_supervise::CommandLine::new("bash").stdin(script.bytes());
        let output =
            cartridge_supervise::run(&line, &crate::Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn only_what_lies_in_the_root_is_collected() {
        let dir = tempfile::tempdir().unwrap();
        let (root, entry) = (dir.path().join("ro'ot"), dir.path().join("entry"));
        for folder in [&root.join("boot"), &root.join("etc"), &entry] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(dir.path().join("secret"), "secret").unwrap();
        fs::write(root.join("boot/vmlinuz-6.1"), "kernel").unwrap();
        fs::write(root.join("boot/initrd.img-6.1"), "initrd").unwrap();
        std::os::unix::fs::symlink("vmlinuz-6.1", root.join("boot/vmlinuz-linux")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("secret"), root.join("boot/vmlinuz-evil")).unwrap();
        let said = bash(&collect(&root, &entry));
        assert!(said.contains("vmlinuz-evil leads out of the root"), "{said}");
        let boot = entry.join(BOOT).join("boot");
        let mut names: Vec<_> = fs::read_dir(&boot).unwrap().map(|it| it.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["initrd.img-6.1", "vmlinuz-6.1", "vmlinuz-linux"]);
        let folders = fs::read(entry.join(FOLDERS)).unwrap();
        assert!(folders.split(|byte| *byte == 0).any(|it| it.ends_with(b" ./etc")));
    }

    #[test]
    fn installed_packages_are_listed_from_both_databases() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let file = root.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write(
            "var/lib/dpkg/status",
            "Package: zlib\nStatus: install ok installed\nVersion: 1:1.2-3\n\nPackage: gone\nStatus: deinstall ok config-files\n\
             Version: 1\n\nPackage: apt\nStatus: install ok installed\nVersion: 2.6",
        );
        write("var/lib/pacman/local/a-1/desc", "%NAME%\na\n\n%VERSION%\n1-1\n\n");
        let mut script = Script::new();
        script.set("root", root.path()).text(PACKAGE_LISTS).text("dpkg_packages; pacman_packages");
        assert_eq!(bash(&script), "apt 2.6\nzlib 1:1.2-3\na 1-1\n");
    }
}

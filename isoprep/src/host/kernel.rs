//! Kernels: where they lie, which version they are, and which is the best to boot.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{HostSearch, MissingPart, below};

/// A kernel that can be booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The bzImage.
    pub image: PathBuf,
    /// What `/lib/modules/<version>` would be, if there is one with a `modules.dep`.
    pub modules: Option<PathBuf>,
    /// The release, as `uname -r` will say.
    pub version: String,
}

/// Every kernel that can be read, best first: with modules before without, the running one, then ordinary kernels before
/// cloud and real-time ones, then the newest.
#[must_use]
pub fn kernels(search: &HostSearch) -> Vec<Kernel> {
    let mut found = Vec::new();
    for image in candidates(search) {
        let Ok(version) = version_of(&image) else { continue };
        let kernel = Kernel { modules: modules_of(search, &image, &version), image, version };
        if !found.iter().any(|known: &Kernel| known.version == kernel.version && known.modules == kernel.modules) {
            found.push(kernel);
        }
    }
    let running = rustix::system::uname().release().to_string_lossy().into_owned();
    found.sort_by_cached_key(|kernel| std::cmp::Reverse(merit(kernel, &running)));
    found
}

/// The kernel that the recipe asks for, or the best.
pub(super) fn choose(search: &HostSearch) -> Result<Kernel, MissingPart> {
    let Some(image) = &search.kernel else {
        let advice = "install one (linux-image-amd64 on Debian, linux on Arch, kernel-core on Fedora) and make it readable \
                      (Ubuntu: sudo chmod +r /boot/vmlinuz-*), or name one as image.kernel";
        let looked = || {
            candidates(search).map(|path| match version_of(&path) {
                Ok(version) => format!("{}: {version}", path.display()),
                Err(why) => why,
            })
        };
        let places = ["/lib/modules/*/vmlinuz", "/usr/lib/modules/*/vmlinuz", "/boot/vmlinuz-*"];
        let places = places.iter().map(|place| below(&search.root, Path::new(place)).display().to_string());
        let stores = search.kernel_stores.iter().map(|store| store.join("*/vmlinuz").display().to_string());
        return kernels(search).into_iter().next().ok_or_else(|| MissingPart {
            part: "a kernel",
            looked: stores.chain(places).chain(looked()).collect(),
            advice: advice.to_owned(),
        });
    };
    match version_of(image) {
        Ok(version) => Ok(Kernel { modules: modules_of(search, image, &version), image: image.clone(), version }),
        Err(why) => Err(MissingPart {
            part: "the kernel of image.kernel",
            looked: vec![why],
            advice: "name a readable Linux bzImage, usually called vmlinuz".to_owned(),
        }),
    }
}

fn candidates(search: &HostSearch) -> impl Iterator<Item = PathBuf> {
    let inside = |dir: PathBuf| children(&dir).into_iter().map(|it| it.join("vmlinuz"));
    let stores = search.kernel_stores.clone().into_iter().flat_map(inside);
    let modules = ["/lib/modules", "/usr/lib/modules"].map(|dir| below(&search.root, Path::new(dir)));
    let boot = children(&below(&search.root, Path::new("/boot")));
    let named = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"));
    stores
        .chain(modules.into_iter().flat_map(inside))
        .filter(|path| path.exists())
        .chain(boot.into_iter().filter(named))
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|it| it.path()).collect();
    paths.sort();
    paths
}

fn modules_of(search: &HostSearch, image: &Path, version: &str) -> Option<PathBuf> {
    let beside = image.parent().map(|dir| [dir.join("modules"), dir.to_path_buf()]).into_iter().flatten();
    let usual = ["/lib/modules", "/usr/lib/modules"].map(|dir| below(&search.root, Path::new(dir)).join(version));
    beside.chain(usual).find(|dir| super::readable(&dir.join("modules.dep")).is_ok())
}

/// What makes one kernel better than another; greater is better.
fn merit(kernel: &Kernel, running: &str) -> (bool, bool, bool, Vec<u64>) {
    let special = ["cloud", "-rt", "+rt", "kdump", "rescue"].iter().any(|word| kernel.version.contains(word));
    let numbers = kernel.version.split(|c: char| !c.is_ascii_digit()).filter_map(|it| it.parse().ok()).collect();
    (kernel.modules.is_some(), kernel.version == running, !special, numbers)
}

/// The release of a bzImage, as `uname -r` will say it, if it is one.
#[must_use]
pub(crate) fn release_of(image: &Path) -> Option<String> {
    version_of(image).ok()
}

/// Reads the release from a bzImage.
fn version_of(image: &Path) -> Result<String, String> {
    // The version string lies in the setup sectors: at most 64 of them and the boot sector, 512 bytes each.
    let mut head = Vec::new();
    let read = File::open(image).and_then(|file| file.take(65 * 512).read_to_end(&mut head));
    read.map_err(|e| format!("{}: {e}", image.display()))?;
    parse_version(&head).ok_or_else(|| format!("{}: not a Linux bzImage", image.display()))
}

/// The first word of the version string of a boot protocol header (kernel `Documentation/arch/x86/boot.rst`:
/// `HdrS` at 0x202, `kernel_version` at 0x20e, counted from 0x200).
fn parse_version(head: &[u8]) -> Option<String> {
    if head.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let at = usize::from(u16::from_le_bytes([*head.get(0x20e)?, *head.get(0x20f)?])) + 0x200;
    let text: Vec<u8> = head.get(at..)?.iter().copied().take_while(|b| b.is_ascii_graphic()).take(128).collect();
    // It becomes part of a path.
    String::from_utf8(text).ok().filter(|version| !version.is_empty() && !version.contains('/') && version != "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version: &str) -> Vec<u8> {
        let mut head = vec![0; 0x400];
        head[0x202..0x206].copy_from_slice(b"HdrS");
        head[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
        head[0x300..0x300 + version.len()].copy_from_slice(version.as_bytes());
        head
    }

    #[test]
    fn the_release_is_the_first_word() {
        assert_eq!(parse_version(&header("6.1.0-9-amd64 (debian) #1")).as_deref(), Some("6.1.0-9-amd64"));
        assert_eq!(parse_version(&header("../../etc x")), None);
        assert_eq!(parse_version(&header("")), None);
        assert_eq!(parse_version(&[0; 600]), None);
    }

    #[test]
    fn modules_then_running_then_ordinary_then_newest() {
        let kernel = |version: &str, modules: bool| Kernel {
            image: "/k".into(),
            modules: modules.then(|| "/m".into()),
            version: version.into(),
        };
        let mut list = [
            kernel("6.9.0-amd64", false),
            kernel("6.12.0-cloud-amd64", true),
            kernel("6.1.0-9-amd64", true),
            kernel("6.1.0-10-amd64", true),
            kernel("5.10.0-run", true),
        ];
        list.sort_by_cached_key(|it| std::cmp::Reverse(merit(it, "5.10.0-run")));
        let order: Vec<_> = list.iter().map(|it| it.version.as_str()).collect();
        assert_eq!(order, ["5.10.0-run", "6.1.0-10-amd64", "6.1.0-9-amd64", "6.12.0-cloud-amd64", "6.9.0-amd64"]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>, at: u16) {
            let mut head = header("x");
            head[0x20e..0x210].copy_from_slice(&at.to_le_bytes());
            let _ = parse_version(&head);
            let _ = parse_version(&bytes);
        }
    }
}

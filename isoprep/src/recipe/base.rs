//! What `image.base` and `image.remove` may say: words, suites, folders, tarballs, paths in a profile. Pure.

use std::path::{Component, Path, PathBuf};

use super::model::{Base, EngineKind, InstalledProfile};
use super::values::{self, Problem};

/// The word for our own profile.
pub(super) const MINIMAL: &str = "minimal";
/// What makes a folder an archiso profile.
pub(crate) const PROFILE_FILE: &str = "profiledef.sh";
/// What a tarball's name ends with.
const TARBALLS: [&str; 9] =
    [".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tar.bz2", ".tar.lz4", ".tar.lzma"];

/// Reads `image.base` for an engine. A folder that has the name of a word is written `./releng`.
pub(super) fn base(text: &str, engine: EngineKind, root: &Path) -> Result<Base, Problem> {
    match engine {
        EngineKind::Micro => Ok(Base::Host),
        EngineKind::Archiso | EngineKind::Mkarchiso => match profile_word(text) {
            Some(base) => Ok(base),
            None => values::inside(text, root).map(Base::Folder),
        },
        EngineKind::Debian => suite(text).map(Base::Suite),
        EngineKind::Tree => tree(text, root),
    }
}

/// What a word means as a profile.
fn profile_word(text: &str) -> Option<Base> {
    let installed = [InstalledProfile::Releng, InstalledProfile::Baseline].into_iter().find(|it| it.word() == text);
    installed.map(Base::Installed).or_else(|| (text == MINIMAL).then_some(Base::Minimal))
}

/// The word for a profile that `folder`'s name was probably meant to be.
pub(super) fn nearest_word(folder: &Path) -> Option<&'static str> {
    let name = folder.file_name()?.to_str()?;
    let words = [InstalledProfile::Releng.word(), InstalledProfile::Baseline.word(), MINIMAL];
    super::fields::nearest(name, words)
}

fn suite(text: &str) -> Result<String, Problem> {
    let advice = "name a suite of Debian, like \"stable\" or \"trixie\"";
    if profile_word(text).is_some() {
        return Err((format!("{text:?} is a profile of archiso, not a suite"), advice.to_owned()));
    }
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    if !text.starts_with(|c: char| c.is_ascii_lowercase()) || !text.chars().all(good) {
        return Err((format!("{text:?} is not a suite's name"), advice.to_owned()));
    }
    Ok(text.to_owned())
}

/// The root may lie anywhere, as a kernel may: it is seldom kept in a repository.
fn tree(text: &str, root: &Path) -> Result<Base, Problem> {
    let path = values::host_path(text, root)?;
    if path == Path::new("/") {
        let advice = "name a folder that holds the root of another system, or a tarball of one";
        return Err(("is this machine's own root".to_owned(), advice.to_owned()));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    Ok(if TARBALLS.iter().any(|end| name.ends_with(end)) { Base::Tarball(path) } else { Base::Folder(path) })
}

/// A path in a profile: relative, without `..`.
pub(super) fn profile_path(text: &str) -> Result<PathBuf, Problem> {
    let problem = |message: String, advice: &str| Err((message, advice.to_owned()));
    if let Some(bad) = text.chars().find(|c| c.is_control()) {
        return problem(format!("{bad:?} is not allowed in a path"), "use a path without control characters");
    }
    let path = Path::new(text);
    if path.is_absolute() {
        let advice = format!("start it with airootfs: \"airootfs{text}\"");
        return Err((format!("{text:?} is not relative to the profile"), advice));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return problem(format!("{text:?} has .. in it"), "write the path that is meant");
    }
    let path: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
    if path.as_os_str().is_empty() {
        return problem(format!("{text:?} is the whole profile"), "name what is to be taken out of it");
    }
    if path == Path::new(PROFILE_FILE) {
        return problem(format!("{PROFILE_FILE} is what makes it a profile"), "choose another base instead");
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, engine: EngineKind) -> Result<Base, Problem> {
        base(text, engine, Path::new("/home/me/p"))
    }

    #[test]
    fn what_a_base_means_depends_on_the_engine() {
        let folder = |path: &str| Ok(Base::Folder(PathBuf::from(path)));
        assert_eq!(read("releng", EngineKind::Archiso), Ok(Base::Installed(InstalledProfile::Releng)));
        assert_eq!(read("baseline", EngineKind::Mkarchiso), Ok(Base::Installed(InstalledProfile::Baseline)));
        assert_eq!(read("minimal", EngineKind::Archiso), Ok(Base::Minimal));
        assert_eq!(read("./releng", EngineKind::Archiso), folder("/home/me/p/releng"));
        assert_eq!(read("a/releng", EngineKind::Archiso), folder("/home/me/p/a/releng"));
        assert_eq!(read("trixie", EngineKind::Debian), Ok(Base::Suite("trixie".into())));
        assert_eq!(read("releng", EngineKind::Tree), folder("/home/me/p/releng"));
        assert_eq!(read("/srv/root", EngineKind::Tree), folder("/srv/root"));
        assert_eq!(read("../r.TAR.zst", EngineKind::Tree), Ok(Base::Tarball("/home/me/r.TAR.zst".into())));
        for (text, engine) in [
            ("../x", EngineKind::Archiso),
            ("/usr/share/x", EngineKind::Archiso),
            ("", EngineKind::Archiso),
            ("releng", EngineKind::Debian),
            ("a/b", EngineKind::Debian),
            ("Trixie", EngineKind::Debian),
            ("--help", EngineKind::Debian),
            ("", EngineKind::Debian),
            ("/", EngineKind::Tree),
            ("..//../../..", EngineKind::Tree),
        ] {
            assert!(read(text, engine).is_err(), "{text:?} {engine:?}");
        }
        assert_eq!(nearest_word(Path::new("/p/releng2")), Some("releng"));
        assert_eq!(nearest_word(Path::new("/p/iso")), None);
    }

    #[test]
    fn a_path_in_a_profile_stays_in_it() {
        assert_eq!(profile_path("airootfs//etc/./motd/"), Ok(PathBuf::from("airootfs/etc/motd")));
        for text in ["", ".", "./", "..", "a/../b", "/etc/motd", "a\nb", "profiledef.sh", "./profiledef.sh"] {
            assert!(profile_path(text).is_err(), "{text:?}");
        }
    }
}

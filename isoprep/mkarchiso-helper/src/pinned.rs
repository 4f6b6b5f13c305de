//! The request's directories, opened once and held. From then on they are known by their descriptors: no path is
//! resolved again, and renaming or replacing anything on the way to them changes nothing.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2, statat};
use rustix::io::Errno;

use crate::error::HelperError;
use crate::request::Build;

/// The marker of Cartridge's work directories, and its first line.
const MARKER: &str = ".cartridge-work";
const MARKER_HEAD: &str = "cartridge-work 1\n";
/// A file system that a user serves himself: it could keep root waiting for ever (statfs(2), `FUSE_SUPER_MAGIC`).
const FUSE: u64 = 0x6573_5546;
/// No link anywhere on the way, neither of the user's nor of `/proc`'s.
const NO_LINKS: ResolveFlags = ResolveFlags::NO_SYMLINKS.union(ResolveFlags::NO_MAGICLINKS);
// Not `NOFOLLOW`: with `PATH` it would let a link stand at the end of the path (openat2(2), "RESOLVE_NO_SYMLINKS").
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The directories of a request.
#[derive(Debug)]
pub(crate) struct Pinned {
    pub(crate) profile: OwnedFd,
    pub(crate) work: OwnedFd,
    pub(crate) out: OwnedFd,
    /// What pacman reads, with the path that it is known by.
    pub(crate) readable: Vec<(PathBuf, OwnedFd)>,
    /// The user who asked.
    pub(crate) uid: u32,
    /// The group that `out` belongs to, for what is put there.
    pub(crate) gid: u32,
    /// The group that the profile belongs to.
    pub(crate) profile_gid: u32,
}

impl Pinned {
    /// Opens and checks them.
    pub(crate) fn open(request: &Build, uid: u32) -> Result<Self, HelperError> {
        let (profile, profile_stat) = directory("profile", CWD, &request.profile, &request.profile, NO_LINKS, uid)?;
        let work = marked_directory("work", &request.work, uid)?;
        let inside = NO_LINKS | ResolveFlags::BENEATH | ResolveFlags::NO_XDEV;
        let (out, stat) = directory("out", &work, request.out_in_work()?, &request.out, inside, uid)?;
        let definition = statat(&profile, "profiledef.sh", AtFlags::SYMLINK_NOFOLLOW);
        if !definition.is_ok_and(|it| FileType::from_raw_mode(it.st_mode) == FileType::RegularFile) {
            let wrong = "has no profiledef.sh".to_owned();
            return Err(HelperError::Path { what: "profile", path: request.profile.clone(), wrong });
        }
        let readable = (request.readable.iter())
            .map(|path| Ok((path.clone(), directory("readable", CWD, path, path, NO_LINKS, uid)?.0)))
            .collect::<Result<_, HelperError>>()?;
        Ok(Self { profile, work, out, readable, uid, gid: stat.st_gid, profile_gid: profile_stat.st_gid })
    }
}

/// Opens a work directory of that user's.
pub(crate) fn marked_directory(what: &'static str, path: &Path, uid: u32) -> Result<OwnedFd, HelperError> {
    let (work, _) = directory(what, CWD, path, path, NO_LINKS, uid)?;
    marked(&work, uid).map_err(|wrong| HelperError::Path { what, path: path.to_path_buf(), wrong })?;
    Ok(work)
}

/// Opens a directory of the user's. `path` is resolved from `from`; `shown` is for messages.
fn directory(
    what: &'static str,
    from: impl AsFd,
    path: &Path,
    shown: &Path,
    how: ResolveFlags,
    uid: u32,
) -> Result<(OwnedFd, Stat), HelperError> {
    let wrong = |wrong: &str| HelperError::Path { what, path: shown.to_path_buf(), wrong: wrong.to_owned() };
    let open = loop {
        match openat2(&from, path, DIRECTORY, Mode::empty(), how) {
            Ok(open) => break open,
            // Something was renamed meanwhile: the kernel cannot tell whether it stayed inside (openat2(2)).
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::LOOP) => return Err(wrong("has a symbolic link on its way")),
            Err(Errno::XDEV) => return Err(wrong("leads out of work")),
            Err(errno) => {
                return Err(HelperError::Io { doing: "open", what: shown.display().to_string(), source: errno.into() });
            }
        }
    };
    let stat = fstat(&open).map_err(HelperError::io("look at", what))?;
    if stat.st_uid != uid {
        return Err(wrong("belongs to another user"));
    }
    // What pacman reads it checks itself, and a repository may be shared.
    if stat.st_mode & 0o022 != 0 && what != "readable" {
        return Err(wrong("may be written by others"));
    }
    let served = rustix::fs::fstatfs(&open).map_err(HelperError::io("look at", what))?;
    if u64::try_from(served.f_type).is_ok_and(|it| it == FUSE) {
        return Err(wrong("is on a file system that a user serves"));
    }
    Ok((open, stat))
}

/// Whether Cartridge's marker of that user is in a directory; what is wrong if not.
fn marked(work: &OwnedFd, uid: u32) -> Result<(), String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let how = NO_LINKS | ResolveFlags::BENEATH | ResolveFlags::NO_XDEV;
    let Ok(open) = openat2(work, MARKER, flags, Mode::empty(), how) else {
        return Err(format!("has no {MARKER}"));
    };
    let stat = fstat(&open).map_err(|errno| format!("has a {MARKER} that cannot be looked at: {errno}"))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_uid != uid {
        return Err(format!("has a {MARKER} that is not the user's own file"));
    }
    let mut head = String::new();
    let read = BufReader::new(File::from(open).take(64)).read_line(&mut head);
    if read.is_err() || head != MARKER_HEAD { Err(format!("has a {MARKER} that is none")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    struct Place {
        top: tempfile::TempDir,
        uid: u32,
    }

    impl Place {
        fn new() -> Self {
            let top = tempfile::tempdir().unwrap();
            let place = Self { top, uid: rustix::process::geteuid().as_raw() };
            for dir in ["p", "w", "w/o"] {
                fs::create_dir(place.path(dir)).unwrap();
                fs::set_permissions(place.path(dir), fs::Permissions::from_mode(0o755)).unwrap();
            }
            fs::write(place.path("p/profiledef.sh"), "").unwrap();
            fs::write(place.path("w/.cartridge-work"), MARKER_HEAD).unwrap();
            place
        }

        fn path(&self, name: &str) -> PathBuf {
            self.top.path().canonicalize().unwrap().join(name)
        }

        fn open(&self, profile: &str, work: &str, out: &str) -> Result<Pinned, HelperError> {
            let (profile, work, out) = (self.path(profile), self.path(work), self.path(out));
            Pinned::open(&Build { profile, work, out, readable: vec![self.path("p")], source_date_epoch: 0 }, self.uid)
        }

        fn wrong(&self, profile: &str, work: &str, out: &str) -> String {
            self.open(profile, work, out).unwrap_err().to_string()
        }
    }

    #[test]
    fn directories_of_the_user_s_are_opened() {
        let place = Place::new();
        let pinned = place.open("p", "w", "w/o").unwrap();
        assert_eq!(pinned.readable[0].0, place.path("p"));
    }

    #[test]
    fn links_are_refused_wherever_they_stand() {
        let place = Place::new();
        symlink(place.path("p"), place.path("link")).unwrap();
        symlink(place.path("w"), place.path("wlink")).unwrap();
        symlink(".", place.path("here")).unwrap();
        symlink("/etc", place.path("w/etc")).unwrap();
        symlink("../w/o", place.path("w/out")).unwrap();
        for (profile, work, out) in [
            ("link", "w", "w/o"),
            ("here/p", "w", "w/o"),
            ("p", "wlink", "wlink/o"),
            ("p", "here/w", "here/w/o"),
            ("p", "w", "w/etc"),
            ("p", "w", "w/out"),
        ] {
            assert!(place.wrong(profile, work, out).contains("symbolic link"), "{profile} {work} {out}");
        }
        let magic = format!("/proc/{}/root", std::process::id());
        let request = Build {
            profile: PathBuf::from(magic).join(place.path("p").strip_prefix("/").unwrap()),
            work: place.path("w"),
            out: place.path("w/o"),
            readable: Vec::new(),
            source_date_epoch: 0,
        };
        assert!(Pinned::open(&request, place.uid).is_err());
    }

    #[test]
    fn what_is_not_the_user_s_own_or_not_ours_is_refused() {
        let place = Place::new();
        let (profile, work, out) = (place.path("p"), place.path("w"), place.path("w/o"));
        let request = Build { profile, work, out, readable: Vec::new(), source_date_epoch: 0 };
        let stranger = Pinned::open(&request, place.uid + 1).unwrap_err().to_string();
        assert!(stranger.contains("another user"), "{stranger}");
        fs::set_permissions(place.path("w/o"), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(place.wrong("p", "w", "w/o").contains("written by others"));
        fs::set_permissions(place.path("w/o"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::remove_file(place.path("p/profiledef.sh")).unwrap();
        symlink("/etc/passwd", place.path("p/profiledef.sh")).unwrap();
        assert!(place.wrong("p", "w", "w/o").contains("profiledef.sh"));
        assert!(place.wrong("w/.cartridge-work", "w", "w/o").contains("Not a directory"));
        assert!(place.wrong("absent", "w", "w/o").contains("No such file"));
    }

    #[test]
    fn a_work_directory_needs_its_marker() {
        let place = Place::new();
        fs::write(place.path("p/profiledef.sh"), "").unwrap();
        let marker = place.path("w/.cartridge-work");
        for text in ["", "cartridge-work 2\n", "cartridge-work 1", "hello\ncartridge-work 1\n"] {
            fs::write(&marker, text).unwrap();
            assert!(place.wrong("p", "w", "w/o").contains("none"), "{text:?}");
        }
        fs::remove_file(&marker).unwrap();
        assert!(place.wrong("p", "w", "w/o").contains("has no .cartridge-work"));
        fs::write(place.path("marker"), MARKER_HEAD).unwrap();
        symlink(place.path("marker"), &marker).unwrap();
        assert!(place.wrong("p", "w", "w/o").contains("has no .cartridge-work"));
        fs::remove_file(&marker).unwrap();
        fs::create_dir(&marker).unwrap();
        assert!(place.wrong("p", "w", "w/o").contains("not the user's own file"));
    }

    /// A thread swaps a folder for a link to a stranger's as fast as it can. Whatever is opened is the user's own
    /// folder, and stays it.
    #[test]
    fn a_folder_that_is_swapped_for_a_link_is_refused_or_is_the_folder() {
        let place = Place::new();
        let (inside, aside, evil) = (place.path("w/o"), place.path("w/aside"), place.path("evil"));
        fs::create_dir(&evil).unwrap();
        let own = fs::metadata(&inside).map(|it| std::os::unix::fs::MetadataExt::ino(&it)).unwrap();
        let done = AtomicBool::new(false);
        let (mut opened, mut refused) = (0, 0);
        // A failed assertion must end the swapping too.
        struct End<'a>(&'a AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        std::thread::scope(|scope| {
            let _end = End(&done);
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    fs::rename(&inside, &aside).unwrap();
                    symlink(&evil, &inside).unwrap();
                    fs::remove_file(&inside).unwrap();
                    fs::rename(&aside, &inside).unwrap();
                }
            });
            for _ in 0..20_000 {
                match place.open("p", "w", "w/o") {
                    Ok(pinned) => {
                        opened += 1;
                        assert_eq!(fstat(&pinned.out).unwrap().st_ino, own);
                    }
                    Err(HelperError::Path { wrong, .. }) => {
                        refused += 1;
                        assert!(wrong.contains("symbolic link"), "{wrong}");
                    }
                    Err(HelperError::Io { source, .. }) => {
                        refused += 1;
                        assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        });
        assert!(opened > 0 && refused > 0, "the race did not happen: {opened} opened, {refused} refused");
    }
}

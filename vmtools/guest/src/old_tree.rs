//! Trees of the repository that a newer one was laid over. Programs that stand in one, such as the shell that a test types
//! into, would go on seeing it; so what lies there is made the same as the new tree, in place, where somebody stands.

use std::ffi::OsString;
use std::fs::{self, File, FileTimes, Metadata};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fstat, open, openat};

/// How deep below a tree somebody may stand and be found.
const DEPTH: usize = 128;
/// What a file is called until it is whole.
const UNFINISHED: &str = ".cartridge-unfinished";
/// How much of two files is compared at once, bytes.
const BLOCK: usize = 64 << 10;

/// A tree that was seen at the repository's place.
pub(crate) struct OldTree {
    dir: File,
    /// Its device and its inode.
    id: (u64, u64),
}

impl OldTree {
    /// What is seen at `into` now.
    pub(crate) fn open(into: &Path) -> io::Result<Self> {
        let dir = File::open(into)?;
        let meta = dir.metadata()?;
        Ok(Self { dir, id: (meta.dev(), meta.ino()) })
    }

    /// Makes it the same as `new` if somebody stands in it. What could not be done is told, with who sees old files.
    pub(crate) fn renew(&self, new: &Path) -> Result<(), String> {
        let standing = standing_in(self.id);
        if standing.is_empty() {
            return Ok(());
        }
        // By its descriptor: other things lie over its place.
        let own = PathBuf::from(format!("/proc/self/fd/{}", self.dir.as_raw_fd()));
        make_same(&own, new, self.id.0).map_err(|e| {
            let who = standing.join(", ");
            format!(
                "{who} stands in the repository as it was, which could not be renewed ({e}): it sees old files there"
            )
        })
    }
}

/// The programs whose current folder is in that tree, as "sh (412)".
fn standing_in(tree: (u64, u64)) -> Vec<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = processes.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok());
    let standing = processes.filter(|process| is_below(&process.path().join("cwd"), tree));
    let name = |process: fs::DirEntry| {
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        format!("{} ({})", name.trim(), process.file_name().to_string_lossy())
    };
    standing.map(name).collect()
}

/// Whether a folder is that tree or below it, whatever lies over the place of either.
fn is_below(folder: &Path, tree: (u64, u64)) -> bool {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let id = |dir: &OwnedFd| fstat(dir).ok().map(|stat| (stat.st_dev, stat.st_ino));
    let Ok(mut dir) = open(folder, flags, Mode::empty()) else { return false };
    for _ in 0..DEPTH {
        let here = id(&dir);
        if here == Some(tree) {
            return true;
        }
        let Ok(above) = openat(dir.as_fd(), "..", flags, Mode::empty()) else { return false };
        if id(&above) == here {
            return false;
        }
        dir = above;
    }
    false
}

/// Makes `old` what `new` is. What is another file system in it, by `device` of its folders, is left alone.
fn make_same(old: &Path, new: &Path, device: u64) -> io::Result<()> {
    let names =
        |dir: &Path| fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<OsString>>>();
    let wanted = names(new)?;
    for name in names(old)?.iter().filter(|name| !wanted.contains(name)) {
        remove(&old.join(name), device)?;
    }
    for name in &wanted {
        let (from, to) = (new.join(name), old.join(name));
        let meta = fs::symlink_metadata(&from)?;
        let there = fs::symlink_metadata(&to).ok();
        if meta.is_dir() {
            match &there {
                Some(there) if there.is_dir() && there.dev() != device => continue,
                Some(there) if there.is_dir() => {}
                other => {
                    other.as_ref().map_or(Ok(()), |_| fs::remove_file(&to))?;
                    fs::create_dir(&to)?;
                }
            }
            make_same(&to, &from, device)?;
            fs::set_permissions(&to, meta.permissions())?;
        } else if !is_same((&to, there.as_ref()), (&from, &meta))? {
            if there.is_some_and(|it| it.is_dir()) {
                remove(&to, device)?;
            }
            replace(&to, &from, &meta)?;
        }
    }
    Ok(())
}

/// Whether a file or a link is there already, with its mode.
fn is_same((to, there): (&Path, Option<&Metadata>), (from, meta): (&Path, &Metadata)) -> io::Result<bool> {
    let Some(there) = there.filter(|it| it.file_type() == meta.file_type()) else { return Ok(false) };
    if meta.is_symlink() {
        return Ok(fs::read_link(to)? == fs::read_link(from)?);
    }
    if there.mode() != meta.mode() || there.len() != meta.len() {
        return Ok(false);
    }
    let (mut one, mut other) = (File::open(to)?, File::open(from)?);
    let (mut ours, mut theirs) = (Vec::with_capacity(BLOCK), Vec::with_capacity(BLOCK));
    loop {
        ours.clear();
        theirs.clear();
        one.by_ref().take(BLOCK as u64).read_to_end(&mut ours)?;
        other.by_ref().take(BLOCK as u64).read_to_end(&mut theirs)?;
        if ours != theirs || ours.is_empty() {
            return Ok(ours == theirs);
        }
    }
}

/// Puts a file or a link in the place of what is there. Whoever has that open keeps it.
fn replace(to: &Path, from: &Path, meta: &Metadata) -> io::Result<()> {
    let unfinished = to.with_file_name(UNFINISHED);
    match fs::remove_file(&unfinished) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    if meta.is_symlink() {
        symlink(fs::read_link(from)?, &unfinished)?;
    } else if meta.is_file() {
        // With its mode; its time is for programs that compare times.
        fs::copy(from, &unfinished)?;
        let times = meta.modified().map(|time| FileTimes::new().set_modified(time));
        if let (Ok(times), Ok(file)) = (times, File::open(&unfinished)) {
            let _ = file.set_times(times);
        }
    } else {
        return Ok(());
    }
    fs::rename(&unfinished, to)
}

fn remove(path: &Path, device: u64) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    if !meta.is_dir() {
        return fs::remove_file(path);
    }
    if meta.dev() != device {
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        remove(&entry?.path(), device)?;
    }
    fs::remove_dir(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use cartridge_treehash::hash_tree;

    use super::*;

    #[test]
    fn a_tree_that_somebody_stands_in_becomes_the_new_one_and_others_stay() {
        let place = tempfile::tempdir().unwrap();
        let (old, new) = (place.path().join("old"), place.path().join("new"));
        let write = |tree: &Path, name: &str, text: &str| {
            fs::create_dir_all(tree.join(name).parent().unwrap()).unwrap();
            fs::write(tree.join(name), text).unwrap();
        };
        for (name, text) in
            [("kept", "same"), ("a/changed", "one"), ("a/gone", "x"), ("was-file", "x"), ("was-dir/x", "y")]
        {
            write(&old, name, text);
        }
        symlink("kept", old.join("link")).unwrap();
        let large = "x".repeat(3 * BLOCK);
        for (name, text) in [
            ("kept", "same"),
            ("a/changed", "two"),
            ("a/b/new", "z"),
            ("was-file/x", "x"),
            ("was-dir", "y"),
            ("large", &large),
        ] {
            write(&new, name, text);
        }
        write(&old, "large", &format!("{}y", &large[1..]));
        symlink("a/changed", new.join("link")).unwrap();
        fs::set_permissions(new.join("a/changed"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(new.join("a/b"), fs::Permissions::from_mode(0o700)).unwrap();
        let kept = fs::metadata(old.join("kept")).unwrap().ino();
        let hash = |tree: &Path| hash_tree(tree).unwrap().hash;

        let tree = OldTree::open(&old).unwrap();
        tree.renew(&new).unwrap();
        assert_ne!(hash(&old), hash(&new), "nobody stands in it");
        let mut stander = std::process::Command::new("sleep").arg("60").current_dir(old.join("a")).spawn().unwrap();
        tree.renew(&new).unwrap();
        stander.kill().unwrap();
        stander.wait().unwrap();
        assert_eq!(hash(&old), hash(&new));
        assert_eq!(fs::metadata(old.join("kept")).unwrap().ino(), kept, "what is the same is left alone");
        let time = |tree: &Path| fs::metadata(tree.join("a/changed")).unwrap().modified().unwrap();
        assert_eq!(time(&old), time(&new));
    }
}

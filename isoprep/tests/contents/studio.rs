//! Makes root file systems, packs them, and masters ISO images of them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use cartridge_supervise::{CommandLine, run};
use isoprep::Cancel;
use isoprep::contents::{
    ContentsError, Difference, ImageContents, ImageReader, Kind, Side, Tree, TreePath, Watch, open_image,
};

/// A folder with what an image is made of.
pub struct Studio {
    pub dir: tempfile::TempDir,
}

/// Runs a tool of this machine.
pub fn tool(line: CommandLine) -> Vec<u8> {
    run(&line, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}")).stdout
}

impl Studio {
    /// An empty root file system and an ISO tree with one file.
    pub fn new() -> Self {
        let studio = Self { dir: tempfile::tempdir().unwrap() };
        studio.write("iso/readme.txt", "hello");
        fs::create_dir(studio.at("root")).unwrap();
        studio
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Packs `root` into a squashfs on the ISO.
    pub fn squash(&self, options: &[&str]) {
        self.squash_as("root", "iso/arch/x86_64/airootfs.sfs", options);
    }

    pub fn squash_as(&self, root: &str, target: &str, options: &[&str]) {
        let target = self.at(target);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&target);
        let line = CommandLine::new("mksquashfs").arg(self.at(root)).arg(&target);
        tool(line.args(["-noappend", "-no-progress", "-quiet"]).args(options.iter().copied()));
    }

    /// Masters `name` from the folder `iso`.
    pub fn master(&self, name: &str) -> PathBuf {
        self.master_with(name, &[])
    }

    pub fn master_with(&self, name: &str, options: &[&OsStr]) -> PathBuf {
        let iso = self.at(name);
        let line = CommandLine::new("xorriso").args(["-no_rc", "-as", "mkisofs", "-iso-level", "3", "-R"]);
        let line = line.args(["-volid", "DEMO"]).args(options.iter().copied());
        tool(line.arg("-o").arg(&iso).arg(self.at("iso")).env("SOURCE_DATE_EPOCH", "1700000000"));
        iso
    }

    /// An EFI partition with `files`, for [`Self::master_with`].
    pub fn esp(&self, files: &[(&str, &str)]) -> PathBuf {
        let esp = self.at("esp.img");
        fs::File::create(&esp).unwrap().set_len(4 << 20).unwrap();
        tool(CommandLine::new("mformat").arg("-i").arg(&esp).arg("::"));
        let mut made = std::collections::BTreeSet::new();
        for (name, content) in files {
            let mut dir = String::from("::");
            for part in name.split('/').rev().skip(1).collect::<Vec<_>>().into_iter().rev() {
                dir = format!("{dir}/{part}");
                if made.insert(dir.clone()) {
                    tool(CommandLine::new("mmd").arg("-i").arg(&esp).arg(&dir));
                }
            }
            let from = self.write("efi-file", content);
            tool(CommandLine::new("mcopy").arg("-i").arg(&esp).arg(&from).arg(format!("::/{name}")));
        }
        esp
    }

    /// Masters an ISO that UEFI boots from the partition at `esp`.
    pub fn master_efi(&self, name: &str, esp: &Path) -> PathBuf {
        let words = ["-append_partition", "2", "0xef"].map(OsStr::new);
        let alternative = ["-e", "--interval:appended_partition_2:all::", "-no-emul-boot"].map(OsStr::new);
        let options: Vec<&OsStr> = words.into_iter().chain([esp.as_os_str()]).chain(alternative).collect();
        self.master_with(name, &options)
    }
}

/// Opens an image, watched by nobody.
pub fn open(iso: &Path) -> Result<(ImageContents, ImageReader), ContentsError> {
    let cancel = Cancel::new();
    open_image(iso, &Watch { cancel: &cancel, tell: &|_| () })
}

/// Everything that is in an image, hashed.
pub fn read(iso: &Path) -> ImageContents {
    let cancel = Cancel::new();
    let watch = Watch { cancel: &cancel, tell: &|_| () };
    let (mut contents, reader) = open_image(iso, &watch).unwrap_or_else(|e| panic!("{e}"));
    reader.know_all(&mut contents, &watch).unwrap_or_else(|e| panic!("{e}"));
    contents
}

/// Compares two files as the command does.
pub fn compare(from: &Path, to: &Path) -> Difference {
    let cancel = Cancel::new();
    let watch = Watch { cancel: &cancel, tell: &|_| () };
    let load = |path| Side::load(path, &watch).unwrap_or_else(|e| panic!("{e}"));
    let (mut from, mut to) = (load(from), load(to));
    from.compare(&mut to, &watch).unwrap_or_else(|e| panic!("{e}"))
}

/// The entries of a tree as `ls -l` would show them, with content hashes, by path.
pub fn lines(tree: &Tree) -> BTreeMap<Vec<u8>, String> {
    let line = |(path, entry): (&TreePath, &isoprep::contents::Entry)| {
        let kind = match &entry.kind {
            Kind::Directory => "d".to_owned(),
            Kind::File { size, content } => {
                format!("f {size} {}", content.hash.map_or("unread".to_owned(), |hash| hash.to_string()))
            }
            Kind::Symlink { target } => format!("l {target}"),
            Kind::Character(numbers) => format!("c {numbers:?}"),
            Kind::Block(numbers) => format!("b {numbers:?}"),
            Kind::Fifo => "p".to_owned(),
            Kind::Socket => "s".to_owned(),
        };
        let mode = if let Kind::Symlink { .. } = entry.kind { 0o777 } else { entry.mode };
        (path.as_bytes().to_vec(), format!("{kind} {mode:o} {}:{}", entry.uid, entry.gid))
    };
    tree.iter().filter(|(path, _)| !path.as_bytes().is_empty()).map(line).collect()
}

/// The same, of a folder on the disk.
pub fn lines_of(dir: &Path) -> BTreeMap<Vec<u8>, String> {
    let mut found = BTreeMap::new();
    let mut todo = vec![dir.to_path_buf()];
    while let Some(next) = todo.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let kind = meta.file_type();
            let what = if kind.is_dir() {
                todo.push(path.clone());
                "d".to_owned()
            } else if kind.is_file() {
                format!("f {} {}", meta.len(), blake3::hash(&fs::read(&path).unwrap()))
            } else if kind.is_symlink() {
                format!("l {}", TreePath::new(fs::read_link(&path).unwrap().as_os_str().as_bytes()))
            } else if kind.is_fifo() {
                "p".to_owned()
            } else {
                "s".to_owned()
            };
            let mode = if kind.is_symlink() { 0o777 } else { meta.permissions().mode() & 0o7777 };
            let name = path.strip_prefix(dir).unwrap().as_os_str().as_bytes().to_vec();
            found.insert(name, format!("{what} {mode:o} {}:{}", meta.uid(), meta.gid()));
        }
    }
    found
}

/// Fills a folder with everything that is easy to get wrong.
pub fn fill(dir: &Path) {
    use std::os::unix::fs::symlink;
    let file = |name: &[u8], mode: u32, content: &[u8]| {
        let path = dir.join(OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let noise: Vec<u8> = (0..700_001_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    file(b"etc/passwd", 0o644, b"root:x:0:0\n");
    file(b"etc/empty", 0o600, b"");
    file(b"usr/bin/sudo", 0o4755, &noise[..100]);
    file(b"usr/bin/large", 0o755, &noise);
    file(b"usr/lib/even", 0o644, &vec![7; 256 << 10]);
    file(b"usr/lib/zeros", 0o644, &vec![0; 400_000]);
    file(b"names/line\nbreak", 0o644, b"1");
    file(b"names/\xff\xfe raw", 0o644, b"2");
    file("names/ünï→✓ a b".as_bytes(), 0o644, b"3");
    file(b"names/back\\slash", 0o644, b"4");
    for number in 0..600 {
        file(format!("many/file {number:03}").as_bytes(), 0o640, format!("content {number}").repeat(20).as_bytes());
    }
    let deep = "d".repeat(120);
    file(format!("{deep}/{deep}/{deep}/{deep}/x").as_bytes(), 0o644, b"deep");
    fs::create_dir_all(dir.join("tmp")).unwrap();
    fs::set_permissions(dir.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    symlink("usr/bin", dir.join("bin")).unwrap();
    symlink("loop", dir.join("loop")).unwrap();
    symlink("..", dir.join("up")).unwrap();
    symlink(OsStr::from_bytes(b"\xfe\n"), dir.join("raw link")).unwrap();
    symlink("/l".repeat(120), dir.join("far")).unwrap();
    fs::hard_link(dir.join("usr/bin/large"), dir.join("usr/bin/hard")).unwrap();
    fs::hard_link(dir.join("etc/passwd"), dir.join("etc/passwd-")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, dir.join("pipe"), rustix::fs::FileType::Fifo, 0o622.into(), 0).unwrap();
}

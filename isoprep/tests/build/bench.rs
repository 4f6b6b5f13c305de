//! A repository, a recipe and the places that a build writes to, all in a temporary folder.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use cartridge_supervise::{CommandLine, run};
use isoprep::recipe::Recipe;
use isoprep::{BuildError, BuildRequest, Cancel, HostParts, HostSearch, Image, Progress, StageName};

/// Stands in for the guest's init: what it does is not tested here.
pub const INIT: &[u8] = b"\x7fELF not really";

pub struct Bench {
    pub dir: tempfile::TempDir,
    pub request: BuildRequest,
}

/// Where this machine's parts are looked for.
pub fn search() -> HostSearch {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into()));
    HostSearch {
        root: "/".into(),
        kernel_stores: vec![home.join(".local/share/cartridge/kernels")],
        kernel: None,
        path: std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect(),
    }
}

pub fn parts() -> HostParts {
    static PARTS: OnceLock<HostParts> = OnceLock::new();
    PARTS.get_or_init(|| isoprep::discover(&search()).unwrap_or_else(|e| panic!("{e}"))).clone()
}

/// What a cartridge without settings means, for the repository at `root`.
fn recipe(root: &Path) -> Recipe {
    isoprep::recipe::parse("name = \"demo\"\n[source]\ninto = \"/root/demo\"\n", root).unwrap()
}

impl Bench {
    /// A repository with a few ordinary files.
    pub fn new() -> Self {
        let bench = Self::empty(parts());
        bench.write("README", "hello");
        bench.write("src/main.c", "int main(void) { return 0; }");
        bench
    }

    pub fn empty(parts: HostParts) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["repo", "work", "images"] {
            fs::create_dir(at(name)).unwrap();
        }
        let request = BuildRequest {
            recipe: recipe(&at("repo")),
            host: isoprep::Host::Micro(parts),
            epoch: None,
            init: INIT,
            cache: at("cache"),
            work: at("work"),
            images: at("images"),
            guest_memory_mib: None,
            build_anyway: false,
            cartridge: None,
            apart: Vec::new(),
        };
        Self { dir, request }
    }

    /// What the host contributes.
    pub fn parts_mut(&mut self) -> &mut HostParts {
        let isoprep::Host::Micro(parts) = &mut self.request.host else { panic!("the engine is micro") };
        parts
    }

    pub fn repo(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.repo().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub fn build(&self) -> Result<Image, BuildError> {
        isoprep::build(&self.request, &Cancel::new(), &|_| ())
    }

    /// Builds, and says for each stage whether it was reused.
    pub fn build_telling(&self) -> (Image, BTreeMap<&'static str, bool>, Vec<String>) {
        let told = Mutex::new((BTreeMap::new(), Vec::new()));
        let listen = |progress| match progress {
            Progress::Finished { stage: StageName(stage), reused, .. } => {
                told.lock().unwrap().0.insert(stage, reused);
            }
            Progress::Line { text, .. } | Progress::Warned { text, .. } => told.lock().unwrap().1.push(text),
            _ => {}
        };
        let image = isoprep::build(&self.request, &Cancel::new(), &listen).unwrap_or_else(|e| panic!("{e}"));
        let (reused, lines) = told.into_inner().unwrap();
        (image, reused, lines)
    }

    /// The stages that a build had to do.
    pub fn redone(&self) -> Vec<&'static str> {
        let (_, reused, _) = self.build_telling();
        let order = ["assemble", "initramfs", "inject", "bootloader", "iso"];
        assert_eq!(reused.len(), order.len());
        order.into_iter().filter(|stage| !reused[stage]).collect()
    }

    pub fn iso(&self) -> PathBuf {
        self.request.images.join("demo.iso")
    }

    /// What a stopped or failed build must not leave.
    pub fn assert_no_litter(&self) {
        let names = |dir: PathBuf| -> Vec<_> {
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
        };
        assert_eq!(names(self.request.cache.join("drafts")), [] as [&str; 0]);
        assert!(
            names(self.request.images.clone()).iter().all(|name| name == "demo.iso" || name == "demo.source"),
            "{:?}",
            names(self.request.images.clone())
        );
    }

    /// A program that stands in for one of the host's.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

/// Unpacks an initramfs archive with the cpio tool.
pub fn unpack(archive: &Path, into: &Path) {
    fs::create_dir_all(into).unwrap();
    let script = r#"cpio -idm --quiet --no-absolute-filenames --no-preserve-owner <"$1""#;
    let line = CommandLine::new("sh").args(["-c", script, "sh"]).arg(archive).cwd(into);
    run(&line, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
}

/// Takes one file out of the ISO's own file system.
pub fn from_iso(iso: &Path, path: &str, to: &Path) {
    let line = CommandLine::new("xorriso").args(["-osirrox", "on", "-indev"]).arg(iso).args(["-extract", path]).arg(to);
    run(&line, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
}

/// Takes one file out of the EFI system partition, which GPT names by its type (UEFI specification, 5.3.3).
pub fn from_esp(iso: &Path, path: &str) -> Vec<u8> {
    const TYPE: [u8; 16] =
        [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b];
    let mut file = fs::File::open(iso).unwrap();
    let mut tables = vec![0; 34 * 512];
    file.read_exact(&mut tables).unwrap();
    assert_eq!(&tables[512..520], b"EFI PART");
    let entry = tables[1024..].chunks(128).find(|entry| entry[..16] == TYPE).expect("no EFI system partition");
    let sector = |at: usize| u64::from_le_bytes(entry[at..at + 8].try_into().unwrap());
    file.seek(SeekFrom::Start(sector(32) * 512)).unwrap();
    let mut image = Vec::new();
    file.take((sector(40) + 1 - sector(32)) * 512).read_to_end(&mut image).unwrap();
    let volume = fatfs::FileSystem::new(std::io::Cursor::new(image), fatfs::FsOptions::new()).unwrap();
    let mut bytes = Vec::new();
    volume.root_dir().open_file(path).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

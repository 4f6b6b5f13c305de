//! The repository of a test run: made once by the script beside this file, then shared by every test process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cartridge_supervise::{Cancel, CommandLine, run};
use isoprep::HostSearch;
use rustix::fs::{FlockOperation, flock};

/// Names a copy of the repository to use, and the release of the kernel in it.
pub const COPY: &str = "CARTRIDGE_TEST_REPOSITORY";
pub const COPY_KERNEL: &str = "CARTRIDGE_TEST_KERNEL";

/// Whether pacman is told to check signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signatures {
    /// Nothing is checked, from the repository without signatures.
    Never,
    /// What is signed must be signed well, by anybody whose key is known; from the repository without signatures.
    TrustAll,
    /// Every package and database must be signed by a trusted key; from the signed repository.
    Required,
}

/// A pacman repository on disk.
#[derive(Debug)]
pub struct Repository {
    dir: PathBuf,
    kernel_version: String,
}

impl Repository {
    /// The repository of this checkout and kernel. Whoever asks first makes it, in some ten seconds; the others wait.
    pub fn get() -> &'static Self {
        static REPOSITORY: OnceLock<Repository> = OnceLock::new();
        REPOSITORY.get_or_init(|| {
            // A test that runs as somebody else, who cannot get at the build directory, brings a copy.
            if let (Some(dir), Ok(kernel_version)) = (std::env::var_os(COPY), std::env::var(COPY_KERNEL)) {
                return Self { dir: dir.into(), kernel_version };
            }
            let kernel = isoprep::kernels(&search()).into_iter().find(|it| it.modules.is_some()).expect(
                "these tests need a readable kernel with its modules; packaging/setup fetches one if there is none",
            );
            let made_of = cartridge_treehash::hash_tree(&source()).unwrap().hash.to_string();
            let shared = Path::new(env!("CARGO_TARGET_TMPDIR"));
            fs::create_dir_all(shared).unwrap();
            let dir = shared.join(format!("archtest-{}-{}", kernel.version, &made_of[..16]));
            // It appears whole. Whoever finds it may not be allowed to write here: a test that runs as somebody else.
            if !dir.exists() {
                // The kernel takes the lock back when its holder dies, however it dies.
                let lock = File::create(shared.join("archtest.lock")).unwrap();
                flock(&lock, FlockOperation::LockExclusive).unwrap();
                if !dir.exists() {
                    make(&dir, &kernel);
                }
            }
            Self { dir, kernel_version: kernel.version }
        })
    }

    /// The folder that holds `archtest`, `archtest-next`, `archtest-signed` and `key`.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// `uname -r` of the kernel in the package `linux`.
    pub fn kernel_version(&self) -> &str {
        &self.kernel_version
    }

    /// The version of the package `linux`.
    pub fn linux_version(&self) -> String {
        format!("{}-1", self.kernel_version.replace('-', "."))
    }

    /// A `Server` line's value, for any of the repositories.
    pub fn server(&self) -> String {
        format!("{}/$repo", file_url(&self.dir))
    }

    /// The names and versions of all packages in `archtest`.
    pub fn packages(&self) -> Vec<(String, String)> {
        let names = fs::read_dir(self.dir.join("archtest")).unwrap().map(|it| it.unwrap().file_name());
        let mut packages: Vec<_> = names
            .filter_map(|name| {
                let stem = name.to_str()?.strip_suffix("-x86_64.pkg.tar.zst")?.to_owned();
                let (rest, release) = stem.rsplit_once('-')?;
                let (name, version) = rest.rsplit_once('-')?;
                Some((name.to_owned(), format!("{version}-{release}")))
            })
            .collect();
        packages.sort();
        packages
    }

    /// A copy of its own for a test that spoils something: same packages, another place.
    pub fn copy_to(&self, dir: &Path) -> Self {
        let line = CommandLine::new("cp").arg("-R").arg("--").arg(&self.dir).arg(dir);
        run(&line, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
        Self { dir: dir.to_owned(), kernel_version: self.kernel_version.clone() }
    }

    /// A GnuPG folder that knows and trusts the repository's key, for pacman's `GPGDir`.
    pub fn gnupg(&self) -> PathBuf {
        self.dir.join("key/gnupg")
    }

    /// A whole pacman.conf.
    pub fn pacman_conf(&self, signatures: Signatures) -> String {
        let (level, name) = match signatures {
            Signatures::Never => ("Never", "archtest"),
            Signatures::TrustAll => ("Optional TrustAll", "archtest"),
            Signatures::Required => ("Required", "archtest-signed"),
        };
        format!(
            "[options]\nHoldPkg = pacman glibc\nArchitecture = auto\nParallelDownloads = 5\nSigLevel = {level}\n\
             LocalFileSigLevel = Optional\n\n[{name}]\nServer = {}\n",
            self.server()
        )
    }
}

/// "<files> <hash>" of a directory as the guest tells it where the product's own reporter is not in the image.
pub fn tree_hash(dir: &Path) -> (u64, String) {
    let line = CommandLine::new(source().join("files/guest-report/usr/lib/guest-report/tree-hash")).arg(dir);
    let output = run(&line, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
    let text = String::from_utf8(output.stdout).unwrap();
    let (files, hash) = text.trim_end().split_once(' ').unwrap();
    (files.parse().unwrap(), hash.to_owned())
}

/// Runs the script beside the goal, and puts the result there at once.
fn make(dir: &Path, kernel: &isoprep::Kernel) {
    let draft = tempfile::Builder::new().prefix("archtest.new.").tempdir_in(dir.parent().unwrap()).unwrap();
    let made = draft.path().join("made");
    let line = CommandLine::new(source().join("make")).arg(&made).arg(&kernel.image);
    let line = line.arg(kernel.modules.as_ref().unwrap()).arg(&kernel.version);
    run(&line, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("the test repository: {e}"));
    fs::rename(&made, dir).unwrap();
}

/// The script and what it packs.
fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../isoprep/tests/arch/repository").canonicalize().unwrap()
}

fn search() -> HostSearch {
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(Path::new(&home).join(".local/share"))
    });
    HostSearch {
        root: "/".into(),
        kernel_stores: data.into_iter().map(|it| it.join("cartridge/kernels")).collect(),
        kernel: None,
        path: Vec::new(),
    }
}

/// A path as a URL: everything that is not plainly allowed is written as %XX (RFC 3986).
pub fn file_url(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut url = String::from("file://");
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => url.push(byte.into()),
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

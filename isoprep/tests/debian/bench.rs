//! A repository with a `cartridge.toml` for the engines debian and tree, and the places that a build writes to. The
//! cache is one for all tests, so that the base is made once in a run.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use cartridge_supervise::{CommandLine, Isolation, run};
use isoprep::{BuildError, BuildRequest, Cancel, EngineKind, Host, HostSearch, Image, Progress, StageName, Tools};
use rustix::fs::{FlockOperation, flock};

use crate::facts;
use crate::init;

/// When everything was made.
pub const EPOCH: u64 = 1_700_000_000;
/// Where a test that runs as somebody else puts everything.
pub const PLACE: &str = "CARTRIDGE_TEST_PLACE";
/// The stages, in order.
pub const STAGES: [&str; 6] = ["assemble", "packages", "inject", "squash", "bootloader", "iso"];

pub struct Bench {
    pub dir: tempfile::TempDir,
    pub request: BuildRequest,
}

/// Where tests of whoever runs this put everything.
pub fn place() -> PathBuf {
    std::env::var_os(PLACE).map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from)
}

/// The cache of all tests.
pub fn cache() -> PathBuf {
    let cache = place().join("debian-cache");
    fs::create_dir_all(&cache).unwrap();
    cache
}

/// The packed root of a Debian without packages of its own: made once, by whoever comes first.
pub fn base() -> PathBuf {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    BASE.get_or_init(|| {
        let lock = File::create(place().join("debian-cache.lock")).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        let began = std::time::Instant::now();
        let bench = Bench::without_base("debian", "");
        let image = bench.build();
        println!("the base: {:.0} s", began.elapsed().as_secs_f64());
        image.kernel.ancestors().nth(3).unwrap().join("root.sfs")
    })
    .clone()
}

impl Bench {
    /// A repository whose recipe has the `engine` and more `settings` in its section `[image]`.
    pub fn new(engine: &str, settings: &str) -> Self {
        base();
        Self::without_base(engine, settings)
    }

    /// The same for a test that does without the base.
    pub fn without_base(engine: &str, settings: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("debian").tempdir_in(place()).unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["repo/bin", "repo/extras", "work", "images"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        let repo = at("repo");
        fs::write(repo.join("README"), "hello\n").unwrap();
        for (name, mode) in [("run", 0o755), ("bin/private", 0o600)] {
            fs::write(repo.join(name), "#!/bin/sh\necho ran\n").unwrap();
            fs::set_permissions(repo.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        symlink("run", repo.join("link")).unwrap();
        fs::copy(init::file(), repo.join("extras/tree-hash")).unwrap();
        for (name, text) in [("facts", facts::SCRIPT), ("facts.conf", facts::DROP_IN), ("extra", "extra\n")] {
            fs::write(repo.join("extras").join(name), text).unwrap();
        }
        let text = format!(
            "name = \"demo\"\n[source]\ninto = \"/root/demo\"\nexclude = [\"/extras\"]\n[image]\nengine = \"{engine}\"\n\
             env = {{ GREETING = \"it's me\" }}\n{settings}\n[image.files]\n\"/etc/extra\" = \"extras/extra\"\n\
             \"/usr/local/bin/facts\" = \"extras/facts\"\n\"/usr/local/bin/tree-hash\" = \"extras/tree-hash\"\n\
             \"/etc/systemd/system/getty@tty1.service.d/facts.conf\" = \"extras/facts.conf\"\n"
        );
        let recipe = isoprep::parse(&text, &repo).unwrap_or_else(|e| panic!("{e}"));
        let engine = if engine == "tree" { EngineKind::Tree } else { EngineKind::Debian };
        let path = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect();
        let search = HostSearch { root: "/".into(), kernel_stores: vec![], kernel: None, path };
        let request = BuildRequest {
            recipe,
            host: Host::Distribution(Tools::find(&search, engine).unwrap_or_else(|e| panic!("{e}"))),
            epoch: Some(EPOCH),
            init: init::bytes(),
            cache: cache(),
            work: at("work"),
            images: at("images"),
            guest_memory_mib: None,
            build_anyway: false,
            cartridge: None,
            apart: Vec::new(),
        };
        Self { dir, request }
    }

    pub fn repo(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    /// Builds in a work folder of its own, as each build of a session does.
    pub fn build_with(&self, cancel: &Cancel, listen: &(dyn Fn(Progress) + Sync)) -> Result<Image, BuildError> {
        let work = tempfile::Builder::new().prefix("work").tempdir_in(&self.request.work).unwrap();
        let request = BuildRequest { work: work.path().to_path_buf(), ..self.request.clone() };
        let image = isoprep::build(&request, cancel, listen);
        assert!(!work.path().join("root").exists(), "a root was left");
        isoprep::reclaim(work.path(), &Cancel::new()).unwrap();
        image
    }

    /// Builds; says for each stage whether it was reused, and everything else that was told.
    pub fn build_telling(&self) -> (Result<Image, BuildError>, BTreeMap<&'static str, bool>, Vec<Progress>) {
        let told = Mutex::new((BTreeMap::new(), Vec::new()));
        let image = self.build_with(&Cancel::new(), &|progress| {
            let mut told = told.lock().unwrap();
            if let Progress::Finished { stage: StageName(stage), reused, .. } = &progress {
                told.0.insert(*stage, *reused);
            }
            told.1.push(progress);
        });
        let (reused, told) = told.into_inner().unwrap();
        (image, reused, told)
    }

    pub fn build(&self) -> Image {
        let (image, _, told) = self.build_telling();
        image.unwrap_or_else(|e| panic!("{e}\n{}", lines(&told)))
    }

    /// The error of a build that must fail.
    pub fn fails(&self) -> BuildError {
        let (image, _, told) = self.build_telling();
        match image {
            Ok(_) => panic!("it was built\n{}", lines(&told)),
            Err(error) => error,
        }
    }

    /// The stages that a build had to do, but the first: files that are seconds old are read again (as git does).
    pub fn redone(&self) -> Vec<&'static str> {
        let (image, reused, told) = self.build_telling();
        image.unwrap_or_else(|e| panic!("{e}\n{}", lines(&told)));
        assert_eq!(reused.len(), STAGES.len(), "{reused:?}");
        STAGES.into_iter().skip(1).filter(|stage| !reused[stage]).collect()
    }
}

/// The lines of a log.
pub fn lines(told: &[Progress]) -> String {
    let line = |progress: &Progress| match progress {
        Progress::Line { stage, text } => Some(format!("[{stage}] {text}\n")),
        _ => None,
    };
    told.iter().filter_map(line).collect()
}

/// Runs a shell script as root of a namespace that may write `dir`; its words are `$1`, `$2` and so on.
pub fn as_root(dir: &Path, script: &str, words: &[&Path]) -> String {
    let isolation = words.iter().fold(Isolation::new().writable(dir), |it, word| {
        if word.exists() && !word.starts_with(dir) { it.shown(*word, *word) } else { it }
    });
    let line = CommandLine::new("bash").args(["-ec", script, "bash"]).args(words.iter().map(|it| it.as_os_str()));
    let output = run(&line.isolated(isolation), &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

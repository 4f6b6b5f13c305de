//! A repository with an archiso profile in it, and the places that a build writes to, all in one folder.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::Mutex;

use isoprep::{BuildError, BuildRequest, Cancel, Host, HostSearch, Image, Progress, StageName, Tools};

use crate::arch::{Repository, TestProfile};

/// Stands in for the reporter: prints what the guest's own hash says.
const REPORTER: &[u8] = b"#!/usr/bin/bash\nexec /usr/lib/guest-report/tree-hash \"$1\"\n";

/// Names the folder to work in, instead of one of the build's.
pub const PLACE: &str = "CARTRIDGE_TEST_PLACE";

/// When everything was made.
pub const EPOCH: u64 = 1_700_000_000;

pub struct Bench {
    pub dir: tempfile::TempDir,
    pub request: BuildRequest,
}

pub fn search() -> HostSearch {
    HostSearch {
        root: "/".into(),
        kernel_stores: vec![],
        kernel: None,
        path: std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect(),
    }
}

/// The profile that most tests build.
pub fn profile() -> TestProfile {
    TestProfile::releng(Repository::get()).report_trees(&["/root/demo"]).report_paths(&[
        "/root",
        "/root/demo/run",
        "/root/demo/bin/private",
        "/root/demo/link",
        "/etc/shadow",
        "/usr/local/bin/tool",
        "/etc/extra",
    ])
}

impl Bench {
    /// A repository with a few files, and `profile` in its folder `iso`. `settings` is added to its `cartridge.toml`.
    pub fn new(profile: &TestProfile, settings: &str) -> Self {
        Self::named("archiso", profile, settings)
    }

    /// As [`new`](Self::new), below a folder whose name begins with `prefix`.
    pub fn named(prefix: &str, profile: &TestProfile, settings: &str) -> Self {
        let top = std::env::var_os(PLACE).unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
        let dir = tempfile::Builder::new().prefix(prefix).tempdir_in(top).unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["repo/bin", "work", "images"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        let repo = at("repo");
        profile.write(&repo.join("iso"));
        fs::write(repo.join("README"), "hello\n").unwrap();
        for (name, mode) in [("run", 0o755), ("bin/private", 0o600)] {
            fs::write(repo.join(name), "#!/bin/sh\necho ran\n").unwrap();
            fs::set_permissions(repo.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        symlink("run", repo.join("link")).unwrap();
        fs::write(repo.join("extra"), "extra\n").unwrap();
        let engine = if settings.contains("engine") { "" } else { "engine = \"archiso\"\n" };
        let text = format!(
            "name = \"demo\"\n[source]\ninto = \"/root/demo\"\nexclude = [\"/iso\"]\n[image]\nbase = \"iso\"\n\
             env = {{ GREETING = \"it's me\" }}\nfiles = {{ \"/etc/extra\" = \"extra\" }}\n{engine}{settings}\n"
        );
        let recipe = isoprep::parse(&text, &repo).unwrap_or_else(|e| panic!("{e}"));
        let host = Host::Distribution(Tools::find(&search(), recipe.image.engine).unwrap_or_else(|e| panic!("{e}")));
        let request = BuildRequest {
            recipe,
            host,
            epoch: Some(EPOCH),
            init: REPORTER,
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

    /// Builds; says for each stage whether it was reused, and every line that was told.
    pub fn build_telling(&self) -> (Result<Image, BuildError>, BTreeMap<&'static str, bool>, Vec<String>) {
        let told = Mutex::new((BTreeMap::new(), Vec::new()));
        let listen = |progress| match progress {
            Progress::Finished { stage: StageName(stage), reused, .. } => {
                told.lock().unwrap().0.insert(stage, reused);
            }
            Progress::Line { stage, text } => told.lock().unwrap().1.push(format!("[{stage}] {text}")),
            _ => {}
        };
        let image = self.build_with(&Cancel::new(), &listen);
        let (reused, lines) = told.into_inner().unwrap();
        (image, reused, lines)
    }

    /// Takes packages from another place than the repository of the tests.
    pub fn set_server(&self, url: &str) {
        let conf = self.repo().join("iso/pacman.conf");
        let text = fs::read_to_string(&conf).unwrap();
        let line =
            |line: &str| if line.starts_with("Server") { format!("Server = {url}\n") } else { format!("{line}\n") };
        fs::write(&conf, text.lines().map(line).collect::<String>()).unwrap();
    }

    /// Nothing is mounted, nothing runs, no draft is left.
    pub fn assert_clean(&self) {
        let top = self.dir.path().to_str().unwrap();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&top.replace(' ', "\\040")), "{mounts}");
        let processes = fs::read_dir("/proc").unwrap().flatten().map(|it| it.path().join("cmdline"));
        let of_ours = |file: PathBuf| fs::read(file).is_ok_and(|line| String::from_utf8_lossy(&line).contains(top));
        // What was killed may take a moment to be gone.
        let until = std::time::Instant::now() + std::time::Duration::from_secs(2);
        let mut left: Vec<PathBuf> = processes.collect();
        while std::time::Instant::now() < until {
            left.retain(|file| of_ours(file.clone()));
            if left.is_empty() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert!(left.is_empty(), "{left:?}");
        let drafts = self.request.cache.join("drafts");
        assert_eq!(fs::read_dir(drafts).map_or(0, |list| list.count()), 0);
    }

    pub fn build(&self) -> Image {
        let (image, _, lines) = self.build_telling();
        image.unwrap_or_else(|e| panic!("{e}\n{}", lines.join("\n")))
    }

    /// The stages that a build had to do.
    pub fn redone(&self) -> Vec<&'static str> {
        let (image, reused, lines) = self.build_telling();
        image.unwrap_or_else(|e| panic!("{e}\n{}", lines.join("\n")));
        // Looking at the repository is done each time for a while: files that were just written are read again.
        assert_eq!(reused.len(), 7, "{reused:?}");
        let order = ["packages", "inject", "squash", "bootloader", "iso"];
        order.into_iter().filter(|stage| !reused[stage]).collect()
    }
}

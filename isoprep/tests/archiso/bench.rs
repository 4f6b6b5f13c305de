//! A repository with an archiso profile in it, and the places that a build writes to, all in one folder.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::Mutex;

use isoprep::{BuildError, BuildRequest, Cancel, EngineKind, Host, HostSearch, Image, Progress, StageName, Tools};

use crate::arch::{Repository, TestProfile};

/// Stands in for the reporter: prints what the guest's own hash says.
const REPORTER: &[u8] = b"#!/usr/bin/bash\nexec /usr/lib/guest-report/tree-hash \"$1\"\n";

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
        let dir = tempfile::Builder::new().prefix("archiso").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
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
        let text = format!(
            "name = \"demo\"\n[source]\ninto = \"/root/demo\"\nexclude = [\"/iso\"]\n[image]\nengine = \"archiso\"\nbase = \"iso\"\n\
             env = {{ GREETING = \"it's me\" }}\nfiles = {{ \"/etc/extra\" = \"extra\" }}\n{settings}\n"
        );
        let recipe = isoprep::parse(&text, &repo).unwrap_or_else(|e| panic!("{e}"));
        let request = BuildRequest {
            recipe,
            host: Host::Distribution(Tools::find(&search(), EngineKind::Archiso).unwrap_or_else(|e| panic!("{e}"))),
            epoch: Some(EPOCH),
            init: REPORTER,
            cache: at("cache"),
            work: at("work"),
            images: at("images"),
            guest_memory_mib: None,
            apart: Vec::new(),
        };
        Self { dir, request }
    }

    pub fn repo(&self) -> PathBuf {
        self.dir.path().join("repo")
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
        // Each build of a session has a work folder of its own.
        let work = tempfile::Builder::new().prefix("work").tempdir_in(&self.request.work).unwrap();
        let request = BuildRequest { work: work.path().to_path_buf(), ..self.request.clone() };
        let image = isoprep::build(&request, &Cancel::new(), &listen);
        isoprep::reclaim(work.path(), &Cancel::new()).unwrap();
        let (reused, lines) = told.into_inner().unwrap();
        (image, reused, lines)
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
        assert_eq!(reused.len(), 6, "{reused:?}");
        let order = ["packages", "inject", "squash", "bootloader", "iso"];
        order.into_iter().filter(|stage| !reused[stage]).collect()
    }
}

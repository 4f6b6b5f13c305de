//! A console of an ordinary user, with a repository that has an archiso profile against the small Arch of the tests.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::arch::{Repository, TestProfile};
use crate::support::Console;

/// Reports with the program of ours that a dev build has, once: the small Arch has no systemd to start it.
const REPORT: &str = "#!/usr/bin/env bash\n[ \"$(tty)\" = /dev/tty1 ] && [ -x /usr/lib/cartridge/report ] && \
                      /usr/lib/cartridge/report\nexit 0\n";
/// The prompt that a real archiso shows.
const PROMPT: &str = "PS1='[root@archtest ~]# '\n";

pub struct Bench {
    pub console: Console,
    pub repo: PathBuf,
}

/// A profile that builds and boots.
pub fn profile() -> TestProfile {
    TestProfile::releng(Repository::get())
        .executable("airootfs/root/.automated_script.sh", REPORT)
        .file("airootfs/root/.bashrc", PROMPT)
}

impl Bench {
    /// `settings` is added to the `[image]` of its `cartridge.toml`.
    pub fn new(profile: TestProfile, settings: &str) -> Self {
        let console = Console::of_somebody_else();
        let repo = console.dir("distro");
        fs::create_dir(repo.join("bin")).unwrap();
        profile.write(&repo.join("iso"));
        fs::write(repo.join("README"), "hello\n").unwrap();
        fs::write(repo.join("bin/run"), "#!/bin/sh\necho ran\n").unwrap();
        fs::set_permissions(repo.join("bin/run"), fs::Permissions::from_mode(0o755)).unwrap();
        let text = format!(
            "[source]\ninto = \"/root/demo\"\nexclude = [\"/iso\"]\n[image]\nengine = \"archiso\"\nbase = \"iso\"\n{settings}\n\
             [guest]\nmemory = \"1G\"\ncpus = 2\naccelerator = \"tcg\"\n"
        );
        fs::write(repo.join("cartridge.toml"), text).unwrap();
        console.give();
        Self { console, repo }
    }

    pub fn path(&self) -> &str {
        self.repo.to_str().unwrap()
    }

    /// The tree that a guest must find.
    pub fn expected(&self) -> String {
        let copy = self.console.dir("expected");
        let copied = std::process::Command::new("cp").arg("-a").arg(self.repo.join(".")).arg(&copy).status().unwrap();
        assert!(copied.success());
        fs::remove_dir_all(copy.join("iso")).unwrap();
        cartridge_treehash::hash_tree(&copy).unwrap().hash.to_string()
    }
}

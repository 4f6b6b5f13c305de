//! Somebody who is not root: made for one test where that runs as root, with ids lent to him as useradd lends them.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

pub struct User {
    name: String,
    pub uid: u32,
    gid: u32,
    /// Whether the test made him.
    made: bool,
}

impl User {
    /// Whoever runs this test, if that is not root; else somebody new.
    pub fn ordinary() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        if !uid.is_root() {
            return Self { name: String::new(), uid: uid.as_raw(), gid: gid.as_raw(), made: false };
        }
        let name = format!("cc{}x{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let out = Command::new("useradd").args(["--no-create-home", "--shell", "/bin/bash", &name]).output().unwrap();
        assert!(out.status.success(), "useradd: {}", String::from_utf8_lossy(&out.stderr));
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let line = passwd.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
        let ids: Vec<u32> = line.split(':').skip(2).take(2).map(|id| id.parse().unwrap()).collect();
        let user = Self { name, uid: ids[0], gid: ids[1], made: true };
        for file in ["/etc/subuid", "/etc/subgid"] {
            let lent = fs::read_to_string(file).unwrap_or_default();
            let begins = format!("{}:", user.name);
            assert!(lent.lines().any(|line| line.starts_with(&begins)), "useradd lent no ids in {file}");
        }
        user
    }

    /// `program` as him.
    pub fn command(&self, program: &str) -> Command {
        if !self.made {
            return Command::new(program);
        }
        let mut command = Command::new("/usr/bin/setpriv");
        let (uid, gid) = (self.uid.to_string(), self.gid.to_string());
        command.args(["--reuid", &uid, "--regid", &gid, "--clear-groups", "--", program]);
        command.env("USER", &self.name);
        command
    }

    /// Gives him everything below `dir`.
    pub fn own(&self, dir: &Path) {
        if self.made {
            let owner = format!("{}:{}", self.uid, self.gid);
            assert!(Command::new("chown").args(["-hR", &owner]).arg(dir).status().unwrap().success());
        }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if self.made {
            let _ = Command::new("userdel").arg(&self.name).output();
        }
    }
}

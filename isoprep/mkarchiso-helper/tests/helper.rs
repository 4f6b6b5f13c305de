//! The helper as root, asked by a user, with a fake mkarchiso in place of the installed one. These need root, as the
//! helper does; without it they say that they were skipped. The fake is put over `/usr/bin` in a mount namespace of the
//! test's own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cartridge_supervise::{Cancel, CommandLine, Exit, Observer, RunError, run, spawn};

/// The user who asks. He need not exist.
const USER: u32 = 54_321;
const HEAD: &str = r#"#!/bin/bash
while getopts vw:o: option; do case $option in w) work=$OPTARG ;; o) out=$OPTARG ;; *) ;; esac; done
shift $((OPTIND - 1)); profile=$1
mkdir "$work"; echo "made by $(id -u)" >"$work/file"; mkdir -m 700 "$work/closed"; chown 7:7 "$work/closed"
"#;

struct Place {
    top: tempfile::TempDir,
}

impl Place {
    /// `None` without root.
    fn new(test: &str, fake: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("{test}: skipped, as it needs root");
            return None;
        }
        let top = tempfile::Builder::new().prefix("helper").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let place = Self { top };
        for dir in ["p", "w", "w/o", "repo"] {
            fs::create_dir(place.path(dir)).unwrap();
        }
        fs::write(place.path("p/profiledef.sh"), "iso_name=x\n").unwrap();
        fs::write(place.path("w/.cartridge-work"), "cartridge-work 1\n").unwrap();
        fs::write(place.path("repo/packages.db"), "packages\n").unwrap();
        for name in ["p", "p/profiledef.sh", "w", "w/o", "w/.cartridge-work", "repo"] {
            chown(place.path(name), Some(USER), Some(USER)).unwrap();
        }
        // The user's own, closed to everybody else.
        fs::set_permissions(place.path("p"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(place.path("p/profiledef.sh"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::create_dir(place.path("bin")).unwrap();
        let fake = format!("{HEAD}{fake}\n").replace("@TOP@", place.path("").to_str().unwrap().trim_end_matches('/'));
        fs::write(place.path("bin/mkarchiso"), fake).unwrap();
        fs::set_permissions(place.path("bin/mkarchiso"), fs::Permissions::from_mode(0o755)).unwrap();
        Some(place)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.path().canonicalize().unwrap().join(name)
    }

    fn request(&self) -> String {
        let path = |name| self.path(name).display().to_string();
        format!(
            r#"{{"build":{{"profile":"{}","work":"{}","out":"{}","readable":["{}"],"source_date_epoch":1700000000}}}}"#,
            path("p"),
            path("w"),
            path("w/o"),
            path("repo"),
        ) + "\n"
    }

    /// What it says to a request to remove what a dead one left in `work`.
    fn clear(&self, work: &str) -> (String, String) {
        let request = format!("{{\"clear\":[\"{}\"]}}\n", self.path(work).display());
        outcome(run(&self.line("exec").stdin(request), &Cancel::new(), |_, _| ()))
    }

    fn line(&self, before: &str) -> CommandLine {
        let script = format!(r#"mount -t overlay overlay -o lowerdir="$1":/usr/bin /usr/bin && {before} "$2""#);
        CommandLine::new("unshare")
            .args(["-m", "sh", "-c", &script, "-"])
            .arg(self.path("bin"))
            .arg(env!("CARGO_BIN_EXE_mkarchiso-helper"))
            .env("PKEXEC_UID", USER.to_string())
            .env("SECRET", "of the caller's")
            .stdin_held(self.request())
    }

    /// What it printed, and how it ended: 0 or the exit code in words.
    fn run(&self) -> (String, String) {
        outcome(run(&self.line("exec"), &Cancel::new(), |_, _| ()))
    }

    /// The names in the user's output and work directories.
    fn left(&self) -> (Vec<String>, Vec<String>) {
        let names = |dir: &str| {
            let mut names: Vec<String> = fs::read_dir(self.path(dir))
                .unwrap()
                .map(|it| it.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        (names("w/o"), names("w"))
    }

    fn assert_cleared(&self) {
        assert_eq!(self.left().1, [".cartridge-work", "o"]);
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains("cartridge-mkarchiso"), "{mounts}");
    }
}

struct Quiet;

impl Observer for Quiet {
    fn output(&mut self, _: cartridge_supervise::Channel, _: &[u8]) {}
    fn exited(&mut self, _: &Exit) {}
}

fn outcome(result: Result<cartridge_supervise::Output, RunError>) -> (String, String) {
    match result {
        Ok(output) => (output.exit.evidence_text(), "0".to_owned()),
        Err(RunError::Failed { evidence, how, .. }) => (evidence, how),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn an_image_is_handed_over_and_nothing_of_root_s_is_left() {
    let Some(place) =
        Place::new("an image", "echo hello; echo oops >&2; echo iso >\"$out/a.iso\"; echo x >\"$out/notes\"")
    else {
        return;
    };
    let (printed, how) = place.run();
    assert_eq!((printed.as_str(), how.as_str()), ("hello\noops\n", "0"));
    assert_eq!(place.left().0, ["a.iso"]);
    place.assert_cleared();
    let image = fs::metadata(place.path("w/o/a.iso")).unwrap();
    assert_eq!((image.uid(), image.gid(), image.mode() & 0o7777), (USER, USER, 0o644));
}

#[test]
fn it_gives_no_more_than_it_must() {
    let fake = "env | grep -v '^_=\\|^SHLVL=\\|^PWD=' | sed 's/^\\(CARTRIDGE_PROCESS=\\).*/\\1/' | sort; id -u; cat \"$profile/profiledef.sh\"
        mount -o remount,bind,rw / 2>/dev/null
        for file in /etc/x /usr/x \"$profile/x\" /proc/sys/kernel/core_pattern; do
            (echo x >\"$file\") 2>/dev/null && echo \"wrote $file\"
        done
        mount -o remount,rw / 2>/dev/null && echo remounted; /usr/bin/umount /proc/sys /run 2>/dev/null && echo uncovered
        find /home /root /var -mindepth 1; cat '@TOP@/repo/packages.db'; cat '@TOP@/secret' 2>/dev/null
        perl -MIO::Socket::UNIX -e 'print IO::Socket::UNIX->new(Peer => $ARGV[0]) ? \"connected\n\" : \"refused\n\"' '@TOP@/socket'
        ls /dev | grep -v '^fd$\\|^std\\|^pt\\|^shm$\\|^full$\\|^null$\\|random$\\|^tty$\\|^zero$'
        ls /run | grep -v '^mount$'";
    let Some(place) = Place::new("no more than it must", fake) else { return };
    // What the real root alone may read, and speak to.
    fs::write(place.path("secret"), "s").unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(place.path("socket")).unwrap();
    for name in ["secret", "socket"] {
        fs::set_permissions(place.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let (printed, how) = place.run();
    let wanted = "CARTRIDGE_PROCESS=\nHOME=/tmp\nLC_ALL=C.UTF-8\nPATH=/run/cartridge/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
                  SOURCE_DATE_EPOCH=1700000000\n0\niso_name=x\npackages\nrefused\ncartridge\n";
    assert_eq!((printed.as_str(), how.as_str()), (wanted, "0"));
    place.assert_cleared();
}

#[test]
fn a_failure_is_passed_on_and_cleared() {
    let Some(place) = Place::new("a failure", "echo iso >\"$out/a.iso\"; exit 3") else { return };
    assert_eq!(place.run().1, "exit code 3");
    assert_eq!(place.left().0, [""; 0]);
    place.assert_cleared();
}

#[test]
fn what_is_no_plain_image_is_not_handed_over_and_nothing_is_replaced() {
    let fake = "ln -s /etc/shadow \"$out/link.iso\"; mkdir \"$out/dir.iso\"; mkfifo \"$out/fifo.iso\"
        echo x >\"$out/two.iso\"; ln \"$out/two.iso\" \"$out/names\"";
    let Some(place) = Place::new("no plain image", fake) else { return };
    let (printed, how) = place.run();
    assert_eq!(how, "0", "{printed}");
    assert_eq!(place.left().0, [""; 0]);
    place.assert_cleared();

    let Some(place) = Place::new("nothing is replaced", "echo new >\"$out/a.iso\"") else { return };
    fs::write(place.path("w/o/a.iso"), "old").unwrap();
    let (printed, how) = place.run();
    assert!(how == "exit code 70" && printed.contains("could not move a.iso"), "{printed} {how}");
    assert_eq!(fs::read_to_string(place.path("w/o/a.iso")).unwrap(), "old");
    place.assert_cleared();
}

#[test]
fn it_stops_when_it_is_told_to() {
    let Some(place) = Place::new("told to stop", "echo ready; trap '' TERM; sleep 300 & wait; sleep 300") else {
        return;
    };
    struct Told(std::sync::mpsc::Sender<()>);
    impl Observer for Told {
        fn output(&mut self, _: cartridge_supervise::Channel, _: &[u8]) {
            let _ = self.0.send(());
        }
        fn exited(&mut self, _: &Exit) {}
    }
    let (sender, ready) = std::sync::mpsc::channel();
    let child = spawn(&place.line("exec"), Told(sender)).unwrap();
    ready.recv_timeout(Duration::from_secs(20)).unwrap();
    let since = Instant::now();
    child.close_stdin();
    let exit = child.wait(Duration::from_secs(2)).expect("it stopped");
    assert_eq!(exit.status.code(), Some(70));
    assert!(exit.evidence_text().contains("stopped, as was asked for") && since.elapsed() < Duration::from_secs(1));
    place.assert_cleared();
}

#[test]
fn it_stops_when_the_caller_is_gone() {
    let Some(place) = Place::new("the caller is gone", "touch /run/cartridge/build/began; sleep 300") else { return };
    fs::write(place.path("request"), place.request()).unwrap();
    // The shell and the one that holds the input open are the caller: they are killed, and the helper, in a session of its
    // own, is not.
    let script = format!("{{ cat '{}'; exec sleep 300; }} | setsid \"$2\"; true", place.path("request").display());
    let line = CommandLine::new("unshare")
        .args(["-m", "sh", "-c"])
        .arg(format!("mount -t overlay overlay -o lowerdir=\"$1\":/usr/bin /usr/bin && {{ {script}; }}"))
        .arg("-")
        .arg(place.path("bin"))
        .arg(env!("CARGO_BIN_EXE_mkarchiso-helper"))
        .env("PKEXEC_UID", USER.to_string());
    let child = spawn(&line, Quiet).unwrap();
    let wait = |what: &str, done: &dyn Fn() -> bool| {
        let end = Instant::now() + Duration::from_secs(20);
        while !done() {
            assert!(Instant::now() < end, "{what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait("it began", &|| place.path("w/mkarchiso-root/build/began").exists());
    child.kill();
    wait("it stopped", &|| !place.path("w/mkarchiso-root").exists());
    place.assert_cleared();
}

/// As when the application ends while the dialog for the password stands.
#[test]
fn it_does_not_begin_for_a_caller_who_is_gone() {
    let Some(place) = Place::new("who is gone", "echo ran") else { return };
    let (printed, how) = outcome(run(&place.line("exec").stdin(place.request()), &Cancel::new(), |_, _| ()));
    // Its input ended after the request: nobody is left who holds it.
    assert!(how == "exit code 70" && !printed.contains("ran") && printed.contains("stopped"), "{printed} {how}");
    place.assert_cleared();
}

#[test]
fn what_a_killed_helper_left_is_cleared_by_the_next() {
    let Some(place) = Place::new("the next", "[ -e /run/cartridge/build/old ] && exit 9; echo iso >\"$out/a.iso\"")
    else {
        return;
    };
    let old = place.path("w/mkarchiso-root");
    fs::create_dir_all(old.join("work/deep")).unwrap();
    fs::write(old.join("old"), "").unwrap();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(place.run(), (String::new(), "0".to_owned()));
    place.assert_cleared();
    // But not a directory that the user put there under its name.
    fs::create_dir(&old).unwrap();
    fs::write(old.join("precious"), "").unwrap();
    chown(&old, Some(USER), Some(USER)).unwrap();
    fs::remove_file(place.path("w/o/a.iso")).unwrap();
    let (printed, how) = place.run();
    assert!(how == "exit code 70" && printed.contains("not root's own"), "{printed}");
    assert!(old.join("precious").exists());
    let (printed, how) = place.clear("w");
    assert!(how == "exit code 70" && printed.contains("not root's own"), "{printed}");
    assert!(old.join("precious").exists());
}

#[test]
fn what_a_killed_helper_left_is_cleared_on_request() {
    let Some(place) = Place::new("on request", "echo ready; sleep 300") else { return };
    assert_eq!(place.clear("w"), (String::new(), "0".to_owned()), "nothing is left, nothing is done");
    // A directory that somebody works in is not taken away under him.
    let child = spawn(&place.line("exec"), Quiet).unwrap();
    let began = Instant::now();
    while !place.path("w/mkarchiso-root/build/work/closed").exists() {
        assert!(began.elapsed() < Duration::from_secs(20), "it began");
        std::thread::sleep(Duration::from_millis(20));
    }
    let (printed, how) = place.clear("w");
    assert!(how == "exit code 70" && printed.contains("at work"), "{printed}");
    // Killed as no signal of a user's could: it cannot clear.
    child.kill();
    child.wait(Duration::from_secs(5)).expect("it is gone");
    assert!(place.path("w/mkarchiso-root/build/work/closed").exists());
    assert_eq!(place.clear("w"), (String::new(), "0".to_owned()));
    place.assert_cleared();
    // Nor is anything touched where the marker is missing or the directory another's.
    let left = |dir: &str| {
        fs::create_dir_all(place.path(dir).join("mkarchiso-root/deep")).unwrap();
        fs::set_permissions(place.path(dir).join("mkarchiso-root"), fs::Permissions::from_mode(0o700)).unwrap();
    };
    left("repo");
    assert!(place.clear("repo").0.contains("has no .cartridge-work"));
    left("w");
    chown(place.path("w"), Some(0), Some(0)).unwrap();
    assert!(place.clear("w").0.contains("another user"));
    symlink("w", place.path("link")).unwrap();
    assert!(place.clear("link").0.contains("symbolic link"));
    assert!(place.path("w/mkarchiso-root/deep").exists() && place.path("repo/mkarchiso-root/deep").exists());
}

#[test]
fn what_is_mounted_in_what_a_killed_helper_left_is_not_touched() {
    let Some(place) = Place::new("mounted", "exit 1") else { return };
    let old = place.path("w/mkarchiso-root");
    fs::create_dir_all(old.join("deep/mnt")).unwrap();
    fs::write(old.join("deep/file"), "").unwrap();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o700)).unwrap();
    fs::create_dir(place.path("precious")).unwrap();
    fs::write(place.path("precious/thesis"), "all of it").unwrap();
    let request = format!("{{\"clear\":[\"{}\"]}}\n", place.path("w").display());
    let bind =
        format!("mount --bind '{}' '{}' && exec", place.path("precious").display(), old.join("deep/mnt").display());
    let (printed, how) = outcome(run(&place.line(&bind).stdin(request), &Cancel::new(), |_, _| ()));
    assert!(how == "exit code 70" && printed.contains("busy"), "{how}: {printed}");
    assert_eq!(fs::read_to_string(place.path("precious/thesis")).unwrap(), "all of it");
    assert_eq!(place.clear("w"), (String::new(), "0".to_owned()));
    place.assert_cleared();
}

#[test]
fn it_refuses_whoever_did_not_come_through_polkit() {
    let Some(place) = Place::new("through polkit", "echo ran") else { return };
    let helper = env!("CARGO_BIN_EXE_mkarchiso-helper");
    let said = |line: CommandLine| {
        let (printed, how) = outcome(run(&line.stdin(place.request()), &Cancel::new(), |_, _| ()));
        assert_eq!(how, "exit code 70", "{printed}");
        printed
    };
    let asked = |line: CommandLine| said(line.env("PKEXEC_UID", USER.to_string()));
    assert!(said(CommandLine::new(helper)).contains("PKEXEC_UID"));
    assert!(said(CommandLine::new(helper).env("PKEXEC_UID", "0")).contains("PKEXEC_UID"));
    assert!(asked(CommandLine::new(helper).arg("--help")).contains("no arguments"));
    let nobody = CommandLine::new("setpriv").args(["--reuid=65534", "--regid=65534", "--clear-groups", helper]);
    assert!(asked(nobody).contains("not root"));
    let other = CommandLine::new(helper).env("PKEXEC_UID", (USER + 1).to_string());
    assert!(said(other).contains("another user"));
    place.assert_cleared();
}

/// While requests are served the user swaps the output directory for a link to a directory of root's. Whatever happens,
/// no image appears there.
#[test]
fn a_race_with_links_leads_nowhere() {
    let Some(place) = Place::new("a race", "echo iso >\"$out/a.iso\"") else { return };
    let (out, aside, victim) = (place.path("w/o"), place.path("w/aside"), place.path("victim"));
    fs::create_dir(&victim).unwrap();
    let done = AtomicBool::new(false);
    struct End<'a>(&'a AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let mut served = 0;
    std::thread::scope(|scope| {
        let _end = End(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                fs::rename(&out, &aside).unwrap();
                symlink(&victim, &out).unwrap();
                std::thread::sleep(Duration::from_micros(300));
                fs::remove_file(&out).unwrap();
                fs::rename(&aside, &out).unwrap();
                std::thread::sleep(Duration::from_micros(300));
            }
        });
        for _ in 0..30 {
            let (printed, how) = place.run();
            assert!(how == "0" || how == "exit code 70", "{how}: {printed}");
            served += usize::from(how == "0");
            for dir in [&out, &aside] {
                let _ = fs::remove_file(dir.join("a.iso"));
            }
        }
    });
    assert_eq!(names(&victim), [""; 0]);
    assert!(served > 0, "no request got through");
}

fn names(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
}

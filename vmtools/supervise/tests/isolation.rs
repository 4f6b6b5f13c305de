//! Real namespaces: what an isolated child sees, what it cannot do, and that nothing of it is left.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cartridge_supervise::{
    Cancel, CommandLine, Isolation, IsolationError, Limits, RunError, Step, isolation_support, run, spawn,
};

fn sh(script: &str, isolation: Isolation) -> CommandLine {
    CommandLine::new("/bin/sh").args(["-c", script]).isolated(isolation)
}

fn out(script: &str, isolation: Isolation) -> String {
    let output = run(&sh(script, isolation), &Cancel::new(), |_, _| ()).unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn dir() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("isolated").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

#[test]
fn it_is_root_and_the_first_process_and_alone() {
    isolation_support().unwrap();
    assert_eq!(out("id -u; echo $$; hostname >/dev/null; ls /tmp /run | wc -l", Isolation::new()), "0\n1\n3");
    let processes = out("ls /proc | grep -c '^[0-9]'", Isolation::new());
    assert!(processes.parse::<u32>().unwrap() <= 4, "{processes}");
    assert_eq!(
        out("ls /sys/class/net", Isolation::new().shown("/sys", "/sys")).lines().count(),
        out("ls /sys/class/net", Isolation::new()).lines().count()
    );
    assert_eq!(out("tail -n +3 /proc/net/dev | wc -l", Isolation::new()), "1", "only a loopback");
    let host = fs::read_to_string("/proc/net/dev").unwrap().lines().count() - 2;
    assert_eq!(out("tail -n +3 /proc/net/dev | wc -l", Isolation::new().network()), host.to_string());
}

#[test]
fn nothing_is_written_outside_and_devices_are_harmless() {
    let top = dir();
    let (open, closed) = (top.path().join("open it"), top.path().join("closed"));
    for folder in [&open, &closed] {
        fs::create_dir(folder).unwrap();
    }
    let script = format!(
        "mount -o remount,rw,bind / 2>/dev/null; touch '{0}/x' && echo wrote; touch '{1}/x' 2>/dev/null || echo refused; touch /etc/x /usr/x 2>/dev/null || echo refused; \
         ls /dev | tr '\\n' ' '; echo y >/dev/null && head -c 2 /dev/zero | wc -c; \
         mknod '{0}/sda' b 8 0 2>/dev/null || echo no device; echo x 2>/dev/null >/proc/sys/kernel/core_pattern || echo closed",
        open.display(),
        closed.display()
    );
    let said = out(&script, Isolation::new().writable(&open));
    let devices = "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero";
    assert_eq!(said, format!("wrote\nrefused\nrefused\n{devices} 2\nno device\nclosed"));
    assert!(open.join("x").exists() && !closed.join("x").exists() && !Path::new("/etc/x").exists());
}

#[test]
fn what_is_hidden_is_empty_and_what_is_shown_is_read_only() {
    let top = dir();
    let (home, repository, cache) =
        (top.path().join("home"), top.path().join("home/repo"), top.path().join("home/cache"));
    for folder in [&home, &repository, &cache] {
        fs::create_dir(folder).unwrap();
    }
    fs::write(home.join("secret"), "s").unwrap();
    fs::write(repository.join("file"), "f").unwrap();
    let script =
        "ls; cat repo/file; echo x >cache/y; (echo x >repo/file) 2>/dev/null || echo refused; cat /tmp/deep/er/file";
    let isolation = Isolation::new()
        .hidden(&home)
        .shown(&repository, &repository)
        .writable(&cache)
        .shown(repository.join("file"), "/tmp/deep/er/file");
    let line = sh(script, isolation).cwd(&home);
    let output = run(&line, &Cancel::new(), |_, _| ()).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "cache\nrepo\nfrefused\nf");
    assert_eq!(fs::read_to_string(cache.join("y")).unwrap(), "x\n");
}

#[test]
fn a_folder_can_be_written_at_another_place() {
    let top = dir();
    let with_blanks = top.path().join("with blanks");
    fs::create_dir(&with_blanks).unwrap();
    let isolation = Isolation::new().writable_at(&with_blanks, "/run/inner/place");
    assert_eq!(out("echo x >/run/inner/place/y; ls /run/inner/place; ls /run/inner", isolation), "y\nplace");
    assert_eq!(fs::read_to_string(with_blanks.join("y")).unwrap(), "x\n");
    let elsewhere = format!("(echo x >'{}/z') 2>/dev/null || echo refused", with_blanks.display());
    assert_eq!(out(&elsewhere, Isolation::new().writable_at(&with_blanks, "/run/x")), "refused");
}

#[test]
fn without_capabilities_nothing_can_be_undone() {
    let top = dir();
    let secret = top.path().join("private");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("profile"), "p").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o700)).unwrap();
    let script = format!(
        "grep CapEff /proc/self/status | cut -f2; cat '{}/profile'; mount -t tmpfs x /mnt 2>/dev/null || echo no mount; \
         mount -o remount,rw / 2>/dev/null || echo still closed; echo x >/tmp/y && echo tmp",
        secret.display()
    );
    let said = out(&script, Isolation::new().unprivileged().shown(&secret, &secret));
    let caps = said.lines().next().unwrap();
    let expected = if rustix::process::geteuid().is_root() { "0000000000000004" } else { "0000000000000000" };
    assert_eq!(caps, expected);
    assert_eq!(said.lines().skip(1).collect::<Vec<_>>(), ["pno mount", "still closed", "tmp"]);
}

#[test]
fn limits_hold() {
    let limits = Limits {
        processes: Some(40),
        file_bytes: Some(1 << 20),
        cpu_seconds: Some(1),
        memory_bytes: Some(256 << 20),
        private_bytes: Some(4 << 20),
    };
    let closed = || Isolation::new().unprivileged().limits(limits);
    let big = run(&sh("head -c 4000000 /dev/zero >/tmp/x", closed()), &Cancel::new(), |_, _| ());
    assert!(matches!(big, Err(RunError::Failed { .. })), "{big:?}");
    let room = "for dir in /tmp /run /dev /dev/shm /mnt; do for i in $(seq 9); do head -c 1000000 /dev/zero 2>/dev/null >$dir/$i; done; \
                du -sm $dir | cut -f1; rm $dir/[0-9]; for i in $(seq 2000); do true >$dir/$i; done 2>/dev/null; ls $dir | wc -l; done";
    let kept: Vec<u64> =
        out(room, Isolation::new().hidden("/mnt").limits(limits)).lines().map(|it| it.parse().unwrap()).collect();
    assert!(kept.len() == 10 && kept.iter().step_by(2).all(|size| (3..=4).contains(size)), "{kept:?}");
    assert!(kept.iter().skip(1).step_by(2).all(|files| (900..1024).contains(files)), "{kept:?}");
    let busy = run(&sh("while :; do :; done", closed()), &Cancel::new(), |_, _| ());
    let Err(RunError::Failed { how, .. }) = busy else { panic!("{busy:?}") };
    assert!(how.contains("signal"), "{how}");
    let many = run(&sh("for i in $(seq 100); do sleep 5 & done; jobs | wc -l", closed()), &Cancel::new(), |_, _| ());
    let Err(RunError::Failed { evidence, .. }) = many else { panic!("{many:?}") };
    assert!(evidence.to_lowercase().contains("fork"), "{evidence}");
}

#[test]
fn a_root_file_system_gets_its_own_places_and_is_clean_after() {
    let top = dir();
    let root = top.path().join("root");
    for folder in ["bin", "proc", "sys", "dev", "run", "tmp"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().map(Path::new).find(|it| it.exists()).unwrap();
    fs::copy(busybox, root.join("bin/busybox")).unwrap();
    let line = CommandLine::new("/bin/busybox")
        .args(["sh", "-c", "busybox pwd; busybox test -e /proc/1/status && busybox test -c /dev/null && busybox touch /made /tmp/t && echo ok"])
        .env("PATH", "/bin")
        .isolated(Isolation::new().writable(&root).root(&root));
    let output = run(&line, &Cancel::new(), |_, _| ()).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "/\nok\n");
    assert!(root.join("made").exists());
    for folder in ["proc", "dev", "tmp", "sys"] {
        assert_eq!(fs::read_dir(root.join(folder)).unwrap().count(), 0, "{folder}");
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(top.path().to_str().unwrap()));
}

#[test]
fn it_ends_as_the_program_ends_and_all_of_it() {
    let failed = |script: &str| match run(&sh(script, Isolation::new()), &Cancel::new(), |_, _| ()) {
        Err(RunError::Failed { how, .. }) => how,
        other => panic!("{other:?}"),
    };
    assert_eq!(failed("exit 7"), "exit code 7");
    let top = dir();
    let mark = format!("{}", top.path().display());
    // What goes into the background and leaves the group would outlive us anywhere else.
    let script = format!("setsid sh -c 'exec sleep 1000 # {mark}' & sleep 1000");
    let cancel = Cancel::new();
    let child = spawn(&sh(&script, Isolation::new()), Silent).unwrap();
    while sleepers(child.pid()) < 2 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let started = Instant::now();
    child.kill();
    while sleepers(child.pid()) > 0 && started.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(sleepers(child.pid()), 0);
    drop(cancel);
}

struct Silent;

impl cartridge_supervise::Observer for Silent {
    fn output(&mut self, _: cartridge_supervise::Channel, _: &[u8]) {}
    fn exited(&mut self, _: &cartridge_supervise::Exit) {}
}

/// How many `sleep 1000` there are in other process namespaces than ours.
fn sleepers(_: u32) -> usize {
    let own = fs::read_link("/proc/self/ns/pid").unwrap();
    let entries = fs::read_dir("/proc").unwrap().flatten().map(|it| it.path());
    let is_sleeper = |path: &PathBuf| {
        fs::read(path.join("cmdline")).is_ok_and(|line| line == b"sleep\x001000\0")
            && fs::read_link(path.join("ns/pid")).is_ok_and(|ns| ns != own)
    };
    entries.filter(is_sleeper).count()
}

#[test]
fn files_can_belong_to_others_where_ids_are_lent() {
    let top = dir();
    let script = format!("touch '{0}/f' && chown 3:4 '{0}/f' && stat -c %u:%g '{0}/f'", top.path().display());
    if isolation_support().unwrap().has_many() {
        assert_eq!(out(&script, Isolation::new().writable(top.path())), "3:4");
        let meta = fs::metadata(top.path().join("f")).unwrap();
        let root = rustix::process::geteuid().is_root();
        assert_eq!(meta.uid() == 3, root, "as an ordinary user it is one of the lent ids");
        run(
            &sh(&format!("rm '{}/f'", top.path().display()), Isolation::new().writable(top.path())),
            &Cancel::new(),
            |_, _| (),
        )
        .unwrap();
    } else {
        assert!(run(&sh(&script, Isolation::new().writable(top.path())), &Cancel::new(), |_, _| ()).is_err());
    }
}

#[test]
fn what_stops_it_is_named() {
    let why = |isolation: Isolation| match run(&sh("true", isolation), &Cancel::new(), |_, _| ()) {
        Err(RunError::Spawn(error)) => {
            (error.to_string(), error.source.get_ref().and_then(|e| e.downcast_ref::<IsolationError>()).cloned())
        }
        other => panic!("{other:?}"),
    };
    let (text, error) = why(Isolation::new().writable("/does/not/exist"));
    assert!(text.contains("/does/not/exist") && error.is_none(), "{text}");
    assert!(why(Isolation::new().writable("relative")).0.contains("relative"));
    let top = dir();
    let (text, error) = why(Isolation::new().writable(top.path()).prepared(top.path()));
    assert_eq!(error.unwrap().step, Some(Step::Prepare), "{text}");
}

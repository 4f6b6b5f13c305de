//! What is closed stays closed for a child that tries with all that it has: as root, as a user with lent ids, and as one
//! without. Needs `perl`, `setpriv`, `script` and `unshare`, as every distribution has them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use cartridge_supervise::{Cancel, CommandLine, IdMap, IdRange, Isolation, run};

/// The folder to use, for a test that was started again as another user.
const AS_USER: &str = "SUPERVISE_TEST_FOLDER";
/// Who has no lent ids. He need not exist.
const NOBODY_S: u32 = 54_321;

fn out(script: &str, isolation: Isolation) -> String {
    let line = CommandLine::new("/bin/bash").args(["-c", script]).isolated(isolation);
    let output = run(&line, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Runs `attack` in a new folder as whoever we are, and, as root, as ordinary users too, by starting `test` again.
fn as_each_user(test: &str, attack: fn(&Path)) {
    if let Some(dir) = std::env::var_os(AS_USER) {
        return attack(Path::new(&dir));
    }
    let dir = || tempfile::Builder::new().prefix("locked").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    attack(dir().path());
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // Somebody else may not be able to get at the build directory.
    let reachable = tempfile::Builder::new().prefix("locked").tempdir_in("/var/tmp").unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(reachable.path(), open).unwrap();
    let own = reachable.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &own).unwrap();
    for user in [lent_user(), Some(NOBODY_S)].into_iter().flatten() {
        let dir = tempfile::Builder::new().tempdir_in(reachable.path()).unwrap();
        chown(dir.path(), Some(user), Some(user)).unwrap();
        let line = CommandLine::new("setpriv")
            .arg(format!("--reuid={user}"))
            .arg(format!("--regid={user}"))
            .arg("--clear-groups")
            .arg(&own)
            .args(["--exact", test, "--nocapture"])
            .env(AS_USER, dir.path());
        let output = run(&line, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("as user {user}: {e}"));
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "as user {user}");
    }
}

/// A user of this machine to whom ids are lent.
fn lent_user() -> Option<u32> {
    let (lent, users) = (fs::read_to_string("/etc/subuid").ok()?, fs::read_to_string("/etc/passwd").ok()?);
    let names: Vec<&str> = lent.lines().filter_map(|line| line.split(':').next()).collect();
    let of = |line: &str| {
        let words: Vec<&str> = line.split(':').collect();
        (words.len() > 2 && names.contains(&words[0])).then(|| words[2].parse().ok()).flatten()
    };
    users.lines().find_map(of)
}

#[test]
fn what_is_read_only_or_covered_stays_so() {
    as_each_user("what_is_read_only_or_covered_stays_so", |top| {
        let (open, hidden) = (top.join("open"), top.join("hidden"));
        fs::create_dir(&open).unwrap();
        fs::create_dir(&hidden).unwrap();
        fs::write(top.join("precious"), "p").unwrap();
        fs::write(hidden.join("secret"), "s").unwrap();
        let script = r#"
            top=$1; exec 2>/dev/null
            try() {
                for place in / "$top" /tmp/all /tmp/top /proc /proc/sys /sys; do
                    mount -o remount,bind,rw "$place"; mount -o remount,rw "$place"
                done
                for place in /tmp/all$top /tmp/top "$top"; do rm -f "$place/precious"; (echo x >"$place/new"); done
                umount /proc/sys; umount -l "$top/hidden" /run /proc/sys /proc/bus /dev /sys /proc /tmp
                cat "$top/hidden/secret" "/tmp/all$top/hidden/secret"; ls /run /tmp/all/run | grep -v '^/\|^mount$\|^$'
                for file in /proc/sys/kernel/core_pattern /tmp/all/proc/sys/kernel/core_pattern; do
                    was=$(cat $file); (echo "$was" >$file) && echo "wrote $file"
                done
            }
            mkdir /tmp/all /tmp/top
            mount --bind "$top" /tmp/top; mount --rbind / /tmp/all; mount --rbind "$top" /tmp/top
            try
            export -f try
            unshare --mount bash -c 'try' - "$top"; unshare --user --map-root-user --mount bash -c 'try' - "$top"
            ls /proc/1/root/run | grep -v '^mount$'; [ -e "$top/precious" ] && echo there
            mkdir /tmp/new; mount --rbind / /tmp/new; cd /tmp/new
            pivot_root . . && umount -l . && cat "$top/hidden/secret"; rm -f "$top/precious"; echo ended"#;
        let line = CommandLine::new("/bin/bash").args(["-c", script, "-"]).arg(top);
        let line = line.isolated(Isolation::new().writable(&open).hidden(&hidden));
        let output = run(&line, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "there\nended\n");
        assert_eq!(fs::read_to_string(top.join("precious")).unwrap(), "p");
        assert!(!top.join("new").exists());
    });
}

#[test]
fn what_tools_mount_themselves_works() {
    as_each_user("what_tools_mount_themselves_works", |top| {
        let script = r#"set -e; cd "$0"
            mkdir a b c; mount -t tmpfs tmpfs a; echo x >a/x; mount --bind a b; cat b/x; umount b
            mount --rbind /dev c; [ -c c/null ]; umount -l c; mount --rbind /sys c; umount -l c; mount --rbind /proc c; umount -l c
            mount -t proc proc b 2>/dev/null && [ -e b/self ] && echo proc; rm -r c; umount a; echo ended"#;
        let line = CommandLine::new("/bin/bash").args(["-c", script]).arg(top);
        let output = run(&line.isolated(Isolation::new().writable(top)), &Cancel::new(), |_, _| ())
            .unwrap_or_else(|e| panic!("{e}"));
        // The real root's /proc has closed parts, so the kernel allows it no new one.
        let proc = if rustix::process::geteuid().is_root() { "" } else { "proc\n" };
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("x\n{proc}ended\n"));
    });
}

#[test]
fn a_root_of_its_own_cannot_be_left() {
    as_each_user("a_root_of_its_own_cannot_be_left", |top| {
        let root = top.join("root");
        for name in ["usr/bin", "proc", "sys", "dev", "run", "tmp", "d"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        let perl = Path::new("/usr/bin/perl");
        let needed = run(&CommandLine::new("ldd").arg(perl), &Cancel::new(), |_, _| ()).unwrap();
        let needed = String::from_utf8_lossy(&needed.stdout).into_owned();
        let files = needed.split_whitespace().filter(|word| word.starts_with('/')).map(Path::new);
        for file in files.chain([perl]) {
            let to = root.join(file.strip_prefix("/").unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(file, to).unwrap();
        }
        fs::write(top.join("precious"), "p").unwrap();
        let script = format!(
            r#"chroot("/d"); for (1..64) {{ chdir("..") }} chroot(".") or print "no way to try\n";
               print -e "/d" ? "root\n" : "elsewhere\n"; print -e "{0}/precious" ? "out\n" : "in\n"; unlink "{0}/precious";
               print -e "/proc/1/root{0}/precious" ? "out\n" : "in\n""#,
            top.display()
        );
        let line = CommandLine::new("/usr/bin/perl").args(["-e", &script]);
        let line = line.isolated(Isolation::new().writable(&root).root(&root));
        let output = run(&line, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "root\nin\nin\n");
        assert!(top.join("precious").exists());
    });
}

#[test]
fn the_folder_that_we_are_in_is_covered_too() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::write(dir.path().join("secret"), "s").unwrap();
    // No working folder is asked for: it is that of whoever starts it.
    std::env::set_current_dir(dir.path()).unwrap();
    assert_eq!(out("cat secret 2>/dev/null; echo ended", Isolation::new().hidden(dir.path())), "ended");
}

#[test]
fn the_terminal_is_out_of_reach() {
    let open = "(: </dev/tty) 2>/dev/null && echo terminal || echo none";
    if std::env::var_os(AS_USER).is_some() {
        let plain = run(&CommandLine::new("bash").args(["-c", open]), &Cancel::new(), |_, _| ()).unwrap();
        println!("<{} {}>", String::from_utf8_lossy(&plain.stdout).trim(), out(open, Isolation::new()));
        return;
    }
    let me = std::env::current_exe().unwrap();
    let again = format!("'{}' --exact the_terminal_is_out_of_reach --nocapture", me.display());
    let line = CommandLine::new("script").args(["-qec", &again, "/dev/null"]).env(AS_USER, "/");
    let output = run(&line, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("<terminal none>"), "{said}");
}

#[test]
fn root_can_be_somebody_else_on_the_host() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("root_can_be_somebody_else_on_the_host: skipped, as it needs root");
    }
    let top = tempfile::Builder::new().prefix("ids").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (open, closed): (PathBuf, PathBuf) = (top.path().join("open"), top.path().join("closed"));
    const BASE: u32 = 1_500_000_000;
    for (dir, owner) in [(&open, BASE), (&closed, 0)] {
        fs::create_dir(dir).unwrap();
        chown(dir, Some(owner), Some(owner)).unwrap();
    }
    let socket = open.join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    fs::write(closed.join("secret"), "s").unwrap();
    fs::set_permissions(closed.join("secret"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let script = format!(
        "id -u; touch '{0}/made'; chown 7:7 '{0}/made' && echo given; cat '{1}/secret' 2>/dev/null || echo closed
         perl -MIO::Socket::UNIX -e 'print IO::Socket::UNIX->new(Peer => $ARGV[0]) ? \"connected\" : \"refused\"' '{2}'; echo
         mkdir /tmp/p && mount -t proc proc /tmp/p && echo proc
         (cat /tmp/p/sys/kernel/core_pattern >/tmp/was; cat /tmp/was >/tmp/p/sys/kernel/core_pattern) 2>/dev/null || echo fixed",
        open.display(),
        closed.display(),
        socket.display()
    );
    let range = vec![IdRange { inside: 0, outside: BASE, count: 65_536 }];
    let map = IdMap::Lent { users: range.clone(), groups: range };
    let said = out(&script, Isolation::new().network().writable(&open).ids(map));
    assert_eq!(said, "0\ngiven\nclosed\nrefused\nproc\nfixed");
    let made = fs::metadata(open.join("made")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&made), BASE + 7);
}

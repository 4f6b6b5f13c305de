//! Folders of this host in real guests: what changes here is seen there, and what the guest tries changes nothing here.
//! Each transport that this machine has; as root, and as an ordinary user.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use vmtools::share::{GuestKernel, Kind, Serving};
use vmtools::{Access, Boot, Chosen, GuestEvent, GuestReport, Machine, ShareProblem, SharedFolder, Sharing};

use crate::harness::{Guest, machine, plan};
use crate::share_image::{ALL, IMAGE, Image, image};

/// Set where a test runs again as an ordinary user.
const INSIDE: &str = "CARTRIDGE_TEST_SHARES_INSIDE";
/// An id that nobody has.
const USER: u32 = 61_185;

/// A folder with a bit of everything, and a place beside it for the image.
struct Place {
    dir: tempfile::TempDir,
    image: Image,
}

impl Place {
    fn new(modules: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("share").tempdir().unwrap();
        let lent = dir.path().join("lent");
        fs::create_dir_all(lent.join("deep/er")).unwrap();
        fs::write(lent.join("edited"), "edited-0\n").unwrap();
        fs::write(lent.join("replaced"), "replaced-0\n").unwrap();
        fs::write(lent.join("deep/er/file"), "x".repeat(70_000)).unwrap();
        fs::write(lent.join("program"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(lent.join("program"), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("deep/er/file", lent.join("link")).unwrap();
        fs::hard_link(lent.join("edited"), lent.join("deep/hard")).unwrap();
        let image = image(dir.path(), modules);
        Self { dir, image }
    }

    fn lent(&self) -> PathBuf {
        self.dir.path().join("lent")
    }

    async fn start(&self, access: Access, kind: Kind) -> Booted {
        let folder = SharedFolder { tag: "repository".into(), dir: self.lent(), at: "/root/demo".into(), access };
        let kernel = GuestKernel { virtiofs: Some(kind == Kind::Virtiofs), plan9: Some(kind == Kind::Plan9) };
        let boot = Boot::Direct {
            kernel: self.image.kernel.clone(),
            initrds: vec![self.image.initramfs.clone()],
            cmdline: "console=ttyS0 no_timer_check panic=-1".into(),
        };
        let mut plan = plan(Machine { memory_mib: 320, ..machine() }, boot);
        plan.plan.sharing = Sharing { folders: vec![folder], serving: Serving { kernel, ..Serving::default() } };
        let mut guest = plan.start().await.unwrap_or_else(|e| panic!("{e}"));
        let chosen =
            guest.until("the choice", |e| if let GuestEvent::Shared(it) = e { Some(it.clone()) } else { None }).await;
        let report =
            guest.until("the report", |e| if let GuestEvent::Reported(it) = e { Some(it.clone()) } else { None }).await;
        let heard = guest.serial.len();
        Booted { guest, chosen, report, heard }
    }
}

struct Booted {
    guest: Guest,
    chosen: Chosen,
    report: GuestReport,
    /// How much of its serial line was waited for.
    heard: usize,
}

impl Booted {
    fn type_line(&self, line: &str) {
        self.guest.handle.send_serial(format!("{line}\n").into_bytes());
    }

    /// Reads on until the guest has printed `words`.
    async fn until_printed(&mut self, words: &str) {
        let ends = |text: &[u8]| {
            let at = text.windows(words.len()).position(|window| window == words.as_bytes());
            at.map(|at| at + words.len())
        };
        // What came together with what was waited for before counts.
        let mut seen = self.guest.serial[self.heard..].to_vec();
        let end = match ends(&seen) {
            Some(end) => end,
            None => {
                let more = |event: &GuestEvent| {
                    if let GuestEvent::Serial(bytes) = event {
                        seen.extend_from_slice(bytes);
                    }
                    ends(&seen)
                };
                self.guest.until(words, more).await
            }
        };
        self.heard += end;
    }

    async fn end(self) {
        self.guest.handle.end(|_, _| ()).await;
    }
}

/// The transports that this machine has. Without a virtiofsd half of a test is not made, loudly.
fn kinds() -> Vec<Kind> {
    let served = Serving::default().virtiofsd.iter().any(|path| path.is_file());
    if !served {
        eprintln!("SKIPPED: virtiofs, as this machine has no virtiofsd (package virtiofsd, or QEMU's own up to 7.2)");
    }
    if served { vec![Kind::Plan9, Kind::Virtiofs] } else { vec![Kind::Plan9] }
}

/// What a folder holds: by path its mode, owner, links, times and content.
fn everything(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_path_buf()];
    while let Some(path) = left.pop() {
        let meta = path.symlink_metadata().unwrap();
        let content = if meta.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|it| it.unwrap().path()));
            String::new()
        } else if meta.is_symlink() {
            fs::read_link(&path).unwrap().display().to_string()
        } else {
            fs::read_to_string(&path).unwrap()
        };
        let (mode, uid, gid) = (meta.mode(), meta.uid(), meta.gid());
        let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
        found.insert(path, format!("{mode:o} {uid} {gid} {} {times:?} {content}", meta.nlink()));
    }
    found
}

async fn changes_are_seen() {
    for kind in kinds() {
        for access in [Access::ReadOnly, Access::Overlaid] {
            let place = Place::new(ALL);
            let lent = place.lent();
            let mut booted = place.start(access, kind).await;
            let live = booted.report.live().unwrap_or_else(|| panic!("{:?}", booted.report)).clone();
            assert_eq!((booted.chosen.kind, live.kind.as_str()), (kind, kind.word()));
            assert_eq!((booted.report.files, booted.report.tree.as_str()), (0, ""), "a live tree proves nothing");
            booted.type_line(
                "cd / ; while :; do for f in edited replaced new deep/er/new; do cat /root/demo/$f; done 2>/dev/null; \
                 usleep 50000; done",
            );
            booted.until_printed("replaced-0").await;
            let mut worst = 0.0_f64;
            for round in 1..=4 {
                let words = format!("-{round}\n");
                let change: [(&str, &dyn Fn()); 4] = [
                    ("edited", &|| fs::write(lent.join("edited"), format!("edited{words}")).unwrap()),
                    ("replaced", &|| {
                        fs::write(lent.join("beside"), format!("replaced{words}")).unwrap();
                        fs::rename(lent.join("beside"), lent.join("replaced")).unwrap();
                    }),
                    ("new", &|| {
                        let _ = fs::remove_file(lent.join("new"));
                        fs::write(lent.join("new"), format!("new{words}")).unwrap();
                    }),
                    ("deeper", &|| {
                        fs::write(lent.join("deep/er/new"), format!("deeper{words}")).unwrap();
                    }),
                ];
                for (name, make) in change {
                    make();
                    let began = Instant::now();
                    booted.until_printed(&format!("{name}-{round}")).await;
                    let took = began.elapsed().as_secs_f64();
                    eprintln!("{} {}: {name} seen after {took:.2} s", kind.word(), access.word());
                    worst = worst.max(took);
                }
            }
            eprintln!("{} {}: worst {worst:.2} s", kind.word(), access.word());
            booted.end().await;
        }
    }
}

async fn nothing_changes() {
    for kind in kinds() {
        for access in [Access::ReadOnly, Access::Overlaid] {
            let place = Place::new(ALL);
            let lent = place.lent();
            let before = everything(&lent);
            let mut booted = place.start(access, kind).await;
            assert!(booted.report.live().is_some(), "{:?}", booted.report);
            // At its place, at its un-overlaid one, and by mounts of the guest's own that ask for no mercy.
            let options = if kind == Kind::Plan9 { "-o trans=virtio,version=9p2000.L" } else { "" };
            let attack = format!(
                "b=/bin/busybox; $b mkdir -p /tmp/own; $b mount -t {} {options} repository /tmp/own; \
                 for d in /root/demo /run/cartridge/live/repository /tmp/own; do $b mount -o remount,rw $d; cd $d || continue; \
                 echo bad > edited; echo bad > made; $b mkdir dir; $b chmod 777 program . deep; $b chown 7:7 edited .; \
                 $b ln edited hard2; $b ln -s x soft; $b mv replaced moved; $b touch deep/er/file; $b truncate -s 1 deep/er/file; \
                 $b dd if=/dev/zero of=deep/er/file bs=1 seek=9 count=1 conv=notrunc; $b setfattr -n user.x -v y edited; \
                 $b rm -rf deep program link; $b mknod pipe p; done; cd /; echo At''tacked; cat /root/demo/edited; $b sync; echo Do''ne",
                kind.word()
            );
            booted.type_line(&attack);
            booted.until_printed("Attacked").await;
            booted.until_printed(if access == Access::Overlaid { "bad" } else { "edited-0" }).await;
            booted.until_printed("Done").await;
            booted.end().await;
            let after = everything(&lent);
            for (path, was) in &before {
                assert_eq!(after.get(path), Some(was), "{kind:?} {access:?}: {}", path.display());
            }
            assert_eq!(after.len(), before.len(), "{kind:?} {access:?}: {after:#?}");
        }
    }
}

async fn a_writable_folder_is_written() {
    for kind in kinds() {
        let place = Place::new(ALL);
        let lent = place.lent();
        let mut booted = place.start(Access::Writable, kind).await;
        booted.type_line(
            "cd /root/demo; echo from the guest > made; /bin/busybox rm program; /bin/busybox sync; echo Wri''tten",
        );
        booted.until_printed("Written").await;
        booted.end().await;
        assert_eq!(fs::read_to_string(lent.join("made")).unwrap(), "from the guest\n", "{kind:?}");
        assert!(!lent.join("program").exists(), "{kind:?}");
        let owner = fs::metadata(lent.join("made")).unwrap().uid();
        assert_eq!(owner, rustix::process::geteuid().as_raw(), "{kind:?}: what the guest's root makes is ours");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_the_host_are_seen_by_the_guest() {
    changes_are_seen().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_tries_to_write_everywhere_changes_nothing() {
    nothing_changes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writable_folder_takes_what_the_guest_writes() {
    a_writable_folder_is_written().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_without_9p_says_so_and_the_injected_tree_is_hashed() {
    let place = Place::new(&["virtiofs", "overlay"]);
    let booted = place.start(Access::Overlaid, Kind::Plan9).await;
    let [share] = &*booted.report.shares else { panic!("{:?}", booted.report) };
    assert_eq!(share.problem, Some(ShareProblem::NoDriver), "{share:?}");
    assert!(share.words().contains("the guest's kernel has no 9p"), "{}", share.words());
    assert_eq!((booted.report.live(), booted.report.files), (None, 1));
    booted.end().await;
}

/// In a guest an ordinary user's own files belong to root where virtiofs serves them.
#[tokio::test(flavor = "multi_thread")]
async fn as_an_ordinary_user_it_is_the_same() {
    if std::env::var_os(INSIDE).is_some() {
        nothing_changes().await;
        a_writable_folder_is_written().await;
        for kind in kinds() {
            let place = Place::new(ALL);
            let mut booted = place.start(Access::ReadOnly, kind).await;
            booted.type_line("echo Ow''ner $(/bin/busybox stat -c %u /root/demo/edited) there");
            let owner = if kind == Kind::Virtiofs { 0 } else { USER };
            booted.until_printed(&format!("Owner {owner} there")).await;
            booted.end().await;
        }
        return;
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("as_an_ordinary_user_it_is_the_same: the other tests are it, as you are no root");
        return;
    }
    let place = tempfile::Builder::new().prefix("someone").tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    image(place.path(), ALL);
    fs::copy(std::env::current_exe().unwrap(), at("test")).unwrap();
    for name in ["", "test", "vmlinuz", "initramfs"] {
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::create_dir(at("user")).unwrap();
    std::os::unix::fs::chown(at("user"), Some(USER), Some(USER)).unwrap();
    let line = vmtools::CommandLine::new("setpriv")
        .args([format!("--reuid={USER}"), format!("--regid={USER}"), "--clear-groups".into(), "--inh-caps=-all".into()])
        .arg(at("test"))
        .args(["shares::as_an_ordinary_user_it_is_the_same", "--exact", "--nocapture", "--test-threads=1"])
        .cwd("/")
        .env(INSIDE, "1")
        .env(IMAGE, place.path())
        .env("HOME", at("user"))
        .env("TMPDIR", at("user"));
    let done = cartridge_supervise::run(&line, &vmtools::Cancel::new(), |_, bytes| {
        eprint!("{}", String::from_utf8_lossy(bytes))
    });
    let output = done.unwrap_or_else(|e| panic!("{e}"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "the test did not run inside");
}

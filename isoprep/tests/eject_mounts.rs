//! Eject against mounts, in a private mount namespace: whatever is mounted in a work directory, the precious survives.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod eject_support;

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cartridge_supervise::Cancel;
use eject_support::{Place, contents, in_namespace};
use isoprep::eject::{Advance, EjectError, Holder, MARKER, Refusal, Removed, eject, eject_ending, survey};
use rustix::mount::{
    MountFlags, MountPropagationFlags, mount, mount_bind, mount_bind_recursive, mount_change, mount_move,
};

fn bind(from: &Path, to: &Path) {
    mount_bind(from, to).unwrap();
}

fn tmpfs(at: &Path) {
    mount("tmpfs", at, "tmpfs", MountFlags::empty(), c"size=1m").unwrap();
}

/// How many mounts the table has below `dir`. The paths here have no characters that the table escapes.
fn mounted_below(dir: &Path) -> usize {
    let dir = format!(" {}/", dir.display());
    fs::read_to_string("/proc/self/mountinfo").unwrap().lines().filter(|line| line.contains(&dir)).count()
}

/// A process of somebody else's, which works in `dir`: a shell in between goes at once, so that it does not descend from us.
struct Stranger(u32);

impl Stranger {
    fn new(dir: &Path) -> Self {
        // Not by our own spawner, which ends all that it has started.
        let mut shell = std::process::Command::new("sh");
        let output = shell.args(["-c", "sleep 1000 >/dev/null 2>&1 & echo $!"]).current_dir(dir).output().unwrap();
        let pid = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
        let name = format!("/proc/{pid}/comm");
        while fs::read_to_string(&name).unwrap() != "sleep\n" {
            std::thread::sleep(Duration::from_millis(5));
        }
        Self(pid)
    }

    fn is_there(&self) -> bool {
        fs::read_link(format!("/proc/{}/cwd", self.0)).is_ok()
    }

    fn end(&self) {
        let pid = rustix::process::Pid::from_raw(self.0.cast_signed()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        while self.is_there() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        if self.is_there() {
            self.end();
        }
    }
}

#[test]
fn eight_nasty_mounts_are_unmounted_and_what_is_behind_them_survives() {
    in_namespace("eight_nasty_mounts_are_unmounted_and_what_is_behind_them_survives", || {
        let place = Place::new();
        place.file("airootfs/etc/motd");
        bind(&place.precious, &place.dir("airootfs/home"));
        bind(&place.precious.join("photos"), &place.dir("airootfs/srv"));
        bind(&place.precious.join("thesis.tex"), &place.file("airootfs/thesis"));
        tmpfs(&place.dir("airootfs/tmp"));
        place.file("airootfs/tmp/x/y");
        bind(&place.precious, &place.dir("airootfs/tmp/inner"));
        bind(&place.precious, &place.dir("with space"));
        bind(&place.precious, &place.dir("with\nnewline\\and\ttab"));
        tmpfs(&place.dir("stack"));
        bind(&place.precious, &place.work.join("stack"));
        let seen = survey(&place.work).unwrap();
        assert_eq!(seen.mounts.len(), 9, "{:?}", seen.mounts);
        assert!(seen.mounts.contains(&place.work.join("with\nnewline\\and\ttab")));
        let report = place.eject().unwrap();
        assert_eq!(report.untouched, []);
        place.assert_gone();
        assert_eq!(mounted_below(place.top.path()), 0);
    });
}

#[test]
fn a_busy_mount_keeps_everything_and_its_holder_is_named() {
    in_namespace("a_busy_mount_keeps_everything_and_its_holder_is_named", || {
        let place = Place::new();
        for number in 0..50 {
            place.file(&format!("files/{number}"));
        }
        let busy = place.dir("root/proc");
        bind(&place.precious.join("photos"), &busy);
        bind(&place.precious, &place.dir("other"));
        let ours = contents(&place.work.join("files"));
        let holder = Stranger::new(&busy);
        let error = place.eject().unwrap_err();
        let EjectError::StillMounted { path, mounts } = &error else { panic!("{error}") };
        assert_eq!((path, mounts.len()), (&place.work, 1));
        assert_eq!(mounts[0].path, busy);
        assert_eq!(mounts[0].holders.len(), 1, "{error}");
        assert_eq!((mounts[0].holders[0].pid, mounts[0].holders[0].command.as_str()), (holder.0, "sleep 1000"));
        assert_eq!(mounts[0].holders[0].how, format!("works in {}", busy.display()));
        assert!(error.to_string().contains(&format!("held by process {} (sleep 1000), which works in", holder.0)));
        assert_eq!(contents(&place.work.join("files")), ours, "something was deleted beside a busy mount");
        assert!(place.work.join(MARKER).exists() && place.work.join("other").exists());
        place.assert_precious();
        assert!(holder.is_there(), "the holder was ended");
        // Nobody else has agreed to be ended by being of the same number.
        let named = mounts[0].holders[0].clone();
        let other = Holder { started: named.started + 1, ..named.clone() };
        assert!(eject_ending(&place.work, &[other], &Cancel::new(), &|_| {}).is_err());
        assert!(holder.is_there(), "a process of another time was ended");
        // An open file holds as well.
        holder.end();
        let open = fs::File::open(busy.join("1.jpg")).unwrap();
        let EjectError::StillMounted { mounts, .. } = place.eject().unwrap_err() else { panic!("not held") };
        assert_eq!(mounts[0].holders[0].pid, std::process::id());
        assert!(mounts[0].holders[0].how.ends_with("1.jpg open"), "{}", mounts[0].holders[0].how);
        drop(open);
        // Nobody of another user, whatever was agreed. As somebody who is nobody else the test has none.
        let mut shell = std::process::Command::new("setpriv");
        shell.args(["--reuid", "12345", "--clear-groups", "sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!"]);
        let output = shell.current_dir(busy_again(&place, &busy)).output().unwrap();
        if output.status.success() {
            let foreign = Stranger(String::from_utf8(output.stdout).unwrap().trim().parse().unwrap());
            let EjectError::StillMounted { mounts, .. } = place.eject().unwrap_err() else { panic!("not held") };
            let named = mounts[0].holders[0].clone();
            assert_eq!((named.pid, named.user), (foreign.0, Some(12345)));
            assert!(named.spared.as_ref().is_some_and(|why| why.contains("12345")), "{named}");
            let agreed = [Holder { spared: None, ..named }];
            assert!(eject_ending(&place.work, &agreed, &Cancel::new(), &|_| {}).is_err());
            assert!(foreign.is_there(), "a process of another user was ended");
        }
        // What is named in a survey is what would be in the way.
        let holder = Stranger::new(&busy_again(&place, &busy));
        let seen = survey(&place.work).unwrap();
        assert_eq!(seen.held.iter().map(|it| (&it.path, it.holders[0].pid)).collect::<Vec<_>>(), [(&busy, holder.0)]);
        holder.end();
        assert_eq!(survey(&place.work).unwrap().held, []);
        // Whoever is agreed to be ended is ended.
        let holder = Stranger::new(&busy_again(&place, &busy));
        let EjectError::StillMounted { mounts, .. } = place.eject().unwrap_err() else { panic!("not held") };
        let agreed: Vec<_> = mounts.into_iter().flat_map(|mount| mount.holders).collect();
        assert!(agreed.iter().all(|holder| !holder.ours) && holder.is_there());
        assert_eq!(eject_ending(&place.work, &agreed, &Cancel::new(), &|_| {}).unwrap().untouched, []);
        assert!(!holder.is_there());
        place.assert_gone();
    });
}

/// Mounts again what the eject before may have unmounted.
fn busy_again(place: &Place, busy: &Path) -> PathBuf {
    if mounted_below(busy.parent().unwrap()) == 0 {
        bind(&place.precious.join("photos"), busy);
    }
    busy.to_owned()
}

#[test]
fn unmounting_a_shared_tree_does_not_unmount_its_origin() {
    in_namespace("unmounting_a_shared_tree_does_not_unmount_its_origin", || {
        let place = Place::new();
        // As /sys is on a host: a shared mount with mounts below it.
        let origin = place.top.path().join("sys");
        fs::create_dir(&origin).unwrap();
        tmpfs(&origin);
        mount_change(&origin, MountPropagationFlags::SHARED).unwrap();
        fs::create_dir(origin.join("cgroup")).unwrap();
        tmpfs(&origin.join("cgroup"));
        fs::write(origin.join("cgroup/precious"), "x").unwrap();
        mount_bind_recursive(&origin, place.dir("sys")).unwrap();
        assert!(place.work.join("sys/cgroup/precious").exists());
        assert_eq!(place.eject().unwrap().untouched, []);
        assert!(origin.join("cgroup/precious").exists(), "the origin was unmounted too");
        place.assert_gone();
    });
}

#[test]
fn who_may_not_unmount_is_told_how_and_nothing_is_deleted() {
    in_namespace("who_may_not_unmount_is_told_how_and_nothing_is_deleted", || {
        let place = Place::new();
        let ours = place.file("files/1");
        let point = place.dir("a b");
        bind(&place.precious, &point);
        let error = std::thread::scope(|scope| {
            let without = || {
                // Capabilities belong to the thread; this one gives all of them away.
                let none = rustix::thread::CapabilitySet::empty();
                let sets = rustix::thread::CapabilitySets { effective: none, permitted: none, inheritable: none };
                rustix::thread::set_capabilities(None, sets).unwrap();
                place.eject().unwrap_err()
            };
            scope.spawn(without).join().unwrap()
        });
        assert!(matches!(error, EjectError::StillMounted { .. }), "{error}");
        let commands = format!("sudo mount --make-rprivate '{0}' && sudo umount -R '{0}'", point.display());
        assert!(error.to_string().contains(&commands), "{error}");
        assert!(ours.exists() && point.join("thesis.tex").exists());
        place.assert_precious();
        assert_eq!(place.eject().unwrap().untouched, []);
        place.assert_gone();
    });
}

#[test]
fn a_mount_that_was_moved_below_a_younger_one_is_unmounted_too() {
    in_namespace("a_mount_that_was_moved_below_a_younger_one_is_unmounted_too", || {
        let place = Place::new();
        bind(&place.precious, &place.dir("old"));
        tmpfs(&place.dir("young"));
        let below = place.dir("young/below");
        mount_move(place.work.join("old"), &below).unwrap();
        assert_eq!(place.eject().unwrap().untouched, []);
        place.assert_gone();
    });
}

#[test]
fn a_mount_on_the_directory_itself_or_on_its_marker_is_refused() {
    in_namespace("a_mount_on_the_directory_itself_or_on_its_marker_is_refused", || {
        let place = Place::new();
        let mine = place.file("mine");
        // Precious with a marker of its own, mounted where the work directory is: the marker alone is not enough.
        fs::copy(place.work.join(MARKER), place.precious.join(MARKER)).unwrap();
        let before = contents(&place.precious);
        bind(&place.precious, &place.work);
        let refused = place.eject().unwrap_err();
        assert!(matches!(refused, EjectError::Refused { reason: Refusal::MountPoint, .. }), "{refused}");
        assert!(matches!(survey(&place.work), Err(EjectError::Refused { reason: Refusal::MountPoint, .. })));
        assert_eq!(contents(&place.precious), before);
        rustix::mount::unmount(&place.work, rustix::mount::UnmountFlags::empty()).unwrap();
        // A directory bound onto itself has the same device and inode numbers.
        bind(&place.work, &place.work);
        let refused = place.eject().unwrap_err();
        assert!(matches!(refused, EjectError::Refused { reason: Refusal::MountPoint, .. }), "{refused}");
        rustix::mount::unmount(&place.work, rustix::mount::UnmountFlags::empty()).unwrap();
        bind(&place.precious.join(MARKER), &place.work.join(MARKER));
        let refused = place.eject().unwrap_err();
        assert!(matches!(refused, EjectError::Refused { reason: Refusal::BadMarker(_), .. }), "{refused}");
        assert!(mine.exists());
        assert_eq!(contents(&place.precious), before);
    });
}

#[test]
fn mounts_and_links_that_appear_while_it_deletes_are_not_entered() {
    in_namespace("mounts_and_links_that_appear_while_it_deletes_are_not_entered", || {
        let place = Place::new();
        for dir in 0..60 {
            place.dir(&format!("d{dir}/deep/mnt"));
            for number in 0..200 {
                place.file(&format!("d{dir}/{number}"));
            }
        }
        // What was not reached yet when the first progress comes gets mounts and links to precious things.
        let traps = RefCell::new(Vec::<PathBuf>::new());
        let away = place.top.path().join("away");
        fs::create_dir(&away).unwrap();
        let trap = |_: Advance| {
            let mut traps = traps.borrow_mut();
            if !traps.is_empty() {
                return;
            }
            let whole = |dir: &PathBuf| (0..200).all(|number| dir.join(number.to_string()).exists());
            let left: Vec<_> = (0..60).map(|dir| place.work.join(format!("d{dir}"))).filter(whole).collect();
            assert!(left.len() >= 5, "it was too quick to be trapped: {} are left", left.len());
            bind(&place.precious, &left[0].join("deep/mnt"));
            bind(&place.precious, &left[1].join("deep"));
            bind(&place.precious, &left[2]);
            bind(&place.precious.join("thesis.tex"), &left[3].join("7"));
            fs::rename(&left[4], away.join("d")).unwrap();
            std::os::unix::fs::symlink(&place.precious, &left[4]).unwrap();
            traps.extend(left.into_iter().take(5));
        };
        let report = eject(&place.work, &Cancel::new(), &trap).unwrap();
        let traps = traps.into_inner();
        assert_eq!(traps.len(), 5, "the trap was not set");
        place.assert_precious();
        assert_eq!(fs::read_dir(away.join("d")).unwrap().count(), 201);
        let mut left: Vec<_> = report.untouched.iter().map(|left| left.path.clone()).collect();
        left.sort();
        let mut want = vec![
            traps[0].join("deep/mnt"),
            traps[1].join("deep"),
            traps[2].clone(),
            traps[3].join("7"),
            traps[4].clone(),
        ];
        want.sort();
        assert_eq!(left, want, "{:?}", report.untouched);
        assert!(report.untouched.iter().filter(|left| left.reason.contains("mounted")).count() == 4);
        assert!(place.work.join(MARKER).exists(), "what is left cannot be ejected again");
        assert_eq!(place.eject().unwrap().untouched, []);
        place.assert_gone();
    });
}

#[test]
fn a_cancelled_eject_can_be_done_again() {
    in_namespace("a_cancelled_eject_can_be_done_again", || {
        let place = Place::new();
        for dir in 0..100 {
            for number in 0..200 {
                place.file(&format!("{dir}/{number}"));
            }
        }
        bind(&place.precious, &place.dir("5/mnt"));
        let before = survey(&place.work).unwrap();
        assert_eq!(before.files, 100 * 201 + 1 + 2);
        let cancel = Cancel::new();
        let told = Cell::new(Removed::default());
        let error = eject(&place.work, &cancel, &|count| {
            told.set(count.removed);
            cancel.cancel();
        });
        let Err(EjectError::Cancelled { removed, .. }) = error else { panic!("not cancelled: {error:?}") };
        assert!(removed.files >= told.get().files && removed.files < before.files, "{removed:?} of {}", before.files);
        assert!(removed.bytes >= told.get().bytes && removed.bytes > 0 && removed.bytes < before.bytes);
        assert!(place.work.join(MARKER).exists());
        let report = place.eject().unwrap();
        assert_eq!((removed.files + report.removed, removed.bytes + report.bytes), (before.files, before.bytes));
        place.assert_gone();
    });
}

#[test]
fn a_full_disk_keeps_the_old_cartridge() {
    in_namespace("a_full_disk_keeps_the_old_cartridge", || {
        let place = Place::new();
        let disk = place.dir("disk");
        mount("tmpfs", &disk, "tmpfs", MountFlags::empty(), c"size=16k").unwrap();
        let file = disk.join("cartridge.toml");
        isoprep::recipe::save_atomically(&file, "name = \"old\"\n").unwrap();
        let error = isoprep::recipe::save_atomically(&file, "# too long\n".repeat(10_000)).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "name = \"old\"\n");
        assert_eq!(fs::read_dir(&disk).unwrap().count(), 1, "the half-written file was left");
    });
}

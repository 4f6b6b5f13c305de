//! KVM or TCG, and why. That `/dev/kvm` can be opened is not enough: under some hypervisors KVM is itself emulated, and a
//! kernel under it stalls for minutes. So it is measured, in a child process that is killed at its budget.

mod probe;

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use cartridge_supervise::{Channel, CommandLine, Exit, Observer, spawn};
use serde::{Deserialize, Serialize};

use crate::machine::Accelerator;
use probe::ProbeResult;
pub use probe::{PROBE_ARGUMENT, probe_main};

/// How long the probe may take; on real hardware it takes some milliseconds.
const BUDGET: Duration = Duration::from_millis(800);
/// A loop step that takes longer is emulated: real hardware needs about 1 ns, emulated KVM was seen at 500.
const SLOWEST_STEP_NS: f64 = 20.0;
/// How long a probe that hung is believed, seconds: the machine may only have been busy.
const HANG_BELIEVED_S: u64 = 600;
/// Where Linux says which boot this is (random(4)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What the user wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AcceleratorWish {
    /// The best that works.
    #[default]
    Auto,
    /// KVM, even against our advice.
    Kvm,
    /// TCG, without a probe.
    Tcg,
}

/// What will be used, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AcceleratorChoice {
    /// The accelerator.
    pub accelerator: Accelerator,
    /// A sentence or two for people.
    pub reason: String,
    /// Nanoseconds for one step of the probe's loop, if it ran.
    pub measured: Option<f64>,
    /// The measurement was made earlier, since this machine's last boot.
    pub cached: bool,
}

/// What is known about this machine's KVM.
#[derive(Clone, Debug, PartialEq)]
enum Verdict {
    Absent,
    Forbidden(String),
    Hangs,
    Broken(String),
    /// Nanoseconds for one loop step.
    Runs(f64),
}

/// Chooses as `wish` says; measures KVM if need be. The measurement is kept in `cache_file` until the next boot, and ten
/// minutes if it did not end. Blocks for less than a second.
#[must_use]
pub fn choose_accelerator(wish: AcceleratorWish, cache_file: &Path) -> AcceleratorChoice {
    let prober = std::env::current_exe().map(|exe| CommandLine::new(exe).arg(PROBE_ARGUMENT));
    match prober {
        Ok(prober) => choose_accelerator_with(wish, cache_file, &prober),
        Err(error) => {
            decide(wish, &Verdict::Broken(format!("find this program again to run the probe: {error}")), false)
        }
    }
}

/// As [`choose_accelerator`], with the command that probes: a program that calls [`probe_main`] with
/// [`PROBE_ARGUMENT`].
#[must_use]
pub fn choose_accelerator_with(wish: AcceleratorWish, cache_file: &Path, prober: &CommandLine) -> AcceleratorChoice {
    if wish == AcceleratorWish::Tcg {
        return AcceleratorChoice {
            accelerator: Accelerator::Tcg,
            reason: "TCG, as asked for: QEMU translates the guest's instructions.".into(),
            measured: None,
            cached: false,
        };
    }
    // Cheap and likely to change while a user mends it: never cached.
    if let Some(verdict) = look(Path::new("/dev/kvm")) {
        return decide(wish, &verdict, false);
    }
    let boot_id = std::fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned();
    let cached = std::fs::read_to_string(cache_file).ok().and_then(|text| recall(&text, &boot_id, now()));
    if let Some(verdict) = cached {
        return decide(wish, &verdict, true);
    }
    let verdict = probe_in_child(prober);
    if let Some(text) = remember(&verdict, &boot_id, now()) {
        // Without the cache the next start probes again: slower by a fraction of a second, not worse.
        let _ = write_cache(cache_file, &text);
    }
    decide(wish, &verdict, false)
}

fn decide(wish: AcceleratorWish, verdict: &Verdict, cached: bool) -> AcceleratorChoice {
    let measured = if let Verdict::Runs(ns) = verdict { Some(*ns) } else { None };
    let fine = measured.is_some_and(|ns| ns <= SLOWEST_STEP_NS);
    let facts = match verdict {
        Verdict::Absent => "There is no /dev/kvm: the processor's virtualisation is off in the firmware settings, the \
                            kvm module is not loaded, or this is itself a guest."
            .to_owned(),
        Verdict::Forbidden(advice) => format!("You may not use /dev/kvm. {advice}"),
        Verdict::Hangs => {
            format!("/dev/kvm opens, but a few instructions did not finish under it within {} ms.", BUDGET.as_millis())
        }
        Verdict::Broken(why) => format!("/dev/kvm does not work ({why})."),
        Verdict::Runs(ns) if fine => format!("KVM works: {ns:.1} ns for a step of a loop."),
        Verdict::Runs(ns) => format!(
            "/dev/kvm works, but a step of a loop takes {ns:.0} ns instead of about 1: KVM itself is being emulated \
             here, and a kernel would stall under it."
        ),
    };
    let (accelerator, end) = match (wish, fine) {
        (AcceleratorWish::Tcg, _) | (AcceleratorWish::Auto, false) => {
            (Accelerator::Tcg, " Using TCG instead, which is slower but works everywhere.")
        }
        (AcceleratorWish::Kvm, false) => {
            (Accelerator::Kvm, " Using KVM all the same, because it was asked for: expect the guest to fail or stall.")
        }
        (_, true) => (Accelerator::Kvm, ""),
    };
    AcceleratorChoice { accelerator, reason: format!("{facts}{end}"), measured, cached }
}

/// What can be seen without running anything; `None` when `device` can be opened.
fn look(device: &Path) -> Option<Verdict> {
    match std::fs::OpenOptions::new().read(true).write(true).open(device) {
        Ok(_) => None,
        Err(error) => match (error.kind(), std::fs::metadata(device)) {
            (std::io::ErrorKind::NotFound, _) | (_, Err(_)) => Some(Verdict::Absent),
            (std::io::ErrorKind::PermissionDenied, Ok(meta)) => {
                let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
                let in_group = meta.mode() & 0o060 == 0o060;
                Some(Verdict::Forbidden(advice(group_name(&groups, meta.gid()), in_group)))
            }
            _ => Some(Verdict::Broken(format!("open it: {error}"))),
        },
    }
}

fn advice(group: Option<&str>, group_may: bool) -> String {
    match group {
        Some(group) if group_may => {
            format!("The group {group} may: run `sudo usermod -aG {group} \"$USER\"`, then log out and in again.")
        }
        _ => {
            "Its permissions let nobody but its owner in; the package of QEMU or udev usually sets them for the group \
              kvm."
                .to_owned()
        }
    }
}

/// The name of group `gid` in the text of `/etc/group` (group(5)).
fn group_name(groups: &str, gid: u32) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(gid)).then_some(name)
    })
}

struct Nobody;

impl Observer for Nobody {
    fn output(&mut self, _channel: Channel, _bytes: &[u8]) {}
    fn exited(&mut self, _exit: &Exit) {}
}

fn probe_in_child(prober: &CommandLine) -> Verdict {
    let end = Instant::now() + BUDGET;
    let child = match spawn(prober, Nobody) {
        Ok(child) => child,
        Err(error) => return Verdict::Broken(format!("start the probe: {}", error.source)),
    };
    // Dropping the child kills it; one that is stuck in the kernel stays there, without us.
    match child.wait(end.saturating_duration_since(Instant::now())) {
        None => Verdict::Hangs,
        Some(exit) => match ProbeResult::parse(&exit.evidence_text()) {
            Some(ProbeResult::Ran(ns)) => Verdict::Runs(ns),
            Some(ProbeResult::Failed(why)) => Verdict::Broken(why),
            None => Verdict::Broken(format!("the probe ended without a result: {}", exit.describe())),
        },
    }
}

#[derive(Serialize, Deserialize)]
struct Cache {
    boot_id: String,
    /// `None`: it hung.
    ns_per_step: Option<f64>,
    /// When it hung, seconds since 1970.
    #[serde(default)]
    hung_at: u64,
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn remember(verdict: &Verdict, boot_id: &str, now: u64) -> Option<String> {
    let (ns_per_step, hung_at) = match verdict {
        Verdict::Runs(ns) => (Some(*ns), 0),
        Verdict::Hangs => (None, now),
        _ => return None,
    };
    if boot_id.is_empty() {
        return None;
    }
    serde_json::to_string(&Cache { boot_id: boot_id.to_owned(), ns_per_step, hung_at }).ok()
}

fn recall(text: &str, boot_id: &str, now: u64) -> Option<Verdict> {
    let cache: Cache = serde_json::from_str(text).ok()?;
    if cache.boot_id != boot_id || boot_id.is_empty() {
        return None;
    }
    match cache.ns_per_step {
        Some(ns) => Some(Verdict::Runs(ns)),
        // A time to come means that the clock was set back: no telling how old it is.
        None => now.checked_sub(cache.hung_at).filter(|age| *age < HANG_BELIEVED_S).map(|_| Verdict::Hangs),
    }
}

fn write_cache(file: &Path, text: &str) -> std::io::Result<()> {
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let mut part: OsString = file.as_os_str().to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let written = std::fs::write(&part, text).and_then(|()| std::fs::rename(&part, file));
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(wish: AcceleratorWish, verdict: Verdict) -> (Accelerator, String) {
        let choice = decide(wish, &verdict, false);
        (choice.accelerator, choice.reason)
    }

    #[test]
    fn speed_decides_and_the_users_word_is_last() {
        use AcceleratorWish::{Auto, Kvm};
        let (accelerator, reason) = choice(Auto, Verdict::Runs(1.2));
        assert_eq!((accelerator, reason.as_str()), (Accelerator::Kvm, "KVM works: 1.2 ns for a step of a loop."));
        let (accelerator, reason) = choice(Auto, Verdict::Runs(543.0));
        assert_eq!(accelerator, Accelerator::Tcg);
        assert!(reason.contains("543 ns") && reason.contains("Using TCG instead"), "{reason}");
        let (accelerator, reason) = choice(Kvm, Verdict::Runs(543.0));
        assert_eq!(accelerator, Accelerator::Kvm);
        assert!(reason.contains("because it was asked for"), "{reason}");
        for verdict in [Verdict::Absent, Verdict::Hangs, Verdict::Broken("x".into()), Verdict::Forbidden("y".into())] {
            assert_eq!(choice(Auto, verdict.clone()).0, Accelerator::Tcg);
            assert_eq!(choice(Kvm, verdict).0, Accelerator::Kvm);
        }
    }

    #[test]
    fn permission_advice_names_the_group() {
        let groups = "root:x:0:\nbroken\nkvm:x:104:alice\n";
        assert_eq!(group_name(groups, 104), Some("kvm"));
        assert_eq!(group_name(groups, 5), None);
        assert!(advice(Some("kvm"), true).contains("usermod -aG kvm"));
        assert!(!advice(Some("root"), false).contains("usermod"));
    }

    #[test]
    fn the_device_is_looked_at_first() {
        assert_eq!(look(Path::new("/dev/absent")), Some(Verdict::Absent));
        assert_eq!(look(Path::new("/dev/null")), None);
        assert!(matches!(look(Path::new("/")), Some(Verdict::Broken(_))));
    }

    #[test]
    fn a_cache_is_good_for_one_boot() {
        for verdict in [Verdict::Runs(1.5), Verdict::Hangs] {
            let text = remember(&verdict, "boot-1", 1000).unwrap();
            assert_eq!(recall(&text, "boot-1", 1000), Some(verdict));
            assert_eq!(recall(&text, "boot-2", 1000), None);
        }
        assert_eq!(remember(&Verdict::Absent, "boot-1", 1000), None);
        assert_eq!(remember(&Verdict::Runs(1.0), "", 1000), None);
        assert_eq!(recall("{", "boot-1", 1000), None);
    }

    #[test]
    fn a_hang_is_believed_for_ten_minutes() {
        let hung = remember(&Verdict::Hangs, "boot-1", 1000).unwrap();
        assert_eq!(recall(&hung, "boot-1", 1599), Some(Verdict::Hangs));
        assert_eq!(recall(&hung, "boot-1", 1600), None);
        assert_eq!(recall(&hung, "boot-1", 999), None);
        let fine = remember(&Verdict::Runs(1.5), "boot-1", 1000).unwrap();
        assert_eq!(recall(&fine, "boot-1", 1_000_000), Some(Verdict::Runs(1.5)));
        let old = r#"{"boot_id":"boot-1","ns_per_step":null}"#;
        assert_eq!(recall(old, "boot-1", 1_800_000_000), None, "written before hangs had a time");
    }
}

//! What this machine can give a guest, and a guest's wishes cut down to it, said aloud.

use crate::machine::Machine;

/// The least memory a guest gets, MiB: below it a distribution's kernel does not unpack.
const MEMORY_FLOOR_MIB: u64 = 128;
/// The share of available memory that a guest may have, in percent: the rest is for the host and QEMU itself.
const MEMORY_SHARE: u64 = 80;
/// The most CPUs a q35 guest has without further devices.
const CPU_CEILING: u32 = 255;

/// What this machine has to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostCapacity {
    /// CPUs that this process may use.
    pub cpus: u32,
    /// Memory that could be used without swapping, MiB; `None` when it is not known.
    pub available_mib: Option<u64>,
}

/// Asks the system what it has to give.
#[must_use]
pub fn host_capacity() -> HostCapacity {
    let cpus = std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(CPU_CEILING));
    let available_mib = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| available_mib(&text));
    HostCapacity { cpus, available_mib }
}

/// Reads `MemAvailable` out of the text of `/proc/meminfo` (proc(5)).
fn available_mib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
}

/// Cuts `machine` down to what `host` can give. Each cut is told as a sentence.
#[must_use]
pub fn clamp(mut machine: Machine, host: &HostCapacity) -> (Machine, Vec<String>) {
    let mut notices = Vec::new();
    let cpus = machine.cpus.clamp(1, host.cpus.clamp(1, CPU_CEILING));
    if cpus != machine.cpus {
        notices.push(format!(
            "The guest gets {} instead of {}: this machine has {}.",
            count(cpus, "CPU"),
            machine.cpus,
            host.cpus
        ));
        machine.cpus = cpus;
    }
    if machine.memory_mib < MEMORY_FLOOR_MIB {
        notices.push(format!(
            "The guest gets {MEMORY_FLOOR_MIB} MiB of memory instead of {}: with less no kernel starts.",
            machine.memory_mib
        ));
        machine.memory_mib = MEMORY_FLOOR_MIB;
    }
    if let Some(available) = host.available_mib {
        let most = (available / 100 * MEMORY_SHARE).max(MEMORY_FLOOR_MIB);
        if machine.memory_mib > most {
            notices.push(format!(
                "The guest gets {most} MiB of memory instead of {}: this machine has {available} MiB free.",
                machine.memory_mib
            ));
            machine.memory_mib = most;
        }
    }
    (machine, notices)
}

fn count(number: u32, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::arguments::tests::machine;

    #[test]
    fn a_machine_that_fits_is_left_alone() {
        let host = HostCapacity { cpus: 8, available_mib: Some(16_000) };
        assert_eq!(clamp(machine(), &host), (machine(), vec![]));
        let unknown = HostCapacity { cpus: 8, available_mib: None };
        assert_eq!(clamp(machine(), &unknown), (machine(), vec![]));
    }

    #[test]
    fn every_cut_is_said() {
        let host = HostCapacity { cpus: 1, available_mib: Some(2_000) };
        let (cut, notices) = clamp(machine(), &host);
        assert_eq!((cut.cpus, cut.memory_mib), (1, 1_600));
        assert_eq!(notices[0], "The guest gets 1 CPU instead of 4: this machine has 1.");
        assert_eq!(notices[1], "The guest gets 1600 MiB of memory instead of 4096: this machine has 2000 MiB free.");
        let (cut, notices) = clamp(Machine { cpus: 0, memory_mib: 0, ..machine() }, &host);
        assert_eq!((cut.cpus, cut.memory_mib, notices.len()), (1, 128, 2));
    }

    #[test]
    fn reads_meminfo_and_nonsense() {
        assert_eq!(available_mib("MemTotal: 9 kB\nMemAvailable:   24231936 kB\n"), Some(23_664));
        assert_eq!(available_mib("MemAvailable: lots\n"), None);
        assert_eq!(available_mib(""), None);
        assert!(host_capacity().cpus >= 1);
    }
}

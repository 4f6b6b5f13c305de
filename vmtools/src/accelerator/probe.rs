//! How fast this machine's KVM really is: a loop in real mode, timed. Runs in a child process, because a broken KVM may
//! hang in the kernel, where no time limit of ours would reach it.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use kvm_bindings::{kvm_regs, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuExit};

/// The hidden argument that makes a process the probing child.
pub const PROBE_ARGUMENT: &str = "__probe-kvm";
/// What the child's one line of result begins with.
const MARK: &str = "cartridge-probe ";
/// How often the loop goes round in a measurement; on real hardware that takes a tenth of a millisecond.
const STEPS: u32 = 100_000;
/// How many measurements are made; the best one counts, because others may use the processor too.
const ROUNDS: u32 = 3;
/// Where the code lies in the guest's memory: one page from here.
const CODE_AT: u64 = 0x1000;
const PAGE: usize = 4096;

/// What the child found out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ProbeResult {
    /// The loop ran; nanoseconds for one step.
    Ran(f64),
    /// KVM said no; which step failed, and how.
    Failed(String),
}

impl ProbeResult {
    fn line(&self) -> String {
        match self {
            Self::Ran(ns) => format!("{MARK}ns {ns:.3}\n"),
            Self::Failed(why) => format!("{MARK}failed {}\n", why.replace('\n', " ")),
        }
    }

    /// Finds the result in what the child printed; `None` when it is not there, or makes no sense.
    pub(crate) fn parse(output: &str) -> Option<Self> {
        let line = output.lines().find_map(|line| Some(line.split_once(MARK)?.1))?;
        match line.split_once(' ')? {
            ("ns", number) => number.trim().parse().ok().filter(|ns: &f64| ns.is_finite() && *ns >= 0.0).map(Self::Ran),
            ("failed", why) => Some(Self::Failed(why.trim().to_owned())),
            _ => None,
        }
    }
}

/// What an application's `main` calls first: if `args` (with or without the program's name) begin with
/// [`PROBE_ARGUMENT`], the probe is made, its result printed, and the exit code returned. Otherwise `None`, and the
/// application goes on.
#[must_use]
pub fn probe_main(args: &[OsString]) -> Option<ExitCode> {
    if !args.iter().take(2).any(|arg| arg == PROBE_ARGUMENT) {
        return None;
    }
    let result = measure().map_or_else(ProbeResult::Failed, ProbeResult::Ran);
    let printed = std::io::stdout().write_all(result.line().as_bytes());
    Some(if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A page of guest memory, where the kernel wants it.
#[repr(C, align(4096))]
struct Page([u8; PAGE]);

/// `mov ecx, STEPS; again: dec ecx; jnz again; hlt` in real mode.
fn code() -> Page {
    let mut page = Page([0xf4; PAGE]);
    page.0[..2].copy_from_slice(&[0x66, 0xb9]);
    page.0[2..6].copy_from_slice(&STEPS.to_le_bytes());
    page.0[6..11].copy_from_slice(&[0x66, 0x49, 0x75, 0xfc, 0xf4]);
    page
}

/// Nanoseconds for one step of the loop.
fn measure() -> Result<f64, String> {
    fn step<T, E: std::fmt::Display>(name: &str, result: Result<T, E>) -> Result<T, String> {
        result.map_err(|error| format!("{name}: {error}"))
    }
    let memory = Box::new(code());
    let kvm = step("open /dev/kvm", Kvm::new())?;
    let vm = step("create a machine", kvm.create_vm())?;
    // Old Intel processors need it for real mode, others do not mind (KVM_SET_TSS_ADDR).
    let _ = vm.set_tss_address(0xfffb_d000);
    let region = kvm_userspace_memory_region {
        slot: 0,
        flags: 0,
        guest_phys_addr: CODE_AT,
        memory_size: PAGE as u64,
        userspace_addr: std::ptr::from_ref(&*memory) as u64,
    };
    // SAFETY: the region is the whole of `memory`, page-aligned, which outlives `vm` because it was made before it.
    #[allow(unsafe_code)]
    step("give it memory", unsafe { vm.set_user_memory_region(region) })?;
    let mut vcpu = step("create a processor", vm.create_vcpu(0))?;
    let mut sregs = step("read its registers", vcpu.get_sregs())?;
    (sregs.cs.base, sregs.cs.selector) = (0, 0);
    step("set its segments", vcpu.set_sregs(&sregs))?;
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        // Bit 1 of the flags is always set.
        let regs = kvm_regs { rip: CODE_AT, rflags: 2, ..Default::default() };
        step("set its registers", vcpu.set_regs(&regs))?;
        let started = Instant::now();
        match step("run it", vcpu.run())? {
            VcpuExit::Hlt => best = best.min(started.elapsed().as_nanos() as f64 / f64::from(STEPS)),
            other => return Err(format!("run it: it stopped with {other:?} instead of halting")),
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_survives_the_pipe() {
        for result in [ProbeResult::Ran(543.25), ProbeResult::Failed("open /dev/kvm: no".into())] {
            assert_eq!(ProbeResult::parse(&format!("running 1 test\nx {}ok", result.line())), Some(result));
        }
        for text in ["", "cartridge-probe", "cartridge-probe ns", "cartridge-probe ns NaN", "cartridge-probe ns -1"] {
            assert_eq!(ProbeResult::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn only_the_hidden_argument_probes() {
        assert!(probe_main(&[]).is_none());
        assert!(probe_main(&["cartridge".into(), "--json".into(), PROBE_ARGUMENT.into()]).is_none());
    }
}

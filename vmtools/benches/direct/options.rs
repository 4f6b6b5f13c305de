//! What each option of a direct boot contributes: the same floor (an init that prints and exits) with one thing changed, in
//! turns with the boot as it is.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use cartridge_initramfs::cpio::Cpio;
use cartridge_supervise::{Cancel, CommandLine, run};
use vmtools::{Boot, standalone};

use crate::{FLOOR, LIMIT, Outcome, Way, kernel, median};

/// The words that give the machine somewhere to plug layers in, as they stand in its command.
const PORT: &str = "-device 'pcie-root-port,";

/// How large the large initramfs is at most, bytes.
const LARGE: usize = 64 << 20;

/// The floor with something changed.
struct Variant {
    name: String,
    /// A shell command.
    line: String,
    seconds: Vec<f64>,
}

/// Measures `runs` boots of each, and prints medians and the medians of the pairs' ratios.
pub fn measure(floor: &Way, place: &Path, runs: usize) -> Outcome<()> {
    let mut variants = variants(floor, place)?;
    // What does not boot at all is left out.
    variants.retain(|variant| match boot(&variant.line) {
        Ok(_) => true,
        Err(error) => {
            println!("not measured: {}: {error}", variant.name);
            false
        }
    });
    for _ in 0..runs {
        for variant in &mut variants {
            variant.seconds.push(boot(&variant.line).map_err(|e| format!("{}: {e}", variant.name))?);
        }
    }
    let [first, others @ ..] = variants.as_slice() else { return Ok(()) };
    println!("| {} | {:.2} s | 1 |", first.name, median(&first.seconds));
    for it in others {
        let ratios: Vec<f64> = it.seconds.iter().zip(&first.seconds).map(|(one, other)| one / other).collect();
        println!("| … {} | {:.2} s | {:.2} |", it.name, median(&it.seconds), median(&ratios));
    }
    Ok(())
}

fn variants(floor: &Way, place: &Path) -> Outcome<Vec<Variant>> {
    let Boot::Direct { kernel: unpacked, initrds, cmdline } = &floor.plan.boot else {
        return Err("the floor is no direct boot".into());
    };
    let command = |kernel: &Path, initrd: &Path, words: &str| {
        let (kernel, initrds) = (kernel.to_owned(), vec![initrd.to_owned()]);
        let boot = Boot::Direct { kernel, initrds, cmdline: words.to_owned() };
        standalone(&floor.plan.machine, &boot, &floor.plan.qemu, None, false)
    };
    let small = initrds.first().ok_or("the floor has no initramfs")?;
    let (packed, plain) = (kernel()?, command(unpacked, small, cmdline));
    let bz_image = command(&packed, small, cmdline);
    let changed = |from: &str, to: &str| plain.replace(from, to);
    let ports = devices(&plain, PORT);
    let without = |words: &str| devices(&plain, words);
    let mut all = vec![
        ("floor of a direct boot: q35, SeaBIOS, the kernel unpacked".to_owned(), plain.clone()),
        ("machine pc".to_owned(), ports.replace("-machine q35", "-machine pc")),
        ("two processors".to_owned(), changed("-smp 1", "-smp 2")),
        ("4 GB of memory".to_owned(), changed("-m 512M", "-m 4096M")),
        ("without ports for layers".to_owned(), ports),
        ("without a screen".to_owned(), without("-device 'VGA,")),
        ("without USB".to_owned(), devices(&without("-device 'usb-tablet,"), "-device 'qemu-xhci,")),
        ("firmware qboot".to_owned(), format!("{plain} -bios qboot.rom")),
        ("the kernel packed (bzImage)".to_owned(), bz_image.clone()),
        ("without cryptomgr.notests".to_owned(), changed("cryptomgr.notests ", "")),
        ("with quiet".to_owned(), changed("no_timer_check", "no_timer_check quiet")),
        ("with mitigations=off".to_owned(), changed("no_timer_check", "no_timer_check mitigations=off")),
    ];
    let ovmf = Path::new("/usr/share/ovmf/OVMF.fd");
    if ovmf.exists() {
        all.push(("the kernel packed, firmware OVMF".to_owned(), format!("{bz_image} -bios {}", ovmf.display())));
    }
    let large = place.join("large.cpio");
    std::fs::write(&large, large_archive(small)?)?;
    let mib = std::fs::metadata(&large)?.len() >> 20;
    all.push((format!("an initramfs of {mib} MB"), command(unpacked, &large, cmdline)));
    // The kernel knows lz4 in its old frame alone.
    for (tool, words) in
        [("lz4", &["-l", "-q", "-f"][..]), ("zstd", &["-q", "-f", "-3"]), ("gzip", &["-k", "-f", "-6"])]
    {
        let file = PathBuf::from(format!("{}.{tool}", large.display()));
        let line = CommandLine::new(tool).args(words.iter().copied()).arg(&large);
        let line = if tool == "gzip" { line } else { line.arg("-o").arg(&file) };
        let made = run(&line, &Cancel::new(), |_, _| ()).is_ok() || file.exists();
        let packed = if tool == "gzip" { PathBuf::from(format!("{}.gz", large.display())) } else { file };
        if made {
            all.push((format!("the same packed with {tool}"), command(unpacked, &packed, cmdline)));
        } else {
            println!("{tool} is not installed: not measured");
        }
    }
    Ok(all.into_iter().map(|(name, line)| Variant { name, line, seconds: Vec::new() }).collect())
}

/// The command without the devices whose words begin so.
fn devices(line: &str, words: &str) -> String {
    let mut left = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once(words) {
        left.push_str(before);
        rest = after.split_once('\'').map_or("", |(_, after)| after.trim_start());
    }
    left + rest
}

/// The floor's initramfs with more in it, of the sort that is in one: programs of this host.
fn large_archive(small: &Path) -> Outcome<Vec<u8>> {
    let mut all = std::fs::read(small)?;
    // The kernel unpacks archives one over the other, each from a multiple of four bytes.
    all.resize(all.len().next_multiple_of(4), 0);
    let mut programs: Vec<_> = std::fs::read_dir("/usr/bin")?.flatten().map(|it| it.path()).collect();
    programs.sort();
    let mut more = Cpio::new(Vec::new());
    more.dir(Path::new("/more"), 0o755)?;
    let mut left = LARGE;
    for (number, program) in programs.iter().enumerate() {
        let Ok(bytes) = std::fs::read(program) else { continue };
        let Some(rest) = left.checked_sub(bytes.len()) else { continue };
        left = rest;
        more.bytes(&Path::new("/more").join(number.to_string()), 0o755, &bytes)?;
    }
    all.extend(more.finish()?);
    Ok(all)
}

/// Seconds from QEMU's start to the floor's line. Not every machine here can be powered off, so that it is ended then.
fn boot(line: &str) -> Outcome<f64> {
    let began = Instant::now();
    let (cancel, seen) = (Cancel::new(), Arc::new(Mutex::new((Vec::new(), None))));
    let (end, heard) = (cancel.clone(), Arc::clone(&seen));
    let command =
        CommandLine::new("timeout").args([LIMIT.as_secs().to_string().as_str(), "sh", "-c", &format!("exec {line}")]);
    let ran = run(&command, &cancel, move |_, bytes| {
        let Ok(mut heard) = heard.lock() else { return };
        heard.0.extend_from_slice(bytes);
        if heard.1.is_none() && String::from_utf8_lossy(&heard.0).contains(FLOOR) {
            heard.1 = Some(began.elapsed().as_secs_f64());
            end.cancel();
        }
    });
    let seen = seen.lock().map_err(|_| "a reader has panicked")?;
    if let Some(seconds) = seen.1 {
        return Ok(seconds);
    }
    let said = String::from_utf8_lossy(&seen.0);
    let last = said.lines().rev().take(5).collect::<Vec<_>>().join(" | ");
    Err(format!("it printed nothing in {} s: {last} {ran:?}", LIMIT.as_secs()).into())
}

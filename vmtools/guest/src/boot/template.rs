//! A guest that is to be a template: all is loaded, and nothing is mounted or opened that another guest would have another
//! of, when the host keeps it. A guest that was resumed from it is told the time and gets random bytes of its own, and goes
//! on as any direct boot does.
//!
//! The host says so by a file in the initramfs, and what it has to tell comes as one line on the serial line:
//! `CARTRIDGE-GO {"v":1,"time_ns":…,"seed":"…","devices":false}`, the time since 1970, at least 32 bytes in hexadecimal
//! digits, and whether there are devices that were not there before: the folders that a virtiofsd serves.
//! `vmtools/src/template/wake.rs` writes it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::ioctl::{NoArg, Opcode, Setter, ioctl};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use rustix::time::{ClockId, Timespec, clock_settime};
use serde_json::Value;

use super::Order;
use super::disks::children;
use super::steps::{self, Step};
use crate::console::SERIAL;
use crate::{modules, shares};

/// Makes this a template. It is empty, or says what comes when it is resumed: [`FOLDERS`].
const FILE: &str = "/etc/cartridge/template";
const FOLDERS: &[u8] = b"folders";
/// Makes the kernel look for new devices (Linux, Documentation/ABI/testing/sysfs-bus-pci).
const RESCAN: &str = "/sys/bus/pci/rescan";
/// What the line begins with that lets us go on, and its version.
const MARK: &str = "CARTRIDGE-GO ";
const VERSION: u64 = 1;
/// The longest line, bytes: what a terminal takes (termios(3), "canonical mode").
const LONGEST: usize = 4095;
/// Drivers that look at once at what another guest has another of: the size of a disk, the words of the host.
const LATE: [&str; 2] = [DISKS, "qemu_fw_cfg"];
/// The one of them that is loaded all the same: its devices wait until they are offered to it.
const DISKS: &str = "virtio_blk";
/// Whether a driver is offered devices as it is loaded, how one is offered later, and which there are (Linux,
/// drivers/base/bus.c).
const AUTOPROBE: &str = "/sys/bus/virtio/drivers_autoprobe";
const PROBE: &str = "/sys/bus/virtio/drivers_probe";
const DEVICES: &str = "/sys/bus/virtio/devices";
/// What is loaded, by name, for it is not on the list, before a root or a folder of the host is mounted.
const LENDING: [&str; 4] = ["9pnet_virtio", "9p", "virtiofs", "overlay"];
/// How many random bytes are taken.
const SEED: usize = 64;
/// `RNDADDENTROPY` and `RNDRESEEDCRNG` (Linux, `include/uapi/linux/random.h`; random(4)).
const ADD_ENTROPY: Opcode = 0x4008_5203;
const RESEED: Opcode = 0x5207;

/// What the host tells a guest that was resumed.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    /// Nanoseconds since 1970.
    time_ns: i64,
    seed: Vec<u8>,
    devices: bool,
}

/// Whether this guest is to be a template.
pub(crate) fn is_one() -> bool {
    Path::new(FILE).exists()
}

/// Loads what can be loaded, says so, waits to be resumed, and makes of the copy a guest of its own.
pub(super) fn wait(order: &Order, notes: &mut Vec<String>) {
    notes.extend(modules::load_listed_if(|name| !LATE.contains(&name)));
    let to_come = std::fs::read(FILE).is_ok_and(|text| text == FOLDERS);
    if matches!(order, Order::Folder { .. }) || shares::expected() || to_come {
        LENDING.iter().for_each(|module| modules::load_named(module));
    }
    // Where it cannot be held back it is loaded later.
    if std::fs::write(AUTOPROBE, "0").is_ok() {
        notes.extend(modules::load_listed_if(|name| name == DISKS));
        if let Err(e) = std::fs::write(AUTOPROBE, "1") {
            notes.push(format!("devices that come later get no driver: {AUTOPROBE}: {e}"));
        }
    }
    match told() {
        Ok(told) => notes.extend(take(&told)),
        // The host does not hear that this is ready, and makes no template of it.
        Err(e) => notes.push(format!("{SERIAL} cannot be read ({e}): this guest cannot be a template")),
    }
    notes.extend(modules::load_listed_if(|name| LATE.contains(&name)));
    let idle = children(Path::new(DEVICES)).into_iter().filter(|device| !device.join("driver").exists());
    for name in idle.filter_map(|device| Some(device.file_name()?.to_owned())) {
        // One that nobody wants stays as it is; a disk that is missed is told of.
        let _ = std::fs::write(PROBE, name.as_encoded_bytes());
    }
}

/// Says that all is loaded, and reads until the host lets us go on.
fn told() -> io::Result<Told> {
    let mut flags = OpenOptions::new();
    let mut line = flags.read(true).write(true).custom_flags(OFlags::NOCTTY.bits().cast_signed()).open(SERIAL)?;
    let before = tcgetattr(&line)?;
    let mut silent = before.clone();
    // The seed must not come back to the host, which keeps what the line says.
    silent.local_modes -= LocalModes::ECHO | LocalModes::ECHONL;
    silent.local_modes |= LocalModes::ICANON;
    tcsetattr(&line, OptionalActions::Now, &silent)?;
    steps::tell(&Step::Ready);
    let mut bytes = vec![0; LONGEST + 1];
    let told = loop {
        // A terminal gives one line at a time.
        let length = line.read(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes[..length]);
        if let Some(told) = parse(&text) {
            break told;
        }
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    tcsetattr(&line, OptionalActions::Now, &before)?;
    Ok(told)
}

fn parse(line: &str) -> Option<Told> {
    let json: Value = serde_json::from_str(line.trim().strip_prefix(MARK)?).ok()?;
    let number = |key: &str| json.get(key).and_then(Value::as_u64);
    if number("v") != Some(VERSION) {
        return None;
    }
    let digits = json.get("seed")?.as_str()?.as_bytes();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let seed: Option<Vec<u8>> = digits.chunks_exact(2).take(SEED).map(pair).collect();
    let seed = seed.filter(|seed| seed.len() >= SEED / 2)?;
    let devices = json.get("devices").and_then(Value::as_bool).unwrap_or(false);
    Some(Told { time_ns: i64::try_from(number("time_ns")?).ok()?, seed, devices })
}

/// Sets the clock, stirs the random numbers and looks for new devices; a note for each that failed.
fn take(told: &Told) -> Vec<String> {
    let time = Timespec { tv_sec: told.time_ns / 1_000_000_000, tv_nsec: told.time_ns % 1_000_000_000 };
    let clock = clock_settime(ClockId::Realtime, time).err().map(|e| format!("the clock was not set: {e}"));
    let seed = stir(&told.seed).err().map(|e| format!("the random numbers were not renewed: {e}"));
    let looked = if told.devices { std::fs::write(RESCAN, "1") } else { Ok(()) };
    let looked = looked.err().map(|e| format!("the folders of the host were not looked for: {RESCAN}: {e}"));
    clock.into_iter().chain(seed).chain(looked).collect()
}

/// `struct rand_pool_info` with its bytes.
#[repr(C)]
struct Pool {
    entropy_bits: i32,
    bytes: i32,
    seed: [u8; SEED],
}

fn stir(seed: &[u8]) -> io::Result<()> {
    let device = File::options().write(true).open("/dev/random")?;
    let mut pool = Pool { entropy_bits: 0, bytes: 0, seed: [0; SEED] };
    for (to, from) in pool.seed.iter_mut().zip(seed) {
        *to = *from;
    }
    let length = i32::try_from(seed.len().min(SEED)).map_err(io::Error::other)?;
    (pool.entropy_bits, pool.bytes) = (length * 8, length);
    // SAFETY: RNDADDENTROPY reads two ints and as many bytes as the second says; RNDRESEEDCRNG takes nothing.
    #[allow(unsafe_code)]
    unsafe {
        ioctl(&device, Setter::<ADD_ENTROPY, Pool>::new(pool))?;
        // Without it what was derived before would be given out for minutes more.
        ioctl(&device, NoArg::<RESEED>::new())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_lets_it_go_on_is_told_from_others() {
        let seed = "0aff".repeat(16);
        let line =
            format!("CARTRIDGE-GO {{\"v\":1,\"time_ns\":1795000000123456789,\"seed\":\"{seed}\",\"new\":1}}\r\n");
        let told = parse(&line).unwrap();
        assert_eq!((told.time_ns, told.seed.len(), told.seed[1]), (1_795_000_000_123_456_789, 32, 0xff));
        assert!(!told.devices && parse(&line.replace("\"new\":1", "\"devices\":true")).unwrap().devices);
        for other in [
            "",
            "ls",
            "CARTRIDGE-GO",
            "CARTRIDGE-GO {}",
            &line.replace("\"v\":1", "\"v\":2"),
            &line.replace("0aff", "0axf"),
            &line.replace("0aff", "ä"),
            &line.replace(&seed, "00"),
            &line.replace("1795000000123456789", "-1"),
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
        assert_eq!(parse(&line.replace("0aff", "0aff0aff0aff0aff0a")).unwrap().seed.len(), SEED);
    }
}

//! What a guest is told when it was resumed: the time, random bytes, and whether it has new devices. One line on its serial line, which
//! `vmtools/guest/src/boot/template.rs` reads. Pure.

use std::time::Duration;

use serde::Serialize;

/// What the line begins with.
const MARK: &str = "CARTRIDGE-GO";
/// How many random bytes a guest gets: what its generator is keyed with, twice (Linux, drivers/char/random.c).
pub(super) const SEED: usize = 64;

#[derive(Serialize)]
struct Told {
    v: u32,
    time_ns: u64,
    seed: String,
    /// There are devices that the guest has not seen yet.
    devices: bool,
}

/// The line for a guest that goes on `since` after 1970, with or without new devices.
pub(super) fn line(since: Duration, seed: &[u8; SEED], devices: bool) -> Vec<u8> {
    let time_ns = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
    let seed = seed.iter().map(|byte| format!("{byte:02x}")).collect();
    // Numbers and words always serialise.
    let told = serde_json::to_string(&Told { v: 1, time_ns, seed, devices }).unwrap_or_default();
    format!("{MARK} {told}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_line_that_a_terminal_takes() {
        let line = String::from_utf8(line(Duration::new(1_795_000_000, 7), &[0xab; SEED], true)).unwrap();
        assert!(line.starts_with("CARTRIDGE-GO {\"v\":1,\"time_ns\":1795000000000000007,\"seed\":\"abab"), "{line}");
        assert!(line.ends_with("\",\"devices\":true}\n") && line.lines().count() == 1 && line.len() < 4095);
    }
}

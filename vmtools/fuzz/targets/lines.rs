//! A QEMU, and a guest on its serial line, that say anything at all.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../lines.rs"]
mod lines;

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, bytes)) = bytes.split_last() else { return };
    lines::hear(bytes, usize::from(*cut));
});

//! A `cartridge.toml` of anybody's, and an edit of it.
#![no_main]
#![allow(dead_code)]

use libfuzzer_sys::fuzz_target;

#[path = "../inputs.rs"]
mod inputs;

fuzz_target!(|input: &[u8]| {
    let _ = inputs::cartridge(input);
});

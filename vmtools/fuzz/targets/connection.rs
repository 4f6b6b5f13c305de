//! A server that says anything at all, to the whole of our client: handshake, messages, and every encoding.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../stream.rs"]
mod stream;

fuzz_target!(|bytes: &[u8]| {
    stream::meet(bytes);
});

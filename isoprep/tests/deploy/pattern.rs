//! Images that can be told from anything else, the same on the host and in the guest.

use std::path::Path;

/// Bytes that look like an image: each block of 512 says where it is, and the first has a boot sector's signature.
pub fn pattern(len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..len).map(|at| ((at / 512) * 31 + at * 7 + 1) as u8).collect();
    for (block, chunk) in bytes.chunks_mut(512).enumerate() {
        let said = (block as u64).to_le_bytes();
        let room = chunk.len().min(8);
        chunk[..room].copy_from_slice(&said[..room]);
    }
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    bytes
}

/// The same as a file.
pub fn image(path: &Path, len: usize) -> Vec<u8> {
    let bytes = pattern(len);
    std::fs::write(path, &bytes).unwrap();
    bytes
}

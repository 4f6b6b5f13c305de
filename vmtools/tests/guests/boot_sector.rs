//! Boot sectors written by hand: the smallest guests there are. Each is a 512-byte sector at 0x7c00 in real mode, on a
//! medium that the firmware takes for a USB stick with an MBR.

use std::path::{Path, PathBuf};

/// Writes to COM1 for ever, as fast as it goes: `mov dx, 0x3f8; again: mov al, 'A'; out dx, al; jmp again`.
pub const FLOOD: &[u8] = &[0xba, 0xf8, 0x03, 0xb0, b'A', 0xee, 0xeb, 0xfb];

/// Echoes COM1: wait for bit 0 of the line status (0x3fd), read, add one, write.
pub const ECHO: &[u8] = &[
    0xba, 0xfd, 0x03, // mov dx, 0x3fd
    0xec, // again: in al, dx
    0xa8, 0x01, // test al, 1
    0x74, 0xfb, // jz again
    0xba, 0xf8, 0x03, // mov dx, 0x3f8
    0xec, // in al, dx
    0xfe, 0xc0, // inc al
    0xee, // out dx, al
    0xeb, 0xef, // jmp to the start
];

/// Writes each key's scan code to COM1 in hexadecimal-free form: the raw byte. `xor ah, ah; int 0x16; mov al, ah; mov dx,
/// 0x3f8; out dx, al; jmp start`.
pub const KEYS: &[u8] = &[0x30, 0xe4, 0xcd, 0x16, 0x88, 0xe0, 0xba, 0xf8, 0x03, 0xee, 0xeb, 0xf4];

/// Sets mode 13h, whose screen stays still, and makes each byte that comes over COM1 a pixel before it sends it back.
pub const PIXELS: &[u8] = &[
    0xb8, 0x13, 0x00, 0xcd, 0x10, // mov ax, 0x13; int 0x10
    0x68, 0x00, 0xa0, 0x07, // push 0xa000; pop es
    0x31, 0xff, // xor di, di
    0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xfb, // wait as in ECHO
    0xba, 0xf8, 0x03, 0xec, // mov dx, 0x3f8; in al, dx
    0xaa, 0xee, // stosb; out dx, al
    0xeb, 0xf0, // jmp to the wait
];

/// Waits for a byte on COM1, then resets the machine through port 0xcf9.
pub const RESET: &[u8] = &[
    0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xfb, // wait as in ECHO
    0xba, 0xf9, 0x0c, // mov dx, 0xcf9
    0xb0, 0x06, // mov al, 6
    0xee, // out dx, al
    0xf4, // hlt
];

/// Waits for a byte on COM1, then powers off through ACPI as q35's firmware sets it up: `mov dx, 0x604; mov ax, 0x2000;
/// out dx, ax`.
pub const POWEROFF: &[u8] = &[
    0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xfb, // wait as in ECHO
    0xba, 0x04, 0x06, // mov dx, 0x604
    0xb8, 0x00, 0x20, // mov ax, 0x2000
    0xef, // out dx, ax
    0xf4, // hlt
];

/// Sets mode 13h (320×200), fills the screen with colour 4, dark red, and halts.
pub const RED: &[u8] = &[
    0xb8, 0x13, 0x00, 0xcd, 0x10, // mov ax, 0x13; int 0x10
    0x68, 0x00, 0xa0, 0x07, // push 0xa000; pop es
    0x31, 0xff, // xor di, di
    0xb9, 0x00, 0xfa, // mov cx, 64000
    0xb0, 0x04, // mov al, 4
    0xf3, 0xaa, // rep stosb
    0xf4, 0xeb, 0xfd, // hlt; jmp
];

/// Waits for a byte on COM1, then sets mode 13h, fills the screen with all of its 256 colours, in slanting lines, and halts.
pub const COLOURS: &[u8] = &[
    0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xfb, // wait as in ECHO
    0xb8, 0x13, 0x00, 0xcd, 0x10, // mov ax, 0x13; int 0x10
    0x68, 0x00, 0xa0, 0x07, // push 0xa000; pop es
    0x31, 0xff, // xor di, di
    0xb9, 0x00, 0xfa, // mov cx, 64000
    0x88, 0xc8, 0x00, 0xe8, 0xaa, // next: mov al, cl; add al, ch; stosb
    0xe2, 0xf9, // loop next
    0xf4, 0xeb, 0xfd, // hlt; jmp
];

/// Writes a medium that boots `code` into `dir`.
pub fn medium(dir: &Path, code: &[u8]) -> PathBuf {
    let mut sector = [0_u8; 512];
    // cli would keep the keyboard's interrupt away: no such thing here.
    sector[..code.len()].copy_from_slice(code);
    // One active partition over everything, so that the firmware takes it for a disk.
    sector[0x1be] = 0x80;
    sector[0x1c2] = 0x0c;
    sector[0x1c6..0x1ca].copy_from_slice(&1_u32.to_le_bytes());
    sector[0x1ca..0x1ce].copy_from_slice(&2047_u32.to_le_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    let mut bytes = sector.to_vec();
    bytes.resize(1 << 20, 0);
    let path = dir.join("medium, with comma.img");
    std::fs::write(&path, bytes).unwrap();
    path
}

//! Turns an image or a kernel into a running, observable guest: QEMU, QMP, serial line, display.

pub mod init;

pub use init::INIT;

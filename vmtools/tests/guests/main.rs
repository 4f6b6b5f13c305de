//! Guests under a real QEMU, and faults injected with fake ones. One binary, so that it is linked once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod attach;
#[path = "../support/boot_sector.rs"]
mod boot_sector;
mod clipboard;
mod display;
mod ends;
mod example_server;
mod fake_display;
mod faults;
mod follows;
mod hardware;
mod harness;
mod hostile;
mod layers;
mod libvnc;
mod linux;
mod lock_keys;
mod network;
mod ocr;
mod own_client;
mod pointer;
mod probe;
#[path = "../support/pulse.rs"]
mod pulse;
mod recorded;
mod recording;
mod requests;
mod serial;
mod servers;
mod settings;
mod share_image;
mod shares;
mod slot_faults;
mod slots;
mod soak;
mod sound;
#[path = "../support/ssh.rs"]
mod ssh;
mod tls;
mod vga_devices;
mod viewer;
#[path = "../support/xvnc.rs"]
mod xvnc;

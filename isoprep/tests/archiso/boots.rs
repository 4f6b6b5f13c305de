//! What is built boots: BIOS and UEFI, from CD and from USB, and the guest finds what was meant.

use crate::arch::{Boot, Firmware, Medium};
use crate::bench::{Bench, profile};

#[test]
fn a_dev_image_boots_every_way_and_has_the_repository() {
    let bench = Bench::new(&profile(), "");
    let image = bench.build();
    for (firmware, medium) in [
        (Firmware::Bios, Medium::Cd),
        (Firmware::Bios, Medium::Usb),
        (Firmware::Uefi, Medium::Cd),
        (Firmware::Uefi, Medium::Usb),
    ] {
        let booted = Boot::new(&image.iso, firmware, medium).run().unwrap_or_else(|e| panic!("{e}"));
        println!("{:?} {}", booted.took, booted.serial);
    }
}

//! The modules that a guest is given. Names that a kernel has built in, or does not have, cost nothing.

/// Loaded at boot: what a person needs to see, to type, and to press the power button; what tells the host of a panic.
pub(crate) const AT_BOOT: &str = "
    pvpanic-pci virtio_pci i8042 atkbd evdev button
    simpledrm bochs virtio-gpu
    usbhid hid-generic xhci-pci";

/// There for `modprobe`, and for what the guest finds on its buses: disks, media, file systems, networks, shares.
pub(crate) const AT_HAND: &str = "
    virtio_blk virtio_scsi virtio_net virtio_console virtio_rng virtio_balloon
    e1000 e1000e af_packet psmouse ehci-pci uhci-hcd usb-storage uas
    ahci ata_piix ata_generic nvme sd_mod sr_mod cdrom loop
    isofs squashfs overlay vfat nls_cp437 nls_iso8859-1 nls_ascii nls_utf8 ext4
    9p 9pnet_virtio fuse virtiofs
    rtc_cmos qemu_fw_cfg efivarfs";

# shellcheck shell=bash
# The kernel, what makes its initramfs, and boot loaders.

package_linux() {
    version=${kernel_version//-/.}
    description="The Linux kernel and modules"
    depends=(kmod mkinitcpio)
    provides=(VIRTUALBOX-GUEST-MODULES WIREGUARD-MODULE)
    local modules=$root/usr/lib/modules/$kernel_version path
    mkdir -p "$modules"
    install -m 644 -- "$kernel_image" "$modules/vmlinuz"
    echo linux >"$modules/pkgbase"
    cp -- "$kernel_modules"/modules.{builtin,order} "$modules/"
    if [[ -r $kernel_modules/modules.builtin.modinfo ]]; then cp -- "$kernel_modules/modules.builtin.modinfo" "$modules/"; fi
    chosen_modules | while read -r path; do install -D -m 644 -- "$kernel_modules/$path" "$modules/$path"; done
    for path in squashfs overlay isofs loop sr_mod sd_mod; do
        if ! grep -q "/$path\.ko" <(chosen_modules) "$kernel_modules/modules.builtin"; then
            die "the kernel $kernel_version has no $path: a live system cannot start with it"
        fi
    done
}

package_mkinitcpio() {
    version=41
    description="Modular initramfs image creation utility"
    depends=(bash busybox mkinitcpio-busybox zstd)
    backup=(etc/mkinitcpio.conf)
    directories 755 etc/initcpio/{hooks,install} etc/mkinitcpio.conf.d etc/mkinitcpio.d usr/lib/initcpio/post
}

package_mkinitcpio_busybox() {
    description="The shell and tools of an initramfs"
    install -D -m 755 -- "$busybox" "$root/usr/lib/initcpio/busybox"
}

package_mkinitcpio_archiso() {
    version=72
    description="Initcpio hooks for the live system"
    depends=(mkinitcpio device-mapper)
}

package_mkinitcpio_nfs_utils() {
    description="Names a package of releng's list: its programs are not here"
    readme
}

package_plymouth() {
    version=24.004.60
    description="Graphical boot splash screen: its hook"
    depends=(mkinitcpio)
}

package_syslinux() {
    version=6.04
    description="Boot loaders for BIOS"
    local bios=$root/usr/lib/syslinux/bios
    mkdir -p "$bios"
    install -m 644 -- "$(folder_of ldlinux.c32 "${syslinux_folders[@]}")"/*.c32 "$bios/"
    local name
    for name in isolinux.bin isohdpfx.bin lpxelinux.0 memdisk; do
        install -m 644 -- "$(folder_of "$name" "${syslinux_folders[@]}")/$name" "$bios/"
    done
}

package_systemd() {
    version=257
    description="The boot loader of systemd, and nothing else of it"
    local efi=$root/usr/lib/systemd/boot/efi
    mkdir -p "$efi"
    install -m 644 -- "$systemd_boot" "$efi/systemd-bootx64.efi"
    # Only the boot mode wants this file; no test starts a 32-bit firmware.
    install -m 644 -- "$systemd_boot" "$efi/systemd-bootia32.efi"
}

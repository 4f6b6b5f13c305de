# shellcheck shell=bash
# What is taken from this machine: static shell and tools, boot loaders, kernel modules, libraries.

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

die() { printf 'make: %s\n' "$*" >&2; exit 1; }

# wanted PROGRAM: its path.
wanted() { type -P "$1" || die "there is no $1 here"; }

# first_file FILE...: the first that can be read.
first_file() {
    local file
    for file in "$@"; do if [[ -r $file ]]; then printf '%s\n' "$file"; return; fi; done
    die "none of these files is here: $*"
}

# folder_of NAME FOLDER...: the first folder that holds the file.
folder_of() {
    local name=$1 folder
    shift
    for folder in "$@"; do if [[ -r $folder/$name ]]; then printf '%s\n' "$folder"; return; fi; done
    die "$name is in none of these folders: $*"
}

# is_static PROGRAM
is_static() { [[ $(LC_ALL=C ldd "$1" 2>&1 || true) == *@('not a dynamic executable'|'statically linked')* ]]; }

# static_busybox: the first busybox that needs no library.
static_busybox() {
    local file
    for file in $(type -ap busybox) /usr/lib/initcpio/busybox /usr/lib/busybox/busybox; do
        if [[ -x $file ]] && is_static "$file"; then printf '%s\n' "$file"; return; fi
    done
    die "there is no static busybox here (Debian: busybox-static)"
}

# Debian, Arch and Fedora keep the boot loader in different folders.
# shellcheck disable=SC2034
syslinux_folders=(/usr/lib/syslinux/bios /usr/lib/syslinux/modules/bios /usr/lib/syslinux /usr/lib/ISOLINUX /usr/lib/PXELINUX
    /usr/share/syslinux)

# libraries_of PROGRAM...: paths of all that they are linked with, the loader too.
libraries_of() { ldd "$@" 2>/dev/null | sed -n 's/^[^/]*\(\/[^ ]*\) (0x.*/\1/p' | sort -u; }

# What a live system on a virtual machine may need; those that the kernel has built in are not missed.
module_names=(
    isofs udf squashfs overlay erofs ext4 vfat nls_cp437 nls_ascii nls_iso8859-1 nls_utf8 crc32c_generic
    loop dm-mod dm-snapshot sr_mod sd_mod cdrom ahci ata_piix ata_generic nvme
    virtio_pci virtio_mmio virtio_blk virtio_scsi virtio_net virtio_console virtio_balloon virtio_input virtio-rng
    usb-storage uas xhci-pci ehci-pci uhci-hcd usbhid hid-generic evdev
    9p 9pnet_virtio fuse virtiofs e1000 af_packet pvpanic pvpanic-pci qemu_fw_cfg
)

# chosen_modules: their paths and those of everything that they need, relative to the modules' folder.
chosen_modules() {
    awk -v names="${module_names[*]}" '
        function plain(path) { sub(/.*\//, "", path); sub(/\.ko.*/, "", path); gsub(/-/, "_", path); return path }
        BEGIN { count = split(names, list, " "); for (i = 1; i <= count; i++) wanted[plain(list[i])] = 1 }
        { path = $1; sub(/:$/, "", path); if (wanted[plain(path)]) { print path; for (i = 2; i <= NF; i++) print $i } }
    ' "$kernel_modules/modules.dep" | sort -u
}

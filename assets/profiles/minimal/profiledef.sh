#!/usr/bin/env bash
# The smallest Arch that boots from BIOS and UEFI, logs in by itself and has a network.
# shellcheck disable=SC2034

released=${SOURCE_DATE_EPOCH:-$(date +%s)}

iso_name=cartridge-minimal
iso_label=CARTRIDGE_$(date -u -d "@$released" +%Y%m)
iso_publisher=Cartridge
iso_application="Minimal live system"
iso_version=$(date -u -d "@$released" +%Y.%m.%d)
install_dir=live
buildmodes=(iso)
bootmodes=(bios.syslinux uefi.systemd-boot)
arch=x86_64
pacman_conf=pacman.conf
airootfs_image_type=squashfs
airootfs_image_tool_options=(-comp zstd -Xcompression-level 19 -b 1M)
file_permissions=(
  [/etc/shadow]=0:0:400
)

unset released

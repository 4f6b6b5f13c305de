#!/bin/sh
# mount(8) as pacstrap and arch-chroot call it, inside a user namespace: `mount SOURCE TARGET -t TYPE -o OPTIONS`.
# The kernel lets no user namespace mount a devtmpfs, nor a sysfs while it shares the host's network. What this namespace
# has at /dev, /sys and /proc is shown at the target instead. Everything else is handed on as it is.
set -u
here=$(dirname "$0")
PATH=${PATH#"$here:"}
export PATH

target=${2-} kind=
[ "${3-}" = -t ] && kind=${4-}

is_mounted() {
    mountpoint -q -- "$1"
}

case $kind in
    sysfs) exec mount --rbind /sys "$target" ;;
    devtmpfs) exec mount --rbind /dev "$target" ;;
    devpts)
        # It came along with /dev. Elsewhere the group of terminals may not exist.
        is_mounted "$target" && exit 0
        exec mount --rbind /dev/pts "$target"
        ;;
    proc)
        mount "$@" 2>/dev/null && exit 0
        # A container that hides parts of /proc allows no new one.
        exec mount --rbind /proc "$target"
        ;;
    efivarfs) exit 1 ;;
esac
exec mount "$@"

#!/bin/sh
# umount(8) as pacstrap and arch-chroot call it, inside a user namespace: what was shown there with everything below it
# can only go as a whole, and lazily (mount_namespaces(7): mounts that came together may not be parted).
set -u
here=$(dirname "$0")
PATH=${PATH#"$here:"}
export PATH

case ${1-} in -*) exec umount "$@" ;; esac
for target; do
    umount --lazy "$target" 2>/dev/null
done
# What came along with another is gone with it. Nothing may be left: it would be packed into the image.
for target; do
    if mountpoint -q -- "$target"; then
        echo "umount: $target: still mounted" >&2
        exit 1
    fi
done
exit 0

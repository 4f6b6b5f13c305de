#!/bin/sh
# umount(8) as pacstrap and arch-chroot call it, inside a user namespace: what was shown there with everything below it can
# only go as a whole, and lazily (mount_namespaces(7): mounts that came together may not be parted).
set -u
here=$(dirname "$0")
PATH=${PATH#"$here:"}
export PATH

exec umount --lazy "$@"

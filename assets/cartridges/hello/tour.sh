#!/bin/sh
# Shows what this guest is made of, from /proc alone.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib/show.sh"

title 'The machine'
row 'kernel' "$(uname -sr)"
row 'processor' "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1) x $(grep -c '^processor' /proc/cpuinfo)"
row 'memory' "$(awk '/^MemTotal/ { total = $2 } /^MemAvailable/ { free = $2 }
    END { printf "%d MiB, %d MiB free", total / 1024, free / 1024 }' /proc/meminfo)"
row 'up for' "$(cut -d ' ' -f 1 /proc/uptime) s"
if [ -d /sys/firmware/efi ]; then row 'firmware' 'UEFI'; else row 'firmware' 'BIOS'; fi

title 'The repository'
row 'folder' "$here"
row 'files' "$(find "$here" -type f | wc -l)"
row 'links' "$(find "$here" -type l | wc -l)"
row 'programs' "$(find "$here" -type f -perm -100 | wc -l)"

title 'Go on'
row './hello' 'says hello'
row 'games/guess' 'a game'
row 'less README.md' 'what this is'
row 'poweroff' 'ends the guest'
printf '\n'

# shellcheck shell=bash
# From a function to a package file: alpm's format is a tar archive with .MTREE, .PKGINFO and .INSTALL in front
# (pacman's PKGINFO(5) and alpm-mtree(5)). Wants: $work, $files, $SOURCE_DATE_EPOCH.

# link TARGET NAME: a symbolic link in the package.
link() { mkdir -p "$root/$(dirname -- "$2")"; ln -sfn -- "$1" "$root/$2"; }

# directories MODE PATH...: empty directories.
directories() {
    local mode=$1 path
    shift
    for path in "$@"; do mkdir -p "$root/$path"; chmod "$mode" "$root/$path"; done
}

# program FILE NAME: a program of this machine.
program() { install -D -m 755 -- "$1" "$root/usr/bin/$2"; }

# readme: the only file of a package that is a name.
readme() {
    mkdir -p "$root/usr/share/doc/$package"
    printf '%s\n' "$description" >"$root/usr/share/doc/$package/README"
}

# pack PACKAGE FUNCTION VERSION INTO: builds one package in a shell of its own.
pack() (
    package=$1 version=$3 into=$4 root=$work/root/$1
    description='' scriptlet='' depends=() provides=() conflicts=() groups=() backup=() owners=() capabilities=()
    mkdir -p "$root"
    if [[ -d $files/$package ]]; then
        cp -R -- "$files/$package/." "$root/"
        # Only the executable bit is kept by git and by every umask.
        find "$root" -type d -exec chmod 755 {} +
        find "$root" -type f ! -perm -u+x -exec chmod 644 {} +
        find "$root" -type f -perm -u+x -exec chmod 755 {} +
    fi
    "$2"
    cd -- "$root" || exit
    # Beside the root, so that they are not packed twice.
    head=$work/head/$package
    mkdir -p "$head"
    package_info >"$head/.PKGINFO"
    metadata=(.PKGINFO)
    if [[ -n $scriptlet ]]; then printf '%s\n' "$scriptlet" >"$head/.INSTALL"; metadata+=(.INSTALL); fi
    archive --create --file="$work/payload.tar" -C "$head" -- "${metadata[@]}"
    # A second name of a file is told as what it holds, as makepkg does.
    append_payload "$work/payload.tar" --hard-dereference
    bsdtar --create --gzip --file="$head/.MTREE" --format=mtree \
        --options='!all,use-set,type,uid,gid,mode,time,size,md5,sha256,link,gzip:!timestamp' "@$work/payload.tar"
    archive --create --file="$work/package.tar" -C "$head" -- .MTREE "${metadata[@]}"
    append_payload "$work/package.tar"
    zstd -q -3 -f -o "$into/$package-$version-1-x86_64.pkg.tar.zst" "$work/package.tar"
    rm -rf -- "$root" "$head" "$work"/{payload,package}.tar
)

# archive ARGUMENT...: tar that writes the same bytes from the same files, everything root's unless told otherwise.
archive() {
    tar --format=posix --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime --mtime="@$SOURCE_DATE_EPOCH" \
        --numeric-owner --owner=0 --group=0 --no-recursion "$@"
}

# append_payload TAR [OPTION]: the package's files, those with an owner or capability of their own last.
append_payload() {
    local words path special=()
    for words in "${owners[@]}" "${capabilities[@]}"; do special+=("./${words%% *}"); done
    # A package may have no files at all: then grep finds nothing, which is no failure.
    find . -mindepth 1 -print0 | sort -z | { grep -zvxF -f <(printf '%s\n' "${special[@]}") || true; } |
        sed -z 's|^\./||' >"$work/names"
    if [[ -s $work/names ]]; then archive --append --file="$1" "${@:2}" --null --files-from="$work/names"; fi
    for words in "${owners[@]}"; do
        read -r path user group <<<"$words"
        archive --append --file="$1" --owner="$user" --group="$group" -- "$path"
    done
    for words in "${capabilities[@]}"; do
        read -r path value <<<"$words"
        append_capable "$1" "$path" "$value"
    done
}

# append_capable TAR PATH BASE64: a file with its capability, which nobody but root could give to a file here. The key is
# libarchive's (archive_write_set_format_pax.c).
append_capable() {
    python3 - "$@" "$SOURCE_DATE_EPOCH" <<'PYTHON'
import sys, tarfile
archive, path, value, time = sys.argv[1:]
with tarfile.open(archive, "a", format=tarfile.PAX_FORMAT) as tar:
    entry = tar.gettarinfo(path)
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = int(time)
    entry.pax_headers = {"LIBARCHIVE.xattr.security.capability": value}
    with open(path, "rb") as file:
        tar.addfile(entry, file)
PYTHON
}

package_info() {
    local word size
    size=$(find . -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum + 0 }')
    printf '%s = %s\n' pkgname "$package" pkgbase "$package" pkgver "$version-1" pkgdesc "$description" \
        url https://example.invalid/ builddate "$SOURCE_DATE_EPOCH" packager 'Test <nobody@example.invalid>' \
        size "$size" arch x86_64 license none
    for word in "${groups[@]}"; do echo "group = $word"; done
    for word in "${conflicts[@]}"; do echo "conflict = $word"; done
    for word in "${provides[@]}"; do echo "provides = $word"; done
    for word in "${backup[@]}"; do echo "backup = $word"; done
    for word in "${depends[@]}"; do echo "depend = $word"; done
}

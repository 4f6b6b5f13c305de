# shellcheck shell=bash
# Fetches the distribution's own kernel into the user's kernel store where none can be read. The system's boot is not
# touched: the package is unpacked, never installed. Wants talk.sh, packages.sh, needs.sh.

# copy_kernel: where a kernel is installed and only root may read its image (Ubuntu), copies that image and points to its
# modules. Fails where there is none.
copy_kernel() {
    local modules version folder
    : "${kernel_store:?}"
    if ! can_be_root; then return 1; fi
    for modules in "/lib/modules/$(uname -r)" /lib/modules/*; do
        version=${modules##*/}
        if [ ! -r "$modules/modules.dep" ] || [ ! -e "/boot/vmlinuz-$version" ]; then continue; fi
        say "The kernel $version is installed, and only root may read it. Copying it to $kernel_store/$version."
        folder=$kernel_store/$version
        mkdir -p -- "$folder"
        ln -sfn -- "$modules" "$folder/modules"
        # The image comes last and whole: without it the folder does not count.
        as_root cat "/boot/vmlinuz-$version" >"$folder/vmlinuz.new" || return 1
        mv -- "$folder/vmlinuz.new" "$folder/vmlinuz"
        return 0
    done
    return 1
}

# fetch_kernel FAMILY: leaves $kernel_store/<version>/{vmlinuz,modules/} with modules.dep, all at once or not at all.
fetch_kernel() {
    local family=$1 work
    : "${kernel_store:?}"
    if copy_kernel; then return; fi
    say "No kernel can be read here. Fetching the distribution's kernel package"
    say "and unpacking it to $kernel_store; nothing is installed and booting stays as it is."
    if ! command -v depmod >/dev/null 2>&1; then install_packages "$family" kmod; fi
    mkdir -p -- "$kernel_store"
    # Beside its goal, so that the last step is one rename. Others may enter: apt and pacman download as users of their own.
    work=$(mktemp -d -- "$kernel_store/.new.XXXXXX")
    chmod 755 "$work"
    mkdir "$work/packages" "$work/root"
    # shellcheck disable=SC2064
    trap "rm -rf -- $(printf '%q' "$work")" EXIT
    case $family in
        apt) kernel_from_apt "$work" ;;
        pacman) kernel_from_pacman "$work" ;;
        dnf) kernel_from_dnf "$work" ;;
        *) die "where this distribution keeps its kernel package is not known here." \
            "Put one at $kernel_store/<version>/vmlinuz with its modules in $kernel_store/<version>/modules/." ;;
    esac
    shelve_kernel "$work"
    rm -rf -- "$work"
    trap - EXIT
}

# newest_dependency PACKAGE PATTERN: the newest package that it depends on and whose name fits.
newest_dependency() {
    LC_ALL=C apt-cache depends --no-recommends --no-suggests -- "$1" |
        sed -n 's/^ *|\{0,1\}Depends: \(.*\)/\1/p' | grep -E -- "$2" | sort -V | tail -n 1
}

kernel_from_apt() {
    local work=$1 meta image version package packages=()
    apt_refresh
    for meta in linux-image-amd64 linux-image-generic; do
        image=$(newest_dependency "$meta" '^linux-image-[0-9]' || true)
        if [ -n "$image" ]; then break; fi
    done
    if [ -z "$image" ]; then die "apt knows neither linux-image-amd64 nor linux-image-generic."; fi
    version=${image#linux-image-}
    packages=("$image")
    # Debian has all in one package; Ubuntu keeps the modules in packages of their own.
    for package in "linux-modules-$version" "linux-modules-extra-$version"; do
        if [ "$(apt_candidate "$package")" != 0 ]; then packages+=("$package"); fi
    done
    say "  \$ $(shown apt-get download "${packages[@]}")"
    (cd "$work/packages" && apt-get -o APT::Sandbox::User=root -qq download -- "${packages[@]}")
    for package in "$work"/packages/*.deb; do dpkg-deb -x "$package" "$work/root"; done
}

kernel_from_pacman() {
    local work=$1 package
    as_root pacman -Swdd --noconfirm --cachedir "$work/packages" linux
    for package in "$work"/packages/linux-*.pkg.tar.zst; do bsdtar -xf "$package" -C "$work/root"; done
}

kernel_from_dnf() {
    local work=$1 package
    install_packages dnf 'dnf-command(download)' cpio
    say "  \$ dnf download --destdir $work/packages kernel-core kernel-modules-core kernel-modules"
    dnf -q download --arch x86_64 --destdir "$work/packages" kernel-core kernel-modules-core kernel-modules
    for package in "$work"/packages/*.rpm; do
        (cd "$work/root" && rpm2cpio "$package" | cpio --quiet -idm)
    done
}

# shelve_kernel WORK: from an unpacked package tree to the store.
shelve_kernel() {
    local work=$1 modules version image
    for modules in "$work"/root/lib/modules/* "$work"/root/usr/lib/modules/*; do
        if [ -d "$modules/kernel" ]; then break; fi
    done
    version=${modules##*/}
    for image in "$work/root/boot/vmlinuz-$version" "$modules/vmlinuz"; do
        if [ -f "$image" ]; then break; fi
    done
    if [ ! -d "$modules/kernel" ] || [ ! -f "$image" ]; then
        die "the kernel package held no image with modules." "It was unpacked in $work/root."
    fi
    # depmod wants the tree that the package had: <base>/lib/modules/<version>.
    mkdir -p "$work/base/lib/modules" "$work/done"
    mv -- "$modules" "$work/base/lib/modules/$version"
    depmod -b "$work/base" "$version"
    if [ -f "$work/base/lib/modules/$version/vmlinuz" ]; then image=$work/base/lib/modules/$version/vmlinuz; fi
    install -m 644 -- "$image" "$work/done/vmlinuz"
    mv -- "$work/base/lib/modules/$version" "$work/done/modules"
    # These point to build trees that are not here.
    rm -f -- "$work/done/modules/build" "$work/done/modules/source" "$work/done/modules/vmlinuz"
    chmod -R u+rwX,go+rX "$work/done"
    if [ -e "$kernel_store/$version" ]; then mv -- "$kernel_store/$version" "$work/old"; fi
    mv -- "$work/done" "$kernel_store/$version"
    say "Kernel $version is in $kernel_store/$version."
}

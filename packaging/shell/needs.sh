# shellcheck shell=bash
# Reads needs.tsv, the table that `cartridge doctor` reads too, and says which needs are not met. No network, no changes.
# Wants: $packaging (this folder's parent). Gives: need_* arrays by missing_needs.

# Administrators' tools are outside an ordinary user's PATH on Debian.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
kernel_store=${XDG_DATA_HOME:-$HOME/.local/share}/cartridge/kernels

# Where the dynamic linker looks, in short; app/src/doctor/look.rs has the same list.
library_folders=(/usr/lib/x86_64-linux-gnu /lib/x86_64-linux-gnu /usr/lib64 /lib64 /usr/lib /lib /usr/local/lib)

# The family of package managers: apt, pacman, dnf, or nothing where it is unknown.
distro_family() {
    local ID='' ID_LIKE='' word
    # shellcheck disable=SC1091
    if [ -r /etc/os-release ]; then . /etc/os-release; fi
    for word in $ID $ID_LIKE; do
        case $word in
            debian | ubuntu) echo apt; return ;;
            arch) echo pacman; return ;;
            fedora) echo dnf; return ;;
        esac
    done
}

# is_static FILE: whether it is a program that needs no dynamic linker.
is_static() {
    local words
    words=$(LC_ALL=C ldd "$1" 2>&1) || true
    case $words in *'not a dynamic executable'* | *'statically linked'*) return 0 ;; *) return 1 ;; esac
}

static_busybox() {
    local file
    for file in $(type -ap busybox) /usr/lib/busybox/busybox /sbin/busybox; do
        if [ -x "$file" ] && is_static "$file"; then return 0; fi
    done
    return 1
}

# readable_kernels: versions whose image and modules can both be read, installed or in our own store.
readable_kernels() {
    local folder version
    for folder in /lib/modules/* "$kernel_store"/*; do
        version=${folder##*/}
        case $folder in
            "$kernel_store"/*) if [ -r "$folder/vmlinuz" ] && [ -r "$folder/modules/modules.dep" ]; then echo "$version"; fi ;;
            *)
                if [ -r "$folder/modules.dep" ] && { [ -r "/boot/vmlinuz-$version" ] || [ -r "$folder/vmlinuz" ]; }; then
                    echo "$version"
                fi
                ;;
        esac
    done
}

# met CHECK: whether one of its alternatives holds.
met() {
    local alternatives alternative folder
    read -ra alternatives <<<"$1"
    for alternative in "${alternatives[@]}"; do
        case $alternative in
            command:*) if command -v "${alternative#command:}" >/dev/null 2>&1; then return 0; fi ;;
            file:*) if compgen -G "${alternative#file:}" >/dev/null; then return 0; fi ;;
            lib:*)
                for folder in "${library_folders[@]}"; do
                    if [ -e "$folder/${alternative#lib:}" ]; then return 0; fi
                done
                ;;
            builtin:rust) if rust_is_ready; then return 0; fi ;;
            builtin:static-busybox) if static_busybox; then return 0; fi ;;
            builtin:kernel) if [ -n "$(readable_kernels)" ]; then return 0; fi ;;
            *) die "needs.tsv: unknown check '$alternative'" ;;
        esac
    done
    return 1
}

# missing_needs FAMILY SET...: fills missing_names, missing_levels, missing_checks, missing_packages, missing_whys.
missing_needs() {
    local family=$1 set level need check apt pacman dnf why packages
    shift
    missing_names=() missing_levels=() missing_checks=() missing_packages=() missing_whys=()
    # On a descriptor of its own, so that no check can eat the table.
    while IFS=$'\t' read -r -u 3 set level need check apt pacman dnf why; do
        case " $* " in *" $set "*) ;; *) continue ;; esac
        if met "$check"; then continue; fi
        case $family in apt) packages=$apt ;; pacman) packages=$pacman ;; dnf) packages=$dnf ;; *) packages=- ;; esac
        missing_names+=("$need") missing_levels+=("$level") missing_checks+=("$check")
        missing_packages+=("$packages") missing_whys+=("$why")
    done 3< <(tail -n +2 "${packaging:?}/needs.tsv")
}

# shellcheck shell=bash
# The system itself: directories, shell, tools, init, libraries of what is taken from this machine.

package_filesystem() {
    description="Base Arch Linux files"
    backup=(etc/fstab etc/group etc/gshadow etc/hosts etc/passwd etc/profile etc/shadow)
    directories 755 boot etc/profile.d etc/skel home mnt opt srv usr/{bin,include,lib,local,share,src} usr/local/{bin,lib,sbin,share} \
        var/{cache,lib,log,opt,spool} run dev
    directories 555 proc sys
    directories 750 root
    directories 1777 tmp var/tmp
    link usr/bin bin; link usr/bin sbin; link usr/lib lib; link usr/lib lib64
    link bin usr/sbin; link lib usr/lib64
    link spool/mail var/mail; link ../run var/run; link ../run/lock var/lock
    directories 1777 var/spool/mail
    link ../usr/lib/os-release etc/os-release
    printf '' >"$root/etc/fstab"
    chmod 600 "$root/etc/shadow"
}

package_glibc() {
    description="C library and the libraries of programs that were taken from the machine that made this"
    depends=(filesystem)
    local library
    directories 755 usr/lib
    for library in "${libraries[@]}"; do install -m 755 -- "$library" "$root/usr/lib/${library##*/}"; done
    # mkarchiso and pacman's hooks run with it.
    if [[ -d /usr/lib/locale/C.utf8 ]]; then
        directories 755 usr/lib/locale
        cp -R -- /usr/lib/locale/C.utf8 "$root/usr/lib/locale/"
    fi
}

package_bash() {
    description="The GNU Bourne Again shell"
    depends=(filesystem glibc)
    provides=(sh)
    program "$shell" bash
    link bash usr/bin/sh
    mkdir -p "$root/etc/skel"
    printf '# What every shell of a new user reads.\n' >"$root/etc/skel/.bashrc"
}

package_busybox() {
    description="Utilities in one static program"
    depends=(filesystem)
    provides=(coreutils findutils gawk grep gzip procps-ng sed tar util-linux which)
    program "$busybox" busybox
    local applet
    # These come from packages of their own, or would pass for another distribution's tools.
    for applet in $("$busybox" --list); do
        case $applet in busybox | bash | sh | init | xz | ar | dpkg | dpkg-deb | rpm | rpm2cpio | getcap | setcap) continue ;; esac
        link busybox "usr/bin/$applet"
    done
    if [[ ! -L $root/usr/bin/ash ]]; then link busybox usr/bin/ash; fi
}

package_kmod() {
    description="Linux kernel module dependencies"
    depends=(busybox bash)
}

package_busybox_init() {
    description="How this system starts"
    depends=(busybox bash guest-report)
    provides=(systemd-sysvcompat)
    backup=(etc/inittab)
    link busybox usr/bin/init
}

package_guest_report() {
    description="Tells a test what has started"
    depends=(busybox bash libcap)
    backup=(etc/guest-report/paths etc/guest-report/trees)
}

package_libcap() {
    description="POSIX 1003.1e capabilities"
    depends=(glibc)
    program "$(wanted getcap)" getcap
    program "$(wanted setcap)" setcap
}

package_device_mapper() {
    description="Device mapper userspace library and tools"
    depends=(glibc)
    program "$(wanted dmsetup)" dmsetup
}

package_zstd() {
    description="Zstandard compression"
    depends=(glibc)
    program "$(wanted zstd)" zstd
}

package_xz() {
    description="Library and command line tools for XZ files"
    depends=(glibc)
    program "$(wanted xz)" xz
}

package_pacman() {
    version=7.0.0
    description="Configuration of the package manager"
    depends=(bash glibc pacman-mirrorlist)
    backup=(etc/pacman.conf)
    directories 755 etc/pacman.d/hooks usr/share/libalpm/hooks var/cache/pacman/pkg var/lib/pacman
    cat >"$root/etc/pacman.conf" <<'CONF'
[options]
HoldPkg     = pacman glibc
Architecture = auto
CheckSpace
SigLevel    = Required DatabaseOptional
LocalFileSigLevel = Optional

[core]
Include = /etc/pacman.d/mirrorlist
CONF
}

package_pacman_mirrorlist() {
    version=20260101
    description="Where packages come from"
    backup=(etc/pacman.d/mirrorlist)
    mkdir -p "$root/etc/pacman.d"
    # shellcheck disable=SC2016
    printf 'Server = https://mirror.invalid/$repo/os/$arch\n' >"$root/etc/pacman.d/mirrorlist"
}

package_archlinux_keyring() {
    version=20260101
    description="The key that signs packages"
    local keyrings=$root/usr/share/pacman/keyrings
    mkdir -p "$keyrings"
    cp -- "$work/key/public.gpg" "$keyrings/archlinux.gpg"
    printf '%s:4:\n' "$(<"$work/key/fingerprint")" >"$keyrings/archlinux-trusted"
    : >"$keyrings/archlinux-revoked"
}

package_base() {
    description="Minimal package set to define a basic installation"
    depends=(filesystem bash busybox busybox-init glibc kmod pacman archlinux-keyring systemd zstd)
}

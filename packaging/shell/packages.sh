# shellcheck shell=bash
# The three package managers, behind one name each. Wants talk.sh.

apt_refreshed=no

# apt_refresh: fetches the package lists, once a run.
apt_refresh() {
    if [ "$apt_refreshed" = yes ]; then return; fi
    # A download needs no root, only lists; old ones may do.
    if ! can_be_root; then return; fi
    as_root apt-get update -qq
    apt_refreshed=yes
}

# install_packages FAMILY PACKAGE...: installs them and nothing that they only recommend.
install_packages() {
    local family=$1
    shift
    case $family in
        apt)
            apt_refresh
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -- "$@"
            ;;
        pacman)
            # Refreshing without upgrading would leave half of the system newer than the rest: only where it never was.
            if ! compgen -G '/var/lib/pacman/sync/*.db' >/dev/null; then as_root pacman -Sy --noconfirm; fi
            as_root pacman -S --needed --noconfirm -- "$@" ||
                die "pacman failed." "If it says that files are not found, the system is behind its mirrors: pacman -Syu"
            ;;
        dnf) as_root dnf install -y --setopt=install_weak_deps=False -- "$@" ;;
        *) die "this distribution's package manager is not known here." "Install by hand: $*" ;;
    esac
}

# apt_candidate PACKAGE: the version that apt would install, 0 for none. Wants apt_refresh before.
apt_candidate() {
    local version
    version=$(LC_ALL=C apt-cache policy -- "$1" | sed -n 's/^  Candidate: \(.*\)/\1/p')
    case $version in '' | '(none)') echo 0 ;; *) version=${version#*:}; echo "${version%%[+~-]*}" ;; esac
}

# dnf_candidate PACKAGE: the version that dnf would install, 0 for none.
dnf_candidate() {
    local version
    version=$(dnf -q repoquery --latest-limit=1 --qf '%{version}\n' -- "$1" 2>/dev/null | tail -n 1)
    echo "${version:-0}"
}

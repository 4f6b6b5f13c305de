# shellcheck shell=bash
# Finds a Rust that is new enough, and installs one where there is none. Wants $packaging, talk.sh and packages.sh.

# rustup puts its programs here, and a fresh one is not in PATH yet.
rust_home=${CARGO_HOME:-$HOME/.cargo}/bin
case ":$PATH:" in *":$rust_home:"*) ;; *) PATH=$rust_home:$PATH ;; esac
export PATH
rust_wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "${packaging:?}/../Cargo.toml")
# Tests need two tools more; packaging/setup sets this when it was asked for them.
rust_tools=${rust_tools:-no}

# at_least WANTED FOUND: whether the version found is as new as the wanted one.
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# new_enough [+TOOLCHAIN]: whether cargo and rustc are.
new_enough() {
    local version
    version=$(cargo "$@" --version 2>/dev/null | cut -d ' ' -f 2) && [ -n "$version" ] && at_least "$rust_wanted" "$version" &&
        rustc "$@" --version >/dev/null 2>&1
}

# rust_is_ready: picks the toolchain to use (the user's own, or else rustup's $rust_wanted) without changing a default.
rust_is_ready() {
    if ! new_enough; then
        if ! command -v rustup >/dev/null 2>&1 || ! new_enough "+$rust_wanted"; then return 1; fi
        export RUSTUP_TOOLCHAIN=$rust_wanted
    fi
    if [ "$rust_tools" = yes ]; then
        cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1
    fi
}

# install_rust: the distribution's where it is new enough, or else rustup's for this user.
install_rust() {
    local family=$1 tools=() components=()
    if new_enough; then
        say "Rust is here, but rustfmt and clippy, which the tests need, are not."
    else
        say "Rust $rust_wanted or newer is needed; here: $(cargo --version 2>/dev/null || echo none)."
    fi
    if [ "$rust_tools" = yes ]; then components=(--component rustfmt --component clippy); fi
    if command -v rustup >/dev/null 2>&1; then
        rustup_toolchain "${components[@]}"
        return
    fi
    case $family in
        apt)
            apt_refresh
            if at_least "$rust_wanted" "$(apt_candidate cargo)"; then
                if [ "$rust_tools" = yes ]; then tools=(rustfmt rust-clippy); fi
                install_packages apt cargo rustc "${tools[@]}"
                return
            elif [ "$(apt_candidate rustup)" != 0 ]; then
                install_packages apt rustup
                rustup_toolchain "${components[@]}"
                return
            fi
            ;;
        pacman)
            install_packages pacman rust
            return
            ;;
        dnf)
            if at_least "$rust_wanted" "$(dnf_candidate cargo)"; then
                if [ "$rust_tools" = yes ]; then tools=(rustfmt clippy); fi
                install_packages dnf cargo rust "${tools[@]}"
                return
            fi
            ;;
    esac
    rustup_from_the_net "$family" "${components[@]}"
}

# The very version that this source was checked with: a later one may know new warnings.
rustup_toolchain() {
    say "  \$ $(shown rustup toolchain install "$rust_wanted" --profile minimal "$@")"
    rustup toolchain install "$rust_wanted" --profile minimal "$@"
}

# The distribution's Rust is too old and it has no rustup: take rustup's own, for this user only.
rustup_from_the_net() {
    local family=$1 url=https://static.rust-lang.org/rustup/dist/x86_64-unknown-linux-gnu/rustup-init folder
    shift
    if [ "${CARTRIDGE_RUSTUP:-yes}" = no ]; then
        die "no package of this distribution has Rust $rust_wanted, and CARTRIDGE_RUSTUP=no forbids rustup." \
            "Install it yourself, then start again:" \
            "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal"
    fi
    say "No package of this distribution is that new. Installing Rust with rustup for this user, into"
    say "${CARGO_HOME:-$HOME/.cargo} and ${RUSTUP_HOME:-$HOME/.rustup} (CARTRIDGE_RUSTUP=no forbids it)."
    if ! command -v curl >/dev/null 2>&1; then install_packages "$family" curl; fi
    folder=$(mktemp -d)
    say "  \$ curl -o rustup-init $url && ./rustup-init -y --profile minimal --no-modify-path --default-toolchain $rust_wanted"
    curl --proto '=https' --tlsv1.2 -fsS -o "$folder/rustup-init" "$url"
    curl --proto '=https' --tlsv1.2 -fsS -o "$folder/sum" "$url.sha256"
    # Guards against a broken download only: both come from the same place.
    echo "$(cut -d ' ' -f 1 "$folder/sum")  $folder/rustup-init" | sha256sum --check --quiet
    chmod +x "$folder/rustup-init"
    "$folder/rustup-init" -y --quiet --profile minimal --no-modify-path --default-toolchain "$rust_wanted" "$@"
    rm -rf -- "$folder"
}

# enough_room_for FOLDER GB: stops where the folder's disk has less free; the folder need not exist yet.
enough_room_for() {
    local folder=$1 free
    while [ ! -e "$folder" ]; do folder=$(dirname "$folder"); done
    free=$(df --output=avail -B 1G "$folder" | tail -n 1 | tr -d ' ')
    [ "$free" -ge "$2" ] || die "the build and its tests take up to $2 GB in $1, and that disk has $free GB free." \
        "Make room there, or name a folder on another disk:" "CARGO_TARGET_DIR=/a/larger/disk packaging/test"
}

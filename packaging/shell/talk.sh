# shellcheck shell=bash
# How the scripts of this folder speak: one line a fact, a heading with the elapsed time a stage, errors with advice.

say() { printf '%s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() {
    printf 'error: %s\n' "$1" >&2
    shift
    if [ $# -gt 0 ]; then printf '  %s\n' "$@" >&2; fi
    exit 1
}

# stage TITLE: a heading. The time is what has passed since the script began.
stage() { printf '\n== %s  [%d:%02d]\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)); }

# shown WORD...: a command as a shell would run it again.
shown() {
    local word line=''
    for word in "$@"; do
        case $word in
            *[!A-Za-z0-9_./:=@%+,-]* | '') line+=" '${word//\'/\'\\\'\'}'" ;;
            *) line+=" $word" ;;
        esac
    done
    printf '%s' "${line# }"
}

can_be_root() { [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null 2>&1; }

# as_root COMMAND...: runs it as root, through sudo where we are not root; says what it runs (on the error
# channel, since the output may be wanted).
as_root() {
    say "  \$ $(shown "$@")" >&2
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        die "this needs root, and there is no sudo here." "Run this as root, then start again:" "su -c \"$(shown "$@")\""
    fi
}

# shellcheck shell=bash disable=SC1091,SC2034
# What bash runs to evaluate a profile (see evaluate.rs). It does to profiledef.sh what mkarchiso 88 does: the same options,
# the same variables declared before, sourced by a function without arguments in the profile's folder. It prints what
# `declare -p` says before, and, between the words that it is given on standard input, after, inside and outside of that function.
# All of it is one group, so that bash has read it to the end before the profile can change what words mean.
{
    # If memory runs out it shall be ours that is taken.
    { echo 1000 >/proc/self/oom_score_adj; } 2>/dev/null || :
    unset BASH_EXECUTION_STRING
    umask 0022
    profile=$PWD app_name=mkarchiso
    quiet='' work_dir='' out_dir='' gpg_key='' gpg_sender='' iso_name='' iso_label='' iso_uuid='' iso_publisher=''
    iso_application='' iso_version='' install_dir='' arch='' pacman_conf='' packages='' bootstrap_packages=''
    bootstrap_parent='' pacstrap_dir='' search_filename='' airootfs_image_type='' bootstrap_tarball_compression='' efibootimg=''
    pkg_list=() bootstrap_pkg_list=() buildmodes=() bootmodes=() airootfs_image_tool_options=() cert_list=() efiboot_files=()
    declare -A file_permissions=()
    declare -i rm_work_dir=0 need_external_ucodes=0
    readonly ucodes=(intel-uc.img intel-ucode.img amd-uc.img amd-ucode.img early_ucode.cpio microcode.cpio)
    readonly -A uefi_arch=([x86_64]=x64 [aarch64]=AA64 [riscv64]=RISCV64 [loongarch64]=LOONGARCH64)

    _read_profile() {
        # The profile's input is empty and its output is ours to look at, not the answer.
        . "$profile/profiledef.sh" </dev/null >&2

        # Whatever the profile made of bash is undone. An assignment cannot be redefined; it turns on the mode in which
        # neither can the special builtins, `trap`, `set` and `unset`, with which the rest is undone.
        POSIXLY_CORRECT=1
        trap - DEBUG ERR RETURN EXIT CHLD
        set +e +u +v +x +E +T
        # What stays because it is read-only would answer in our place.
        unset -f builtin declare echo enable exit local printf read readonly return shopt typeset unalias || exit 1
        unset POSIXLY_CORRECT
        enable declare printf read
        read -r <&0
        printf '\0%s\0' "$REPLY"
        declare -p
    }

    declare -p
    printf '\0'
    # Errors tell their place; those of a subshell are told by the command that it is part of.
    trap '(( BASH_SUBSHELL )) || builtin printf "\0at\0%s\0%s\0%s\0" "${BASH_SOURCE[0]-}" "$LINENO" "$BASH_COMMAND" >&2' ERR
    set -e -u -E
    _read_profile
    printf '\0%s\0' "$REPLY"
    declare -p
    printf '\0%s\0' "$REPLY"
    exit 0
}

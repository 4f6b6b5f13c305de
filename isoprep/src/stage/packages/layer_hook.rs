//! How the live system of a dev build sees the repository without a new root image: a mkinitcpio hook of ours, which runs
//! after archiso's has mounted the root, lays our layer between the root image and what the system writes. Release builds
//! carry neither the hook nor a layer.

/// Where the hook's two halves lie in the root while the initramfs is made (mkinitcpio(8), "/etc/initcpio").
pub(super) const PLACES: [&str; 2] = ["etc/initcpio/install/cartridge", "etc/initcpio/hooks/cartridge"];
/// The layer's name beside the root image.
pub(crate) const LAYER: &str = "cartridge.sfs";

/// What mkinitcpio runs when it makes the initramfs.
pub(super) const INSTALL: &str = r#"#!/bin/bash

build() {
    add_module loop
    add_module squashfs
    add_module overlay
    add_runscript
}

help() {
    echo "Lays the repository of a dev build over the root image."
}
"#;

/// What the initramfs runs once the root is mounted: ash of busybox.
pub(super) const RUN: &str = r#"#!/usr/bin/ash

run_latehook() {
    local medium=/run/archiso/bootmnt layer=/run/cartridge/layer file device dir type options rest root= lower= upper= work= option
    file="${medium}/${archisobasedir}/x86_64/cartridge.sfs"
    mkdir -p "${layer}" /run/cartridge/medium
    if [ ! -f "${file}" ] && [ -n "${archisodevice}" ]; then
        # Copied to memory, the medium was let go of: the layer is still on it.
        mount -r "${archisodevice}" /run/cartridge/medium && file="/run/cartridge/medium/${archisobasedir}/x86_64/cartridge.sfs"
    fi
    if [ ! -f "${file}" ]; then
        echo "cartridge: there is no layer on the medium"
        return 0
    fi
    if ! mount -t squashfs -o ro,loop "${file}" "${layer}"; then
        echo "cartridge: the layer cannot be mounted"
        return 0
    fi
    while read -r device dir type options rest; do
        [ "${dir}" = "/new_root" ] && [ "${type}" = "overlay" ] && root="${options}"
    done </proc/mounts
    local IFS=,
    for option in ${root}; do
        case "${option}" in
            lowerdir=*) lower="${option#lowerdir=}" ;;
            upperdir=*) upper="${option#upperdir=}" ;;
            workdir=*) work="${option#workdir=}" ;;
        esac
    done
    unset IFS
    if [ -n "${lower}" ] && [ -n "${upper}" ] && [ -n "${work}" ] && umount /new_root; then
        if mount -t overlay -o "lowerdir=${layer}:${lower},upperdir=${upper},workdir=${work}" airootfs /new_root; then
            return 0
        fi
        mount -t overlay -o "lowerdir=${lower},upperdir=${upper},workdir=${work}" airootfs /new_root
    fi
    echo "cartridge: the layer is copied"
    cp -a "${layer}/." /new_root/
}
"#;

/// A mkinitcpio configuration with our hook after every `archiso` of its `HOOKS`; `None` if there is no such place.
pub(crate) fn with_hook(text: &str) -> Option<String> {
    let (mut out, mut inside, mut found) = (String::new(), false, false);
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_start();
        if trimmed.starts_with("HOOKS=(") || trimmed.starts_with("HOOKS+=(") {
            inside = true;
        }
        if inside && !trimmed.starts_with('#') {
            let (code, comment) = line.find(" #").map_or((line, ""), |at| line.split_at(at));
            let mut rest = code;
            while let Some(at) = find_word(rest, "archiso") {
                let end = at + "archiso".len();
                let end = end + usize::from(rest[end..].starts_with(['"', '\'']));
                out.push_str(&rest[..end]);
                out.push_str(" cartridge");
                found = true;
                rest = &rest[end..];
            }
            out.push_str(rest);
            out.push_str(comment);
            if code.contains(')') {
                inside = false;
            }
        } else {
            out.push_str(line);
        }
    }
    found.then_some(out)
}

/// Where `word` stands alone: hooks are separated by blanks, quotes and parentheses.
fn find_word(text: &str, word: &str) -> Option<usize> {
    let part = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let alone = |at: &usize| {
        let before = text[..*at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(part)
    };
    text.match_indices(word).map(|(at, _)| at).find(alone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_hook_follows_archisos() {
        let text = "# HOOKS=(archiso)\nHOOKS=(base udev archiso archiso_loop_mnt block)\nCOMPRESSION=\"xz\"\n";
        assert_eq!(
            with_hook(text).unwrap(),
            "# HOOKS=(archiso)\nHOOKS=(base udev archiso cartridge archiso_loop_mnt block)\nCOMPRESSION=\"xz\"\n"
        );
        let long = "HOOKS=(\n  'base'\n  \"archiso\" # archiso\n  block)\narchiso=1\n";
        assert_eq!(
            with_hook(long).unwrap(),
            "HOOKS=(\n  'base'\n  \"archiso\" cartridge # archiso\n  block)\narchiso=1\n"
        );
        assert_eq!(with_hook("HOOKS=(base archiso_pxe_nfs)\n"), None);
        assert_eq!(with_hook(""), None);
    }

    #[test]
    fn both_halves_are_scripts() {
        for (shell, text) in [("bash", INSTALL), ("sh", RUN)] {
            let line = cartridge_supervise::CommandLine::new(shell).arg("-n").stdin(text);
            cartridge_supervise::run(&line, &crate::Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
        }
    }
}

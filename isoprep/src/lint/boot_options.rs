//! Rules about the kernel's command line in boot entries: it tells the initramfs where the medium is and where on it
//! the root image lies (mkinitcpio-archiso, `docs/README.bootparams`).

use super::boot::{at_kernel, at_part, entries, filled, named};
use super::finding::{LintFinding, Place};
use super::known::Known;
use super::rule::Rule;
use crate::profile::BootEntry;

pub(super) const RULES: &[Rule] = &[
    Rule::new("boot-medium-wrong", "a boot entry whose initramfs looks for another medium", medium_wrong),
    Rule::new("boot-folder-wrong", "a boot entry whose initramfs looks in another folder of the medium", folder_wrong),
];

/// The last value of a kernel parameter; an empty one without a value.
pub(super) fn parameter(options: &str, name: &str) -> Option<String> {
    let value = |word: &str| match word.split_once('=') {
        Some((key, value)) if key == name => Some(value.trim_matches('"').to_owned()),
        None if word == name => Some(String::new()),
        _ => None,
    };
    options.split_whitespace().filter_map(value).next_back()
}

/// The entries that start a live system of this image.
fn live<'a>(known: &Known<'a>) -> impl Iterator<Item = (&'a BootEntry, String)> {
    let is_live = |entry: &&BootEntry| {
        let kernel = entry.kernel.as_deref().is_some_and(|kernel| kernel.contains("/vmlinuz"));
        kernel && entry.initrds.iter().any(|initrd| initrd.contains("initramfs"))
    };
    entries(known).filter(is_live).map(|entry| (entry, filled(known, &entry.options)))
}

fn medium_wrong(known: &Known<'_>) -> Vec<LintFinding> {
    /// Any of these names the medium, or where it is fetched from (mkinitcpio-archiso, `docs/README.bootparams`).
    const NAMES: [&str; 9] = [
        "archisodevice",
        "archisosearchuuid",
        "archisosearchfilename",
        "archisolabel",
        "archiso_http_srv",
        "archiso_nbd_srv",
        "archiso_nfs_srv",
        "img_dev",
        "img_label",
    ];
    let label = &known.profile().definition.iso_label;
    let mut found = Vec::new();
    for (entry, options) in live(known) {
        if options.contains('$') && !NAMES.iter().any(|name| parameter(&options, name).is_some()) {
            continue;
        }
        let drops = "The kernel starts, its initramfs waits for that medium and ends in a rescue shell.";
        if !NAMES.iter().any(|name| parameter(&options, name).is_some()) {
            let what = format!("{} does not say where the medium is: archisosearchuuid or archisolabel.", named(entry));
            let edit = options_line(known, entry).and_then(|place| {
                known.replace(&place, |old| Some(format!("{} archisosearchuuid=%ARCHISO_UUID%", old.trim_end())))
            });
            let place = options_line(known, entry).unwrap_or_else(|| at_kernel(known, entry));
            found
                .push(LintFinding::error(place, what, drops).fixed_by("Append archisosearchuuid=%ARCHISO_UUID%", edit));
        } else if let Some(wanted) = parameter(&options, "archisolabel").filter(|wanted| wanted != label)
            && parameter(&options, "archisodevice").is_none()
            && !wanted.contains('$')
        {
            let what = format!("{} looks for a medium called {wanted:?}; the image is called {label:?}.", named(entry));
            let place = at_part(known, entry, "archisolabel=");
            let edit = known.replace(&place, |old| {
                let text = format!("archisolabel={wanted}");
                old.contains(&text).then(|| old.replace(&text, "archisolabel=%ARCHISO_LABEL%"))
            });
            found.push(LintFinding::error(place, what, drops).fixed_by("Write archisolabel=%ARCHISO_LABEL%", edit));
        }
    }
    found
}

/// The line that has the entry's kernel parameters.
fn options_line(known: &Known<'_>, entry: &BootEntry) -> Option<Place> {
    let first = entry.options.split_whitespace().next()?;
    let place = at_part(known, entry, first);
    known.line(&place).filter(|line| line.contains(&entry.options)).map(|_| place)
}

fn folder_wrong(known: &Known<'_>) -> Vec<LintFinding> {
    let right = &known.profile().definition.install_dir;
    let mut found = Vec::new();
    for (entry, options) in live(known) {
        // The hook archiso looks in `arch` when it is not told.
        let given = parameter(&options, "archisobasedir");
        let folder = given.clone().unwrap_or_else(|| "arch".to_owned());
        if folder.trim_matches('/') == right || folder.contains('$') {
            continue;
        }
        let what = match &given {
            Some(folder) => format!("{} looks for the root image in /{folder}; it is in /{right}.", named(entry)),
            None => format!(
                "{} does not say archisobasedir; the initramfs looks in /arch, and the root image is in /{right}.",
                named(entry)
            ),
        };
        let place = given.as_ref().map_or_else(
            || options_line(known, entry).unwrap_or_else(|| at_kernel(known, entry)),
            |_| at_part(known, entry, "archisobasedir="),
        );
        let edit = known.replace(&place, |old| match &given {
            Some(folder) => Some(old.replace(&format!("archisobasedir={folder}"), "archisobasedir=%INSTALL_DIR%")),
            None => old.contains(&entry.options).then(|| format!("{} archisobasedir=%INSTALL_DIR%", old.trim_end())),
        });
        let consequence =
            "The kernel starts, and its initramfs says \"no root file system image found\" and ends in a rescue shell.";
        found.push(LintFinding::error(place, what, consequence).fixed_by("Write archisobasedir=%INSTALL_DIR%", edit));
    }
    found
}

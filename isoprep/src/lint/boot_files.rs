//! Rules about the boot loaders' files: folders that have to be there, files that name other files, templates that
//! mkarchiso does not fill in.

use super::finding::{LintFinding, Place};
use super::known::Known;
use super::packages::makes_an_image;
use super::rule::Rule;
use super::subject::Entry;
use crate::profile::BootModeKind;
use crate::recipe::EngineKind;

pub(super) const RULES: &[Rule] = &[
    Rule::new("boot-config-missing", "a boot mode without its configuration", config_missing),
    Rule::new("boot-template-unknown", "a template that is not filled in", template_unknown),
    Rule::new("boot-include-missing", "a boot loader's file that names a file that will not be there", include_missing),
    Rule::new("boot-default-missing", "a default entry that is not there", default_missing),
    Rule::new("syslinux-missing", "BIOS boot without the package syslinux", syslinux_missing),
];

const STOPS: &str = "mkarchiso stops before it begins.";

/// Whether an ISO with this boot mode is made.
fn has(known: &Known<'_>, kind: BootModeKind) -> bool {
    makes_an_image(known) && known.profile().definition.boot_modes.iter().any(|mode| mode.kind == Some(kind))
}

fn has_suffix(entry: &Entry, suffix: &str) -> bool {
    entry.path.extension().is_some_and(|it| it == suffix)
}

/// The files of a folder itself that end so.
fn files<'a>(known: &Known<'a>, folder: &'static str, suffix: &'static str) -> impl Iterator<Item = &'a Entry> {
    known.below(folder).filter(move |entry| entry.path.parent() == Some(folder.as_ref()) && has_suffix(entry, suffix))
}

fn config_missing(known: &Known<'_>) -> Vec<LintFinding> {
    let mut found = Vec::new();
    let mut say = |what: &str| found.push(LintFinding::error(known.at_variable("bootmodes"), what, STOPS));
    if has(known, BootModeKind::BiosSyslinux) && files(known, "syslinux", "cfg").next().is_none() {
        say("bootmodes has bios.syslinux, and there is no syslinux/*.cfg.");
    }
    if has(known, BootModeKind::UefiGrub) && !known.has_file("grub/grub.cfg") {
        say("bootmodes has uefi.grub, and there is no grub/grub.cfg.");
    }
    if has(known, BootModeKind::UefiSystemdBoot) {
        if !known.has_file("efiboot/loader/loader.conf") {
            say("bootmodes has uefi.systemd-boot, and there is no efiboot/loader/loader.conf.");
        }
        if files(known, "efiboot/loader/entries", "conf").next().is_none() {
            say("bootmodes has uefi.systemd-boot, and there is no efiboot/loader/entries/*.conf.");
        }
    }
    found
}

fn template_unknown(known: &Known<'_>) -> Vec<LintFinding> {
    const FILLED: [&str; 4] = ["%ARCHISO_LABEL%", "%ARCHISO_UUID%", "%INSTALL_DIR%", "%ARCH%"];
    let grub_only = "%ARCHISO_SEARCH_FILENAME%";
    let mut found = Vec::new();
    let mut look = |entry: &Entry, filled: &[&str]| {
        for (at, line) in (1..).zip(known.text(entry).unwrap_or_default().lines()) {
            for word in templates(line).filter(|word| !filled.contains(word)) {
                let place = known.at(entry, Some(at));
                let near =
                    filled.iter().map(|name| (strsim::levenshtein(word, name), *name)).min().filter(|it| it.0 <= 4);
                let what = format!("mkarchiso fills in no {word} here.");
                let consequence = "It stays on the image as it is written.";
                let edit = near.and_then(|(_, name)| known.replace(&place, |old| Some(old.replace(word, name))));
                let says = near.map_or(String::new(), |(_, name)| format!("Write {name}"));
                found.push(LintFinding::error(place, what, consequence).fixed_by(says, edit));
            }
        }
    };
    if has(known, BootModeKind::BiosSyslinux) {
        files(known, "syslinux", "cfg").for_each(|entry| look(entry, &FILLED));
    }
    if makes_an_image(known) {
        let grub = has(known, BootModeKind::UefiGrub);
        let with_search = [FILLED.as_slice(), &[grub_only]].concat();
        let files = files(known, "grub", "cfg").filter(|entry| grub || entry.path.ends_with("loopback.cfg"));
        files.for_each(|entry| look(entry, &with_search));
    }
    if has(known, BootModeKind::UefiSystemdBoot) {
        files(known, "efiboot/loader/entries", "conf").for_each(|entry| look(entry, &FILLED));
        known.entry("efiboot/loader/loader.conf").into_iter().for_each(|entry| look(entry, &[]));
    }
    found
}

/// Everything that looks like a template: capitals and `_` between two `%`.
fn templates(line: &str) -> impl Iterator<Item = &str> {
    let is_name = |part: &&str| part.len() > 2 && part.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    line.split('%').skip(1).filter(is_name).filter_map(move |name| {
        let start = name.as_ptr() as usize - line.as_ptr() as usize;
        line.get(start - 1..start + name.len() + 1).filter(|word| word.ends_with('%'))
    })
}

fn include_missing(known: &Known<'_>) -> Vec<LintFinding> {
    let mut found = Vec::new();
    if !has(known, BootModeKind::BiosSyslinux) {
        return found;
    }
    for entry in files(known, "syslinux", "cfg") {
        for (at, line) in (1..).zip(known.text(entry).unwrap_or_default().lines()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let upper: Vec<String> = words.iter().map(|word| word.to_ascii_uppercase()).collect();
            let upper: Vec<&str> = upper.iter().map(String::as_str).collect();
            let (name, picture) = match upper.as_slice() {
                ["INCLUDE" | "CONFIG", _, ..] => (words[1], false),
                ["MENU", "INCLUDE", _, ..] => (words[2], false),
                ["MENU", "BACKGROUND", _, ..] => (words[2], true),
                _ => continue,
            };
            // A path of the medium cannot be judged, and `#` begins a colour.
            if name.contains(['/', '%']) || name.starts_with('#') {
                continue;
            }
            let place = known.at(entry, Some(at));
            if !known.has_file(format!("syslinux/{name}")) {
                found.push(not_there(known, place, name, picture));
            } else if !(name.ends_with(".cfg") || name == "splash.png") {
                let what = format!("mkarchiso copies *.cfg and splash.png of syslinux/, and not {name}.");
                found.push(LintFinding::warning(place, what, "The boot loader does not find it."));
            }
        }
    }
    found
}

fn not_there(known: &Known<'_>, place: Place, name: &str, picture: bool) -> LintFinding {
    let what = format!("There is no syslinux/{name}.");
    if picture {
        let edit = known.remove_line(&place);
        return LintFinding::note(place, what, "The menu has no background.").fixed_by("Remove the line", edit);
    }
    LintFinding::error(
        place,
        what,
        "mkarchiso builds the image without a word; what is in that file is not in the menu.",
    )
}

fn default_missing(known: &Known<'_>) -> Vec<LintFinding> {
    let mut found = Vec::new();
    let Some(entry) = known.entry("efiboot/loader/loader.conf").filter(|_| has(known, BootModeKind::UefiSystemdBoot))
    else {
        return found;
    };
    let names: Vec<String> = files(known, "efiboot/loader/entries", "conf")
        .filter_map(|entry| Some(entry.path.file_name()?.to_str()?.to_owned()))
        .collect();
    for (at, line) in (1..).zip(known.text(entry).unwrap_or_default().lines()) {
        let mut words = line.split_whitespace();
        let (Some("default"), Some(name)) = (words.next(), words.next()) else { continue };
        let is = |file: &String| file == name || file.trim_end_matches(".conf") == name;
        // `@saved` is a word of the loader's own, a pattern is matched by it.
        if names.is_empty() || name.starts_with('@') || name.contains(['*', '?', '[']) || names.iter().any(is) {
            continue;
        }
        let place = known.at(entry, Some(at));
        let what = format!("The default entry {name} is not in efiboot/loader/entries.");
        let near = names.iter().min_by_key(|file| strsim::levenshtein(file, name));
        let edit = near.and_then(|near| known.replace(&place, |old| Some(old.replace(name, near))));
        let says = near.map_or(String::new(), |near| format!("Write {near}"));
        found.push(
            LintFinding::warning(place, what, "systemd-boot starts the entry that it sorts first.")
                .fixed_by(says, edit),
        );
    }
    found
}

fn syslinux_missing(known: &Known<'_>) -> Vec<LintFinding> {
    // mkarchiso looks at the list alone, whatever dependencies bring.
    let listed = known.packages.listed.is_empty() || known.packages.listed.contains("syslinux");
    let listed =
        listed || (known.subject.engine != EngineKind::Mkarchiso && known.packages.lacks(&["syslinux"]).is_none());
    if !has(known, BootModeKind::BiosSyslinux) || listed {
        return Vec::new();
    }
    let what = "bootmodes has bios.syslinux, and the package syslinux is not listed.";
    let edit = known.add_to("image.packages", "syslinux");
    vec![
        LintFinding::error(known.at_variable("bootmodes"), what, STOPS)
            .fixed_by("Add syslinux to image.packages", edit),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_capitals_between_two_percent_signs() {
        let found: Vec<&str> = templates("/%INSTALL_DIR%/boot/%ARCH%/100% %x% %LABEL %A%").collect();
        assert_eq!(found, ["%INSTALL_DIR%", "%ARCH%"]);
        assert_eq!(templates("a %ARCHISO_NAME%").collect::<Vec<_>>(), ["%ARCHISO_NAME%"]);
        assert_eq!(templates("%%%").count(), 0);
    }
}

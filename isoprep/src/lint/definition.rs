//! Rules about `profiledef.sh`: names that are too long, values that nobody understands. mkarchiso checks few of them
//! before it begins; xorriso, mksquashfs and the boot loaders' files meet the others at the end.

use std::path::Component;

use super::edit::Edit;
use super::finding::{LintFinding, Severity};
use super::known::{DEFINITION, Known, plain};
use super::packages::makes_an_image;
use super::rule::Rule;
use crate::profile::ImageType;

pub(super) const RULES: &[Rule] = &[
    Rule::new("build-mode-unknown", "a build mode that archiso does not know", build_mode),
    Rule::new("install-dir", "an install_dir that is too long or has other characters", install_dir),
    Rule::new("iso-label-long", "a label of more than 32 characters", label_long),
    Rule::new("iso-label-characters", "a label with characters that a label cannot have", label_characters),
    Rule::new("iso-name", "an iso_name or iso_version that cannot be part of a file name", iso_name),
    Rule::new("iso-text-long", "a publisher or application of more than 128 characters", text_long),
    Rule::new("image-type-unknown", "an airootfs_image_type that archiso does not know", image_type),
    Rule::new("image-tool-options", "options of another packing tool", tool_options),
    Rule::new("bootstrap-compression", "a compression that archiso does not know", compression),
    Rule::new("pacman-conf-missing", "a pacman.conf that is not there", pacman_conf),
    Rule::new("customize-script", "the deprecated customize_airootfs.sh", customize),
    Rule::new("profile-not-understood", "something in a profile that is not understood", not_understood),
];

const STOPS: &str = "mkarchiso stops before it begins.";

const ISO_ALONE: &str = "Cartridge's own engine makes the ISO alone.";

/// A finding about how the root is packed: a dev build of ours packs in its own quick way.
fn of_packing(known: &Known<'_>, finding: LintFinding) -> LintFinding {
    if known.subject.release {
        return finding;
    }
    finding.by_mkarchiso_alone(known.subject.engine, "A dev build of Cartridge's own engine does not use it.")
}

/// A finding about a variable, with the edit that writes another value on its line.
fn about(
    known: &Known<'_>,
    severity: Severity,
    variable: &str,
    what: String,
    consequence: &str,
    values: Option<(&str, &str)>,
) -> LintFinding {
    let place = known.at_variable(variable);
    // The value stands behind the first `=`; its name may hold the same letters.
    let edit = values.and_then(|(old, new)| {
        known.replace(&place, |line| {
            let (name, value) = line.split_at(line.find('=').map_or(0, |at| at + 1));
            (!old.is_empty() && value.contains(old)).then(|| format!("{name}{}", value.replacen(old, new, 1)))
        })
    });
    let says = values.map_or(String::new(), |(_, new)| format!("Write {new}"));
    LintFinding::error(place, what, consequence).graded(severity).fixed_by(says, edit)
}

fn build_mode(known: &Known<'_>) -> Vec<LintFinding> {
    const MODES: [&str; 3] = ["bootstrap", "iso", "netboot"];
    let unknown = known.profile().definition.build_modes.iter().filter(|mode| !MODES.contains(&mode.as_str()));
    unknown
        .map(|mode| {
            let near = MODES
                .into_iter()
                .filter(|name| strsim::levenshtein(mode, name) <= 2)
                .min_by_key(|name| strsim::levenshtein(mode, name));
            let what = format!("archiso does not know the build mode {mode}. It knows {}.", MODES.join(", "));
            about(known, Severity::Error, "buildmodes", what, STOPS, near.map(|near| (mode.as_str(), near)))
                .by_mkarchiso_alone(known.subject.engine, ISO_ALONE)
        })
        .collect()
}

fn install_dir(known: &Known<'_>) -> Vec<LintFinding> {
    let dir = known.profile().definition.install_dir.as_str();
    let is_fine = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let (long, other) = (dir.chars().count() > 8, dir.chars().find(|c| !is_fine(c)));
    if (!long && other.is_none() && !dir.is_empty()) || !makes_an_image(known) {
        return Vec::new();
    }
    let short: String = dir.to_lowercase().chars().filter(is_fine).take(8).collect();
    // These mean something to sed and to the shell lines of the boot entries.
    let breaks = dir.contains(|c: char| c.is_whitespace() || c.is_control() || "/|&\\%\"'$".contains(c));
    let what = match other {
        Some(c) => format!("install_dir {dir:?} has {c:?}; it may have a-z and 0-9."),
        None => format!("install_dir {dir:?} has {} characters; it may have 8.", dir.chars().count()),
    };
    let (severity, consequence) = if breaks || dir.is_empty() {
        (
            Severity::Error,
            "mkarchiso does not look; it writes the name into the boot entries as it is, and they do not start.",
        )
    } else {
        (
            Severity::Warning,
            "mkarchiso does not look. What reads plain ISO 9660 names finds the folder under another name, and the \
                live system \
             is not found.",
        )
    };
    let values = Some((dir, short.as_str())).filter(|_| !short.is_empty());
    vec![about(known, severity, "install_dir", what, consequence, values)]
}

fn label_long(known: &Known<'_>) -> Vec<LintFinding> {
    let label = known.profile().definition.iso_label.as_str();
    if label.len() <= 32 {
        return Vec::new();
    }
    let mut end = 32;
    while !label.is_char_boundary(end) {
        end -= 1;
    }
    let what = format!("iso_label {label:?} has {} characters; a label may have 32.", label.len());
    let consequence = "The build runs to its last step, where xorriso ends with \"-volid: Text too long\".";
    vec![about(known, Severity::Error, "iso_label", what, consequence, Some((label, &label[..end])))]
}

fn label_characters(known: &Known<'_>) -> Vec<LintFinding> {
    let label = known.profile().definition.iso_label.as_str();
    let is_fine = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let Some(bad) = label.chars().find(|c| !is_fine(*c)) else { return Vec::new() };
    let breaks = label.contains(|c: char| !c.is_ascii_graphic() || "/|&\\%\"'$".contains(c));
    let used = known.profile().boot_entries.iter().any(|entry| entry.options.contains("%ARCHISO_LABEL%"));
    let what = format!("iso_label {label:?} has {bad:?}; a label may have A-Z, 0-9 and _.");
    let (severity, consequence) = match (breaks, used) {
        (true, true) => (
            Severity::Error,
            "mkarchiso fills it into the boot entries with sed, to which |, & and \\ mean something, and a blank \
                ends a kernel \
             parameter: the initramfs looks for a medium of another name.",
        ),
        _ => (
            Severity::Warning,
            "xorriso warns that it does not comply to ISO 9660; what reads the label may see another one.",
        ),
    };
    let good: String = label.to_uppercase().chars().map(|c| if is_fine(c) { c } else { '_' }).collect();
    vec![about(known, severity, "iso_label", what, consequence, Some((label, &good)))]
}

fn iso_name(known: &Known<'_>) -> Vec<LintFinding> {
    let definition = &known.profile().definition;
    let values = [("iso_name", &definition.iso_name), ("iso_version", &definition.iso_version)];
    let bad = values.into_iter().filter(|(_, value)| value.contains(['/', '\0', '\n']));
    bad.map(|(variable, value)| {
        let what = format!("{variable} {value:?} cannot be part of a file name.");
        let consequence = "The build runs to its last step, where xorriso cannot write the image.";
        let good = value.replace(['/', '\0', '\n'], "-");
        about(known, Severity::Error, variable, what, consequence, Some((value, &good)))
            .by_mkarchiso_alone(known.subject.engine, "Cartridge's own engine names the image after the cartridge.")
    })
    .collect()
}

fn text_long(known: &Known<'_>) -> Vec<LintFinding> {
    let definition = &known.profile().definition;
    let values = [("iso_publisher", &definition.iso_publisher), ("iso_application", &definition.iso_application)];
    let long = values.into_iter().filter(|(_, value)| value.len() > 128);
    long.map(|(variable, value)| {
        let what = format!("{variable} has {} characters; ISO 9660 has room for 128.", value.len());
        let consequence =
            "The build runs to its last step, where xorriso leaves it out and ends with 32: the build has failed.";
        about(known, Severity::Error, variable, what, consequence, None)
    })
    .collect()
}

fn image_type(known: &Known<'_>) -> Vec<LintFinding> {
    const TYPES: [&str; 3] = ["squashfs", "erofs", "ext4+squashfs"];
    let ImageType::Unknown(word) = &known.profile().definition.image_type else { return Vec::new() };
    if !makes_an_image(known) {
        return Vec::new();
    }
    let near = TYPES
        .into_iter()
        .filter(|name| strsim::levenshtein(word, name) <= 3)
        .min_by_key(|name| strsim::levenshtein(word, name));
    let what = format!("archiso does not know the image type {word:?}. It knows {}.", TYPES.join(", "));
    let values = near.map(|near| (word.as_str(), near));
    vec![of_packing(known, about(known, Severity::Error, "airootfs_image_type", what, STOPS, values))]
}

fn tool_options(known: &Known<'_>) -> Vec<LintFinding> {
    let definition = &known.profile().definition;
    let (tool, wrong): (_, fn(&str) -> bool) = match definition.image_type {
        ImageType::Squashfs | ImageType::Ext4Squashfs => {
            ("mksquashfs", |option| option.starts_with("-z") || option == "-E")
        }
        ImageType::Erofs => {
            ("mkfs.erofs", |option| option == "-comp" || option.starts_with("-X") || option == "-noappend")
        }
        ImageType::Unknown(_) => return Vec::new(),
    };
    let Some(option) = definition.image_tool_options.iter().find(|option| wrong(option)) else { return Vec::new() };
    let what = format!("airootfs_image_tool_options has {option}, which is no option of {tool}.");
    let consequence = format!("Everything is installed, then {tool} ends with an error and the build with it.");
    vec![of_packing(known, about(known, Severity::Error, "airootfs_image_tool_options", what, &consequence, None))]
}

fn compression(known: &Known<'_>) -> Vec<LintFinding> {
    const TOOLS: [&str; 9] = ["bzip", "cat", "gzip", "lrzip", "lzip", "lzop", "xz", "zstd", "zstdmt"];
    let definition = &known.profile().definition;
    if !definition.build_modes.iter().any(|mode| mode == "bootstrap") {
        return Vec::new();
    }
    let what = match definition.bootstrap_compression.as_slice() {
        [tool, ..] if !TOOLS.contains(&tool.as_str()) => {
            format!("archiso does not know the compression {tool:?}. It knows {}.", TOOLS.join(", "))
        }
        [cat, _, ..] if cat == "cat" => {
            "bootstrap_tarball_compression has cat with options, and it takes none.".to_owned()
        }
        _ => return Vec::new(),
    };
    let finding = about(known, Severity::Error, "bootstrap_tarball_compression", what, STOPS, None);
    vec![finding.by_mkarchiso_alone(known.subject.engine, ISO_ALONE)]
}

/// What archiso would have to find a `pacman_conf` that leads out of the profile: a copy has only the profile.
fn outside(known: &Known<'_>) -> Option<LintFinding> {
    let named = &known.profile().definition.pacman_conf;
    let relative = named.is_relative() && named.components().any(|part| part == Component::ParentDir);
    if !relative || known.profile().pacman_conf.file.starts_with(&known.profile().dir) {
        return None;
    }
    let place = known.at_variable("pacman_conf");
    let folder = known.subject.root.join(&known.at_file(DEFINITION, None).file).parent()?.to_path_buf();
    let meant = plain(&folder.join(named));
    let what = format!("profiledef.sh names {} as pacman.conf, which is outside of the profile.", named.display());
    let consequence = "A build has a copy of the profile, and nothing is there: it stops before it begins.";
    let below = meant.strip_prefix(known.subject.root).ok().filter(|_| known.subject.host.exists(&meant));
    let edit = below.and_then(|below| {
        let value = below.to_str()?.to_owned();
        Some(Edit::SetCartridgeField { key: "image.pacman_conf".to_owned(), value })
    });
    let says = below.map_or(String::new(), |below| format!("Build with {}", below.display()));
    Some(LintFinding::error(place, what, consequence).fixed_by(says, edit))
}

fn pacman_conf(known: &Known<'_>) -> Vec<LintFinding> {
    if let Some(finding) = outside(known) {
        return vec![finding];
    }
    let file = &known.profile().pacman_conf.file;
    if known.is_there(file) {
        return Vec::new();
    }
    let what = "profiledef.sh names this file as pacman.conf, and it is not there.";
    vec![LintFinding::error(known.at_file(file, None), what, STOPS).seen_at([known.at_variable("pacman_conf")])]
}

fn customize(known: &Known<'_>) -> Vec<LintFinding> {
    if !known.profile().customizes || !makes_an_image(known) {
        return Vec::new();
    }
    let what = "customize_airootfs.sh is deprecated.";
    let consequence = "It is still run in the image once the packages are installed; a later archiso will not. \
        Pacman hooks in \
                       airootfs/etc/pacman.d/hooks do the same.";
    vec![LintFinding::note(known.at_file("airootfs/root/customize_airootfs.sh", None), what, consequence)]
}

fn not_understood(known: &Known<'_>) -> Vec<LintFinding> {
    let profile = known.profile();
    // About a pacman.conf that is not used, or of which the rule above says more, nothing is to wonder.
    let named = plain(&profile.dir.join(&profile.definition.pacman_conf));
    let settled = profile.pacman_conf.file != named || outside(known).is_some();
    let warnings = profile.warnings.iter().filter(|it| !(settled && it.file == named));
    let note = |it: &crate::profile::ProfileWarning| {
        let file = if it.file.as_os_str().is_empty() { DEFINITION.as_ref() } else { it.file.as_path() };
        let text = it.text.trim_end_matches('.');
        let what = format!(
            "{}{}.",
            text.chars().next().map(|c| c.to_uppercase().to_string()).unwrap_or_default(),
            text.chars().skip(1).collect::<String>()
        );
        LintFinding::note(
            known.at_file(file, it.line),
            what,
            "It is passed on as it is; what comes of it is not known.",
        )
    };
    warnings.map(note).collect()
}

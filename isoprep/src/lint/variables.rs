//! Rules about variables of `profiledef.sh` that archiso does not know: nearly one of its own, of an older archiso, or
//! used by nobody. mkarchiso says nothing about any of them.

use super::finding::LintFinding;
use super::known::{DEFINITION, Known};
use super::rule::Rule;

pub(super) const RULES: &[Rule] = &[
    Rule::new("variable-misspelt", "a variable that is nearly one of archiso's", misspelt),
    Rule::new("variable-retired", "a variable that archiso no longer knows", retired),
    Rule::new("variable-unknown", "variables that nothing uses", unknown),
];

/// Variables of archiso 48 that archiso 49 no longer has, each with what took its place.
const RETIRED: [(&str, &str); 2] = [("sfs_comp", "airootfs_image_tool_options"), ("sfs_mode", "airootfs_image_type")];
/// The variables of archiso 88 (`docs/README.profile.rst`, and mkarchiso's own).
const VARIABLES: [&str; 22] = [
    "airootfs_image_tool_options",
    "airootfs_image_type",
    "arch",
    "bootmodes",
    "bootstrap_packages",
    "bootstrap_tarball_compression",
    "buildmodes",
    "cert_list",
    "file_permissions",
    "gpg_key",
    "gpg_sender",
    "install_dir",
    "iso_application",
    "iso_label",
    "iso_name",
    "iso_publisher",
    "iso_version",
    "out_dir",
    "packages",
    "pacman_conf",
    "quiet",
    "work_dir",
];

fn misspelt(known: &Known<'_>) -> Vec<LintFinding> {
    let definition = &known.profile().definition;
    let mut found = Vec::new();
    for name in definition.unknown.keys() {
        let Some(near) = near(name) else { continue };
        let what = format!("profiledef.sh sets {name}; archiso knows {near}.");
        let consequence = format!("mkarchiso does not look at {name} and takes its default for {near}.");
        let place = known.at_variable(name);
        let edit = known.replace(&place, |line| line.contains(name.as_str()).then(|| line.replacen(name, near, 1)));
        found.push(LintFinding::warning(place, what, consequence).fixed_by(format!("Write {near}"), edit));
    }
    found
}

fn retired(known: &Known<'_>) -> Vec<LintFinding> {
    let set = |it: &&(&str, &str)| known.profile().definition.unknown.contains_key(it.0);
    let say = |(name, instead): &(&str, &str)| {
        let what = format!("profiledef.sh sets {name}, which archiso knew until version 48; {instead} took its place.");
        let consequence = format!("Nothing looks at it: {instead} has its default or what is set elsewhere.");
        LintFinding::warning(known.at_variable(name), what, consequence)
    };
    RETIRED.iter().filter(set).map(say).collect()
}

/// What a profile sets and neither archiso nor the profile itself looks at, all in one note.
fn unknown(known: &Known<'_>) -> Vec<LintFinding> {
    let text = known.text_of(DEFINITION).unwrap_or_default();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    // A helper of the profile's own is read somewhere, or handed on to a program.
    let used = |name: &str| {
        let more_than_set = |(at, _): (usize, &str)| {
            let (before, after) = (&text[..at], &text[at + name.len()..]);
            !before.ends_with(is_name) && !after.starts_with(is_name) && !after.trim_start_matches('+').starts_with('=')
        };
        text.contains(&format!("export {name}")) || text.match_indices(name).any(more_than_set)
    };
    let said = |name: &str| RETIRED.iter().any(|it| it.0 == name) || near(name).is_some();
    let idle = known.profile().definition.unknown.keys().filter(|name| {
        // What was set by something that the profile sources is not ours to judge.
        let here = known.profile().definition.lines.contains_key(*name) && text.contains(&format!("{name}="));
        here && !name.starts_with('_') && !said(name) && !used(name)
    });
    let idle: Vec<&str> = idle.map(String::as_str).collect();
    let Some((first, others)) = idle.split_first() else { return Vec::new() };
    let what = format!("profiledef.sh sets {}, and neither archiso nor the profile looks at it.", idle.join(", "));
    let note = LintFinding::note(known.at_variable(first), what, "Nothing comes of it.");
    vec![note.seen_at(others.iter().map(|name| known.at_variable(name)))]
}

/// The variable of archiso that was probably meant.
fn near(name: &str) -> Option<&'static str> {
    let (distance, near) = VARIABLES.into_iter().map(|it| (strsim::damerau_levenshtein(name, it), it)).min()?;
    ((1..=2).contains(&distance) && near.len() > 4).then_some(near)
}

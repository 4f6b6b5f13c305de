//! Rules about the initramfs: hooks without their package, presets that cannot be made, an image that does not find its
//! medium. mkinitcpio's failures do not stop a build: pacman goes on whatever its hooks end with.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{LintFinding, Place, Severity};
use super::hook_table::{BUILT_IN, GONE, NEEDS, Needs};
use super::initramfs::{Boot, Config, Initramfs, uses_mkinitcpio, value};
use super::known::Known;
use super::packages::makes_an_image;
use super::rule::Rule;

pub(super) const RULES: &[Rule] = &[
    Rule::new("hook-without-package", "a mkinitcpio hook whose package is not listed", without_package),
    Rule::new("hook-gone", "a mkinitcpio hook that is no more", gone),
    Rule::new("hook-unknown", "a mkinitcpio hook that nobody is known to have", unknown),
    Rule::new("hook-archiso-missing", "an initramfs without the hook archiso", without_archiso),
    Rule::new("hook-autodetect", "an initramfs with the modules of the building machine only", autodetect),
    Rule::new("preset-config-missing", "a preset with a configuration that is not there", config_missing),
    Rule::new("preset-kernel-missing", "a preset for a kernel that is not listed", kernel_missing),
];

/// What a failing hook does to the build: mkinitcpio ends with 1, pacman prints "command failed to execute correctly"
/// and ends with 0, and what is missing is seen when mkarchiso copies it, or when the image is started.
const GOES_ON: &str = "mkinitcpio fails, and pacman goes on as if nothing had happened. The build ends late with \
    \"cannot stat \
                       …/initramfs-*.img\", or the image has an initramfs without it.";

fn images(known: &Known<'_>) -> Vec<Initramfs> {
    if makes_an_image(known) && uses_mkinitcpio(known) { Boot::new(known).images } else { Vec::new() }
}

/// Every hook that is used, once a place.
fn hooks(known: &Known<'_>) -> BTreeSet<(Place, String)> {
    let mut all = BTreeSet::new();
    for image in images(known) {
        if let Config::Ours { hooks, place } = image.config {
            all.extend(hooks.into_iter().map(|hook| (place.clone(), hook)));
        }
    }
    all
}

/// Whether `airootfs` brings the hook itself.
fn is_shipped(known: &Known<'_>, hook: &str) -> bool {
    ["airootfs/usr/lib/initcpio/install", "airootfs/etc/initcpio/install"]
        .iter()
        .any(|folder| known.has_file(format!("{folder}/{hook}")))
}

fn without_word(known: &Known<'_>, place: &Place, word: &str, instead: &[&str]) -> Option<super::edit::Edit> {
    known.replace(place, |old| replace_word(old, word, instead))
}

/// The line with one word of a list in brackets replaced; `None` if the word is not a word of the line.
pub(super) fn replace_word(line: &str, word: &str, instead: &[&str]) -> Option<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.+@".contains(c);
    let mut from = 0;
    while let Some(at) = line.get(from..)?.find(word).map(|at| at + from) {
        let end = at + word.len();
        let alone = !line[..at].ends_with(is_part) && !line[end..].starts_with(is_part);
        if alone {
            let (mut head, mut tail) = (line[..at].to_owned(), line[end..].to_owned());
            let quote = head.chars().next_back().filter(|c| "'\"".contains(*c) && tail.starts_with(*c));
            if instead.is_empty() {
                if quote.is_some() {
                    head.pop();
                    tail.remove(0);
                }
                // One of the blanks around it goes with it.
                if tail.starts_with(' ') {
                    tail.remove(0);
                } else if head.ends_with(' ') && !head.trim().is_empty() {
                    head.pop();
                }
            }
            let between = quote.map_or(" ".to_owned(), |quote| format!("{quote} {quote}"));
            return Some(format!("{head}{}{tail}", instead.join(&between)));
        }
        from = end;
    }
    None
}

fn without_package(known: &Known<'_>) -> Vec<LintFinding> {
    let mut lacking: BTreeMap<(Place, &str), (Severity, Vec<String>, Needs)> = BTreeMap::new();
    for (place, hook) in hooks(known) {
        for need in NEEDS.iter().filter(|need| need.name == hook) {
            if need.needs == Needs::Itself && is_shipped(known, &hook) {
                continue;
            }
            let any_of: Vec<&str> = std::iter::once(need.package).chain(need.brought_by.iter().copied()).collect();
            let Some(severity) = known.packages.lacks(&any_of) else { continue };
            lacking
                .entry((place.clone(), need.package))
                .or_insert((severity, Vec::new(), need.needs))
                .1
                .push(hook.clone());
        }
    }
    let finding = |((place, package), (severity, hooks, needs)): ((Place, &str), (Severity, Vec<String>, Needs))| {
        let sure = if severity == Severity::Error { "" } else { " No listed package is known to bring it." };
        let has = match needs {
            Needs::Itself if hooks.len() == 1 => "which brings it".to_owned(),
            Needs::Itself => "which brings them".to_owned(),
            Needs::File(file) => format!("whose {file} is copied"),
        };
        let what = format!("HOOKS has {}; the package {package}, {has}, is not listed.{sure}", hooks.join(", "));
        LintFinding::error(place, what, GOES_ON)
            .graded(severity)
            .fixed_by(format!("Add {package} to image.packages"), known.add_to("image.packages", package))
    };
    lacking.into_iter().map(finding).collect()
}

fn gone(known: &Known<'_>) -> Vec<LintFinding> {
    let gone = |hook: &str| GONE.iter().find(|(name, _)| *name == hook).filter(|_| !is_shipped(known, hook));
    hooks(known)
        .into_iter()
        .filter_map(|(place, hook)| {
            let (_, instead) = gone(&hook)?;
            let does = if instead.is_empty() {
                "nothing needs it any more".to_owned()
            } else {
                format!("{} does its work", instead.join(" and "))
            };
            let what = format!("HOOKS has {hook}, which is no more; {does}.");
            // A successor that is there already is not put in twice.
            let text = known.line(&place).unwrap_or_default();
            let missing: Vec<&str> =
                instead.iter().copied().filter(|word| replace_word(&text, word, &[]).is_none()).collect();
            let edit = without_word(known, &place, &hook, &missing);
            let says =
                if missing.is_empty() { format!("Remove {hook}") } else { format!("Write {}", missing.join(" ")) };
            Some(LintFinding::error(place, what, GOES_ON).fixed_by(says, edit))
        })
        .collect()
}

fn unknown(known: &Known<'_>) -> Vec<LintFinding> {
    let is_known = |hook: &str| {
        BUILT_IN.contains(&hook)
            || NEEDS.iter().any(|need| need.name == hook)
            || GONE.iter().any(|(name, _)| *name == hook)
            || is_shipped(known, hook)
    };
    hooks(known)
        .into_iter()
        .filter(|(_, hook)| !is_known(hook))
        .map(|(place, hook)| {
            let names = BUILT_IN.iter().copied().chain(NEEDS.iter().map(|need| need.name));
            let near = names
                .map(|name| (strsim::normalized_damerau_levenshtein(&hook, name), name))
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .filter(|(score, _)| *score >= 0.7);
            let what = format!("HOOKS has {hook}, and it is not known which package has this hook.");
            let consequence = format!("If none of the listed ones has it: {GOES_ON}");
            let finding = LintFinding::note(place.clone(), what, consequence);
            match near {
                Some((_, near)) => {
                    let edit = without_word(known, &place, &hook, &[near]);
                    finding.graded(Severity::Warning).fixed_by(format!("Write {near}"), edit)
                }
                None => finding,
            }
        })
        .collect()
}

fn without_archiso(known: &Known<'_>) -> Vec<LintFinding> {
    let consequence = "The kernel starts, and its initramfs cannot find the medium: the live system never comes up.";
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for image in images(known) {
        let (place, what, edit) = match image.config {
            Config::Ours { hooks, place } if !hooks.iter().any(|hook| hook == "archiso") => {
                let edit = known.replace(&place, |old| {
                    let after =
                        ["block", "filesystems"].into_iter().find(|word| hooks.iter().any(|hook| hook == word))?;
                    replace_word(old, after, &["archiso", after])
                });
                (place, format!("HOOKS of {} has no hook archiso.", image.name), edit)
            }
            Config::Default => {
                let what = format!("{} is made with mkinitcpio's own HOOKS, which have no archiso.", image.name);
                (image.place, what, None)
            }
            _ => continue,
        };
        if seen.insert(place.clone()) {
            let says = "Put archiso into HOOKS";
            found.push(LintFinding::error(place, what, consequence).fixed_by(says, edit));
        }
    }
    found
}

fn autodetect(known: &Known<'_>) -> Vec<LintFinding> {
    hooks(known)
        .into_iter()
        .filter(|(_, hook)| hook == "autodetect")
        .map(|(place, hook)| {
            let what =
                "HOOKS has autodetect: the initramfs gets the modules of the machine that builds it, and no others.";
            let consequence = "On other hardware, a virtual machine too, the medium is not found.";
            let edit = without_word(known, &place, &hook, &[]);
            LintFinding::warning(place, what, consequence).fixed_by("Remove autodetect", edit)
        })
        .collect()
}

fn config_missing(known: &Known<'_>) -> Vec<LintFinding> {
    let said = |image: Initramfs| {
        let Config::Missing(named) = image.config else { return None };
        let what =
            format!("The preset of {} names the configuration {named}, which airootfs does not have.", image.name);
        Some(LintFinding::error(image.place, what, GOES_ON))
    };
    images(known).into_iter().filter_map(said).collect()
}

fn kernel_missing(known: &Known<'_>) -> Vec<LintFinding> {
    if !makes_an_image(known) || !uses_mkinitcpio(known) {
        return Vec::new();
    }
    let boot = Boot::new(known);
    let mut found = Vec::new();
    for preset in &known.profile().initcpio_presets {
        for name in &preset.presets {
            let Some(kver) = value(preset, name, "kver").filter(|kver| kver.starts_with("/boot/")) else { continue };
            let kernel = kver.trim_start_matches("/boot/");
            if kernel.contains('$') || boot.has(kernel) || known.packages.listed.is_empty() {
                continue;
            }
            let line =
                ["ALL_kver".to_owned(), format!("{name}_kver")].iter().rev().find_map(|it| preset.variables.get(it));
            let place = known.at_file(&preset.file, line.map(|it| it.1));
            let package = kernel.trim_start_matches("vmlinuz-");
            let severity = known.packages.lacks(&[package]).unwrap_or(Severity::Warning);
            let what = format!("The preset {name} is made for {kver}, and no listed kernel is called {package}.");
            let edit = super::initramfs::is_kernel(package).then(|| known.add_to("image.packages", package)).flatten();
            found.push(
                LintFinding::error(place, what, GOES_ON)
                    .graded(severity)
                    .fixed_by(format!("Add {package} to image.packages"), edit),
            );
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_list_is_replaced_and_no_part_of_another_word() {
        let line = "HOOKS=(base archiso_kms 'archiso' block)";
        assert_eq!(replace_word(line, "archiso", &[]).as_deref(), Some("HOOKS=(base archiso_kms block)"));
        assert_eq!(
            replace_word(line, "block", &["archiso", "block"]).as_deref(),
            Some("HOOKS=(base archiso_kms 'archiso' archiso block)")
        );
        assert_eq!(
            replace_word(line, "archiso", &["a", "b"]).as_deref(),
            Some("HOOKS=(base archiso_kms 'a' 'b' block)")
        );
        assert_eq!(replace_word("x=(a)", "a", &[]).as_deref(), Some("x=()"));
        assert_eq!(replace_word("x=(a b)", "b", &[]).as_deref(), Some("x=(a)"));
        assert_eq!(replace_word("         'b')", "b", &[]).as_deref(), Some("         )"));
        assert_eq!(replace_word(line, "kms", &[]), None);
    }

    #[test]
    fn no_hook_is_in_two_tables() {
        for name in NEEDS.iter().map(|need| need.name) {
            assert!(!BUILT_IN.contains(&name) && !GONE.iter().any(|(gone, _)| *gone == name), "{name}");
        }
        assert!(BUILT_IN.iter().all(|name| !GONE.iter().any(|(gone, _)| gone == name)));
    }
}

//! Rules about `bootmodes`. archiso 86 made three modes of the many that there were; the old names still mean one of
//! these.

use super::edit::Edit;
use super::finding::LintFinding;
use super::initcpio::replace_word;
use super::known::{DEFINITION, Known};
use super::rule::Rule;
use crate::profile::{BootMode, BootModeKind};

pub(super) const RULES: &[Rule] = &[
    Rule::new("boot-modes-none", "an ISO without a boot mode", none),
    Rule::new("boot-mode-unknown", "a boot mode that archiso does not know", unknown),
    Rule::new("boot-mode-old", "a boot mode by its old name", old),
    Rule::new("boot-modes-both-uefi", "two boot loaders for UEFI", both_uefi),
    Rule::new("boot-mode-architecture", "BIOS boot on an architecture without BIOS", architecture),
];

const STOPS: &str = "mkarchiso stops before it begins.";

/// The name of a mode since archiso 86.
const fn word(kind: BootModeKind) -> &'static str {
    match kind {
        BootModeKind::BiosSyslinux => "bios.syslinux",
        BootModeKind::UefiGrub => "uefi.grub",
        BootModeKind::UefiSystemdBoot => "uefi.systemd-boot",
    }
}

/// The boot modes, if an ISO is made: netboot and bootstrap have none.
fn modes<'a>(known: &Known<'a>) -> &'a [BootMode] {
    let definition = &known.profile().definition;
    let iso = definition.build_modes.is_empty() || definition.build_modes.iter().any(|mode| mode == "iso");
    if iso { &definition.boot_modes } else { &[] }
}

/// The lines of `profiledef.sh` that hold the array, from its name to its bracket.
fn lines(known: &Known<'_>) -> Vec<(usize, String)> {
    let Some(first) = known.profile().definition.lines.get("bootmodes") else { return Vec::new() };
    let text = known.text_of(DEFINITION).unwrap_or_default();
    let mut lines = Vec::new();
    for (at, line) in (1..).zip(text.lines()).skip(first - 1) {
        lines.push((at, line.to_owned()));
        if line.split('#').next().is_some_and(|code| code.contains(')')) {
            break;
        }
    }
    lines
}

/// What becomes of a word.
enum Change {
    Keep,
    Remove,
    Write(&'static str),
}

/// The lines after each word has been changed.
fn changed(lines: &[(usize, String)], modes: &[BootMode], mut change: impl FnMut(&BootMode) -> Change) -> Vec<String> {
    let mut new: Vec<String> = lines.iter().map(|(_, line)| line.clone()).collect();
    for mode in modes {
        let instead: Vec<&str> = match change(mode) {
            Change::Keep => continue,
            Change::Remove => Vec::new(),
            Change::Write(name) => vec![name],
        };
        if let Some((line, replaced)) =
            new.iter_mut().find_map(|line| replace_word(line, &mode.word, &instead).map(|replaced| (line, replaced)))
        {
            *line = replaced;
        }
    }
    new
}

/// One edit a line that differs.
fn edits(known: &Known<'_>, old: &[(usize, String)], new: Vec<String>) -> Vec<(usize, Option<Edit>)> {
    let pairs = old.iter().zip(new).filter(|((_, old), new)| old != new);
    let edit = |((at, _), new): (&(usize, String), String)| {
        (*at, known.replace(&known.at_file(DEFINITION, Some(*at)), |_| Some(new)))
    };
    pairs.map(edit).collect()
}

fn none(known: &Known<'_>) -> Vec<LintFinding> {
    let definition = &known.profile().definition;
    let iso = definition.build_modes.is_empty() || definition.build_modes.iter().any(|mode| mode == "iso");
    if !iso || !definition.boot_modes.is_empty() {
        return Vec::new();
    }
    vec![LintFinding::error(
        known.at_variable("bootmodes"),
        "bootmodes names nothing that the image could boot with.",
        STOPS,
    )]
}

fn unknown(known: &Known<'_>) -> Vec<LintFinding> {
    let names = [word(BootModeKind::BiosSyslinux), word(BootModeKind::UefiGrub), word(BootModeKind::UefiSystemdBoot)];
    let lines = lines(known);
    let mut found = Vec::new();
    for mode in modes(known).iter().filter(|mode| mode.kind.is_none()) {
        let near = names
            .into_iter()
            .map(|name| (strsim::normalized_damerau_levenshtein(&mode.word, name), name))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|(score, _)| *score >= 0.6)
            .map(|(_, name)| name);
        let fork = ["refind", "limine", "bios.grub", "unified"].iter().any(|part| mode.word.contains(part));
        let whose = if fork { "; a fork of archiso may" } else { "" };
        let what = format!("archiso does not know the boot mode {}{whose}. It knows {}.", mode.word, names.join(", "));
        let line = lines.iter().find(|(_, line)| replace_word(line, &mode.word, &[]).is_some()).map(|(at, _)| *at);
        let place = line.map_or_else(|| known.at_variable("bootmodes"), |at| known.at_file(DEFINITION, Some(at)));
        let edit = known.replace(&place, |old| replace_word(old, &mode.word, &near.into_iter().collect::<Vec<_>>()));
        let says = near.map_or("Remove it".to_owned(), |near| format!("Write {near}"));
        let finding = LintFinding::error(place, what, STOPS).fixed_by(says, edit);
        // Without another one nothing would boot.
        found.push(match modes(known).iter().any(|mode| mode.kind.is_some()) {
            true => finding.by_mkarchiso_alone(known.subject.engine, "Cartridge's own engine leaves it out."),
            false => finding,
        });
    }
    found
}

fn old(known: &Known<'_>) -> Vec<LintFinding> {
    let modes = modes(known);
    let is_old = |mode: &&BootMode| mode.kind.is_some_and(|kind| word(kind) != mode.word);
    let mut there: Vec<&str> = modes.iter().filter(|mode| !is_old(mode)).map(|mode| mode.word.as_str()).collect();
    let lines = lines(known);
    let new = changed(&lines, modes, |mode| match mode.kind.filter(|_| is_old(&mode)).map(word) {
        None => Change::Keep,
        Some(name) if there.contains(&name) => Change::Remove,
        Some(name) => {
            there.push(name);
            Change::Write(name)
        }
    });
    let all: Vec<String> =
        modes.iter().filter(is_old).filter_map(|mode| Some(format!("{} is {}", mode.word, word(mode.kind?)))).collect();
    if all.is_empty() {
        return Vec::new();
    }
    let what = format!("bootmodes has names from before archiso 86: {}.", all.join(", "));
    let consequence = "mkarchiso warns and takes the new ones; a later version will not know them.";
    let mut edits = edits(known, &lines, new);
    if edits.is_empty() {
        edits.push((known.profile().definition.lines.get("bootmodes").copied().unwrap_or(0), None));
    }
    edits
        .into_iter()
        .map(|(at, edit)| {
            let place = known.at_file(DEFINITION, Some(at).filter(|at| *at > 0));
            LintFinding::warning(place, what.clone(), consequence).fixed_by("Write the new names", edit)
        })
        .collect()
}

fn both_uefi(known: &Known<'_>) -> Vec<LintFinding> {
    let modes = modes(known);
    let of = |kind| modes.iter().filter(move |mode| mode.kind == Some(kind));
    let (Some(grub), Some(systemd)) = (of(BootModeKind::UefiGrub).next(), of(BootModeKind::UefiSystemdBoot).next())
    else {
        return Vec::new();
    };
    // The one whose configuration is not there goes.
    let loser = if known.has_file("grub/grub.cfg") && !known.has_file("efiboot/loader/loader.conf") {
        BootModeKind::UefiSystemdBoot
    } else {
        BootModeKind::UefiGrub
    };
    let lines = lines(known);
    let new = changed(&lines, modes, |mode| if mode.kind == Some(loser) { Change::Remove } else { Change::Keep });
    let edits = edits(known, &lines, new);
    let edit = match edits.as_slice() {
        // Words on several lines are no single edit.
        [(_, edit)] => edit.clone(),
        _ => None,
    };
    let line = edits.first().map(|(at, _)| *at).or_else(|| known.profile().definition.lines.get("bootmodes").copied());
    let what = format!("bootmodes has two boot loaders for UEFI: {} and {}.", grub.word, systemd.word);
    let consequence = "mkarchiso prints an ERROR and goes on: each makes the EFI partition, the later one over the \
        earlier one, and \
                       the ISO gets it twice.";
    vec![
        LintFinding::error(known.at_file(DEFINITION, line), what, consequence)
            .fixed_by(format!("Remove {}", word(loser)), edit),
    ]
}

fn architecture(known: &Known<'_>) -> Vec<LintFinding> {
    let arch = &known.profile().definition.arch;
    let bios = modes(known).iter().find(|mode| mode.kind == Some(BootModeKind::BiosSyslinux));
    let Some(mode) = bios.filter(|_| arch != "x86_64" && arch != "i686") else { return Vec::new() };
    let what = format!("bootmodes has {}, and {arch} has no BIOS.", mode.word);
    vec![LintFinding::error(known.at_variable("bootmodes"), what, STOPS)]
}

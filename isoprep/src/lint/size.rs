//! Rules about sizes against the guest's memory, as far as they are known: of an earlier build, or of what the package
//! databases say.

use super::boot::{entries, filled};
use super::boot_options::parameter;
use super::finding::LintFinding;
use super::known::Known;
use super::rule::Rule;
use crate::recipe::{format_size, parse_size};

pub(super) const RULES: &[Rule] = &[
    Rule::new("copytoram-memory", "an image that is copied to memory and does not fit", copy_to_memory),
    Rule::new("overlay-memory", "room for changes that is larger than the memory", overlay),
    Rule::new("guest-memory-small", "less memory than a live system needs to start", small),
];

/// The least memory, MiB, with which archiso's initramfs and an Arch userland come up (the installation guide's
/// requirement: <https://wiki.archlinux.org/title/Installation_guide>).
const LEAST_MIB: u64 = 512;

/// How large the root image will be, bytes, and how that is known.
fn image_size(known: &Known<'_>) -> Option<(u64, &'static str)> {
    if let Some(bytes) = known.subject.image_bytes {
        return Some((bytes, "the last build's"));
    }
    // Packages are packed with zstd, an image as well or better: their sum is about right.
    let packages: u64 = known.packages.closure.as_ref()?.values().map(|package| package.packed_bytes).sum();
    (packages > 0).then_some((packages, "the packages'"))
}

/// A size of a mount option: bytes, `512M`, `4G`, or a share of the memory, `75%`. Bytes.
fn mount_size(text: &str, memory: u64) -> Option<u64> {
    if let Some(share) = text.strip_suffix('%') {
        return Some(memory / 100 * share.parse::<u64>().ok().filter(|share| *share <= 10_000)?);
    }
    text.parse().ok().or_else(|| parse_size(text))
}

fn memory(known: &Known<'_>) -> u64 {
    known.subject.guest_memory_mib.saturating_mul(1 << 20)
}

fn copy_to_memory(known: &Known<'_>) -> Vec<LintFinding> {
    let Some((size, whose)) = image_size(known) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries(known) {
        let options = filled(known, &entry.options);
        if !parameter(&options, "copytoram").is_some_and(|value| value.is_empty() || value == "y") {
            continue;
        }
        let given = parameter(&options, "copytoram_size").and_then(|text| mount_size(&text, memory(known)));
        let room = given.unwrap_or(memory(known) / 100 * 75);
        if size <= room {
            continue;
        }
        let what = format!(
            "{:?} copies the root image to memory: about {} ({whose} size), and there is room for {} in a guest with \
                {}.",
            entry.title,
            format_size(size),
            format_size(room),
            format_size(memory(known))
        );
        let consequence = "The copying ends with \"No space left on device\" and the boot in a rescue shell.";
        let needs = (size / 75).saturating_mul(100).div_ceil(1 << 30);
        let edit =
            super::edit::Edit::SetCartridgeField { key: "guest.memory".to_owned(), value: format!("{}G", needs + 1) };
        let place = known.at_file(&entry.file, Some(entry.line));
        let edit = Some(edit).filter(|_| given.is_none());
        found.push(
            LintFinding::error(place, what, consequence)
                .fixed_by(format!("Give the guest {}G of memory", needs + 1), edit)
                .seen_at([known.at_field("guest.memory")]),
        );
    }
    found
}

fn overlay(known: &Known<'_>) -> Vec<LintFinding> {
    let mut larger = Vec::new();
    for entry in entries(known) {
        let options = filled(known, &entry.options);
        let Some(text) = parameter(&options, "cow_spacesize") else { continue };
        let on_disk = parameter(&options, "cow_label").is_some() || parameter(&options, "cow_device").is_some();
        let size = mount_size(&text, memory(known)).filter(|size| *size > memory(known) && !on_disk);
        larger.extend(size.map(|size| (size, known.at_file(&entry.file, Some(entry.line)))));
    }
    // Entries are usually all alike: once is enough.
    let Some((size, place)) = larger.first().cloned() else { return Vec::new() };
    let what = format!(
        "Changes of the live system are given {} of memory (cow_spacesize), and the guest has {}.",
        format_size(size),
        format_size(memory(known))
    );
    let consequence = "It starts; once more is written than there is memory for, the kernel ends processes.";
    let others = larger.into_iter().skip(1).map(|(_, place)| place);
    vec![LintFinding::note(place, what, consequence).seen_at(others).seen_at([known.at_field("guest.memory")])]
}

fn small(known: &Known<'_>) -> Vec<LintFinding> {
    if known.subject.guest_memory_mib >= LEAST_MIB || entries(known).next().is_none() {
        return Vec::new();
    }
    let what = format!(
        "The guest has {} MiB of memory; an Arch live system needs {LEAST_MIB} to start.",
        known.subject.guest_memory_mib
    );
    let edit = super::edit::Edit::SetCartridgeField { key: "guest.memory".to_owned(), value: "2G".to_owned() };
    vec![
        LintFinding::warning(
            known.at_field("guest.memory"),
            what,
            "The kernel ends processes for want of memory while it boots, or panics.",
        )
        .fixed_by("Give the guest 2G of memory", Some(edit)),
    ]
}

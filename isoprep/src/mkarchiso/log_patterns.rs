//! Which lines of mkarchiso and of the programs that it runs, pacman apart, tell of a failure or of progress.

use crate::pacman_log::{FaultKind, Recognised, Weight, quoted};

use super::log::MkarchisoStage;

/// Programs whose complaints end mkarchiso, since it runs under `set -e`.
const PLAIN_TOOLS: [&str; 18] = [
    "install",
    "cp",
    "mv",
    "ln",
    "rm",
    "mkdir",
    "touch",
    "chmod",
    "chown",
    "realpath",
    "sed",
    "cat",
    "find",
    "du",
    "awk",
    "gzip",
    "sha512sum",
    "truncate",
];

/// Splits `[mkarchiso] INFO: text` into its level and its text.
pub(super) fn message(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.strip_prefix('[')?.split_once("] ")?;
    let (level, text) = rest.split_once(": ")?;
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    (is_name && matches!(level, "INFO" | "WARNING" | "ERROR")).then_some((level, text))
}

/// The stage that an INFO message begins.
pub(super) fn stage(text: &str) -> Option<MkarchisoStage> {
    const BEGINNINGS: [(&str, MkarchisoStage); 14] = [
        ("Validating options...", MkarchisoStage::Checking),
        ("Copying custom pacman.conf", MkarchisoStage::Files),
        ("Copying custom airootfs files", MkarchisoStage::Files),
        ("Installing packages to ", MkarchisoStage::Packages),
        ("Creating version files", MkarchisoStage::Customizing),
        ("Running customize_airootfs.sh", MkarchisoStage::Customizing),
        ("Preparing kernel and initramfs", MkarchisoStage::BootLoaders),
        ("Setting up ", MkarchisoStage::BootLoaders),
        ("Cleaning up in pacstrap location", MkarchisoStage::RootImage),
        ("Creating SquashFS image", MkarchisoStage::RootImage),
        ("Creating EROFS image", MkarchisoStage::RootImage),
        ("Creating ext4 image", MkarchisoStage::RootImage),
        ("Creating checksum file", MkarchisoStage::RootImage),
        ("Creating ISO image", MkarchisoStage::Iso),
    ];
    BEGINNINGS.iter().find(|(beginning, _)| text.starts_with(beginning)).map(|(_, stage)| *stage)
}

/// How far a packing tool is, percent: mksquashfs' bar, xorriso's pacifier.
pub(super) fn percent(line: &str) -> Option<u8> {
    let number = if let Some(rest) = line.strip_prefix("xorriso : UPDATE :") {
        rest.trim().strip_suffix("% done")?.trim()
    } else {
        let row = line.trim_end().strip_suffix('%')?;
        row.trim_start().strip_prefix('[')?;
        row.rsplit_once(']')?.1.split_whitespace().nth(1)?
    };
    let whole = number.split('.').next().unwrap_or(number);
    whole.parse::<u8>().ok().filter(|it| *it <= 100)
}

/// What a line says about a failure, if it is not one of pacman's.
pub(super) fn recognise(line: &str, stage: Option<MkarchisoStage>) -> Option<Recognised> {
    use FaultKind as K;
    use Weight::{Cause, Doubt, Summary};
    let is = |kind, weight, subject: Option<&str>| Some(Recognised::new(kind, weight, subject));
    if let Some(("ERROR", text)) = message(line) {
        return match () {
            () if text.contains("errors were encountered while validating") => is(K::Mkarchiso, Summary, None),
            // It says so, and goes on: the second boot mode wins.
            () if text.contains("cannot be used with the") => is(K::Mkarchiso, Doubt, None),
            () if text.contains("must be run as root") => is(K::Privilege, Cause, None),
            () if text.contains("not available on this host") => is(K::MissingTool, Cause, tool(text)),
            () => is(K::Mkarchiso, Cause, None),
        };
    }
    if line.contains("No space left on device") || line.contains("Disk quota exceeded") {
        return is(K::DiskFull, Cause, None);
    }
    // xorriso asks before it writes.
    if line.contains("exceeds free space on media") {
        return is(K::DiskFull, Cause, Some("the file system of the output directory"));
    }
    if let Some(rest) = line.strip_prefix("env: ") {
        let program = rest.strip_suffix(": No such file or directory").map(|it| it.trim_matches(['\'', '‘', '’']));
        return program.and_then(|it| is(K::MissingTool, Cause, Some(it)));
    }
    if line.starts_with("mkarchiso-helper: ") {
        return is(K::Helper, Cause, None);
    }
    // util-linux' words for a child that was killed.
    if line.starts_with("unshare: sigprocmask unblock failed") {
        return is(K::Interrupted, Doubt, None);
    }
    if let Some(found) = burner(line).or_else(|| packer(line)).or_else(|| fat(line)) {
        return Some(found);
    }
    if line.starts_with("grub-mkstandalone: error: ") || line.starts_with("grub-install: error: ") {
        return is(K::BootLoader, Cause, None);
    }
    // mcopy names the file alone.
    if stage == Some(MkarchisoStage::BootLoaders) && line.starts_with('/') {
        let file = line.strip_suffix(": No such file or directory").filter(|it| !it.contains(": "));
        return file.and_then(|it| is(K::MissingFile, Cause, Some(it)));
    }
    shell(line, stage).or_else(|| plain_tool(line, stage))
}

/// `mksquashfs is not available on this host. Install 'squashfs-tools'!`
fn tool(text: &str) -> Option<&str> {
    let (before, _) = text.split_once(" is not available")?;
    Some(before.rsplit_once(": ").map_or(before, |(_, name)| name).trim_matches('\''))
}

/// xorriso and its libraries: `NAME : SEVERITY : TEXT` (xorriso(1), "-abort_on").
fn burner(line: &str) -> Option<Recognised> {
    let (name, rest) = line.split_once(": ")?;
    if !matches!(name.trim(), "xorriso" | "libisofs" | "libburn" | "libisoburn") {
        return None;
    }
    let severity = rest.split(':').next()?.trim();
    matches!(severity, "SORRY" | "MISHAP" | "FAILURE" | "FATAL" | "ABORT")
        .then(|| Recognised::new(FaultKind::IsoImage, Weight::Cause, None))
}

/// mksquashfs, mkfs.erofs, mkfs.ext4.
fn packer(line: &str) -> Option<Recognised> {
    let fatal = line.starts_with("FATAL ERROR:") || line.starts_with("FATAL ERROR ");
    let erofs = line.starts_with("<E> erofs") || line.starts_with("mkfs.erofs: ");
    let refused = line.starts_with("mksquashfs: ") || line.starts_with("mkfs.ext4: ");
    (fatal || erofs || refused).then(|| Recognised::new(FaultKind::RootImage, Weight::Cause, None))
}

/// mkfs.fat and mtools.
fn fat(line: &str) -> Option<Recognised> {
    let full = line.trim() == "Disk full" || line.starts_with("plain floppy:") && line.contains("write");
    let tools = ["mkfs.fat: ", "mcopy: ", "mmd: ", "Cannot initialize '", "init ::"];
    (full || tools.iter().any(|it| line.starts_with(it)))
        .then(|| Recognised::new(FaultKind::EfiImage, Weight::Cause, None))
}

/// bash: `FILE: line N: TEXT`.
fn shell(line: &str, stage: Option<MkarchisoStage>) -> Option<Recognised> {
    use FaultKind as K;
    let (file, rest) = line.split_once(": line ")?;
    let (number, text) = rest.split_once(": ")?;
    number.parse::<usize>().ok()?;
    let name = file.rsplit('/').next().unwrap_or(file);
    let own = matches!(name, "mkarchiso" | "pacstrap" | "arch-chroot" | "profiledef.sh");
    // Other scripts are the profile's or a package's: whether they matter shows later.
    let weight = if own && !inside(stage) || name == "profiledef.sh" { Weight::Cause } else { Weight::Doubt };
    let place = format!("{name}, line {number}");
    if let Some(program) = text.strip_suffix(": command not found") {
        return if own && name != "profiledef.sh" {
            Some(Recognised::new(K::MissingTool, weight, Some(program)))
        } else {
            Some(Recognised::new(K::Script, weight, Some(&place)))
        };
    }
    // `mkarchiso: line 512: 4711 Killed   mksquashfs …`
    let mut words = text.split_whitespace();
    if words.next().is_some_and(|pid| pid.parse::<u32>().is_ok())
        && words
            .next()
            .is_some_and(|how| matches!(how, "Killed" | "Terminated" | "Hangup" | "Aborted" | "Segmentation"))
    {
        return Some(Recognised::new(K::Interrupted, Weight::Cause, None));
    }
    let mistakes = ["syntax error", "unbound variable", "unexpected EOF", "unexpected end of file", "bad substitution"];
    if mistakes.iter().any(|it| text.contains(it)) {
        return Some(Recognised::new(K::Script, weight, Some(&place)));
    }
    let refused = text.ends_with("No such file or directory") || text.ends_with("Permission denied");
    (refused && own).then(|| Recognised::new(K::MissingFile, weight, text.split(": ").next()))
}

/// `install: cannot stat '…': No such file or directory` and its like.
fn plain_tool(line: &str, stage: Option<MkarchisoStage>) -> Option<Recognised> {
    use FaultKind as K;
    let (tool, text) = line.split_once(": ")?;
    if !PLAIN_TOOLS.contains(&tool) {
        return None;
    }
    let weight = if inside(stage) { Weight::Doubt } else { Weight::Cause };
    if text.ends_with("No such file or directory") {
        let unquoted = || text.split(": ").next().map(|it| it.rsplit(' ').next().unwrap_or(it));
        return Some(Recognised::new(K::MissingFile, weight, quoted(text).or_else(unquoted)));
    }
    let refused =
        ["Permission denied", "Operation not permitted", "Read-only file system", "File exists", "Input/output error"];
    refused.iter().any(|it| text.ends_with(it)).then(|| Recognised::new(K::Other, weight, None))
}

/// Whether programs of packages and of the profile run now, whose complaints need not matter.
fn inside(stage: Option<MkarchisoStage>) -> bool {
    matches!(stage, Some(MkarchisoStage::Packages | MkarchisoStage::Customizing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_a_level() {
        assert_eq!(message("[mkarchiso] INFO: Done!"), Some(("INFO", "Done!")));
        assert_eq!(message("[mk archiso] INFO: Done!"), None);
        assert_eq!(message("[==] 5/6 7%"), None);
    }

    #[test]
    fn bars_and_pacifiers_have_a_percentage() {
        assert_eq!(percent("[=====|     ] 347/694  50%"), Some(50));
        assert_eq!(percent("xorriso : UPDATE :  12.34% done, estimate finish Tue"), None);
        assert_eq!(percent("xorriso : UPDATE :  12.34% done"), Some(12));
        assert_eq!(percent("\t67.15% of uncompressed filesystem size"), None);
        assert_eq!(percent("[x] 1/1 1000%"), None);
    }

    #[test]
    fn a_complaint_of_a_package_s_program_is_a_doubt() {
        let line = "cp: cannot stat '/x': No such file or directory";
        let weight = |stage| recognise(line, stage).map(|it| it.weight);
        assert_eq!(weight(Some(MkarchisoStage::Packages)), Some(Weight::Doubt));
        assert_eq!(weight(Some(MkarchisoStage::BootLoaders)), Some(Weight::Cause));
    }

    #[test]
    fn the_system_s_words_are_known_wherever_they_stand() {
        let kind = |line| recognise(line, None).map(|it| (it.kind, it.subject));
        let tool = "[mkarchiso] ERROR: Validating 'squashfs': mksquashfs is not available on this host. Install 'x'!";
        assert_eq!(kind(tool), Some((FaultKind::MissingTool, Some("mksquashfs".to_owned()))));
        assert_eq!(kind("/p/profiledef.sh: line 4: x: unbound variable").map(|it| it.0), Some(FaultKind::Script));
        let killed = "/usr/bin/mkarchiso: line 180: 4711 Killed                  mksquashfs \"$@\"";
        assert_eq!(kind(killed).map(|it| it.0), Some(FaultKind::Interrupted));
        assert_eq!(kind("xorriso : NOTE : x"), None);
        assert_eq!(kind("libburn : SORRY : Failed to open device").map(|it| it.0), Some(FaultKind::IsoImage));
    }
}

//! What a slot depends on, and in what two such lists differ, in words. Pure, but for asking QEMU its version.
//!
//! QEMU takes the memory of a guest only into a machine that is built alike, so the machine is compared by the very words
//! that build it: the arguments, without names and paths.

use std::path::{Path, PathBuf};

use cartridge_supervise::{Cancel, CommandLine, RunError, run};
use serde::{Deserialize, Serialize};

use super::words;
use crate::guest::GuestPlan;
use crate::machine::{Accelerator, Boot, RuntimePaths, qemu_arguments};

/// What a slot depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotInputs {
    /// The cartridge's name.
    pub cartridge: String,
    /// The hash of the repository's tree in the image, if it is known.
    #[serde(default)]
    pub tree: Option<String>,
    /// QEMU's version: "7.2.22".
    pub qemu: String,
    /// "kvm" or "tcg".
    pub accelerator: String,
    /// The processor that the guest sees: this host's model under KVM, "max" under TCG.
    pub processor: String,
    /// The words that build the machine, option and value, without names and paths.
    pub machine: Vec<String>,
    /// Files that the guest reads and does not write.
    #[serde(default)]
    pub files: Vec<InputFile>,
}

/// A file that a guest reads: what it boots from, and layers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// What it is to the guest: "image", "kernel", "initramfs 1", "layer 1".
    pub what: String,
    /// Where it was.
    pub path: PathBuf,
    /// Its length, bytes.
    pub bytes: u64,
    /// When it was last changed, nanoseconds since 1970.
    pub changed_ns: i64,
    /// The name of the slot's own copy of it; `None` in a list that is no slot's.
    #[serde(default)]
    pub kept: Option<String>,
}

/// In what a slot and the present differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mismatch {
    /// What differs: "QEMU", "memory", "image".
    pub what: String,
    /// A sentence: "QEMU was 7.2.22, and is 8.0.1 now".
    pub says: String,
    /// The guest cannot be restored as things are. Otherwise it can, and it is worth knowing.
    pub fatal: bool,
}

impl SlotInputs {
    /// What a guest of `plan` depends on; `qemu` is QEMU's version. Looks at the files' sizes and times.
    #[must_use]
    pub fn of(plan: &GuestPlan, qemu: &str, cartridge: &str, tree: Option<&str>) -> Self {
        Self {
            cartridge: cartridge.to_owned(),
            tree: tree.map(ToOwned::to_owned),
            qemu: qemu.to_owned(),
            accelerator: plan.machine.accelerator.to_string(),
            processor: processor(plan.machine.accelerator),
            machine: machine_words(plan),
            files: look_at_files(plan).into_iter().map(|(file, _)| file).collect(),
        }
    }

    /// In what the present, `now`, differs from this.
    #[must_use]
    pub fn mismatches(&self, now: &Self) -> Vec<Mismatch> {
        let mut found = Vec::new();
        let mut tell = |what: &str, fatal: bool, says: String| {
            found.push(Mismatch { what: what.to_owned(), says, fatal });
        };
        if self.qemu != now.qemu {
            // Within a series the machine types are the same (docs/about/deprecated.rst, docs/devel/migration.rst).
            let fatal = series(&self.qemu) != series(&now.qemu);
            tell("QEMU", fatal, format!("QEMU was {}, and is {} now", self.qemu, now.qemu));
        }
        for (what, then, now) in
            [("accelerator", &self.accelerator, &now.accelerator), ("processor", &self.processor, &now.processor)]
        {
            if then != now {
                tell(what, true, format!("the {what} was {then}, and is {now} now"));
            }
        }
        for (then, now) in changed_words(&self.machine, &now.machine) {
            let what = words::what(then.or(now).unwrap_or_default());
            let says = words::changed(then, now);
            tell(&what, true, says);
        }
        if self.cartridge != now.cartridge {
            let (then, now) = (&self.cartridge, &now.cartridge);
            tell("cartridge", false, format!("the guest is of the cartridge {then:?}, and this one is {now:?}"));
        }
        if let (Some(then), Some(now)) = (&self.tree, &now.tree)
            && then != now
        {
            let says = "the repository has changed since: the guest has the files that it had then, until a new layer is \
                        plugged in";
            tell("repository", false, says.to_owned());
        }
        for then in &self.files {
            match now.files.iter().find(|now| now.what == then.what) {
                None => tell(&then.what, false, format!("the guest has the {} {}", then.what, then.path.display())),
                Some(now) if then.path != now.path => {
                    let (then_path, now_path) = (then.path.display(), now.path.display());
                    tell(&then.what, false, format!("the {} was {then_path}, and is {now_path} now", then.what));
                }
                Some(now) if (then.bytes, then.changed_ns) != (now.bytes, now.changed_ns) => {
                    let (what, path) = (&then.what, then.path.display());
                    tell(what, false, format!("the {what} {path} has been made anew since: the guest has the old one"));
                }
                Some(_) => {}
            }
        }
        found
    }
}

/// How many pieces of output are looked at: a version is in the first.
const LONGEST_ANSWER: usize = 16;

/// The files that a guest of `plan` reads and does not write, with what they are to it.
fn files(plan: &GuestPlan) -> Vec<(String, PathBuf)> {
    let mut files = Vec::new();
    match &plan.boot {
        Boot::Iso(image) => files.push(("image".to_owned(), image.clone())),
        Boot::Direct { kernel, initrds, .. } => {
            files.push(("kernel".to_owned(), kernel.clone()));
            files.extend((1..).zip(initrds).map(|(number, path)| (format!("initramfs {number}"), path.clone())));
        }
        Boot::Nothing => {}
    }
    files.extend((1..).zip(&plan.machine.layers).map(|(number, path)| (format!("layer {number}"), path.clone())));
    files
}

/// The same, as they are now, and where they are.
pub(crate) fn look_at_files(plan: &GuestPlan) -> Vec<(InputFile, PathBuf)> {
    files(plan).into_iter().map(|(what, path)| (look(what, &path), path)).collect()
}

/// A file's size and time; what cannot be looked at has neither.
pub(super) fn look(what: String, path: &Path) -> InputFile {
    use std::os::unix::fs::MetadataExt;
    let (bytes, changed_ns) = match path.metadata() {
        Ok(meta) => (meta.len(), meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec())),
        Err(_) => (0, 0),
    };
    InputFile { what, path: path.to_owned(), bytes, changed_ns, kept: None }
}

/// The version that `qemu` tells of itself. Blocks for some milliseconds.
///
/// # Errors
/// [`RunError`] when it cannot be run.
pub fn qemu_version(qemu: &Path) -> Result<String, RunError> {
    let (said, words) = std::sync::mpsc::channel();
    run(&CommandLine::new(qemu).arg("--version"), &Cancel::new(), move |_, bytes| drop(said.send(bytes.to_vec())))?;
    let words: Vec<u8> = words.try_iter().take(LONGEST_ANSWER).flatten().collect();
    Ok(version_in(&String::from_utf8_lossy(&words)))
}

/// The version in "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)".
fn version_in(text: &str) -> String {
    let mut words = text.split_whitespace().skip_while(|word| *word != "version");
    words.nth(1).unwrap_or("unknown").trim_end_matches(',').to_owned()
}

/// "7.2" of "7.2.22".
fn series(version: &str) -> &str {
    match version.match_indices('.').nth(1) {
        Some((at, _)) => &version[..at],
        None => version,
    }
}

/// The model that a guest sees: passed through by KVM, QEMU's own under TCG.
fn processor(accelerator: Accelerator) -> String {
    match accelerator {
        Accelerator::Tcg => "max".to_owned(),
        Accelerator::Kvm => model_in(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
    }
}

/// The first "model name" in `/proc/cpuinfo` (proc(5)).
fn model_in(cpuinfo: &str) -> String {
    let line = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    line.map_or("unknown", |(_, name)| name.trim()).to_owned()
}

/// Options that build nothing that is kept: names, where the outside is, what is given to the guest only once.
const NOT_THE_MACHINE: [&str; 10] =
    ["-name", "-sandbox", "-chardev", "-qmp", "-pidfile", "-vnc", "-kernel", "-initrd", "-append", "-action"];

/// The arguments of `plan` that build the machine, an option and its value each, without names and paths.
fn machine_words(plan: &GuestPlan) -> Vec<String> {
    let runtime = RuntimePaths::new(Path::new("/run"));
    let words = qemu_arguments(&plan.machine, &plan.boot, &runtime, plan.firmware.as_ref());
    let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let mut found = Vec::new();
    let mut rest = words.as_slice();
    while let [option, more @ ..] = rest {
        rest = more;
        let value = match more {
            [value, after @ ..] if !value.starts_with('-') => {
                rest = after;
                value.as_str()
            }
            _ => "",
        };
        if !NOT_THE_MACHINE.contains(&option.as_str()) {
            found.push(format!("{option} {}", without_paths(value)).trim_end().to_owned());
        }
    }
    // How it gets there is chosen when the guest starts.
    found.extend(plan.sharing.folders.iter().map(|folder| format!("-share {}", folder.tag)));
    found
}

/// An option's value without what may differ from one day to the next.
fn without_paths(value: &str) -> String {
    const OUTSIDE: [&str; 7] = ["file=", "filename=", "path=", "hostfwd=", "string=", "guestfwd=", "guid="];
    // A doubled comma is one inside a value.
    let whole = value.replace(",,", "\u{0}");
    let parts: Vec<&str> = whole.split(',').filter(|part| !OUTSIDE.iter().any(|it| part.starts_with(it))).collect();
    parts.join(",").replace('\u{0}', ",,")
}

/// The words that are in one list only, side by side where they have the same option.
fn changed_words<'a>(then: &'a [String], now: &'a [String]) -> Vec<(Option<&'a str>, Option<&'a str>)> {
    let mut gone: Vec<&str> = Vec::new();
    let mut new: Vec<&str> = now.iter().map(String::as_str).collect();
    for word in then {
        match new.iter().position(|it| it == word) {
            Some(at) => drop(new.remove(at)),
            None => gone.push(word),
        }
    }
    let option = |word: &str| word.split(' ').next().unwrap_or_default().to_owned();
    let mut pairs = Vec::new();
    for word in gone {
        let at = new.iter().position(|it| option(it) == option(word));
        pairs.push((Some(word), at.map(|at| new.remove(at))));
    }
    pairs.extend(new.into_iter().map(|word| (None, Some(word))));
    pairs
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::machine::test_machine as machine;

    pub(crate) fn inputs() -> SlotInputs {
        SlotInputs::of(&plan(), "7.2.22", "demo", Some("aa"))
    }

    fn plan() -> GuestPlan {
        GuestPlan {
            machine: machine(),
            boot: Boot::Direct { kernel: "/k".into(), initrds: vec!["/i".into()], cmdline: "a b".into() },
            runtime: "/run/x".into(),
            qemu: "qemu".into(),
            firmware: None,
            sharing: crate::share::Sharing::default(),
        }
    }

    fn says(then: &SlotInputs, now: &SlotInputs) -> Vec<(String, bool)> {
        then.mismatches(now).into_iter().map(|it| (it.says, it.fatal)).collect()
    }

    #[test]
    fn the_same_is_the_same_and_names_do_not_matter() {
        let mut other = plan();
        other.machine.name = "another".into();
        other.runtime = "/run/y".into();
        other.boot = Boot::Direct { kernel: "/k".into(), initrds: vec!["/i".into()], cmdline: "c".into() };
        assert_eq!(inputs().mismatches(&SlotInputs::of(&other, "7.2.22", "demo", Some("aa"))), []);
    }

    #[test]
    fn what_differs_is_said_in_words() {
        let mut other = plan();
        other.machine.memory_mib = 512;
        other.machine.cpus = 9;
        other.machine.disks = vec![crate::machine::Disk::at("disk", "/d".into())];
        let found = says(&inputs(), &SlotInputs::of(&other, "7.2.22", "demo", Some("aa")));
        let all = found.iter().map(|(says, _)| says.as_str()).collect::<Vec<_>>().join("\n");
        assert!(found.iter().all(|(_, fatal)| *fatal), "{all}");
        assert!(all.contains("the memory was 4 GiB, and is 512 MiB now (guest.memory)"), "{all}");
        assert!(all.contains("the number of processors was"), "{all}");
        assert!(
            all.contains("the guest did not have the disk, and would have it now (guest.disk, guest.disks)"),
            "{all}"
        );
        assert!(!all.contains("/d"), "{all}");
    }

    #[test]
    fn another_series_of_qemu_is_fatal_and_a_newer_image_is_not() {
        let now = |qemu: &str| SlotInputs { qemu: qemu.into(), ..inputs() };
        assert_eq!(says(&inputs(), &now("7.2.23")), [("QEMU was 7.2.22, and is 7.2.23 now".to_owned(), false)]);
        assert!(says(&inputs(), &now("8.0.0"))[0].1 && says(&inputs(), &now("7.10.22"))[0].1);
        let mut other = inputs();
        other.files[0].bytes = 5;
        other.files[1].path = "/j".into();
        other.tree = Some("bb".into());
        let found = says(&inputs(), &other);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.iter().all(|(_, fatal)| !fatal), "{found:?}");
        assert!(found[1].0.contains("the kernel /k has been made anew"), "{found:?}");
        let other = SlotInputs { accelerator: "kvm".into(), processor: "Xeon".into(), ..inputs() };
        assert!(says(&inputs(), &other).iter().all(|(_, fatal)| *fatal));
    }

    #[test]
    fn reads_versions_models_and_values() {
        assert_eq!(version_in("QEMU emulator version 7.2.22 (Debian 1:7.2)\nCopyright"), "7.2.22");
        assert_eq!(version_in("QEMU emulator version 10.1.0\n"), "10.1.0");
        assert_eq!(version_in("hello"), "unknown");
        assert_eq!(series("10.1.0"), "10.1");
        assert_eq!(series("x"), "x");
        assert_eq!(model_in("processor\t: 0\nmodel name\t: A  B: C\n"), "A  B: C");
        assert_eq!(without_paths("if=none,file=/a,,b,c,id=x"), "if=none,c,id=x");
    }
}

//! Which lines of pacman, pacstrap, mkinitcpio and the programs that they run tell of a failure. All of them speak
//! English here: they are run with `LC_ALL=C.UTF-8`.

use super::finding::{FaultKind, Weight};

/// A line that was recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recognised {
    pub kind: FaultKind,
    pub weight: Weight,
    pub subject: Option<String>,
}

impl Recognised {
    pub(crate) fn new(kind: FaultKind, weight: Weight, subject: Option<&str>) -> Self {
        Self { kind, weight, subject: subject.map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned) }
    }
}

/// What a line of pacman's or mkinitcpio's says about a failure, if anything.
pub(crate) fn recognise(line: &str) -> Option<Recognised> {
    let line = after_prompt(line).trim();
    if let Some(rest) = line.strip_prefix("error: ") {
        return Some(pacman(rest));
    }
    if let Some(rest) = line.strip_prefix("==> ERROR: ") {
        return Some(arch(rest));
    }
    if let Some(what) =
        line.strip_prefix("warning: warning given when extracting ").filter(|it| it.contains("Can't set user"))
    {
        let file = what.split_once(" (").map_or(what, |(file, _)| file);
        return Some(Recognised::new(FaultKind::Owners, Weight::Doubt, Some(file)));
    }
    if line == "Interrupt signal received" || line == "Hangup signal received" {
        return Some(Recognised::new(FaultKind::Interrupted, Weight::Cause, None));
    }
    if let Some(subject) = line.strip_suffix(" exists in filesystem").or_else(|| both(line)) {
        let file = subject.split_once(": ").map_or(subject, |(_, file)| file);
        return Some(Recognised::new(FaultKind::FileConflict, Weight::Cause, Some(file)));
    }
    if let Some(file) = line.strip_prefix(":: File ").and_then(|rest| rest.split_once(" is corrupted (")) {
        let kind = if file.1.contains("PGP signature") { FaultKind::Signature } else { FaultKind::CorruptPackage };
        return Some(Recognised::new(kind, Weight::Cause, Some(base_name(file.0))));
    }
    if let Some(pair) = line.strip_prefix(":: ").and_then(|rest| rest.strip_suffix(" are in conflict")) {
        return Some(Recognised::new(FaultKind::PackageConflict, Weight::Cause, Some(pair)));
    }
    if line.starts_with(":: unable to satisfy dependency ") {
        return Some(Recognised::new(FaultKind::Dependency, Weight::Cause, quoted(line)));
    }
    system(line)
}

/// The text after pacman's questions, which end without a line's end: with `--noconfirm` the answer is not typed.
pub(crate) fn after_prompt(line: &str) -> &str {
    let after = |mark: &str| line.rfind(mark).map(|at| at + mark.len());
    let at = after("[Y/n] ").max(after("[y/N] ")).unwrap_or(0);
    line.get(at..).unwrap_or(line)
}

/// The text in the first pair of single or double quotes.
pub(crate) fn quoted(line: &str) -> Option<&str> {
    let open = line.find(['\'', '"'])?;
    let mark = line.get(open..=open)?;
    let rest = line.get(open + 1..)?;
    rest.get(..rest.find(mark)?)
}

/// The last component of a path.
pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// `pacman` and libalpm, after `error: `.
fn pacman(rest: &str) -> Recognised {
    use FaultKind as K;
    use Weight::{Cause, Doubt, Summary};
    let is = |kind, weight, subject: Option<&str>| Recognised::new(kind, weight, subject);
    if let Some(name) = rest.strip_prefix("target not found: ") {
        return is(K::PackageNotFound, Cause, Some(name));
    }
    if let Some(list) = rest.strip_prefix("failed retrieving file ") {
        return fetch(list);
    }
    if rest.starts_with("command terminated by signal") {
        return is(K::Interrupted, Cause, None);
    }
    if rest.starts_with("command failed to execute correctly") {
        return is(K::Other, Doubt, None);
    }
    if rest.contains("unable to lock database") || rest.starts_with("could not lock database") {
        return is(K::Locked, Cause, None);
    }
    if rest.contains("switching to sandbox user") || rest.starts_with("restricting filesystem access failed") {
        return is(K::Sandbox, Doubt, None);
    }
    if rest.starts_with("you cannot perform this operation unless you are root") {
        return is(K::Privilege, Cause, None);
    }
    if rest.starts_with("config file ") || rest.contains("no servers configured for repository") {
        return is(K::PacmanConfig, Cause, Some(rest.strip_prefix("config file ").unwrap_or(rest)));
    }
    if rest.starts_with("Partition ") && rest.contains(" too full: ") {
        let partition = rest.strip_prefix("Partition ").and_then(|it| it.split(" too full").next());
        return is(K::DiskFull, Cause, partition);
    }
    if let Some(extract) = rest.strip_prefix("could not extract ") {
        let file = extract.rsplit_once(" (").map_or(extract, |(file, _)| file);
        let kind = if extract.contains("No space left on device") { K::DiskFull } else { K::Extract };
        return is(kind, Cause, (kind == K::Extract).then_some(file));
    }
    if let Some(about) = signature(rest) {
        return is(K::Signature, Cause, about);
    }
    if rest.contains("Unrecognized archive format") || rest.contains("invalid or corrupted database") {
        let file = rest.strip_prefix("could not open file ").and_then(|it| it.split(": ").next()).map(base_name);
        let weight = if file.is_some() || !rest.contains("PGP") { Cause } else { Summary };
        let kind = if rest.contains("PGP") { K::Signature } else { K::BadDatabase };
        return is(kind, weight, file);
    }
    transaction(rest).or_else(|| system(rest)).unwrap_or_else(|| is(K::Other, Doubt, None))
}

/// A file that one server did not give. Whether another had it is not known yet.
fn fetch(list: &str) -> Recognised {
    let file = quoted(list).unwrap_or(list);
    // curl's words for ENOSPC.
    if list.contains("Failure writing output to destination") {
        return Recognised::new(FaultKind::DiskFull, Weight::Doubt, None);
    }
    // A server that answers and has no signature: nobody signed the package.
    let absent =
        ["Couldn't open file", "returned error: 404", "returned error: 403"].iter().any(|it| list.contains(it));
    match file.strip_suffix(".sig") {
        Some(signed) if absent => Recognised::new(FaultKind::Signature, Weight::Doubt, Some(signed)),
        _ => Recognised::new(FaultKind::Download, Weight::Doubt, Some(file)),
    }
}

/// What a message about keys and signatures is about; `None` if it is another message.
fn signature(rest: &str) -> Option<Option<&str>> {
    let about = rest.split_once(": ").map(|(name, _)| name).filter(|name| !name.contains(' '));
    let says = |text: &str| rest.contains(text);
    if says(": signature from ") || says("missing required signature") || says("is unknown") && says(": key \"") {
        return Some(about);
    }
    if says("keyring is not writable") || says("required key missing from keyring") || says("GPGME error") {
        return Some(None);
    }
    if rest.starts_with("key ") && (says("could not be looked up") || says("could not be imported")) {
        return Some(None);
    }
    None
}

/// The sums at the end of a transaction, which may name the reason in parentheses.
fn transaction(rest: &str) -> Option<Recognised> {
    use FaultKind as K;
    use Weight::{Cause, Summary};
    let begins = ["failed to commit transaction", "failed to prepare transaction", "failed to init transaction"];
    let sums = ["failed to synchronize", "failed to initialize alpm", "could not commit transaction"];
    if rest.starts_with("unresolvable package conflicts detected") {
        return Some(Recognised::new(K::PackageConflict, Cause, None));
    }
    if !begins.iter().chain(&sums).any(|it| rest.starts_with(it)) {
        return rest.starts_with("problem occurred while ").then(|| Recognised::new(K::Transaction, Summary, None));
    }
    let reason = rest.split_once(" (").map_or("", |(_, reason)| reason);
    let (kind, weight) = match () {
        () if reason.starts_with("conflicting files") => (K::FileConflict, Cause),
        () if reason.starts_with("conflicting dependencies") => (K::PackageConflict, Cause),
        () if reason.starts_with("could not satisfy dependencies") => (K::Dependency, Cause),
        () if reason.starts_with("not enough free disk space") => (K::DiskFull, Cause),
        () if reason.contains("PGP signature") => (K::Signature, Summary),
        () if reason.starts_with("invalid or corrupted package") => (K::CorruptPackage, Cause),
        () => (K::Transaction, Summary),
    };
    Some(Recognised::new(kind, weight, None))
}

/// mkinitcpio, pacstrap, arch-chroot and makepkg, after `==> ERROR: `.
fn arch(rest: &str) -> Recognised {
    use FaultKind as K;
    use Weight::{Cause, Doubt, Summary};
    let is = |kind, weight, subject: Option<&str>| Recognised::new(kind, weight, subject);
    if rest.starts_with("Hook '") && rest.contains("cannot be found") {
        return is(K::InitcpioHook, Cause, quoted(rest));
    }
    if let Some(file) = rest.strip_prefix("Preset not found: ").or_else(|| rest.strip_prefix("Failed to load preset: "))
    {
        return is(K::InitcpioPreset, Cause, quoted(file).or(Some(file)));
    }
    if rest.starts_with("Invalid config file") || rest.starts_with("config file not found") {
        return is(K::InitcpioPreset, Cause, quoted(rest));
    }
    // mkinitcpio goes on without these, and says so; most often a driver that the machine does not have.
    for (start, what) in [("module not found: ", "the module"), ("binary not found: ", "the program")] {
        if let Some(name) = rest.strip_prefix(start) {
            let subject = format!("{what} {}", quoted(name).unwrap_or(name));
            return is(K::InitcpioPart, Doubt, Some(&subject));
        }
    }
    if let Some(name) = rest.strip_prefix("file not found: ") {
        return is(K::InitcpioPart, Doubt, quoted(name).or(Some(name)));
    }
    if rest.contains("is not a valid kernel module directory") || rest.contains("specified kernel image does not exist")
    {
        return is(K::InitcpioPart, Cause, quoted(rest).or(Some("the kernel")));
    }
    if rest.starts_with("Image generation FAILED") {
        return is(K::Initcpio, Cause, None);
    }
    if rest.starts_with("Failed to install packages to new root") {
        return is(K::Transaction, Summary, None);
    }
    if rest.contains("failed to setup chroot") || rest.contains("failed to setup") && rest.contains("mount") {
        return is(K::Mount, Summary, Some("what a chroot needs"));
    }
    if rest.contains("must be run") && rest.contains("root") {
        return is(K::Privilege, Cause, None);
    }
    system(rest).unwrap_or_else(|| is(K::Other, Doubt, None))
}

/// What the system's own messages say, whatever program prints them.
fn system(line: &str) -> Option<Recognised> {
    use FaultKind as K;
    use Weight::Cause;
    if line.contains("No space left on device") || line.contains("Disk quota exceeded") {
        return Some(Recognised::new(K::DiskFull, Cause, None));
    }
    if line.starts_with("mount: ") && (line.contains("permission denied") || line.contains("failed")) {
        let place = line.strip_prefix("mount: ").and_then(|it| it.split(": ").next());
        return Some(Recognised::new(K::Mount, Cause, place));
    }
    None
}

/// `FILE exists in both 'a' and 'b'`.
fn both(line: &str) -> Option<&str> {
    line.split_once(" exists in both ").map(|(file, _)| file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(line: &str) -> Option<(FaultKind, Weight)> {
        recognise(line).map(|it| (it.kind, it.weight))
    }

    #[test]
    fn what_a_good_installation_prints_is_no_failure() {
        let lines = "==> WARNING: Possibly missing firmware for module: 'xhci_pci_renesas'\n\
            ==> WARNING: work/x86_64/airootfs is not a mountpoint. This may have undesirable side effects.\n\
            warning: directory permissions differ on /root/\nwarning: /etc/shadow installed as /etc/shadow.pacnew\n\
            Creating group 'systemd-journal' with GID 999.\n  Skipped: Running in chroot.\n\
            (12/20) Reloading system manager configuration...\n core is up to date\n\
            :: There are 3 providers available for initramfs:\n:: Repository core\n   1) mkinitcpio  2) booster  3) dracut\n\
            Optional dependencies for error-handler\n    perl: for error-handler\n\
            ==> Image generation successful\n  -> Running build hook: [modconf]\n\
            xorriso : WARNING : -volid text does not comply to ISO 9660 / ECMA 119 rules";
        for line in lines.lines() {
            assert_eq!(recognise(line), None, "{line}");
        }
    }

    #[test]
    fn newer_tools_are_understood() {
        use FaultKind as K;
        use Weight::{Cause, Doubt};
        let cases = [
            (
                "error: restricting filesystem access failed because the Landlock ruleset could not be applied!",
                K::Sandbox,
                Doubt,
            ),
            ("error: switching to sandbox user 'alpm' failed!", K::Sandbox, Doubt),
            ("==> ERROR: Image generation FAILED: 'bsdtar (step 1) reported an error'", K::Initcpio, Cause),
            ("==> ERROR: specified kernel image does not exist: `/boot/vmlinuz-linux'", K::InitcpioPart, Cause),
            ("==> ERROR: module not found: 'nvidia'", K::InitcpioPart, Doubt),
            ("error: could not register 'local' database (database already registered)", K::Other, Doubt),
            ("error: required key missing from keyring", K::Signature, Cause),
            ("error: command terminated by signal 2: Interrupt", K::Interrupted, Cause),
        ];
        for (line, wanted, weight) in cases {
            assert_eq!(kind(line), Some((wanted, weight)), "{line}");
        }
    }

    #[test]
    fn questions_without_an_answer_are_no_part_of_what_follows() {
        assert_eq!(after_prompt("Do you want to delete it? [Y/n] error: x"), "error: x");
        assert_eq!(after_prompt("Continue? [y/N] "), "");
        assert_eq!(after_prompt("error: x"), "error: x");
        assert_eq!((quoted("a 'b' c"), quoted("'"), quoted("x \"y\"")), (Some("b"), None, Some("y")));
    }
}

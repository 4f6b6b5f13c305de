//! A rule about files of `airootfs` that are closed to others here: keys, passwords, connections. mkarchiso copies without
//! modes, and our own engine keeps to that, so that they are open in the image unless `file_permissions` closes them.

use std::path::Path;

use super::finding::{LintFinding, Severity};
use super::known::{Known, Origin};
use super::packages::makes_an_image;
use super::permissions::{add_permission, mode_of};
use super::rule::Rule;

pub(super) const RULES: &[Rule] =
    &[Rule::new("private-file-readable", "a private file of airootfs that everybody will be able to read", readable)];

/// The right of everybody to read.
const EVERYBODY: u32 = 0o004;
/// Files about which there is a rule of their own.
const SAID: [&str; 2] = ["/etc/shadow", "/etc/gshadow"];

fn readable(known: &Known<'_>) -> Vec<LintFinding> {
    // Where the umask of a checkout closes everything, a closed file is nobody's will.
    let open = known.entry("airootfs").is_none_or(|folder| folder.mode & EVERYBODY != 0);
    if !open || !makes_an_image(known) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (path, item) in known.image().filter(|(_, item)| item.origin == Origin::Airootfs && item.entry.is_file()) {
        let (mode, becomes) = (item.entry.mode & 0o777, mode_of(known, path, item));
        if mode & EVERYBODY != 0 || becomes & EVERYBODY == 0 || SAID.iter().any(|it| path == Path::new(it)) {
            continue;
        }
        let what = format!("{} has mode {mode:03o} here and will have {becomes:03o} in the image.", path.display());
        let (severity, consequence) = if is_host_key(path) {
            (Severity::Error, "sshd does not take a key that others can read, and does not start without one.")
        } else {
            (Severity::Warning, "Every user and service of the live system can read it.")
        };
        let (text, value) = (path.to_string_lossy(), format!("0:0:{mode:03o}"));
        let edit = add_permission(known, &text, &value);
        found.push(
            LintFinding::warning(known.at(item.entry, None), what, consequence)
                .graded(severity)
                .fixed_by(format!("Add {text} with {value} to file_permissions"), edit),
        );
    }
    found
}

/// Whether sshd of OpenSSH takes it as its own key.
fn is_host_key(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    path.parent() == Some(Path::new("/etc/ssh")) && name.starts_with("ssh_host_") && name.ends_with("_key")
}

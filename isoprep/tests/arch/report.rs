//! What the guest tells on its serial line, parsed. The lines are written by the package `guest-report`; anything else on
//! the line is passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What is mounted at a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    pub source: String,
    pub kind: String,
    pub options: String,
}

/// One path in the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathFacts {
    /// `file`, `directory`, `link` or `other`.
    pub kind: String,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// User and group.
    pub owner: (u32, u32),
    /// Names of the same file.
    pub links: u32,
    /// As getcap says them: `cap_net_raw=ep`; nothing for none.
    pub capabilities: Option<String>,
    /// Where a link points to.
    pub target: Option<String>,
}

/// One hashed directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeFacts {
    /// `cartridge` for the product's own reporter, else `sha256`, as [`tree_hash`](super::tree_hash) computes it.
    pub method: String,
    /// Regular files.
    pub files: u64,
    pub hash: String,
}

/// Everything that a guest has told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// `bios` or `uefi`.
    pub firmware: String,
    /// `uname -r`.
    pub kernel: String,
    pub cmdline: String,
    pub image_id: String,
    pub image_version: String,
    /// What is mounted at `/`, at `/run/archiso/airootfs` and at `/run/archiso/bootmnt`.
    pub root: Mount,
    pub image: Mount,
    pub medium: Mount,
    /// Name to version.
    pub packages: BTreeMap<String, String>,
    pub paths: BTreeMap<String, PathFacts>,
    /// Paths, patterns and trees that there are not.
    pub absent: BTreeSet<String>,
    pub trees: BTreeMap<String, TreeFacts>,
    /// The environment of a login shell.
    pub environment: BTreeMap<String, String>,
    /// Since the kernel started.
    pub uptime: Duration,
    /// Exit code of the automated script on the first console, if it has ended by now.
    pub automated: Option<i32>,
    /// Whether the last line has been seen.
    pub complete: bool,
}

/// Reads everything that has arrived so far; a last line without its end waits for the rest.
///
/// # Errors
/// A line of the report that does not have its form.
pub fn parse(serial: &[u8]) -> Result<Report, String> {
    let mut report = Report::default();
    let whole = serial.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    for line in String::from_utf8_lossy(&serial[..whole]).lines() {
        let Some((_, words)) = line.split_once("report: ") else { continue };
        let words = words.trim_end_matches('\r');
        let (key, rest) = words.split_once(' ').unwrap_or((words, ""));
        take(&mut report, key, rest).ok_or_else(|| format!("not a line of the report: {line:?}"))?;
    }
    Ok(report)
}

fn take(report: &mut Report, key: &str, rest: &str) -> Option<()> {
    let mut words = rest.split(' ');
    match key {
        "begin" => return (rest == "1").then_some(()),
        "firmware" => report.firmware = rest.into(),
        "kernel" => report.kernel = rest.into(),
        "cmdline" => report.cmdline = rest.into(),
        "image-id" => report.image_id = rest.into(),
        "image-version" => report.image_version = rest.into(),
        "root" => report.root = mount(rest),
        "image" => report.image = mount(rest),
        "medium" => report.medium = mount(rest),
        "package" => {
            report.packages.insert(words.next()?.into(), words.next()?.into());
        }
        "absent" => {
            report.absent.insert(decode(rest)?);
        }
        "path" => {
            let kind = words.next()?.to_owned();
            let mode = u32::from_str_radix(words.next()?, 8).ok()?;
            let (user, group) = words.next()?.split_once(':')?;
            let owner = (user.parse().ok()?, group.parse().ok()?);
            let links = words.next()?.parse().ok()?;
            let capabilities = Some(words.next()?.to_owned()).filter(|it| it != "-");
            let name = decode(words.next()?)?;
            let target = words.next().map(decode);
            let target = if target.is_some() { Some(target??) } else { None };
            report.paths.insert(name, PathFacts { kind, mode, owner, links, capabilities, target });
        }
        "tree" => {
            let method = words.next()?.to_owned();
            let files = words.next()?.parse().ok()?;
            let hash = words.next()?.to_owned();
            report.trees.insert(decode(words.next()?)?, TreeFacts { method, files, hash });
        }
        "environment" => {
            let (name, value) = rest.split_once('=')?;
            report.environment.insert(decode(name)?, decode(value)?);
        }
        "uptime" => report.uptime = Duration::try_from_secs_f64(rest.parse().ok()?).ok()?,
        "automated" => report.automated = Some(rest.parse().ok()?),
        "end" => report.complete = true,
        _ => return None,
    }
    Some(())
}

fn mount(rest: &str) -> Mount {
    let mut words = rest.splitn(3, ' ').map(str::to_owned);
    let mut next = || words.next().unwrap_or_default();
    Mount { source: next(), kind: next(), options: next() }
}

/// Undoes the guest's `%XX`.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_out_of_everything_else() {
        let serial = b"[    1.0] Linux version 6.1\r\n\x1b[0mreport: begin 1\r\nreport: firmware uefi\r\n\
            report: root airootfs overlay rw,relatime,lowerdir=/a b\r\nreport: image  \r\nreport: package owned-files 1.0-1\r\n\
            report: path file 4755 0:984 1 cap_net_raw=ep /opt/a%20b%25\r\nreport: path link 777 0:0 1 - /l ../x%0Ay\r\n\
            noise\r\nreport: absent /etc/none\r\nreport: tree sha256 12 abcd /root\r\nreport: environment A=b%20=c\r\n\
            report: uptime 12.5\r\nreport: end\r\nreport: automated 3\r\n";
        let report = parse(serial).unwrap();
        assert!(report.complete);
        assert_eq!((report.firmware.as_str(), report.automated), ("uefi", Some(3)));
        assert_eq!(report.root.kind, "overlay");
        assert_eq!(report.image, Mount::default());
        assert_eq!(report.packages["owned-files"], "1.0-1");
        let facts = &report.paths["/opt/a b%"];
        assert_eq!((facts.mode, facts.owner), (0o4755, (0, 984)));
        assert_eq!(facts.capabilities.as_deref(), Some("cap_net_raw=ep"));
        assert_eq!(report.paths["/l"].target.as_deref(), Some("../x\ny"));
        assert_eq!(report.trees["/root"].files, 12);
        assert_eq!(report.environment["A"], "b =c");
        assert!(report.absent.contains("/etc/none"));
        for wrong in ["report: path file x 0:0 1 - /a\n", "report: unheard-of 1\n", "report: tree sha256 failed /a\n"] {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
            assert_eq!(parse(wrong.trim_end().as_bytes()), Ok(Report::default()), "a line that is still arriving");
        }
    }
}

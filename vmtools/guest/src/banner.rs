//! What the guest says when it is up: a banner for people on both consoles, one line for the host on the serial line.

use std::path::Path;

use serde::Serialize;

use crate::accelerator;
use crate::console::Console;
use crate::guest_file::Guest;
use crate::repository::Found;
use crate::shares::Outcome;
use crate::system::System;

/// How the host finds the report in the serial stream.
const MARK: &str = "CARTRIDGE-REPORT";

/// What the host is told, version 1.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    v: u32,
    name: String,
    kernel: String,
    firmware: &'static str,
    accelerator: &'static str,
    files: u64,
    tree: String,
    path: String,
    /// How many layers have come or gone since the start.
    #[serde(skip_serializing_if = "is_start")]
    generation: u32,
    /// Why the last layer is not what is seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
    /// What systemd says of the system, where it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<String>,
    /// Folders of the host that we were lent, mounted or not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shares: Vec<Outcome>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_start(generation: &u32) -> bool {
    *generation == 0
}

impl Report {
    /// Looks around; what cannot be told becomes a note. Nothing is found where the repository is live.
    pub(crate) fn gather(guest: &Guest, found: Option<Found>, shares: Vec<Outcome>, notes: &mut Vec<String>) -> Self {
        let (files, tree) = match found {
            Some(Ok(summary)) => (summary.files, summary.hash.to_string()),
            None => (0, String::new()),
            Some(Err(why)) => {
                notes.push(format!("the repository cannot be read: {why}"));
                (0, String::new())
            }
        };
        Self {
            v: 1,
            name: guest.name.clone(),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            firmware: if Path::new("/sys/firmware/efi").exists() { "uefi" } else { "bios" },
            accelerator: accelerator::detect(),
            files,
            tree,
            path: guest.into.display().to_string(),
            generation: 0,
            trouble: None,
            system: None,
            failed: Vec::new(),
            shares,
        }
    }

    /// Adds what an init of the system's own says.
    pub(crate) fn of(mut self, system: Option<System>) -> Self {
        if let Some(System { state, failed }) = system {
            (self.system, self.failed) = (Some(state), failed);
        }
        self
    }

    /// Says that it is told after a layer has come or gone, and why the layer is not seen, if it is not.
    pub(crate) fn after(mut self, generation: u32, trouble: Option<String>) -> Self {
        (self.generation, self.trouble) = (generation, trouble);
        self
    }

    fn line(&self) -> String {
        // A struct of words and numbers always serialises.
        format!("{MARK} {}\r\n", serde_json::to_string(self).unwrap_or_default())
    }

    fn human(&self, notes: &[String]) -> String {
        let rule = format!("\x1b[2m  {}\x1b[0m\r\n", "─".repeat(74));
        let mut text = format!("\r\n  \x1b[1;34mCARTRIDGE\x1b[0m   \x1b[1m{}\x1b[0m\r\n{rule}", clean(&self.name));
        let accelerator = match self.accelerator {
            "tcg" => "TCG (emulated, expect patience)".to_owned(),
            "kvm" => "KVM".to_owned(),
            other => other.to_owned(),
        };
        let firmware = if self.firmware == "uefi" { "UEFI" } else { "BIOS" };
        let files = format!("{} in {}", self.files, clean(&self.path));
        let shares: Vec<String> = self.shares.iter().map(|share| clean(&share.words())).collect();
        let mut rows = vec![("kernel", &*self.kernel), ("firmware", firmware), ("accelerator", &accelerator)];
        rows.extend(shares.iter().map(|words| ("share", &**words)));
        if !self.tree.is_empty() {
            rows.extend([("files", &*files), ("tree", &*self.tree)]);
        }
        for (label, value) in rows {
            text.push_str(&format!("  \x1b[2m{label:<12}\x1b[0m{value}\r\n"));
        }
        for note in notes {
            text.push_str(&format!("  \x1b[33mnote\x1b[0m        {}\r\n", clean(note)));
        }
        text.push_str(&rule);
        text.push_str("  You are root, in the repository. \x1b[1mpoweroff\x1b[0m ends the guest.\r\n\r\n");
        text
    }
}

/// Greets on both consoles and reports on the serial line.
pub(crate) fn show(report: &Report, notes: &[String]) {
    let human = report.human(notes);
    // The screen starts clean; on the serial line what the kernel said stays above.
    Console::screen().write(&format!("\x1b[H\x1b[2J{human}"));
    Console::serial().write(&format!("\r\n{human}{}", report.line()));
}

/// Greets on `console` where there is nothing to report but that somebody can type.
pub(crate) fn greet(console: &Console, notes: &[String]) {
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut text = format!("\r\n  \x1b[1;34mCARTRIDGE\x1b[0m   Linux {}, booted directly\r\n", clean(&kernel));
    for note in notes {
        text.push_str(&format!("  \x1b[33mnote\x1b[0m        {}\r\n", clean(note)));
    }
    text.push_str("  You are root. \x1b[1mpoweroff\x1b[0m ends the guest.\r\n\r\n");
    console.write(&text);
}

/// Reports on the serial line alone: the screen belongs to somebody else.
pub(crate) fn tell(report: &Report) {
    Console::serial().write(&format!("\r\n{}", report.line()));
}

/// A host name made of `name`: letters, digits and dashes, at most 63 (RFC 1123).
pub(crate) fn hostname(name: &str) -> String {
    let letters = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    let host: String = letters.take(63).collect();
    let host = host.trim_matches('-');
    if host.is_empty() { "cartridge".to_owned() } else { host.to_owned() }
}

/// No control characters: a name must not move the cursor.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            v: 1,
            name: "a \"b\"\n\x1b".into(),
            kernel: "6.1".into(),
            firmware: "bios",
            accelerator: "tcg",
            files: 3,
            tree: "0".repeat(64),
            path: "/root/a".into(),
            generation: 0,
            trouble: None,
            system: None,
            failed: Vec::new(),
            shares: Vec::new(),
        }
    }

    #[test]
    fn the_report_is_one_line_of_json() {
        let line = report().line();
        assert_eq!(line.matches('\n').count(), 1);
        let json = line.trim_end().strip_prefix("CARTRIDGE-REPORT ").unwrap();
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(json["v"], 1);
        assert_eq!(json["name"], "a \"b\"\n\x1b");
        assert_eq!(json["files"], 3);
        assert!(json.get("system").is_none() && json.get("generation").is_none(), "older readers know no such key");
        assert!(report().after(2, Some("x".into())).line().contains(r#""generation":2,"trouble":"x""#));
        let degraded = System { state: "degraded".into(), failed: vec!["a.service".into()] };
        let line = report().of(Some(degraded)).line();
        assert!(line.trim_end().ends_with(r#""system":"degraded","failed":["a.service"]}"#), "{line}");
    }

    #[test]
    fn the_banner_fits_a_text_screen() {
        let human = report().human(&["something".into()]);
        let plain =
            ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[33m", "\x1b[1;34m"].iter().fold(human, |t, s| t.replace(s, ""));
        assert!(plain.lines().all(|line| line.chars().count() < 80), "{plain}");
        assert!(!plain.contains('\x1b') && plain.contains("something"));
    }

    #[test]
    fn any_name_gives_a_host_name() {
        assert_eq!(hostname("My Repo_2"), "my-repo-2");
        assert_eq!(hostname("ä"), "cartridge");
        assert_eq!(hostname(&"x".repeat(99)).len(), 63);
    }
}

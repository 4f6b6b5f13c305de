//! What a guest tells on its serial line: the reporter's own line, and facts that a script of the test's repository
//! prints.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::arch::{Boot, Booted, Firmware, Medium};

/// Prints facts once the system has settled. Run by a unit of its own, as the system's root.
pub const SCRIPT: &str = r#"#!/bin/sh
state=$(systemctl is-system-running --wait)
tell() { echo "fact: $*"; }
{
    echo
    tell state "$state"
    tell failed $(systemctl list-units --failed --plain --no-legend)
    tell tree $(/usr/local/bin/tree-hash /root/demo)
    tell host "$(hostname)"
    tell home $(stat -c '%u:%g:%a' /root)
    tell run $(stat -c '%u:%g:%a' /root/demo/run)
    tell private $(stat -c '%u:%g:%a' /root/demo/bin/private)
    tell link $(readlink /root/demo/link)
    tell extra $(stat -c '%u:%g:%a' /etc/extra)
    tell shadow $(stat -c '%U:%G:%a' /etc/shadow)
    tell su $(stat -c '%U:%G:%a' /bin/su)
    tell chage $(stat -c '%U:%G:%a' /usr/bin/chage)
    tell mail $(stat -c '%U:%G:%a' /var/mail)
    tell greeting $(sh -lc 'echo "$GREETING"')
    tell root $(grep ' / overlay ' /proc/mounts)
    tell logins $(systemctl show -p ExecStart --value getty@tty1 serial-getty@ttyS0 | grep -c -- '--autologin root')
    tell identity $(wc -c </etc/machine-id)
    tell report $(ls /usr/lib/cartridge 2>/dev/null)
    tell cmdline $(cat /proc/cmdline)
    tell end
} >/dev/ttyS0
"#;
/// Starts it without being waited for.
pub const DROP_IN: &str = "[Service]\nExecStartPost=systemd-run --no-block --collect /bin/sh /usr/local/bin/facts\n";

/// How long a guest may take: it is emulated, and shares two processors with everything else.
const DEADLINE: Duration = Duration::from_secs(600);

/// Everything that was told.
#[derive(Clone, Debug)]
pub struct Told {
    /// By name.
    pub facts: BTreeMap<String, String>,
    /// The reporter's own report; none in a release build.
    pub report: Option<serde_json::Value>,
}

impl Told {
    pub fn fact(&self, name: &str) -> &str {
        self.facts.get(name).map_or("", String::as_str)
    }
}

/// Starts an image, and waits for the facts; for the reporter's line too, if there is one.
pub fn boot(iso: &Path, (firmware, medium): (Firmware, Medium), reports: bool) -> Booted<Told> {
    let boot = Boot::new(iso, firmware, medium).deadline(DEADLINE);
    let booted = boot.until(|serial| {
        let told = read(&String::from_utf8_lossy(serial));
        Ok((told.facts.contains_key("end") && told.report.is_some() == reports).then_some(told))
    });
    let booted = booted.unwrap_or_else(|e| panic!("{e}"));
    println!("{firmware:?} from {medium:?}: {:.0} s", booted.took.as_secs_f64());
    booted
}

fn read(serial: &str) -> Told {
    let whole = serial.rfind('\n').map_or("", |at| &serial[..at]);
    let mut told = Told { facts: BTreeMap::new(), report: None };
    for line in whole.lines().map(|line| line.trim_end_matches('\r')) {
        if let Some((_, words)) = line.split_once("fact: ") {
            let (name, value) = words.split_once(' ').unwrap_or((words, ""));
            told.facts.insert(name.to_owned(), value.to_owned());
        }
        if let Some((_, json)) = line.split_once("CARTRIDGE-REPORT ") {
            told.report = serde_json::from_str(json).ok();
        }
    }
    told
}

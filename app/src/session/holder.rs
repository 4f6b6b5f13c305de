//! Who holds a cartridge: what its lock file says to whoever comes second.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::state::Goal;
use super::strays::world;

/// Who holds a cartridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Who runs it: "the window", "cartridge up".
    pub who: String,
    /// Its process; 0 where an older version has not said it.
    #[serde(default)]
    pub process: u32,
    /// What it works towards; `None` for work that is no goal.
    #[serde(default)]
    pub goal: Option<Goal>,
    /// Since when, seconds since 1970; 0 where an older version has not said it.
    #[serde(default)]
    pub since: u64,
    /// The session's id.
    #[serde(default)]
    pub session: String,
    /// Where it can be watched, if it can.
    #[serde(default)]
    pub socket: Option<PathBuf>,
    /// What numbers of processes mean where it runs; empty where that is not known, or an older version has not said it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub world: String,
}

impl Holder {
    /// This process, from now on.
    #[must_use]
    pub fn here(who: &str, goal: Option<Goal>, session: &str) -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            who: who.to_owned(),
            process: std::process::id(),
            goal,
            since: since.map_or(0, |since| since.as_secs()),
            session: session.to_owned(),
            socket: None,
            world: world().unwrap_or_default(),
        }
    }

    /// As it is seen from here: the number of a process in another container is none of a process here.
    #[must_use]
    pub fn from_here(mut self) -> Self {
        if !self.world.is_empty() && Some(&self.world) != world().as_ref() {
            self.process = 0;
        }
        self.world = String::new();
        self
    }

    /// What a lock file says. Older versions wrote who it is, and since when. `None` for an empty one: its holder is about to write it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        serde_json::from_str(text).ok().or_else(|| {
            let (who, since) = text.split_once('\n').unwrap_or((text, ""));
            let who: String = who.chars().filter(|c| !c.is_control()).take(200).collect();
            let since = since.trim().parse().unwrap_or_default();
            Some(Self {
                who,
                process: 0,
                goal: None,
                since,
                session: String::new(),
                socket: None,
                world: String::new(),
            })
        })
    }

    /// "the window (process 4711)".
    #[must_use]
    pub fn name(&self) -> String {
        if self.process == 0 { self.who.clone() } else { format!("{} (process {})", self.who, self.process) }
    }

    /// What it does, as what follows "which": "has been building it since 14:02:11".
    #[must_use]
    pub fn does(&self) -> String {
        let does = match self.goal {
            Some(Goal::Build) => "has been building it",
            Some(Goal::Boot) => "has been booting and running it",
            Some(Goal::Up) => "has been building and booting it",
            Some(Goal::Restore) => "has been running a guest of a slot of it",
            Some(Goal::Direct | Goal::Attach) | None => "has been working on it",
        };
        match clock(self.since) {
            Some(since) => format!("{does} since {since}"),
            None => does.to_owned(),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        if self.since == 0 { Ok(()) } else { write!(f, ", which {}", self.does()) }
    }
}

/// "14:02:11" where that is today, else with the date.
fn clock(since: u64) -> Option<String> {
    let since = i64::try_from(since).ok().filter(|since| *since > 0)?;
    let since = jiff::Timestamp::from_second(since).ok()?.to_zoned(jiff::tz::TimeZone::system());
    let today = since.date() == jiff::Zoned::now().date();
    Some(since.strftime(if today { "%H:%M:%S" } else { "%Y-%m-%d %H:%M" }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_comes_back_from_its_lock_file_and_an_older_one_is_named() {
        let mut here = Holder::here("the window", Some(Goal::Up), "20260101-120000-7");
        here.socket = Some("/run/x/watch.sock".into());
        assert_eq!(Holder::parse(&serde_json::to_string(&here).unwrap()), Some(here.clone()));
        let words = here.to_string();
        assert!(
            words.starts_with(&format!(
                "the window (process {}), which has been building and booting it since ",
                here.process
            )),
            "{words}"
        );
        let old = Holder::parse("cartridge up (process 12)\n").unwrap();
        assert_eq!((old.to_string().as_str(), old.socket), ("cartridge up (process 12)", None));
        assert_eq!(Holder::parse("the window (process 12)\n1700000000\n").unwrap().since, 1_700_000_000);
        assert_eq!(Holder::parse(" \n"), None);
        let seen = Holder { world: String::new(), ..here.clone() };
        assert_eq!(here.clone().from_here(), seen);
        let elsewhere = Holder { world: "another boot pid:[1]".into(), ..here.clone() };
        assert_eq!(elsewhere.from_here().name(), "the window");
        assert!(Holder { since: u64::MAX, ..here }.to_string().contains("building"));
    }
}

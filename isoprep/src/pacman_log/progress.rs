//! What pacman says about how far it is: in a pipe, where each package is a line, and on a terminal, where bars are
//! redrawn.

use serde::Serialize;

/// What pacman is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PacmanStep {
    /// Fetches the databases.
    Synchronizing,
    /// Decides which packages are wanted.
    Resolving,
    /// Fetches packages.
    Downloading,
    /// Checks keys, packages, conflicts and room.
    Checking,
    /// Installs packages.
    Installing,
    /// Runs hooks, before or after the installation.
    Hooks,
}

/// A line that is about progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told<'a> {
    Step(PacmanStep),
    /// `Packages (6) a b c`.
    Packages(u64),
    /// `Total Download Size:`, bytes.
    DownloadSize(u64),
    /// `Total Installed Size:`, bytes.
    InstalledSize(u64),
    /// ` linux-6.1-1-x86_64 downloading...`.
    Downloading(&'a str),
    /// `installing linux...` and its like.
    Installing(&'a str),
    /// `(3/12) installing linux [###---] 45%`, or `(3/12) Updating module dependencies...`.
    Counted {
        done: u64,
        total: u64,
        what: &'a str,
        percent: Option<u8>,
    },
    /// `linux 781.2 KiB 651 KiB/s 00:19 [#---] 5%`, on a terminal only.
    Fetched {
        name: &'a str,
        bytes: u64,
        percent: u8,
    },
}

/// What is done with a package, as pacman says it. Each of these counts through all packages.
const ACTS: [&str; 5] = ["installing ", "reinstalling ", "upgrading ", "downgrading ", "removing "];

pub(super) fn told(line: &str) -> Option<Told<'_>> {
    if let Some(step) = step(line) {
        return Some(Told::Step(step));
    }
    if let Some(rest) = line.strip_prefix("Packages (").or_else(|| line.strip_prefix("Package (")) {
        return rest.split(')').next()?.parse().ok().map(Told::Packages);
    }
    if let Some(rest) = line.strip_prefix("Total Download Size:") {
        return size(rest).map(Told::DownloadSize);
    }
    if let Some(rest) = line.strip_prefix("Total Installed Size:") {
        return size(rest).map(Told::InstalledSize);
    }
    if let Some(name) = line.strip_prefix(' ').and_then(|it| it.strip_suffix(" downloading...")) {
        return Some(Told::Downloading(name));
    }
    if line.starts_with('(') {
        return counted(line);
    }
    let act = ACTS.iter().find_map(|act| line.strip_prefix(act)).and_then(|it| it.strip_suffix("..."));
    act.filter(|name| !name.contains(' ')).map(Told::Installing).or_else(|| fetched(line))
}

fn step(line: &str) -> Option<PacmanStep> {
    Some(match line {
        ":: Synchronizing package databases..." => PacmanStep::Synchronizing,
        "resolving dependencies..." | "looking for conflicting packages..." => PacmanStep::Resolving,
        ":: Retrieving packages..." => PacmanStep::Downloading,
        "checking keyring..."
        | "checking package integrity..."
        | "loading package files..."
        | "checking for file conflicts..."
        | "checking available disk space..." => PacmanStep::Checking,
        ":: Processing package changes..." => PacmanStep::Installing,
        ":: Running pre-transaction hooks..." | ":: Running post-transaction hooks..." => PacmanStep::Hooks,
        _ => return None,
    })
}

fn counted(line: &str) -> Option<Told<'_>> {
    let (numbers, what) = line.strip_prefix('(')?.split_once(") ")?;
    let (done, total) = numbers.split_once('/')?;
    let (done, total) = (done.trim().parse().ok()?, total.trim().parse().ok()?);
    let (what, percent) = match bar(what) {
        Some((what, percent)) => (what, Some(percent)),
        None => (what.trim_end_matches("...").trim_end(), None),
    };
    Some(Told::Counted { done, total, what, percent })
}

fn fetched(line: &str) -> Option<Told<'_>> {
    let (row, percent) = bar(line)?;
    let mut words = row.split_whitespace().rev();
    let (_time, rate_unit, _rate, unit, number) =
        (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
    if !rate_unit.ends_with("/s") {
        return None;
    }
    let bytes = amount(number, unit)?;
    let name = row.get(..row.find(number)?)?.trim();
    Some(Told::Fetched { name, bytes, percent })
}

/// `text [####----] 45%` → the text and the number.
fn bar(line: &str) -> Option<(&str, u8)> {
    let (row, percent) = line.strip_suffix('%')?.rsplit_once(']')?;
    let percent: u8 = percent.trim().parse().ok()?;
    let (text, _) = row.rsplit_once('[')?;
    Some((text.trim(), percent.min(100)))
}

/// `15.81 MiB` → bytes.
fn size(text: &str) -> Option<u64> {
    let mut words = text.split_whitespace();
    amount(words.next()?, words.next()?)
}

fn amount(number: &str, unit: &str) -> Option<u64> {
    let number: f64 = number.parse().ok()?;
    let shift = ["B", "KiB", "MiB", "GiB", "TiB"].iter().position(|it| *it == unit)?;
    let scale = 1024_f64.powi(i32::try_from(shift).ok()?);
    // Casts of floats saturate; a negative "installed size" (packages that shrink) becomes 0.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Some((number * scale) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_s_lines() {
        assert_eq!(told("Packages (6) base-3-1  git-1-1"), Some(Told::Packages(6)));
        assert_eq!(told("Package (12)   New Version  Net Change"), Some(Told::Packages(12)));
        assert_eq!(told("Total Download Size:   15.81 MiB"), Some(Told::DownloadSize(16_577_986)));
        assert_eq!(told(" archtest downloading..."), Some(Told::Downloading("archtest")));
        assert_eq!(told("installing linux..."), Some(Told::Installing("linux")));
        assert_eq!(told("installing a b..."), None);
        let what = "Updating linux initcpios";
        assert_eq!(
            told("( 1/14) Updating linux initcpios..."),
            Some(Told::Counted { done: 1, total: 14, what, percent: None })
        );
    }

    #[test]
    fn a_terminal_s_rows() {
        let row = " linux-6.1.0.56.cloud...   781.2 KiB   651 KiB/s 00:19 [#---------------------------]   5%";
        assert_eq!(told(row), Some(Told::Fetched { name: "linux-6.1.0.56.cloud...", bytes: 799_948, percent: 5 }));
        let row = "(2/4) installing mkinitcpio          [###-------]  30%";
        let what = "installing mkinitcpio";
        assert_eq!(told(row), Some(Told::Counted { done: 2, total: 4, what, percent: Some(30) }));
        let row = " Total (2/4)              1565.4 KiB  1958 KiB/s 00:07 [##--------]   9%";
        assert_eq!(told(row), Some(Told::Fetched { name: "Total (2/4)", bytes: 1_602_969, percent: 9 }));
    }

    #[test]
    fn other_lines_are_nothing() {
        for line in ["", "(", "(1/2", "(a/b) c", "%", "]%", "[] 5%", "Total Download Size:  ", "Packages (x)"] {
            assert_eq!(told(line), None, "{line:?}");
        }
    }
}

//! The table `packaging/needs.tsv`: what is needed, how to see that it is there, and which package brings it.

use std::path::PathBuf;
use std::sync::LazyLock;

use super::distro::Family;

/// The table, built in. `packaging/setup` reads the same file.
pub(super) const TABLE: &str = include_str!("../../../packaging/needs.tsv");
/// The row whose program is also asked for its version.
pub(super) const QEMU: &str = "QEMU";

/// What a need belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// Compiling the program.
    Build,
    /// Building and booting images.
    Run,
    /// Opening the window.
    Window,
    /// Working together with the desktop.
    Desktop,
    /// Passing the tests.
    Test,
}

/// How much a need is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Its set does not work without it.
    Must,
    /// Something works less well without it.
    May,
}

/// One way in which a need can be met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alternative {
    /// A program in `PATH` or in an administrator's folder.
    Command(String),
    /// A file; `*` in it stands for any part of one path component.
    File(PathBuf),
    /// A shared library, looked for in the dynamic linker's usual folders.
    Library(String),
    /// A busybox that needs no dynamic linker.
    StaticBusybox,
    /// A kernel that can be read, with its modules.
    Kernel,
    /// A Rust that is new enough; looked at by `packaging/setup` only.
    Rust,
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckSpec {
    /// What it belongs to.
    pub set: Set,
    /// How much it is needed.
    pub level: Level,
    /// Its name for people, unique in the table.
    pub name: String,
    /// Any of these will do.
    pub alternatives: Vec<Alternative>,
    /// The packages that bring it, for apt, pacman and dnf; empty where no package does.
    pub packages: [Vec<String>; 3],
    /// What it is for, as the end of the sentence "it …".
    pub why: String,
}

impl CheckSpec {
    /// The packages that bring it on `family`; empty where none is known.
    #[must_use]
    pub fn packages(&self, family: Option<Family>) -> &[String] {
        match family {
            Some(Family::Apt) => &self.packages[0],
            Some(Family::Pacman) => &self.packages[1],
            Some(Family::Dnf) => &self.packages[2],
            None => &[],
        }
    }

    /// Where it is looked for, in words.
    pub(super) fn looked_for(&self) -> String {
        let words: Vec<_> = self
            .alternatives
            .iter()
            .map(|alternative| match alternative {
                Alternative::Command(name) => format!("the program {name}"),
                Alternative::File(path) => path.display().to_string(),
                Alternative::Library(name) => name.clone(),
                Alternative::StaticBusybox => "a static busybox".to_owned(),
                Alternative::Kernel => {
                    "/boot/vmlinuz-* or /lib/modules/*/vmlinuz with /lib/modules/*/modules.dep, and the kernel store"
                        .to_owned()
                }
                Alternative::Rust => "cargo and rustc".to_owned(),
            })
            .collect();
        words.join(" or ")
    }
}

/// The whole table.
#[must_use]
pub fn checks() -> &'static [CheckSpec] {
    static CHECKS: LazyLock<Vec<CheckSpec>> = LazyLock::new(|| TABLE.lines().skip(1).filter_map(parse_row).collect());
    &CHECKS
}

/// One row; `None` for one that has another form than the table's (a test sees to it that there is none).
fn parse_row(row: &str) -> Option<CheckSpec> {
    let mut cells = row.split('\t');
    let mut cell = || cells.next();
    let spec = CheckSpec {
        set: match cell()? {
            "build" => Set::Build,
            "run" => Set::Run,
            "window" => Set::Window,
            "desktop" => Set::Desktop,
            "test" => Set::Test,
            _ => return None,
        },
        level: match cell()? {
            "must" => Level::Must,
            "may" => Level::May,
            _ => return None,
        },
        name: cell()?.to_owned(),
        alternatives: cell()?.split(' ').map(parse_alternative).collect::<Option<_>>()?,
        packages: [words(cell()?), words(cell()?), words(cell()?)],
        why: cell()?.to_owned(),
    };
    cells.next().is_none().then_some(spec)
}

fn parse_alternative(text: &str) -> Option<Alternative> {
    Some(match text.split_once(':')? {
        ("command", name) => Alternative::Command(name.to_owned()),
        ("file", path) => Alternative::File(PathBuf::from(path)),
        ("lib", name) => Alternative::Library(name.to_owned()),
        ("builtin", "static-busybox") => Alternative::StaticBusybox,
        ("builtin", "kernel") => Alternative::Kernel,
        ("builtin", "rust") => Alternative::Rust,
        _ => return None,
    })
}

fn words(cell: &str) -> Vec<String> {
    if cell == "-" { Vec::new() } else { cell.split(' ').map(str::to_owned).collect() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_of_the_table_is_read() {
        for row in TABLE.lines().skip(1) {
            assert!(parse_row(row).is_some(), "not a row: {row}");
        }
        assert_eq!(checks().len(), TABLE.lines().count() - 1);
        let names: BTreeSet<_> = checks().iter().map(|spec| &spec.name).collect();
        assert_eq!(names.len(), checks().len(), "names are keys");
        assert!(names.contains(&QEMU.to_owned()));
    }

    #[test]
    fn every_need_has_a_package_for_each_family_or_a_way_of_its_own() {
        for spec in checks() {
            let own_way = spec.alternatives.iter().any(|a| matches!(a, Alternative::Kernel | Alternative::Rust));
            // Arch does not package what makes a Debian.
            let foreign = spec.alternatives.contains(&Alternative::Command("mmdebstrap".to_owned()));
            for packages in &spec.packages {
                assert!(packages.is_empty() == own_way || foreign, "{}", spec.name);
            }
            assert!(own_way || spec.packages.iter().any(|packages| !packages.is_empty()), "{}", spec.name);
        }
    }

    #[test]
    fn rows_of_another_form_are_refused() {
        for row in [
            "",
            "run",
            "run\tmust\tx\tcommand:x\ta\tb\tc",
            "run\tmust\tx\tnose:x\ta\tb\tc\tw",
            "a\tb\tc\td\te\tf\tg\th",
        ] {
            assert_eq!(parse_row(row), None, "{row}");
        }
        assert!(parse_row("run\tmust\tx\tcommand:x lib:y\ta b\t-\tc\tw").is_some());
    }
}

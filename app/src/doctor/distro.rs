//! Which distribution this is, from the text of /etc/os-release (os-release(5)), and how it installs packages.

/// The package managers that the table knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Debian, Ubuntu and what is like them.
    Apt,
    /// Arch and what is like it.
    Pacman,
    /// Fedora and what is like it.
    Dnf,
}

/// What os-release says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distro {
    /// Its name for people; empty where it has none.
    pub name: String,
    /// Its package manager; `None` where it is another.
    pub family: Option<Family>,
}

/// Reads the text of /etc/os-release. Lines that are no assignments are passed over.
#[must_use]
pub fn parse(os_release: &str) -> Distro {
    let value = |key: &str| {
        os_release
            .lines()
            .filter_map(|line| line.trim().split_once('='))
            .filter(|(name, _)| *name == key)
            .map(|(_, value)| unquoted(value))
            .next_back()
            .unwrap_or_default()
    };
    let ids = format!("{} {}", value("ID"), value("ID_LIKE"));
    let family = ids.split_whitespace().find_map(|id| match id {
        "debian" | "ubuntu" => Some(Family::Apt),
        "arch" => Some(Family::Pacman),
        "fedora" => Some(Family::Dnf),
        _ => None,
    });
    Distro { name: value("PRETTY_NAME"), family }
}

/// The value without its shell quotes and escapes, as far as os-release(5) allows them.
fn unquoted(value: &str) -> String {
    let value = value.trim();
    let inner = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q)).unwrap_or(value);
    let mut text = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => text.extend(letters.next()),
            other => text.push(other),
        }
    }
    text
}

impl Distro {
    /// The command that installs `packages` here, through sudo unless `root`; `None` where there is nothing to install
    /// or the package manager is unknown.
    #[must_use]
    pub fn install(&self, packages: &[String], root: bool) -> Option<String> {
        if packages.is_empty() {
            return None;
        }
        let tool = match self.family? {
            Family::Apt => "apt-get install --no-install-recommends",
            Family::Pacman => "pacman -S --needed",
            Family::Dnf => "dnf install",
        };
        Some(format!("{}{tool} {}", if root { "" } else { "sudo " }, packages.join(" ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(text: &str) -> Option<Family> {
        parse(text).family
    }

    #[test]
    fn knows_the_four_and_their_kin() {
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nID=debian\n";
        assert_eq!(parse(debian), Distro { name: "Debian GNU/Linux 12 (bookworm)".into(), family: Some(Family::Apt) });
        assert_eq!(family("NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n"), Some(Family::Apt));
        assert_eq!(family("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"), Some(Family::Apt));
        assert_eq!(family("NAME=\"Arch Linux\"\nID=arch\nBUILD_ID=rolling\n"), Some(Family::Pacman));
        assert_eq!(family("ID='endeavouros'\nID_LIKE='arch'\n"), Some(Family::Pacman));
        assert_eq!(family("ID=fedora\nVERSION_ID=43\n"), Some(Family::Dnf));
        assert_eq!(family("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), Some(Family::Dnf));
    }

    #[test]
    fn anything_else_is_unknown_and_harmless() {
        for text in
            ["", "\0\u{1}", "ID", "ID=", "ID=\"", "= =\n=", "ID=nixos\nID_LIKE=\"\"", "#ID=debian", "XID=debian"]
        {
            assert_eq!(family(text), None, "{text:?}");
        }
        assert_eq!(parse(r#"PRETTY_NAME="a \"b\" \\ c""#).name, r#"a "b" \ c"#);
    }

    #[test]
    fn says_how_to_install() {
        let arch = parse("ID=arch");
        let packages = ["a".to_owned(), "b".to_owned()];
        assert_eq!(arch.install(&packages, false).as_deref(), Some("sudo pacman -S --needed a b"));
        assert_eq!(arch.install(&packages, true).as_deref(), Some("pacman -S --needed a b"));
        assert_eq!(arch.install(&[], true), None);
        assert_eq!(Distro::default().install(&packages, true), None);
    }
}

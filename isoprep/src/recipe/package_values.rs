//! Judges names of packages and addresses of mirrors, as pacman and apt take them. Pure.

use super::model::EngineKind;
use super::values::Problem;

/// The longest address, characters.
const ADDRESS_LIMIT: usize = 2048;

/// One package. For Arch a name as in PKGBUILD(5), or `repository/name`; for Debian a name as in its policy (5.6.1), with
/// `:architecture`, `/suite` or `=version` as apt-get(8) takes them.
pub(super) fn package(text: &str, engine: EngineKind) -> Result<String, Problem> {
    if text.is_empty() {
        return Err(("is empty".to_owned(), "remove it".to_owned()));
    }
    if text.contains('#') {
        let advice = "put comments outside of the quotes".to_owned();
        return Err((format!("{text:?} has a comment in it"), advice));
    }
    if text.contains(char::is_whitespace) {
        let words: Vec<_> = text.split_whitespace().map(|word| format!("{word:?}")).collect();
        return Err((format!("{text:?} has a blank in it"), format!("write one name an item: {}", words.join(", "))));
    }
    let (good, advice) = match engine {
        EngineKind::Debian => (debian(text), "use small letters, digits, + - and ., like \"openssh-server\""),
        _ => (arch(text), "use letters, digits and @ . _ + -, like \"openssh\""),
    };
    if good { Ok(text.to_owned()) } else { Err((format!("{text:?} is not a package's name"), advice.to_owned())) }
}

fn arch(text: &str) -> bool {
    let name = |name: &str| {
        !name.starts_with(['-', '.'])
            && !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "@._+-".contains(c))
    };
    text.split_once('/').map_or_else(|| name(text), |(repository, package)| name(repository) && name(package))
}

fn debian(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.:/=~".contains(c))
}

/// The address of a mirror.
pub(super) fn mirror(text: &str) -> Result<String, Problem> {
    let rest = ["http://", "https://", "file:///"].iter().find_map(|scheme| text.strip_prefix(scheme));
    if rest.is_none_or(str::is_empty) {
        let advice = "begin it with http://, https:// or file:///";
        return Err((format!("{text:?} is not a mirror's address"), advice.to_owned()));
    }
    if let Some(bad) = text.chars().find(|c| !c.is_ascii_graphic() || "\"'`#\\".contains(*c)) {
        return Err((format!("{bad:?} is not allowed in an address"), "write it as %XX".to_owned()));
    }
    if text.len() > ADDRESS_LIMIT {
        return Err((format!("has {} characters", text.len()), format!("use at most {ADDRESS_LIMIT}")));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_names_and_nothing_that_a_tool_could_take_for_an_option() {
        for text in ["git", "gtk4", "libc++", "extra/jq", "r8168-lts", "lib32-glibc", "Foo", "python-pip@1", "_x"] {
            assert_eq!(package(text, EngineKind::Archiso), Ok(text.to_owned()));
        }
        for text in
            ["", "-S", "--root=/", ".x", "a b", "git # for work", "a/b/c", "/x", "x/", "x/-y", "é", "a\nb", "a;b"]
        {
            assert!(package(text, EngineKind::Archiso).is_err(), "{text:?}");
        }
        for text in ["linux-image-amd64", "libc6:i386", "vim/stable", "bash=5.2.15-2+b7", "7zip"] {
            assert_eq!(package(text, EngineKind::Debian), Ok(text.to_owned()));
        }
        for text in ["", "-x", "Git", "a b", "a_b", "?essential", "a|b"] {
            assert!(package(text, EngineKind::Debian).is_err(), "{text:?}");
        }
    }

    #[test]
    fn mirrors_are_addresses() {
        for text in ["https://geo.mirror.pkgbuild.com/$repo/os/$arch", "http://deb.debian.org/debian", "file:///srv/m"]
        {
            assert_eq!(mirror(text), Ok(text.to_owned()));
        }
        for text in
            ["", "https://", "ftp://x/y", "/srv/m", "file://srv", "https://a b", "https://a\nServer = x", "http://é"]
        {
            assert!(mirror(text).is_err(), "{text:?}");
        }
    }
}

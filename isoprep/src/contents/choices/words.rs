//! What the words of a boot entry mean when its loader reads them: GRUB's quotes and variables (GRUB's manual, "Shell-like
//! scripting"), archiso's templates, and what a loader adds or takes away. Pure.

use std::collections::BTreeMap;

use super::super::model::Loader;

/// How many variables of one configuration are remembered.
const MOST_VARIABLES: usize = 256;
/// The longest value of one, bytes.
const LONGEST_VALUE: usize = 4096;
/// How long what becomes of a text may be, bytes: more is no command line.
const LONGEST: usize = 64 << 10;
/// GRUB's own commands that put what they find out into a variable.
const FINDERS: [&str; 4] = ["probe", "read", "regexp", "search"];

/// The variables of a GRUB configuration: `None` for one whose value only the running GRUB knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Variables(BTreeMap<String, Option<String>>);

impl Variables {
    /// Adds what `text`, a configuration of GRUB, sets. Conditions are not decided: a variable that is set to two values
    /// has none that is known.
    pub(super) fn read(&mut self, text: &str) {
        for line in text.split(['\n', ';']) {
            let line = line.trim_start();
            let line = line.strip_prefix("then ").or_else(|| line.strip_prefix("else ")).unwrap_or(line).trim_start();
            let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            if FINDERS.contains(&command) {
                self.found_by(command, rest);
            } else if let Some((name, value)) = if command == "set" { rest.trim() } else { line }.split_once('=')
                && is_name(name)
            {
                let value = words(value).into_iter().next().unwrap_or_default();
                let value = self.expand(&value).ok().map(|value| plain(&value));
                self.set(name, value.filter(|value| value.len() <= LONGEST_VALUE));
            }
        }
    }

    fn found_by(&mut self, command: &str, rest: &str) {
        let mut words = rest.split_whitespace().peekable();
        while let Some(word) = words.next() {
            let name = match word.strip_prefix("--set") {
                Some(name) => name.strip_prefix('=').or_else(|| words.peek().copied()),
                None if command == "read" => Some(word),
                None => None,
            };
            // regexp has `--set 1:name`.
            let name = name.map(|name| name.rsplit(':').next().unwrap_or(name));
            if let Some(name) = name.filter(|name| is_name(name)) {
                self.set(name, None);
            }
        }
    }

    fn set(&mut self, name: &str, value: Option<String>) {
        if let Some(known) = self.0.get_mut(name) {
            if *known != value {
                *known = None;
            }
        } else if self.0.len() < MOST_VARIABLES {
            self.0.insert(name.to_owned(), value);
        }
    }

    /// `word` with its variables replaced, outside of single quotes. What was never set is empty, as in GRUB.
    ///
    /// # Errors
    /// The name of a variable whose value is not known before GRUB runs.
    fn expand(&self, word: &str) -> Result<String, String> {
        let (mut out, mut rest, mut single, mut double) = (String::new(), word, false, false);
        while let Some(c) = rest.chars().next() {
            let after = &rest[c.len_utf8()..];
            match c {
                '\'' if !double => single = !single,
                '"' if !single => double = !double,
                '\\' if !single => {
                    let next = after.chars().next();
                    out.push(c);
                    out.extend(next);
                    rest = &after[next.map_or(0, char::len_utf8)..];
                    continue;
                }
                '$' if !single => {
                    if let Some((name, left)) = variable(after) {
                        match self.0.get(name) {
                            Some(Some(value)) => out.push_str(value),
                            Some(None) => return Err(name.to_owned()),
                            None => {}
                        }
                        if out.len() > LONGEST {
                            return Err(name.to_owned());
                        }
                        rest = left;
                        continue;
                    }
                }
                _ => {}
            }
            out.push(c);
            rest = after;
        }
        Ok(out)
    }
}

/// The variable's name at the beginning of what follows a `$`, and what comes after it.
fn variable(text: &str) -> Option<(&str, &str)> {
    if let Some(inner) = text.strip_prefix('{') {
        let (name, rest) = inner.split_once('}')?;
        return is_name(name).then_some((name, rest));
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    is_name(&text[..end]).then_some((&text[..end], &text[end..]))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The words of a text, quotes as written.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (c, quote) {
            (c, None) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('\\', None | Some('"')) => {
                word.push(c);
                word.extend(characters.next());
                continue;
            }
            _ => {}
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// A word without its quotes and backslashes.
fn plain(word: &str) -> String {
    let (mut out, mut quote, mut characters) = (String::new(), None, word.chars());
    while let Some(c) = characters.next() {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('\\', None | Some('"')) => out.extend(characters.next()),
            (c, _) => out.push(c),
        }
    }
    out
}

/// What is known when an entry is read.
pub(super) struct Reader<'a> {
    pub(super) loader: Loader,
    /// Of all GRUB configurations of the image.
    pub(super) variables: &'a Variables,
    /// The volume label and UUID that archiso's templates stand for.
    pub(super) label: &'a str,
    pub(super) uuid: &'a str,
}

impl Reader<'_> {
    /// A path of an entry as its loader resolves it.
    ///
    /// # Errors
    /// What cannot be known, in words.
    pub(super) fn path(&self, text: &str) -> Result<String, String> {
        let text = self.filled(text)?;
        let text = match self.loader {
            Loader::Grub => {
                // `($root)/boot/vmlinuz`: the disc itself.
                let text = match text.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
                    Some((_, path)) => path.to_owned(),
                    None => text,
                };
                self.variables.expand(&text).map_err(|name| {
                    format!("its path \"{text}\" depends on ${name}, which only the running GRUB knows")
                })?
            }
            Loader::SystemdBoot => text.replace('\\', "/"),
            Loader::Syslinux => text.trim_start_matches("::").to_owned(),
        };
        if text.is_empty() { Err("one of its paths is empty".to_owned()) } else { Ok(text) }
    }

    /// The command line as the kernel gets it, and the words that had to be left out.
    ///
    /// # Errors
    /// What cannot be known, in words.
    pub(super) fn options(&self, text: &str) -> Result<(String, Vec<String>), String> {
        let text = self.filled(text)?;
        if self.loader != Loader::Grub {
            let words = text.split_whitespace().filter(|word| !word.starts_with("initrd="));
            return Ok((words.collect::<Vec<_>>().join(" "), Vec::new()));
        }
        let (mut kept, mut left_out) = (Vec::new(), Vec::new());
        for word in words(&text) {
            match self.variables.expand(&word) {
                Ok(word) => kept.extend(Some(quoted(&plain(&word))).filter(|word| !word.is_empty())),
                Err(_) => left_out.push(word),
            }
        }
        Ok((kept.join(" "), left_out))
    }

    /// What the menu shows, without what only the running loader knows.
    pub(super) fn title(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while self.loader == Loader::Grub
            && let Some((before, after)) = rest.split_once('$')
        {
            out.push_str(before);
            let Some((name, left)) = variable(after) else {
                out.push('$');
                rest = after;
                continue;
            };
            if let Some(Some(value)) = self.variables.0.get(name) {
                out.push_str(value);
            }
            rest = left;
            if out.len() > LONGEST {
                return out;
            }
        }
        out.push_str(rest);
        let title = out.replace(", )", ")").replace("()", "");
        title.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn filled(&self, text: &str) -> Result<String, String> {
        let text = text.replace("%ARCHISO_LABEL%", self.label).replace("%ARCHISO_UUID%", self.uuid);
        match template(&text) {
            Some(name) => Err(format!("it still has the template {name}: whoever made the image did not fill it")),
            None => Ok(text),
        }
    }
}

/// A template that is left in a text: `%NAME%`.
fn template(text: &str) -> Option<&str> {
    let mut from = 0;
    while let Some(at) = text[from..].find('%').map(|at| from + at) {
        let name = &text[at + 1..];
        let end = name.find(|c: char| !c.is_ascii_uppercase() && c != '_').unwrap_or(name.len());
        if end > 2 && name[end..].starts_with('%') {
            return Some(&text[at..at + end + 2]);
        }
        from = at + 1;
    }
    None
}

/// A word as the kernel takes it: what has blanks in it stands in double quotes.
fn quoted(word: &str) -> String {
    if !word.contains(char::is_whitespace) {
        return word.to_owned();
    }
    match word.split_once('=') {
        Some((name, value)) => format!("{name}=\"{value}\""),
        None => format!("\"{word}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(text: &str) -> Variables {
        let mut variables = Variables::default();
        variables.read(text);
        variables
    }

    fn grub(variables: &Variables) -> Reader<'_> {
        Reader { loader: Loader::Grub, variables, label: "ARCH_202611", uuid: "2026-11-01-00-00-00-00" }
    }

    #[test]
    fn variables_are_what_grub_would_make_of_them() {
        let set = variables(
            "set default=0\nset kernel=\"/live/vmlinuz\"\nset options='quiet splash'\nwhere=$kernel.old\n\
             search --no-floppy --set=found --file /x\nprobe --set uuid --fs-uuid (cd0)\nregexp --set 1:one '(.*)' x\n\
             if a; then\n set mode=1\nelse\n set mode=2\nfi\nread typed\n",
        );
        let reader = grub(&set);
        assert_eq!(reader.path("$kernel").unwrap(), "/live/vmlinuz");
        assert_eq!(reader.path("${where}").unwrap(), "/live/vmlinuz.old");
        assert_eq!(reader.path("($root)/boot/x").unwrap(), "/boot/x");
        for unknown in ["$found/x", "${uuid}", "$one", "$mode", "$typed"] {
            assert!(reader.path(unknown).unwrap_err().contains("only the running GRUB knows"), "{unknown}");
        }
        let (options, left_out) = reader
            .options("boot=live \"a=b c\" findiso=${iso_path} img=UUID=${uuid} $options '$kernel' x\\ y ${never}")
            .unwrap();
        assert_eq!(options, "boot=live a=\"b c\" findiso= \"quiet splash\" $kernel \"x y\"");
        assert_eq!(left_out, ["img=UUID=${uuid}"]);
        assert_eq!(reader.title("Arch (x86_64, ${platform}) $5"), "Arch (x86_64) $5");
    }

    #[test]
    fn templates_are_filled_with_what_the_image_is_and_others_refused() {
        let none = Variables::default();
        for loader in [Loader::Grub, Loader::Syslinux, Loader::SystemdBoot] {
            let reader = Reader { loader, ..grub(&none) };
            let (options, _) = reader.options("archisosearchuuid=%ARCHISO_UUID% l=%ARCHISO_LABEL% 5%").unwrap();
            assert_eq!(options, "archisosearchuuid=2026-11-01-00-00-00-00 l=ARCH_202611 5%");
            assert!(reader.options("dir=%INSTALL_DIR%").unwrap_err().contains("%INSTALL_DIR%"));
            assert!(reader.path("/%INSTALL_DIR%/x").is_err() && reader.path("").is_err());
        }
    }

    #[test]
    fn each_loader_has_its_own_way_with_paths_and_words() {
        let none = Variables::default();
        let syslinux = Reader { loader: Loader::Syslinux, ..grub(&none) };
        assert_eq!(syslinux.options("initrd=/a,/b boot=live ${pxeserver}").unwrap().0, "boot=live ${pxeserver}");
        assert_eq!(syslinux.path("::/vmlinuz").unwrap(), "/vmlinuz");
        let systemd = Reader { loader: Loader::SystemdBoot, ..grub(&none) };
        assert_eq!(systemd.path("\\EFI\\vmlinuz").unwrap(), "/EFI/vmlinuz");
        assert_eq!(systemd.title("Costs $x"), "Costs $x");
    }

    proptest::proptest! {
        #[test]
        fn any_configuration_is_read(
            text in "((set|search|read|probe --set|regexp --set 1:|then|[a-z]=)[ ]?|[$%{}a-zA-Z\"'\\\\ ;\n=_/()-]){0,60}",
            any: String,
        ) {
            for text in [text, any] {
                let set = variables(&text);
                for loader in [Loader::Grub, Loader::Syslinux, Loader::SystemdBoot] {
                    let reader = Reader { loader, ..grub(&set) };
                    let _ = (reader.path(&text), reader.title(&text));
                    if let Ok((options, _)) = reader.options(&text) {
                        proptest::prop_assert!(options.len() <= 2 * LONGEST + text.len() * LONGEST_VALUE);
                    }
                }
            }
        }
    }
}

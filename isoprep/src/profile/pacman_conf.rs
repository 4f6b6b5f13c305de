//! `pacman.conf` as pacman itself reads it (pacman.conf(5); checked against pacman 6.0 and 7.0): sections, `key = value`,
//! comments on lines of their own only, `Include` with patterns.
//!
//! mkarchiso hands the file to `pacman-conf`, so included files are the host's, by absolute path.

use std::path::{Path, PathBuf};

use super::model::{Directive, PacmanConf, ProfileWarning, Repository};

/// How deep includes may go (`config_max_recursion` of pacman).
const DEEPEST: usize = 10;
/// How many files may be included in all. A mirror list is one; 16 patterns that include each other would be 10^12.
const MOST: usize = 500;
/// How much text may be included in all, bytes.
const MOST_BYTES: usize = 4 << 20;

/// What an `Include` pattern leads to: each file with its text, or with why it cannot be read. None if nothing matches.
pub type Included = Vec<(PathBuf, Result<String, String>)>;

/// Reads the text of `file`. `include` is asked for the files of each `Include` pattern, as written.
#[must_use]
pub fn parse_pacman_conf(
    file: &Path,
    text: &str,
    include: &mut dyn FnMut(&str) -> Included,
) -> (PacmanConf, Vec<ProfileWarning>) {
    let conf = PacmanConf { file: file.to_path_buf(), ..PacmanConf::default() };
    let mut reader = Reader { conf, warnings: Vec::new(), section: Section::None, include, files: 0, bytes: 0 };
    reader.file(file, text, 0);
    (reader.conf, reader.warnings)
}

/// Where a directive goes. An included file may change it for the rest of the file that includes it, as in pacman.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    None,
    Options,
    Repository,
}

struct Reader<'a> {
    conf: PacmanConf,
    warnings: Vec<ProfileWarning>,
    section: Section,
    include: &'a mut dyn FnMut(&str) -> Included,
    files: usize,
    bytes: usize,
}

impl Reader<'_> {
    fn warn(&mut self, file: &Path, line: Option<usize>, text: String) {
        self.warnings.push(ProfileWarning { file: file.to_path_buf(), line, text });
    }

    fn file(&mut self, file: &Path, text: &str, depth: usize) {
        for (index, line) in text.split('\n').enumerate() {
            let (line, number) = (line.trim_matches(is_space), index + 1);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                self.section(file, number, name);
                continue;
            }
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            let directive = Directive {
                key: key.trim_matches(is_space).to_owned(),
                value: value.trim_matches(is_space).to_owned(),
                file: file.to_path_buf(),
                line: number,
            };
            if directive.key == "Include" {
                self.included(directive, depth);
            } else {
                self.directive(directive);
            }
        }
    }

    fn section(&mut self, file: &Path, line: usize, name: &str) {
        if name == "options" {
            self.section = Section::Options;
            return;
        }
        self.section = Section::Repository;
        let (name, file) = (name.to_owned(), file.to_path_buf());
        let (servers, others) = (Vec::new(), Vec::new());
        self.conf.repositories.push(Repository { name, file, line, servers, sig_level: None, others });
    }

    fn directive(&mut self, directive: Directive) {
        match (self.section, self.conf.repositories.last_mut()) {
            (Section::Options, _) => self.conf.options.push(directive),
            (Section::Repository, Some(repository)) => match directive.key.as_str() {
                "Server" => repository.servers.push(directive),
                "SigLevel" => repository.sig_level = Some(directive.value),
                _ => repository.others.push(directive),
            },
            _ => {
                let text = format!("{} belongs to no section; pacman ends here", directive.key);
                self.warn(&directive.file, Some(directive.line), text);
                self.conf.options.push(directive);
            }
        }
    }

    fn included(&mut self, directive: Directive, depth: usize) {
        let (file, line) = (directive.file.clone(), Some(directive.line));
        let found = if directive.value.is_empty() { Vec::new() } else { (self.include)(&directive.value) };
        self.conf.includes.push(directive.clone());
        if found.is_empty() {
            self.conf.missing_includes.push(directive);
            return;
        }
        if depth >= DEEPEST {
            self.warn(&file, line, format!("includes are nested more than {DEEPEST} deep; pacman ends here"));
            return;
        }
        for (path, text) in found {
            self.files += 1;
            self.bytes += text.as_ref().map_or(0, String::len);
            if self.files > MOST || self.bytes > MOST_BYTES {
                self.warn(&file, line, format!("more than {MOST} files or 4 MiB are included; the rest is not read"));
                return;
            }
            match text {
                Ok(text) => self.file(&path, &text, depth + 1),
                Err(why) => self.warn(&file, line, format!("includes {}, which cannot be read: {why}", path.display())),
            }
        }
    }
}

/// C's isspace(3), which pacman cuts: carriage returns too.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '\u{b}' | '\u{c}')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read(text: &str, files: &[(&str, &str)]) -> (PacmanConf, Vec<ProfileWarning>) {
        let files: BTreeMap<String, String> =
            files.iter().map(|(path, text)| ((*path).into(), (*text).into())).collect();
        let mut include = |pattern: &str| {
            let stem = pattern.trim_end_matches('*');
            let matches = |path: &&String| path.as_str() == pattern || (stem != pattern && path.starts_with(stem));
            files.keys().filter(matches).map(|path| (path.into(), Ok(files[path].clone()))).collect()
        };
        parse_pacman_conf(Path::new("/p/pacman.conf"), text, &mut include)
    }

    fn repositories(conf: &PacmanConf) -> Vec<String> {
        let of = |it: &Repository| {
            let servers: Vec<&str> = it.servers.iter().map(|server| server.value.as_str()).collect();
            format!("{}:{} {}", it.name, it.line, servers.join(" "))
        };
        conf.repositories.iter().map(of).collect()
    }

    #[test]
    fn sections_directives_and_comments_are_read_as_pacman_does() {
        let (conf, warnings) = read(
            "\n  [options]  \r\n# Color\nHoldPkg = pacman glibc # not a comment\r\nColor\nNew= a=b\n[core]\nSigLevel = Never\n\
             Server = https://m/$repo/os/$arch\nUsage=All\nSigLevel = Required\n[ odd ]\nFoo\n",
            &[],
        );
        assert!(warnings.is_empty(), "{warnings:?}");
        let options: Vec<_> = conf.options.iter().map(|it| (it.key.as_str(), it.value.as_str(), it.line)).collect();
        assert_eq!(options, [("HoldPkg", "pacman glibc # not a comment", 4), ("Color", "", 5), ("New", "a=b", 6)]);
        assert_eq!(repositories(&conf), ["core:7 https://m/$repo/os/$arch", " odd :12 "]);
        assert_eq!(conf.repositories[0].sig_level.as_deref(), Some("Required"));
        assert_eq!(conf.repositories[0].others[0].value, "All");
        assert_eq!(conf.repositories[1].others[0].key, "Foo");
    }

    #[test]
    fn included_files_go_on_in_the_section_and_may_leave_it() {
        let (conf, warnings) = read(
            "[options]\nInclude = /etc/more/*\n[core]\nServer = first\nInclude = /etc/mirrorlist\nServer = last\n",
            &[
                ("/etc/mirrorlist", "Server = a\n#Server = b\nServer = c\n[extra]\nServer = e\n"),
                ("/etc/more/1", "Color\n"),
                ("/etc/more/2", "ILoveCandy\n"),
            ],
        );
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(repositories(&conf), ["core:3 first a c", "extra:4 e last"]);
        assert_eq!(conf.repositories[1].file, Path::new("/etc/mirrorlist"));
        assert_eq!(conf.repositories[0].servers[2].file, Path::new("/etc/mirrorlist"));
        assert_eq!(conf.options.iter().map(|it| it.key.as_str()).collect::<Vec<_>>(), ["Color", "ILoveCandy"]);
        assert_eq!(conf.includes.len(), 2);
        assert!(conf.missing_includes.is_empty());
    }

    #[test]
    fn missing_files_endless_includes_and_lost_directives_are_told() {
        let (conf, warnings) =
            read("Lost = 1\n[core]\nInclude = /no/*\nInclude\nInclude = /loop\n", &[("/loop", "Include = /loop\n")]);
        let missing: Vec<_> = conf.missing_includes.iter().map(|it| (it.value.as_str(), it.line)).collect();
        assert_eq!(missing, [("/no/*", 3), ("", 4)]);
        let said: Vec<String> =
            warnings.iter().map(|it| format!("{}:{:?} {}", it.file.display(), it.line, it.text)).collect();
        assert_eq!(
            said,
            [
                "/p/pacman.conf:Some(1) Lost belongs to no section; pacman ends here",
                "/loop:Some(1) includes are nested more than 10 deep; pacman ends here"
            ]
        );
        let many: Vec<(String, String)> =
            (0..30).map(|n| (format!("/d/{n}"), "Include = /d/*\nServer = x\n".to_owned())).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let (conf, warnings) = read("[core]\nInclude = /d/*\n", &many);
        assert!(conf.repositories[0].servers.len() <= MOST);
        assert!(warnings.iter().any(|it| it.text.contains("more than 500 files")), "{warnings:?}");
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_lost_and_every_line_exists(text in "(\\[[a-z]{0,7}\\]|[A-Za-z]{1,8}( ?= ?[a-z$/]{0,6})?|#[a-z]*|[ \t\r]|\n){0,40}|.*") {
            let (conf, _) = read(&text, &[]);
            let lines: Vec<&str> = text.split('\n').map(|line| line.trim_matches(is_space)).collect();
            let repositories = conf.repositories.iter();
            let levels = lines.iter().filter(|line| line.split('=').next().is_some_and(|key| key.trim_matches(is_space) == "SigLevel")).count();
            let directives: Vec<&Directive> = (conf.options.iter().chain(&conf.includes))
                .chain(repositories.clone().flat_map(|it| it.servers.iter().chain(&it.others)))
                .collect();
            for it in &directives {
                proptest::prop_assert!(lines[it.line - 1].starts_with(&it.key) && lines[it.line - 1].ends_with(&it.value));
            }
            let is_section = |line: &&&str| line.len() > 1 && line.starts_with('[') && line.ends_with(']');
            let wanted = lines.iter().filter(|line| !line.is_empty() && !line.starts_with('#') && !is_section(line)).count();
            proptest::prop_assert!(directives.len() <= wanted && wanted <= directives.len() + levels);
        }
    }
}

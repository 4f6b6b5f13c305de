//! What a repository's own scripts say about its image, read from their words: packages that they append to the list, files
//! that they take out of the profile, where they expect the repository, what they copy. Nothing is run. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::environment::is_variable;
use super::listing::{AIROOTFS, Listing, is_live};
use super::shell::{self, Token, Word};

/// Ends of the names of scripts; programs without one begin with `#!`.
const ENDS: [&str; 4] = ["sh", "bash", "zsh", "py"];
/// Ends of the names of variables that hold a place.
const PLACES: [&str; 4] = ["_PATH", "_DIR", "_ROOT", "_HOME"];
/// Where a repository may be put in a live system without a package in its way.
const ROOMS: [&str; 4] = ["/root/", "/opt/", "/srv/", "/home/"];
/// Where a variable may say that it is besides: packages put things there too, so that a mere mention says nothing.
const SHARED_ROOMS: [&str; 2] = ["/usr/share/", "/usr/local/share/"];
/// The installer of Arch: who calls it needs a disk.
const INSTALLER: &str = "archinstall";

/// Something that a script says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Said {
    /// What it says.
    pub what: String,
    /// The script.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
}

/// A place that a script keeps in a variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SaidPath {
    /// The variable.
    pub variable: String,
    /// The place, with its script.
    pub said: Said,
    /// Whether the script is one of the live system's own.
    pub live: bool,
    /// Whether it holds only where nothing else has set the variable: `${NAME:-/root/x}`.
    pub fallback: bool,
}

/// What all scripts say, each thing once, in the order of files and lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ScriptsSay {
    /// Packages appended to a profile's list.
    pub packages: Vec<Said>,
    /// Words among those that only the script knows the meaning of.
    pub computed_packages: Vec<Said>,
    /// What is removed, relative to the profile: `airootfs/…`.
    pub removed: Vec<Said>,
    /// Places below `/root`, `/opt` and their like, kept in variables that are called `…_PATH` or so.
    pub paths: Vec<SaidPath>,
    /// Every other mention of such a place; without the `airootfs` that a build script writes before it.
    pub mentions: Vec<Said>,
    /// Where the live system calls archinstall.
    pub installer: Option<Said>,
}

/// Whether a file may be a script, by its name; in the live system Python counts too.
pub(super) fn may_be_one(path: &Path, live: bool) -> bool {
    let Some(name) = super::listing::name(path) else { return false };
    match path.extension().and_then(|end| end.to_str()) {
        Some("py") => live,
        Some(end) => ENDS.contains(&end) || name.trim_start_matches('.').starts_with("zlogin"),
        None => !name.contains(char::is_whitespace) && !["LICENSE", "Makefile", "Dockerfile"].contains(&name),
    }
}

fn is_one(path: &Path, text: &str) -> bool {
    path.extension().is_some_and(|end| ENDS.iter().any(|known| end == *known)) || text.starts_with("#!")
}

pub(super) fn say(listing: &Listing) -> ScriptsSay {
    let mut say = ScriptsSay::default();
    let scripts = listing.texts.iter().filter(|(path, text)| may_be_one(path, is_live(path)) && is_one(path, text));
    for (path, text) in scripts {
        let live = is_live(path);
        if live && say.installer.is_none() {
            let called = |line: &&str| !line.trim_start().starts_with('#') && line.contains(INSTALLER);
            let line = text.lines().position(|line| called(&line)).map(|index| index + 1);
            say.installer = line.map(|line| Said { what: INSTALLER.to_owned(), file: path.clone(), line });
        }
        if path.extension().is_none_or(|end| end != "py") {
            Reader { file: path, live, say: &mut say, arrays: BTreeMap::new() }.read(&shell::tokens(text));
        }
    }
    for said in [&mut say.packages, &mut say.computed_packages, &mut say.removed, &mut say.mentions] {
        once(said);
    }
    say
}

fn once(said: &mut Vec<Said>) {
    let mut seen = std::collections::HashSet::new();
    said.retain(|it| seen.insert(it.what.clone()));
}

struct Reader<'a> {
    file: &'a Path,
    live: bool,
    say: &'a mut ScriptsSay,
    arrays: BTreeMap<String, Vec<Word>>,
}

impl Reader<'_> {
    fn said(&self, what: &str, line: usize) -> Said {
        Said { what: what.to_owned(), file: self.file.to_owned(), line }
    }

    fn read(&mut self, tokens: &[Token]) {
        let (mut command, mut documents): (Vec<&Word>, Option<Vec<&Word>>) = (Vec::new(), None);
        let mut target: Option<&Word> = None;
        let mut rest = tokens.iter().peekable();
        while let Some(token) = rest.next() {
            match token {
                Token::Word(word) => {
                    self.word(word);
                    let name = word.text.strip_suffix('=').map(|name| name.trim_end_matches('+'));
                    if let Some(name) = name.filter(|name| is_variable(name))
                        && rest.next_if(|next| **next == Token::Operator("(")).is_some()
                    {
                        let items = rest.by_ref().take_while(|next| **next != Token::Operator(")"));
                        let items =
                            items.filter_map(|it| if let Token::Word(word) = it { Some(word.clone()) } else { None });
                        let items: Vec<_> = items.collect();
                        self.arrays.entry(name.to_owned()).or_default().extend(items);
                    } else {
                        command.push(word);
                    }
                }
                Token::Operator(">>") => target = rest.next_if(|next| matches!(next, Token::Word(_))).and_then(as_word),
                Token::Operator(operator) if operator.starts_with('<') => {
                    rest.next_if(|next| matches!(next, Token::Word(_)));
                    if operator.len() == 2 && target.is_some_and(is_package_list) {
                        documents = Some(Vec::new());
                    }
                }
                Token::Document(body) => {
                    if documents.take().is_some() {
                        self.packages(body.text.lines().map(|line| line.split('#').next().unwrap_or(line)), body);
                    }
                }
                Token::Operator(_) | Token::Break => {
                    self.command(&command, target.take());
                    command.clear();
                }
            }
        }
        self.command(&command, target);
    }

    fn word(&mut self, word: &Word) {
        if let Some((name, value)) = word.text.split_once('=')
            && is_variable(name)
            && PLACES.iter().any(|end| name.ends_with(end))
            && let Some(place) = place(value)
        {
            let said = self.said(place, word.line);
            let fallback = value.starts_with("${");
            self.say.paths.push(SaidPath { variable: name.to_owned(), said, live: self.live, fallback });
            return;
        }
        let place = match word.text.split_once("airootfs/") {
            Some((_, inside)) => format!("/{inside}"),
            None => word.text.clone(),
        };
        if !self.live || place.starts_with("/root/") {
            let plain = place.starts_with('/') && !place.contains(['$', '*', '`', '\n']) && place.len() < 200;
            if plain && ROOMS.iter().any(|room| place.starts_with(room)) {
                let said = self.said(&place, word.line);
                self.say.mentions.push(said);
            }
        }
    }

    fn command(&mut self, words: &[&Word], target: Option<&Word>) {
        let words = match words {
            [first, rest @ ..] if first.text == "sudo" => rest,
            words => words,
        };
        let Some((first, arguments)) = words.split_first() else { return };
        if first.text == "rm" && !self.live {
            for word in arguments {
                if let Some((_, inside)) = word.text.split_once("airootfs/")
                    && !inside.is_empty()
                    && !inside.contains(['$', '*', '?', '[', '{', '`', '\n'])
                    && !inside.split('/').any(|part| part == "..")
                {
                    let said = self.said(&format!("{AIROOTFS}/{}", inside.trim_end_matches('/')), word.line);
                    self.say.removed.push(said);
                }
            }
        }
        if !target.is_some_and(is_package_list) || self.live {
            return;
        }
        let arguments = if first.text == "printf" { arguments.get(1..).unwrap_or_default() } else { arguments };
        if !["printf", "echo"].contains(&first.text.as_str()) {
            return;
        }
        for word in arguments.iter().filter(|word| !word.text.starts_with('-')) {
            let array = word.text.strip_prefix("${").and_then(|it| it.strip_suffix("[@]}").or(it.strip_suffix("[*]}")));
            match array.map(|name| self.arrays.get(name).cloned().unwrap_or_default()) {
                Some(items) => items.iter().for_each(|item| self.packages([item.text.as_str()], item)),
                None => self.packages(word.text.replace("\\n", "\n").split_whitespace(), word),
            }
        }
    }

    fn packages<'w>(&mut self, names: impl IntoIterator<Item = &'w str>, word: &Word) {
        for name in names.into_iter().map(str::trim).filter(|name| !name.is_empty()) {
            let said = self.said(name, word.line);
            if word.plain || !name.contains(['$', '`', '*', '{']) {
                self.say.packages.push(said);
            } else {
                self.say.computed_packages.push(said);
            }
        }
    }
}

fn as_word(token: &Token) -> Option<&Word> {
    if let Token::Word(word) = token { Some(word) } else { None }
}

/// `…/packages.x86_64`, `packages.$arch`.
fn is_package_list(target: &Word) -> bool {
    let name = target.text.rsplit('/').next().unwrap_or_default();
    name.strip_prefix("packages.").is_some_and(|arch| arch == "x86_64" || arch.starts_with('$'))
}

/// A place for a repository in the live system: `/root/x`, or the default in `${NAME:-/root/x}`.
pub(crate) fn place(value: &str) -> Option<&str> {
    let default = || value.strip_prefix("${")?.strip_suffix('}')?.split_once(":-").map(|it| it.1.trim_matches('"'));
    let value = default().unwrap_or(value).trim_end_matches('/');
    let plain = !value.contains(['$', '`', '*', '\n', '~']) && !value.split('/').any(|part| part == "..");
    let in_room = |room: &&str| value.len() > room.len() && value.starts_with(*room);
    (plain && ROOMS.iter().chain(&SHARED_ROOMS).any(in_room)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::super::listing::listed;
    use super::*;

    const BUILDER: &str = r#"#!/bin/bash
# rm "$d/airootfs/etc/never"
cp -r /archiso/configs/releng/* "$d/"
rm "$d/airootfs/etc/motd"
sudo rm -rf "$d/airootfs/etc/systemd/system/reflector.service.d/" $d/airootfs/etc/xdg/$x "$d/airootfs/../../etc"
packages=(linux-t2 git "gum" # three
  jq "$SETTINGS" openssl)
printf '%s\n' "${packages[@]}" >> "$d/packages.x86_64"
echo plymouth >> $d/packages.$arch; echo -e "a\nb c" >>packages.x86_64
echo no >> other
cat >> "$d/packages.x86_64" <<EOF
# comment
lvm2
$X
parted # why
EOF
cp vmtools/vm-env.sh "$d/airootfs/root/vm-env.sh"
export OMARCHY_PATH="${OMARCHY_PATH:-/root/homerchy}"
PATH=/root/bin HERE_DIR=$(pwd)
"#;

    #[test]
    fn a_build_script_tells_what_it_does_to_the_profile() {
        let live =
            "#!/bin/bash\nOMARCHY_PATH=/root/omarchy/\nsource /root/vm-env.sh\n# archinstall\nrm -rf /airootfs/x\n";
        let say = say(&listed(&[
            ("build-iso.sh", BUILDER),
            ("configs/airootfs/root/.automated_script.sh", live),
            ("configs/airootfs/usr/lib/run.py", "import x\ncall(['archinstall'])\n"),
            ("README", "rm airootfs/x\n"),
        ]));
        let what =
            |said: &[Said]| said.iter().map(|it| format!("{}:{}", it.line, it.what)).collect::<Vec<_>>().join(" ");
        assert_eq!(
            what(&say.packages),
            "6:linux-t2 6:git 6:gum 7:jq 7:openssl 9:plymouth 9:a 9:b 9:c 12:lvm2 12:parted"
        );
        assert_eq!(what(&say.computed_packages), "7:$SETTINGS 12:$X");
        assert_eq!(what(&say.removed), "4:airootfs/etc/motd 5:airootfs/etc/systemd/system/reflector.service.d");
        let paths: Vec<_> = say.paths.iter().map(|it| (it.variable.as_str(), it.said.what.as_str(), it.live)).collect();
        assert_eq!(say.paths.iter().map(|it| it.fallback).collect::<Vec<_>>(), [true, false]);
        assert_eq!(paths, [("OMARCHY_PATH", "/root/homerchy", false), ("OMARCHY_PATH", "/root/omarchy", true)]);
        assert_eq!(what(&say.mentions), "17:/root/vm-env.sh");
        let installer = say.installer.unwrap();
        assert_eq!((installer.file.to_str().unwrap(), installer.line), ("configs/airootfs/usr/lib/run.py", 2));
    }
}

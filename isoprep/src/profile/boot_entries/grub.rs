//! GRUB's script language (GRUB's manual, "Writing full configuration files directly"), as far as entries go: words, quotes,
//! blocks. Conditions are not decided: an entry under `if` is an entry.

use std::path::Path;

use super::super::model::{BootEntry, BootModeKind};
use super::{BootFile, empty, warning};

/// Words that may stand before a command.
const BEFORE_COMMANDS: [&str; 10] = ["!", "do", "done", "elif", "else", "fi", "if", "then", "until", "while"];
/// Options of `menuentry` whose value is the next word.
const WITH_VALUE: [&str; 6] = ["--class", "--hotkey", "--id", "--source", "--users", "--function"];
/// Blocks nested deeper than this are counted and not looked at.
const DEEPEST: usize = 50;
/// Kernels, initrd lines and words of an initrd line that one entry may have; more are passed over.
const MOST: usize = 32;

pub(super) fn parse(file: &Path, text: &str) -> BootFile {
    let mut reader = Reader { file, text, found: BootFile::default(), blocks: Vec::new(), too_deep: 0 };
    let mut words: Vec<Word> = Vec::new();
    let mut lexer = Lexer { bytes: text.as_bytes(), at: 0, line: 1 };
    while let Some(token) = lexer.next() {
        match token {
            Token::Word(word) => words.push(word),
            Token::End => reader.command(&std::mem::take(&mut words)),
            Token::Open => reader.open(&std::mem::take(&mut words)),
            Token::Close => {
                reader.command(&std::mem::take(&mut words));
                reader.close();
            }
        }
    }
    reader.command(&words);
    if let Some(line) = reader.blocks.iter().flatten().map(|draft| draft.line).next_back() {
        reader.found.warnings.push(warning(file, line, "the menuentry is not closed".to_owned()));
    }
    while !reader.blocks.is_empty() {
        reader.close();
    }
    reader.found.entries.sort_by_key(|entry| entry.line);
    reader.found
}

#[derive(Clone, Copy)]
struct Word {
    start: usize,
    end: usize,
    line: usize,
}

enum Token {
    Word(Word),
    /// A newline or `;`, and what else ends a command.
    End,
    Open,
    Close,
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
}

impl Lexer<'_> {
    fn step(&mut self) {
        self.line += usize::from(self.bytes.get(self.at) == Some(&b'\n'));
        self.at += 1;
    }

    fn next(&mut self) -> Option<Token> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            match byte {
                b' ' | b'\t' | b'\r' => self.step(),
                b'\\' if self.bytes.get(self.at + 1) == Some(&b'\n') => {
                    self.step();
                    self.step();
                }
                b'#' => {
                    while self.bytes.get(self.at).is_some_and(|byte| *byte != b'\n') {
                        self.step();
                    }
                }
                b'\n' | b';' | b'&' | b'|' | b'<' | b'>' => {
                    self.step();
                    return Some(Token::End);
                }
                b'{' => {
                    self.step();
                    return Some(Token::Open);
                }
                b'}' => {
                    self.step();
                    return Some(Token::Close);
                }
                _ => return Some(Token::Word(self.word())),
            }
        }
    }

    fn word(&mut self) -> Word {
        let (start, line) = (self.at, self.line);
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'{' | b'}' => break,
                b'\\' => {
                    self.step();
                    self.step();
                }
                b'\'' => self.until(b'\'', false),
                b'"' => self.until(b'"', true),
                b'$' if self.bytes.get(self.at + 1) == Some(&b'{') => self.until(b'}', false),
                _ => self.step(),
            }
        }
        self.at = self.at.min(self.bytes.len());
        Word { start, end: self.at, line }
    }

    fn until(&mut self, end: u8, escapes: bool) {
        self.step();
        while let Some(byte) = self.bytes.get(self.at).copied() {
            self.step();
            if byte == end {
                return;
            }
            if byte == b'\\' && escapes && self.at < self.bytes.len() {
                self.step();
            }
        }
    }
}

/// A `menuentry` while it is read.
#[derive(Default)]
struct Draft {
    line: usize,
    title: String,
    /// Path, line and command line of each kernel: there are several where conditions choose.
    kernels: Vec<(String, usize, String)>,
    initrds: Vec<Vec<String>>,
}

struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
    found: BootFile,
    /// The blocks that are open, inside out last; those of entries with what was read of them.
    blocks: Vec<Option<Draft>>,
    too_deep: usize,
}

impl Reader<'_> {
    fn raw(&self, word: Word) -> &str {
        self.text.get(word.start..word.end).unwrap_or_default()
    }

    fn plain(&self, word: Word) -> String {
        unquoted(self.raw(word))
    }

    fn command(&mut self, words: &[Word]) {
        let words = self.after_conditions(words);
        let Some((name, arguments)) = words.split_first() else { return };
        let texts: Vec<String> = arguments.iter().map(|word| self.plain(*word)).collect();
        match self.raw(*name) {
            "linux" | "linux16" | "linuxefi" => {
                let Some((kernel, rest)) = arguments.split_first() else { return };
                let raw = rest.first().zip(rest.last()).and_then(|(from, to)| self.text.get(from.start..to.end));
                let options = raw.unwrap_or_default().replace("\\\n", " ");
                let (path, line) = (self.plain(*kernel), kernel.line);
                if let Some(draft) = self.innermost().filter(|it| !path.is_empty() && it.kernels.len() < MOST) {
                    draft.kernels.push((path, line, options));
                }
            }
            "initrd" | "initrd16" | "initrdefi" => {
                if let Some(draft) = self.innermost().filter(|it| it.initrds.len() < MOST) {
                    draft.initrds.push(texts.into_iter().take(MOST).collect());
                }
            }
            "source" | "configfile" | "." => {
                let line = name.line;
                self.found.loads.extend(texts.into_iter().take(1).map(|file| (file, line)));
            }
            _ => {}
        }
    }

    fn after_conditions<'w>(&self, words: &'w [Word]) -> &'w [Word] {
        let length = words.iter().take_while(|word| BEFORE_COMMANDS.contains(&self.raw(**word))).count();
        &words[length..]
    }

    fn innermost(&mut self) -> Option<&mut Draft> {
        self.blocks.iter_mut().rev().flatten().next()
    }

    fn open(&mut self, words: &[Word]) {
        if self.blocks.len() >= DEEPEST {
            self.too_deep += 1;
            return;
        }
        let words = self.after_conditions(words);
        let block = words
            .split_first()
            .filter(|(name, _)| self.raw(**name) == "menuentry")
            .map(|(name, arguments)| Draft { line: name.line, title: self.title(arguments), ..Draft::default() });
        self.blocks.push(block);
    }

    fn title(&self, arguments: &[Word]) -> String {
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let text = self.raw(*word);
            if WITH_VALUE.contains(&text) {
                words.next();
            } else if !text.starts_with("--") {
                return unquoted(text);
            }
        }
        String::new()
    }

    fn close(&mut self) {
        if self.too_deep > 0 {
            self.too_deep -= 1;
            return;
        }
        let Some(Some(draft)) = self.blocks.pop() else { return };
        let begun = || BootEntry { title: draft.title.clone(), ..empty(BootModeKind::UefiGrub, self.file, draft.line) };
        if draft.kernels.is_empty() {
            self.found.entries.push(begun());
            return;
        }
        // One initrd line for each kernel belongs to it; otherwise, as after `if … fi`, all belong to all.
        let paired = draft.kernels.len() == draft.initrds.len();
        for (index, (kernel, line, options)) in draft.kernels.iter().enumerate() {
            let initrds = if paired { draft.initrds[index].clone() } else { draft.initrds.concat() };
            let (kernel, kernel_line) = (Some(kernel.clone()), Some(*line));
            self.found.entries.push(BootEntry { kernel, kernel_line, initrds, options: options.clone(), ..begun() });
        }
    }
}

/// A word without its quotes; variables as written.
fn unquoted(word: &str) -> String {
    let (mut plain, mut quote, mut characters) = (String::new(), None, word.chars());
    while let Some(c) = characters.next() {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('\\', None | Some('"')) => match characters.next() {
                Some('\n') | None => {}
                Some(next) => plain.push(next),
            },
            (c, _) => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let entry = |it: &BootEntry| {
            let kernel = it.kernel.as_deref().unwrap_or("-");
            format!("{} {}|{kernel}|{}|{}", it.line, it.title, it.initrds.join(" "), it.options)
        };
        parse(Path::new("grub/grub.cfg"), text).entries.iter().map(entry).collect()
    }

    #[test]
    fn entries_are_found_in_conditions_and_submenus() {
        let text = r#"
insmod part_gpt   # menuentry "no" {
if [ "${grub_platform}" == 'efi' ]; then
    set x="menuentry 'no' { linux /no }"
fi
menuentry "Distro (%ARCH%, ${platform})" --class arch --id 'distro' {
    set gfxpayload=keep
    linux /%INSTALL_DIR%/boot/vmlinuz-linux archisobasedir=%INSTALL_DIR% \
        img_loop="${iso_path}" quiet
    initrd /boot/ucode.img /%INSTALL_DIR%/boot/initramfs-linux.img
}
submenu 'More options' {
    menuentry --class tool 'Memtest' { linux /boot/memtest; }
    if [ -f /shell.efi ]; then
        menuentry "Shell \"x\"" { chainloader /shell.efi }
    fi
}
menuentry 'Off' { halt }
source /boot/grub/more.cfg
"#;
        assert_eq!(
            shown(text),
            [
                "6 Distro (%ARCH%, ${platform})|/%INSTALL_DIR%/boot/vmlinuz-linux|/boot/ucode.img /%INSTALL_DIR%/boot/initramfs-linux.img|archisobasedir=%INSTALL_DIR%          img_loop=\"${iso_path}\" quiet",
                "13 Memtest|/boot/memtest||",
                "15 Shell \"x\"|-||",
                "18 Off|-||",
            ]
        );
        let found = parse(Path::new("grub/grub.cfg"), text);
        assert_eq!(found.entries[0].kernel_line, Some(8));
        assert_eq!(found.loads, [("/boot/grub/more.cfg".to_owned(), 19)]);
        assert!(found.warnings.is_empty());
    }

    #[test]
    fn kernels_under_conditions_are_entries_each() {
        let text = "menuentry x {\nif a; then linux /one 1; else linux /two 2; fi\ninitrd /i\n}\n\
                    menuentry y {\nlinux /one\ninitrd /a\nlinux /two\ninitrd /b\n}\n";
        assert_eq!(shown(text), ["1 x|/one|/i|1", "1 x|/two|/i|2", "5 y|/one|/a|", "5 y|/two|/b|"]);
    }

    #[test]
    fn what_is_not_closed_is_told_and_kept() {
        let found = parse(Path::new("g"), "menuentry \"x\" {\n linux /k\n");
        assert_eq!((found.entries.len(), found.warnings[0].line), (1, Some(1)));
        assert!(parse(Path::new("g"), "}}} menuentry { } 'open").entries.len() == 1);
        let deep = "menuentry x { ".repeat(300);
        assert_eq!(parse(Path::new("g"), &deep).entries.len(), DEEPEST);
    }
}

//! GRUB: `menuentry "title" … { linux … initrd … }`, also within `submenu` (GRUB manual, "Shell-like scripting"). The
//! script is not run: variables stay as they are written.

use super::blank;
use crate::contents::model::{BootEntry, Loader};

pub(super) fn entries(text: &str) -> Vec<BootEntry> {
    let mut found = Vec::new();
    // For each open brace, whether it is an entry's.
    let mut open: Vec<bool> = Vec::new();
    let mut menus: Vec<String> = Vec::new();
    for words in commands(text) {
        let opens = words.last().is_some_and(|word| word.opens);
        let word = |at: usize| words.get(at).map(|word| word.text.as_str());
        let inside = open.contains(&true);
        match word(0) {
            Some("menuentry") if opens => {
                let title: Vec<&str> = menus.iter().map(String::as_str).chain(word(1)).collect();
                found.push(blank(Loader::Grub, &title.join(" > ")));
                open.push(true);
            }
            Some("submenu") if opens => {
                menus.push(word(1).unwrap_or_default().to_owned());
                open.push(false);
            }
            Some("}") => {
                // A submenu is the only other thing that opens a brace and holds entries.
                let closed = open.pop();
                if closed == Some(false) && menus.len() > open.iter().filter(|entry| !**entry).count() {
                    menus.pop();
                }
            }
            Some("linux" | "linux16" | "linuxefi") if inside => {
                if let Some(entry) = found.last_mut() {
                    entry.kernel = word(1).map(str::to_owned);
                    let options: Vec<&str> = words.iter().skip(2).map(|word| word.text.as_str()).collect();
                    entry.options = options.join(" ");
                }
            }
            Some("initrd" | "initrd16" | "initrdefi") if inside => {
                if let Some(entry) = found.last_mut() {
                    entry.initrds = words.into_iter().skip(1).map(|word| word.text).collect();
                }
            }
            _ if opens => open.push(false),
            _ => {}
        }
    }
    found
}

fn push(word: &mut Option<String>, c: char) {
    word.get_or_insert_default().push(c);
}

/// A word of a command, without its quotes.
struct Word {
    text: String,
    /// It is the brace that opens a block.
    opens: bool,
}

/// The commands of a script: lines, or what stands between semicolons; a closing brace is one of its own.
fn commands(text: &str) -> Vec<Vec<Word>> {
    let mut commands = Vec::new();
    let mut words: Vec<Word> = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('"') | None, '\\') => match chars.next() {
                Some('\n') | None => {}
                Some(c) => push(&mut word, c),
            },
            (Some(_), c) => push(&mut word, c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => while chars.next_if(|c| *c != '\n').is_some() {},
            (None, '{' | '}') if word.is_none() && chars.peek().is_none_or(|c| c.is_whitespace() || *c == ';') => {
                let brace = Word { text: c.to_string(), opens: c == '{' };
                if c == '}' {
                    commands.push(std::mem::take(&mut words));
                    commands.push(vec![brace]);
                } else {
                    words.push(brace);
                    commands.push(std::mem::take(&mut words));
                }
            }
            (None, c) if c.is_whitespace() || c == ';' => {
                words.extend(word.take().map(|text| Word { text, opens: false }));
                if matches!(c, '\n' | ';') {
                    commands.push(std::mem::take(&mut words));
                }
            }
            (None, c) => push(&mut word, c),
        }
    }
    words.extend(word.map(|text| Word { text, opens: false }));
    commands.push(words);
    commands.retain(|words| !words.is_empty());
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_in_submenus_and_past_other_blocks() {
        let text = r#"
# menuentry "not this" {
set timeout=5; if [ -n "$x" ]; then
  insmod all_video
fi
menuentry "Arch Linux (%ARCH%)" --class arch --id 'arch' {
    set gfxpayload=keep
    linux /arch/boot/vmlinuz-linux archisobasedir=arch \
        archisodevice=UUID=${ARCHISO_UUID} "a b"
    initrd /a.img /b.img
}
function nothing {
    true
}
submenu 'More' {
  menuentry 'Memtest # 1' { linux16 /memtest; }
  submenu Deep {
    menuentry Deepest {
      linuxefi /k
    }
  }
}
menuentry Last { reboot; }
"#;
        let found = entries(text);
        let titles: Vec<_> = found.iter().map(|entry| entry.title.as_str()).collect();
        assert_eq!(titles, ["Arch Linux (%ARCH%)", "More > Memtest # 1", "More > Deep > Deepest", "Last"]);
        assert_eq!(found[0].kernel.as_deref(), Some("/arch/boot/vmlinuz-linux"));
        assert_eq!(found[0].options, "archisobasedir=arch archisodevice=UUID=${ARCHISO_UUID} a b");
        assert_eq!(found[0].initrds, ["/a.img", "/b.img"]);
        assert_eq!(found[1].kernel.as_deref(), Some("/memtest"));
        assert_eq!((found[2].kernel.as_deref(), found[3].kernel.as_deref()), (Some("/k"), None));
    }
}

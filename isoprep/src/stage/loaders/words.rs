//! Words in boot loader configurations: archiso's templates, and words added to the kernel's command line. Pure.

/// What archiso's templates stand for (archiso, `docs/README.profile.rst`).
pub(super) struct Templates<'a> {
    pub(super) label: &'a str,
    pub(super) uuid: &'a str,
    pub(super) install_dir: &'a str,
    pub(super) arch: &'a str,
    /// The file that GRUB looks for; templates of other loaders have no such word.
    pub(super) search: Option<&'a str>,
}

impl Templates<'_> {
    /// `text` with every template replaced.
    pub(super) fn fill(&self, text: &[u8]) -> Vec<u8> {
        let words = [
            ("%ARCHISO_LABEL%", Some(self.label)),
            ("%ARCHISO_UUID%", Some(self.uuid)),
            ("%INSTALL_DIR%", Some(self.install_dir)),
            ("%ARCH%", Some(self.arch)),
            ("%ARCHISO_SEARCH_FILENAME%", self.search),
        ];
        words.iter().fold(text.to_vec(), |text, (word, value)| match value {
            Some(value) => replaced(&text, word.as_bytes(), value.as_bytes()),
            None => text,
        })
    }
}

/// Where `word` begins in `text`.
pub(super) fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|it| it == word)
}

fn replaced(mut text: &[u8], word: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    while let Some(at) = find(text, word) {
        out.extend_from_slice(&text[..at]);
        out.extend_from_slice(value);
        text = &text[at + word.len()..];
    }
    out.extend_from_slice(text);
    out
}

/// `text`, a configuration of any of the three loaders, with `words` at the end of every command line that boots the image.
/// Lines that name `marker` are those; a line that sets a console itself gets no other one. Whatever bytes it has, the others
/// stay: titles may be in any encoding.
pub(super) fn with_words(text: &[u8], marker: &str, words: &str, console: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let code = line.trim_ascii_start();
        if code.starts_with(b"#") || find(code, marker.as_bytes()).is_none() {
            out.extend_from_slice(line);
            continue;
        }
        let (body, end) = line.split_at(line.trim_ascii_end().len());
        out.extend_from_slice(body);
        let consoles = if find(code, b"console=").is_some() { "" } else { console };
        for more in [consoles, words].iter().filter(|it| !it.is_empty()) {
            out.push(b' ');
            out.extend(more.bytes());
        }
        out.extend_from_slice(end);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_and_others_left() {
        let of = |search| Templates { label: "L", uuid: "U", install_dir: "arch", arch: "x86_64", search };
        let text = b"/%INSTALL_DIR%/%ARCH% %ARCHISO_LABEL% %ARCHISO_UUID% %ARCHISO_SEARCH_FILENAME% %OTHER% \xe9%";
        assert_eq!(of(None).fill(text), b"/arch/x86_64 L U %ARCHISO_SEARCH_FILENAME% %OTHER% \xe9%");
        assert_eq!(of(Some("/f")).fill(text), b"/arch/x86_64 L U /f %OTHER% \xe9%");
    }

    #[test]
    fn only_lines_that_boot_the_image_grow() {
        // The last byte of the second line, a blank in Latin-1, belongs to its last word.
        let text = b"# options archisobasedir=arch\noptions archisobasedir=arch\xc3\xa0\r\nAPPEND -pxe- pxe\xe9\n\
            APPEND archisobasedir=a console=ttyS1";
        let wanted = b"# options archisobasedir=arch\noptions archisobasedir=arch\xc3\xa0 console=tty0 x=1\r\nAPPEND -pxe- pxe\xe9\n\
            APPEND archisobasedir=a console=ttyS1 x=1";
        assert_eq!(with_words(text, "archisobasedir=", "x=1", "console=tty0"), wanted);
        assert_eq!(with_words(text, "archisobasedir=", "", ""), text);
    }
}

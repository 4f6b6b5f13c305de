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
    pub(super) fn fill(&self, text: &str) -> String {
        let text = text
            .replace("%ARCHISO_LABEL%", self.label)
            .replace("%ARCHISO_UUID%", self.uuid)
            .replace("%INSTALL_DIR%", self.install_dir)
            .replace("%ARCH%", self.arch);
        match self.search {
            Some(search) => text.replace("%ARCHISO_SEARCH_FILENAME%", search),
            None => text,
        }
    }
}

/// `text`, a configuration of any of the three loaders, with `words` at the end of every command line that boots the image.
/// Lines that name `marker` are those; a line that sets a console itself gets no other one.
pub(super) fn with_words(text: &str, marker: &str, words: &str, console: &str) -> String {
    let add = |line: &str| {
        let code = line.trim_start();
        if code.starts_with('#') || !code.contains(marker) {
            return line.to_owned();
        }
        let (body, end) = line.split_at(line.trim_end().len());
        let consoles = if code.contains("console=") { "" } else { console };
        let more: String = [consoles, words].iter().filter(|it| !it.is_empty()).map(|it| format!(" {it}")).collect();
        format!("{body}{more}{end}")
    };
    text.split_inclusive('\n').map(add).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_and_others_left() {
        let of = |search| Templates { label: "L", uuid: "U", install_dir: "arch", arch: "x86_64", search };
        let text = "/%INSTALL_DIR%/%ARCH% %ARCHISO_LABEL% %ARCHISO_UUID% %ARCHISO_SEARCH_FILENAME% %OTHER%";
        assert_eq!(of(None).fill(text), "/arch/x86_64 L U %ARCHISO_SEARCH_FILENAME% %OTHER%");
        assert_eq!(of(Some("/f")).fill(text), "/arch/x86_64 L U /f %OTHER%");
    }

    #[test]
    fn only_lines_that_boot_the_image_grow() {
        let text = "# options archisobasedir=arch\noptions archisobasedir=arch\r\nAPPEND -pxe- pxe\nAPPEND archisobasedir=a console=ttyS1";
        assert_eq!(
            with_words(text, "archisobasedir=", "x=1", "console=tty0"),
            "# options archisobasedir=arch\noptions archisobasedir=arch console=tty0 x=1\r\nAPPEND -pxe- pxe\nAPPEND archisobasedir=a console=ttyS1 x=1"
        );
        assert_eq!(with_words(text, "archisobasedir=", "", ""), text);
    }
}

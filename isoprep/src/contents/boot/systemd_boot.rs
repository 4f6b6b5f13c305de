//! systemd-boot: one entry a file (uapi-group.org, Boot Loader Specification, type #1).

use super::{blank, split_word};
use crate::contents::model::{BootEntry, Loader};

pub(super) fn entries(text: &str) -> Vec<BootEntry> {
    let mut entry = blank(Loader::SystemdBoot, "");
    let mut options: Vec<&str> = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let (key, value) = split_word(line);
        match key {
            "title" => value.clone_into(&mut entry.title),
            "linux" | "efi" | "uki" => entry.kernel = Some(value.to_owned()),
            "initrd" => entry.initrds.extend(value.split_whitespace().map(str::to_owned)),
            // Several add up.
            "options" => options.push(value),
            _ => {}
        }
    }
    entry.options = options.join(" ");
    let is_one = entry.kernel.is_some() || !entry.title.is_empty();
    if is_one { vec![entry] } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_add_up_and_comments_do_not_count() {
        let found = entries("# title no\ntitle  Demo\nlinux /v\ninitrd /a /b\ninitrd /c\noptions x=1\noptions quiet\n");
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].title.as_str(), found[0].kernel.as_deref()), ("Demo", Some("/v")));
        assert_eq!((found[0].initrds.join(" "), found[0].options.as_str()), ("/a /b /c".to_owned(), "x=1 quiet"));
        assert!(entries("nothing here").is_empty());
    }
}

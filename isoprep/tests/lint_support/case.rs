//! Broken cases: a good repository, what is changed in it, and exactly what has to be said.
//!
//! ```text
//! ###### what is broken
//! base minimal
//! ~ PATH             lines `- old` and `+ new` follow: a line is replaced by lines; `\r` and `\t` mean what they mean
//! !rm PATH           !chmod MODE PATH       !crlf PATH       !unend PATH (no line feed at the end)
//! !mkarchiso         builds with mkarchiso, not with our own engine
//! @fact
//! === PATH [MODE]    its content follows
//! ------
//! severity rule file:line | fix
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;

use super::{Content, Description};

/// A broken case.
#[derive(Debug)]
pub struct Case {
    pub name: String,
    pub repository: Description,
    pub expected: Vec<String>,
}

/// The cases of a file.
pub fn cases(text: &str) -> Vec<Case> {
    text.split("###### ").skip(1).map(case).collect()
}

fn case(text: &str) -> Case {
    let (head, expected) = text.split_once("\n------\n").unwrap_or_else(|| panic!("nothing is expected: {text}"));
    let mut lines = head.lines().peekable();
    let name = lines.next().unwrap().to_owned();
    let base = lines.next().and_then(|line| line.strip_prefix("base ")).unwrap_or_else(|| panic!("{name}: no base"));
    let base = fs::read_to_string(format!("tests/lint/good/{base}.txt")).unwrap();
    let mut repository = Description::parse(&base);
    while let Some(line) = lines.next() {
        if let Some(path) = line.strip_prefix("~ ") {
            let mut block = Vec::new();
            while let Some(line) = lines.next_if(|line| line.starts_with("- ") || line.starts_with('+')) {
                block.push(line);
            }
            edit(&name, &mut repository.files, path, &block);
        } else if let Some(path) = line.strip_prefix("!rm ") {
            let before = repository.files.len();
            repository.files.retain(|file, _| file != path && !file.starts_with(&format!("{path}/")));
            assert!(repository.files.len() < before, "{name}: there is no {path}");
        } else if let Some(rest) = line.strip_prefix("!chmod ") {
            let (mode, path) = rest.split_once(' ').unwrap();
            with(&name, &mut repository.files, path, |_, it| *it = u32::from_str_radix(mode, 8).unwrap());
        } else if let Some(path) = line.strip_prefix("!crlf ") {
            with(&name, &mut repository.files, path, |text, _| *text = text.replace('\n', "\r\n"));
        } else if let Some(path) = line.strip_prefix("!unend ") {
            with(&name, &mut repository.files, path, |text, _| _ = text.pop());
        } else if line == "!mkarchiso" {
            with(&name, &mut repository.files, "cartridge.toml", |text, _| {
                assert!(text.contains("engine = \"archiso\""), "{name}: {text}");
                *text = text.replace("engine = \"archiso\"", "engine = \"mkarchiso\"");
            });
        } else if line.starts_with('@') {
            repository.facts.push(line.to_owned());
        } else if line.starts_with("=== ") {
            let mut block = vec![line];
            while let Some(line) = lines
                .next_if(|line| !["=== ", "~ ", "!"].iter().any(|it| line.starts_with(it)) || line.starts_with("!!"))
            {
                block.push(line);
            }
            repository.files.extend(Description::parse(&block.join("\n")).files);
        } else {
            assert!(line.is_empty(), "{name}: what is {line:?}?");
        }
    }
    let expected =
        expected.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")).map(str::to_owned).collect();
    Case { name, repository, expected }
}

fn with(name: &str, files: &mut BTreeMap<String, Content>, path: &str, change: impl FnOnce(&mut String, &mut u32)) {
    match files.get_mut(path) {
        Some(Content::File { text, mode }) => change(text, mode),
        _ => panic!("{name}: there is no file {path}"),
    }
}

/// Replaces lines: each `- old` takes the `+ new` that follow it.
fn edit(name: &str, files: &mut BTreeMap<String, Content>, path: &str, block: &[&str]) {
    with(name, files, path, |text, _| {
        let mut rest = block.iter().peekable();
        while let Some(old) = rest.next() {
            let old = old.strip_prefix("- ").unwrap_or_else(|| panic!("{name}: {old}"));
            let mut new = String::new();
            while let Some(line) = rest.next_if(|line| line.starts_with('+')) {
                let line = line.strip_prefix("+ ").unwrap_or("").replace("\\r", "\r").replace("\\t", "\t");
                new += &format!("{line}\n");
            }
            let whole = format!("\n{text}");
            assert!(whole.contains(&format!("\n{old}\n")), "{name}: {path} has no line {old:?}");
            *text = whole.replacen(&format!("\n{old}\n"), &format!("\n{new}"), 1)[1..].to_owned();
        }
    });
}

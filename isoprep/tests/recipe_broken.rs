//! Broken `cartridge.toml` files, and exactly what is said about each.

use std::path::Path;

use isoprep::recipe::parse;

/// All findings for a text, one a line.
fn findings(text: &str) -> String {
    match parse(text, Path::new("/home/me/project")) {
        Ok(recipe) => format!("fine: {}", recipe.name),
        Err(error) => error.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

/// A corpus: texts between lines of `=`, and below each after `---` what must be said.
const CORPUS: &str = include_str!("recipe_broken.txt");

#[test]
fn every_broken_file_is_answered_with_the_line_and_with_advice() {
    let (mut wrong, mut cases) = (Vec::new(), 0);
    for case in CORPUS.split("\n====\n") {
        let (text, want) = case.split_once("\n----\n").expect("a case has a text and what is said about it");
        let (text, want) = (text.trim_start_matches("====\n"), want.trim_end());
        let said = findings(text);
        cases += 1;
        if said != want {
            wrong.push(format!("{text}\n---- wanted\n{want}\n---- said\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}\n{} of {cases} are wrong", wrong.join("\n====\n"), wrong.len());
    assert!(cases >= 40, "the corpus was not read: {cases}");
}

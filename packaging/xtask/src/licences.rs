//! Whether we may ship every dependency: its SPDX expression against the licences that we accept.

use crate::cargo::Metadata;
use crate::{Failure, cargo};

/// Licences that ask for no more than their own text and a notice, which `notices` collects; MPL-2.0 asks for the
/// source of its own files too, which are public and unchanged; OFL-1.1 and Ubuntu-font-1.0 are fonts'.
const ACCEPTED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "OFL-1.1",
    "Ubuntu-font-1.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Checks the whole graph. All findings are told, not only the first.
pub fn check() -> Result<String, Failure> {
    let metadata = cargo::metadata()?;
    let findings = findings(&metadata);
    if findings.is_empty() {
        Ok(format!("licences: {} dependencies may be shipped", metadata.foreign().count()))
    } else {
        Err(findings.join("\n").into())
    }
}

fn findings(metadata: &Metadata) -> Vec<String> {
    metadata
        .foreign()
        .filter_map(|package| {
            let finding = match package.license.as_deref().map(accepts) {
                Some(Some(true)) => return None,
                Some(Some(false)) => format!("licence {}", package.license.as_deref().unwrap_or_default()),
                Some(None) => format!("licence that cannot be read: {:?}", package.license),
                None => format!("no licence expression; its file: {:?}", package.license_file),
            };
            Some(format!("{} {}: {finding} (see {})", package.name, package.version, package.manifest_path))
        })
        .collect()
}

/// Whether an SPDX expression can be met with accepted licences; `None` where it is no expression. The old form with
/// `/` is read as `OR`, as crates.io does. An exception (`WITH`) only ever gives more, so it is passed over.
fn accepts(expression: &str) -> Option<bool> {
    let text = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<_> = text.split_whitespace().collect();
    let mut rest = words.as_slice();
    let verdict = either(&mut rest, 0)?;
    rest.is_empty().then_some(verdict)
}

/// How deep brackets may be: more is not an expression that a person wrote.
const DEPTH: usize = 16;

fn either(rest: &mut &[&str], depth: usize) -> Option<bool> {
    let mut verdict = both(rest, depth)?;
    while taken(rest, "OR") {
        verdict |= both(rest, depth)?;
    }
    Some(verdict)
}

fn both(rest: &mut &[&str], depth: usize) -> Option<bool> {
    let mut verdict = one(rest, depth)?;
    while taken(rest, "AND") {
        verdict &= one(rest, depth)?;
    }
    Some(verdict)
}

fn one(rest: &mut &[&str], depth: usize) -> Option<bool> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    if *first == "(" {
        let verdict = if depth < DEPTH { either(rest, depth + 1)? } else { return None };
        return taken(rest, ")").then_some(verdict);
    }
    if matches!(*first, ")" | "OR" | "AND" | "WITH") {
        return None;
    }
    if taken(rest, "WITH") {
        *rest = rest.split_first()?.1;
    }
    Some(ACCEPTED.contains(first))
}

fn taken(rest: &mut &[&str], word: &str) -> bool {
    match rest.split_first() {
        Some((first, after)) if *first == word => {
            *rest = after;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_judged_as_spdx_means_them() {
        for good in [
            "MIT",
            "MIT/Apache-2.0",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 OR GPL-2.0-only",
            "GPL-3.0-only OR (LGPL-2.1 AND MIT) OR Zlib",
            "MIT AND ISC OR GPL-2.0-only",
        ] {
            assert_eq!(accepts(good), Some(true), "{good}");
        }
        for bad in [
            "GPL-3.0-only",
            "MIT AND GPL-2.0-only",
            "(MIT OR Zlib) AND AGPL-3.0-only",
            "mit",
            "GPL-2.0-only OR MIT AND SSPL-1.0",
        ] {
            assert_eq!(accepts(bad), Some(false), "{bad}");
        }
        let deep = format!("{}MIT{}", "(".repeat(10_000), ")".repeat(10_000));
        for odd in ["", "OR", "MIT OR", "MIT Zlib", "(MIT", "MIT)", "MIT WITH", "AND MIT", deep.as_str()] {
            assert_eq!(accepts(odd), None, "{odd:.40}");
        }
    }

    #[test]
    fn findings_name_the_package_and_ours_are_passed_over() {
        let text = r#"{"workspace_members":["us"],"packages":[
            {"id":"us","name":"us","version":"1.0.0","license":null,"license_file":null,"manifest_path":"/us/Cargo.toml"},
            {"id":"a","name":"fine","version":"1.0.0","license":"MIT","license_file":null,"manifest_path":"/a/Cargo.toml"},
            {"id":"b","name":"strict","version":"2.0.0","license":"GPL-3.0-only","license_file":null,"manifest_path":"/b/Cargo.toml"},
            {"id":"c","name":"mute","version":"3.0.0","license":null,"license_file":"EULA","manifest_path":"/c/Cargo.toml"}]}"#;
        let findings = findings(&serde_json::from_str(text).unwrap());
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].starts_with("strict 2.0.0: licence GPL-3.0-only"));
        assert!(findings[1].contains("mute 3.0.0") && findings[1].contains("EULA"));
    }

    #[test]
    fn what_we_depend_on_may_be_shipped() {
        check().unwrap();
    }
}

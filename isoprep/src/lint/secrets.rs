//! Rules about secrets that would be on the image. Whoever gets an image reads all of it, whatever modes its files have.
//! What is found is never repeated: a finding says which kind it is and on which line.

use std::path::Path;

use super::edit::Edit;
use super::finding::{LintFinding, Place};
use super::known::{Item, Known, Origin, TEXT};
use super::rule::Rule;
use super::secret_patterns::{Kind, find};

pub(super) const RULES: &[Rule] = &[
    Rule::new("secret-private-key", "a private key", private_keys),
    Rule::new("secret-token", "a token of a known service", tokens),
    Rule::new("secret-credentials", "a file of credentials", credentials),
];

/// The most that is read of the repository, bytes.
const MOST: u64 = 64 << 20;

/// What is found in each file, by kind, once a file.
fn all(known: &Known<'_>, kind: Kind) -> Vec<LintFinding> {
    let mut left = MOST;
    let mut found = Vec::new();
    for (path, item) in known.image().filter(|(_, item)| item.entry.is_file() && item.entry.size() <= TEXT) {
        let Some(rest) = left.checked_sub(item.entry.size()) else { break };
        left = rest;
        let Some(text) = known.text(item.entry) else { continue };
        let secrets: Vec<_> = find(path, &text).into_iter().filter(|secret| secret.kind == kind).collect();
        let Some(first) = secrets.first() else { continue };
        let places = secrets.iter().skip(1).map(|secret| known.at(item.entry, Some(secret.line)));
        let places: Vec<Place> = places.take(20).collect();
        let place = known.at(item.entry, Some(first.line));
        let what = format!("{} has {}.", path.display(), first.what);
        let consequence = "It will be on the image: whoever gets the image can read it and use it.";
        let (says, edit) = leave_out(known, path, item);
        found.push(LintFinding::warning(place, what, consequence).fixed_by(says, edit).seen_at(places));
    }
    found
}

/// The edit that keeps a file off the image.
fn leave_out(known: &Known<'_>, path: &Path, item: Item<'_>) -> (String, Option<Edit>) {
    let exclude = || {
        let below = item.entry.path.to_str()?;
        // The pattern means this file alone, as in .gitignore.
        let special = below.contains(['*', '?', '[', '\\', '!', '#']) || below.ends_with(' ');
        (!special).then(|| known.add_to("source.exclude", format!("/{below}"))).flatten()
    };
    match item.origin {
        Origin::Injected => (format!("Leave /{} out of the repository", item.entry.path.display()), exclude()),
        Origin::Airootfs => (format!("Leave {} out of the image", path.display()), known.leave_out(item.entry)),
        Origin::Extra => {
            let files = known.subject.extra_files.iter().filter(|it| it.path != item.entry.path);
            let table: Option<toml::Table> = files
                .map(|it| {
                    let from = it.from.strip_prefix(known.subject.root).unwrap_or(&it.from);
                    Some((it.path.to_str()?.to_owned(), toml::Value::from(from.to_str()?)))
                })
                .collect();
            let edit = table.map(|table| Edit::SetCartridgeField {
                key: "image.files".to_owned(),
                value: if table.is_empty() { String::new() } else { toml::Value::Table(table).to_string() },
            });
            (format!("Take {} out of image.files", path.display()), edit)
        }
    }
}

fn private_keys(known: &Known<'_>) -> Vec<LintFinding> {
    all(known, Kind::PrivateKey)
}

fn tokens(known: &Known<'_>) -> Vec<LintFinding> {
    all(known, Kind::Token)
}

fn credentials(known: &Known<'_>) -> Vec<LintFinding> {
    all(known, Kind::Credentials)
}

//! Rules about secrets that would be on the image. Whoever gets an image reads all of it, whatever modes its files
//! have. What is found is never repeated: a finding says which kind it is and on which line.

use std::path::{Path, PathBuf};

use super::edit::Edit;
use super::finding::LintFinding;
use super::known::{Item, Known, Origin, TEXT};
use super::rule::Rule;
use super::secret_patterns::{Kind, Secret, by_name, find};

pub(super) const RULES: &[Rule] = &[
    Rule::new("secret-private-key", "a private key", private_keys),
    Rule::new("secret-token", "a token of a known service", tokens),
    Rule::new("secret-credentials", "a file of credentials", credentials),
];

/// The most that is read of the repository, bytes.
const MOST: u64 = 64 << 20;

/// A file with secrets.
pub(super) struct FileSecrets<'a> {
    path: PathBuf,
    item: Item<'a>,
    secrets: Vec<Secret>,
}

/// Looks through all files of the image that we know.
pub(super) fn read_secrets<'a>(known: &Known<'a>) -> Vec<FileSecrets<'a>> {
    let mut left = MOST;
    let mut found = Vec::new();
    for (path, item) in looked_at(known).take_while(|_| known.goes_on()) {
        let Some(rest) = left.checked_sub(item.entry.size()) else { break };
        left = rest;
        let mut secrets = known.text(item.entry).map(|text| find(path, &text)).unwrap_or_default();
        secrets.extend(by_name(path).filter(|_| item.entry.size() > 0 && secrets.is_empty()));
        if !secrets.is_empty() {
            found.push(FileSecrets { path: path.to_path_buf(), item, secrets });
        }
    }
    found
}

/// The files that are looked through while they are not too much.
fn looked_at<'k, 'a>(known: &'k Known<'a>) -> impl Iterator<Item = (&'k Path, Item<'a>)> {
    known.image().filter(|(_, item)| item.entry.is_file() && item.entry.size() <= TEXT)
}

/// Says where the search ended, if that was before the last file.
fn cut(known: &Known<'_>) -> Option<LintFinding> {
    let mut bytes = 0;
    let (_, first) = looked_at(known).find(|(_, item)| {
        bytes += item.entry.size();
        bytes > MOST
    })?;
    let what =
        format!("Secrets were looked for in the first {} MiB of the image's small files, up to here.", MOST >> 20);
    let consequence = "Of the rest it is not known; source.exclude leaves out what need not be on the image.";
    Some(LintFinding::note(known.at(first.entry, None), what, consequence))
}

/// What is found of a kind, once a file.
fn all(known: &Known<'_>, kind: Kind) -> Vec<LintFinding> {
    let mut found = Vec::new();
    for file in known.secrets() {
        let mut secrets = file.secrets.iter().filter(|secret| secret.kind == kind);
        let Some(first) = secrets.next() else { continue };
        let (path, entry) = (&file.path, file.item.entry);
        let what = format!("{} has {}.", path.display(), first.what);
        let consequence = "It will be on the image: whoever gets the image can read it and use it.";
        let (says, edit) = leave_out(known, path, file.item);
        found.push(
            LintFinding::warning(known.at(entry, Some(first.line)), what, consequence)
                .fixed_by(says, edit)
                .seen_at(secrets.take(20).map(|secret| known.at(entry, Some(secret.line)))),
        );
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
    let mut found = all(known, Kind::Token);
    found.extend(cut(known));
    found
}

fn credentials(known: &Known<'_>) -> Vec<LintFinding> {
    all(known, Kind::Credentials)
}

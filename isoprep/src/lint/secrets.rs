//! Rules about secrets that would be on the image. Whoever gets an image reads all of it, whatever modes its files
//! have. What is found is never repeated: a finding says which kind it is and on which line.

use std::path::{Path, PathBuf};

use super::edit::Edit;
use super::finding::LintFinding;
use super::known::{Item, Known, Origin};
use super::rule::Rule;
use super::secret_files::{by_name, env_secret};
use super::secret_patterns::{Kind, Secret, find, token};

pub(super) const RULES: &[Rule] = &[
    Rule::new("secret-private-key", "a private key", private_keys),
    Rule::new("secret-token", "a token of a known service", tokens),
    Rule::new("secret-credentials", "a file of credentials", credentials),
];

/// The sources that decide what is found in the same files, and how it is told.
const SOURCES: [&[u8]; 6] = [
    include_bytes!("finding.rs"),
    include_bytes!("gather.rs"),
    include_bytes!("known.rs"),
    include_bytes!("secret_files.rs"),
    include_bytes!("secret_patterns.rs"),
    include_bytes!("secrets.rs"),
];
/// Changes whenever the same files could be judged in another way: what was found by other rules is not believed.
pub(crate) const RULES_HASH: u64 = fnv(&SOURCES);

/// FNV-1a (RFC 9923, section 3) of all of them, computed by the compiler.
const fn fnv(sources: &[&[u8]]) -> u64 {
    let (mut hash, mut source) = (0xcbf2_9ce4_8422_2325_u64, 0);
    while source < sources.len() {
        let (bytes, mut at) = (sources[source], 0);
        while at < bytes.len() {
            hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
            at += 1;
        }
        source += 1;
    }
    hash
}

/// The most that is read of the image's files, bytes.
const MOST: u64 = 64 << 20;
/// The most that is read of one of them, bytes: what people write is smaller.
const HEAD: u64 = 1 << 20;

/// A file with secrets.
pub(super) struct FileSecrets<'a> {
    path: PathBuf,
    item: Item<'a>,
    secrets: Vec<Secret>,
}

/// Looks through all files of the image that we know: through their names always, and through what is in them while that is not
/// too much.
pub(super) fn read_secrets<'a>(known: &Known<'a>) -> Vec<FileSecrets<'a>> {
    let mut found = Vec::new();
    for (path, item, read) in looked_at(known).into_iter().take_while(|_| known.goes_on()) {
        let content = if read { known.head(item.entry, HEAD) } else { None };
        let mut secrets = content.map(|content| find(path, &content)).unwrap_or_default();
        secrets.extend(by_name(path).filter(|_| item.entry.size() > 0 && secrets.is_empty()));
        if !secrets.is_empty() {
            found.push(FileSecrets { path: path.to_path_buf(), item, secrets });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The files, the smallest first, and whether there is room to read them.
fn looked_at<'k, 'a>(known: &'k Known<'a>) -> Vec<(&'k Path, Item<'a>, bool)> {
    let mut files: Vec<_> = known.image().filter(|(_, item)| item.entry.is_file()).collect();
    files.sort_by_key(|(path, item)| (item.entry.size(), *path));
    let mut bytes = 0;
    let read = |(path, item): (&'k Path, Item<'a>)| {
        bytes += item.entry.size().min(HEAD);
        (path, item, bytes <= MOST)
    };
    files.into_iter().map(read).collect()
}

/// Says where the search ended, if that was before the last file.
fn cut(known: &Known<'_>) -> Option<LintFinding> {
    let (_, first, _) = looked_at(known).into_iter().find(|(_, _, read)| !read)?;
    let what = format!(
        "Secrets were looked for in {} MiB of the image's files, in the smallest first, and not in this one and larger ones.",
        MOST >> 20
    );
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
        Origin::Airootfs if !known.subject.engine.takes_a_profile() => (String::new(), None),
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
    let mut found = all(known, Kind::Credentials);
    found.extend(environment(known));
    found
}

/// Variables of `image.env` with a secret in them.
fn environment<'k>(known: &'k Known<'_>) -> impl Iterator<Item = LintFinding> + 'k {
    let secret = |(name, value): &(&String, &String)| env_secret(&format!("{name}={value}")) || token(value).is_some();
    known.subject.env.iter().filter(secret).map(|(name, _)| {
        let what = format!("image.env gives {name} a value that looks like a secret.");
        let consequence = "It will be on the image: whoever gets the image can read it and use it.";
        LintFinding::warning(known.at_field(&format!("image.env.{name}")), what, consequence)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_these_rules_counts() {
        // As draft-eastlake-fnv has it: of nothing, and of "a".
        assert_eq!((fnv(&[]), fnv(&[b"a"])), (0xcbf2_9ce4_8422_2325, 0xaf63_dc4c_8601_ec8c));
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lint");
        let files = std::fs::read_dir(sources).unwrap().flatten();
        let of_secrets = files.filter(|it| it.file_name().to_str().unwrap().starts_with("secret"));
        let counted = of_secrets.filter(|it| SOURCES.contains(&&*std::fs::read(it.path()).unwrap())).count();
        assert_eq!(counted, 3, "a file of rules that is not hashed");
        assert_ne!(RULES_HASH, fnv(&SOURCES[1..]));
    }
}

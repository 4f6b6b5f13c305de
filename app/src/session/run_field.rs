//! Fields of the cartridge that are set for one run, by options of the command line. What is wrong with such a value is told with
//! its option, and what it makes wrong elsewhere with the line in the file as it is: no file has what was set. Pure.

use std::path::Path;

use isoprep::{EditError, Finding, Recipe};

use super::event::Failure;
use super::failure;

/// A field that is set for one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunField {
    /// The field: "guest.memory".
    pub key: String,
    /// Its value as a form takes it; empty: the field is left out.
    pub value: String,
    /// The option that sets it, as it was written: "--memory 1K".
    pub by: String,
}

impl RunField {
    /// One of `--set`.
    #[must_use]
    pub fn set(key: &str, value: &str) -> Self {
        Self { key: key.to_owned(), value: value.to_owned(), by: format!("--set {key}={value}") }
    }

    /// Whether a finding about `key` is about this value: one about `guest.forward.web` is about `guest.forward`.
    fn owns(&self, key: &str) -> bool {
        let rest = key.strip_prefix(&self.key).filter(|_| !self.value.is_empty());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

/// `text` with all of them set.
///
/// # Errors
/// The first that cannot be, and why.
pub(super) fn apply<'a>(text: &str, fields: &'a [RunField]) -> Result<String, (&'a RunField, EditError)> {
    fields.iter().try_fold(text.to_owned(), |text, field| {
        isoprep::set_field(&text, &field.key, &field.value).map_err(|error| (field, error))
    })
}

/// What the file has wrong itself, where that is why a field cannot be set in it.
fn of_the_file(text: &str, root: &Path, error: &EditError) -> Option<Vec<Finding>> {
    let of_text = matches!(error, EditError::Syntax(_) | EditError::Tangled { .. } | EditError::NotASection { .. });
    isoprep::parse(text, root).err().filter(|_| of_text).map(|error| error.findings)
}

/// What is wrong where a field cannot be set in `text`, for people: the file itself, or that field.
pub(super) fn unset(text: &str, root: &Path, field: &RunField, error: &EditError) -> Failure {
    match of_the_file(text, root, error) {
        Some(findings) => failure::of_findings(&findings),
        None => failure::of_run_field(field, error),
    }
}

/// The same as findings.
pub(super) fn unset_findings(text: &str, root: &Path, field: &RunField, error: &EditError) -> Vec<Finding> {
    of_the_file(text, root, error).unwrap_or_else(|| {
        let (key, message) = (field.key.clone(), error.to_string());
        vec![Finding { line: None, column: None, key, message, advice: String::new() }]
    })
}

/// The recipe of `text` with all of them set, and its text.
///
/// # Errors
/// What is wrong with it, or with one of them, ready to be shown.
pub(crate) fn recipe(text: &str, root: &Path, fields: &[RunField]) -> Result<(Recipe, String), Failure> {
    let set = apply(text, fields).map_err(|(field, error)| unset(text, root, field, &error))?;
    let wrong = |findings| failure_of(&placed(findings, text, root, fields), text, root, fields);
    let recipe = isoprep::parse(&set, root).map_err(|error| wrong(error.findings))?;
    Ok((recipe, set))
}

/// What is wrong with the text that `fields` were set in, for people; `findings` are [`placed`].
pub(super) fn failure_of(findings: &[Finding], text: &str, root: &Path, fields: &[RunField]) -> Failure {
    let told = failure::of_run_findings(findings, fields);
    if to_blame(findings, text, root, fields) { failure::of_wrong_run(told) } else { told }
}

/// What sets the value that a finding is about, if an option does.
pub(super) fn setter<'a>(finding: &Finding, fields: &'a [RunField]) -> Option<&'a RunField> {
    fields.iter().rev().find(|field| field.owns(&finding.key))
}

/// What is wrong with the text that `fields` were set in, with the places of the file's own `text`.
pub(super) fn placed(findings: Vec<Finding>, text: &str, root: &Path, fields: &[RunField]) -> Vec<Finding> {
    if fields.is_empty() {
        return findings;
    }
    let own = isoprep::parse(text, root).err().map(|error| error.findings).unwrap_or_default();
    let same = |one: &Finding, other: &Finding| one.key == other.key && one.message == other.message;
    let place = |finding: Finding| {
        let nowhere = Finding { line: None, column: None, ..finding };
        if setter(&nowhere, fields).is_some() {
            return vec![nowhere];
        }
        if let Some(own) = own.iter().find(|own| same(own, &nowhere)) {
            return vec![own.clone()];
        }
        // The file alone is well: the option can be had without what stands there.
        let advice = format!("for this run: --set {}=", nowhere.key);
        let written = isoprep::get_field(text, &nowhere.key).is_some();
        let advice = if written { format!("{}; {advice}", nowhere.advice) } else { nowhere.advice.clone() };
        isoprep::recipe::locate(text, vec![Finding { advice, ..nowhere }])
    };
    findings.into_iter().flat_map(place).collect()
}

/// Whether all of it is wrong only because of `fields`; `findings` are [`placed`].
fn to_blame(findings: &[Finding], text: &str, root: &Path, fields: &[RunField]) -> bool {
    let own = isoprep::parse(text, root).err().map(|error| error.findings).unwrap_or_default();
    !fields.is_empty() && !findings.iter().any(|finding| own.contains(finding))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "/home/u/p";

    fn wrong(text: &str, fields: &[RunField]) -> (Vec<Finding>, bool) {
        let set = apply(text, fields).unwrap();
        let found = isoprep::parse(&set, Path::new(ROOT)).unwrap_err().findings;
        let placed = placed(found, text, Path::new(ROOT), fields);
        let blame = to_blame(&placed, text, Path::new(ROOT), fields);
        (placed, blame)
    }

    #[test]
    fn a_wrong_value_has_no_line_and_is_its_options() {
        let fields = [RunField { by: "--memory 1K".into(), ..RunField::set("guest.memory", "1K") }];
        let (found, blame) = wrong("", &fields);
        assert_eq!((found.len(), found[0].line, blame), (1, None, true));
        assert_eq!(setter(&found[0], &fields).unwrap().by, "--memory 1K");
        let forward = [RunField::set("guest.forward", "{ web = \"x\" }")];
        let (found, _) = wrong("name = \"x\"", &forward);
        assert_eq!((found[0].key.as_str(), setter(&found[0], &forward).is_some()), ("guest.forward.web", true));
    }

    #[test]
    fn what_an_option_makes_wrong_has_the_files_line_and_the_way_out() {
        let text = "name = \"x\"\n\n[boot]\nway = \"kernel\"\ncmdline = \"quiet\"\n";
        let (found, blame) = wrong(text, &[RunField::set("guest.cpus", "2"), RunField::set("boot.way", "image")]);
        assert_eq!((found.len(), found[0].key.as_str(), found[0].line, blame), (1, "boot.cmdline", Some(5), true));
        assert!(found[0].advice.ends_with("; for this run: --set boot.cmdline="), "{found:?}");
        let both = [RunField::set("boot.way", "image"), RunField::set("boot.cmdline", "")];
        assert!(isoprep::parse(&apply(text, &both).unwrap(), Path::new(ROOT)).is_ok());
    }

    #[test]
    fn what_the_file_has_wrong_itself_stays_its_own() {
        // The option adds lines before it.
        let text = "[guest]\ncpus = 1\n\n[boot]\nway = \"fodler\"\n";
        let (found, blame) = wrong(text, &[RunField::set("guest.memory", "1G")]);
        assert_eq!((found.len(), found[0].line, blame), (1, Some(5), false));
        // A file that is no TOML takes no field: that is no fault of the option.
        let failure =
            recipe("name = \"x\"\n[guest\n", Path::new(ROOT), &[RunField::set("guest.cpus", "2")]).unwrap_err();
        assert_eq!(failure.exit_code, failure::exit_code::CARTRIDGE, "{failure:?}");
        assert!(failure.detail.contains("2:7") && !failure.detail.contains("--set"), "{failure:?}");
        let value = recipe("", Path::new(ROOT), &[RunField::set("guest.cpus", "two")]).unwrap_err();
        assert_eq!(value.exit_code, failure::exit_code::USAGE, "{value:?}");
    }
}

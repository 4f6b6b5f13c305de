//! The inserted cartridge: its file, the text with the user's changes, and what it parses to.

use std::path::{Path, PathBuf};

use isoprep::{CartridgeFile, FIELDS, Finding, Recipe};

use super::event::{CartridgeView, Failure, FieldView, FindingView};
use super::run_field::{self, RunField};

/// A cartridge in the console.
#[derive(Clone, Debug)]
pub(super) struct Inserted {
    pub(super) file: CartridgeFile,
    /// The file's text with the changes that were not saved.
    pub(super) text: String,
    pub(super) builtin: bool,
    pub(super) recipe: Result<Recipe, Vec<Finding>>,
    /// Fields that were set for this run; the text has them.
    pub(super) fields: Vec<RunField>,
}

/// What a change of the file by another program means.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum OnDisk {
    /// There is none.
    Same,
    /// There are changes of the user's that are not saved: one of the two gets lost.
    Unsaved,
    /// It has errors, and what is in use has none.
    Broken(Vec<Finding>),
    /// It can be taken over.
    New,
}

impl Inserted {
    /// A cartridge with fields set for this run.
    pub(super) fn new(file: CartridgeFile, builtin: bool, fields: Vec<RunField>) -> Result<Self, Failure> {
        let root = file.file.parent().unwrap_or(Path::new("/"));
        let unset = |(field, error)| run_field::unset(&file.text, root, field, &error);
        let text = run_field::apply(&file.text, &fields).map_err(unset)?;
        let mut inserted = Self { file, text, builtin, recipe: Err(Vec::new()), fields };
        inserted.parse();
        Ok(inserted)
    }

    /// What is wrong with it, for people.
    pub(super) fn failure(&self) -> Option<Failure> {
        let findings = self.recipe.as_ref().err()?;
        if let Err((field, error)) = run_field::apply(&self.file.text, &self.fields) {
            return Some(run_field::unset(&self.file.text, &self.root(), field, &error));
        }
        Some(run_field::failure_of(findings, &self.file.text, &self.root(), &self.fields))
    }

    /// The folder of the cartridge's file.
    pub(super) fn root(&self) -> PathBuf {
        self.file.file.parent().unwrap_or_else(|| Path::new("/")).to_owned()
    }

    pub(super) fn dirty(&self) -> bool {
        self.text != self.file.text
    }

    /// Replaces the text with the changes.
    pub(super) fn edit(&mut self, text: String) {
        self.text = text;
        self.parse();
    }

    /// What the file's text, as it is on the disk, means for what is in use.
    pub(super) fn on_disk(&self, text: &str) -> OnDisk {
        if text == self.file.text {
            return OnDisk::Same;
        }
        if self.dirty() && self.fields.is_empty() {
            return OnDisk::Unsaved;
        }
        let root = self.root();
        let found = match run_field::apply(text, &self.fields) {
            Ok(text) => isoprep::parse(&text, &root).map_err(|error| error.findings),
            Err((field, error)) => Err(run_field::unset_findings(text, &root, field, &error)),
        };
        match found {
            // What is in use has errors already: the newer ones count.
            Err(findings) if self.recipe.is_ok() => OnDisk::Broken(findings),
            _ => OnDisk::New,
        }
    }

    /// Takes over what the file says now, unless there are changes of the user's; what was set for this run stays set. Says
    /// whether anything is new.
    pub(super) fn refresh(&mut self, on_disk: String) -> bool {
        if on_disk == self.file.text || (self.dirty() && self.fields.is_empty()) {
            return false;
        }
        let set = run_field::apply(&on_disk, &self.fields);
        let unset = |(field, error)| run_field::unset_findings(&on_disk, &self.root(), field, &error);
        let set = set.map_err(unset);
        self.file.text = on_disk;
        match set {
            Ok(text) => self.edit(text),
            // What was in use is not what was asked for.
            Err(findings) => {
                self.text.clone_from(&self.file.text);
                self.recipe = Err(findings);
            }
        }
        true
    }

    /// The text is in the file now.
    pub(super) fn saved(&mut self) {
        self.file.text.clone_from(&self.text);
        self.file.exists = true;
    }

    pub(super) fn name(&self) -> String {
        match &self.recipe {
            Ok(recipe) => recipe.name.clone(),
            Err(_) => self.root().file_name().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }

    pub(super) fn view(&self) -> CartridgeView {
        let findings = match &self.recipe {
            Ok(_) => Vec::new(),
            Err(findings) => findings.iter().map(finding_view).collect(),
        };
        CartridgeView {
            file: self.file.file.clone(),
            name: self.name(),
            root: self.root(),
            into: self.recipe.as_ref().map(|r| r.source.into.to_string_lossy().into_owned()).unwrap_or_default(),
            exists: self.file.exists,
            proposed: if self.file.exists {
                Vec::new()
            } else {
                isoprep::proposal_now(&self.file.proposed, &self.file.text, &self.text)
            },
            dirty: self.dirty(),
            builtin: self.builtin,
            text: self.text.clone(),
            fields: FIELDS.iter().map(|doc| self.field(doc.key, doc.default, &findings)).collect(),
            findings,
        }
    }

    fn field(&self, key: &str, default: &str, findings: &[FindingView]) -> FieldView {
        let written = isoprep::get_field(&self.text, key);
        FieldView {
            key: key.to_owned(),
            is_default: written.is_none(),
            value: written.unwrap_or_else(|| default.to_owned()),
            error: findings.iter().find(|f| is_of(&f.key, key)).map(|f| f.message.clone()),
        }
    }

    fn parse(&mut self) {
        let root = self.root();
        let placed = |findings| run_field::placed(findings, &self.file.text, &root, &self.fields);
        self.recipe = isoprep::parse(&self.text, &root).map_err(|error| placed(error.findings));
    }
}

/// Whether a finding about `found` belongs to the field `key`: `guest.forward.web` does to `guest.forward`.
fn is_of(found: &str, key: &str) -> bool {
    found.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

pub(super) fn finding_view(finding: &Finding) -> FindingView {
    FindingView {
        line: finding.line,
        key: finding.key.clone(),
        message: finding.message.clone(),
        advice: finding.advice.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::failure::exit_code;

    #[test]
    fn a_file_that_no_field_can_be_set_in_any_more_is_told_with_its_line_and_not_passed_over() {
        let file = "/home/u/p/cartridge.toml".into();
        let file = CartridgeFile { file, text: "[guest]\ncpus = 1\n".into(), exists: true, proposed: Vec::new() };
        let mut inserted = Inserted::new(file, false, vec![RunField::set("guest.memory", "1G")]).unwrap();
        let broken = "[guest]\ncpus = = 4\n";
        let OnDisk::Broken(findings) = inserted.on_disk(broken) else { panic!("{:?}", inserted.on_disk(broken)) };
        assert_eq!(findings[0].line, Some(2), "{findings:?}");
        assert!(inserted.refresh(broken.into()));
        let failure = inserted.failure().unwrap();
        assert_eq!(failure.exit_code, exit_code::CARTRIDGE, "{failure:?}");
        assert!(failure.detail.contains("cartridge.toml:2:") && !failure.detail.contains("--set"), "{failure:?}");
        // Mended, what was set for this run is set again.
        let mended = "[guest]\ncpus = 4\n";
        assert_eq!(inserted.on_disk(mended), OnDisk::New);
        assert!(inserted.refresh(mended.into()) && inserted.failure().is_none());
        let guest = inserted.recipe.unwrap().guest;
        assert_eq!((guest.cpus, guest.memory_mib), (4, 1024));
    }
}

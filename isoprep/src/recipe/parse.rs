//! Turns the text of a `cartridge.toml` into a [`Recipe`]: every value judged, every finding kept.

use std::path::Path;

use super::finding::RecipeError;
use super::judge::Judge;
use super::model::{Live, Recipe, Source};
use super::open::FILE_NAME;
use super::reader::entries;
use super::values;

/// Reads a recipe. `root` is the absolute folder of the file: relative paths start there. Nothing on the disk is looked
/// at; that is [`check`](super::check())'s work. An empty text is a working cartridge.
///
/// # Errors
/// [`RecipeError`] with everything that is wrong, in the order of the file.
pub fn parse(text: &str, root: &Path) -> Result<Recipe, RecipeError> {
    let (entries, findings) = entries(text);
    let mut judge = Judge { text, root, entries, findings };
    let recipe = judge.recipe();
    if judge.findings.is_empty() {
        return Ok(recipe);
    }
    judge.findings.sort_by_key(|finding| (finding.line, finding.column));
    Err(RecipeError { file: root.join(FILE_NAME), findings: judge.findings })
}

impl Judge<'_> {
    /// Every field is read, whatever is wrong with the others; a bad one counts as not set.
    fn recipe(&mut self) -> Recipe {
        let folder = self.root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name = self.text("name", values::name).unwrap_or_else(|| values::safe_name(&folder));
        let root = self.root;
        let engine = self.engine();
        let source = Source {
            path: self.text("source.path", |text| values::inside(text, root)).unwrap_or_else(|| root.to_owned()),
            into: self
                .text("source.into", |text| values::guest_folder(text, engine))
                .unwrap_or_else(|| Path::new("/root").join(&name)),
            exclude: self.list("source.exclude", values::pattern),
            live: self.choice("source.live", Live::Off, &[Live::ReadOnly, Live::Overlaid, Live::Writable]),
        };
        let image = self.image(engine, &source.into);
        let boot = self.boot();
        self.refuse_layers_of_no_image(engine, &boot);
        self.refuse_a_kept_disk_in(&source.path, &boot);
        let guest = self.guest();
        let test = self.test();
        Recipe { name, root: root.to_owned(), source, image, boot, guest, test }
    }
}

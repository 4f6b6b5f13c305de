//! What decides what is on a disc, without reading what a key stands for already: every file of it, whoever brought it.

use std::path::Path;

use cartridge_treehash::{TreeHash, hash_content};

use super::{BuildError, Stages};
use crate::engine;
use crate::progress::{Meter, Reporter};
use crate::stage::disc;
use crate::stage::hashing::{self, Fingerprinter};
use crate::stage::loaders::Disc;

impl Stages<'_> {
    /// For the key of the boot loaders' part; and for that of the disc, besides.
    pub(super) fn described(&self, layout: &Disc) -> Result<(Vec<u8>, Vec<TreeHash>), BuildError> {
        let reporter = Reporter::new(engine::BOOTLOADER, self.cancel, self.progress);
        let in_cache = BuildError::io(reporter.stage, "open the index in", &self.request.cache);
        let mut prints = Fingerprinter::open(&self.cache, "disc").map_err(in_cache)?;
        let mut content = self.content_by(&mut prints, &reporter);
        let described = (disc::description(layout, &mut content)?, disc::contents(layout, &mut content)?);
        drop(content);
        // Losing it costs a moment next time, no more.
        if let Err(e) = prints.save() {
            reporter.line(format!("warning: the cache cannot remember what was read: {e}"));
        }
        Ok(described)
    }

    /// For the key of the EFI system partition alone.
    pub(super) fn described_efi(&self, layout: &Disc, reporter: &Reporter<'_>) -> Result<Vec<u8>, BuildError> {
        let in_cache = BuildError::io(reporter.stage, "open the index in", &self.request.cache);
        // What is remembered is what the whole disc needs.
        let mut prints = Fingerprinter::open(&self.cache, "disc").map_err(in_cache)?;
        disc::efi_description(layout, &mut self.content_by(&mut prints, reporter))
    }

    /// Tells contents: of a result by its place in the cache, of what lies in the work directory by reading it, of the rest by
    /// what `prints` knows.
    fn content_by<'c>(
        &'c self,
        prints: &'c mut Fingerprinter,
        reporter: &'c Reporter<'c>,
    ) -> impl FnMut(&Path) -> Result<TreeHash, BuildError> + 'c {
        let meter = Meter::new(reporter, 0);
        move |file: &Path| {
            if let Ok(result) = file.strip_prefix(&self.request.cache) {
                return Ok(TreeHash(*blake3::hash(result.as_os_str().as_encoded_bytes()).as_bytes()));
            }
            let read = if file.starts_with(&self.request.work) {
                // A copy of its own in each build: there is nothing to remember.
                hashing::open_part(file).and_then(|open| hash_content(meter.watch(open))).map(|it| it.0)
            } else {
                prints.of(file, &meter).map(|it| it.0)
            };
            reporter.go_on()?;
            read.map_err(BuildError::io(reporter.stage, "read", file))
        }
    }
}

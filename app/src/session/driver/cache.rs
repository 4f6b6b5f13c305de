//! What the cache holds, and emptying it: at the side of everything else.

use std::io;
use std::path::Path;

use isoprep::{CacheRow, CacheView};
use vmtools::template::{self, Template};

use super::Driver;
use crate::session::event::{Event, Side};
use crate::session::failure;

impl Driver {
    pub(super) fn view_cache(&mut self, clean: bool) {
        let (stages, templates, side) = (self.paths.stages(), self.paths.templates(), self.side.0.clone());
        let path = self.paths.cache.clone();
        self.beside.run(move |_| {
            let event = match look(&stages, &templates, clean) {
                Ok((view, freed)) => Event::CacheViewed { path, view, freed },
                Err(error) => Event::SideFailed { side: Side::Cache, failure: failure::of_cache(&path, clean, &error) },
            };
            // The session may have ended meanwhile.
            let _ = side.blocking_send(event);
        });
    }
}

/// What is in the cache, and how much of it was freed if it was to be cleaned. A guest that came of a template goes on without.
fn look(stages: &Path, templates: &Path, clean: bool) -> io::Result<(CacheView, Option<u64>)> {
    let bytes = |templates: &[Template]| templates.iter().map(Template::bytes).sum::<u64>();
    let mut freed = None;
    if clean {
        let results = isoprep::clean_cache(stages)?;
        let old = template::list(templates);
        let before = bytes(&old);
        old.iter().for_each(template::remove);
        freed = Some(results + before - bytes(&template::list(templates)).min(before));
    }
    let mut view = isoprep::view_cache(stages)?;
    let kept = template::list(templates);
    if !kept.is_empty() {
        let row = CacheRow { what: "template guests".to_owned(), results: kept.len(), bytes: bytes(&kept) };
        view.bytes += row.bytes;
        view.rows.push(row);
    }
    Ok((view, freed))
}

//! What the cache holds, and emptying it: at the side of everything else.

use super::Driver;
use crate::session::event::{Event, Side};
use crate::session::failure;

impl Driver {
    pub(super) fn view_cache(&self, clean: bool) {
        let (path, side) = (self.paths.stages(), self.side.0.clone());
        tokio::task::spawn_blocking(move || {
            let freed = if clean { isoprep::clean_cache(&path).map(Some) } else { Ok(None) };
            let seen = freed.and_then(|freed| isoprep::view_cache(&path).map(|view| (view, freed)));
            let event = match seen {
                Ok((view, freed)) => Event::CacheViewed { path, view, freed },
                Err(error) => Event::SideFailed { side: Side::Cache, failure: failure::of_cache(&path, clean, &error) },
            };
            // The session may have ended meanwhile.
            let _ = side.blocking_send(event);
        });
    }
}

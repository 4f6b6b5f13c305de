//! Boots without a boot loader: what is asked for, what it is prepared from, and what an ISO offers.

use std::path::{Path, PathBuf};

use isoprep::contents::{Watch, boot_menu};
use isoprep::{Cancel, Recipe};

use super::Driver;
use crate::session::direct::{DirectWish, MenuView};
use crate::session::event::{Event, Failure};
use crate::session::failure::internal;
use crate::session::run_field::{self, RunField};
use crate::session::state::Goal;

impl Driver {
    /// Works towards a guest that is booted so.
    pub(super) async fn boot_direct(&mut self, wish: DirectWish) {
        let goal = if wish.needs_image() { Goal::Boot } else { Goal::Direct };
        self.ask(goal, false, Some(wish)).await;
    }

    /// What a goal is prepared from: the cartridge with the fields that were set for this boot alone. A direct boot needs no
    /// cartridge.
    pub(super) fn recipe_for(&self, goal: Goal, wish: Option<&DirectWish>) -> Result<(Recipe, String), Failure> {
        let fields = wish.map(|wish| wish.fields.as_slice()).unwrap_or_default();
        let inserted = self.inserted.as_ref().filter(|inserted| inserted.recipe.is_ok());
        let (own, root) = match inserted {
            Some(inserted) => (inserted.text.clone(), inserted.root()),
            None if goal == Goal::Direct => (String::new(), Path::new("/").to_owned()),
            None => return Err(internal("Nothing is inserted", &"the cartridge has errors")),
        };
        run_field::recipe(&own, &root, fields)
    }

    /// All that was set for this run: with the cartridge, and for this boot alone.
    pub(super) fn run_fields(&self) -> Vec<RunField> {
        self.run_fields_with(self.wish.as_ref())
    }

    /// The same for a boot that is wished and has not begun.
    pub(super) fn run_fields_with(&self, wish: Option<&DirectWish>) -> Vec<RunField> {
        let inserted = self.inserted.iter().flat_map(|it| &it.fields);
        inserted.chain(wish.iter().flat_map(|wish| &wish.fields)).cloned().collect()
    }

    /// Reads what an ISO offers to boot, off the driver.
    pub(super) fn read_menu(&self, iso: PathBuf) {
        let side = self.side.0.clone();
        tokio::task::spawn_blocking(move || {
            let read = boot_menu(&iso, &Watch { cancel: &Cancel::new(), tell: &|_| () });
            let (menu, error) = match read {
                Ok(menu) => (Some(menu), None),
                Err(error) => (None, Some(error.to_string())),
            };
            // The session may have ended meanwhile.
            let _ = side.blocking_send(Event::MenuRead { view: MenuView { iso, menu, error } });
        });
    }
}

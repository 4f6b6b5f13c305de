//! The command that boots a cartridge's last image by itself in a terminal, without a session.

use isoprep::{Cancel, Recipe};

use super::built::{Built, IMAGE_RECORD};
use super::event::{Failure, Level};
use super::failure::exit_code;
use super::jobs;
use crate::paths::Paths;

/// The command, and what should be known about it. Makes kept disks that are not there yet. Blocks for seconds at most.
///
/// # Errors
/// A failure to be shown: nothing was built, or this host lacks something that the guest needs.
pub(crate) fn standalone(paths: &Paths, recipe: &Recipe) -> Result<(String, Vec<(Level, String)>), Failure> {
    let record = paths.images_of(&recipe.name, &recipe.root).join(IMAGE_RECORD);
    let Some(built) = Built::load(&record) else {
        return Err(Failure {
            title: "There is no image to boot".into(),
            detail: format!("{} tells of none that is there", record.display()),
            advice: Some("Build it first".into()),
            command: Some("cartridge build".into()),
            pane: None,
            exit_code: exit_code::CARTRIDGE,
        });
    };
    let mut notices = Vec::new();
    let (hardware, _) = jobs::hardware(recipe, paths, &Cancel::new(), &mut notices)?;
    Ok((hardware.standalone(&vmtools::Boot::Iso(built.image.iso)), notices))
}

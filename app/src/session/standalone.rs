//! The command that boots a cartridge's last image, or what is booted directly, by itself in a terminal, without a session.

use std::sync::OnceLock;

use isoprep::{Cancel, Recipe};
use vmtools::{Boot, GuestPlan, Sharing};

use super::built::{Built, IMAGE_RECORD};
use super::direct::DirectWish;
use super::event::{Failure, Level};
use super::failure;
use super::jobs::{self, Hardware, direct};
use super::run_field::RunField;
use crate::paths::Paths;

/// The command, and what should be known about it. `wish` is a boot without a boot loader that goes before the cartridge's own
/// `[boot]`, `fields` were set in the recipe for this run. Makes kept disks that are not there yet, and what a direct boot needs. Blocks for seconds.
///
/// # Errors
/// A failure to be shown: nothing was built, this host lacks something that the guest needs, or no line boots it by itself.
pub(crate) fn standalone(
    paths: &Paths,
    (recipe, fields): (&Recipe, &[RunField]),
    wish: Option<DirectWish>,
) -> Result<(String, Vec<(Level, String)>), Failure> {
    let named = DirectWish::named_for_run(wish.as_ref(), fields);
    let wish = DirectWish::chosen(wish, &recipe.boot);
    let findings = isoprep::check_boot(recipe);
    if !findings.is_empty() {
        return Err(failure::of_findings(&findings));
    }
    let record = paths.images_of(&recipe.name, &recipe.root).join(IMAGE_RECORD);
    let built = Built::load(&record).filter(|_| wish.as_ref().is_none_or(DirectWish::needs_image));
    if built.is_none() && wish.as_ref().is_none_or(DirectWish::needs_image) {
        let tried = format!("{} tells of none that is there", record.display());
        return Err(Failure { detail: tried, ..failure::no_image() });
    }
    let (mut notices, cancel) = (Vec::new(), Cancel::new());
    let (hardware, _) = jobs::hardware(recipe, paths, &cancel, &mut notices)?;
    let image = built.map(|it| it.image);
    let Some(wish) = wish else {
        let boot = image.map_or(Boot::Nothing, |image| Boot::Iso(image.iso));
        return Ok((hardware.standalone(&boot), notices));
    };
    let wanted = direct::Wanted::new((wish, named), image, recipe, Some(&hardware), paths.clone());
    let ready = direct::make_ready(&wanted, &cancel)?;
    notices.extend(ready.notices.iter().cloned());
    let Hardware { machine, firmware, qemu } = hardware;
    let runtime = paths.runtime.clone();
    let mut plan =
        GuestPlan { machine, boot: ready.boot.clone(), runtime, qemu, firmware, sharing: Sharing::default() };
    let command = OnceLock::new();
    jobs::complete(&mut plan, ready, &command);
    match command.into_inner() {
        Some(command) => Ok((command, notices)),
        None => Err(failure::no_line()),
    }
}

//! What every image is told about itself: the cartridge's name, where the repository lies, and the recipe's environment.

use std::path::PathBuf;

use crate::recipe::Recipe;

/// The files: path in the guest, mode, content.
///
/// The environment reaches login shells of the sh family through `/etc/profile` (profile.d); zsh as set up by Arch reads that
/// too. What systemd starts reads it from `environment.d` for user managers (environment.d(5)).
pub(crate) fn files(recipe: &Recipe) -> Vec<(PathBuf, u32, Vec<u8>)> {
    let guest = serde_json::json!({
        "name": recipe.name,
        "into": recipe.source.into.to_string_lossy(),
        "env": recipe.image.env,
    });
    vec![
        ("/etc/cartridge/guest.json".into(), 0o644, guest.to_string().into_bytes()),
        ("/etc/profile.d/cartridge.sh".into(), 0o644, exports(recipe).into_bytes()),
    ]
}

/// The environment as a shell reads it.
pub(crate) fn exports(recipe: &Recipe) -> String {
    recipe.image.env.iter().map(|(key, value)| format!("export {key}={}\n", quoted(value))).collect()
}

/// A word that a shell takes as it is.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

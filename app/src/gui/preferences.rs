//! What the window remembers between runs: its size, its theme, its panes, how the guest is shown and typed into.
//! A small TOML file; a broken one is ignored.

use std::path::Path;

use serde::{Deserialize, Serialize};
use vmtools::display::{HostLayoutName, Layout};

use super::release_key::ReleaseKey;
use super::scaling::Scaling;

/// Which theme the user wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThemeChoice {
    /// As the desktop does.
    #[default]
    System,
    /// Always dark.
    Dark,
    /// Always light.
    Light,
}

impl ThemeChoice {
    /// All choices, in the order of the menu.
    pub const ALL: [Self; 3] = [Self::System, Self::Dark, Self::Light];

    /// Its name in the menu.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::Dark => "Dark",
            Self::Light => "Light",
        }
    }
}

/// What is remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preferences {
    /// Dark, light or the desktop's choice.
    pub theme: ThemeChoice,
    /// Width of the window, points.
    pub width: f32,
    /// Height of the window, points.
    pub height: f32,
    /// Whether it fills the screen, with its decorations.
    pub maximized: bool,
    /// Whether the settings are shown.
    pub settings_open: bool,
    /// Whether the logs are shown.
    pub logs_open: bool,
    /// Whether the panes at the bottom take most of the window.
    pub tall: bool,
    /// How large the guest's screen is shown.
    pub scaling: Scaling,
    /// Which keys give the keyboard back.
    pub release: ReleaseKey,
    /// The keyboard layout that text is typed on into guests.
    pub layout: Layout,
    /// Whether what a guest copies goes to the desktop's clipboard by itself, while the guest has the keyboard.
    pub copy_by_itself: bool,
    /// Whether guests are not heard.
    pub muted: bool,
    /// One of this host's layouts in place of that.
    pub host_layout: Option<HostLayoutName>,
    /// The window that the guest's screen can have of its own.
    pub screen_window: ScreenWindow,
}

/// What is remembered of the window of the guest's screen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScreenWindow {
    /// Whether the screen is in it.
    pub detached: bool,
    /// Its width, points.
    pub width: f32,
    /// Its height, points.
    pub height: f32,
    /// Its upper left corner, with its frame, points; where the desktop tells none, it places it itself.
    pub corner: Option<[f32; 2]>,
    /// Whether it fills the display, with its decorations.
    pub maximized: bool,
    /// Whether it fills the display alone.
    pub full_screen: bool,
}

impl Default for ScreenWindow {
    /// Room for 1024 × 768 with the bar above and a frame around it.
    fn default() -> Self {
        Self { detached: false, width: 1040.0, height: 824.0, corner: None, maximized: false, full_screen: false }
    }
}

/// The smallest window, points.
pub const MIN_SIZE: [f32; 2] = [900.0, 600.0];

impl Default for Preferences {
    fn default() -> Self {
        Self {
            theme: ThemeChoice::System,
            width: 1100.0,
            height: 700.0,
            maximized: false,
            settings_open: true,
            logs_open: true,
            tall: false,
            scaling: Scaling::default(),
            release: ReleaseKey::default(),
            layout: Layout::default(),
            host_layout: None,
            copy_by_itself: false,
            screen_window: ScreenWindow::default(),
            muted: false,
        }
    }
}

impl Preferences {
    /// Reads the file; what cannot be read is as it is at the first start.
    #[must_use]
    pub fn load(file: &Path) -> Self {
        let read: Self =
            std::fs::read_to_string(file).ok().and_then(|text| toml::from_str(&text).ok()).unwrap_or_default();
        read.sane()
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// When the directory or the file cannot be written.
    pub fn save(&self, file: &Path) -> std::io::Result<()> {
        let text = toml::to_string(self).map_err(std::io::Error::other)?;
        if let Some(dir) = file.parent() {
            std::fs::create_dir_all(dir)?;
        }
        isoprep::save_atomically(file, text)
    }

    fn sane(mut self) -> Self {
        let fresh = Self::default();
        let ok = |value: f32, min: f32| value.is_finite() && (min..=16_384.0).contains(&value);
        if !ok(self.width, MIN_SIZE[0]) || !ok(self.height, MIN_SIZE[1]) {
            (self.width, self.height) = (fresh.width, fresh.height);
        }
        let window = &mut self.screen_window;
        if !ok(window.width, 1.0) || !ok(window.height, 1.0) {
            (window.width, window.height) = (fresh.screen_window.width, fresh.screen_window.height);
        }
        window.corner = window.corner.filter(|corner| corner.iter().all(|side| side.abs() <= 65_536.0));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a/b/window.toml");
        let wanted = Preferences {
            theme: ThemeChoice::Light,
            width: 1300.0,
            logs_open: false,
            scaling: Scaling::Whole,
            screen_window: ScreenWindow { detached: true, corner: Some([-5.0, 12.5]), ..Default::default() },
            ..Default::default()
        };
        wanted.save(&file).unwrap();
        assert_eq!(Preferences::load(&file), wanted);
    }

    #[test]
    fn a_broken_file_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("window.toml");
        for text in [
            "width = 'x'",
            "\0\u{1}",
            "width = nan\nheight = 700.0",
            "width = 1e30",
            "scaling = 'huge'",
            "width = -5.0",
            "[screen_window]\nwidth = -1.0\ncorner = [nan, 5.0]",
            "[screen_window]\nheight = inf\ncorner = [1e9, 5.0]",
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(Preferences::load(&file), Preferences::default(), "{text}");
        }
    }
}

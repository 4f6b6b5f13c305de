//! The fonts that are built into the program, so that the window looks the same on every machine.

use std::sync::Arc;

use egui::{FontData, FontDefinitions, FontFamily, FontTweak};

use super::theme::{icons, mono_bold, semibold};

static INTER: &[u8] = include_bytes!("../../../assets/fonts/Inter-Medium.otf");
static INTER_SEMIBOLD: &[u8] = include_bytes!("../../../assets/fonts/Inter-SemiBold.otf");
static MONO: &[u8] = include_bytes!("../../../assets/fonts/JetBrainsMono-Regular.ttf");
static MONO_BOLD: &[u8] = include_bytes!("../../../assets/fonts/JetBrainsMono-Bold.ttf");

/// Sets the fonts: text, titles, code and icons.
pub fn install(ctx: &egui::Context) {
    let mut fonts = FontDefinitions::empty();
    let mut add = |name: &str, bytes: &'static [u8], tweak: FontTweak| {
        fonts.font_data.insert(name.to_owned(), Arc::new(FontData::from_static(bytes).tweak(tweak)));
    };
    add("inter", INTER, FontTweak::default());
    add("inter-semibold", INTER_SEMIBOLD, FontTweak::default());
    add("mono", MONO, FontTweak::default());
    add("mono-bold", MONO_BOLD, FontTweak::default());
    add(
        "icons",
        lucide_icons::LUCIDE_FONT_BYTES,
        FontTweak { scale: 1.1, y_offset_factor: 0.04, ..FontTweak::default() },
    );
    let chain = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    fonts.families.insert(FontFamily::Proportional, chain(&["inter", "mono"]));
    fonts.families.insert(FontFamily::Monospace, chain(&["mono", "inter"]));
    fonts.families.insert(semibold(), chain(&["inter-semibold", "mono"]));
    fonts.families.insert(mono_bold(), chain(&["mono-bold", "inter"]));
    fonts.families.insert(icons(), chain(&["icons", "inter"]));
    ctx.set_fonts(fonts);
}

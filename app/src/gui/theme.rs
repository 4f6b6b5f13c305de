//! The look of the window: colours, sizes and text styles, dark and light. Every colour that text is drawn in is
//! checked for WCAG AA contrast below.

use std::collections::BTreeMap;

use egui::style::{ScrollStyle, Selection, TextCursorStyle, WidgetVisuals, Widgets};
use egui::{Color32, CornerRadius, FontFamily, FontId, Margin, Shadow, Stroke, Style, TextStyle, Theme, Vec2, Visuals};

/// The colours of one theme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    /// Behind the guest's screen, logs and code: the deepest surface.
    pub sunken: Color32,
    /// The window.
    pub window: Color32,
    /// Side panel, bars, dialogs.
    pub panel: Color32,
    /// Buttons and fields at rest.
    pub raised: Color32,
    /// Buttons under the pointer.
    pub hover: Color32,
    /// Hairlines between panels. Never text.
    pub line: Color32,
    /// Text.
    pub text: Color32,
    /// Titles and what is selected.
    pub strong: Color32,
    /// Secondary text.
    pub dim: Color32,
    /// Links, focus, progress.
    pub accent: Color32,
    /// Behind the one accent button.
    pub accent_fill: Color32,
    /// The accent button under the pointer.
    pub accent_hover: Color32,
    /// Text on the accent button.
    pub on_accent: Color32,
    /// Probably not what was meant.
    pub warning: Color32,
    /// Failed.
    pub error: Color32,
    /// Went well.
    pub success: Color32,
    /// Behind selected text.
    pub selection: Color32,
}

const fn rgb(hex: u32) -> Color32 {
    Color32::from_rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

/// For dark rooms.
pub const DARK: Palette = Palette {
    sunken: rgb(0x0a0b0d),
    window: rgb(0x0f1013),
    panel: rgb(0x16181c),
    raised: rgb(0x23262d),
    hover: rgb(0x2d313a),
    line: rgb(0x2b2f37),
    text: rgb(0xd7dae0),
    strong: rgb(0xf4f5f7),
    dim: rgb(0x9aa1ad),
    accent: rgb(0x6aa2ff),
    accent_fill: rgb(0x2b6ade),
    accent_hover: rgb(0x2460d0),
    on_accent: rgb(0xffffff),
    warning: rgb(0xe5a54b),
    error: rgb(0xf47a7a),
    success: rgb(0x5fc992),
    selection: rgb(0x25406e),
};

/// For bright rooms.
pub const LIGHT: Palette = Palette {
    sunken: rgb(0xeef0f3),
    window: rgb(0xf3f4f6),
    panel: rgb(0xfcfcfd),
    raised: rgb(0xeaedf1),
    hover: rgb(0xdfe3e9),
    line: rgb(0xdadee4),
    text: rgb(0x252931),
    strong: rgb(0x0e1116),
    dim: rgb(0x555d69),
    accent: rgb(0x1b59c4),
    accent_fill: rgb(0x2462d8),
    accent_hover: rgb(0x1d55bf),
    on_accent: rgb(0xffffff),
    warning: rgb(0x8a4f00),
    error: rgb(0xb8242b),
    success: rgb(0x146c3c),
    selection: rgb(0xc3d8fb),
};

impl Palette {
    /// The colours that this part of the window is drawn in.
    #[must_use]
    pub fn of(ui: &egui::Ui) -> &'static Self {
        Self::when(ui.visuals().dark_mode)
    }

    /// The colours of the dark or the light theme.
    #[must_use]
    pub fn when(dark: bool) -> &'static Self {
        if dark { &DARK } else { &LIGHT }
    }
}

/// The family of titles.
#[must_use]
pub fn semibold() -> FontFamily {
    FontFamily::Name("semibold".into())
}

/// The family of bold text in terminals.
#[must_use]
pub fn mono_bold() -> FontFamily {
    FontFamily::Name("mono-bold".into())
}

/// The family of icons: Inter has glyphs of its own at the same private code points.
#[must_use]
pub fn icons() -> FontFamily {
    FontFamily::Name("icons".into())
}

/// The style of names in bars: 15 points, semibold.
#[must_use]
pub fn title() -> TextStyle {
    TextStyle::Name("title".into())
}

/// The style of section titles: 12 points, semibold.
#[must_use]
pub fn section() -> TextStyle {
    TextStyle::Name("section".into())
}

/// Sets both themes and the fonts.
pub fn install(ctx: &egui::Context) {
    super::theme_fonts::install(ctx);
    ctx.set_style_of(Theme::Dark, style(&DARK, true));
    ctx.set_style_of(Theme::Light, style(&LIGHT, false));
}

fn style(palette: &Palette, dark: bool) -> Style {
    let mut style = Style { visuals: visuals(palette, dark), animation_time: 0.1, ..Style::default() };
    style.text_styles = BTreeMap::from([
        (TextStyle::Small, FontId::new(12.0, FontFamily::Proportional)),
        (TextStyle::Body, FontId::new(14.0, FontFamily::Proportional)),
        (TextStyle::Button, FontId::new(14.0, FontFamily::Proportional)),
        (TextStyle::Heading, FontId::new(19.0, semibold())),
        (TextStyle::Monospace, FontId::new(13.0, FontFamily::Monospace)),
        (title(), FontId::new(15.0, semibold())),
        (section(), FontId::new(12.0, semibold())),
    ]);
    style.drag_value_text_style = TextStyle::Body;
    let spacing = &mut style.spacing;
    spacing.item_spacing = Vec2::splat(8.0);
    spacing.button_padding = Vec2::new(12.0, 6.0);
    spacing.interact_size = Vec2::new(30.0, 30.0);
    spacing.window_margin = Margin::same(16);
    spacing.menu_margin = Margin::same(6);
    spacing.icon_spacing = 7.0;
    spacing.icon_width = 18.0;
    spacing.icon_width_inner = 10.0;
    spacing.combo_width = 80.0;
    spacing.menu_spacing = 4.0;
    spacing.tooltip_width = 340.0;
    spacing.scroll = ScrollStyle { bar_width: 6.0, floating_width: 6.0, ..ScrollStyle::floating() };
    spacing.scroll.fade.strength = 0.0;
    style.interaction.selectable_labels = false;
    style.interaction.tooltip_delay = 0.35;
    style
}

fn visuals(palette: &Palette, dark: bool) -> Visuals {
    let base = if dark { Visuals::dark() } else { Visuals::light() };
    let shadow = |blur: u8, alpha: u8| Shadow {
        offset: [0, 4],
        blur,
        spread: 0,
        color: Color32::from_black_alpha(if dark { alpha } else { alpha / 3 }),
    };
    let widget = |fill: Color32, text: Color32, edge: Stroke| WidgetVisuals {
        bg_fill: fill,
        weak_bg_fill: fill,
        bg_stroke: edge,
        corner_radius: CornerRadius::same(6),
        fg_stroke: Stroke::new(1.5, text),
        expansion: 0.0,
    };
    Visuals {
        dark_mode: dark,
        widgets: Widgets {
            noninteractive: WidgetVisuals {
                bg_stroke: Stroke::new(1.0, palette.line),
                fg_stroke: Stroke::new(1.0, palette.text),
                ..widget(palette.panel, palette.text, Stroke::NONE)
            },
            inactive: widget(palette.raised, palette.text, Stroke::NONE),
            hovered: widget(palette.hover, palette.strong, Stroke::NONE),
            // Also the look of what has the keyboard's focus: it must be seen without a pointer.
            active: widget(palette.hover, palette.strong, Stroke::new(1.5, palette.accent)),
            open: widget(palette.hover, palette.strong, Stroke::NONE),
        },
        selection: Selection { bg_fill: palette.selection, stroke: Stroke::new(1.0, palette.strong) },
        weak_text_color: Some(palette.dim),
        hyperlink_color: palette.accent,
        faint_bg_color: palette.panel,
        extreme_bg_color: palette.sunken,
        text_edit_bg_color: Some(palette.raised),
        code_bg_color: palette.sunken,
        warn_fg_color: palette.warning,
        error_fg_color: palette.error,
        window_corner_radius: CornerRadius::same(10),
        window_shadow: shadow(24, 110),
        window_fill: palette.panel,
        window_stroke: Stroke::new(1.0, palette.line),
        menu_corner_radius: CornerRadius::same(8),
        panel_fill: palette.window,
        popup_shadow: shadow(16, 90),
        indent_has_left_vline: false,
        slider_trailing_fill: true,
        // A blinking cursor repaints the window twice a second for ever.
        text_cursor: TextCursorStyle { stroke: Stroke::new(2.0, palette.accent), blink: false, ..base.text_cursor },
        disabled_alpha: 0.45,
        ..base
    }
}

/// The contrast of two opaque colours, from 1 to 21, as WCAG 2.1 defines it.
#[must_use]
pub fn contrast(a: Color32, b: Color32) -> f32 {
    let luminance = |c: Color32| {
        let linear = |v: u8| {
            let v = f32::from(v) / 255.0;
            if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(c.r()) + 0.7152 * linear(c.g()) + 0.0722 * linear(c.b())
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WCAG 2.1, 1.4.3: text below 18 points.
    const AA: f32 = 4.5;
    /// WCAG 2.1, 1.4.11: what is not text, for example the focus ring.
    const AA_SHAPES: f32 = 3.0;

    #[test]
    fn black_on_white_has_contrast_21() {
        assert!((contrast(Color32::BLACK, Color32::WHITE) - 21.0).abs() < 0.01);
    }

    #[test]
    fn all_text_can_be_read_on_all_surfaces() {
        for (name, p) in [("dark", DARK), ("light", LIGHT)] {
            for (surface, behind) in
                [("sunken", p.sunken), ("window", p.window), ("panel", p.panel), ("raised", p.raised)]
            {
                for (token, text) in [
                    ("text", p.text),
                    ("strong", p.strong),
                    ("dim", p.dim),
                    ("accent", p.accent),
                    ("warning", p.warning),
                    ("error", p.error),
                    ("success", p.success),
                ] {
                    let c = contrast(text, behind);
                    assert!(c >= AA, "{name}: {token} on {surface} has {c:.2}");
                }
            }
            for (pair, a, b) in [
                ("button", p.on_accent, p.accent_fill),
                ("button, hovered", p.on_accent, p.accent_hover),
                ("hovered", p.strong, p.hover),
                ("selected text", p.strong, p.selection),
            ] {
                let c = contrast(a, b);
                assert!(c >= AA, "{name}: {pair} has {c:.2}");
            }
            for surface in [p.window, p.panel, p.raised, p.hover] {
                assert!(contrast(p.accent, surface) >= AA_SHAPES, "{name}: the focus ring");
            }
        }
    }
}

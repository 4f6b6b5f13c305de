//! The bar at the top: which cartridge, which state, how far, and the four things that can be done.

use egui::{Align, Layout, RichText, Ui, vec2};
use lucide_icons::Icon;

use super::boot_menu;
use super::controls;
use super::headline::{self, headline, ticking};
use super::lint_badge;
use super::lint_rows::Counts;
use super::preferences::ThemeChoice;
use super::progress;
use super::proposal;
use super::slots_test;
use super::theme::{self, Palette};
use super::watching;
use super::wish::{Dialog, Wish, Wishes};
use super::words;
use crate::session::model::Removing;
use crate::session::state::{EjectScope, Goal, Input, Phase};
use crate::session::{Command, Model};

/// Below this width something has to give way while work is under way, points.
const NARROW: f32 = 1000.0;

/// What the bar shows of the window itself.
#[derive(Clone, Copy, Debug)]
pub struct WindowState {
    /// The chosen theme.
    pub theme: ThemeChoice,
    /// Whether the settings are shown.
    pub settings_open: bool,
    /// Whether the logs are shown.
    pub logs_open: bool,
    /// What the lint found.
    pub lint: Counts,
}

/// Draws the bar's contents.
pub fn show(ui: &mut Ui, model: &Model, now_ms: u64, window: WindowState, wishes: &mut Wishes) {
    // There is room for what is being done, or for the words of buttons that can do nothing now.
    let small = ui.available_width() < NARROW && ticking(model);
    ui.horizontal_centered(|ui| {
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            more_menu(ui, window, wishes);
            ui.add_space(-2.0);
            actions(ui, model, window, small, wishes);
            ui.add_space(8.0);
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                cartridge(ui, model, if small { 12 } else { 22 }, wishes);
                if small {
                    return bar(ui, model, now_ms, true);
                }
                let (word, tone) = headline(model);
                controls::pill(ui, tone.colour(Palette::of(ui)), word, &format!("State: {word}"));
                slots_test::warm(ui, model);
                ui.add_space(6.0);
                bar(ui, model, now_ms, false);
            });
        });
    });
}

fn cartridge(ui: &mut Ui, model: &Model, letters: usize, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let name = model.cartridge.as_ref().map_or("No cartridge", |cartridge| cartridge.name.as_str());
    let dirty = model.cartridge.as_ref().is_some_and(|cartridge| cartridge.dirty);
    let mut shown: String = name.chars().take(letters).collect();
    if shown.len() < name.len() {
        shown.push('…');
    }
    if dirty {
        shown.push_str(" •");
    }
    let text = RichText::new(shown).text_style(theme::title()).color(palette.strong);
    let chevron = controls::icon(Icon::ChevronDown, 13.0).color(palette.dim);
    let button = egui::Button::new((text, chevron)).frame(true).frame_when_inactive(false);
    let (response, _) = ui
        .add_enabled_ui(model.watched.is_none(), |ui| {
            egui::containers::menu::MenuButton::from_button(button).ui(ui, |ui| open_menu(ui, model, wishes))
        })
        .inner;
    let label = if dirty { format!("Cartridge: {name}, not saved") } else { format!("Cartridge: {name}") };
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, label.as_str()));
    if let Some(cartridge) = &model.cartridge {
        response.on_hover_text(words::path(&cartridge.root));
    }
}

/// The menu of cartridges: open, built-in, recent.
pub fn open_menu(ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
    ui.set_min_width(280.0);
    if controls::menu_item(ui, true, Some(Icon::FolderOpen), "Open a repository…", "Ctrl+O").clicked() {
        wishes.add(Wish::Open(Dialog::OpenRepository));
    }
    if controls::menu_item(ui, true, Some(Icon::Gamepad2), "Built-in cartridge", "").clicked() {
        wishes.send(Command::InsertBuiltin);
    }
    if model.recent.is_empty() {
        return;
    }
    ui.separator();
    ui.label(RichText::new("Recent").text_style(theme::section()).color(Palette::of(ui).dim));
    for recent in model.recent.iter().take(8) {
        recent_line(ui, recent, wishes);
    }
}

/// One recent cartridge: insert it, or forget it.
pub fn recent_line(ui: &mut Ui, recent: &crate::session::event::RecentView, wishes: &mut Wishes) {
    let path = words::path(&recent.path);
    ui.horizontal(|ui| {
        let hint = if recent.exists { path.clone() } else { format!("{path}\nThe folder is gone.") };
        let width = ui.available_width().max(250.0) - 36.0;
        let item = ui
            .allocate_ui_with_layout(vec2(width, 30.0), Layout::top_down_justified(Align::LEFT), |ui| {
                controls::menu_item(ui, recent.exists, Some(Icon::History), &recent.name, "")
            })
            .inner;
        if item.on_hover_text(&hint).on_disabled_hover_text(&hint).clicked() {
            wishes.send(Command::Insert(recent.path.clone()));
        }
        let forget = format!("Forget {}", recent.name);
        if controls::icon_button(ui, true, Icon::X, &forget, "Only removes it from this list.").clicked() {
            wishes.send(Command::ForgetRecent(recent.path.clone()));
        }
    });
}

fn bar(ui: &mut Ui, model: &Model, now_ms: u64, small: bool) {
    if !ticking(model) {
        return;
    }
    let palette = Palette::of(ui);
    let width = ui.available_width().min(260.0);
    if width < 60.0 {
        return;
    }
    let (mut words, fraction) = doing(model);
    let elapsed =
        model.checking_since_ms.map_or_else(|| model.phase_elapsed_ms(now_ms), |since| now_ms.saturating_sub(since));
    let mut time = words::elapsed(elapsed);
    if small && let Some(short) = progress::short(model) {
        words = short;
        time = model.stage_left_ms(now_ms).map_or(time, words::left);
    }
    let (rect, _) = ui.allocate_exact_size(vec2(width, 28.0), egui::Sense::hover());
    let builder = egui::UiBuilder::new().id_salt("progress").max_rect(rect).layout(Layout::top_down(Align::LEFT));
    let mut ui = ui.new_child(builder);
    ui.spacing_mut().item_spacing.y = 5.0;
    let line = vec2(width, 17.0);
    ui.allocate_ui_with_layout(line, Layout::right_to_left(Align::Center), |ui| {
        ui.label(RichText::new(&time).small().color(palette.dim));
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            ui.add(egui::Label::new(RichText::new(&words).small().color(palette.text)).truncate())
                .on_hover_text(&words);
        });
    });
    controls::thin_bar(&mut ui, width, fraction, &format!("Progress: {words}"));
}

/// What is being done, and how far it is where that is known.
#[must_use]
pub fn doing(model: &Model) -> (String, Option<f32>) {
    if let Some(attach) = model.attach.as_ref().filter(|_| model.attaches()) {
        let words = match model.state.phase {
            Phase::Preparing | Phase::Booting => format!("Connecting to {}", attach.address),
            Phase::Ejecting => "Letting go of the server".to_owned(),
            _ => String::new(),
        };
        return (words, None);
    }
    match model.state.phase {
        Phase::Building => (progress::sentence(model), Some(model.build_fraction())),
        Phase::Preparing => ("Looking at the cartridge and this host".to_owned(), None),
        Phase::Booting => ("Waiting for the guest to report".to_owned(), None),
        Phase::Ejecting => (headline::ejecting(model), model.removing.as_ref().and_then(Removing::share)),
        Phase::Running if model.checking_since_ms.is_some() => ("Making the next boot ready".to_owned(), None),
        Phase::Idle | Phase::Running => (String::new(), None),
    }
}

/// The buttons, right to left.
fn actions(ui: &mut Ui, model: &Model, window: WindowState, small: bool, wishes: &mut Wishes) {
    let (mine, why) = watching::may(model, "");
    let busy = model.state.phase == Phase::Ejecting || !mine;
    let menu = egui::containers::menu::MenuButton::from_button(
        egui::Button::new(controls::icon(Icon::ChevronDown, 14.0)).min_size(vec2(26.0, 30.0)),
    );
    ui.spacing_mut().item_spacing.x = 6.0;
    let (response, _) = ui
        .scope(|ui| {
            ui.spacing_mut().button_padding.x = 6.0;
            menu.ui(ui, |ui| {
                ui.set_min_width(240.0);
                if controls::menu_item(ui, mine, Some(Icon::Database), "Cache…", "").clicked() {
                    wishes.send(Command::ViewCache);
                    wishes.add(Wish::Open(Dialog::Cache));
                }
                ui.separator();
                if controls::menu_item(ui, !busy, Some(Icon::Trash2), "Eject everything…", "").clicked() {
                    wishes.send(Command::SurveyEverything);
                    wishes.add(Wish::Open(Dialog::EjectEverything));
                }
            })
        })
        .inner;
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, "More ways to eject"));
    let hint = match (busy, model.attaches()) {
        _ if !mine => why.as_str(),
        (true, _) => "An eject is under way.",
        (_, true) => "Lets go of the VNC server; what runs there goes on. Ctrl+E",
        _ => "Ends the guest and removes this session's work; caches stay. Ctrl+E",
    };
    let name = if model.attaches() { "Disconnect" } else { "Eject" };
    ui.add_space(-4.0);
    if controls::button(ui, !busy, Icon::CircleArrowOutUpRight, name, hint).clicked() {
        wishes.send(Command::Eject(EjectScope::Session));
    }
    goal(ui, model, Goal::Up, false, wishes);
    // While something is under way nothing can be booted, and there is no room.
    if !small {
        boot_menu::show(ui, model, wishes);
        ui.add_space(-4.0);
    }
    goal(ui, model, Goal::Boot, small, wishes);
    goal(ui, model, Goal::Build, small, wishes);
    lint_badge::show(ui, model, window.lint, wishes);
    if model.can_cancel()
        && controls::button(ui, true, Icon::Square, "Cancel", "Stops what is under way. Esc").clicked()
    {
        wishes.send(Command::Cancel);
    }
}

fn goal(ui: &mut Ui, model: &Model, goal: Goal, small: bool, wishes: &mut Wishes) {
    let (glyph, name, hint) = match goal {
        Goal::Build => (Icon::Hammer, "Build", "Makes the image. Ctrl+B"),
        Goal::Boot => (Icon::Play, "Boot", "Boots the image that the last build left. Ctrl+Shift+B"),
        Goal::Direct => (Icon::Play, "Direct boot", "Boots a kernel without a boot loader"),
        Goal::Up => (Icon::Zap, "Build & Boot", "Makes the image and boots it. Ctrl+Enter"),
        Goal::Restore => (Icon::RotateCcw, "Restore", "Starts the guest from a slot"),
        Goal::Attach => (Icon::ScreenShare, "Attach", "Shows a VNC server of somebody else's"),
    };
    let denied = model.denied(Input::Ask(goal)).map(|it| words::sentence(&format!("{it}.")));
    let hint = denied.as_deref().unwrap_or(hint);
    // There is one button that stands out: while a proposal waits, that is the one that writes it.
    let proposed = model.state.phase == Phase::Idle
        && model.state.outcome.is_none()
        && model.cartridge.as_ref().is_some_and(proposal::waits);
    let clicked = if goal == Goal::Up && !proposed {
        controls::accent_button(ui, denied.is_none(), glyph, name, hint).clicked()
    } else if small {
        controls::icon_button(ui, denied.is_none(), glyph, name, hint).clicked()
    } else {
        controls::button(ui, denied.is_none(), glyph, name, hint).clicked()
    };
    if clicked {
        wishes.send(Command::Ask(goal));
    }
}

fn more_menu(ui: &mut Ui, window: WindowState, wishes: &mut Wishes) {
    let button = egui::Button::new(controls::icon(Icon::Ellipsis, 16.0)).min_size(vec2(30.0, 30.0));
    let (response, _) = ui
        .scope(|ui| {
            ui.spacing_mut().button_padding.x = 6.0;
            egui::containers::menu::MenuButton::from_button(button.frame(true).frame_when_inactive(false)).ui(
                ui,
                |ui| {
                    ui.set_min_width(250.0);
                    let check = |on: bool| on.then_some(Icon::Check);
                    if controls::menu_item(ui, true, check(window.settings_open), "Show settings", "Ctrl+Shift+S")
                        .clicked()
                    {
                        wishes.add(Wish::ToggleSettings);
                    }
                    if controls::menu_item(ui, true, check(window.logs_open), "Show panes below", "Ctrl+Shift+L")
                        .clicked()
                    {
                        wishes.add(Wish::ToggleLogs);
                    }
                    ui.separator();
                    for choice in ThemeChoice::ALL {
                        let name = format!("Theme: {}", choice.label());
                        if controls::menu_item(ui, true, check(window.theme == choice), &name, "").clicked() {
                            wishes.add(Wish::Theme(choice));
                        }
                    }
                    ui.separator();
                    if controls::menu_item(ui, true, Some(Icon::Stethoscope), "Check this host…", "").clicked() {
                        wishes.send(Command::Diagnose);
                        wishes.add(Wish::Open(Dialog::Doctor));
                    }
                    if controls::menu_item(ui, true, Some(Icon::Keyboard), "Keyboard shortcuts", "F1").clicked() {
                        wishes.add(Wish::Open(Dialog::Shortcuts));
                    }
                },
            )
        })
        .inner;
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, "More"));
}

//! Cards that stay until the next goal: how the last one ended, what it left, what to do now.

use egui::{Label, RichText, Ui};
use lucide_icons::Icon;
use vmtools::GuestStatus;

use super::controls;
use super::lint;
use super::lint_rows::Counts;
use super::overlays::middle;
use super::panels::Panel;
use super::theme::{self, Palette};
use super::watching;
use super::wish::{Dialog, Wish, Wishes};
use super::words;
use crate::session::failure::exit_code;
use crate::session::logs::Pane;
use crate::session::state::Goal;
use crate::session::{Command, Model};

const WIDTH: f32 = 520.0;
const CHECKS: &str = "What this host has and lacks, each with the command that mends it.";

pub(super) fn card(
    ui: &mut Ui,
    glyph: Icon,
    colour: egui::Color32,
    title: &str,
    subtitle: &str,
    add: impl FnOnce(&mut Ui),
) {
    middle(ui, WIDTH, 220.0, |ui| filled(ui, (glyph, colour), title, subtitle, add));
}

/// A card over what stays alive under it, in the middle of the area: what is pressed on the card goes no further.
pub(super) fn card_above(
    ui: &mut Ui,
    (glyph, colour): (Icon, egui::Color32),
    title: &str,
    subtitle: &str,
    add: impl FnOnce(&mut Ui),
) {
    let area = ui.max_rect().shrink(12.0);
    let place = egui::Area::new(ui.scope_id().with("above"))
        .order(egui::Order::Middle)
        .pivot(egui::Align2::CENTER_CENTER)
        .fixed_pos(area.center())
        .constrain_to(area);
    place.show(ui.ctx(), |ui| {
        ui.set_width(WIDTH.min(area.width()));
        filled(ui, (glyph, colour), title, subtitle, add);
    });
}

fn filled(ui: &mut Ui, (glyph, colour): (Icon, egui::Color32), title: &str, subtitle: &str, add: impl FnOnce(&mut Ui)) {
    let palette = Palette::of(ui);
    let width = ui.available_width();
    controls::card(ui, width, |ui| {
        ui.horizontal(|ui| {
            controls::badge(ui, glyph, colour);
            ui.add_space(4.0);
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 2.0;
                ui.add_space(if subtitle.is_empty() { 9.0 } else { 0.0 });
                ui.add(Label::new(RichText::new(title).text_style(theme::title()).color(palette.strong)).wrap());
                if !subtitle.is_empty() {
                    ui.add(Label::new(RichText::new(subtitle).color(palette.dim)).wrap().selectable(true));
                }
            });
        });
        ui.add_space(2.0);
        add(ui);
    });
}

/// What failed, why, what to do, and the command to try it again by hand.
pub fn failed(ui: &mut Ui, model: &Model, goal: Option<Goal>, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let Some(failure) = &model.failure else {
        card(ui, Icon::CircleX, palette.error, "Something failed", "The Session log says more.", |ui| {
            log_button(ui, Pane::Session, wishes);
        });
        return;
    };
    if model.mended() {
        return mended(ui, model, goal, wishes);
    }
    let stopped_by_lint = model.stopped_by_lint();
    card(ui, Icon::CircleX, palette.error, &failure.title, "", |ui| {
        if stopped_by_lint {
            // The findings themselves are in their panel, each with its button.
            let found = model.examination.as_ref().map(Counts::of).unwrap_or_default().words();
            let words =
                format!("{found}. The build stopped before its packages, so that nothing was fetched for nothing.");
            ui.add(Label::new(RichText::new(words).color(palette.text)).wrap());
        } else if !failure.detail.is_empty() {
            controls::quote(ui, "detail", &failure.detail, 110.0);
        }
        if let Some(advice) = failure.advice.as_ref().filter(|_| !stopped_by_lint) {
            ui.horizontal_top(|ui| {
                ui.label(controls::icon(Icon::Lightbulb, 14.0).color(palette.warning));
                let advice = RichText::new(words::sentence(advice)).color(palette.text);
                ui.add(Label::new(advice).wrap().selectable(true));
            });
        }
        ui.add_space(2.0);
        ui.horizontal(|ui| {
            if stopped_by_lint {
                let hint = "What is wrong, where, and the edits that mend it. Ctrl+5";
                if controls::button(ui, true, Icon::ListChecks, "Show findings", hint).clicked() {
                    wishes.add(Wish::ShowPanel(Panel::Lint));
                }
                if let Some(goal) = goal.filter(|_| model.watched.is_none()) {
                    lint::build_anyway(ui, goal, false, wishes);
                }
            } else if let Some(pane) = failure.pane {
                log_button(ui, pane, wishes);
            }
            if model.attach.is_some()
                && model.watched.is_none()
                && controls::button(
                    ui,
                    true,
                    Icon::ScreenShare,
                    "Attach again…",
                    "Asks where to, and for the password.",
                )
                .clicked()
            {
                wishes.add(Wish::Open(Dialog::Attach));
            }
            if failure.exit_code == exit_code::HOST
                && controls::button(ui, true, Icon::Stethoscope, "Show checks", CHECKS).clicked()
            {
                wishes.send(Command::Diagnose);
                wishes.add(Wish::Open(Dialog::Doctor));
            }
            watching::offer(ui, model, wishes);
            // The window has the checks itself, and watches itself.
            let copied = |command: &&String| {
                !stopped_by_lint && *command != "cartridge doctor" && !command.starts_with("cartridge watch ")
            };
            if let Some(command) = failure.command.as_ref().filter(copied)
                && controls::button(ui, true, Icon::Copy, "Copy command", command).clicked()
            {
                wishes.add(Wish::Copy(command.clone()));
            }
        });
    });
}

/// What stopped the last build is not there any more.
fn mended(ui: &mut Ui, model: &Model, goal: Option<Goal>, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let words = match &model.examination {
        Some(seen) => match Counts::of(seen) {
            counts if counts == Counts::default() => "The lint finds nothing any more.".to_owned(),
            counts => format!("The lint finds no errors any more: {}.", counts.words()),
        },
        None => "The cartridge is another one since the build stopped.".to_owned(),
    };
    card(ui, Icon::CircleCheck, palette.success, "The errors are mended", &words, |ui| {
        let Some(goal) = goal else { return };
        let hint = "Builds the cartridge as it is now.";
        let (may, hint) = watching::may(model, hint);
        if controls::button(ui, may && model.state.inserted, Icon::Hammer, "Build again", &hint).clicked() {
            wishes.send(Command::Ask(goal));
        }
    });
}

/// How the guest ended by itself.
pub fn ended(ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let guest = model.guest.as_ref();
    let (glyph, colour, title, words) = match guest.map(|guest| &guest.status) {
        Some(GuestStatus::Crashed { how }) => (Icon::Bug, palette.error, "Crashed", how.clone()),
        Some(GuestStatus::Panicked) => (
            Icon::Skull,
            palette.error,
            "Panicked",
            "The guest's kernel stopped. The Serial log has its words.".to_owned(),
        ),
        _ => (Icon::PowerOff, palette.dim, "Powered off", "The guest has switched itself off.".to_owned()),
    };
    let bad = colour == palette.error;
    card(ui, glyph, colour, title, &words, |ui| {
        if let Some(failure) = model.failure.as_ref().filter(|failure| bad && !failure.detail.is_empty()) {
            controls::quote(ui, "words", &failure.detail, 110.0);
        }
        ui.horizontal(|ui| {
            let pane = match guest.map(|guest| &guest.status) {
                Some(GuestStatus::Crashed { .. }) => Pane::Qemu,
                _ => Pane::Serial,
            };
            log_button(ui, pane, wishes);
            if let Some(guest) = guest
                && controls::button(ui, true, Icon::Copy, "Copy command", "The whole QEMU command").clicked()
            {
                wishes.add(Wish::Copy(guest.command.clone()));
            }
        });
    });
}

/// Sockets and links take no room that would be free again.
fn removed_words(files: u64, bytes: u64) -> String {
    let free = if bytes > 0 { format!(", {} free again", words::bytes(bytes)) } else { String::new() };
    format!("{} removed{free}.", words::number(files, "file", "files"))
}

/// What an eject removed, and what it would not touch.
pub fn ejected(ui: &mut Ui, model: &Model) {
    let palette = Palette::of(ui);
    if let Some(attach) = &model.attach {
        let words = format!("What runs at {} goes on without us.", attach.address);
        return card(ui, Icon::CircleCheck, palette.success, "Disconnected", &words, |_| {});
    }
    let Some(report) = &model.ejected else {
        card(ui, Icon::CircleArrowOutUpRight, palette.dim, "Ejected", "There was nothing to remove.", |_| {});
        return;
    };
    let removed = match report.removed {
        0 => "There was nothing to remove.".to_owned(),
        n => removed_words(n, report.bytes),
    };
    let clean = report.untouched.is_empty();
    let (glyph, colour) =
        if clean { (Icon::CircleCheck, palette.success) } else { (Icon::TriangleAlert, palette.warning) };
    card(ui, glyph, colour, "Ejected", &removed, |ui| {
        if clean {
            let text = "The guest has ended and nothing was left behind. Images and caches stay for the next build.";
            ui.add(Label::new(RichText::new(text).color(palette.dim)).wrap());
            return;
        }
        ui.label(RichText::new("Not touched").text_style(theme::section()).color(palette.warning));
        egui::ScrollArea::vertical().id_salt("untouched").max_height(150.0).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 3.0;
            for untouched in &report.untouched {
                let path = RichText::new(words::path(&untouched.path)).monospace().size(12.0).color(palette.text);
                ui.add(Label::new(path).wrap().selectable(true));
                let reason = RichText::new(&untouched.reason).small().color(palette.dim);
                ui.add(Label::new(reason).wrap().selectable(true));
                ui.add_space(5.0);
            }
        });
    });
}

/// What an eject has left, and how it goes on.
pub fn unfinished(ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let Some(unfinished) = &model.unfinished else { return };
    let (files, bytes) = model.ejected.as_ref().map_or((0, 0), |report| (report.removed, report.bytes));
    let removed = match files {
        0 => "Nothing was removed.".to_owned(),
        n => removed_words(n, bytes),
    };
    let title = if unfinished.held.is_empty() { "The eject was stopped" } else { "Not everything was removed" };
    card(ui, Icon::TriangleAlert, palette.warning, title, &removed, |ui| {
        ui.label(RichText::new("Still there").text_style(theme::section()).color(palette.warning));
        egui::ScrollArea::vertical().id_salt("still there").max_height(130.0).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 3.0;
            for path in unfinished.left.iter().chain(unfinished.held.iter().map(|it| &it.path)) {
                let path = RichText::new(words::path(path)).monospace().size(12.0).color(palette.text);
                ui.add(Label::new(path).wrap().selectable(true));
            }
        });
        ui.add_space(2.0);
        ui.horizontal(|ui| {
            let (may, hint) = watching::may(model, "Goes on with what is still there.");
            if !unfinished.held.is_empty()
                && may
                && controls::button(ui, true, Icon::Lock, "Show who uses it…", "And what can be done about it.")
                    .clicked()
            {
                wishes.add(Wish::Open(Dialog::Held));
            }
            if controls::button(ui, may, Icon::CircleArrowOutUpRight, "Eject again", &hint).clicked() {
                wishes.send(Command::Eject(unfinished.scope));
            }
        });
    });
}

fn log_button(ui: &mut Ui, pane: Pane, wishes: &mut Wishes) {
    if controls::button(ui, true, Icon::ScrollText, "Show log", &format!("The {} log", pane.title())).clicked() {
        wishes.add(Wish::ShowLog(pane));
    }
}

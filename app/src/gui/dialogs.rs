//! Dialogs over the window: eject everything, shortcuts, closing. The host's checks have a file of their own.

use egui::{Align, Context, Id, Label, Layout, Modal, RichText, Ui};
use lucide_icons::Icon;

use super::attach::{self, AttachForm};
use super::boot_form::BootForms;
use super::cache;
use super::controls;
use super::deploy::{self, DeployForm};
use super::doctor;
use super::headline;
use super::held;
use super::lint_mend;
use super::shortcuts;
use super::slots_ask;
use super::theme::Palette;
use super::wish::{Dialog, PickFor, Wish, Wishes};
use super::words;
use super::{boot_iso, boot_kernel};
use crate::session::model::Removing;
use crate::session::sentence::in_the_way;
use crate::session::state::EjectScope;
use crate::session::{Command, Model, recording_name};

/// Draws the open dialog, if there is one.
pub fn show(
    ctx: &Context,
    open: Option<&Dialog>,
    model: &Model,
    (picker, closing): (bool, bool),
    (forms, attach_form, deploy_form): (&mut BootForms, &mut AttachForm, &mut DeployForm),
    wishes: &mut Wishes,
) {
    let Some(dialog) = open else { return };
    let (width, title) = match dialog {
        Dialog::OpenRepository => (520.0, "Open a repository"),
        Dialog::EjectEverything => (560.0, "Eject everything"),
        Dialog::Held => (600.0, "Something is in use"),
        Dialog::Cache => (480.0, "Cache"),
        Dialog::CleanCache => (440.0, "Empty the cache?"),
        Dialog::Mend { .. } => (620.0, "Change your repository?"),
        Dialog::RestoreSlot { .. } => (560.0, "Restore on other inputs?"),
        Dialog::RemoveSlot { .. } => (460.0, "Remove the slot?"),
        Dialog::BootIso => (600.0, "Boot an ISO directly"),
        Dialog::BootKernel => (560.0, "Boot a kernel"),
        Dialog::Attach => (520.0, "Attach to a VNC server"),
        Dialog::Deploy => (560.0, "Write to USB"),
        Dialog::RecordTo => (520.0, "Record the guest's screen"),
        Dialog::Doctor => (620.0, "This host"),
        Dialog::Shortcuts => (520.0, "Keyboard shortcuts"),
    };
    modal(ctx, title, width, wishes, |ui, wishes| match dialog {
        Dialog::OpenRepository => open_repository(ui, picker, wishes),
        Dialog::EjectEverything => eject_everything(ui, model, wishes),
        Dialog::Held => held::show(ui, model, closing, wishes),
        Dialog::Cache => cache::show(ui, model, wishes),
        Dialog::CleanCache => cache::ask(ui, model, wishes),
        Dialog::Mend { id } => lint_mend::show(ui, model, id, wishes),
        Dialog::RestoreSlot { name } => slots_ask::restore(ui, model, name, wishes),
        Dialog::RemoveSlot { name } => slots_ask::remove(ui, model, name, wishes),
        Dialog::BootIso => boot_iso::show(ui, model, picker, forms, wishes),
        Dialog::BootKernel => boot_kernel::show(ui, model, picker, forms, wishes),
        Dialog::Attach => attach::show(ui, model, attach_form, wishes),
        Dialog::Deploy => deploy::show(ui, model, deploy_form, wishes),
        Dialog::RecordTo => record_to(ui, picker, wishes),
        Dialog::Doctor => doctor::show(ui, model, wishes),
        Dialog::Shortcuts => shortcut_list(ui),
    });
}

fn modal(ctx: &Context, title: &str, width: f32, wishes: &mut Wishes, add: impl FnOnce(&mut Ui, &mut Wishes)) {
    let dark = ctx.global_style().visuals.dark_mode;
    let palette = Palette::when(dark);
    let frame = egui::Frame::new()
        .fill(palette.panel)
        .stroke(egui::Stroke::new(1.0, palette.line))
        .corner_radius(10)
        .shadow(ctx.global_style().visuals.window_shadow)
        .inner_margin(egui::Margin::same(20));
    let shade = egui::Color32::from_black_alpha(if dark { 140 } else { 70 });
    // Each has an id of its own: a dialog begins with the size that it had the last time.
    let response = Modal::new(Id::unique(("dialog", title))).frame(frame).backdrop_color(shade).show(ctx, |ui| {
        ui.set_width(width);
        ui.horizontal(|ui| {
            ui.label(RichText::new(title).heading().color(palette.strong));
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if controls::icon_button(ui, true, Icon::X, "Close", "Esc").clicked() {
                    wishes.add(Wish::CloseDialog);
                }
            });
        });
        // What does not fit a small window is scrolled.
        let (id, top) = (Id::unique(("height of", title)), ui.cursor().top());
        let most = (ctx.content_rect().height() - 110.0).max(160.0);
        let known: f32 = ui.data(|data| data.get_temp(id)).unwrap_or_default();
        if known > most {
            let scroll = egui::ScrollArea::vertical().id_salt("dialog").max_height(most).min_scrolled_height(most);
            scroll.show(ui, |ui| add(ui, wishes));
        } else {
            add(ui, wishes);
            let height = ui.min_rect().bottom() - top;
            ui.data_mut(|data| data.insert_temp(id, height));
        }
    });
    if response.should_close() {
        wishes.add(Wish::CloseDialog);
    }
}

/// A path field, and the desktop's chooser beside it where there is one.
fn open_repository(ui: &mut Ui, picker: bool, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let id = Id::unique("path of a repository");
    let mut path: String = ui.data(|data| data.get_temp(id)).unwrap_or_default();
    ui.add_space(8.0);
    let words = "The folder of a repository, or its cartridge.toml. A folder without one gets one proposed.";
    ui.label(RichText::new(words).color(palette.dim));
    ui.add_space(4.0);
    let row = PathRow {
        name: "Path of the repository",
        hint: "/home/you/distro",
        button: "Choose a folder…",
        pick: PickFor::Repository,
    };
    let mut insert = path_row(ui, &mut path, row, picker, wishes);
    ui.add_space(8.0);
    let typed = path.trim().to_owned();
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        insert |= controls::button(ui, !typed.is_empty(), Icon::Check, "Insert", "Enter").clicked();
    });
    if insert && !typed.is_empty() {
        path.clear();
        wishes.add(Wish::CloseDialog);
        wishes.send(Command::Insert(home_of(&typed)));
    }
    ui.data_mut(|data| data.insert_temp(id, path));
}

/// The file that the guest's screen is recorded to.
fn record_to(ui: &mut Ui, picker: bool, wishes: &mut Wishes) {
    let id = Id::unique("path of a recording");
    let mut path: String = ui.data(|data| data.get_temp(id)).unwrap_or_else(|| format!("~/{}", recording_name()));
    ui.add_space(8.0);
    let words = "A new file, MP4. A file that is there already is not replaced.";
    ui.label(RichText::new(words).color(Palette::of(ui).dim));
    ui.add_space(4.0);
    let row =
        PathRow {
            name: "File to record to", hint: "~/guest.mp4", button: "Choose a file…", pick: PickFor::Recording
        };
    let mut record = path_row(ui, &mut path, row, picker, wishes);
    ui.add_space(8.0);
    let typed = path.trim().to_owned();
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        record |= controls::button(ui, !typed.is_empty(), Icon::Video, "Start recording", "Enter").clicked();
    });
    if record && !typed.is_empty() {
        wishes.add(Wish::CloseDialog);
        wishes.send(Command::StartRecording(Some(video(home_of(&typed)))));
        ui.data_mut(|data| data.remove::<String>(id));
    } else {
        ui.data_mut(|data| data.insert_temp(id, path));
    }
}

/// A file for a video: one without an ending gets the one that players know.
pub(super) fn video(path: std::path::PathBuf) -> std::path::PathBuf {
    if path.extension().is_some() { path } else { path.with_extension("mp4") }
}

/// What a row for a path says, and what its chooser is for.
struct PathRow {
    name: &'static str,
    hint: &'static str,
    button: &'static str,
    pick: PickFor,
}

/// A path field that has the keyboard, and the desktop's chooser beside it where there is one. Whether Enter was pressed in it.
fn path_row(ui: &mut Ui, path: &mut String, row: PathRow, picker: bool, wishes: &mut Wishes) -> bool {
    let mut entered = false;
    ui.horizontal(|ui| {
        let field = egui::TextEdit::singleline(path)
            .hint_text(RichText::new(row.hint).color(Palette::of(ui).dim))
            .desired_width(ui.available_width() - 48.0);
        let field = ui.add(field);
        field.widget_info(|| egui::WidgetInfo::labeled(egui::Role::TextInput, true, row.name));
        entered = field.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        if ui.memory(|memory| memory.focused()).is_none() && !entered {
            field.request_focus();
        }
        let hint = if picker { "The desktop's file chooser" } else { super::picker::NO_PORTAL };
        if controls::icon_button(ui, picker, Icon::FolderOpen, row.button, hint).clicked() {
            wishes.add(Wish::CloseDialog);
            wishes.add(Wish::Pick(row.pick));
        }
    });
    entered
}

/// A path as people type it: `~/` is their home.
pub(super) fn home_of(typed: &str) -> std::path::PathBuf {
    match (typed.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => std::path::PathBuf::from(home).join(rest),
        _ => typed.into(),
    }
}

fn eject_everything(ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let words = "Ends the guest and removes this session's work, all images and all caches. The next build begins from \
                 nothing. Repositories are never touched.";
    ui.add(Label::new(RichText::new(words).color(palette.dim)).wrap());
    ui.add_space(4.0);
    let Some(surveys) = &model.survey else {
        ui.label(RichText::new("Looking at what there is…").color(palette.dim));
        ui.add_space(60.0);
        return;
    };
    let total: u64 = surveys.iter().map(|survey| survey.bytes).sum();
    let files: u64 = surveys.iter().map(|survey| survey.files).sum();
    egui::Frame::new().fill(palette.sunken).corner_radius(6).inner_margin(12).show(ui, |ui| {
        ui.set_width(ui.available_width());
        if surveys.is_empty() {
            ui.label(RichText::new("There is nothing to remove.").color(palette.dim));
        }
        egui::ScrollArea::vertical().id_salt("surveys").max_height(220.0).show(ui, |ui| {
            ui.spacing_mut().interact_size.y = 22.0;
            ui.spacing_mut().item_spacing.y = 4.0;
            for survey in surveys {
                ui.horizontal(|ui| {
                    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                        ui.label(RichText::new(words::bytes(survey.bytes)).monospace().color(palette.text));
                        ui.label(
                            RichText::new(words::number(survey.files, "file", "files")).small().color(palette.dim),
                        );
                        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                            let path = RichText::new(words::path(&survey.path)).monospace().color(palette.text);
                            ui.add(Label::new(path).truncate().selectable(true));
                        });
                    });
                });
                for line in in_the_way(survey) {
                    let line = RichText::new(format!("    {line}")).small().color(palette.warning);
                    ui.add(Label::new(line).wrap().selectable(true));
                }
            }
        });
    });
    ui.add_space(6.0);
    ui.horizontal(|ui| {
        let text = format!("{} in {}", words::bytes(total), words::number(files, "file", "files"));
        ui.label(RichText::new(text).strong().color(palette.strong));
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if danger_button(ui, Icon::Trash2, "Remove everything").clicked() {
                wishes.send(Command::Eject(EjectScope::Everything));
                wishes.add(Wish::CloseDialog);
            }
            if ui.button("Keep everything").clicked() {
                wishes.add(Wish::CloseDialog);
            }
        });
    });
}

/// A button for what cannot be undone.
pub(super) fn danger_button(ui: &mut Ui, glyph: Icon, name: &str) -> egui::Response {
    danger_button_if(ui, true, glyph, name, "")
}

/// The same where it may not be pressed yet; `hint` says why.
pub(super) fn danger_button_if(ui: &mut Ui, can: bool, glyph: Icon, name: &str, hint: &str) -> egui::Response {
    let palette = Palette::of(ui);
    ui.scope(|ui| {
        let widgets = &mut ui.visuals_mut().widgets;
        for state in [&mut widgets.inactive, &mut widgets.hovered, &mut widgets.active] {
            state.fg_stroke.color = palette.error;
        }
        widgets.hovered.bg_stroke = egui::Stroke::new(1.0, palette.error);
        controls::button(ui, can, glyph, name, hint)
    })
    .inner
}

fn shortcut_list(ui: &mut Ui) {
    let palette = Palette::of(ui);
    ui.add_space(2.0);
    ui.spacing_mut().interact_size.y = 22.0;
    egui::Grid::new("shortcuts").num_columns(2).spacing([28.0, 0.0]).min_row_height(23.0).show(ui, |ui| {
        for (keys, what) in shortcuts::LIST {
            ui.horizontal(|ui| controls::keycaps(ui, &keys.split('+').collect::<Vec<_>>()));
            ui.label(RichText::new(*what).color(palette.text));
            ui.end_row();
        }
    });
    ui.add_space(4.0);
    let words = "While the guest has the keyboard, all keys are its own; the bar above its screen says which ones, pressed and \
                 released, give it back. In the serial terminal, Ctrl with a letter goes to the guest.";
    ui.add(Label::new(RichText::new(words).small().color(palette.dim)).wrap());
}

/// Said while the session ends because the window was closed.
pub fn closing(ctx: &Context, model: &Model) {
    let dark = ctx.global_style().visuals.dark_mode;
    let palette = Palette::when(dark);
    let shade = egui::Color32::from_black_alpha(if dark { 150 } else { 80 });
    let frame = egui::Frame::new().fill(palette.panel).corner_radius(10).inner_margin(egui::Margin::same(24));
    Modal::new(Id::unique("closing")).frame(frame).backdrop_color(shade).show(ctx, |ui| {
        ui.set_width(340.0);
        ui.horizontal(|ui| {
            controls::badge(ui, Icon::CircleArrowOutUpRight, palette.accent);
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 2.0;
                ui.label(RichText::new("Ejecting before closing").strong().color(palette.strong));
                let step = headline::ejecting(model);
                ui.add(Label::new(RichText::new(step).small().color(palette.dim)).wrap());
            });
        });
        if let Some(share) = model.removing.as_ref().and_then(Removing::share) {
            ui.add_space(4.0);
            controls::thin_bar(ui, ui.available_width(), Some(share), "Progress of the removal");
        }
    });
}

//! The dialog that writes an image to a USB stick or a card: the disks that there are, the name to type, how far it is, the end.

use egui::{Align, Frame, Key, Label, Layout, Margin, RichText, Sense, TextEdit, Ui, vec2};
use isoprep::deploy::{Bus, DeployStage, Deployed, Wanted, label_size};
use lucide_icons::Icon;

use super::boot_form::{label, row, words_below};
use super::controls;
use super::dialogs::danger_button_if;
use super::theme::Palette;
use super::wish::{Wish, Wishes};
use super::words;
use crate::session::deploy::{DeployCommand, DeployImage, DeployWish, DiskView, away_words, stage_words};
use crate::session::event::Failure;
use crate::session::model::{DeployFailure, DeployRun};
use crate::session::{Command, Model};

/// What is chosen and typed in the dialog.
#[derive(Debug, Default)]
pub struct DeployForm {
    /// The disk that is chosen, as it was then.
    chosen: Option<Wanted>,
    /// Its name, as far as it is typed.
    typed: String,
    /// The end of the last write was seen.
    acknowledged: bool,
}

impl DeployForm {
    /// The dialog opens for an image: what was typed for another one counts no more, and what is being written is shown.
    pub(super) fn begin(&mut self, running: bool) {
        *self = Self { acknowledged: !running, ..Self::default() };
    }

    /// Something is being written: its end is to be seen.
    pub(super) fn began(&mut self) {
        self.acknowledged = false;
    }

    /// What was asked for has begun, or is wanted again.
    fn forget(&mut self, acknowledged: bool) {
        (self.chosen, self.acknowledged) = (None, acknowledged);
        self.typed.clear();
    }

    /// The disk that is chosen, if it is still there and can still be written to.
    fn disk<'a>(&self, disks: &'a [DiskView]) -> Option<&'a DiskView> {
        let chosen = self.chosen.as_ref()?;
        disks.iter().find(|it| it.refusal.is_none() && chosen.is(&it.disk))
    }

    fn wish(&self, model: &Model) -> Option<DeployWish> {
        let image = model.deploy.image.as_ref()?;
        let disk = self.disk(model.deploy.disks.as_deref()?)?;
        let (disk, typed) = (Wanted::of(&disk.disk), self.typed.clone());
        let wish = DeployWish { image: image.path.clone(), disk, typed, eject: true };
        wish.confirmed().then_some(wish)
    }
}

/// What opens the dialog, for the image of the last build.
pub(super) fn open(wishes: &mut Wishes) {
    wishes.send(Command::Deploy(DeployCommand::Watch(DeployImage::Built)));
    wishes.add(Wish::Open(super::wish::Dialog::Deploy));
}

/// Draws the dialog's contents.
pub(super) fn show(ui: &mut Ui, model: &Model, form: &mut DeployForm, wishes: &mut Wishes) {
    match &model.deploy.run {
        Some(run) if run.end.is_none() => running(ui, run, wishes),
        Some(DeployRun { disk, end: Some(end), .. }) if !form.acknowledged => match end {
            Ok(deployed) => ended(ui, disk, deployed, form, wishes),
            Err(failure) => failed(ui, failure, form, wishes),
        },
        _ => choice(ui, model, form, wishes),
    }
}

fn choice(ui: &mut Ui, model: &Model, form: &mut DeployForm, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let image = model.deploy.image.as_ref();
    let shown = image.map_or(String::new(), |it| format!("{}, {}", words::path(&it.path), label_size(it.bytes)));
    ui.add(Label::new(RichText::new(shown).monospace().color(palette.text)).truncate());
    words_below(
        ui,
        "It is written to a whole disk, read back, and the disk is ejected. All that is on the disk is lost.",
    );
    if let Some(warning) = image.and_then(crate::session::deploy::ImageView::warning) {
        ui.horizontal_top(|ui| {
            ui.label(controls::icon(Icon::TriangleAlert, 14.0).color(palette.warning));
            ui.add(Label::new(RichText::new(format!("{warning}.")).small().color(palette.text)).wrap());
        });
    }
    ui.add_space(4.0);
    if let Some(failure) = &model.deploy.unseen {
        said(ui, failure, Icon::CircleX, palette.error);
    }
    match &model.deploy.disks {
        _ if model.deploy.unseen.is_some() => {}
        None => {
            ui.label(RichText::new("Looking at the disks of this host…").color(palette.dim));
        }
        Some(disks) => list(ui, disks, form),
    }
    confirm(ui, model, form, wishes);
}

fn list(ui: &mut Ui, disks: &[DiskView], form: &mut DeployForm) {
    let palette = Palette::of(ui);
    if !disks.iter().any(|it| it.refusal.is_none()) {
        ui.horizontal(|ui| {
            ui.label(controls::icon(Icon::Usb, 16.0).color(palette.dim));
            let words = "No disk can be written to now. Plug in a USB stick: it appears here by itself.";
            ui.add(Label::new(RichText::new(words).color(palette.text)).wrap());
        });
        ui.add_space(2.0);
    }
    egui::ScrollArea::vertical().id_salt("disks").max_height(270.0).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = 4.0;
        for disk in disks {
            let chosen = form.disk(disks).is_some_and(|it| it.disk.name == disk.disk.name);
            if line(ui, disk, chosen) {
                form.forget(true);
                form.chosen = Some(Wanted::of(&disk.disk));
            }
        }
    });
}

/// One disk. Says whether it was chosen.
fn line(ui: &mut Ui, disk: &DiskView, chosen: bool) -> bool {
    let palette = Palette::of(ui);
    let can = disk.refusal.is_none();
    let (strong, dim) = if can { (palette.strong, palette.dim) } else { (palette.dim, palette.dim) };
    let stroke = if chosen { egui::Stroke::new(1.5, palette.accent) } else { egui::Stroke::new(1.0, palette.line) };
    let glyph = match (disk.disk.bus, chosen) {
        (_, true) => Icon::CircleDot,
        (Bus::Usb, false) => Icon::Usb,
        (Bus::Card, false) => Icon::MemoryStick,
        _ => Icon::HardDrive,
    };
    let frame =
        Frame::new().fill(palette.sunken).stroke(stroke).corner_radius(6).inner_margin(Margin::symmetric(12, 7));
    let shown = frame.show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.spacing_mut().item_spacing = vec2(10.0, 1.0);
        ui.horizontal(|ui| {
            ui.label(controls::icon(glyph, 16.0).color(if chosen { palette.accent } else { dim }));
            ui.vertical(|ui| {
                ui.horizontal(|ui| {
                    ui.add(Label::new(RichText::new(disk.title()).color(strong)).selectable(false));
                    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                        ui.add(Label::new(RichText::new(&disk.disk.name).monospace().color(strong)).selectable(false));
                    });
                });
                let words = words::sentence(&disk.words());
                ui.add(Label::new(RichText::new(words).small().color(dim)).wrap().selectable(false));
            });
        });
    });
    let sense = if can { Sense::click() } else { Sense::hover() };
    let response = ui.interact(shown.response.rect, ui.scope_id().with(("disk", &disk.disk.name)), sense);
    let name = format!("Disk {}: {}", disk.disk.name, disk.title());
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::RadioButton, can, chosen, name.as_str()));
    if response.has_focus() {
        let ring = egui::Stroke::new(1.5, palette.accent);
        ui.painter().rect_stroke(response.rect, 6, ring, egui::StrokeKind::Outside);
    }
    match &disk.refusal {
        None => response.clicked(),
        Some(refusal) => {
            response.on_hover_text(format!("{}.", words::sentence(&refusal.advice())));
            false
        }
    }
}

/// The name to type, and the button.
fn confirm(ui: &mut Ui, model: &Model, form: &mut DeployForm, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let disks = model.deploy.disks.as_deref().unwrap_or_default();
    let chosen = form.disk(disks).map(|it| (it.disk.name.clone(), it.title()));
    let mut entered = false;
    if let Some((name, title)) = &chosen {
        label(ui, &format!("Type {name} to lose all that is on {title}"));
        let edit = TextEdit::singleline(&mut form.typed).hint_text(RichText::new(name).color(palette.dim));
        let edit = ui.add(edit.desired_width(160.0)).accessible_name("Name of the disk");
        entered = edit.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
        if form.typed.is_empty() && ui.memory(|memory| memory.focused()).is_none() {
            edit.request_focus();
        }
    }
    ui.add_space(10.0);
    let wish = form.wish(model);
    row(ui, |ui| {
        let hint = match (&chosen, &wish) {
            (None, _) => "Choose a disk first.",
            (_, None) => "Type the name of the disk first.",
            _ => "Begins at once. Enter",
        };
        let clicked = danger_button_if(ui, wish.is_some(), Icon::Usb, "Erase and write", hint).clicked();
        if ui.button("Not now").clicked() {
            wishes.add(Wish::CloseDialog);
        }
        if let Some(wish) = wish.filter(|_| clicked || entered) {
            form.forget(false);
            wishes.send(Command::Deploy(DeployCommand::Write(wish)));
        }
    });
}

/// How far it is, in a line: "1.2 GB of 4.0 GB, 35.0 MB/s, about 1 min left".
pub(super) fn progress(run: &DeployRun) -> (String, Option<f32>) {
    let Some(step) = run.step else { return (String::new(), None) };
    let mut words = Vec::new();
    if step.stage == DeployStage::Opening {
        words.push("You may be asked for a password".to_owned());
    }
    let mut share = None;
    if step.total > 0 {
        words.push(format!("{} of {}", label_size(step.done), label_size(step.total)));
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a bar of some pixels")]
        let part = (step.done as f64 / step.total as f64) as f32;
        share = Some(part);
    }
    if let Some(rate) = run.pace.and_then(|pace| pace.per_second) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people")]
        let rate = rate.round() as u64;
        words.push(format!("{}/s", label_size(rate)));
    }
    if let Some(left) = run.pace.and_then(|pace| pace.left_ms).filter(|left| *left > 0) {
        words.push(words::left(left));
    }
    (words.join(", "), share)
}

fn running(ui: &mut Ui, run: &DeployRun, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let words = format!("{} to /dev/{}", words::path(&run.image), run.disk);
    ui.add(Label::new(RichText::new(words).monospace().color(palette.text)).truncate());
    ui.add_space(10.0);
    let stage = run.step.map_or("Opening the disk", |step| stage_words(step.stage));
    let (words, share) = progress(run);
    ui.horizontal(|ui| {
        ui.label(RichText::new(stage).color(palette.strong));
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.label(RichText::new(&words).small().color(palette.dim));
        });
    });
    let width = ui.available_width();
    controls::thin_bar(ui, width, share, &format!("{stage}: {words}"));
    ui.add_space(6.0);
    words_below(ui, "Leave the disk plugged in. Until all of it was read back it cannot be started from.");
    ui.add_space(8.0);
    row(ui, |ui| {
        let hint = "Stops it. The disk is not bootable then, and what was on it is gone.";
        if controls::button(ui, true, Icon::Square, "Cancel writing", hint).clicked() {
            wishes.send(Command::Deploy(DeployCommand::Cancel));
        }
        if ui.button("Go on in the background").clicked() {
            wishes.add(Wish::CloseDialog);
        }
    });
}

fn ended(ui: &mut Ui, disk: &str, deployed: &Deployed, form: &mut DeployForm, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    ui.horizontal(|ui| {
        ui.label(controls::icon(Icon::CircleCheck, 18.0).color(palette.success));
        let took = words::took(u64::try_from(deployed.took.as_millis()).unwrap_or(u64::MAX));
        let words = format!("{} on {disk}, all of it read back, in {took}", label_size(deployed.bytes));
        ui.add(Label::new(RichText::new(words).color(palette.strong)).wrap());
    });
    let words = format!("{}.", away_words(&deployed.away));
    ui.add(Label::new(RichText::new(words).color(palette.text)).wrap().selectable(true));
    finish(ui, "Write another", form, wishes);
}

fn failed(ui: &mut Ui, end: &DeployFailure, form: &mut DeployForm, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let (glyph, colour) =
        if end.cancelled { (Icon::CircleSlash, palette.warning) } else { (Icon::CircleX, palette.error) };
    // What was asked for needs no reason.
    let detail = if end.cancelled { String::new() } else { end.failure.detail.clone() };
    said(ui, &Failure { detail, ..end.failure.clone() }, glyph, colour);
    finish(ui, "Choose a disk", form, wishes);
}

fn finish(ui: &mut Ui, again: &str, form: &mut DeployForm, wishes: &mut Wishes) {
    ui.add_space(10.0);
    row(ui, |ui| {
        if controls::button(ui, true, Icon::Check, "Done", "").clicked() {
            form.forget(true);
            wishes.add(Wish::CloseDialog);
        }
        if ui.button(again).clicked() {
            form.forget(true);
        }
    });
}

/// What went wrong, and what to do.
fn said(ui: &mut Ui, failure: &Failure, glyph: Icon, colour: egui::Color32) {
    let palette = Palette::of(ui);
    ui.horizontal(|ui| {
        ui.label(controls::icon(glyph, 16.0).color(colour));
        ui.add(Label::new(RichText::new(&failure.title).color(palette.strong)).wrap());
    });
    if !failure.detail.is_empty() {
        controls::quote(ui, "why not written", &failure.detail, 90.0);
    }
    if let Some(advice) = &failure.advice {
        ui.horizontal_top(|ui| {
            ui.label(controls::icon(Icon::Lightbulb, 14.0).color(palette.warning));
            let advice = RichText::new(format!("{}.", words::sentence(advice))).color(palette.text);
            ui.add(Label::new(advice).wrap().selectable(true));
        });
    }
}

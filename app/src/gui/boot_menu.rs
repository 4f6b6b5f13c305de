//! The menu beside the button that boots: the image by its boot loader, a kernel without one, a VNC server instead, or a stick.

use egui::{Ui, vec2};
use lucide_icons::Icon;

use super::controls;
use super::deploy;
use super::watching;
use super::wish::{Dialog, Wish, Wishes};
use super::words;
use crate::session::direct::{DirectSource, DirectWish};
use crate::session::state::{Goal, Input};
use crate::session::{Command, Model};

/// Draws the arrow that opens it.
pub(super) fn show(ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
    let arrow = egui::Button::new(controls::icon(Icon::ChevronDown, 14.0)).min_size(vec2(26.0, 30.0));
    let (response, _) = ui
        .scope(|ui| {
            ui.spacing_mut().button_padding.x = 6.0;
            egui::containers::menu::MenuButton::from_button(arrow).ui(ui, |ui| items(ui, model, wishes))
        })
        .inner;
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, "More ways to boot"));
}

fn items(ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
    ui.set_min_width(250.0);
    let denied = |goal| model.denied(Input::Ask(goal)).map(|it| words::sentence(&format!("{it}.")));
    let mut item = |glyph, name: &str, keys: &str, hint: &str, goal| {
        let denied = denied(goal);
        let item = controls::menu_item(ui, denied.is_none(), Some(glyph), name, keys);
        let why = denied.as_deref().unwrap_or(hint);
        item.on_hover_text(hint).on_disabled_hover_text(why).clicked()
    };
    let by_loader = match way(model) {
        None | Some("image") => "The image that the last build left, by its boot loader.",
        Some(_) => "As the cartridge's settings say it.",
    };
    if item(Icon::Play, "Boot", "Ctrl+Shift+B", by_loader, Goal::Boot) {
        wishes.send(Command::Ask(Goal::Boot));
    }
    let own = "The image's own kernel and initramfs, without its boot loader: quicker. The image is a CD of the guest.";
    if item(Icon::Zap, "Boot directly", "", own, Goal::Boot) {
        wishes.send(Command::BootDirect(Box::new(DirectWish::of(DirectSource::Image))));
    }
    let iso = "An entry of any ISO's boot menu, without its boot loader.";
    if item(Icon::Disc3, "Boot an ISO directly…", "", iso, Goal::Direct) {
        wishes.add(Wish::Open(Dialog::BootIso));
    }
    let kernel = "A kernel of this machine, with an initramfs, with layers on a disk, or with a folder as its root.";
    if item(Icon::Cpu, "Boot a kernel…", "", kernel, Goal::Direct) {
        wishes.add(Wish::Open(Dialog::BootKernel));
    }
    ui.separator();
    attach(ui, model, wishes);
    write(ui, model, wishes);
}

/// What makes a machine on somebody's desk boot.
fn write(ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
    let hint = "The image of the last build, onto a USB stick or a card that you choose.";
    let none = watching::may(model, "There is no image yet: press Build.").1;
    let item =
        controls::menu_item(ui, model.state.image && model.watched.is_none(), Some(Icon::Usb), "Write to USB…", "");
    if item.on_hover_text(hint).on_disabled_hover_text(none).clicked() {
        deploy::open(wishes);
    }
}

/// What is no boot: a screen that somebody else's machine has.
fn attach(ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
    let denied = model.denied(Input::Ask(Goal::Attach)).map(|it| words::sentence(&format!("{it}.")));
    let hint = "Its screen in place of a guest's: by its address, or through ssh.";
    let item = controls::menu_item(ui, denied.is_none(), Some(Icon::ScreenShare), "Attach to a VNC server…", "");
    if item.on_hover_text(hint).on_disabled_hover_text(denied.as_deref().unwrap_or(hint)).clicked() {
        wishes.add(Wish::Open(Dialog::Attach));
    }
}

/// The way that the cartridge names.
fn way(model: &Model) -> Option<&str> {
    let fields = &model.cartridge.as_ref()?.fields;
    fields.iter().find(|field| field.key == "boot.way").map(|field| field.value.as_str())
}

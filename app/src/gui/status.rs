//! The line at the bottom: how the guest runs, what the image is, how to reach the guest, whether its tree is ours.

use egui::{Align, Color32, Layout, RichText, Ui};
use lucide_icons::Icon;

use super::controls;
use super::deploy;
use super::source;
use super::theme::Palette;
use super::wish::{Dialog, Wish, Wishes};
use super::words;
use crate::doctor::Status;
use crate::session::deploy::stage_words;
use crate::session::sign::Sign;
use crate::session::{Command, Model};

/// Draws the line's contents.
pub fn show(ui: &mut Ui, model: &Model, logs_open: bool, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    ui.horizontal_centered(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        if let Some((accelerator, reason)) = &model.accelerator {
            fact(ui, Icon::Cpu, palette.dim, &accelerator.to_uppercase(), reason);
        }
        if let Some(image) = &model.image {
            let tree: String = image.tree_hash.chars().take(8).collect();
            let text =
                format!("{} · {} · {tree}", words::bytes(image.bytes), words::number(image.files, "file", "files"));
            let hint = format!("{}\nTree {}\nKernel {}", image.iso.display(), image.tree_hash, image.kernel_version);
            fact(ui, Icon::Disc3, palette.dim, &text, &hint);
        }
        if let Some(view) = model.attached() {
            let (glyph, colour) =
                if view.is_secret() { (Icon::Lock, palette.dim) } else { (Icon::LockOpen, palette.warning) };
            fact(ui, glyph, colour, &view.address, &format!("{}\n{}", view.name, view.secrecy()));
        }
        source::show(ui, model, wishes);
        if let Some(guest) = &model.guest {
            reported(ui, guest, model.source.as_ref().is_some_and(|source| source.total > 0));
            for (name, guest_port, host_port) in guest.ports.iter().filter(|_| !guest.ended) {
                port(ui, name, *guest_port, *host_port, wishes);
            }
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if !logs_open && quiet_button(ui, Icon::PanelBottomOpen, "Show logs", palette.dim, "Ctrl+Shift+L").clicked()
            {
                wishes.add(Wish::ToggleLogs);
            }
            host(ui, model, wishes);
            writing(ui, model, wishes);
        });
    });
}

/// A disk that is being written to, also while its dialog is closed.
fn writing(ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
    let Some(run) = model.deploy.running() else { return };
    let stage = run.step.map_or("Opening the disk", |step| stage_words(step.stage));
    let (words, share) = deploy::progress(run);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 100")]
    let share = share.map_or(String::new(), |share| format!(" {} %", (share * 100.0) as u32));
    let hint = format!("{} to {}\n{words}\nOpens the dialog.", words::path(&run.image), run.disk);
    if quiet_button(ui, Icon::Usb, &format!("{stage}: {}{share}", run.disk), Palette::of(ui).accent, &hint).clicked() {
        deploy::open(wishes);
    }
}

fn reported(ui: &mut Ui, guest: &crate::session::model::GuestView, changed: bool) {
    let palette = Palette::of(ui);
    let Some(report) = &guest.report else {
        signed(ui, guest);
        return;
    };
    if guest.reset {
        let hint = "It was reset, and what it reported before that is no longer true of it.";
        return fact(ui, Icon::Hourglass, palette.dim, "Not reported since its reset", hint);
    }
    if let Some(system) = &report.system {
        let (glyph, colour, words) = system_state(system, palette);
        let hint = format!("systemd says of the whole system: {system}.\n{words}");
        fact(ui, glyph, colour, &format!("System {system}"), &hint);
    }
    let took = guest
        .reported_ms
        .map_or(String::new(), |at| format!("\nReported after {}.", words::took(at.saturating_sub(guest.since_ms))));
    let (glyph, colour, text, hint) = match guest.matches {
        _ if report.live().is_some() => (
            Icon::CircleDot,
            palette.success,
            "Live tree",
            "The guest sees the folder itself: what you save is there at once. What was injected lies below it.",
        ),
        Some(true) if changed => (
            Icon::CircleCheck,
            palette.dim,
            "Tree matched",
            "The guest found the very files that were injected; the repository has changed since.",
        ),
        Some(true) => {
            (Icon::CircleCheck, palette.success, "Tree matches", "The guest found the very files that were injected.")
        }
        Some(false) => {
            (Icon::CircleX, palette.error, "Tree differs", "The guest found other files than those that were injected.")
        }
        None => (
            Icon::CircleHelp,
            palette.dim,
            "Guest reported",
            "The image is not of this session, so there is nothing to compare.",
        ),
    };
    let system = report.system_words().map_or(String::new(), |words| format!(" · {words}"));
    let hint = format!(
        "{hint}\n{} · Linux {} · {} · {}{system}{took}",
        report.path, report.kernel, report.firmware, report.accelerator
    );
    fact(ui, glyph, colour, text, &hint);
}

/// How far a guest has come that has nothing in it that reports.
fn signed(ui: &mut Ui, guest: &crate::session::model::GuestView) {
    let palette = Palette::of(ui);
    let why = guest.mute.as_ref().map_or_else(String::new, |why| format!("\n{}.", words::sentence(why)));
    let (glyph, colour, text, hint) = match guest.sign {
        Some(Sign::Login) => (Icon::CircleCheck, palette.success, "Asks for a login", "The guest is up."),
        Some(Sign::Shell) => (Icon::CircleCheck, palette.success, "Shows a shell", "The guest is up."),
        Some(Sign::Target) => (Icon::CircleCheck, palette.success, "Target reached", "The guest's systemd is up."),
        Some(Sign::HandedOver) => {
            let hint = "Nothing in it reports; it is taken to run. Its screen says how far it is.";
            (Icon::CircleHelp, palette.dim, "Reports nothing", hint)
        }
        Some(Sign::Emergency) => {
            let hint = "The guest's initramfs has given up and shows a shell of its own. The Serial log says why.";
            (Icon::CircleX, palette.error, "Boot gave up", hint)
        }
        None if guest.mute.is_some() && !guest.ended => {
            (Icon::CircleHelp, palette.dim, "Does not report", "What is seen on the serial line has to do.")
        }
        None => return,
    };
    fact(ui, glyph, colour, text, &format!("{hint}{why}"));
}

/// What a word of `systemctl is-system-running` means (systemctl(1)).
fn system_state(system: &str, palette: &Palette) -> (Icon, Color32, &'static str) {
    match system {
        "running" => (Icon::CircleCheck, palette.success, "Everything that was to be started is."),
        "degraded" => {
            (Icon::TriangleAlert, palette.warning, "It is up, but units have failed: systemctl --failed names them.")
        }
        "initializing" | "starting" => (Icon::Hourglass, palette.dim, "It was still starting when it reported."),
        "maintenance" => (Icon::CircleX, palette.error, "It shows its rescue or emergency shell."),
        _ => (Icon::CircleHelp, palette.dim, "It is not known how it is."),
    }
}

fn port(ui: &mut Ui, name: &str, guest_port: u16, host_port: u16, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let command = port_command(name, guest_port, host_port);
    let hint = format!("{name}: port {guest_port} of the guest.\nClick to copy: {command}");
    if quiet_button(ui, Icon::Cable, &format!("{name} 127.0.0.1:{host_port}"), palette.dim, &hint).clicked() {
        wishes.add(Wish::Copy(command));
    }
}

/// What to type to use a forwarded port: an ssh command for ssh, the address for everything else.
#[must_use]
pub fn port_command(name: &str, guest_port: u16, host_port: u16) -> String {
    if name == "ssh" || guest_port == 22 {
        // Every boot has a new host key: remembering it would only make the next one fail.
        format!("ssh -p {host_port} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null root@127.0.0.1")
    } else {
        format!("127.0.0.1:{host_port}")
    }
}

fn host(ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let Some(checks) = &model.checks else { return };
    let count = |status| checks.iter().filter(|check| check.status == status).count();
    let (glyph, colour, text) = match (count(Status::Missing), count(Status::Warning)) {
        (0, 0) => (Icon::CircleCheck, palette.success, "Host ready".to_owned()),
        (0, n) => (Icon::TriangleAlert, palette.warning, format!("{n} host {}", if n == 1 { "hint" } else { "hints" })),
        (n, _) => (Icon::CircleX, palette.error, format!("{n} missing on this host")),
    };
    if quiet_button(ui, glyph, &text, colour, "Opens the checks of this host.").clicked() {
        wishes.send(Command::Diagnose);
        wishes.add(Wish::Open(Dialog::Doctor));
    }
}

fn fact(ui: &mut Ui, glyph: Icon, colour: Color32, text: &str, hint: &str) {
    let palette = Palette::of(ui);
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.x = 5.0;
        ui.label(controls::icon(glyph, 13.0).color(colour)).on_hover_text(hint);
        ui.label(RichText::new(text).small().color(palette.dim)).on_hover_text(hint);
    });
    ui.add_space(8.0);
}

pub(super) fn quiet_button(ui: &mut Ui, glyph: Icon, text: &str, colour: Color32, hint: &str) -> egui::Response {
    let palette = Palette::of(ui);
    ui.scope(|ui| {
        ui.spacing_mut().button_padding = egui::vec2(6.0, 2.0);
        ui.spacing_mut().interact_size.y = 22.0;
        ui.spacing_mut().icon_spacing = 5.0;
        let text_shown = RichText::new(text).small().color(palette.dim);
        let button = egui::Button::new((controls::icon(glyph, 13.0).color(colour), text_shown))
            .frame(true)
            .frame_when_inactive(false);
        let response = ui.add(button);
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, text));
        response.on_hover_text(hint)
    })
    .inner
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ssh_port_is_a_command_and_others_an_address() {
        assert!(port_command("ssh", 22, 40_022).starts_with("ssh -p 40022 "));
        assert_eq!(port_command("web", 80, 40_080), "127.0.0.1:40080");
    }
}

//! The dialog that attaches to a VNC server of somebody else's: its address, the way to it, its password, and whether its
//! certificate is the right one.

use egui::{Align, Key, Label, Layout, RichText, TextEdit, Ui};
use lucide_icons::Icon;
use vmtools::attach::{Password, Place, SshHost};
use vmtools::display::rfb::Fingerprint;

use super::asked::Asked;
use super::boot_form::{begin_with, label, row, words_below};
use super::controls;
use super::theme::Palette;
use super::wish::{Wish, Wishes};
use super::words;
use crate::session::attachment::{AttachWant, AttachWish};
use crate::session::event::Failure;
use crate::session::state::{Goal, Input};
use crate::session::{Command, Model};

/// How many servers of before are offered.
const SEEN: usize = 4;

/// What is typed into the dialog.
#[derive(Default)]
pub struct AttachForm {
    address: String,
    ssh: String,
    password: String,
    view_only: bool,
    asked: Asked,
    /// The address and the way that were tried last: what is known of a certificate is known of them.
    tried: (String, String),
    /// The field of the password is to get the keyboard.
    to_password: bool,
}

impl std::fmt::Debug for AttachForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AttachForm").field("address", &self.address).field("ssh", &self.ssh).finish_non_exhaustive()
    }
}

impl AttachForm {
    /// The dialog opens or closes: what went wrong before is not about this, and a password is not kept.
    pub(super) fn open(&mut self) {
        self.asked = Asked::Nothing;
        self.password.clear();
    }

    /// Begins with the server that was attached last, where nothing is typed yet, and as the screen is now.
    pub(super) fn begin(&mut self, last: Option<&str>, view_only: bool) {
        self.open();
        self.view_only = view_only;
        if let Some(last) = last.filter(|_| self.address.is_empty()) {
            last.clone_into(&mut self.address);
        }
    }

    /// A server wants something, whoever has asked for it: the next failure is said here. Says whether the dialog has to open.
    pub(super) fn wanted(&mut self, want: &AttachWant, address: &str, view_only: bool) -> bool {
        self.to_password = matches!(want, AttachWant::Password { .. });
        let waits = self.asked.waits();
        if !waits {
            (self.address, self.ssh) = (address.to_owned(), String::new());
            self.view_only = view_only;
            self.asked = Asked::Waiting;
            self.tried = (self.address.clone(), self.ssh.clone());
        }
        !waits
    }

    /// What was asked for has failed. Says whether the dialog waits for it, and so says it.
    pub(super) fn failed(&mut self, failure: &Failure) -> bool {
        self.asked.failed(failure)
    }

    /// The server is attached, or nothing is waited for any more. Says whether the dialog waited for it.
    pub(super) fn over(&mut self) -> bool {
        self.asked.over()
    }

    /// What it asks for, or what is wrong with it.
    fn wish(&self) -> Result<AttachWish, String> {
        let said = |error: vmtools::attach::PlaceError| words::sentence(&format!("{error}."));
        let address = super::dialogs::home_of(self.address.trim()).display().to_string();
        let mut place = Place::parse(&address).map_err(said)?;
        if !self.ssh.trim().is_empty() {
            place = SshHost::parse(&self.ssh).and_then(|host| place.through(host)).map_err(said)?;
        }
        let password = Some(&self.password).filter(|text| !text.is_empty());
        Ok(AttachWish { password: password.map(|text| Password::new(text.clone())), ..AttachWish::of(place) })
    }
}

/// Draws the dialog's contents.
pub(super) fn show(ui: &mut Ui, model: &Model, form: &mut AttachForm, wishes: &mut Wishes) {
    words_below(ui, "Its screen takes the place of a guest's, and lives on without us. It needs no cartridge.");
    let mut entered = field(
        ui,
        &mut form.address,
        "Address",
        "host, host:1, host::5901, vnc://user@host or the path of a socket",
        true,
    );
    recent(ui, model, form);
    entered |= field(ui, &mut form.ssh, "Through ssh", "user@host: the address is meant as seen from there", false);
    label(ui, "Password");
    let hint = RichText::new("If the server asks for one").color(Palette::of(ui).dim);
    let edit = TextEdit::singleline(&mut form.password).password(true).hint_text(hint).desired_width(f32::INFINITY);
    let edit = ui.add(edit).accessible_name("Password of the VNC server");
    if std::mem::take(&mut form.to_password) {
        edit.request_focus();
    }
    entered |= edit.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
    ui.add_space(4.0);
    ui.checkbox(&mut form.view_only, RichText::new("View only: send neither keys nor the pointer").size(13.0));
    let trust = trust(model, form);
    match &trust {
        Some((fingerprint, changed)) => certificate(ui, fingerprint, *changed),
        None => form.asked.show(ui, "why not attached"),
    }
    finish(ui, model, form, trust, entered, wishes);
}

/// The certificate that the last attempt has met and that nobody trusts, and whether the server had another one before.
fn trust(model: &Model, form: &AttachForm) -> Option<(Fingerprint, bool)> {
    match (&form.asked, &model.attach_want) {
        (Asked::Failed(_), Some(AttachWant::Trust { fingerprint, changed }))
            if form.tried == (form.address.clone(), form.ssh.clone()) =>
        {
            Fingerprint::parse(fingerprint).map(|fingerprint| (fingerprint, *changed))
        }
        _ => None,
    }
}

/// Asks whether that certificate is the server's.
fn certificate(ui: &mut Ui, fingerprint: &Fingerprint, changed: bool) {
    let palette = Palette::of(ui);
    let (glyph, colour, title, words) = match changed {
        false => (
            Icon::ShieldQuestionMark,
            palette.warning,
            "Is this the server's own certificate?",
            "Compare its SHA-256 fingerprint with the one on the server: openssl x509 -noout -fingerprint -sha256 -in CERTIFICATE",
        ),
        true => (
            Icon::ShieldAlert,
            palette.error,
            "The server has another certificate than before",
            "If nobody has renewed it, somebody is in between. The password was not sent. Its SHA-256 fingerprint:",
        ),
    };
    ui.add_space(8.0);
    ui.horizontal(|ui| {
        ui.label(controls::icon(glyph, 15.0).color(colour));
        ui.add(Label::new(RichText::new(title).color(palette.strong)).wrap());
    });
    ui.add(Label::new(RichText::new(words).size(13.0).color(palette.text)).wrap().selectable(true));
    let shown = fingerprint.to_string();
    // Two lines of sixteen bytes.
    let halves =
        shown.split_at_checked(shown.len() / 2 + 1).map_or(shown.clone(), |(one, other)| format!("{one}\n{other}"));
    controls::quote(ui, "fingerprint", &halves, 60.0);
}

/// The end of the dialog: what is wrong, and the buttons.
fn finish(
    ui: &mut Ui,
    model: &Model,
    form: &mut AttachForm,
    trust: Option<(Fingerprint, bool)>,
    entered: bool,
    wishes: &mut Wishes,
) {
    let palette = Palette::of(ui);
    let waiting = form.asked.waits();
    let denied = model.denied(Input::Ask(Goal::Attach)).map(|it| words::sentence(&format!("{it}.")));
    let wish = form.wish().and_then(|wish| denied.map_or(Ok(wish), Err));
    ui.add_space(10.0);
    row(ui, |ui| {
        let hint = wish.as_ref().err().map_or("Enter", String::as_str);
        let can = wish.is_ok() && !waiting;
        let (name, glyph) = match trust {
            Some((_, false)) => ("Trust it and attach", Icon::ShieldCheck),
            _ => ("Attach", Icon::ScreenShare),
        };
        let clicked = controls::accent_button(ui, can, glyph, name, hint).clicked();
        if waiting {
            let hint = "Stops it, and leaves what you have typed.";
            if controls::button(ui, true, Icon::Square, "Stop", hint).clicked() {
                wishes.send(Command::Cancel);
            }
        } else if ui.button("Not now").clicked() {
            wishes.add(Wish::CloseDialog);
        }
        let hint = "Only if you know why the server has another certificate, and have compared its fingerprint.";
        let renewed = matches!(trust, Some((_, true)))
            && controls::button(ui, can, Icon::ShieldAlert, "Trust the new one", hint).clicked();
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            let said = match (&wish, waiting) {
                (_, true) => "Connecting…",
                (Err(why), false) if !form.address.trim().is_empty() => why,
                _ => "",
            };
            ui.add(Label::new(RichText::new(said).small().color(palette.dim)).wrap());
        });
        if let Ok(wish) = wish
            && !waiting
            && (clicked || renewed || entered)
        {
            // Enter alone trusts nobody.
            let trusted = trust.filter(|(_, changed)| if *changed { renewed } else { clicked });
            let wish = AttachWish { trust: trusted.map(|it| it.0), ..wish };
            form.asked = Asked::Waiting;
            form.tried = (form.address.clone(), form.ssh.clone());
            wishes.add(Wish::ViewOnly(form.view_only));
            wishes.send(Command::Attach(Box::new(wish)));
        }
    });
}

/// Servers that were attached to before.
fn recent(ui: &mut Ui, model: &Model, form: &mut AttachForm) {
    let others = model.attach_recent.iter().filter(|address| **address != form.address);
    let others: Vec<_> = others.take(SEEN).cloned().collect();
    if others.is_empty() {
        return;
    }
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = egui::vec2(4.0, 2.0);
        ui.spacing_mut().button_padding = egui::vec2(6.0, 2.0);
        ui.spacing_mut().interact_size.y = 22.0;
        for address in others {
            let text = RichText::new(&address).small().color(Palette::of(ui).dim);
            let button =
                ui.add(egui::Button::new((controls::icon(Icon::History, 12.0).color(Palette::of(ui).dim), text)));
            button.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, format!("Recent: {address}")));
            if button.clicked() {
                // The way is a part of it.
                (form.address, form.ssh) = (address, String::new());
            }
        }
    });
}

/// A field of one line. Says whether Enter was pressed in it.
fn field(ui: &mut Ui, text: &mut String, name: &str, hint: &str, first: bool) -> bool {
    label(ui, name);
    let hint = RichText::new(hint).color(Palette::of(ui).dim);
    let edit = ui.add(TextEdit::singleline(text).hint_text(hint).desired_width(f32::INFINITY)).accessible_name(name);
    let entered = edit.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
    if first && !entered {
        begin_with(ui, &edit);
    }
    entered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_asks_for_a_place_or_says_what_is_wrong_and_shows_no_password() {
        let form = |address: &str, ssh: &str| AttachForm {
            address: address.into(),
            ssh: ssh.into(),
            password: "hunter2".into(),
            ..AttachForm::default()
        };
        let wish = form(":1", "me@box").wish().unwrap();
        assert_eq!(wish.place, Place::parse("ssh://me@box/:1").unwrap());
        assert_eq!(wish.password, Some(Password::new("hunter2".into())));
        assert!(form("box:x", "").wish().unwrap_err().contains("is no port"));
        assert!(form("ssh://a/:1", "b").wish().unwrap_err().starts_with("Two ssh hosts"));
        assert!(!format!("{:?}", form(":1", "")).contains("hunter2"));
        let mut form = form(":1", "");
        form.open();
        assert_eq!(form.wish().unwrap().password, None);
    }
}

//! The clipboard between the desktop and the guest. Nothing of the desktop's goes to a guest without a press that says so; what
//! the guest has copied is taken at a press, or by itself where the user has wished for that and the guest has the keyboard.

use std::time::Duration;

use egui::{Event, RichText, Ui, ViewportCommand};
use lucide_icons::Icon;
use vmtools::display::{CLIPBOARD_LIMIT, Copied, Offered, Screen};

use super::controls;
use super::theme::Palette;
use super::wish::{Wish, Wishes};

/// For how long the desktop is waited for to say what is in its clipboard, seconds.
const PATIENCE: f64 = 2.0;

/// What was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    /// Hand the desktop's clipboard to the guest.
    Paste,
    /// Take the guest's clipboard.
    Copy,
}

/// Whether clipboards can meet.
#[derive(Clone, Copy, Debug)]
pub struct Sharing {
    /// The guest's machine has a clipboard.
    pub device: bool,
    /// Texts may go to it: it runs, and is not only looked at.
    pub takes: bool,
    /// It has copied something.
    pub copied: bool,
    /// What it copies is taken by itself.
    pub by_itself: bool,
}

/// What the panel remembers of clipboards between frames.
#[derive(Debug, Default)]
pub struct GuestClipboard {
    /// When the desktop was asked for its clipboard, egui's seconds.
    asked: Option<f64>,
    /// The number of the last text of the guest's that was looked at.
    seen: u64,
}

impl GuestClipboard {
    /// Does what was pressed; says what there is to say at once.
    pub fn press(&mut self, ui: &Ui, press: Press, screen: &Screen, wishes: &mut Wishes) -> Option<String> {
        match press {
            Press::Paste => {
                self.asked = Some(ui.input(|input| input.time));
                ui.ctx().send_viewport_cmd(ViewportCommand::RequestPaste);
                None
            }
            Press::Copy => match screen.copied() {
                Some((number, copied)) => {
                    self.seen = number;
                    take(copied, wishes)
                }
                None => Some("The guest has copied nothing yet.".to_owned()),
            },
        }
    }

    /// One frame: hands over what was asked for, and takes what the guest has copied, if it is to be taken by itself.
    pub fn follow(&mut self, ui: &Ui, screen: &Screen, by_itself: bool, wishes: &mut Wishes) -> Option<String> {
        let handed = self.hand_over(ui, screen);
        let copied = screen.copied().filter(|(number, _)| *number != self.seen);
        let taken = copied.and_then(|(number, copied)| {
            // What was copied before is not taken later.
            self.seen = number;
            if by_itself { take(copied, wishes) } else { None }
        });
        handed.or(taken)
    }

    fn hand_over(&mut self, ui: &Ui, screen: &Screen) -> Option<String> {
        let asked = self.asked?;
        let text = ui.input_mut(|input| {
            let at = input.events.iter().position(|event| matches!(event, Event::Paste(_)))?;
            match input.events.remove(at) {
                Event::Paste(text) => Some(text),
                _ => None,
            }
        });
        let now = ui.input(|input| input.time);
        let Some(text) = text else {
            if now - asked < PATIENCE {
                ui.ctx().request_repaint_after(Duration::from_secs_f64(PATIENCE));
                return None;
            }
            self.asked = None;
            return Some("The desktop's clipboard holds no text.".to_owned());
        };
        self.asked = None;
        Some(match screen.offer(&text) {
            Ok(Offered::Whole) => "The guest has the clipboard's text: paste it there.".to_owned(),
            Ok(Offered::Without(missing)) => {
                let missing: String = missing.iter().collect();
                format!("The guest has the clipboard's text, but for characters that it cannot take: {missing}")
            }
            Err(error) => sentence(&error.to_string()),
        })
    }
}

fn take(copied: Copied, wishes: &mut Wishes) -> Option<String> {
    match copied {
        Copied::Text(text) if text.is_empty() => None,
        Copied::Text(text) => {
            wishes.add(Wish::Copy(text.to_string()));
            None
        }
        Copied::TooLong { bytes } => Some(format!(
            "The guest has copied a text of {} KiB, and at most {} come out of it: copy it in parts, or as a file.",
            bytes.div_ceil(1024),
            CLIPBOARD_LIMIT / 1024
        )),
    }
}

/// An error as a sentence of its own.
fn sentence(error: &str) -> String {
    let mut letters = error.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>() + ".").unwrap_or_default()
}

/// Draws what can be done with clipboards: two buttons, and a switch.
pub fn show(ui: &mut Ui, sharing: Sharing, wishes: &mut Wishes) -> Option<Press> {
    let mut press = None;
    ui.label(RichText::new("The guest's clipboard").small().color(Palette::of(ui).dim));
    if !sharing.device {
        let words =
            "This guest has none. Switch on Clipboard in the guest's settings and start it again, or type the text.";
        ui.add(egui::Label::new(RichText::new(words).small()).wrap());
        return None;
    }
    ui.horizontal(|ui| {
        let hint =
            "Hands the text of this desktop's clipboard to the guest, where it can be pasted then. Nothing else does.";
        if controls::button(ui, sharing.takes, Icon::ClipboardPaste, "Paste into guest", hint).clicked() {
            press = Some(Press::Paste);
        }
        let hint = "Puts the text that the guest has copied last on this desktop's clipboard.";
        if controls::button(ui, sharing.copied, Icon::ClipboardCopy, "Copy from guest", hint).clicked() {
            press = Some(Press::Copy);
        }
    });
    let mut on = sharing.by_itself;
    let words = RichText::new("Copy by itself while the guest has the keyboard").size(12.5);
    if ui.checkbox(&mut on, words).changed() {
        wishes.add(Wish::CopyByItself(on));
    }
    press
}

//! What the dialogs share that boot without a boot loader: what is typed into them, which stays for the next time, and their
//! fields. What goes wrong with a boot that a dialog asked for is said in the dialog.

use std::path::{Path, PathBuf};

use egui::{Align, Key, Label, Layout, RichText, TextEdit, Ui};
use lucide_icons::Icon;

use super::asked::Asked;
use super::controls;
use super::picker::NO_PORTAL;
use super::theme::Palette;
use super::wish::{BootFile, PickFor, Wish, Wishes};
use super::words;
use crate::session::direct::DirectWish;
use crate::session::event::Failure;
use crate::session::state::{Goal, Input};
use crate::session::{Command, Model};

/// What is typed into the dialogs.
#[derive(Debug, Default)]
pub struct BootForms {
    /// The ISO's path.
    pub(super) iso: String,
    /// The ISO whose entries were asked for last.
    pub(super) asked: Option<PathBuf>,
    /// The entry that is chosen, by its place in the menu.
    pub(super) entry: usize,
    /// The command line, and what it was filled with, for which ISO and entry.
    pub(super) cmdline: String,
    pub(super) filled: (PathBuf, usize, String),
    /// The kernel's path.
    pub(super) kernel: String,
    /// The path of its modules.
    pub(super) modules: String,
    /// Paths of initramfs files, one a line.
    pub(super) initrds: String,
    /// What the root is, by its place among the ways.
    pub(super) way: usize,
    /// The image with the layers.
    pub(super) disk: String,
    /// The file that keeps what the guest writes over the layers.
    pub(super) keep: String,
    /// The folder.
    pub(super) folder: String,
    /// What the guest may do with the folder, by its place.
    pub(super) access: usize,
    /// Words for the end of the command line.
    pub(super) append: String,
    sent: Asked,
}

impl BootForms {
    /// Takes a path that was picked.
    pub(super) fn picked(&mut self, file: BootFile, path: PathBuf, wishes: &mut Wishes) {
        let text = path.display().to_string();
        match file {
            BootFile::Iso => {
                self.iso = text;
                self.read(path, wishes);
            }
            BootFile::Kernel => self.kernel = text,
            BootFile::Modules => self.modules = text,
            BootFile::Initrd => {
                let kept = self.initrds.trim_end();
                self.initrds = if kept.is_empty() { text } else { format!("{kept}\n{text}") };
            }
            BootFile::Disk => self.disk = text,
            BootFile::Keep => self.keep = text,
            BootFile::Folder => self.folder = text,
        }
    }

    /// Has an ISO's entries read.
    pub(super) fn read(&mut self, iso: PathBuf, wishes: &mut Wishes) {
        self.asked = Some(iso.clone());
        self.sent = Asked::Nothing;
        wishes.send(Command::ReadMenu(iso));
    }

    /// A dialog opens: what went wrong before is not about this.
    pub(super) fn open(&mut self) {
        self.sent = Asked::Nothing;
    }

    /// What was asked for has failed. Says whether a dialog waits for it, and so says it.
    pub(super) fn failed(&mut self, failure: &Failure) -> bool {
        self.sent.failed(failure)
    }

    /// A guest has started, or everything has ended. Says whether a dialog waited for it.
    pub(super) fn over(&mut self) -> bool {
        self.sent.over()
    }

    /// The end of a dialog: what has failed, what is wrong, and the button that boots. `wish` is what is booted, or why not.
    /// `entered`: Enter was pressed where it means the same.
    pub(super) fn finish(
        &mut self,
        ui: &mut Ui,
        model: &Model,
        wish: Result<DirectWish, String>,
        entered: bool,
        wishes: &mut Wishes,
    ) {
        let palette = Palette::of(ui);
        self.sent.show(ui, "why not booted");
        let waiting = self.sent.waits();
        let goal = if wish.as_ref().is_ok_and(DirectWish::needs_image) { Goal::Boot } else { Goal::Direct };
        let denied = model.denied(Input::Ask(goal)).map(|it| words::sentence(&format!("{it}.")));
        let wish = wish.and_then(|wish| denied.map_or(Ok(wish), Err));
        ui.add_space(10.0);
        row(ui, |ui| {
            let hint = wish.as_ref().err().map_or("Without a boot loader.", String::as_str);
            let can = wish.is_ok() && !waiting;
            let clicked = controls::accent_button(ui, can, Icon::Play, "Boot directly", hint).clicked();
            if ui.button(if waiting { "Close" } else { "Not now" }).clicked() {
                wishes.add(Wish::CloseDialog);
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let said = match (&wish, waiting) {
                    (_, true) => "It is made ready…",
                    (Err(why), false) => why,
                    (Ok(_), false) => "",
                };
                ui.add(Label::new(RichText::new(said).small().color(palette.dim)).wrap());
            });
            if let Ok(wish) = wish
                && !waiting
                && (clicked || entered)
            {
                self.sent = Asked::Waiting;
                wishes.send(Command::BootDirect(Box::new(wish)));
            }
        });
    }
}

/// A row from right to left, as high as a button.
pub(super) fn row(ui: &mut Ui, add: impl FnOnce(&mut Ui)) {
    ui.horizontal(|ui| ui.with_layout(Layout::right_to_left(Align::Center), add));
}

/// A sentence below the title.
pub(super) fn words_below(ui: &mut Ui, text: &str) {
    ui.add_space(2.0);
    ui.add(Label::new(RichText::new(text).color(Palette::of(ui).dim)).wrap());
}

/// What stands above a field.
pub(super) fn label(ui: &mut Ui, text: &str) {
    ui.add_space(6.0);
    ui.label(RichText::new(text).size(13.0).color(Palette::of(ui).text));
    ui.add_space(-3.0);
}

/// A field for a path and the desktop's chooser beside it. Says whether Enter was pressed in it.
pub(super) fn path(
    ui: &mut Ui,
    text: &mut String,
    (name, hint): (&str, &str),
    (file, picker): (BootFile, bool),
    wishes: &mut Wishes,
) -> bool {
    label(ui, name);
    ui.horizontal(|ui| {
        let hint = RichText::new(hint).color(Palette::of(ui).dim);
        let field = ui.add(TextEdit::singleline(text).hint_text(hint).desired_width(ui.available_width() - 48.0));
        let field = field.accessible_name(name);
        let entered = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
        if !entered {
            begin_with(ui, &field);
        }
        choose(ui, picker, name, file, wishes);
        entered
    })
    .inner
}

/// The button that opens the desktop's chooser.
pub(super) fn choose(ui: &mut Ui, picker: bool, name: &str, file: BootFile, wishes: &mut Wishes) {
    let hint = if picker { "The desktop's file chooser" } else { NO_PORTAL };
    if controls::icon_button(ui, picker, Icon::FolderOpen, &format!("Choose {name}…"), hint).clicked() {
        wishes.add(Wish::Pick(PickFor::Boot(file)));
    }
}

/// A field of the command line: one line, however long. Says whether Enter was pressed in it.
pub(super) fn cmdline(ui: &mut Ui, text: &mut String, name: &str, hint: &str, rows: usize) -> bool {
    let hint = RichText::new(hint).color(Palette::of(ui).dim);
    let field = TextEdit::multiline(text)
        .font(egui::FontId::monospace(12.5))
        .hint_text(hint)
        .desired_rows(rows)
        .return_key(None)
        .desired_width(f32::INFINITY);
    let field = ui.add(field).accessible_name(name);
    field.has_focus() && ui.input(|input| input.key_pressed(Key::Enter))
}

/// The keyboard begins here, unless it is somewhere else in the dialog.
pub(super) fn begin_with(ui: &Ui, response: &egui::Response) {
    if ui.memory(|memory| memory.focused()).is_none() {
        response.request_focus();
    }
}

/// A path as people type it; `~/` is their home.
///
/// # Errors
/// What is missing: `what` is asked for, or the path begins nowhere.
pub(super) fn typed(text: &str, what: &str) -> Result<PathBuf, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(format!("{what} is missing."));
    }
    let path = super::dialogs::home_of(text);
    if path.is_absolute() { Ok(path) } else { Err(format!("Write the whole path of {}.", uncapital(what))) }
}

/// Words at the end of a command line, or why they cannot be.
pub(super) fn checked(wish: DirectWish, own: &str) -> Result<DirectWish, String> {
    match wish.cmdline(own, false) {
        Ok(_) => Ok(wish),
        Err(why) => Err(format!("The command line cannot be used: {why}.")),
    }
}

/// "the kernel" of "The kernel".
fn uncapital(words: &str) -> String {
    words.replacen("The ", "the ", 1).replacen("An ", "an ", 1)
}

/// A file's name, for a line that has room for no path.
pub(super) fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_whole_or_it_is_said() {
        assert_eq!(typed(" /boot/vmlinuz ", "The kernel"), Ok("/boot/vmlinuz".into()));
        assert_eq!(typed("", "The kernel").unwrap_err(), "The kernel is missing.");
        assert_eq!(typed("vmlinuz", "The kernel").unwrap_err(), "Write the whole path of the kernel.");
    }

    #[test]
    fn picked_initramfs_files_are_added_one_a_line() {
        let (mut forms, mut wishes) = (BootForms::default(), Wishes::default());
        for path in ["/a.img", "/b.img"] {
            forms.picked(BootFile::Initrd, path.into(), &mut wishes);
        }
        assert_eq!((forms.initrds.as_str(), wishes.0.len()), ("/a.img\n/b.img", 0));
        forms.picked(BootFile::Iso, "/x.iso".into(), &mut wishes);
        assert!(matches!(&wishes.0[..], [Wish::Session(Command::ReadMenu(iso))] if iso == Path::new("/x.iso")));
    }
}

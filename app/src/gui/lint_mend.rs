//! The question before a file of the user's repository is changed: which file, which line, what is there and what comes.

use egui::{Align, Color32, Frame, Label, Layout, Margin, RichText, Ui, vec2};
use isoprep::lint::Edit;
use lucide_icons::Icon;

use super::controls;
use super::theme::Palette;
use super::wish::{Wish, Wishes};
use crate::session::{Command, Model};

/// A line of the change as it is shown: its mark, its number, its text.
type Line = (Mark, Option<usize>, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Same,
    Old,
    New,
}

/// Draws the dialog's contents.
pub(super) fn show(ui: &mut Ui, model: &Model, id: &str, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let found = model.examination.as_ref().and_then(|seen| seen.lint.iter().find(|it| it.id == id));
    let Some((view, fix)) = found.and_then(|view| Some((view, view.finding.fix.as_ref()?))) else {
        ui.add_space(4.0);
        ui.label(RichText::new("This finding is not there any more: nothing is to be changed.").color(palette.text));
        ui.add_space(8.0);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if ui.button("Good").clicked() {
                wishes.add(Wish::CloseDialog);
            }
        });
        return;
    };
    let (file, lines, words) = change(&fix.edit);
    ui.add_space(2.0);
    ui.add(Label::new(RichText::new(format!("{}.", fix.says.trim_end_matches('.'))).color(palette.text)).wrap());
    ui.add(Label::new(RichText::new(&view.finding.what).small().color(palette.dim)).wrap());
    ui.add_space(6.0);
    Frame::new().fill(palette.sunken).corner_radius(6).inner_margin(Margin::symmetric(0, 8)).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = 2.0;
        let root = model.cartridge.as_ref().map(|cartridge| cartridge.root.join(&file));
        let path = root.map_or(file.clone(), |path| super::words::path(&path));
        Frame::new().inner_margin(Margin::symmetric(12, 0)).show(ui, |ui| {
            let place = fix_line(&fix.edit).map_or(path.clone(), |line| format!("{path}, line {line}"));
            ui.add(Label::new(RichText::new(place).small().color(palette.dim)).wrap().selectable(true));
        });
        ui.add_space(4.0);
        for (mark, number, text) in &lines {
            line(ui, *mark, *number, text);
        }
        if let Some(words) = words {
            Frame::new().inner_margin(Margin::symmetric(12, 2)).show(ui, |ui| {
                ui.add(Label::new(RichText::new(words).monospace().size(12.5).color(palette.text)).wrap());
            });
        }
    });
    ui.add_space(4.0);
    let words = "Cartridge only reads your repository, but for this one edit. It is not done if the file has changed \
                 since; git shows it as any other change.";
    ui.add(Label::new(RichText::new(words).small().color(palette.dim)).wrap());
    ui.add_space(8.0);
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        let change = controls::accent_button(ui, true, Icon::FilePen, "Change the file", "");
        if change.clicked() {
            wishes.send(Command::ApplyFix { id: id.to_owned(), asked: true });
            wishes.add(Wish::CloseDialog);
        }
        if ui.button("Leave it as it is").clicked() {
            wishes.add(Wish::CloseDialog);
        }
    });
}

fn line(ui: &mut Ui, mark: Mark, number: Option<usize>, text: &str) {
    let palette = Palette::of(ui);
    let (sign, colour, fill) = match mark {
        Mark::Same => (" ", palette.dim, Color32::TRANSPARENT),
        Mark::Old => ("−", palette.error, palette.error.gamma_multiply(0.12)),
        Mark::New => ("+", palette.success, palette.success.gamma_multiply(0.14)),
    };
    Frame::new().fill(fill).inner_margin(Margin::symmetric(12, 2)).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = 8.0;
            let mono = |text: &str, colour| RichText::new(text).monospace().size(12.5).color(colour);
            let number = number.map_or_else(String::new, |number| number.to_string());
            ui.allocate_ui_with_layout(vec2(34.0, 16.0), Layout::right_to_left(Align::TOP), |ui| {
                ui.set_width(34.0);
                ui.label(mono(&number, palette.dim));
            });
            ui.label(mono(sign, colour));
            let name = match mark {
                Mark::Same => "Line above",
                Mark::Old => "Old line",
                Mark::New => "New line",
            };
            // What cannot be seen is shown: it may be all that changes.
            let shown = visible(text);
            let label = ui.add(Label::new(mono(&shown, palette.text)).wrap().selectable(true));
            label.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, format!("{name}: {shown}")));
        });
    });
}

/// A line with marks for what has no looks of its own: tabs, blanks at the end, carriage returns.
fn visible(text: &str) -> String {
    let kept = text.trim_end_matches(' ').len();
    let mut shown: String = text[..kept].chars().map(|c| if c.is_control() { control(c) } else { c }).collect();
    shown.extend(std::iter::repeat_n('·', text.len() - kept));
    shown
}

fn control(c: char) -> char {
    match c {
        '\t' => '→',
        '\r' => '␍',
        _ => '\u{fffd}',
    }
}

fn fix_line(edit: &Edit) -> Option<usize> {
    match edit {
        Edit::ReplaceLine { line, .. } | Edit::InsertLine { line, .. } | Edit::RemoveLine { line, .. } => Some(*line),
        _ => None,
    }
}

/// The file that an edit changes, the lines before and after, and words where lines do not tell it.
fn change(edit: &Edit) -> (String, Vec<Line>, Option<String>) {
    let shown = |file: &std::path::Path| file.display().to_string();
    match edit {
        Edit::ReplaceLine { file, line, old, new } => {
            let new = new.split('\n').enumerate().map(|(at, text)| (Mark::New, Some(line + at), text.to_owned()));
            let lines = std::iter::once((Mark::Old, Some(*line), old.clone())).chain(new).collect();
            (shown(file), lines, None)
        }
        Edit::InsertLine { file, line, above, text } => {
            let above = (Mark::Same, line.checked_sub(1), above.clone());
            (shown(file), vec![above, (Mark::New, Some(*line), text.clone())], None)
        }
        Edit::RemoveLine { file, line, old } => (shown(file), vec![(Mark::Old, Some(*line), old.clone())], None),
        Edit::UnixLineEnds { file } => {
            (shown(file), Vec::new(), Some("Every line end CR LF becomes LF; nothing else changes.".to_owned()))
        }
        Edit::Chmod { file, mode } => (shown(file), Vec::new(), Some(format!("chmod {:o} {}", mode, shown(file)))),
        Edit::SetCartridgeField { key, value } => (isoprep_file(), Vec::new(), Some(format!("{key} = {value}"))),
        Edit::AddToCartridgeList { key, value } => (isoprep_file(), Vec::new(), Some(format!("{key}: + {value}"))),
        Edit::RemoveFromCartridgeList { key, value } => (isoprep_file(), Vec::new(), Some(format!("{key}: − {value}"))),
    }
}

fn isoprep_file() -> String {
    "cartridge.toml".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_shown() {
        assert_eq!(visible("a\tb  "), "a→b··");
        assert_eq!(visible("linux\r"), "linux␍");
        assert_eq!(visible("é "), "é·");
    }

    #[test]
    fn a_replaced_line_may_become_two() {
        let edit = Edit::ReplaceLine { file: "a".into(), line: 7, old: "x".into(), new: "y\nz".into() };
        let (file, lines, words) = change(&edit);
        assert_eq!((file.as_str(), words), ("a", None));
        let new = |line, text: &str| (Mark::New, Some(line), text.to_owned());
        assert_eq!(lines, [(Mark::Old, Some(7), "x".to_owned()), new(7, "y"), new(8, "z")]);
    }
}

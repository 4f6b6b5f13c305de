//! The dialog that boots an entry of any ISO without its boot loader: the entries, what they load, and the command line.

use egui::{Align, Align2, FontId, Frame, Label, Layout, Margin, Rect, RichText, ScrollArea, Sense, Ui, pos2, vec2};
use isoprep::contents::{BootChoice, BootMenu, DiscFile};
use lucide_icons::Icon;

use super::boot_form::{BootForms, checked, cmdline, label, name_of, path, row, typed, words_below};
use super::controls;
use super::list_keys;
use super::theme::{Palette, semibold};
use super::wish::{BootFile, Wishes};
use super::words;
use crate::session::Model;
use crate::session::direct::{DirectSource, DirectWish, EntryWish, MenuView};

/// Height of an entry, points.
const ROW: f32 = 46.0;
/// How many are in sight.
const SEEN: usize = 3;

/// Draws the dialog's contents.
pub(super) fn show(ui: &mut Ui, model: &Model, picker: bool, forms: &mut BootForms, wishes: &mut Wishes) {
    words_below(
        ui,
        "The kernel, the initramfs and the command line of an entry of its boot menu; the loader is skipped.",
    );
    let iso = ("ISO", "/home/you/archlinux.iso");
    let entered = path(ui, &mut forms.iso, iso, (BootFile::Iso, picker), wishes);
    let file = typed(&forms.iso, "The ISO");
    let read = model.menu.as_ref().filter(|view| file.as_ref().is_ok_and(|file| *file == view.iso));
    let Some(view) = read else { return unread(ui, file, entered, forms, wishes) };
    let Some(menu) = view.menu.as_ref().filter(|menu| !menu.choices.is_empty()) else {
        let why = view.error.as_deref().unwrap_or("It offers nothing to boot.");
        ui.add_space(4.0);
        controls::quote(ui, "why no entries", why, 160.0);
        if entered {
            forms.read(view.iso.clone(), wishes);
        }
        return;
    };
    // What was entered twice is meant: once to read it, and once to boot.
    let entered = entries(ui, menu, forms) || entered;
    forms.entry = forms.entry.min(menu.choices.len() - 1);
    let choice = &menu.choices[forms.entry];
    let entry = EntryWish::Listed(forms.entry + 1, choice.title.clone());
    let source = DirectSource::Iso { iso: view.iso.clone(), entry };
    let own = DirectWish::of(source.clone()).cmdline(&choice.cmdline, false).unwrap_or_else(|_| choice.cmdline.clone());
    fill(forms, view, own);
    files(ui, choice);
    label(ui, "Command line");
    let entered = cmdline(ui, &mut forms.cmdline, "Command line", "", 2) || entered;
    let line = forms.cmdline.trim().to_owned();
    let changed = line != forms.filled.2;
    let wish = DirectWish { cmdline: changed.then_some(line), ..DirectWish::of(source) };
    let wish = checked(wish, &choice.cmdline);
    forms.finish(ui, model, wish, entered, wishes);
}

/// Nobody has read its entries.
fn unread(
    ui: &mut Ui,
    file: Result<std::path::PathBuf, String>,
    entered: bool,
    forms: &mut BootForms,
    wishes: &mut Wishes,
) {
    let reading = file.as_ref().is_ok_and(|file| forms.asked.as_ref() == Some(file));
    ui.add_space(10.0);
    row(ui, |ui| {
        let hint = file.as_ref().err().map_or("Enter", String::as_str);
        let can = file.is_ok() && !reading;
        let clicked = controls::accent_button(ui, can, Icon::ListTree, "Read its entries", hint).clicked();
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            let said = match (&file, reading) {
                (_, true) => "Its boot menu is being read…",
                (Err(why), _) if !forms.iso.trim().is_empty() => why,
                _ => "",
            };
            ui.add(Label::new(RichText::new(said).small().color(Palette::of(ui).dim)).wrap());
        });
        if let Ok(file) = file
            && (clicked || entered)
        {
            forms.read(file, wishes);
        }
    });
}

/// The command line is that of the entry, until it is edited.
fn fill(forms: &mut BootForms, view: &MenuView, own: String) {
    let of = (view.iso.clone(), forms.entry, own);
    if forms.filled != of {
        forms.cmdline.clone_from(&of.2);
        forms.filled = of;
    }
}

/// The entries, of which one is chosen. Says whether Enter was pressed among them.
fn entries(ui: &mut Ui, menu: &BootMenu, forms: &mut BootForms) -> bool {
    let palette = Palette::of(ui);
    label(ui, "Entry");
    let count = menu.choices.len();
    #[allow(clippy::cast_precision_loss, reason = "a handful")]
    let height = count.min(SEEN) as f32 * ROW;
    let mut entered = false;
    Frame::new().fill(palette.sunken).corner_radius(6).inner_margin(Margin::same(4)).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        let area = Rect::from_min_size(ui.cursor().min, vec2(ui.available_width(), height));
        let list = list_keys::stop(ui, area, "entries", egui::Role::List, "Entries");
        let to = list_keys::moved(ui, &list, forms.entry, count, ROW);
        forms.entry = to.unwrap_or(forms.entry);
        entered = list.has_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        let scroll = ScrollArea::vertical().id_salt("entries").max_height(height).auto_shrink(false);
        scroll.show_rows(ui, ROW, count, |ui, seen| {
            let (corner, width) = (ui.max_rect().min, ui.available_width());
            for at in seen.clone() {
                #[allow(clippy::cast_precision_loss, reason = "a handful")]
                let y = corner.y + (at - seen.start) as f32 * ROW;
                let rect = Rect::from_min_size(pos2(corner.x, y), vec2(width, ROW));
                if entry(ui, rect, (at, &menu.choices[at]), at == forms.entry, list.has_focus()) {
                    forms.entry = at;
                    list.request_focus();
                }
            }
            if let Some(to) = to {
                #[allow(clippy::cast_precision_loss, reason = "a handful")]
                let y = corner.y + (to as f32 - seen.start as f32) * ROW;
                ui.scroll_to_rect(Rect::from_min_size(pos2(corner.x, y), vec2(1.0, ROW)), None);
            }
        });
    });
    passed_over(ui, menu);
    entered
}

/// Draws an entry. Says whether it was chosen by the pointer.
fn entry(ui: &Ui, rect: Rect, (at, choice): (usize, &BootChoice), on: bool, focused: bool) -> bool {
    let palette = Palette::of(ui);
    let response = ui.interact(rect, ui.scope_id().with(("entry", at)), Sense::CLICK);
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::ListItem, true, on, &choice.title));
    let edge = if on && focused { egui::Stroke::new(1.5, palette.accent) } else { egui::Stroke::NONE };
    let fill = match (on, response.hovered()) {
        (true, _) => palette.raised,
        (false, true) => palette.panel,
        (false, false) => egui::Color32::TRANSPARENT,
    };
    ui.painter().rect(rect, 5.0, fill, edge, egui::StrokeKind::Inside);
    let dot = pos2(rect.left() + 17.0, rect.center().y);
    ui.painter().circle_stroke(dot, 6.5, egui::Stroke::new(1.5, if on { palette.accent } else { palette.dim }));
    if on {
        ui.painter().circle_filled(dot, 3.5, palette.accent);
    }
    let painter = ui.painter().with_clip_rect(ui.clip_rect().intersect(rect.shrink(6.0)));
    let left = rect.left() + 34.0;
    let title = FontId::new(14.0, semibold());
    painter.text(pos2(left, rect.top() + 15.0), Align2::LEFT_CENTER, &choice.title, title, palette.strong);
    let default = if choice.is_default { ", its default" } else { "" };
    let initrds = match choice.initrds.len() {
        0 => "no initramfs".to_owned(),
        1 => "an initramfs".to_owned(),
        many => format!("{many} initramfs files"),
    };
    let kernel = name_of(std::path::Path::new(&choice.kernel.path.to_string()));
    let facts = format!("{}{default} · {kernel} with {initrds}", choice.loader.word());
    let small = FontId::proportional(12.0);
    painter.text(pos2(left, rect.top() + 32.0), Align2::LEFT_CENTER, facts, small, palette.dim);
    response.clicked()
}

/// What cannot be booted, with the reason.
fn passed_over(ui: &mut Ui, menu: &BootMenu) {
    if menu.passed_over.is_empty() {
        return;
    }
    let why: Vec<String> = menu.passed_over.iter().map(|it| format!("{} ({})", it.title, it.why)).collect();
    let text = RichText::new(format!("Passed over: {}", why.join(", "))).small().color(Palette::of(ui).dim);
    ui.add(Label::new(text).truncate()).on_hover_text(why.join("\n"));
}

/// What the chosen entry loads.
fn files(ui: &mut Ui, choice: &BootChoice) {
    let palette = Palette::of(ui);
    ui.add_space(6.0);
    let line = |ui: &mut Ui, name: &str, file: &DiscFile| {
        ui.horizontal(|ui| {
            ui.set_height(19.0);
            ui.allocate_ui_with_layout(vec2(76.0, 19.0), Layout::left_to_right(Align::Center), |ui| {
                ui.set_width(76.0);
                ui.label(RichText::new(name).size(13.0).color(palette.dim));
            });
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                ui.label(RichText::new(words::bytes(file.bytes)).small().color(palette.dim));
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                    let path = RichText::new(file.path.to_string()).monospace().size(12.5).color(palette.text);
                    ui.add(Label::new(path).truncate().selectable(true));
                });
            });
        });
    };
    ui.spacing_mut().item_spacing.y = 3.0;
    line(ui, "Kernel", &choice.kernel);
    for file in &choice.initrds {
        line(ui, "Initramfs", file);
    }
    if !choice.left_out.is_empty() {
        let text = format!("Left out, because only the running loader knows it: {}", choice.left_out.join(" "));
        ui.add(Label::new(RichText::new(text).small().color(palette.warning)).wrap());
    }
    ui.spacing_mut().item_spacing.y = 8.0;
}

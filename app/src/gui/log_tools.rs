//! The search field over a log, the menu that copies from it, and the menu that chooses a stage of the build.

use egui::{Align, Layout, RichText, TextEdit, Ui, vec2};
use lucide_icons::Icon;

use super::controls;
use super::log_copy::CopyRequest;
use super::log_view::LogView;
use super::terminal::TerminalView;
use super::theme::Palette;
use super::wish::{Wish, Wishes};
use super::words;
use crate::session::logs::{LogHub, Pane};
use crate::session::model::StageView;

/// The button that copies, and its menu.
pub(super) fn copy_menu(
    ui: &mut Ui,
    view: &LogView,
    terminal: Option<&TerminalView>,
    logs: &LogHub,
    pane: Pane,
    copy: &mut Option<CopyRequest>,
    wishes: &mut Wishes,
) {
    let response = controls::icon_button(ui, true, Icon::Copy, "Copy", "");
    egui::Popup::menu(&response).show(|ui| {
        ui.set_min_width(190.0);
        if terminal.is_none()
            && controls::menu_item(ui, view.has_selection(), None, "Copy selection", "Ctrl+C").clicked()
        {
            *copy = CopyRequest::selection(view);
        }
        if controls::menu_item(ui, true, None, "Copy visible", "").clicked() {
            wishes.add(Wish::Copy(terminal.map_or_else(|| view.visible_text(), TerminalView::visible_text)));
        }
        if controls::menu_item(ui, true, None, "Copy all", "").clicked() {
            wishes.add(Wish::CopyLog(pane));
        }
        if let Some(dir) = logs.dir()
            && controls::menu_item(ui, true, None, "Copy file's path", "").clicked()
        {
            wishes.add(Wish::Copy(dir.join(pane.file_name()).display().to_string()));
        }
    });
}

/// The button that shows the lines of one stage only, and its menu.
pub(super) fn stage_menu(ui: &mut Ui, view: &mut LogView, stages: &[StageView]) {
    let (on, hint) = match &view.stage {
        Some(stage) => (true, format!("Only lines of the stage {stage} are shown.")),
        None => (false, "Shows only the lines of one stage.".to_owned()),
    };
    let response = controls::toggle_icon(ui, on || !stages.is_empty(), on, Icon::Layers, "Stage", &hint);
    egui::Popup::menu(&response).show(|ui| {
        ui.set_min_width(170.0);
        let check = |on: bool| on.then_some(Icon::Check);
        if controls::menu_item(ui, true, check(!on), "All stages", "").clicked() {
            view.stage = None;
        }
        ui.separator();
        for stage in stages {
            let chosen = view.stage.as_ref() == Some(&stage.name);
            if controls::menu_item(ui, true, check(chosen), &stage.name, "").clicked() {
                view.stage = Some(stage.name.clone());
            }
        }
    });
}

/// The search field in the upper right corner of the log.
pub(super) fn search_field(ui: &mut Ui, view: &mut LogView, area: egui::Rect, focus: bool) {
    let palette = Palette::of(ui);
    let rect = egui::Rect::from_min_size(egui::pos2(area.max.x - 376.0, area.min.y + 6.0), vec2(352.0, 38.0));
    ui.painter().rect(rect, 8.0, palette.panel, egui::Stroke::new(1.0, palette.line), egui::StrokeKind::Inside);
    let mut ui = ui.new_child(
        egui::UiBuilder::new()
            .id_salt("search")
            .max_rect(rect.shrink2(vec2(6.0, 4.0)))
            .layout(Layout::left_to_right(Align::Center)),
    );
    // Clicks beside the buttons must not reach the lines below.
    ui.interact(rect, ui.scope_id().with("ground"), egui::Sense::click());
    ui.spacing_mut().item_spacing.x = 2.0;
    let edit = ui
        .scope(|ui| {
            ui.spacing_mut().button_padding = vec2(8.0, 4.0);
            ui.spacing_mut().interact_size.y = 28.0;
            let edit = TextEdit::singleline(&mut view.search_text)
                .hint_text(RichText::new("Search").size(13.0).color(palette.dim))
                .font(egui::FontId::proportional(13.0))
                .align(egui::Align2::LEFT_CENTER)
                .desired_width(160.0);
            ui.add(edit)
        })
        .inner
        .accessible_name("Search text");
    if focus {
        edit.request_focus();
    }
    if edit.changed() {
        view.search_changed();
    }
    if edit.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter)) {
        view.go(!ui.input(|input| input.modifiers.shift));
        edit.request_focus();
    }
    let (count, at) = view.found();
    let text = match (view.search_text.is_empty(), count, at) {
        (true, ..) => String::new(),
        (false, 0, _) => "no match".to_owned(),
        (false, _, Some(at)) => format!("{} / {}", words::count(at as u64), words::count(count as u64)),
        (false, _, None) => words::count(count as u64),
    };
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        if controls::icon_button(ui, true, Icon::X, "Close search", "Esc").clicked() {
            view.search_open = false;
        }
        if controls::icon_button(ui, count > 0, Icon::ChevronDown, "Next match", "Enter").clicked() {
            view.go(true);
        }
        if controls::icon_button(ui, count > 0, Icon::ChevronUp, "Previous match", "Shift+Enter").clicked() {
            view.go(false);
        }
        ui.label(RichText::new(text).small().color(palette.dim));
    });
}

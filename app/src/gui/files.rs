//! The panel of the assembled profile: a tree with where each file came from. Only the rows in sight are laid out.

use egui::text::{LayoutJob, TextFormat, TextWrapping};
use egui::{Align2, FontId, Key, Rect, ScrollArea, Sense, Stroke, Ui, pos2, vec2};
use isoprep::assembly::{Node, Origin};
use lucide_icons::Icon;

use super::controls;
use super::files_rows::{self, Overlays, Wanted};
use super::list_keys;
use super::settings_sections;
use super::theme::{self, Palette};
use super::wish::{Wish, Wishes};
use super::words;
use crate::session::Model;

/// Height of a row, points.
pub const ROW: f32 = 23.0;
/// The room that size and mode take at the right, points.
const MODE: f32 = 120.0;
/// How far a row is indented for each folder above it, points.
const INDENT: f32 = 16.0;

/// What the panel remembers between frames.
#[derive(Debug, Default)]
pub struct FilesPanel {
    wanted: Wanted,
    /// What was asked for when `rows` were made.
    made_for: Option<Wanted>,
    rows: Vec<usize>,
    overlays: Overlays,
    /// The row that the keyboard is at.
    cursor: usize,
    /// It was moved: it is brought into sight.
    moved: bool,
    /// The filter wants the keyboard.
    pub focus_filter: bool,
    laid_out: usize,
}

impl FilesPanel {
    /// Something new was seen of the cartridge, or it was changed for another.
    pub fn refresh(&mut self) {
        self.made_for = None;
    }

    /// How many rows there are, and how many of them were laid out in the last frame.
    #[must_use]
    pub fn rows(&self) -> (usize, usize) {
        (self.rows.len(), self.laid_out)
    }

    /// The tools beside the tabs, right to left.
    pub fn tools(&mut self, ui: &mut Ui) {
        let Wanted { turned, changed_only, filter } = &mut self.wanted;
        if controls::icon_button(ui, true, Icon::ChevronsDownUp, "Close all folders", "").clicked() {
            turned.clear();
            (*changed_only, self.cursor) = (false, 0);
            filter.clear();
        }
        let hint = "Shows only what is not as the base has it.";
        if controls::toggle_icon(ui, true, *changed_only, Icon::Diff, "Changed only", hint).clicked() {
            *changed_only = !*changed_only;
        }
        let hint = "Shows only what holds this in its path, or where it came from: an overlay, replaces, removed.";
        if let Some(field) = controls::filter_field(ui, filter, "filter of files", hint)
            && std::mem::take(&mut self.focus_filter)
        {
            field.request_focus();
        }
    }

    /// Draws the tree, or why there is none.
    pub fn show(&mut self, ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
        let palette = Palette::of(ui);
        let area = ui.available_rect_before_wrap();
        ui.painter().rect_filled(area, 0.0, palette.sunken);
        let nodes = model.examination.as_ref().map_or(&[][..], |seen| &seen.tree);
        if nodes.is_empty() {
            self.rows.clear();
            return none(ui, model);
        }
        if self.made_for.as_ref() != Some(&self.wanted) {
            self.overlays = Overlays::of(nodes, model.cartridge.as_ref().map(|it| it.root.as_path()));
            self.rows = files_rows::rows(nodes, &self.wanted, &self.overlays);
            self.made_for = Some(self.wanted.clone());
            self.cursor = self.cursor.min(self.rows.len().saturating_sub(1));
        }
        if self.rows.is_empty() {
            controls::empty(
                ui,
                Icon::ListFilter,
                palette.dim,
                "Nothing fits",
                "No path and no origin holds this text.",
            );
            return;
        }
        let tree = list_keys::stop(ui, area, "tree", egui::Role::Tree, "Files of the profile");
        self.keys(ui, &tree, nodes, wishes);
        ui.spacing_mut().item_spacing.y = 0.0;
        ui.add_space(4.0);
        let count = self.rows.len();
        ScrollArea::vertical().id_salt("files").auto_shrink(false).show_rows(ui, ROW, count, |ui, seen| {
            self.laid_out = seen.len();
            let top = ui.max_rect().top();
            let width = ui.available_width();
            for at in seen.clone() {
                #[allow(clippy::cast_precision_loss, reason = "a screenful")]
                let y = top + (at - seen.start) as f32 * ROW;
                let rect = Rect::from_min_size(pos2(ui.max_rect().left(), y), vec2(width, ROW));
                self.row(ui, rect, at, &nodes[self.rows[at]], &tree);
            }
            if std::mem::take(&mut self.moved) {
                #[allow(clippy::cast_precision_loss, reason = "less than 2^24 rows")]
                let y = top + (self.cursor as f32 - seen.start as f32) * ROW;
                ui.scroll_to_rect(Rect::from_min_size(pos2(ui.max_rect().left(), y), vec2(1.0, ROW)), None);
            }
        });
    }

    fn keys(&mut self, ui: &Ui, tree: &egui::Response, nodes: &[Node], wishes: &mut Wishes) {
        if !tree.has_focus() {
            return;
        }
        if let Some(to) = list_keys::moved(ui, tree, self.cursor, self.rows.len(), ROW) {
            (self.cursor, self.moved) = (to, true);
        }
        let pressed = |key| ui.input(|input| input.key_pressed(key));
        let Some(node) = self.rows.get(self.cursor).and_then(|at| nodes.get(*at)) else { return };
        let folder = node.kind == "folder" && !self.wanted.partial();
        let open = folder && self.wanted.open(node);
        let turn = pressed(Key::Space) || pressed(Key::Enter);
        if folder && (turn || pressed(Key::ArrowRight) && !open || pressed(Key::ArrowLeft) && open) {
            self.turn(node);
        } else if pressed(Key::ArrowLeft) {
            // To the folder that it lies in.
            let above = (0..self.cursor).rev().find(|at| nodes[self.rows[*at]].depth < node.depth);
            self.cursor = above.unwrap_or(self.cursor);
            self.moved = true;
        }
        if ui.input(|input| input.events.iter().any(|event| matches!(event, egui::Event::Copy))) {
            let from = node.from.as_ref().map_or_else(|| node.path.clone(), |from| from.display().to_string());
            wishes.add(Wish::Copy(from));
        }
    }

    fn turn(&mut self, node: &Node) {
        if !self.wanted.turned.remove(&node.path) {
            self.wanted.turned.insert(node.path.clone());
        }
    }

    fn row(&mut self, ui: &Ui, rect: Rect, at: usize, node: &Node, tree: &egui::Response) {
        let palette = Palette::of(ui);
        let folder = node.kind == "folder";
        let response = ui.interact(rect, tree.id.with(&node.path), Sense::CLICK);
        let origin = self.overlays.origin(node);
        response.widget_info(|| {
            let name = format!("{}: {origin}", node.path);
            egui::WidgetInfo::selected(egui::Role::TreeItem, true, at == self.cursor, name)
        });
        if response.clicked() {
            self.cursor = at;
            tree.request_focus();
            if folder && !self.wanted.partial() {
                self.turn(node);
            }
        }
        let painter = ui.painter();
        if at == self.cursor && tree.has_focus() {
            painter.rect_filled(rect.shrink2(vec2(6.0, 0.0)), 4.0, palette.selection);
        } else if response.hovered() {
            painter.rect_filled(rect.shrink2(vec2(6.0, 0.0)), 4.0, palette.raised);
        }
        let y = rect.center().y;
        let icon = |x: f32, glyph: Icon, colour, size: f32| {
            painter.text(pos2(x, y), Align2::LEFT_CENTER, char::from(glyph), FontId::new(size, theme::icons()), colour);
        };
        #[allow(clippy::cast_precision_loss, reason = "folders are not that deep")]
        let mut x = rect.left() + 12.0 + node.depth as f32 * INDENT;
        if folder && node.below > 0 {
            let open = self.wanted.partial() || self.wanted.open(node);
            icon(x, if open { Icon::ChevronDown } else { Icon::ChevronRight }, palette.dim, 12.0);
        }
        x += 16.0;
        let glyph = match node.kind {
            "folder" => Icon::Folder,
            "link" => Icon::FileSymlink,
            _ => Icon::File,
        };
        icon(x, glyph, palette.dim, 13.0);
        x += 20.0;
        let right = columns(ui, rect, node, &self.overlays);
        let (mono, small) = (FontId::monospace(12.5), FontId::proportional(12.0));
        let colour = if node.removed { palette.dim } else { palette.text };
        let clipped = painter.with_clip_rect(painter.clip_rect().intersect(Rect::everything_left_of(right - 8.0)));
        let name = clipped.text(pos2(x, y), Align2::LEFT_CENTER, &node.name, mono, colour);
        if node.removed {
            clipped.hline(name.x_range(), y + 0.5, Stroke::new(1.0, palette.error));
        }
        if let Some(target) = &node.target {
            let text = format!("→ {target}");
            clipped.text(pos2(name.right() + 8.0, y), Align2::LEFT_CENTER, text, small, palette.dim);
        }
        response.on_hover_ui(|ui| {
            // A path that is broken cannot be read.
            ui.add(egui::Label::new(hover(node, &origin)).extend());
        });
    }
}

/// Draws size, mode and origin, and returns where they begin.
fn columns(ui: &Ui, rect: Rect, node: &Node, overlays: &Overlays) -> f32 {
    let palette = Palette::of(ui);
    let painter = ui.painter();
    let (right, y) = (rect.right() - 18.0, rect.center().y);
    let small = FontId::proportional(12.0);
    if node.kind == "file" {
        let size = words::bytes(node.size);
        painter.text(pos2(right, y), Align2::RIGHT_CENTER, size, small.clone(), palette.dim);
    }
    if node.kind != "link" {
        // What the live system will have is what counts.
        let (mode, colour) = node.live_mode.map_or((node.mode, palette.dim), |mode| (mode, palette.accent));
        let mode = format!("{mode:04o}");
        painter.text(pos2(right - 74.0, y), Align2::RIGHT_CENTER, mode, FontId::monospace(12.0), colour);
    }
    let colour = match node.origin {
        Origin::Base => palette.dim,
        Origin::Overlay(_) => palette.accent,
        _ => palette.success,
    };
    let from = (right - 400.0).max(rect.left() + rect.width() * 0.42);
    let wrap = TextWrapping::truncate_at_width(right - MODE - from);
    let mut words = LayoutJob { wrap, ..LayoutJob::default() };
    let mut add = |gap: f32, text: &str, colour| {
        words.append(text, gap, TextFormat::simple(small.clone(), colour));
    };
    add(0.0, &overlays.name(node.origin), colour);
    if !node.replaced.is_empty() {
        add(8.0, &overlays.replaced(node), palette.warning);
    }
    if node.removed {
        add(8.0, "removed", palette.error);
    }
    let galley = painter.layout_job(words);
    painter.galley(pos2(from, y - galley.size().y / 2.0), galley, palette.dim);
    from
}

fn hover(node: &Node, origin: &str) -> String {
    let mut words = format!("{}\n{origin}", node.path);
    if let Some(from) = &node.from {
        words += &format!("\nfrom {}", words::path(from));
    }
    match node.live_mode {
        Some(mode) => words += &format!("\nmode {:04o} in the profile, {mode:04o} in the live system", node.mode),
        None if node.kind != "link" => words += &format!("\nmode {:04o}", node.mode),
        None => {}
    }
    words
}

fn none(ui: &mut Ui, model: &Model) {
    let palette = Palette::of(ui);
    let engine = model.cartridge.as_ref().and_then(settings_sections::engine);
    let (title, words) = match (model.examining, engine) {
        (true, _) => ("Looking at the cartridge…", "The profile is assembled."),
        (_, None) => ("No profile", "The files of an archiso profile are shown here, with where each came from."),
        (_, Some(engine)) if !engine.takes_a_profile() => {
            let words = format!("The engine {} takes no archiso profile.", engine.word());
            return controls::empty(ui, Icon::FolderTree, palette.dim, "No profile", &words);
        }
        _ => ("Not assembled yet", "The Lint panel says why, if something is in the way."),
    };
    controls::empty(ui, Icon::FolderTree, palette.dim, title, words);
}

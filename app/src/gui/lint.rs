//! The panel of what would fail late or silently: findings by severity and file, each with the edit that mends it.

use egui::{Align, Frame, Label, Layout, Margin, RichText, Ui};
use lucide_icons::Icon;

use super::controls;
use super::lint_finding;
use super::lint_rows::{self, Counts, Row};
use super::list_keys;
use super::theme::{self, Palette};
use super::varied_rows::VariedRows;
use super::wish::{Wish, Wishes};
use super::words;
use crate::session::event::Failure;
use crate::session::examination::{Examination, Unexamined};
use crate::session::state::{Goal, Phase};
use crate::session::{Command, Model};

/// The least room beside the tabs for a button with words, points.
const WORDS: f32 = 140.0;

/// What the panel remembers between frames.
#[derive(Debug, Default)]
pub struct LintPanel {
    rows: Vec<Row>,
    counts: Counts,
    generation: u64,
    list: VariedRows,
    /// What was asked for when a build stopped because of the lint.
    pub asked: Option<Goal>,
}

impl LintPanel {
    /// Something new was seen of the cartridge, or it was changed for another.
    pub fn refresh(&mut self, seen: Option<&Examination>) {
        self.generation += 1;
        (self.rows, self.counts) = seen.map_or_else(Default::default, |seen| (lint_rows::rows(seen), Counts::of(seen)));
    }

    /// How much there is.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many rows were laid out in the last frame.
    #[must_use]
    pub fn laid_out(&self) -> usize {
        self.list.laid_out()
    }

    /// The tools beside the tabs, right to left.
    pub fn tools(&self, ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
        let palette = Palette::of(ui);
        let can = model.cartridge.is_some() && !model.examining;
        if controls::icon_button(ui, can, Icon::RefreshCw, "Check again", "Looks at the cartridge as it is now.")
            .clicked()
        {
            wishes.send(Command::Examine);
        }
        let some = model.examination.as_ref().is_some_and(|seen| !seen.lint.is_empty());
        if controls::icon_button(ui, some, Icon::Copy, "Copy findings", "").clicked()
            && let Some(seen) = &model.examination
        {
            let findings: Vec<_> = seen.lint.iter().map(|it| it.finding.clone()).collect();
            wishes.add(Wish::Copy(isoprep::lint::render_text(&findings, false)));
        }
        if let Some(goal) = self.asked.filter(|_| model.stopped_by_lint()) {
            ui.add_space(4.0);
            return build_anyway(ui, goal, ui.available_width() < WORDS, wishes);
        }
        let words = match (model.examining, &model.examination) {
            (true, _) => "Looking…".to_owned(),
            (false, Some(_)) if self.counts != Counts::default() => self.counts.words(),
            _ => return,
        };
        ui.add_space(4.0);
        ui.add(Label::new(RichText::new(words).small().color(palette.dim)).truncate());
    }

    /// Draws the findings, or why there are none.
    pub fn show(&mut self, ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
        let palette = Palette::of(ui);
        let area = ui.available_rect_before_wrap();
        ui.painter().rect_filled(area, 0.0, palette.sunken);
        let Some(seen) = &model.examination else { return unseen(ui, model, wishes) };
        if let Some(failure) = &seen.failure {
            failed(ui, failure);
        }
        if self.rows.is_empty() {
            if seen.failure.is_none() {
                let words = "Nothing of this cartridge is known to fail late or silently.";
                controls::empty(ui, Icon::ShieldCheck, palette.success, "All is well", words);
            }
            return;
        }
        let stop = list_keys::stop(ui, area, "list", egui::Role::List, "Findings");
        list_keys::outline(ui, &stop);
        self.list.scroll = list_keys::scrolled(ui, &stop);
        ui.add_space(2.0);
        let Self { rows, list, generation, .. } = self;
        let margin = Margin { left: 14, right: 4, top: 0, bottom: 0 };
        let building = matches!(model.state.phase, Phase::Preparing | Phase::Building);
        Frame::new().inner_margin(margin).show(ui, |ui| {
            list.show(ui, "findings", (rows.len(), *generation), 58.0, |ui, at| {
                // The floating bar gets room of its own.
                ui.set_width(ui.available_width() - 12.0);
                match rows[at] {
                    Row::Group(severity, count) => lint_finding::group(ui, severity, count),
                    Row::File(at) => lint_finding::file(ui, &seen.lint[at].finding.file, wishes),
                    Row::Finding(at) => lint_finding::finding(ui, &seen.lint[at], building, wishes),
                    Row::Strange(at) => lint_finding::strange(ui, &seen.warnings[at]),
                }
            });
        });
    }
}

/// The button that builds in spite of errors; `small` without its words.
pub fn build_anyway(ui: &mut Ui, goal: Goal, small: bool, wishes: &mut Wishes) {
    let hint = "Builds in spite of the errors: it will probably fail late, or make an image that does not work.";
    let button = if small { controls::icon_button } else { controls::button };
    if button(ui, true, Icon::Hammer, "Build anyway", hint).clicked() {
        wishes.send(Command::AskAnyway(goal));
    }
}

fn unseen(ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    if model.cartridge.is_none() {
        let words = "What would fail late in it is said here.";
        return controls::empty(ui, Icon::ListChecks, palette.dim, "No cartridge is inserted", words);
    }
    if model.examining {
        let words = "The profile is assembled and read. Nothing of it is run outside of a sandbox.";
        return controls::empty(ui, Icon::Hourglass, palette.accent, "Looking at the cartridge…", words);
    }
    let why = match model.unexamined {
        Some(why @ Unexamined::NoProfile { .. }) => {
            let words = words::sentence(&format!("{why}."));
            return controls::empty(ui, Icon::Minus, palette.dim, "Looked at for secrets alone", &words);
        }
        Some(why @ Unexamined::Invalid) => words::sentence(&format!("{why}.")),
        _ => "Nothing was found, because nobody has looked.".to_owned(),
    };
    controls::empty(ui, Icon::ListChecks, palette.dim, "Not looked at yet", &why);
    ui.vertical_centered(|ui| {
        if controls::button(ui, true, Icon::RefreshCw, "Check now", "").clicked() {
            wishes.send(Command::Examine);
        }
    });
}

/// Why the cartridge could not be looked at to the end.
fn failed(ui: &mut Ui, failure: &Failure) {
    let palette = Palette::of(ui);
    let margin = Margin { left: 14, right: 14, top: 8, bottom: 6 };
    Frame::new().inner_margin(margin).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 6.0;
        ui.horizontal(|ui| {
            ui.label(controls::icon(Icon::CircleX, 15.0).color(palette.error));
            ui.label(RichText::new(&failure.title).text_style(theme::title()).color(palette.strong));
        });
        controls::quote(ui, "why not looked at", &failure.detail, 90.0);
        if let Some(advice) = &failure.advice {
            ui.with_layout(Layout::left_to_right(Align::TOP), |ui| {
                ui.label(controls::icon(Icon::Lightbulb, 14.0).color(palette.warning));
                ui.add(Label::new(RichText::new(advice).color(palette.text)).wrap().selectable(true));
            });
        }
    });
}

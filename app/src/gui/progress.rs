//! How far a build is: its stages, what the one that runs is doing, how much of it is done, how long it still takes.

use egui::{Align, Label, Layout, RichText, Ui};
use isoprep::Unit;
use lucide_icons::Icon;

use super::controls;
use super::overlay_built::way;
use super::overlays::middle;
use super::theme::{self, Palette};
use super::words;
use crate::session::Model;
use crate::session::model::{StageStatus, StageView};

/// Draws the card over the screen.
pub(super) fn card(ui: &mut Ui, title: &str, subject: &str, model: &Model, now_ms: u64) {
    let palette = Palette::of(ui);
    #[allow(clippy::cast_precision_loss, reason = "a handful of stages")]
    let height = 92.0 + 28.0 * model.stages.len() as f32;
    middle(ui, 500.0, height, |ui| {
        controls::card(ui, 500.0, |ui| {
            ui.horizontal(|ui| {
                ui.label(RichText::new(title).text_style(theme::title()).color(palette.strong));
                ui.add(Label::new(RichText::new(subject).color(palette.dim)).truncate());
            });
            ui.add_space(2.0);
            let fraction = (!model.stages.is_empty()).then(|| model.build_fraction());
            let width = ui.available_width();
            controls::thin_bar(ui, width, fraction, "Build progress");
            ui.add_space(4.0);
            if let Some(chosen) = &model.way {
                let words = format!("mkarchiso: {}", way(chosen));
                let text = RichText::new(&words).small().color(palette.dim);
                // All the reasons are in the build's log, and here.
                ui.add(Label::new(text).wrap()).on_hover_text(chosen.sentence());
                ui.add_space(2.0);
            }
            ui.spacing_mut().item_spacing.y = 4.0;
            for stage in &model.stages {
                line(ui, stage, model.stage_left_ms(now_ms), now_ms);
            }
        });
    });
}

fn line(ui: &mut Ui, stage: &StageView, left_ms: Option<u64>, now_ms: u64) {
    let palette = Palette::of(ui);
    let (glyph, colour, right) = match &stage.status {
        StageStatus::Waiting => (Icon::Circle, palette.dim, String::new()),
        StageStatus::Running { .. } => (Icon::CircleDot, palette.accent, running(&stage.status, left_ms, now_ms)),
        StageStatus::Done { reused: true, .. } => (Icon::CircleCheck, palette.success, "unchanged".to_owned()),
        StageStatus::Done { took_ms, .. } => (Icon::CircleCheck, palette.success, words::took(*took_ms)),
        StageStatus::Stopped => (Icon::CircleX, palette.error, "stopped".to_owned()),
    };
    let waiting = matches!(stage.status, StageStatus::Waiting);
    ui.horizontal(|ui| {
        ui.set_height(24.0);
        ui.label(controls::icon(glyph, 15.0).color(colour));
        ui.label(RichText::new(&stage.name).color(if waiting { palette.dim } else { palette.text }));
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.label(RichText::new(right).small().color(palette.dim));
        });
    });
    let StageStatus::Running { done, total, what, .. } = &stage.status else { return };
    if what.is_none() && total.is_none() {
        return;
    }
    ui.horizontal(|ui| {
        ui.add_space(23.0);
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 5.0;
            if let Some(what) = what {
                ui.add(Label::new(RichText::new(what).small().color(palette.text)).truncate());
            }
            if let Some(total) = total.filter(|total| *total > 0) {
                #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a bar of some pixels")]
                let share = (*done as f64 / total as f64) as f32;
                let width = ui.available_width();
                controls::thin_bar(ui, width, Some(share), &format!("Progress of {}", stage.name));
            }
            ui.add_space(3.0);
        });
    });
}

/// What there is to say of a running stage: how much is done, how quickly, how long it still takes or has taken.
fn running(status: &StageStatus, left_ms: Option<u64>, now_ms: u64) -> String {
    let StageStatus::Running { since_ms, done, total, unit, pace, .. } = status else { return String::new() };
    let mut parts = vec![amount(*done, *total, *unit)];
    if let (Unit::Bytes, Some(rate)) = (unit, pace.and_then(|pace| pace.per_second)) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate in bytes")]
        parts.push(format!("{}/s", words::bytes(rate.max(0.0) as u64)));
    }
    parts.push(left_ms.map_or_else(|| words::elapsed(now_ms.saturating_sub(*since_ms)), words::left));
    parts.retain(|part| !part.is_empty());
    parts.join(" · ")
}

/// What is being done in a few letters: "packages 2/6"; `None` where nothing is built.
pub(super) fn short(model: &Model) -> Option<String> {
    let done = model.stages.iter().filter(|it| matches!(it.status, StageStatus::Done { .. })).count();
    model.running_stage().map(|stage| format!("{} {}/{}", stage.name, done + 1, model.stages.len()))
}

/// What is being done in one line, for the bar at the top: "packages 2/6 · installing linux".
pub(super) fn sentence(model: &Model) -> String {
    let (Some(stage), Some(short)) = (model.running_stage(), short(model)) else { return "Planning".to_owned() };
    let mut parts = vec![short];
    if let StageStatus::Running { what: Some(what), .. } = &stage.status {
        parts.push(what.clone());
    }
    parts.join(" · ")
}

fn amount(done: u64, total: Option<u64>, unit: Unit) -> String {
    let show = |n: u64| match unit {
        Unit::Bytes => words::bytes(n),
        Unit::Files | Unit::Packages => words::count(n),
        Unit::Percent => format!("{n} %"),
    };
    let noun = match unit {
        Unit::Files => " files",
        Unit::Packages => " packages",
        Unit::Bytes | Unit::Percent => "",
    };
    match (done, total, unit) {
        (0, None, _) => String::new(),
        (_, _, Unit::Percent) => show(done),
        (_, Some(total), _) => format!("{} of {}{noun}", show(done), show(total)),
        (_, None, _) => format!("{}{noun}", show(done)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::pace::Pace;

    #[test]
    fn a_running_stage_says_how_much_and_how_long() {
        let status = |done, total, unit, pace| StageStatus::Running {
            since_ms: 1000,
            done,
            total,
            unit,
            what: None,
            pace,
            told_ms: 1000,
        };
        let packages = status(23, Some(412), Unit::Packages, None);
        assert_eq!(running(&packages, Some(61_000), 5000), "23 of 412 packages · 1 min left");
        assert_eq!(running(&packages, None, 5000), "23 of 412 packages · 0:04");
        let pace = Some(Pace { per_second: Some(8_200_000.0), left_ms: Some(9000) });
        let bytes = status(12_100_000, Some(80_000_000), Unit::Bytes, pace);
        assert_eq!(running(&bytes, Some(9000), 5000), "11.5 MiB of 76.3 MiB · 7.8 MiB/s · 9 s left");
        assert_eq!(running(&status(0, None, Unit::Files, None), None, 5000), "0:04");
    }
}

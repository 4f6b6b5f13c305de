//! What is shown is what is so: nothing is well that nobody has looked at, nothing fails that was mended, and every list is
//! reached by the keyboard.

use cartridge::gui::panels::Panel;
use cartridge::session::event::Failure;
use cartridge::session::examination::Unexamined;
use cartridge::session::state::{Goal, Outcome};
use cartridge::session::{Command, Event};
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use isoprep::EngineKind;
use isoprep::contents::Difference;

use crate::distribution as story;
use crate::stage::Stage;

fn stage(story: impl Fn(&mut Stage)) -> Stage {
    let mut stage = Stage::new();
    story(&mut stage);
    stage.settle();
    stage.asked();
    stage
}

fn click(stage: &mut Stage, name: &str) {
    stage.window.get_by_label(name).click();
    stage.settle();
}

fn has(stage: &Stage, name: &str) -> bool {
    stage.window.query_by_label(name).is_some()
}

fn disabled(stage: &Stage, name: &str) -> bool {
    stage.window.get_by_label(name).accesskit_node().is_disabled()
}

fn front(stage: &mut Stage, panel: Panel) {
    stage.window.state_mut().panels.front = Some(panel);
    stage.settle();
}

fn press(stage: &mut Stage, key: Key) {
    stage.window.key_press(key);
    stage.settle();
}

/// Whether something is seen: laid out, and inside of what shows it.
fn seen(stage: &Stage, name: &str, within: &str) -> bool {
    let frame = stage.window.get_by_label(within).rect();
    stage.window.query_by_label(name).is_some_and(|node| frame.contains(node.rect().center()))
}

#[test]
fn what_is_not_looked_at_has_no_findings_and_is_not_well() {
    let mut stage = stage(story::examined);
    front(&mut stage, Panel::Lint);
    assert!(has(&stage, "Fix Add plymouth to image.packages"));
    stage.tell(30, Event::CartridgeChanged { cartridge: crate::story::cartridge(true, false) });
    let why = Unexamined::NoProfile { engine: EngineKind::Micro };
    stage.tell(31, Event::NotExamined { why });
    stage.settle();
    assert!(!has(&stage, "Fix Add plymouth to image.packages") && has(&stage, "Looked at for secrets alone"));
    assert!(has(&stage, "No secrets were found, and the engine micro takes no archiso profile."));
    assert!(stage.window.query_by_label_contains("Lint:").is_none(), "no badge");
    // With errors in it nobody has looked at it, not even for secrets.
    stage.tell(32, Event::NotExamined { why: Unexamined::Invalid });
    stage.settle();
    assert!(has(&stage, "The cartridge has to be corrected first.") && !has(&stage, "Looked at for secrets alone"));

    stage.tell(32, Event::CartridgeChanged { cartridge: story::cartridge() });
    stage.tell(33, Event::NotExamined { why: Unexamined::Invalid });
    stage.settle();
    assert!(has(&stage, "The cartridge has to be corrected first.") && !has(&stage, "All is well"));
}

#[test]
fn what_was_mended_does_not_fail_any_more() {
    let mut stage = stage(story::stopped_by_lint);
    assert!(has(&stage, "State: Failed"));
    let note = story::lint().remove(4);
    let examined = |lint| Event::Examined { lint, tree: story::tree(), warnings: Vec::new(), failure: None };
    stage.tell(2000, examined(vec![note]));
    stage.settle();
    assert!(has(&stage, "State: Ready") && has(&stage, "The lint finds no errors any more: 1 note."));
    assert!(!has(&stage, "Build anyway") && !has(&stage, "The build would fail: the lint has found errors"));
    click(&mut stage, "Build again");
    assert!(matches!(stage.asked()[..], [Command::Ask(Goal::Build)]));
    stage.tell(2001, examined(story::lint()));
    stage.settle();
    assert!(has(&stage, "State: Failed") && !has(&stage, "Build again"), "they are there again");
}

#[test]
fn in_the_smallest_window_every_tab_is_in_reach_and_the_bar_says_what_is_done() {
    let small = |stage: &mut Stage| {
        let [width, height] = cartridge::gui::preferences::MIN_SIZE;
        stage.window.set_size(egui::vec2(width, height));
    };
    let stopped = stage(|stage| {
        story::stopped_by_lint(stage);
        small(stage);
    });
    let buttons: Vec<_> = stopped.window.get_all_by_label("Build anyway").map(|it| it.rect()).collect();
    for tab in ["Lint panel", "Files panel", "Changes panel"] {
        let tab = stopped.window.get_by_label(tab).rect();
        assert!(buttons.iter().all(|button| !button.intersects(tab)), "{tab:?} {buttons:?}");
    }
    // What stands beside the tabs must not lie over them, whatever is in front.
    for (panel, tools) in [
        (Panel::Lint, &["Build anyway", "Copy findings", "Check again"][..]),
        (Panel::Files, &["Close all folders", "Changed only", "Filter"]),
        (Panel::Changes, &["Copy changes", "Filter"]),
    ] {
        let mut stage = stage(|stage| {
            story::stopped_by_lint(stage);
            small(stage);
        });
        front(&mut stage, panel);
        let tab = stage.window.get_by_label("Changes panel").rect();
        for tool in tools {
            for node in stage.window.query_all_by_label(tool) {
                assert!(!node.rect().intersects(tab), "{tool}: {:?} {tab:?}", node.rect());
            }
        }
    }
    let building = stage(|stage| {
        story::building(stage);
        small(stage);
    });
    assert!(has(&building, "Progress: packages 3/7"));
    let left = building.window.get_by_label("1 min left").rect();
    let cancel = building.window.get_by_label("Cancel").rect();
    assert!(left.width() > 20.0 && left.right() < cancel.left(), "{left:?} {cancel:?}");
}

#[test]
fn a_cache_that_cannot_be_emptied_says_so_where_it_was_asked() {
    let mut stage = stage(story::building);
    click(&mut stage, "More ways to eject");
    click(&mut stage, "Cache…");
    stage.tell(34_001, story::cache_refused());
    stage.settle();
    assert!(has(&stage, "The cache could not be emptied"));
    assert!(!has(&stage, "Looking at what there is…") && has(&stage, "Look again"));
    assert!(stage.window.query_by_label_contains("The cache could not be emptied: ").is_none(), "no notice besides");
    stage.tell(34_002, story::cache(None));
    stage.settle();
    assert!(!has(&stage, "The cache could not be emptied") && disabled(&stage, "Clean…"), "a build uses it");
    press(&mut stage, Key::Escape);
    stage.tell(34_003, story::cache_refused());
    stage.settle();
    assert!(stage.window.query_by_label_contains("The cache could not be emptied: ").is_some(), "nothing else says it");
    assert!(has(&stage, "State: Building"), "the build goes on");
}

#[test]
fn a_fix_of_the_repository_waits_for_the_build() {
    let mut stage = stage(|stage| {
        story::building(stage);
        stage.tell(34_001, Event::Examined { lint: story::lint(), tree: vec![], warnings: vec![], failure: None });
        stage.window.state_mut().preferences.tall = true;
    });
    front(&mut stage, Panel::Lint);
    assert!(disabled(&stage, "Fix… Remove the comment") && !disabled(&stage, "Fix Add plymouth to image.packages"));
}

#[test]
fn a_failed_comparison_is_a_warning_and_an_unchanged_build_is_none() {
    let built = |event: Event, reused| {
        stage(move |stage| {
            story::building(stage);
            let image = isoprep::Image { reused, ..story::image() };
            stage.tell(131_000, Event::ImageBuilt { image, took_ms: 40 });
            stage.tell(131_001, event.clone());
            stage.tell(131_002, crate::story::idle(Outcome::Built, true));
            stage.window.state_mut().panels.front = Some(Panel::Changes);
        })
    };
    let mut failed = built(Event::NotCompared { error: Some("the record is torn".to_owned()) }, false);
    assert!(has(&failed, "It could not be compared with the image before: the record is torn"));
    front(&mut failed, Panel::Changes);
    assert!(has(&failed, "It could not be compared") && !has(&failed, "Nothing to compare with"));

    let difference = Some(Box::new(Difference::default()));
    let mut same = built(Event::BuildCompared { summary: "nothing changed".to_owned(), difference }, true);
    front(&mut same, Panel::Changes);
    assert!(has(&same, "The image is up to date") && has(&same, "Nothing changed"));
    assert!(!has(&same, "No build to compare yet") && !has(&same, "Show changes"));
}

#[test]
fn what_the_host_lacks_leads_to_its_checks() {
    let mut stage = stage(|stage| {
        story::inserted(stage);
        let failure = Failure {
            title: "This host lacks something that this image needs".to_owned(),
            detail: "mkarchiso cannot be run here".to_owned(),
            advice: Some("Run the checks, each with the command that mends it".to_owned()),
            command: Some("cartridge doctor".to_owned()),
            pane: None,
            exit_code: cartridge::session::failure::exit_code::HOST,
        };
        stage.tell(20, Event::Failed { failure });
        stage.tell(21, crate::story::idle(Outcome::Failed, false));
    });
    assert!(!has(&stage, "Copy command"), "the window has the checks itself");
    click(&mut stage, "Show checks");
    assert!(matches!(stage.asked()[..], [Command::Diagnose]));
    assert!(has(&stage, "This host"));
}

#[test]
fn the_way_of_mkarchiso_is_on_the_card() {
    let stage = stage(story::building_with_mkarchiso);
    let way = "mkarchiso: In a user namespace where every file belongs to root. Files that a package gives to another \
               user will belong to root in the image.";
    assert!(has(&stage, way));
}

#[test]
fn a_proposal_shows_what_is_written() {
    let stage = stage(story::proposal_edited);
    assert!(has(&stage, "Edited image.engine = mkarchiso") && has(&stage, "Dropped image.packages = gum"));
    assert!(has(&stage, "Edited image.packages = vim") && !has(&stage, "Proposed image.engine = archiso"));
}

#[test]
fn the_keyboard_goes_through_changes_findings_and_the_proposal() {
    let mut changes = stage(|stage| {
        story::built(stage);
        let mut difference = story::difference();
        let line = difference.root.added.items[0].clone();
        difference.root.added.items = vec![line; 500];
        difference.root.added.total = 500;
        let event = Event::BuildCompared { summary: String::new(), difference: Some(Box::new(difference)) };
        stage.tell(132_000, event);
    });
    front(&mut changes, Panel::Changes);
    let first = "~linux 6.12.7.arch1-1 → 6.12.8.arch1-1";
    assert!(has(&changes, first));
    changes.window.get_by_label("Changes").focus();
    changes.settle();
    press(&mut changes, Key::End);
    assert!(!has(&changes, first) && changes.window.query_by_label_contains("/usr/share").is_some());
    press(&mut changes, Key::Home);
    press(&mut changes, Key::PageDown);
    press(&mut changes, Key::PageUp);
    assert!(has(&changes, first), "and back");

    let mut findings = stage(story::examined);
    front(&mut findings, Panel::Lint);
    let last = "git is listed twice.";
    assert!(!seen(&findings, last, "Findings"));
    findings.window.get_by_label("Findings").focus();
    findings.settle();
    for _ in 0..6 {
        press(&mut findings, Key::PageDown);
    }
    assert!(seen(&findings, last, "Findings"), "a finding without a button is reached too");

    let mut proposal = stage(story::proposed);
    let last = "Proposed guest.disk = 40G";
    assert!(!seen(&proposal, last, "Proposal"));
    proposal.window.get_by_label("Proposal").focus();
    proposal.settle();
    for _ in 0..8 {
        press(&mut proposal, Key::PageDown);
    }
    assert!(seen(&proposal, last, "Proposal"));
}

#[test]
fn a_window_that_gets_the_focus_back_looks_again() {
    let mut stage = stage(story::examined);
    stage.window.input_mut().focused = false;
    stage.settle();
    assert!(stage.asked().is_empty());
    stage.window.input_mut().focused = true;
    stage.settle();
    assert!(matches!(stage.asked()[..], [Command::Refresh]));
    stage.window.key_press_modifiers(Modifiers::COMMAND, Key::Num5);
    stage.settle();
    assert!(stage.asked().is_empty(), "once");
}

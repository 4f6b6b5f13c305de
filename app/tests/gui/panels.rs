//! The panels about a distribution's cartridge, and what is done in them: found by accessible names, asserted by the
//! commands that they send.

use cartridge::gui::panels::Panel;
use cartridge::session::event::{CartridgeView, FindingView};
use cartridge::session::logs::Pane;
use cartridge::session::state::Goal;
use cartridge::session::{Command, Event};
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use isoprep::lint::Severity;

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

fn tall(stage: &mut Stage, panel: Panel) {
    stage.window.state_mut().preferences.tall = true;
    stage.window.state_mut().panels.front = Some(panel);
    stage.settle();
}

fn copied(stage: &Stage) -> Vec<String> {
    let commands = &stage.window.output().platform_output.commands;
    let text = |command: &egui::OutputCommand| match command {
        egui::OutputCommand::CopyText(text) => Some(text.clone()),
        _ => None,
    };
    commands.iter().filter_map(text).collect()
}

#[test]
fn the_badge_counts_and_opens_the_findings() {
    let mut stage = stage(story::examined);
    click(&mut stage, "Lint: 3 errors, 2 warnings, 1 note");
    assert_eq!(stage.window.state().panels.front, Some(Panel::Lint));
    let mut well = self::stage(story::examined_well);
    click(&mut well, "Lint: all is well");
    assert!(has(&well, "All is well"));
    let none = self::stage(crate::story::inserted);
    assert!(none.window.query_by_label_contains("Lint:").is_none(), "the engine micro has no lint");
}

#[test]
fn a_fix_of_the_cartridge_is_one_click() {
    let mut stage = stage(story::examined);
    tall(&mut stage, Panel::Lint);
    click(&mut stage, "Fix Add plymouth to image.packages");
    let (asked, id) = (stage.asked(), story::lint()[0].id.clone());
    assert!(matches!(&asked[..], [Command::ApplyFix { id: fixed, asked: false }] if *fixed == id), "{asked:?}");
}

#[test]
fn a_fix_of_the_repository_shows_the_change_and_asks() {
    let mut stage = stage(story::examined);
    tall(&mut stage, Panel::Lint);
    click(&mut stage, "Fix… Remove the comment");
    assert!(stage.asked().is_empty(), "nothing before the answer");
    assert!(has(&stage, "Change your repository?"));
    let place = "/srv/distros/homerchy/iso-builder/archiso/configs/releng/packages.x86_64, line 17";
    assert!(has(&stage, place) && has(&stage, "Old line: linux  # the kernel") && has(&stage, "New line: linux"));
    click(&mut stage, "Leave it as it is");
    assert!(stage.asked().is_empty() && !has(&stage, "Change your repository?"));
    click(&mut stage, "Fix… Remove the comment");
    click(&mut stage, "Change the file");
    let (asked, id) = (stage.asked(), story::lint()[1].id.clone());
    assert!(matches!(&asked[..], [Command::ApplyFix { id: fixed, asked: true }] if *fixed == id), "{asked:?}");
    assert!(!has(&stage, "Change your repository?"));
}

#[test]
fn a_finding_that_is_gone_is_not_mended() {
    let mut stage = stage(story::examined);
    tall(&mut stage, Panel::Lint);
    click(&mut stage, "Fix… Remove the comment");
    stage.tell(30, Event::Examined { lint: Vec::new(), tree: story::tree(), warnings: Vec::new(), failure: None });
    stage.settle();
    assert!(!has(&stage, "Change the file"));
    click(&mut stage, "Good");
    assert!(stage.asked().is_empty() && has(&stage, "All is well"));
}

#[test]
fn the_keyboard_reaches_the_fixes() {
    let mut stage = stage(story::examined);
    stage.window.key_press_modifiers(Modifiers::COMMAND, Key::Num5);
    stage.settle();
    assert_eq!(stage.window.state().panels.front, Some(Panel::Lint));
    stage.window.get_by_label("Fix Add plymouth to image.packages").focus();
    stage.settle();
    // The next finding's file, which can be copied, then its fix.
    for key in [Key::Tab, Key::Tab, Key::Space] {
        stage.window.key_press(key);
        stage.settle();
    }
    assert!(has(&stage, "Change your repository?"), "the next fix has the focus and was pressed");
    stage.window.key_press(Key::Escape);
    stage.settle();
    assert!(!has(&stage, "Change your repository?") && stage.asked().is_empty());
}

#[test]
fn a_build_that_the_lint_stopped_leads_to_the_findings_and_builds_anyway() {
    let mut stage = stage(story::stopped_by_lint);
    assert_eq!(stage.window.state().panels.front, Some(Panel::Lint), "the findings come to the front");
    click(&mut stage, "Build log");
    assert_eq!((stage.window.state().panels.front, stage.window.state().logs.pane), (None, Pane::Build));
    click(&mut stage, "Show findings");
    assert_eq!(stage.window.state().panels.front, Some(Panel::Lint));
    let buttons: Vec<_> = stage.window.get_all_by_label("Build anyway").collect();
    assert_eq!(buttons.len(), 2, "on the card and beside the findings");
    buttons[0].click();
    stage.settle();
    let asked = stage.asked();
    assert!(matches!(asked[..], [Command::AskAnyway(Goal::Build)]), "{asked:?}");
}

#[test]
fn it_can_be_looked_at_again_and_what_is_in_the_way_is_said() {
    let mut stage = stage(story::examined_well);
    stage.window.state_mut().panels.front = Some(Panel::Lint);
    stage.settle();
    click(&mut stage, "Check again");
    assert!(matches!(stage.asked()[..], [Command::Examine]));
    stage.tell(30, Event::Examining);
    stage.settle();
    assert!(disabled(&stage, "Check again"));
    let failure = cartridge::session::event::Failure {
        title: "The profile cannot be read".to_owned(),
        detail: "profiledef.sh:12: unexpected end of file".to_owned(),
        advice: Some("Close the quote.".to_owned()),
        command: None,
        pane: None,
        exit_code: 3,
    };
    stage
        .tell(31, Event::Examined { lint: Vec::new(), tree: Vec::new(), warnings: Vec::new(), failure: Some(failure) });
    stage.settle();
    assert!(has(&stage, "The profile cannot be read") && has(&stage, "Lint: could not look"));
    assert!(!has(&stage, "All is well"), "what could not be looked at is not well");
}

#[test]
fn only_findings_in_sight_are_laid_out() {
    let mut stage = stage(|stage| {
        story::inserted(stage);
        let one = story::lint().remove(3);
        let lint = (0..3000)
            .map(|at| {
                let mut one = one.clone();
                one.finding.line = Some(at);
                one.finding.severity = Severity::Warning;
                cartridge::session::examination::LintView::new(one.finding)
            })
            .collect();
        stage.tell(20, Event::Examined { lint, tree: story::tree(), warnings: Vec::new(), failure: None });
    });
    stage.window.state_mut().panels.front = Some(Panel::Lint);
    stage.settle();
    let laid_out = stage.window.state().panels.lint.laid_out();
    assert!((2..20).contains(&laid_out), "{laid_out}");
}

#[test]
fn a_tree_of_thousands_is_laid_out_by_the_screenful() {
    let mut stage = stage(|stage| {
        story::inserted(stage);
        let mut tree = story::tree();
        let last = tree.pop().unwrap();
        for at in 0..50_000 {
            let mut node = last.clone();
            node.path = format!("z{at:05}");
            node.name.clone_from(&node.path);
            tree.push(node);
        }
        stage.tell(20, Event::Examined { lint: Vec::new(), tree, warnings: Vec::new(), failure: None });
    });
    stage.window.state_mut().panels.front = Some(Panel::Files);
    stage.settle();
    let (rows, laid_out) = stage.window.state().panels.files.rows();
    assert!(rows > 50_000 && (4..14).contains(&laid_out), "{rows} {laid_out}");
    stage.window.get_by_label("Files of the profile").focus();
    stage.settle();
    stage.window.key_press(Key::End);
    stage.settle();
    assert!(has(&stage, "z49999: iso-builder/configs, replaces base"), "the keyboard goes to the end");
    let filter = stage.window.get_by_label("Filter");
    filter.click();
    filter.type_text("z00042");
    stage.settle();
    assert_eq!(stage.window.state().panels.files.rows().0, 1);
}

#[test]
fn the_tree_opens_closes_and_says_where_files_came_from() {
    let mut stage = stage(story::examined);
    tall(&mut stage, Panel::Files);
    assert!(!has(&stage, "airootfs/etc/hostname: iso-builder/configs, replaces base"));
    click(&mut stage, "airootfs/etc: base");
    assert!(has(&stage, "airootfs/etc/hostname: iso-builder/configs, replaces base"));
    assert!(has(&stage, "airootfs/etc/motd: iso-builder/branding, replaces base, iso-builder/configs"));
    stage.window.key_press(Key::ArrowLeft);
    stage.settle();
    assert!(!has(&stage, "airootfs/etc/hostname: iso-builder/configs, replaces base"), "the arrow closes it");
    stage.window.key_press(Key::ArrowDown);
    stage.window.key_press(Key::ArrowUp);
    stage.window.key_press(Key::ArrowRight);
    stage.settle();
    assert!(has(&stage, "airootfs/etc/hostname: iso-builder/configs, replaces base"), "and opens it again");
    stage.window.key_press(Key::ArrowDown);
    stage.settle();
    stage.window.event(egui::Event::Copy);
    stage.window.step();
    assert_eq!(copied(&stage), ["/srv/distros/homerchy/iso-builder/configs/airootfs/etc/hostname"]);
    let filter = stage.window.get_by_label("Filter");
    filter.click();
    filter.type_text("REFLECTOR");
    stage.settle();
    let gone = "airootfs/etc/systemd/system/multi-user.target.wants/reflector.service: base, removed";
    assert!(has(&stage, gone) && !has(&stage, "profiledef.sh: iso-builder/configs, replaces base"));
    click(&mut stage, "Close all folders");
    click(&mut stage, "Changed only");
    assert!(has(&stage, gone) && !has(&stage, "efiboot: base"));
}

#[test]
fn ctrl_f_goes_to_the_filter_of_what_is_in_front() {
    let mut stage = stage(story::examined);
    stage.window.key_press_modifiers(Modifiers::COMMAND, Key::Num6);
    stage.settle();
    stage.window.key_press_modifiers(Modifiers::COMMAND, Key::F);
    stage.settle();
    stage.window.event(egui::Event::Text("sshd".to_owned()));
    stage.settle();
    assert_eq!(stage.window.state().panels.files.rows().0, 6);
    assert!(!has(&stage, "Search text"), "the logs are not in front");
}

#[test]
fn a_proposal_is_saved_with_the_one_accent_button_and_its_command_is_copied() {
    let mut stage = stage(story::proposed);
    assert!(has(&stage, "Proposed image.packages = git, gum, jq"), "items with one reason are one line");
    assert!(has(&stage, "Proposed image.env OMARCHY_VM_TEST = 1"));
    stage.window.get_by_label("Copy git submodule update --init -- iso-builder/archiso").click();
    stage.window.step();
    assert_eq!(copied(&stage), ["git submodule update --init -- iso-builder/archiso"]);
    stage.settle();
    click(&mut stage, "Save cartridge.toml");
    assert!(matches!(stage.asked()[..], [Command::Save]));
    stage.tell(30, Event::CartridgeChanged { cartridge: story::cartridge() });
    stage.settle();
    assert!(!has(&stage, "Save cartridge.toml") && has(&stage, "homerchy is inserted"));
}

#[test]
fn what_is_wrong_with_a_proposal_is_said_in_it() {
    let stage = stage(|stage| {
        story::proposed(stage);
        let finding = FindingView {
            line: Some(9),
            key: "image.base".to_owned(),
            message: "releng is not installed".to_owned(),
            advice: "install archiso".to_owned(),
        };
        let mut cartridge = CartridgeView { exists: false, findings: vec![finding], ..story::cartridge() };
        cartridge.proposed = vec![isoprep::Proposed {
            key: "image.base".to_owned(),
            item: None,
            value: "releng".to_owned(),
            why: "the overlay is made for it".to_owned(),
            from: Vec::new(),
            command: None,
            kind: isoprep::ProposedKind::Assumed,
        }];
        stage.tell(20, Event::CartridgeChanged { cartridge });
        stage.tell(21, Event::StateChanged { state: cartridge::session::state::State::default() });
    });
    assert!(has(&stage, "image.base: releng is not installed") && has(&stage, "Install archiso"));
}

#[test]
fn the_form_shows_what_means_something_to_the_engine() {
    let stage = stage(story::inserted);
    let kernel = |stage: &Stage| stage.window.query_by_role_and_label(egui::Role::TextInput, "Kernel").is_some();
    assert!(has(&stage, "Overlays 1") && !kernel(&stage));
    let micro = self::stage(crate::story::inserted);
    assert!(!has(&micro, "New item for Overlays") && kernel(&micro));
}

#[test]
fn the_engine_is_chosen_with_a_word_of_what_it_is_for() {
    let mut stage = stage(crate::story::inserted);
    stage.window.get_by_role_and_label(egui::Role::ComboBox, "Engine").click();
    stage.settle();
    click(&mut stage, "Engine: archiso");
    let asked = stage.asked();
    assert!(
        matches!(&asked[..], [Command::SetField { key, value }] if key == "image.engine" && value == "archiso"),
        "{asked:?}"
    );
}

#[test]
fn lists_close_once_something_is_chosen_by_the_keyboard() {
    for (field, choice, key, value) in
        [("Engine", "Engine: archiso", "image.engine", "archiso"), ("Way", "layers", "boot.way", "layers")]
    {
        let mut stage = stage(crate::story::inserted);
        if field == "Way" {
            // It is further down than can be seen.
            stage.window.get_by_label("Direct boot").focus();
            stage.settle();
            stage.window.key_press(Key::Enter);
            stage.settle();
        }
        let list = |stage: &Stage| stage.window.query_by_label(choice).is_some();
        stage.window.get_by_role_and_label(egui::Role::ComboBox, field).focus();
        stage.settle();
        stage.window.key_press(Key::Enter);
        stage.settle();
        assert!(list(&stage), "{field}: Enter opens it");
        stage.window.get_by_label(choice).focus();
        stage.settle();
        stage.window.key_press(Key::Enter);
        stage.settle();
        let asked = stage.asked();
        let sets = |it: &Command| matches!(it, Command::SetField { key: k, value: v } if k == key && v == value);
        assert!(asked.len() == 1 && sets(&asked[0]), "{asked:?}");
        assert!(!list(&stage), "{field}: Enter closes it");
    }
}

fn set(stage: &mut Stage) -> (String, String) {
    let asked = stage.asked();
    match &asked[..] {
        [Command::SetField { key, value }] => (key.clone(), value.clone()),
        _ => panic!("{asked:?}"),
    }
}

#[test]
fn lists_are_edited_item_by_item() {
    let mut stage = stage(story::inserted);
    let scroll = |stage: &mut Stage, name: &str| {
        stage.window.get_by_label(name).scroll_to_me();
        stage.settle();
    };
    scroll(&mut stage, "Overlays 2: earlier");
    assert!(disabled(&stage, "Overlays 1: earlier"));
    click(&mut stage, "Overlays 2: earlier");
    let moved = r#"["iso-builder/branding", "iso-builder/configs"]"#;
    assert_eq!(set(&mut stage), ("image.overlays".to_owned(), moved.to_owned()));
    click(&mut stage, "Overlays 1: remove");
    assert_eq!(set(&mut stage).1, r#"["iso-builder/configs"]"#, "what is seen is what was moved");
    scroll(&mut stage, "Remove gum from Packages");
    click(&mut stage, "Remove gum from Packages");
    assert!(!set(&mut stage).1.contains("gum"));
    scroll(&mut stage, "New item for Packages");
    let field = stage.window.get_by_label("New item for Packages");
    field.click();
    field.type_text("vim, htop tmux");
    stage.settle();
    assert!(stage.asked().is_empty(), "not while typing");
    click(&mut stage, "Add to Packages");
    let value = set(&mut stage).1;
    assert!(value.ends_with(r#""vim", "htop", "tmux"]"#), "{value}");
}

#[test]
fn a_table_is_edited_as_names_and_values() {
    let mut stage = stage(story::inserted);
    stage.window.get_by_label("Environment 2: value").scroll_to_me();
    stage.settle();
    let field = stage.window.get_by_label("Environment 2: value");
    field.click();
    field.type_text("0");
    stage.window.step();
    assert!(stage.asked().is_empty(), "still typing");
    stage.window.key_press(Key::Enter);
    stage.settle();
    let (key, value) = set(&mut stage);
    assert_eq!((key.as_str(), value.contains(r#"OMARCHY_VM_TEST = "10""#)), ("image.env", true), "{value}");
}

#[test]
fn the_answer_of_the_session_replaces_what_was_edited() {
    let mut stage = stage(story::inserted);
    stage.window.get_by_label("Overlays 2: remove").scroll_to_me();
    stage.settle();
    click(&mut stage, "Overlays 2: remove");
    assert!(!has(&stage, "Overlays 2"));
    // The session refuses the change and tells the cartridge as it was.
    stage.tell(30, Event::CartridgeChanged { cartridge: story::cartridge() });
    stage.settle();
    assert!(has(&stage, "Overlays 2"));
}

#[test]
fn the_build_log_shows_one_stage_alone() {
    let mut stage = stage(story::building);
    let line = |stage: &Stage, text: &str| has(stage, text);
    let (assemble, packages) = ("[assemble] done in 0.64 s", "[packages] ( 23/412) installing linux");
    assert!(line(&stage, assemble) && line(&stage, packages));
    click(&mut stage, "Stage");
    stage.window.get_by_role_and_label(egui::Role::Button, "packages").click();
    stage.window.run_steps(3);
    assert!(!line(&stage, assemble) && line(&stage, packages));
    click(&mut stage, "Stage");
    click(&mut stage, "All stages");
    assert!(line(&stage, assemble));
}

#[test]
fn a_build_says_what_it_does_and_how_long_it_takes() {
    let stage = stage(story::building);
    assert!(has(&stage, "installing linux") && has(&stage, "23 of 412 packages · 1 min left"));
    assert!(has(&stage, "Progress: packages 3/7 · installing linux"));
}

#[test]
fn after_a_build_the_changes_are_one_click_away() {
    let mut stage = stage(story::built);
    assert!(has(&stage, "2 newer, 1 older, 1 added") && has(&stage, "+3.0 MiB"));
    click(&mut stage, "Show changes");
    assert_eq!(stage.window.state().panels.front, Some(Panel::Changes));
    tall(&mut stage, Panel::Changes);
    assert!(has(&stage, "~openssl 3.4.0-2 → 3.4.0-1  older"));
    let filter = stage.window.get_by_label("Filter");
    filter.click();
    filter.type_text("plymouth");
    stage.settle();
    assert!(has(&stage, "+plymouth 24.004.60-12  2.2 MiB") && !has(&stage, "~openssl 3.4.0-2 → 3.4.0-1  older"));
}

#[test]
fn the_changes_are_copied_whole() {
    let mut stage = stage(story::built);
    stage.window.state_mut().panels.front = Some(Panel::Changes);
    stage.settle();
    stage.window.get_by_label("Copy changes").click();
    for _ in 0..200 {
        stage.window.step();
        if let [text] = &copied(&stage)[..] {
            assert!(text.contains("openssl 3.4.0-2 → 3.4.0-1") && text.contains("usr/bin/plymouth"), "{text}");
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("never copied");
}

#[test]
fn a_first_build_has_nothing_to_compare_with() {
    let mut stage = stage(|stage| {
        story::building(stage);
        stage.tell(131_000, Event::ImageBuilt { image: story::image(), took_ms: 128_400 });
        stage.tell(131_001, crate::story::idle(cartridge::session::state::Outcome::Built, true));
        let summary = "412 packages, 81 204 files".to_owned();
        stage.tell(131_002, Event::BuildCompared { summary, difference: None });
    });
    assert!(has(&stage, "412 packages, 81 204 files") && !has(&stage, "Show changes"));
    stage.window.key_press_modifiers(Modifiers::COMMAND, Key::Num7);
    stage.settle();
    assert!(has(&stage, "Nothing to compare with"));
}

#[test]
fn the_cache_is_seen_and_cleaned_after_a_question() {
    let mut stage = stage(story::inserted);
    click(&mut stage, "More ways to eject");
    click(&mut stage, "Cache…");
    assert!(matches!(stage.asked()[..], [Command::ViewCache]));
    assert!(!has(&stage, "Clean…"), "not before it is known what");
    stage.tell(30, story::cache(None));
    stage.settle();
    assert!(has(&stage, "fetched packages") && has(&stage, "8.32 GiB of 24.00 GiB"));
    click(&mut stage, "Clean…");
    assert!(stage.asked().is_empty(), "nothing before the answer");
    click(&mut stage, "Keep it");
    assert!(stage.asked().is_empty() && has(&stage, "Clean…"));
    click(&mut stage, "Clean…");
    click(&mut stage, "Empty the cache");
    assert!(matches!(stage.asked()[..], [Command::CleanCache]));
    stage.tell(40, story::cache(Some(8_937_200_000)));
    stage.settle();
    assert!(has(&stage, "The cache is empty.") && has(&stage, "8.32 GiB freed") && disabled(&stage, "Clean…"));
}

#[test]
fn a_still_panel_costs_no_frames() {
    for panel in Panel::ALL {
        let mut stage = stage(story::built);
        stage.tell(
            140_000,
            Event::Examined { lint: story::lint(), tree: story::tree(), warnings: vec![], failure: None },
        );
        stage.window.state_mut().panels.front = Some(panel);
        stage.settle();
        stage.window.run_steps(3);
        let delay = stage.window.output().viewport_output[&egui::ViewportId::ROOT].repaint_delay;
        assert_eq!(delay, std::time::Duration::MAX, "{panel:?}");
    }
}

#[test]
fn the_panes_below_become_tall_and_small_again() {
    let mut stage = stage(story::examined);
    let top = |stage: &Stage| stage.window.get_by_label("Build log").rect().top();
    let before = top(&stage);
    let shift = Modifiers { shift: true, ..Modifiers::COMMAND };
    stage.window.key_press_modifiers(shift, Key::M);
    stage.settle();
    assert!(top(&stage) < before - 100.0);
    click(&mut stage, "As before");
    assert!((top(&stage) - before).abs() < 1.0);
}

/// Clicks what may lie below what is seen of the settings.
fn reach_and_click(stage: &mut Stage, name: &str) {
    stage.window.get_by_label(name).scroll_to_me();
    stage.settle();
    click(stage, name);
}

#[test]
fn what_is_seldom_asked_of_a_guest_is_folded_until_it_is_asked_for() {
    let mut stage = stage(crate::story::inserted);
    assert!(has(&stage, "Network: none") && !has(&stage, "TPM: on") && !has(&stage, "Add to More disks"));
    reach_and_click(&mut stage, "More of the guest");
    for name in ["TPM: on", "Secure Boot keys: vendor", "Add to More disks", "Choose Extra ISO", "Add to USB devices"] {
        assert!(has(&stage, name), "{name}");
    }
    reach_and_click(&mut stage, "TPM: on");
    reach_and_click(&mut stage, "Firmware: uefi-secure");
    let asked = stage.asked();
    let set = |key: &str, to: &str| {
        asked.iter().any(|it| matches!(it, Command::SetField { key: k, value } if k == key && value == to))
    };
    assert!(set("guest.tpm", "true") && set("guest.firmware", "uefi-secure"), "{asked:?}");
    reach_and_click(&mut stage, "More of the guest");
    assert!(!has(&stage, "TPM: on"));
}

#[test]
fn a_disk_is_added_by_name_and_what_is_wrong_with_it_stands_beside_it() {
    let mut stage = stage(crate::story::inserted);
    reach_and_click(&mut stage, "More of the guest");
    for (name, text) in [("New name for More disks", "system"), ("New value for More disks", "40G keep")] {
        stage.window.get_by_label(name).scroll_to_me();
        stage.settle();
        stage.window.get_by_label(name).focus();
        stage.settle();
        stage.window.get_by_label(name).type_text(text);
        stage.settle();
    }
    reach_and_click(&mut stage, "Add to More disks");
    let asked = stage.asked();
    let value = asked.iter().find_map(|it| match it {
        Command::SetField { key, value } if key == "guest.disks" => Some(value.clone()),
        _ => None,
    });
    let text = isoprep::set_field("", "guest.disks", &value.expect("the disk was not added")).unwrap();
    assert_eq!(text, "[guest]\ndisks = { system = \"40G keep\" }\n");
    let mut cartridge = crate::story::cartridge(true, false);
    let message = "\"40\" is not a size";
    let field = cartridge.fields.iter_mut().find(|it| it.key == "guest.disks").unwrap();
    (field.value, field.is_default, field.error) = ("{ system = \"40\" }".to_owned(), false, Some(message.to_owned()));
    stage.tell(40, Event::CartridgeChanged { cartridge });
    stage.settle();
    assert!(has(&stage, message) && disabled(&stage, "More of the guest"), "what is set is not folded away");
}

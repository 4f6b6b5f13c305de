//! Pictures of what is about distributions: see `pictures`.

use cartridge::gui::panels::Panel;
use cartridge::session::Event;
use cartridge::session::sign::Sign;
use egui_kittest::kittest::Queryable as _;
use vmtools::GuestReport;

use crate::distribution as story;
use crate::pictures::picture;
use crate::stage::Stage;

const BOTH: &[&str] = &["dark", "light"];

fn front(stage: &mut Stage, panel: Panel) {
    stage.settle();
    stage.window.state_mut().panels.front = Some(panel);
}

fn tall(stage: &mut Stage, panel: Panel) {
    stage.window.state_mut().preferences.tall = true;
    front(stage, panel);
}

#[test]
fn settings_of_an_engine() {
    picture("settings_archiso", BOTH, story::inserted);
}

#[test]
fn lists_in_the_settings() {
    picture("settings_lists", BOTH, |stage| {
        story::inserted(stage);
        stage.settle();
        stage.window.get_by_label("New name for Environment").scroll_to_me();
    });
}

#[test]
fn packages_in_the_settings() {
    picture("settings_packages", BOTH, |stage| {
        story::inserted(stage);
        stage.settle();
        stage.window.get_by_role_and_label(egui::Role::TextInput, "Mirror").scroll_to_me();
    });
}

#[test]
fn all_settings_of_a_guest() {
    picture("settings_guest", BOTH, |stage| {
        crate::story::inserted(stage);
        let mut cartridge = crate::story::cartridge(true, false);
        for (key, value, error) in [
            ("guest.disks", "{ data = \"20G\", system = \"40 keep\" }", Some("\"40 keep\" is not a size")),
            ("guest.tpm", "true", None),
            ("guest.usb", "1d6b:0002", None),
            ("guest.qemu_args", "-device, edu", None),
        ] {
            let field = cartridge.fields.iter_mut().find(|it| it.key == key).unwrap();
            (field.value, field.is_default, field.error) = (value.to_owned(), false, error.map(str::to_owned));
        }
        stage.tell(40, Event::CartridgeChanged { cartridge });
        stage.settle();
        stage.window.get_by_label("Add to QEMU arguments").scroll_to_me();
    });
}

#[test]
fn the_choice_of_an_engine() {
    picture("settings_engine", BOTH, |stage| {
        story::inserted(stage);
        stage.settle();
        stage.window.get_by_role_and_label(egui::Role::ComboBox, "Engine").click();
    });
}

#[test]
fn the_smallest_window() {
    picture("narrow", &["dark"], |stage| {
        story::building(stage);
        stage.tell(35_000, Event::Examined { lint: story::lint(), tree: vec![], warnings: vec![], failure: None });
        let [width, height] = cartridge::gui::preferences::MIN_SIZE;
        stage.window.set_size(egui::vec2(width, height));
    });
}

#[test]
fn the_smallest_window_with_errors_of_the_lint() {
    picture("narrow_stopped", &["dark"], |stage| {
        story::stopped_by_lint(stage);
        let [width, height] = cartridge::gui::preferences::MIN_SIZE;
        stage.window.set_size(egui::vec2(width, height));
    });
}

#[test]
fn what_stopped_a_build_is_mended() {
    picture("mended", &["dark"], |stage| {
        story::stopped_by_lint(stage);
        let lint = vec![story::lint().remove(4)];
        stage.tell(2000, Event::Examined { lint, tree: story::tree(), warnings: vec![], failure: None });
    });
}

#[test]
fn the_way_of_mkarchiso() {
    picture("building_mkarchiso", &["dark"], story::building_with_mkarchiso);
}

#[test]
fn a_proposal_that_was_edited() {
    picture("proposal_edited", &["light"], story::proposal_edited);
}

#[test]
fn the_cache_is_in_use() {
    picture("cache_in_use", &["dark"], |stage| {
        story::building(stage);
        stage.settle();
        stage.window.get_by_label("More ways to eject").click();
        stage.settle();
        stage.window.get_by_label("Cache…").click();
        stage.tell(34_001, story::cache(None));
        stage.settle();
        stage.tell(34_002, story::cache_refused());
    });
}

#[test]
fn lint_that_could_not_look() {
    picture("lint_failed", BOTH, |stage| {
        story::inserted(stage);
        let failure = cartridge::session::event::Failure {
            title: "The profile cannot be read".to_owned(),
            detail:
                "iso-builder/archiso/configs/releng/profiledef.sh:12: unexpected end of file while looking for \"\n\
                     bash ended with exit code 2."
                    .to_owned(),
            advice: Some("Close the quote in line 9, then check again.".to_owned()),
            command: None,
            pane: None,
            exit_code: 3,
        };
        stage.tell(20, Event::Examined { lint: vec![], tree: vec![], warnings: vec![], failure: Some(failure) });
        front(stage, Panel::Lint);
    });
}

#[test]
fn proposal() {
    picture("proposal", BOTH, story::proposed);
}

#[test]
fn lint() {
    picture("lint", BOTH, |stage| {
        story::examined(stage);
        front(stage, Panel::Lint);
    });
}

#[test]
fn lint_tall() {
    picture("lint_tall", BOTH, |stage| {
        story::examined(stage);
        tall(stage, Panel::Lint);
    });
}

#[test]
fn lint_without_findings() {
    picture("lint_well", BOTH, |stage| {
        story::examined_well(stage);
        front(stage, Panel::Lint);
    });
}

#[test]
fn lint_asks_before_the_repository_is_changed() {
    picture("lint_mend", BOTH, |stage| {
        story::examined(stage);
        tall(stage, Panel::Lint);
        stage.settle();
        stage.window.get_by_label("Fix… Remove the comment").click();
    });
}

#[test]
fn stopped_by_the_lint() {
    picture("stopped_by_lint", BOTH, story::stopped_by_lint);
}

#[test]
fn files() {
    picture("files", BOTH, |stage| {
        story::examined(stage);
        tall(stage, Panel::Files);
        stage.settle();
        stage.window.get_by_label("airootfs/etc: base").click();
        stage.settle();
        stage.window.get_by_label("airootfs/root: base").click();
    });
}

#[test]
fn files_filtered() {
    picture("files_filtered", &["dark"], |stage| {
        story::examined(stage);
        front(stage, Panel::Files);
        stage.settle();
        let filter = stage.window.get_by_label("Filter");
        filter.click();
        filter.type_text("reflector");
    });
}

#[test]
fn building_a_distribution() {
    picture("building_packages", BOTH, story::building);
}

#[test]
fn built_and_compared() {
    picture("built_compared", BOTH, story::built);
}

#[test]
fn changes() {
    picture("changes", BOTH, |stage| {
        story::built(stage);
        tall(stage, Panel::Changes);
    });
}

#[test]
fn cache() {
    picture("cache", BOTH, |stage| {
        story::inserted(stage);
        stage.settle();
        stage.window.get_by_label("More ways to eject").click();
        stage.settle();
        stage.window.get_by_label("Cache…").click();
        stage.tell(20, story::cache(None));
    });
}

#[test]
fn cleaning_the_cache_asks() {
    picture("cache_clean", &["light"], |stage| {
        story::inserted(stage);
        stage.settle();
        stage.window.get_by_label("More ways to eject").click();
        stage.settle();
        stage.window.get_by_label("Cache…").click();
        stage.tell(20, story::cache(None));
        stage.settle();
        stage.window.get_by_label("Clean…").click();
    });
}

#[test]
fn a_system_reports() {
    let display = std::cell::RefCell::new(Vec::new());
    picture("degraded", BOTH, |stage| {
        let report = GuestReport {
            name: "homerchy".to_owned(),
            kernel: "6.12.8-arch1-1".to_owned(),
            firmware: "uefi".to_owned(),
            accelerator: "tcg".to_owned(),
            files: 1873,
            tree: crate::story::image().tree_hash,
            path: "/root/homerchy".to_owned(),
            generation: 0,
            trouble: None,
            system: Some("degraded".to_owned()),
            failed: vec!["reflector.service".to_owned()],
            shares: Vec::new(),
        };
        let reported = Event::GuestReported { report, matches: Some(true) };
        display.borrow_mut().push(story::up(stage, None, reported));
    });
}

#[test]
fn a_guest_that_does_not_report_shows_a_sign() {
    let display = std::cell::RefCell::new(Vec::new());
    picture("signed", &["dark"], |stage| {
        let why = "a release has nothing of Cartridge's in it (build = \"release\")";
        display.borrow_mut().push(story::up(stage, Some(why), Event::GuestShowed { sign: Sign::Login }));
    });
}

#[test]
fn long_words_of_the_host_are_not_cut() {
    picture("doctor_long", BOTH, |stage| {
        crate::story::inserted(stage);
        stage.tell(20, Event::Diagnosed { checks: crate::host::forbidding() });
        stage.settle();
        stage.window.get_by_label("1 missing on this host").click();
    });
}

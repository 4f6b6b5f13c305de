//! Pictures of what is about distributions: see `pictures`.

use cartridge::doctor::{Check, Status};
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
        display.borrow_mut().push(crate::story::running(stage));
        let report = GuestReport {
            name: "homerchy".to_owned(),
            kernel: "6.12.8-arch1-1".to_owned(),
            firmware: "uefi".to_owned(),
            accelerator: "kvm".to_owned(),
            files: 1873,
            tree: crate::story::image().tree_hash,
            path: "/root/homerchy".to_owned(),
            system: Some("degraded".to_owned()),
            failed: Vec::new(),
        };
        stage.tell(17_000, Event::GuestReported { report, matches: Some(true) });
    });
}

#[test]
fn a_guest_that_does_not_report_shows_a_sign() {
    let display = std::cell::RefCell::new(Vec::new());
    picture("signed", &["dark"], |stage| {
        display.borrow_mut().push(crate::story::mute(stage, Sign::Login));
    });
}

#[test]
fn long_words_of_the_host_are_not_cut() {
    picture("doctor_long", BOTH, |stage| {
        crate::story::inserted(stage);
        let check = |name: &str, status, found: &str, why: &str, fix: Option<&str>| Check {
            name: name.to_owned(),
            status,
            found: found.to_owned(),
            why: why.to_owned(),
            fix: fix.map(str::to_owned),
        };
        let checks = vec![
            check(
                "User namespaces",
                Status::Missing,
                "forbidden by kernel.apparmor_restrict_unprivileged_userns = 1 (/etc/sysctl.d/20-apparmor.conf)",
                "Engines archiso, mkarchiso and debian install packages in a user namespace, so that nothing needs root.",
                Some(
                    "echo 'kernel.apparmor_restrict_unprivileged_userns = 0' | sudo tee \
                     /etc/sysctl.d/60-cartridge-userns.conf && sudo sysctl --system",
                ),
            ),
            check("QEMU", Status::Good, "/usr/bin/qemu-system-x86_64 7.2.22", "runs the guest", None),
            check(
                "Packages of Arch",
                Status::Good,
                "/usr/bin/pacman 6.0.2, /usr/bin/bsdtar 3.6.2, /usr/share/pacman/keyrings with archlinux.gpg",
                "installs packages",
                None,
            ),
        ];
        stage.tell(20, Event::Diagnosed { checks });
        stage.settle();
        stage.window.get_by_label("1 missing on this host").click();
    });
}

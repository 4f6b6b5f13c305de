//! The dialog that writes an image to a USB stick: the disks that come and go, the name to type, progress, and each end.

use std::time::Duration;

use cartridge::session::deploy::{DeployCommand, DeployEvent, DeployImage, DeployWish, DiskView, ImageView, shown};
use cartridge::session::event::Failure;
use cartridge::session::pace::Pace;
use cartridge::session::state::Outcome;
use cartridge::session::{Command, Event};
use egui_kittest::kittest::Queryable as _;
use isoprep::deploy::{
    Away, Bus, DeployStage, DeployStep, Deployed, DeviceNumber, Disk, DiskUse, Part, Starts, UsedBy, Wanted, Way,
};

use crate::pictures::picture;
use crate::stage::Stage;
use crate::story;

const IMAGE: u64 = 1_234_567_168;

fn disk(name: &str, minor: u32, bytes: u64, model: &str) -> Disk {
    let number = DeviceNumber { major: 8, minor };
    let part = Part { name: format!("{name}1"), number: DeviceNumber { major: 8, minor: minor + 1 } };
    Disk {
        name: name.into(),
        number,
        sequence: Some(9),
        bytes,
        block: 512,
        model: model.into(),
        bus: Bus::Usb,
        removable: true,
        read_only: false,
        parts: vec![part],
        uses: vec![],
    }
}

fn stick() -> Disk {
    disk("sdb", 16, 15_502_147_584, "SanDisk Ultra")
}

fn disks() -> Vec<DiskView> {
    let mut mounted = disk("sdc", 32, 64_004_030_464, "Kingston DataTraveler");
    mounted.uses = vec![DiskUse { device: "sdc1".into(), by: UsedBy::Mount { at: "/media/me/photos".into() } }];
    let mut system = disk("nvme0n1", 64, 512_110_190_592, "Samsung SSD 980");
    (system.bus, system.removable) = (Bus::Other, false);
    system.uses = vec![DiskUse { device: "nvme0n1p2".into(), by: UsedBy::Mount { at: "/".into() } }];
    shown(vec![system, mounted, stick(), disk("sdd", 48, 1_000_000_000, "")], IMAGE)
}

fn tell(stage: &mut Stage, event: DeployEvent) {
    stage.tell(90_000, Event::Deploy(event));
}

/// The dialog is opened after a build; `disks` are there.
fn open(stage: &mut Stage, disks: Vec<DiskView>) {
    story::built(stage);
    stage.tell(11_000, story::idle(Outcome::Built, true));
    stage.settle();
    stage.asked();
    stage.window.get_by_label("Write to USB…").click();
    stage.settle();
    let asked = stage.asked();
    let [Command::Deploy(DeployCommand::Watch(DeployImage::Built))] = &asked[..] else { panic!("{asked:?}") };
    let image = ImageView { path: story::image().iso, bytes: IMAGE, starts: Starts::Disk };
    tell(stage, DeployEvent::DisksSeen { image: Some(image), disks });
    stage.settle();
}

fn says(stage: &Stage, words: &str) -> bool {
    stage.window.query_all_by_label_contains(words).next().is_some()
}

fn click(stage: &mut Stage, name: &str) -> Vec<Command> {
    stage.asked();
    stage.window.get_by_label(name).click();
    stage.settle();
    stage.asked()
}

fn choose(stage: &mut Stage, typed: &str) {
    click(stage, "Disk sdb: SanDisk Ultra, 15.5 GB");
    let field = stage.window.get_by_label("Name of the disk");
    field.focus();
    field.type_text(typed);
    stage.settle();
}

fn began(stage: &mut Stage, step: Option<DeployStep>) {
    tell(stage, DeployEvent::DeployBegan { image: "/home/me/cartridge.iso".into(), disk: "sdb".into() });
    if let Some(step) = step {
        let pace = Some(Pace { per_second: Some(31_500_000.0), left_ms: Some(23_000) });
        tell(stage, DeployEvent::DeployAdvanced { step, pace });
    }
    stage.settle();
}

fn half() -> Option<DeployStep> {
    Some(DeployStep { stage: DeployStage::Writing, done: IMAGE / 2, total: IMAGE })
}

fn cancelled() -> DeployEvent {
    let failure = Failure {
        title: "Cancelled: the disk is now not bootable".into(),
        detail: "cancelled".into(),
        advice: Some("The disk is now not bootable, and what was on it is gone; write to it again, or format it, before you use it".into()),
        command: None,
        pane: None,
        exit_code: 130,
    };
    DeployEvent::DeployFailed { failure, touched: true, cancelled: true }
}

#[test]
fn the_disks_are_shown_with_why_some_are_refused() {
    picture("deploy", &["dark", "light"], |stage| {
        open(stage, disks());
        choose(stage, "sd");
    });
}

#[test]
fn without_a_disk_it_is_said_what_to_do() {
    picture("deploy_none", &["dark"], |stage| open(stage, disks().split_off(1)));
}

#[test]
fn its_progress_is_shown() {
    picture("deploy_writing", &["dark"], |stage| {
        open(stage, disks());
        began(stage, half());
    });
}

#[test]
fn a_cancelled_one_says_that_the_stick_is_not_bootable() {
    picture("deploy_cancelled", &["dark"], |stage| {
        open(stage, disks());
        began(stage, half());
        tell(stage, cancelled());
    });
}

#[test]
fn nothing_is_written_before_the_name_is_typed() {
    let mut stage = Stage::new();
    open(&mut stage, disks());
    assert_eq!(click(&mut stage, "Erase and write").len(), 0);
    choose(&mut stage, "sdc");
    assert_eq!(click(&mut stage, "Erase and write").len(), 0);
    let field = stage.window.get_by_label("Name of the disk");
    field.focus();
    for _ in 0..3 {
        stage.window.key_press(egui::Key::Backspace);
    }
    stage.settle();
    stage.window.get_by_label("Name of the disk").type_text("sdb");
    stage.settle();
    let asked = click(&mut stage, "Erase and write");
    let [Command::Deploy(DeployCommand::Write(DeployWish { disk, typed, eject: true, .. }))] = &asked[..] else {
        panic!("{asked:?}")
    };
    assert_eq!((disk, typed.as_str()), (&Wanted::of(&stick()), "sdb"));
}

#[test]
fn a_refused_disk_cannot_be_chosen() {
    let mut stage = Stage::new();
    open(&mut stage, disks());
    assert!(says(&stage, "The running system is on it") && says(&stage, "mounted at /media/me/photos"));
    click(&mut stage, "Disk sdc: Kingston DataTraveler, 64.0 GB");
    assert!(!says(&stage, "Type sdc"));
}

#[test]
fn a_stick_that_is_pulled_or_swapped_is_not_chosen_any_more() {
    let mut stage = Stage::new();
    open(&mut stage, disks());
    choose(&mut stage, "sdb");
    assert!(says(&stage, "Type sdb"));
    // Another one of the same name and size.
    let other = shown(vec![Disk { sequence: Some(10), ..stick() }], IMAGE);
    let image = ImageView { path: "/x".into(), bytes: IMAGE, starts: Starts::Disk };
    tell(&mut stage, DeployEvent::DisksSeen { image: Some(image), disks: other });
    stage.settle();
    assert!(!says(&stage, "Type sdb") && says(&stage, "Disk sdb"));
    assert_eq!(click(&mut stage, "Erase and write").len(), 0);
}

#[test]
fn it_is_cancelled_goes_on_behind_and_comes_back() {
    let mut stage = Stage::new();
    open(&mut stage, disks());
    began(&mut stage, half());
    assert!(says(&stage, "617.3 MB of 1.2 GB, 31.5 MB/s, 23 s left"));
    let asked = click(&mut stage, "Cancel writing");
    assert!(matches!(asked[..], [Command::Deploy(DeployCommand::Cancel)]), "{asked:?}");
    let asked = click(&mut stage, "Go on in the background");
    assert!(matches!(asked[..], [Command::Deploy(DeployCommand::Unwatch)]), "{asked:?}");
    let asked = click(&mut stage, "Writing: sdb 50 %");
    assert!(matches!(asked[..], [Command::Deploy(DeployCommand::Watch(DeployImage::Built))]), "{asked:?}");
    tell(&mut stage, cancelled());
    stage.settle();
    assert!(says(&stage, "The disk is now not bootable"));
    click(&mut stage, "Choose a disk");
    assert!(says(&stage, "Erase and write"));
}

#[test]
fn the_end_says_that_the_stick_can_be_pulled() {
    let mut stage = Stage::new();
    open(&mut stage, disks());
    began(&mut stage, half());
    let deployed = Deployed { bytes: IMAGE, way: Way::Udisks, took: Duration::from_secs(75), away: Away::Off };
    tell(&mut stage, DeployEvent::DeployEnded { image: "/x.iso".into(), disk: "sdb".into(), deployed });
    stage.settle();
    assert!(says(&stage, "1.2 GB on sdb, all of it read back") && says(&stage, "pull it out"));
    click(&mut stage, "Done");
    assert!(!says(&stage, "all of it read back"));
}

#[test]
fn closing_the_window_while_an_image_is_written_says_first_what_that_means() {
    let mut stage = Stage::new();
    open(&mut stage, disks());
    began(&mut stage, half());
    click(&mut stage, "Go on in the background");
    let mut close = || {
        let window = stage.window.input_mut().viewports.entry(egui::ViewportId::ROOT).or_default();
        window.events.push(egui::ViewportEvent::Close);
        stage.settle();
        stage.asked().iter().any(|command| matches!(command, Command::QuitUnlessHeld))
    };
    assert!(!close());
    assert!(close(), "whoever insists is heard");
    assert!(stage.window.query_all_by_label_contains("still being written to sdb").next().is_some());
}

//! The menu beside Boot and its dialogs: what they ask for, what they say that is missing, and what has failed.

use std::path::Path;

use cartridge::session::direct::{DirectKernel, DirectRoot, DirectSource, DirectWish, EntryWish, MenuView};
use cartridge::session::event::Failure;
use cartridge::session::state::{Goal, Outcome, Phase, State};
use cartridge::session::{Command, Event};
use egui::Key;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use isoprep::BootAccess;
use isoprep::contents::{BootChoice, BootMenu, DiscFile, Loader, PassedOver};

use crate::pictures::picture;
use crate::stage::Stage;
use crate::story;

const ISO: &str = "/home/you/Downloads/archlinux-2026.11.01-x86_64.iso";

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

fn enabled(stage: &Stage, name: &str) -> bool {
    !stage.window.get_by_label(name).accesskit_node().is_disabled()
}

fn write(stage: &mut Stage, field: &str, text: &str) {
    // Settings behind the dialog may have one of that name.
    let node = stage.window.query_all_by_label(field).rfind(|node| {
        let role = node.accesskit_node().role();
        role == egui::Role::TextInput || role == egui::Role::MultilineTextInput
    });
    node.unwrap().focus();
    stage.settle();
    stage.window.event(egui::Event::Text(text.to_owned()));
    stage.settle();
}

fn press(stage: &mut Stage, key: Key) {
    stage.window.key_press(key);
    stage.settle();
}

/// The item of the menu, found among widgets of the same name.
fn item(stage: &mut Stage, name: &str) {
    click(stage, "More ways to boot");
    click(stage, name);
}

fn built(stage: &mut Stage) {
    story::inserted(stage);
    stage.tell(20, story::idle(Outcome::Built, true));
}

fn wish(asked: &[Command]) -> DirectWish {
    match asked {
        [Command::BootDirect(wish)] => (**wish).clone(),
        other => panic!("{other:?}"),
    }
}

fn menu() -> Event {
    let file = |path: &str, mib: u64| DiscFile { on_efi: false, path: path.into(), bytes: mib << 20 };
    let choice = |title: &str, loader, is_default, words: &str| BootChoice {
        title: title.into(),
        loader,
        file: "boot/syslinux/archiso_sys-linux.cfg".into(),
        is_default,
        kernel: file("arch/boot/x86_64/vmlinuz-linux", 14),
        initrds: vec![file("arch/boot/x86_64/initramfs-linux.img", 96)],
        cmdline: format!("archisobasedir=arch archisosearchuuid=2026-11-01-08-12-44-00{words}"),
        left_out: Vec::new(),
    };
    let mut to_ram = choice("Arch Linux install medium, to RAM", Loader::Grub, false, " copytoram");
    to_ram.left_out = vec!["img_loop=${iso_path}".to_owned()];
    let menu = BootMenu {
        label: "ARCH_202611".into(),
        choices: vec![
            choice("Arch Linux install medium (x86_64, BIOS)", Loader::Syslinux, true, ""),
            choice("Arch Linux install medium with speech", Loader::Syslinux, false, " accessibility=on"),
            to_ram,
        ],
        passed_over: vec![PassedOver {
            title: "Memtest86+".into(),
            file: "boot/syslinux/archiso_sys-linux.cfg".into(),
            why: "it is no Linux kernel".into(),
        }],
    };
    Event::MenuRead { view: MenuView { iso: ISO.into(), menu: Some(menu), error: None } }
}

/// The dialog with the entries of an ISO.
fn iso(stage: &mut Stage) {
    built(stage);
    stage.settle();
    item(stage, "Boot an ISO directly…");
    write(stage, "ISO", ISO);
    press(stage, Key::Enter);
    stage.tell(30, menu());
    stage.settle();
}

fn failure() -> Failure {
    Failure {
        title: "The kernel cannot be booted".into(),
        detail: "/boot/vmlinuz-6.12: it is no Linux kernel: the magic \"HdrS\" is missing at byte 514".into(),
        advice: Some("give the file that a boot loader would load, such as /boot/vmlinuz-linux".into()),
        command: None,
        pane: None,
        exit_code: 6,
    }
}

#[test]
fn the_menu_boots_by_the_loader_and_without_it() {
    let mut stage = stage(built);
    click(&mut stage, "More ways to boot");
    stage.window.get_all_by_label("Boot").next_back().unwrap().click();
    stage.settle();
    assert!(matches!(stage.asked()[..], [Command::Ask(Goal::Boot)]));
    item(&mut stage, "Boot directly");
    assert_eq!(wish(&stage.asked()), DirectWish::of(DirectSource::Image));
}

#[test]
fn without_an_image_only_what_needs_none_can_be_booted() {
    let mut stage = stage(story::opened);
    click(&mut stage, "More ways to boot");
    assert!(!enabled(&stage, "Boot directly"));
    assert!(enabled(&stage, "Boot an ISO directly…") && enabled(&stage, "Boot a kernel…"));
}

#[test]
fn an_entry_of_an_iso_is_chosen_and_booted_by_the_keyboard() {
    let mut stage = stage(built);
    item(&mut stage, "Boot an ISO directly…");
    assert!(!enabled(&stage, "Read its entries"));
    write(&mut stage, "ISO", "arch.iso");
    assert!(has(&stage, "Write the whole path of the ISO."));
    press(&mut stage, Key::Escape);
    press(&mut stage, Key::Escape);

    let mut stage = self::stage(built);
    item(&mut stage, "Boot an ISO directly…");
    write(&mut stage, "ISO", ISO);
    press(&mut stage, Key::Enter);
    let asked = stage.asked();
    assert!(matches!(&asked[..], [Command::ReadMenu(iso)] if iso == Path::new(ISO)), "{asked:?}");
    assert!(has(&stage, "Its boot menu is being read…"));
    stage.tell(30, menu());
    stage.settle();
    stage.window.get_by_label("Entries").focus();
    stage.settle();
    press(&mut stage, Key::ArrowDown);
    press(&mut stage, Key::Enter);
    let asked = wish(&stage.asked());
    let entry = EntryWish::Listed(2, "Arch Linux install medium with speech".into());
    assert_eq!(asked.source, DirectSource::Iso { iso: ISO.into(), entry });
    assert_eq!(asked.cmdline, None, "the entry's own");
    assert!(!enabled(&stage, "Boot directly") && has(&stage, "It is made ready…"));
    stage.tell(40, Event::GuestStarted { pid: 7, command: "qemu".into(), mute: None });
    stage.settle();
    assert!(!has(&stage, "Boot an ISO directly"), "the dialog goes when the guest is there");
}

#[test]
fn a_path_that_is_entered_is_read_and_entered_again_it_is_booted() {
    let mut stage = stage(iso);
    stage.asked();
    press(&mut stage, Key::Enter);
    let entry = EntryWish::Listed(1, "Arch Linux install medium (x86_64, BIOS)".into());
    assert_eq!(wish(&stage.asked()).source, DirectSource::Iso { iso: ISO.into(), entry });
}

#[test]
fn an_edited_command_line_is_taken_whole_and_another_entry_has_its_own() {
    let mut stage = stage(iso);
    stage.window.get_by_role_and_label(egui::Role::MultilineTextInput, "Command line").focus();
    stage.settle();
    press(&mut stage, Key::End);
    stage.window.event(egui::Event::Text(" quiet".to_owned()));
    stage.settle();
    click(&mut stage, "Boot directly");
    let line = wish(&stage.asked()).cmdline.unwrap();
    assert!(line.contains("quiet") && line.contains("archisobasedir=arch"), "{line}");

    let mut stage = self::stage(iso);
    click(&mut stage, "Arch Linux install medium, to RAM");
    let left_out = "Left out, because only the running loader knows it: img_loop=${iso_path}";
    assert!(has(&stage, left_out) && has(&stage, "Passed over: Memtest86+ (it is no Linux kernel)"));
    let shown = stage
        .window
        .get_by_role_and_label(egui::Role::MultilineTextInput, "Command line")
        .accesskit_node()
        .value()
        .unwrap();
    assert!(shown.contains("copytoram"), "{shown}");
}

#[test]
fn an_iso_that_offers_nothing_says_so_in_the_dialog() {
    let mut stage = stage(iso);
    let error = Some("no boot menu was found on it".to_owned());
    stage.tell(31, Event::MenuRead { view: MenuView { iso: ISO.into(), menu: None, error } });
    stage.settle();
    assert!(has(&stage, "no boot menu was found on it") && !has(&stage, "Boot directly"));
}

#[test]
fn a_kernel_is_booted_with_each_way_of_a_root() {
    let mut stage = stage(story::opened);
    item(&mut stage, "Boot a kernel…");
    write(&mut stage, "Kernel", "/boot/vmlinuz-6.12");
    write(&mut stage, "Initramfs files", "/boot/initramfs.img");
    write(&mut stage, "Added to the command line", "quiet");
    press(&mut stage, Key::Enter);
    let asked = wish(&stage.asked());
    let kernel = DirectKernel {
        kernel: Some("/boot/vmlinuz-6.12".into()),
        initrds: vec!["/boot/initramfs.img".into()],
        ..DirectKernel::default()
    };
    assert_eq!((asked.source, asked.append.as_str()), (DirectSource::Kernel(kernel), "quiet"));

    let mut stage = self::stage(story::opened);
    item(&mut stage, "Boot a kernel…");
    click(&mut stage, "Root: Layers on a disk");
    assert!(!enabled(&stage, "Boot directly") && has(&stage, "The disk is missing."));
    write(&mut stage, "Disk", ISO);
    write(&mut stage, "Modules", "/srv/modules/6.12");
    write(&mut stage, "Keep what is written in", "/srv/kept.img");
    click(&mut stage, "Boot directly");
    let DirectSource::Kernel(kernel) = wish(&stage.asked()).source else { panic!() };
    let (root, keep) = (DirectRoot::Layers(ISO.into()), Some("/srv/kept.img".into()));
    let modules = Some("/srv/modules/6.12".into());
    assert_eq!(kernel, DirectKernel { root, keep, modules, ..DirectKernel::default() });

    let mut stage = self::stage(story::opened);
    item(&mut stage, "Boot a kernel…");
    click(&mut stage, "Root: Folder");
    write(&mut stage, "Folder", "/srv/root");
    click(&mut stage, "Access: read-only");
    click(&mut stage, "Boot directly");
    let DirectSource::Kernel(kernel) = wish(&stage.asked()).source else { panic!() };
    assert_eq!(kernel.root, DirectRoot::Folder("/srv/root".into(), BootAccess::ReadOnly));
}

#[test]
fn what_fails_is_said_in_the_dialog_that_asked() {
    let mut stage = stage(story::opened);
    item(&mut stage, "Boot a kernel…");
    click(&mut stage, "Boot directly");
    stage.asked();
    let state = |phase, outcome| Event::StateChanged { state: State { phase, outcome, ..State::default() } };
    stage.tell(30, state(Phase::Preparing, None));
    stage.tell(31, Event::Failed { failure: failure() });
    stage.tell(32, state(Phase::Ejecting, Some(Outcome::Failed)));
    stage.tell(33, state(Phase::Idle, Some(Outcome::Failed)));
    stage.settle();
    assert!(has(&stage, "Boot a kernel") && has(&stage, "Boot directly") && enabled(&stage, "Boot directly"));
    assert!(stage.window.get_all_by_label("The kernel cannot be booted").next().is_some());
    click(&mut stage, "Not now");
    item(&mut stage, "Boot a kernel…");
    assert!(stage.window.query_all_by_label("The kernel cannot be booted").count() <= 1, "on its card alone");
}

#[test]
fn the_menu() {
    picture("boot_menu", &["dark", "light"], |stage| {
        built(stage);
        stage.settle();
        click(stage, "More ways to boot");
    });
}

#[test]
fn the_entries_of_an_iso() {
    picture("boot_iso", &["dark", "light"], iso);
}

#[test]
fn a_kernel() {
    picture("boot_kernel", &["dark", "light"], |stage| {
        built(stage);
        stage.settle();
        item(stage, "Boot a kernel…");
        write(stage, "Kernel", "/boot/vmlinuz-6.12.9-arch1-1");
        write(stage, "Initramfs files", "/home/you/u-root/initramfs.cpio");
    });
}

#[test]
fn a_kernel_that_has_failed() {
    picture("boot_failed", &["dark", "light"], |stage| {
        built(stage);
        stage.settle();
        item(stage, "Boot a kernel…");
        write(stage, "Kernel", "/boot/vmlinuz-6.12");
        click(stage, "Root: Folder");
        write(stage, "Folder", "/srv/distros/root");
        click(stage, "Boot directly");
        stage.tell(31, Event::Failed { failure: failure() });
    });
}

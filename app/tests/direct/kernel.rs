//! A kernel of this host, without any cartridge.

use std::fs;
use std::path::Path;

use crate::parts::{initramfs, iso, kernel, root as root_with};
use crate::support::{Console, Finished};

const SMALL: [&str; 4] = ["--memory", "512M", "--set", "guest.accelerator=tcg"];

fn serial(run: &Finished) -> String {
    let logs = run.event("opened")["logs"].as_str().unwrap();
    String::from_utf8_lossy(&fs::read(Path::new(logs).join("serial.log")).unwrap()).into_owned()
}

#[test]
fn a_kernel_with_an_initramfs_says_its_words_on_the_serial_line_and_its_end_is_a_good_one() {
    let console = Console::new();
    let (kernel, cpio) = (kernel(), console.home.path().join("small.cpio"));
    initramfs(&cpio, "echo \"words: $(/busybox cat /proc/cmdline)\"\n/busybox poweroff -f");
    let (kernel, cpio) = (kernel.to_str().unwrap(), cpio.to_str().unwrap());
    let words = ["boot", "--kernel", kernel, "--initrd", cpio, "--append", "hello=world", "--json"];
    let run = console.run(&[&words[..], &SMALL].concat());
    assert_eq!(run.code, 0, "{:#?}\n{}", run.events, serial(&run));
    let serial = serial(&run);
    assert!(serial.contains("words: ") && serial.contains("hello=world"), "{serial}");
    let command = run.event("guest_started")["command"].as_str().unwrap().to_owned();
    assert!(command.contains("-m 512M"), "{command}");
    // It runs by itself in a terminal, and leaves nothing.
    let out = std::process::Command::new("timeout")
        .args(["120", "sh", "-c", &command])
        .stdin(std::process::Stdio::null())
        .output();
    let out = out.unwrap();
    assert!(out.status.success() && String::from_utf8_lossy(&out.stdout).contains("hello=world"), "{command}: {out:?}");
    // The same line is printed without booting.
    let words = ["boot", "--kernel", kernel, "--initrd", cpio, "--append", "hello=world", "--print-command"];
    let printed = console.run(&[&words[..], &SMALL].concat());
    assert_eq!((printed.code, printed.stdout.trim_end()), (0, command.as_str()), "{}", printed.stderr);
    // It is to be run: a secret is in it, as nowhere else; what is said beside it has none.
    let set = ["--set", "guest.qemu_args=[\"-object\", \"secret,id=planted,data=hunter2planted\"]"];
    for json in [&["--json"][..], &[]] {
        let printed = console.run(&[&words[..], &SMALL, &set, json].concat());
        assert!(printed.code == 0 && printed.stdout.contains("data=hunter2planted"), "{}", printed.stderr);
        let said = &printed.stderr;
        assert!(said.contains("unchecked: -object secret,id=planted,data=***") && !said.contains("hunter2"), "{said}");
    }
    assert!(!run.events.iter().any(|e| e["event"] == "cartridge_changed"), "no cartridge is needed");
    assert_eq!(run.phases(), ["preparing", "booting", "ejecting", "idle"]);
    console.assert_clean();

    // With --stay the serial line is here, terminal or not; the whole command line can be another one.
    let words = ["boot", "--kernel", kernel, "--initrd", cpio, "--cmdline", "console=ttyS0 mine=1", "--stay"];
    let run = console.run(&[&words[..], &SMALL].concat());
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.contains("words: ") && run.stdout.contains(" console=ttyS0 mine=1\r\n"), "{}", run.stdout);
    assert!(run.stderr.contains("Direct boot of a kernel"), "{}", run.stderr);
    console.assert_clean();
}

#[test]
fn a_panic_is_said_at_once_with_its_words() {
    let console = Console::new();
    let (kernel, cpio) = (kernel(), console.home.path().join("dies.cpio"));
    initramfs(&cpio, "echo going\nexit 3");
    let words = ["boot", "--kernel", kernel.to_str().unwrap(), "--initrd", cpio.to_str().unwrap(), "--json"];
    let run = console.run(&[&words[..], &SMALL].concat());
    assert_eq!(run.code, 6, "{:#?}\n{}", run.events, serial(&run));
    let said = run.events.iter().filter(|e| e["event"] == "noticed").filter_map(|e| e["text"].as_str());
    let panic = said.into_iter().find(|text| text.contains("has panicked: ")).expect("the panic is told");
    assert!(panic.contains("Attempted to kill init! exitcode=0x00000300"), "{panic}");
    console.assert_clean();
}

#[test]
fn a_loop_of_reboots_is_ended_with_what_to_do() {
    let console = Console::new();
    let (kernel, cpio) = (kernel(), console.home.path().join("loops.cpio"));
    initramfs(&cpio, "echo again\n/busybox reboot -f");
    let words = ["boot", "--kernel", kernel.to_str().unwrap(), "--initrd", cpio.to_str().unwrap(), "--json"];
    let run = console.run(&[&words[..], &SMALL].concat());
    assert_eq!(run.code, 6, "{:#?}\n{}", run.events, serial(&run));
    assert_eq!(run.failure()["title"], "The guest reboots in a loop");
    assert!(serial(&run).matches("again").count() >= 3, "{}", serial(&run));
    console.assert_clean();
}

#[test]
fn an_entry_of_a_strange_iso_finds_the_iso_as_a_cd() {
    let console = Console::new();
    let home = console.home.path();
    let cpio = home.join("looks.cpio");
    initramfs(&cpio, "echo looked\n/busybox poweroff -f");
    let grub = "set dir=/boot\nmenuentry \"Test only\" {\n linux /boot/gone\n}\nmenuentry 'Strange system (rescue)' {\n linux /boot/k rescue\n initrd $dir/I\n}\n\
                menuentry 'Strange system' {\n linux ($root)$dir/K quiet findiso=${iso_path}\n initrd $dir/i\n}\n";
    let iso = iso(home, "strange", &[("boot/k", &kernel()), ("boot/i", &cpio)], grub);
    let run = console.run(&[&["boot", "--iso", iso.to_str().unwrap(), "--json", "--wait", "120"][..], &SMALL].concat());
    let chosen = &run.event("direct_chosen")["view"];
    assert_eq!(chosen["entry"], "Strange system");
    let cmdline = chosen["cmdline"].as_str().unwrap();
    assert!(cmdline.contains("quiet findiso= console=tty0 console=ttyS0,115200"), "{cmdline}");
    assert!(serial(&run).contains("looked"), "{}", serial(&run));
    let command = run.event("guest_started")["command"].as_str().unwrap().to_owned();
    assert!(command.contains("strange.iso") && command.contains("ide-cd"), "{command}");
    // An ISO that powers off before it has shown anything has not come up.
    assert_eq!(run.code, 7, "{:#?}", run.events);
    console.assert_clean();
}

#[test]
fn without_an_initramfs_of_its_own_it_gets_a_small_system_and_a_root_that_is_named() {
    let console = Console::new();
    let kernel = kernel();
    let kernel = kernel.to_str().unwrap();
    let run = console.run(&[&["boot", "--kernel", kernel, "--json", "--wait", "120"][..], &SMALL].concat());
    let serial_of = serial(&run);
    let way = run.event("direct_chosen")["view"]["way"].as_str().unwrap().to_owned();
    assert_eq!((run.code, way.as_str()), (0, "a kernel with Cartridge's own small system"), "{serial_of}");
    console.assert_clean();

    let root = console.dir("no-root");
    fs::write(root.join("hello"), "world\n").unwrap();
    let words = ["boot", "--kernel", kernel, "--root", root.to_str().unwrap(), "--json", "--wait", "120"];
    let run = console.run(&[&words[..], &SMALL].concat());
    let chosen = &run.event("direct_chosen")["view"];
    assert_eq!(chosen["folder"], root.to_str().unwrap());
    // There is no init in it, and that is said on the serial line, with what is there.
    assert_ne!(run.code, 0, "{:#?}", run.events);
    assert!(serial(&run).contains("hello") || serial(&run).contains("init"), "{}", serial(&run));
    console.assert_clean();
}

#[test]
fn the_printed_command_of_a_folder_that_a_cartridge_names_boots_it_without_us() {
    let console = Console::new();
    let repo = console.repository("distro");
    let root = repo.join("tree");
    let script = "echo mine > /written\necho \"it has: $(/bin/busybox cat /written)\"\n/bin/busybox poweroff -f";
    root_with(&root, script);
    let toml =
        "[guest]\nmemory = \"512M\"\ncpus = 1\naccelerator = \"tcg\"\n[boot]\nway = \"folder\"\nroot = \"tree\"\n";
    fs::write(repo.join("cartridge.toml"), format!("{toml}kernel = \"{}\"\n", kernel().display())).unwrap();
    let printed = console.run(&["boot", "--print-command", repo.to_str().unwrap()]);
    assert_eq!(printed.code, 0, "{}", printed.stderr);
    let line = printed.stdout.trim_end();
    let out = std::process::Command::new("timeout")
        .args(["120", "sh", "-c", line])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(out.status.success() && String::from_utf8_lossy(&out.stdout).contains("it has: mine"), "{line}: {out:?}");
    assert!(!root.join("written").exists(), "the folder was written");
    console.assert_clean();
}

#[test]
fn what_is_written_over_layers_is_kept_where_that_was_asked_for() {
    let console = Console::new();
    let (root, image, keep) =
        (console.dir("root"), console.home.path().join("root.squashfs"), console.home.path().join("keep.img"));
    let script = "echo boot >> /boots\necho \"boots: $(/bin/busybox wc -l < /boots)\"\n/bin/busybox sync\n\
                  /bin/busybox poweroff -f";
    root_with(&root, script);
    let packed =
        std::process::Command::new("mksquashfs").args([&root, &image]).args(["-quiet", "-no-progress"]).status();
    assert!(packed.unwrap().success());
    let kernel = kernel();
    let words = ["boot", "--kernel", kernel.to_str().unwrap(), "--disk", image.to_str().unwrap(), "--json", "--stay"];
    let boots = |more: &[&str]| {
        let run = console.run(&[&words[..], more, &SMALL].concat());
        assert_eq!(run.code, 0, "{:#?}\n{}", run.events, serial(&run));
        let serial = serial(&run);
        serial.split("boots: ").nth(1).unwrap_or_else(|| panic!("{serial}")).trim_end().to_owned()
    };
    let kept = ["--keep", keep.to_str().unwrap()];
    assert_eq!(
        [boots(&[]), boots(&[]), boots(&kept), boots(&kept), boots(&[])].map(|it| it[..1].to_owned()),
        ["1", "1", "1", "2", "1"]
    );
    fs::write(&keep, "precious").unwrap();
    let run = console.run(&[&words[..], &kept, &SMALL].concat());
    assert!(run.code != 0 && run.failure()["detail"].as_str().unwrap().contains("cartridge-keep"), "{:?}", run.events);
    assert_eq!(fs::read(&keep).unwrap(), b"precious");
    console.assert_clean();
}

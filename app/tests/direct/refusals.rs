//! Bad input gets a clear error and the right exit code, and leaves nothing.

use std::fs;

use crate::parts::{initramfs, iso, kernel};
use crate::support::{Console, Finished};

fn failure(run: &Finished) -> (i32, String) {
    let failure = run.failure();
    let text = |key: &str| failure[key].as_str().unwrap_or("").to_owned();
    (run.code, format!("{}\n{}\n{}", text("title"), text("detail"), text("advice")))
}

#[test]
fn isos_and_entries_that_are_none() {
    let console = Console::new();
    let home = console.home.path().to_owned();
    let text = home.join("notes.iso");
    fs::write(&text, "not an image").unwrap();
    let empty = iso(&home, "empty", &[], "menuentry 'Off' { halt }\n");
    let gone = iso(&home, "gone", &[], "menuentry 'Demo' {\n linux /boot/vmlinuz\n}\n");
    for (file, says) in [
        (text.clone(), "is not an ISO 9660 image"),
        (home.clone(), "it is no regular file"),
        (home.join("absent.iso"), "absent.iso"),
        (empty, "has no boot entries"),
        (gone.clone(), "the kernel \"/boot/vmlinuz\" that it names is not there"),
    ] {
        let (code, told) = failure(&console.run(&["boot", "--iso", file.to_str().unwrap(), "--json"]));
        assert!(code == 2 && told.contains(says), "{code} {told}");
        let list = console.run(&["boot", "--iso", file.to_str().unwrap(), "--list"]);
        assert!(list.code == 2 && list.stderr.contains(says), "{} {}", list.code, list.stderr);
    }
    let good = iso(&home, "good", &[("boot/k", &kernel())], "menuentry 'Demo' {\n linux /boot/k\n}\n");
    for entry in ["2", "0", "Windows"] {
        let (code, told) =
            failure(&console.run(&["boot", "--iso", good.to_str().unwrap(), "--entry", entry, "--json"]));
        assert!(code == 2 && told.contains("there is no entry") && told.contains("1  Demo"), "{code} {told}");
    }
    let long = "x".repeat(3000);
    let (code, told) = failure(&console.run(&["boot", "--iso", good.to_str().unwrap(), "--append", &long, "--json"]));
    assert!(code == 2 && told.contains("2047"), "{code} {told}");
    console.assert_clean();
}

#[test]
fn kernels_that_are_none() {
    let console = Console::new();
    let home = console.home.path().to_owned();
    let (text, cpio) = (home.join("notes"), home.join("i.cpio"));
    fs::write(&text, "not a kernel".repeat(2000)).unwrap();
    initramfs(&cpio, "/busybox poweroff -f");
    let run = |kernel: &str, initrd: &str| {
        failure(&console.run(&["boot", "--kernel", kernel, "--initrd", initrd, "--memory", "512M", "--json"]))
    };
    let (cpio, real) = (cpio.to_str().unwrap(), kernel());
    let (code, told) = run(text.to_str().unwrap(), cpio);
    assert!(code == 2 && told.contains("is no kernel that can be booted here: it is a text"), "{code} {told}");
    for (kernel, initrd) in [("/no/such/kernel", cpio), (real.to_str().unwrap(), "/no/such/initrd")] {
        let (code, told) = run(kernel, initrd);
        assert!(code == 2 && told.contains("/no/such") && told.contains("is not there"), "{code} {told}");
    }
    let root = ["boot", "--kernel", real.to_str().unwrap(), "--root", "/no/such/root", "--json"];
    let (code, told) = failure(&console.run(&root));
    assert!(code == 2 && told.starts_with("The root folder is not there"), "{code} {told}");
    let empty = console.dir("empty");
    let data = iso(&home, "data", &[], "# no live system\n");
    for (option, path, title, says) in [
        ("--root", empty.to_str().unwrap(), "The root folder is empty", "Name the folder of a root file system"),
        ("--disk", data.to_str().unwrap(), "The ISO has no layers that can be a root", "Name the ISO of a live system"),
        ("--disk", cpio, "", "cannot be the root: it is a cpio archive"),
        ("--disk", empty.to_str().unwrap(), "The disk is a folder", "Name the file itself"),
        ("--initrd", empty.to_str().unwrap(), "The initramfs is a folder", "Name the file itself"),
        ("--root", cpio, "The root folder is a file", "Name the folder itself"),
    ] {
        let run = console.run(&["boot", "--kernel", real.to_str().unwrap(), option, path, "--json"]);
        let (code, told) = failure(&run);
        assert!(code == 2 && told.contains(title) && told.contains(says), "{option} {path}: {code} {told}");
        assert!(run.events.iter().all(|event| event["event"] != "guest_started"), "{option} {path}");
    }
    let memory = console.run(&["boot", "--kernel", real.to_str().unwrap(), "--memory", "lots", "--json"]);
    let (code, told) = failure(&memory);
    assert!(code == 2 && told.contains("lots"), "{code} {told}");
    let set = console.run(&["boot", "--kernel", real.to_str().unwrap(), "--set", "guest.cpuz=1"]);
    assert!(set.code == 2 && set.stderr.contains("guest.cpus"), "{} {}", set.code, set.stderr);
    console.assert_clean();
}

#[test]
fn what_the_cartridge_names_for_a_boot_is_looked_for_before_it() {
    let console = Console::new();
    let repo = console.repository("distro");
    let toml = repo.join("cartridge.toml");
    let text = fs::read_to_string(&toml).unwrap();
    fs::write(&toml, format!("{text}[boot]\nway = \"folder\"\nroot = \"no-root\"\n")).unwrap();
    let (code, told) = failure(&console.run(&["boot", "--json", repo.to_str().unwrap()]));
    assert!(code == 3 && told.contains("no-root does not exist"), "{code} {told}");
    fs::create_dir(repo.join("no-root")).unwrap();
    let (code, told) = failure(&console.run(&["boot", "--json", repo.to_str().unwrap()]));
    assert!(code == 3 && told.contains("no-root is empty"), "{code} {told}");
    fs::write(&toml, format!("{text}[boot]\nway = \"layers\"\n")).unwrap();
    let (code, told) = failure(&console.run(&["up", "--json", repo.to_str().unwrap()]));
    assert!(code == 3 && told.contains("cartridge.toml:6:7: boot.way: the image of engine"), "{code} {told}");
    // What the cartridge names is not what it has to be.
    fs::write(repo.join("k"), "no kernel").unwrap();
    fs::write(&toml, format!("{text}[boot]\nway = \"initramfs\"\nkernel = \"k\"\n")).unwrap();
    let (code, told) = failure(&console.run(&["boot", "--json", repo.to_str().unwrap()]));
    assert!(code == 3 && told.contains("is no kernel that can be booted here"), "{code} {told}");
    // The same by an option is the option's, and one that names nothing changes nothing.
    fs::copy(repo.join("k"), repo.join("other")).unwrap();
    for (set, exit) in [("boot.kernel=other", 2), ("guest.cpus=1", 3), ("boot.way=initramfs", 3)] {
        let (code, told) = failure(&console.run(&["boot", "--json", "--set", set, repo.to_str().unwrap()]));
        assert!(code == exit && told.contains("is no kernel that can be booted here"), "{set}: {code} {told}");
        let printed = console.run(&["boot", "--print-command", "--set", set, repo.to_str().unwrap()]);
        assert_eq!(printed.code, exit, "{set}: {}", printed.stderr);
    }
    // So is what an option names that the cartridge names as well.
    let kernel = repo.join("k");
    let run = console.run(&["boot", "--json", "--kernel", kernel.to_str().unwrap(), repo.to_str().unwrap()]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    fs::write(&toml, format!("{text}[boot]\nkernel = \"/k\"\n")).unwrap();
    let (code, told) = failure(&console.run(&["boot", "--json", repo.to_str().unwrap()]));
    assert!(code == 3 && told.contains("does nothing with way \"image\""), "{code} {told}");
    console.assert_clean();
}

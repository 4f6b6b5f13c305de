//! The rapid cycle on a real Debian with systemd: tests cold and warm; its ISO booted without its boot loader, by an entry and
//! by its layers; the repository live in it.

use std::fs;
use std::path::PathBuf;

use crate::support::{Console, Finished};

struct Debian {
    console: Console,
    repo: PathBuf,
}

impl Debian {
    fn new() -> Self {
        let console = Console::new();
        let repo = console.dir("debian");
        fs::write(repo.join("file"), "first\n").unwrap();
        let debian = Self { console, repo };
        debian.write_test("first");
        debian
    }

    /// The test logs in on the serial line and reads the file.
    fn write_test(&self, expected: &str) {
        let text = format!(
            "[source]\ninto = \"/root/demo\"\n[image]\nengine = \"debian\"\n\
             [guest]\nmemory = \"1G\"\ncpus = 2\naccelerator = \"tcg\"\n\
             [test]\nslot = \"logged in\"\nwithin = 300\nbefore = [\"expect login:\", \"serial root\", \"expect #\"]\n\
             steps = [\"serial cat /root/demo/file\", \"expect {expected}\"]\n"
        );
        fs::write(self.repo.join("cartridge.toml"), text).unwrap();
    }

    /// It succeeds, and leaves nothing.
    fn run(&self, args: &[&str]) -> Finished {
        let run = self.console.run(&[args, &["--json"]].concat());
        assert_eq!(run.code, 0, "{args:?}: {:#?}\n{}", run.events, run.stderr);
        self.console.assert_clean();
        run
    }
}

#[test]
fn a_debian_is_booted_without_its_loader_tested_warm_and_shown_the_repository_live() {
    let debian = Debian::new();
    let repo = debian.repo.to_str().unwrap();

    // Cold: built and booted by its loader, saved on the way.
    let cold = debian.run(&["test", repo]);
    assert_eq!(
        (&cold.event("test_ended")["warm"], &cold.event("slot_saved")["name"]),
        (&false.into(), &"logged in".into())
    );

    // Warm: the file as it is now, in the guest as it was then.
    fs::write(debian.repo.join("file"), "second\n").unwrap();
    debian.write_test("second");
    let warm = debian.run(&["test", repo]);
    assert_eq!(
        (&warm.event("test_ended")["warm"], &warm.event("layer_plugged")["matches"]),
        (&true.into(), &true.into())
    );

    // An entry of its ISO, with the repository live over the one of the image.
    let live = debian.run(&["boot", "--direct", repo, "--set", "source.live=overlaid"]);
    let share = &live.event("guest_reported")["report"]["shares"][0];
    assert!(share["problem"].is_null() && share["at"] == "/root/demo", "{share}");
    let chosen = &live.event("direct_chosen")["view"];
    assert!(chosen["entry"].is_string() && chosen["cmdline"].as_str().unwrap().contains("boot=live"), "{chosen}");

    // Its layers below a kernel of this host.
    let layers = debian.run(&["boot", repo, "--set", "boot.way=layers"]);
    assert_eq!(layers.event("guest_reported")["matches"], true);
    assert!(!layers.event("direct_chosen")["view"]["cmdline"].as_str().unwrap().contains("boot=live"));
}

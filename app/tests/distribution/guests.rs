//! What `up` says of guests: those that report, and those of releases, which cannot.

use std::fs;

use crate::bench::{Bench, profile};

#[test]
fn up_builds_boots_compares_the_tree_and_tells_what_a_second_build_changes() {
    let bench = Bench::new(profile(), "");
    let expected = bench.expected();
    let up = bench.console.run(&["up", "--json", bench.path()]);
    assert_eq!(up.code, 0, "{:#?}\n{}", up.events, up.stderr);
    let report = up.event("guest_reported");
    assert_eq!((report["report"]["tree"].as_str(), report["matches"].as_bool()), (Some(&*expected), Some(true)));
    assert!(up.event("guest_started")["mute"].is_null());
    let installing = |e: &&serde_json::Value| e["progress"]["unit"] == "packages" && e["progress"]["what"].is_string();
    assert!(up.events.iter().any(|e| installing(&e)), "packages are told by name");
    bench.console.assert_clean();

    // The same again changes nothing; one file of the repository changes one file of the image.
    let again = bench.console.run(&["build", "--json", bench.path()]);
    assert_eq!(again.event("image_built")["image"]["reused"], true);
    assert_eq!(again.event("build_compared")["summary"], "nothing changed");
    fs::write(bench.repo.join("README"), "changed\n").unwrap();
    let changed = bench.console.run(&["build", "--json", bench.path()]);
    let compared = changed.event("build_compared");
    assert_eq!(changed.code, 0, "{:#?}\n{}", changed.events, changed.stderr);
    assert!(compared["summary"].as_str().unwrap().contains("1 file changed"), "{compared}");
    assert_eq!(compared["difference"]["root"]["changed"]["items"][0]["path"], "root/demo/README", "{compared}");
    // What took a moment the last time is foretold the next time.
    assert!(changed.events.iter().any(|e| e["pace"]["left_ms"].is_u64()), "{:#?}", changed.events);

    let logs = |args: &[&str]| bench.console.run(&[&["logs", "build"], args].concat());
    let stage = logs(&["--stage", "iso", "--json"]);
    assert!(stage.events.iter().filter(|e| e["event"] == "log_line").all(|e| e["stage"] == "iso"));
    assert!(stage.events.len() > 1 && stage.events.len() < logs(&["--json"]).events.len());
    assert!(logs(&["--stage", "iso"]).stdout.lines().all(|line| line.starts_with("[iso] ")));
    assert_eq!(bench.console.run(&["logs", "serial", "--stage", "iso"]).code, 2);
    bench.console.assert_clean();
}

#[test]
fn a_release_shows_that_it_is_up_by_its_prompt() {
    let bench = Bench::new(profile(), "build = \"release\"");
    let up = bench.console.run(&["up", "--json", "--until-report", bench.path()]);
    assert_eq!(up.code, 0, "{:#?}\n{}", up.events, up.stderr);
    assert!(up.event("guest_started")["mute"].as_str().unwrap().contains("release"));
    assert_eq!(up.event("guest_showed")["sign"], "shell");
    assert!(!up.events.iter().any(|e| e["event"] == "guest_reported"), "nothing of ours is in a release");
    assert_eq!(up.phases()[1..], ["preparing", "building", "booting", "running", "ejecting", "idle"]);
    bench.console.assert_clean();
}

#[test]
fn a_guest_that_does_not_find_its_medium_is_not_waited_for() {
    // Nothing tells the initramfs which medium it came from.
    let profile = profile().replace(
        "syslinux/syslinux.cfg",
        "archisosearchuuid=%ARCHISO_UUID%",
        "archisodevice=/dev/none rootdelay=1",
    );
    let bench = Bench::new(profile, "");
    let up = bench.console.run(&["up", "--no-lint", "--json", bench.path()]);
    assert_eq!(up.code, 7, "{:#?}\n{}", up.events, up.stderr);
    assert_eq!(up.event("guest_showed")["sign"], "emergency");
    assert!(up.events.iter().any(|e| e["text"].as_str().is_some_and(|text| text.contains("emergency shell"))));
    bench.console.assert_clean();
}

#[test]
fn a_release_that_shows_nothing_is_given_up_after_a_while_and_that_is_said() {
    // Its only prompt has no host in it, like that of a rescue shell.
    let profile = profile().file("airootfs/root/.bashrc", "PS1='% '\n");
    let bench = Bench::new(profile, "build = \"release\"");
    assert_eq!(bench.console.run(&["build", "--json", bench.path()]).code, 0);
    let boot = bench.console.run(&["boot", "--json", "--until-report", "--wait", "20", bench.path()]);
    assert_eq!(boot.code, 7, "{:#?}\n{}", boot.events, boot.stderr);
    let said = boot.event("noticed")["text"].as_str().unwrap();
    assert!(said.contains("does not report") && said.contains("build = \"release\""), "{said}");
    bench.console.assert_clean();
}

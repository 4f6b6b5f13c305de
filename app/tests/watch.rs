//! Two programs on one cartridge: the second is told who holds it, and watches.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use support::{Console, Running};

/// An xorriso that waits for a file before it writes the image: a build that takes as long as the test likes.
fn patient(console: &Console) -> (PathBuf, PathBuf) {
    let (bin, go) = (console.dir("bin"), console.home.path().join("go"));
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *-version*|*' help') exec /usr/bin/xorriso \"$@\";; esac\n\
         while [ ! -e {} ]; do sleep 0.05; done\nexec /usr/bin/xorriso \"$@\"\n",
        go.display()
    );
    fs::write(bin.join("xorriso"), script).unwrap();
    fs::set_permissions(bin.join("xorriso"), fs::Permissions::from_mode(0o755)).unwrap();
    (bin, go)
}

/// A build that stands before its image.
fn building(console: &Console, repo: &str) -> (Running, PathBuf) {
    let (bin, go) = patient(console);
    let mut command = console.command(&["build", "--json", repo]);
    command.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
    let mut first = Running::new(command);
    first.wait_for(|it| {
        it["event"] == "build_progressed" && it["progress"]["kind"] == "started" && it["progress"]["stage"] == "iso"
    });
    (first, go)
}

fn is(name: &str) -> impl Fn(&Value) -> bool {
    move |event| event["event"] == name
}

#[test]
fn the_second_is_told_who_is_first_and_watches_a_build_to_its_end() {
    let console = Console::new();
    let repo = console.repository("a distro");
    let at = repo.to_str().unwrap();
    let (mut first, go) = building(&console, at);

    let second = console.run(&["build", "--json", at]);
    assert_eq!(second.code, 8, "{:#?}", second.events);
    let holder = &second.event("in_use")["holder"];
    assert_eq!(
        (holder["process"].as_u64(), holder["goal"].as_str()),
        (Some(u64::from(first.child.id())), Some("build"))
    );
    let detail = second.failure()["detail"].as_str().unwrap();
    let who = format!("cartridge build (process {}), which has been building it since ", first.child.id());
    assert!(detail.contains(&who), "{detail}");
    assert_eq!(second.failure()["command"], format!("cartridge watch '{at}'"));

    let words = console.command(&["watch", at]).spawn().unwrap();
    let mut json = console.start(&["watch", "--json", at]);
    let joined = json.wait_for(is("joined"));
    assert!(joined["said"].as_array().unwrap().iter().any(|it| it == "Building"), "{joined}");
    let state = json.wait_for(is("state_changed"));
    assert_eq!(state["state"]["phase"], "building");
    // One that is stopped is not waited for.
    let mut stopped = console.start(&["watch", "--json", at]);
    stopped.wait_for(is("joined"));
    stopped.signal(Signal::STOP);

    fs::write(&go, "").unwrap();
    let built = json.wait_for(is("image_built"));
    assert_eq!(json.wait_for(is("watch_ended"))["end"]["how"], "let_go");
    assert_eq!(json.wait_for(is("finished"))["exit_code"], 0);
    assert_eq!(json.wait(), 0);
    assert_eq!(first.wait(), 0);
    first.wait_for(is("finished"));
    let told = first.seen.0.iter().find(|it| it["event"] == "image_built").unwrap();
    assert_eq!(&built, told, "the very line");
    let words = words.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&words.stdout), String::from_utf8_lossy(&words.stderr));
    assert_eq!(words.status.code(), Some(0), "{err}");
    let iso = told["image"]["iso"].as_str().unwrap();
    assert!(out.contains(&format!("image: {iso}\n")), "{out}");
    for line in ["Watching cartridge build (process ", "Building\n", &format!("Image {iso}"), "it can be taken now"] {
        assert!(err.contains(line), "{line}: {err}");
    }
    stopped.signal(Signal::CONT);
    stopped.wait_for(is("watch_ended"));

    let nobody = console.run(&["watch", "--json", at]);
    assert_eq!(nobody.code, 2, "{:#?}", nobody.events);
    assert_eq!(console.run(&["build", "--json", at]).code, 0);
    console.assert_clean();
}

#[test]
fn one_that_is_stopped_or_killed_is_told_and_what_it_held_can_be_taken() {
    let console = Console::new();
    let repo = console.repository("distro");
    let at = repo.to_str().unwrap();
    let (mut first, go) = building(&console, at);
    let mut watch = console.start(&["watch", "--json", at]);
    watch.wait_for(is("joined"));

    first.signal(Signal::STOP);
    assert_eq!(watch.wait_for(is("holder_stopped"))["stopped"], true);
    let late = console.run(&["watch", "--json", at]);
    let detail = late.failure()["detail"].as_str().unwrap();
    assert!(late.code == 1 && detail.contains("does not answer: it is stopped (SIGSTOP)"), "{detail}");
    first.signal(Signal::CONT);
    assert_eq!(watch.wait_for(is("holder_stopped"))["stopped"], false);

    first.signal(Signal::KILL);
    first.wait();
    let end = watch.wait_for(is("watch_ended"));
    assert_eq!(end["end"]["how"], "gone", "{end}");
    assert!(end["end"]["why"].as_str().unwrap().contains("was killed"), "{end}");
    assert_eq!(watch.wait_for(is("finished"))["exit_code"], 1);
    watch.wait();
    assert_eq!(console.run(&["watch", at]).code, 2, "there is nobody to be watched");

    fs::write(&go, "").unwrap();
    let end = Instant::now() + Duration::from_secs(600);
    // The warden ends what the killed one had started, which may take a moment.
    loop {
        let next = console.run(&["build", "--json", at]);
        if next.code == 0 {
            break;
        }
        assert!(Instant::now() < end, "{:#?}", next.events);
    }
    console.assert_clean();
}

//! The commands that neither build nor boot: what they say, to people and as JSON, and their exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use support::{Console, Finished};

fn exit_code(run: &Finished) -> i64 {
    run.event("finished")["exit_code"].as_i64().unwrap()
}

#[test]
fn what_was_not_looked_at_is_not_well() {
    let console = Console::new();
    let repo = console.repository("distro");
    let micro = console.run(&["lint", repo.to_str().unwrap()]);
    let said = "Looked at for secrets alone: no secrets were found, and the engine micro takes no archiso profile\n";
    assert_eq!((micro.code, micro.stdout.as_str()), (0, said), "{}", micro.stderr);
    let json = console.run(&["lint", "--json", repo.to_str().unwrap()]);
    assert_eq!(json.event("not_examined")["why"]["kind"], "no_profile");

    fs::create_dir(repo.join("iso")).unwrap();
    let engine = ["--set", "image.engine=archiso", "--set", "image.base=iso"];
    let unreadable = console.run(&[&["lint", repo.to_str().unwrap()], &engine[..]].concat());
    // What was set on the command line is wrong.
    assert_eq!(unreadable.code, 2, "{}", unreadable.stderr);
    assert_eq!(unreadable.stdout, "", "nothing is said of what could not be read");
    assert!(unreadable.stderr.contains("FAILED"), "{}", unreadable.stderr);
    console.assert_clean();
}

#[test]
fn a_command_that_cannot_begin_says_so_in_json_too() {
    let console = Console::new();
    let repo = console.repository("distro");
    let repo = repo.to_str().unwrap();
    let (broken, bare) = (console.repository("broken"), console.dir("bare"));
    fs::write(broken.join("cartridge.toml"), "[guest]\ncpus = = 4\n").unwrap();
    let (broken, bare) = (broken.to_str().unwrap(), bare.to_str().unwrap());
    for (args, code, word) in [
        (&["doctor", "--json", "/nope"][..], 3, "/nope"),
        (&["shot", "--json", "x.png"], 2, "no guest is running"),
        (&["lint", "--json", "--set", "foo=1", repo], 2, "foo"),
        (&["lint", "--json", "--set", "image.engin=micro", repo], 2, "did you mean image.engine?"),
        (&["propose", "--json", "--set", "guest.gpus=1", repo], 2, "did you mean guest.gpu?"),
        (&["propose", "--json", "--set", "guest.cpus=0", bare], 2, "--set guest.cpus=0: "),
        (&["propose", "--json", "--set", "guest.cpus=two", bare], 2, "--set guest.cpus=two: "),
        (&["build", "--json", "--set", "guest.cpus=2", broken], 3, "cartridge.toml:2:"),
    ] {
        let run = console.run(args);
        let failure = run.failure();
        assert_eq!((run.code, exit_code(&run)), (code, i64::from(code)), "{args:?}: {failure}");
        assert_eq!(failure["exit_code"], code, "{args:?}");
        assert!(failure["detail"].as_str().unwrap().contains(word), "{args:?}: {failure}");
    }
}

#[test]
fn the_help_of_build_lists_what_build_takes() {
    let console = Console::new();
    let help = |verb: &str| console.run(&[verb, "--help"]).stdout;
    for guest in ["--shot", "--stay", "--until-report", "--wait"] {
        assert!(!help("build").contains(guest), "{guest}");
        assert!(help("up").contains(guest), "{guest}");
        assert_eq!(console.run(&["build", guest]).code, 2);
    }
    assert!(help("build").contains("--no-lint") && help("up").contains("--no-lint"));
}

#[test]
fn a_stage_that_is_not_in_the_log_is_named_with_those_that_are() {
    let console = Console::new();
    let repo = console.repository("distro");
    let built = console.run(&["build", "--json", repo.to_str().unwrap()]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    let run = console.run(&["logs", "build", "--stage", "nonsense"]);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{}", run.stderr);
    assert!(run.stderr.contains("initramfs, inject"), "{}", run.stderr);
    let json = console.run(&["logs", "build", "--json", "--stage", "nonsense"]);
    assert_eq!((json.code, exit_code(&json)), (2, 2));
    assert!(json.failure()["detail"].as_str().unwrap().contains("nonsense"));
    let iso = console.run(&["logs", "build", "--stage", "iso"]);
    assert!(iso.code == 0 && iso.stdout.starts_with("[iso] "), "{}", iso.stdout);
}

/// A repository with an overlay of an archiso profile, and no cartridge.toml.
fn unwritten(console: &Console) -> PathBuf {
    let repo = console.dir("homerchy");
    for dir in ["iso/airootfs/etc", "iso/efiboot/loader"] {
        fs::create_dir_all(repo.join(dir)).unwrap();
    }
    fs::write(repo.join("iso/airootfs/etc/motd"), "hello\n").unwrap();
    fs::write(repo.join("iso/packages.x86_64"), "linux\nmkinitcpio\n").unwrap();
    fs::write(repo.join("iso/pacman.conf"), "[options]\n[core]\nServer = http://localhost\n").unwrap();
    fs::write(repo.join("iso/profiledef.sh"), "iso_name=x\n").unwrap();
    repo
}

#[test]
fn a_proposal_is_shown_as_it_would_be_written_and_written_when_asked() {
    let console = Console::new();
    let repo = unwritten(&console);
    let (path, file) = (repo.to_str().unwrap(), repo.join("cartridge.toml"));
    let shown = console.run(&["propose", path]);
    assert!(
        shown.stdout.contains("+ image.engine = \"archiso\"") && shown.stdout.contains("--write"),
        "{}",
        shown.stdout
    );
    assert!(!file.exists());
    let set = console.run(&["propose", "--set", "image.engine=mkarchiso", path]);
    assert!(set.stdout.contains("~ image.engine = \"mkarchiso\" (edited)"), "{}", set.stdout);
    assert!(!set.stdout.contains("+ image.engine"), "{}", set.stdout);

    let written = console.run(&["propose", "--write", "--set", "image.engine=mkarchiso", path]);
    assert_eq!(written.code, shown.code, "{}{}", written.stdout, written.stderr);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("engine = \"mkarchiso\"") && text.contains("base = \"iso\""), "{text}");
    fs::write(&file, "# mine\n").unwrap();
    let again = console.run(&["propose", "--write", path]);
    assert!(again.code == 3 && again.stderr.contains("already"), "{}", again.stderr);
    assert_eq!(fs::read_to_string(&file).unwrap(), "# mine\n");
    assert_eq!(console.run(&["propose", path]).code, 0);
    console.assert_clean();
}

#[test]
fn every_signal_that_ends_a_command_lets_it_clean_up() {
    for signal in ["TERM", "HUP", "INT"] {
        let console = Console::new();
        let repo = console.repository("distro");
        // A profile that takes its time.
        fs::create_dir(repo.join("iso")).unwrap();
        fs::write(repo.join("iso/profiledef.sh"), "sleep 60\n").unwrap();
        let engine = ["--set", "image.engine=archiso", "--set", "image.base=iso"];
        let mut child = console.command(&[&["lint", repo.to_str().unwrap()], &engine[..]].concat()).spawn().unwrap();
        let work = console.home.path().join("cache/cartridge/work");
        let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
        let begun = || fs::read_dir(&work).is_ok_and(|dir| dir.flatten().any(|it| it.path().is_dir()));
        while !begun() {
            assert!(std::time::Instant::now() < end, "the look never began");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal}");
        console.assert_clean();
    }
}

/// Whoever reads the output may go at any time (`| head`): that ends nothing, and is no fault.
#[test]
fn readers_that_go_are_no_fault() {
    let console = Console::new();
    let repo = console.repository("distro");
    let mut command = console.command(&["build", repo.to_str().unwrap()]);
    let mut build = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop((build.stdout.take(), build.stderr.take()));
    assert_eq!(build.wait().unwrap().code(), Some(0));
    console.assert_clean();
    let mut command = console.command(&["build", "nowhere"]);
    let mut wrong = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(wrong.stderr.take());
    assert_eq!(wrong.wait().unwrap().code(), Some(3));
}

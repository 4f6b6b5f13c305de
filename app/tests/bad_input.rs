//! Bad input gets a clear error, the right exit code, and loses nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use support::{Console, Finished, finish, finish_json};

fn text<'a>(run: &'a Finished, key: &str) -> &'a str {
    run.failure()[key].as_str().unwrap_or("")
}

/// A PATH with everything of the host but `without`.
fn path_without(console: &Console, without: &[&str]) -> std::path::PathBuf {
    let bin = console.dir("bin");
    for dir in ["/bin", "/usr/bin", "/usr/sbin", "/usr/local/bin"] {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            if !without.iter().any(|name| entry.file_name() == *name) {
                let _ = symlink(entry.path(), bin.join(entry.file_name()));
            }
        }
    }
    bin
}

#[test]
fn without_qemu_it_says_so_and_points_to_the_doctor() {
    let console = Console::new();
    let repo = console.repository("distro");
    let mut command = console.command(&["up", "--json", repo.to_str().unwrap()]);
    command.env("PATH", path_without(&console, &["qemu-system-x86_64"]));
    let run = finish(command);
    assert_eq!(run.code, 4);
    assert_eq!(text(&run, "title"), "QEMU is not installed");
    assert_eq!(text(&run, "command"), "cartridge doctor");
    console.assert_clean();
}

#[test]
fn without_a_tool_of_the_build_it_says_which() {
    let console = Console::new();
    let repo = console.repository("distro");
    let mut command = console.command(&["build", "--json", repo.to_str().unwrap()]);
    command.env("PATH", path_without(&console, &["xorriso"]));
    let run = finish(command);
    assert_eq!(run.code, 4, "{:#?}", run.events);
    assert!(text(&run, "detail").contains("xorriso"), "{}", text(&run, "detail"));
}

#[test]
fn a_kernel_that_is_not_there_is_named() {
    let console = Console::new();
    let repo = console.repository("distro");
    let run = console.run(&["build", "--json", "--set", "image.kernel=/no/such/vmlinuz", repo.to_str().unwrap()]);
    assert_eq!(run.code, 2, "{:#?}", run.events);
    let detail = "--set image.kernel=/no/such/vmlinuz: /no/such/vmlinuz does not exist";
    assert_eq!(text(&run, "detail"), detail);
    let file = repo.join("cartridge.toml");
    fs::write(&file, "[image]\nkernel = \"/no/such/vmlinuz\"\n").unwrap();
    let run = console.run(&["build", "--json", repo.to_str().unwrap()]);
    assert_eq!(run.code, 3, "{:#?}", run.events);
    assert!(text(&run, "detail").starts_with("cartridge.toml: image.kernel: /no"), "{}", text(&run, "detail"));
}

#[test]
fn qemu_that_dies_at_start_is_quoted() {
    let console = Console::new();
    let repo = console.repository("distro");
    let bin = path_without(&console, &["qemu-system-x86_64"]);
    let fake = bin.join("qemu-system-x86_64");
    fs::write(&fake, "#!/bin/sh\necho 'qemu: could not open the gate' >&2\nexit 1\n").unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = console.command(&["up", "--json", repo.to_str().unwrap()]);
    command.env("PATH", &bin);
    let run = finish(command);
    assert_eq!(run.code, 6, "{:#?}", run.events);
    assert!(text(&run, "detail").contains("could not open the gate"), "{}", text(&run, "detail"));
    assert!(text(&run, "command").contains("qemu-system-x86_64"));
    console.assert_clean();
}

#[test]
fn repositories_that_cannot_be_built() {
    let console = Console::new();
    let missing = console.run(&["build", "--json", "/no/such/repository"]);
    assert_eq!(missing.code, 3);
    assert!(text(&missing, "detail").contains("/no/such/repository"));

    let empty = console.dir("empty");
    let run = console.run(&["build", "--json", empty.to_str().unwrap()]);
    assert_eq!(run.code, 3, "{:#?}", run.events);
    assert!(text(&run, "detail").contains("empty"), "{}", text(&run, "detail"));

    let file = console.home.path().join("file");
    fs::write(&file, "x").unwrap();
    assert_eq!(console.run(&["build", "--json", file.to_str().unwrap()]).code, 3);
}

#[test]
fn cartridges_with_errors_say_line_and_nearest_name() {
    let cases = [
        ("[guest]\ncpuz = 3\n", "cartridge.toml:2", "cpus"),
        ("[guest]\ncpus = 0\n", "cartridge.toml:2", "1 to"),
        ("[guest]\ncpus = \"many\"\n", "cartridge.toml:2", "cpus"),
        ("[guest]\nmemory = \"4 gigs\"\n", "cartridge.toml:2", "4G"),
        ("[source]\npath = \"../elsewhere\"\n", "cartridge.toml:2", "path"),
        ("name = \"x\n", "cartridge.toml:1", "string"),
    ];
    for (toml, place, word) in cases {
        let console = Console::new();
        let repo = console.repository("distro");
        fs::write(repo.join("cartridge.toml"), toml).unwrap();
        let run = console.run(&["build", "--json", repo.to_str().unwrap()]);
        assert_eq!(run.code, 3, "{toml}: {:#?}", run.events);
        let (detail, advice) = (text(&run, "detail"), text(&run, "advice"));
        assert!(detail.contains(place), "{toml}: {detail}");
        assert!(detail.contains(word) || advice.contains(word), "{toml}: {detail} {advice}");
        assert!(!advice.is_empty() && !detail.contains(advice), "what to do is said once: {detail} {advice}");
        assert_eq!(fs::read_to_string(repo.join("cartridge.toml")).unwrap(), toml);
        console.assert_clean();
    }
}

#[test]
fn a_repository_larger_than_the_guest_is_refused_before_it_is_read() {
    let console = Console::new();
    let repo = console.repository("distro");
    let big = fs::File::create(repo.join("big")).unwrap();
    big.set_len(5 << 30).unwrap();
    let run = console.run(&["build", "--json", repo.to_str().unwrap()]);
    assert_eq!(run.code, 5, "{:#?}", run.events);
    assert!(text(&run, "detail").contains("too big"), "{}", text(&run, "detail"));
    console.assert_clean();
}

#[test]
fn a_repository_that_holds_our_own_output_is_refused_until_it_is_excluded() {
    let console = Console::new();
    let repo = console.repository("distro");
    let build = |set: &str| {
        let mut command = console.command(&["build", "--json", "--set", set, repo.to_str().unwrap()]);
        command.env("XDG_CACHE_HOME", repo.join("cache"));
        finish(command)
    };
    for _ in 0..2 {
        let run = build("source.exclude=");
        assert_eq!(run.code, 3, "{:#?}", run.events);
        assert!(text(&run, "detail").contains("cache folder"), "{}", text(&run, "detail"));
        assert!(text(&run, "advice").contains("/cache"), "{}", text(&run, "advice"));
    }
    for reused in [false, true] {
        let run = build("source.exclude=/cache");
        let image = &run.event("image_built")["image"];
        assert_eq!((image["files"].as_u64(), image["reused"].as_bool()), (Some(2), Some(reused)));
    }
}

#[test]
fn wrong_command_lines() {
    let console = Console::new();
    let repo = console.repository("distro");
    let repo = repo.to_str().unwrap();
    for (words, meant) in [(&["biuld", "--json"][..], "'build'"), (&["upp", repo], "'up'"), (&["upp"], "'up'")] {
        let run = console.run(words);
        assert!(run.code == 2 && run.stderr.contains(meant), "{words:?}: {} {}", run.code, run.stderr);
        assert!(run.stderr.contains("Usage: cartridge"), "{}", run.stderr);
    }
    assert_eq!(console.run(&["build", "--set", "guest.cpus", repo]).code, 2);
    let unknown = console.run(&["build", "--set", "guest.gpus=1", repo]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("did you mean guest.gpu?"));
}

#[test]
fn the_accelerator_is_one_that_really_runs_guests_and_the_reason_is_told() {
    let console = Console::new();
    let repo = console.repository("distro");
    let run = console.run(&["up", "--json", "--set", "guest.accelerator=auto", repo.to_str().unwrap()]);
    assert_eq!(run.code, 0, "whatever was chosen, the guest came up: {:#?}", run.events);
    let chosen = run.event("accelerator_chosen");
    let reason = chosen["reason"].as_str().unwrap();
    assert!(reason.contains("/dev/kvm") || reason.contains("KVM"), "{reason}");
    assert_eq!(run.event("guest_reported")["report"]["accelerator"], chosen["accelerator"]);
}

#[test]
fn a_bad_value_on_the_command_line_is_told_with_its_option_and_not_as_a_line_of_the_file() {
    let console = Console::new();
    let repo = console.repository("distro");
    let path = repo.to_str().unwrap();
    for (set, word) in [("guest.memory=4 gigs", "4G"), ("guest.cpus=0", "1 to"), ("guest.cpus=many", "1 to")] {
        for verb in [&["build", "--json"][..], &["lint", "--json"], &["boot", "--print-command", "--json"]] {
            let run = console.run(&[verb, &["--set", set, path]].concat());
            assert_eq!(run.code, 2, "{verb:?} {set}: {:#?}", run.events);
            let said = format!("{} {}", text(&run, "detail"), text(&run, "advice"));
            assert!(said.contains(&format!("--set {set}: ")) && said.contains(word), "{verb:?} {set}: {said}");
            assert!(!said.contains("cartridge.toml"), "{verb:?} {set}: {said}");
        }
    }
    let base = ["--set", "image.engine=archiso", "--set", "image.base=nope"];
    let run = console.run(&[&["lint", "--json"], &base[..], &[path]].concat());
    let detail = run.event("examined")["failure"]["detail"].as_str().unwrap();
    assert!(run.code == 2 && detail.starts_with("--set image.base=nope: "), "{} {detail}", run.code);
    let memory = console.run(&["boot", "--json", "--kernel", "/boot/vmlinuz", "--memory", "1K"]);
    assert!(memory.code == 2 && text(&memory, "detail").starts_with("--memory 1K: "), "{}", text(&memory, "detail"));
}

#[test]
fn an_option_that_contradicts_the_file_says_what_to_leave_out_for_this_run() {
    let console = Console::new();
    let repo = console.repository("distro");
    let path = repo.to_str().unwrap();
    fs::write(repo.join("cartridge.toml"), "[boot]\nway = \"kernel\"\ncmdline = \"quiet\"\n").unwrap();
    let image = ["--json", "--set", "guest.memory=1G", "--set", "boot.way=image"];
    let run = console.run(&[&["build"], &image[..], &[path]].concat());
    assert_eq!(run.code, 2, "{:#?}", run.events);
    assert!(text(&run, "detail").starts_with("cartridge.toml:3:11: boot.cmdline: does nothing"), "{:?}", run.failure());
    assert!(text(&run, "advice").ends_with("for this run: --set boot.cmdline="), "{:?}", run.failure());
    let good = console.run(&[&["build"], &image[..], &["--set", "boot.cmdline=", path]].concat());
    assert_eq!(good.code, 0, "{:#?}", good.events);
    // What is wrong in the file can be mended for one run, and stays the file's own otherwise.
    fs::write(repo.join("cartridge.toml"), "[guest]\nmemory = \"1K\"\n").unwrap();
    let run = console.run(&["build", "--json", "--set", "guest.cpus=1", path]);
    assert!(run.code == 3 && text(&run, "detail").starts_with("cartridge.toml:2:10: "), "{:?}", run.failure());
    let mended = console.run(&["build", "--json", "--set", "guest.memory=1G", path]);
    assert_eq!(mended.code, 0, "{:#?}", mended.events);
}

#[test]
fn missing_firmware_and_missing_kernels_are_told_with_where_they_were_looked_for() {
    // In a mount namespace where the firmware and every kernel are covered by empty directories.
    let console = Console::new();
    let repo = console.repository("distro");
    let hidden = |dirs: &str, args: &str| {
        let script = format!(
            "for d in {dirs}; do if [ -d $d ]; then mount -t tmpfs none $d; fi; done; exec \"$0\" {args} --json \"$1\""
        );
        let mut command = std::process::Command::new("unshare");
        let flags: &[&str] = if rustix::process::geteuid().is_root() { &["-m"] } else { &["-Urm"] };
        command.args(flags).args(["--propagation", "private", "sh", "-c", &script]);
        command.arg(env!("CARGO_BIN_EXE_cartridge")).arg(&repo);
        for (key, dir) in
            [("CACHE", "cache"), ("STATE", "state"), ("DATA", "data"), ("CONFIG", "config"), ("RUNTIME", "run")]
        {
            let name = if key == "RUNTIME" { "XDG_RUNTIME_DIR".to_owned() } else { format!("XDG_{key}_HOME") };
            command.env(name, console.home.path().join(dir));
        }
        command
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        finish_json(command)
    };
    let run = hidden(
        "/usr/share/OVMF /usr/share/qemu/firmware /usr/share/edk2 /usr/share/edk2-ovmf /usr/share/ovmf /etc/qemu",
        "up --set guest.firmware=uefi",
    );
    assert_eq!(run.code, 4, "{:#?}\n{}", run.events, run.stderr);
    assert!(text(&run, "title").contains("firmware"), "{}", text(&run, "title"));

    fs::remove_file(console.home.path().join("data/cartridge/kernels")).unwrap_or_default();
    let run = hidden("/boot /lib/modules /usr/share/cartridge", "build");
    assert_eq!(run.code, 4, "{:#?}\n{}", run.events, run.stderr);
    assert!(text(&run, "detail").contains("kernel"), "{}", text(&run, "detail"));
    console.assert_clean();
}

/// A password that a cartridge has is in nothing that a run tells or keeps, whatever fails with it.
#[test]
fn a_password_is_in_nothing_that_is_told_or_kept() {
    let console = Console::new();
    let repo = console.repository("distro");
    let planted = "hunter2planted";
    // Nobody listens there: what fetches from it fails, and says from where.
    let mirror = format!("http://ann:{planted}@127.0.0.1:9/$repo/os/$arch");
    let cartridge = format!(
        "[image]\nengine = \"archiso\"\nbase = \"profile\"\nmirror = {mirror:?}\nenv = {{ API_TOKEN = {planted:?} }}\n"
    );
    let profile = repo.join("profile");
    isoprep::profile::write_minimal(&profile).unwrap();
    let conf = format!("[options]\nArchitecture = x86_64\nSigLevel = Never\n[core]\nServer = {mirror}\n");
    fs::write(profile.join("pacman.conf"), conf).unwrap();
    fs::write(repo.join("cartridge.toml"), cartridge).unwrap();
    for words in [&["build", "--json"][..], &["build"]] {
        let run = console.run(&[words, &[repo.to_str().unwrap()]].concat());
        assert_ne!(run.code, 0);
        for said in [&run.stdout, &run.stderr] {
            assert!(!said.contains(planted), "{said}");
        }
        assert!(words.len() == 1 || run.stdout.contains("ann:***@127.0.0.1"), "{}", run.stdout);
        assert!((run.stdout + &run.stderr).contains("What looks like a secret"), "{}", run.stderr);
    }
    // What is no event: a command that did not begin, for people and for machines.
    for json in [&["--json"][..], &[]] {
        let kernel = format!("image.kernel=/no/api_token={planted}");
        let run = console.run(&[&["build", "--set", &kernel, repo.to_str().unwrap()], json].concat());
        let said = run.stdout + &run.stderr;
        assert!(run.code == 2 && said.contains("api_token=***") && !said.contains(planted), "{said}");
    }
    let mut left = vec![console.home.path().to_path_buf()];
    let mut files = 0;
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).unwrap().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() {
                left.push(path);
            } else if kind.is_file() && !path.starts_with(&repo) {
                files += 1;
                let content = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                assert!(!content.contains(planted), "{}: {content}", path.display());
            }
        }
    }
    assert!(files > 0);
    console.assert_clean();
}

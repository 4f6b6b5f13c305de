//! `cartridge diff` on real builds: what it says, and how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::Console;

fn diff(console: &Console, args: &[&Path]) -> (i32, String, String) {
    let words: Vec<&str> = ["diff"].into_iter().chain(args.iter().map(|path| path.to_str().unwrap())).collect();
    let output = console.command(&words).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn build(console: &Console, repo: &Path) -> PathBuf {
    let run = console.run(&["build", "--json", repo.to_str().unwrap()]);
    assert_eq!(run.code, 0, "{:#?}\n{}", run.events, run.stderr);
    PathBuf::from(run.event("image_built")["image"]["iso"].as_str().unwrap())
}

#[test]
fn two_builds_are_compared_by_file_by_record_and_by_cartridge() {
    let console = Console::new();
    let repo = console.repository("distro");
    let (code, _, stderr) = diff(&console, &[&repo]);
    assert!(code == 2 && stderr.contains("has not been built yet"), "{code} {stderr}");
    let iso = build(&console, &repo);
    let (code, _, stderr) = diff(&console, &[&repo]);
    assert!(code == 2 && stderr.contains("no build before the last one"), "{code} {stderr}");
    assert_eq!(diff(&console, &[&repo, &iso]), (0, String::new(), String::new()));
    let old = console.home.path().join("old.iso");
    fs::copy(&iso, &old).unwrap();

    fs::write(repo.join("hello.txt"), "HELLO\n").unwrap();
    fs::write(repo.join("two\nlines"), "x").unwrap();
    build(&console, &repo);
    let record = iso.with_extension("record");
    for args in [&[&repo][..], &[&old, &repo], &[&old, &iso], &[&old, &record]] {
        let (code, stdout, stderr) = diff(&console, &args.iter().map(|path| path.as_path()).collect::<Vec<_>>());
        assert_eq!(code, 1, "{args:?}: {stdout}\n{stderr}");
        assert!(stdout.contains("\n  M root/distro/hello.txt  content\n"), "{args:?}: {stdout}");
        assert!(stdout.contains("\n  A root/distro/two\\nlines  1 B\n"), "{args:?}: {stdout}");
        assert!(!stdout.contains('\x1b'), "{stdout}");
    }
    let (code, stdout, _) = diff(&console, &[Path::new("--color=always"), &old, &iso]);
    assert!(code == 1 && stdout.contains("\x1b["), "{stdout}");

    let run = console.run(&["diff", "--json", old.to_str().unwrap(), repo.to_str().unwrap()]);
    assert_eq!(run.code, 1);
    let told = run.event("compared");
    assert_eq!((&told["version"], &told["same"]), (&1.into(), &false.into()));
    assert_eq!(told["root"]["changed"]["items"][0]["path"], "root/distro/hello.txt");
    assert_eq!(run.event("finished")["exit_code"], 1);
    console.assert_clean();
}

#[test]
fn trouble_ends_with_two_and_never_with_a_difference() {
    let console = Console::new();
    let home = console.home.path();
    let garbage = home.join("garbage.iso");
    fs::write(&garbage, "no image".repeat(10_000)).unwrap();
    let record = home.join("cut.record");
    fs::write(&record, "{\"cartridge_record\":1,").unwrap();
    let missing = home.join("missing.iso");
    let empty = console.dir("not built");
    for (path, words) in [
        (&garbage, "not an ISO 9660 image"),
        (&record, "damaged"),
        (&missing, "does not exist"),
        (&empty, "has not been built yet"),
    ] {
        let (code, stdout, stderr) = diff(&console, &[path, &garbage]);
        assert!(code == 2 && stdout.is_empty() && stderr.contains(words), "{}: {code} {stderr}", path.display());
        let run = console.run(&["diff", "--json", path.to_str().unwrap(), garbage.to_str().unwrap()]);
        assert_eq!(run.code, 2);
        assert!(run.failure()["detail"].as_str().unwrap().contains(words), "{:?}", run.events);
        assert_eq!(run.event("finished")["exit_code"], 2);
    }
    let (code, ..) = diff(&console, &[]);
    assert_eq!(code, 2);
}

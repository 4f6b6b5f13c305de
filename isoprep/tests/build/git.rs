//! What git ignores and tracks, compared with what git itself says.

use std::fs;
use std::path::Path;

use cartridge_supervise::{CommandLine, run};
use isoprep::Cancel;

use crate::bench::{Bench, unpack};

/// Runs git as if nobody had configured it, and returns what it prints.
fn git(dir: &Path, arguments: &[&str]) -> String {
    let line = CommandLine::new("git").arg("-C").arg(dir).args(arguments);
    let line =
        line.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null").env("HOME", "/nonexistent");
    let output = run(&line, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
    String::from_utf8(output.stdout).unwrap()
}

/// The files and links that a build injects, sorted.
fn injected(bench: &Bench) -> Vec<String> {
    let (image, out) = (bench.build().unwrap(), tempfile::tempdir().unwrap());
    unpack(&image.initrds[1], out.path());
    let mut found = Vec::new();
    list(&out.path().join("root/demo"), "", &mut found);
    found.sort();
    found
}

fn list(dir: &Path, prefix: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            list(&entry.path(), &format!("{name}/"), found);
        } else {
            found.push(name);
        }
    }
}

/// A checkout with ignore files at every level that undo each other.
fn monorepo() -> Bench {
    let bench = Bench::new();
    git(&bench.repo(), &["init", "-q"]);
    for (path, text) in [
        (".gitignore", "*.log\n/packages/app/secret\nout/\n*.tmp\n"),
        ("packages/.gitignore", "!keep.log\n/app/gen\n*.bak\n"),
        ("packages/app/.gitignore", "!app.log\n!out/kept\n!b.bak\n"),
        ("packages/app/src/.gitignore", "keep.log\n!x.tmp\n"),
        (".git/info/exclude", "private\n!y.tmp\nx.tmp\n"),
    ] {
        bench.write(path, text);
    }
    let names =
        ["a.log", "keep.log", "app.log", "b.bak", "x.tmp", "y.tmp", "private", "secret", "gen/x", "out/kept", "z"];
    for dir in ["", "packages/", "packages/app/", "packages/app/src/", "packages/other/"] {
        for name in names {
            bench.write(&format!("{dir}{name}"), name);
        }
    }
    git(
        &bench.repo(),
        &["add", "-f", "packages/app/src/a.log", "packages/app/out/kept", "README", "packages/app/src/x.tmp"],
    );
    bench
}

#[test]
fn what_git_ignores_is_what_git_says_wherever_the_source_is() {
    for source in ["", "packages", "packages/app", "packages/app/src", "packages/other"] {
        let mut bench = monorepo();
        let top = bench.repo();
        // The cartridge's folder is somewhere between: it does not matter to git.
        bench.request.recipe.source.path = top.join(source);
        bench.request.recipe.root = top.join(source);
        let said = git(&top.join(source), &["ls-files", "-co", "--exclude-standard"]);
        let mut said: Vec<String> = said.lines().map(str::to_owned).collect();
        said.sort();
        assert!(said.len() > 3);
        assert_eq!(injected(&bench), said, "{source:?}");
    }
}

#[test]
fn without_git_a_deeper_ignore_file_undoes_one_above_the_source() {
    let mut bench = Bench::empty(crate::bench::parts());
    for (path, text) in [(".gitignore", "*.log\n/sub/gone\n"), ("sub/deep/.gitignore", "!keep.log\n")] {
        bench.write(path, text);
    }
    for name in ["sub/keep.log", "sub/gone", "sub/here", "sub/deep/keep.log", "sub/deep/a.log", "sub/deep/gone"] {
        bench.write(name, name);
    }
    bench.request.recipe.source.path = bench.repo().join("sub");
    assert_eq!(injected(&bench), ["deep/.gitignore", "deep/gone", "deep/keep.log", "here"]);
}

#[test]
fn what_lies_in_an_excluded_folder_stays_out_although_it_is_tracked_and_another_pattern_likes_it() {
    let mut bench = Bench::new();
    bench.request.recipe.source.exclude = vec!["secrets/".into(), "!*.md".into(), "*.txt".into()];
    for name in ["secrets/key.md", "secrets/deep/key.md", "notes.md", "notes.txt"] {
        bench.write(name, name);
    }
    git(&bench.repo(), &["init", "-q"]);
    git(&bench.repo(), &["add", "-f", "."]);
    assert_eq!(injected(&bench), ["README", "notes.md", "src/main.c"]);
}

#[test]
fn an_index_that_is_not_understood_is_a_warning() {
    let warned = |prepare: &dyn Fn(&Bench), word: &str| {
        let bench = Bench::new();
        prepare(&bench);
        let (_, _, lines) = bench.build_telling();
        let found = lines.iter().any(|line| line.starts_with("warning: git's index") && line.contains(word));
        assert_eq!(found, !word.is_empty(), "{word}: {lines:?}");
    };
    let init = |bench: &Bench, format: &str| {
        git(&bench.repo(), &["init", "-q", format]);
        git(&bench.repo(), &["add", "."]);
    };
    warned(&|bench| init(bench, "--object-format=sha1"), "");
    warned(&|bench| init(bench, "--object-format=sha256"), "SHA-256");
    let split = |bench: &Bench| {
        init(bench, "--object-format=sha1");
        git(&bench.repo(), &["update-index", "--split-index"]);
    };
    warned(&split, "split");
    warned(&|bench| drop(bench.write(".git/index", "DIRC what?")), "cannot be understood");
    let pipe = |bench: &Bench| {
        fs::create_dir(bench.repo().join(".git")).unwrap();
        let mode = rustix::fs::Mode::RUSR;
        let index = bench.repo().join(".git/index");
        rustix::fs::mknodat(rustix::fs::CWD, index, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    };
    warned(&pipe, "not a regular file");
    let huge = |bench: &Bench| {
        let index = bench.write(".git/index", "DIRC");
        fs::File::options().write(true).open(index).unwrap().set_len((256 << 20) + 1).unwrap();
    };
    warned(&huge, "larger than 256 MiB");
}

//! Broken profiles, each with exactly what has to be said about it, and good ones, about which nothing may be said.
//! Every fix of a finding is done and has to mend what it says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod lint_support;

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use isoprep::lint::{Counts, LintFinding, Severity, apply, render_json, render_text, rules};
use lint_support::case::{Case, cases};
use lint_support::{Description, Repository};

fn corpus() -> Vec<Case> {
    let mut files: Vec<_> = std::fs::read_dir("tests/lint/broken").unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().flat_map(|file| cases(&std::fs::read_to_string(file).unwrap())).collect()
}

/// As a case writes it.
fn line(finding: &LintFinding) -> String {
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let fix = finding.fix.as_ref().map_or(String::new(), |fix| format!(" | {}", fix.says));
    format!("{severity} {} {}{fix}", finding.rule, finding.place())
}

/// What is wrong with what is said about a case.
fn check(case: &Case) -> Vec<String> {
    let findings = Repository::new(&case.repository).lint();
    let (mut said, mut wanted): (Vec<String>, _) = (findings.iter().map(line).collect(), case.expected.clone());
    said.sort();
    wanted.sort();
    let mut wrong = Vec::new();
    if said != wanted {
        let wanted = wanted.join("\n");
        wrong.push(format!(
            "{}\n---- wanted\n{wanted}\n---- said\n{}\n{}",
            case.name,
            said.join("\n"),
            render_text(&findings, false)
        ));
    }
    for finding in &findings {
        assert!(!finding.what.is_empty() && !finding.consequence.is_empty(), "{}", line(finding));
        let Some(fix) = &finding.fix else { continue };
        let mended = Repository::new(&case.repository);
        if let Err(e) = apply(&mended.root, &fix.edit) {
            wrong.push(format!("{}: {}\n  {e}", case.name, line(finding)));
            continue;
        }
        let same = |other: &LintFinding| {
            (other.rule, &other.file, &other.what) == (finding.rule, &finding.file, &finding.what)
        };
        let after = mended.lint();
        let errors = |findings: &[LintFinding]| Counts::of(findings).errors;
        if after.iter().any(same) || errors(&after) > errors(&findings) {
            wrong.push(format!(
                "{}: {}\n  {:?} does not mend it\n{}",
                case.name,
                line(finding),
                fix.edit,
                render_text(&after, false)
            ));
        }
    }
    wrong
}

#[test]
fn exactly_what_is_wrong_is_said_and_every_fix_mends_it() {
    let (cases, next, wrong) = (corpus(), AtomicUsize::new(0), Mutex::new(Vec::new()));
    assert!(cases.len() >= 80, "the corpus was not read: {}", cases.len());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = check(case);
                    wrong.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}\n{} are wrong", wrong.join("\n====\n"), wrong.len());
}

#[test]
fn every_rule_has_a_broken_case_and_every_case_a_rule() {
    let named: BTreeSet<String> = corpus()
        .iter()
        .flat_map(|case| &case.expected)
        .filter_map(|line| line.split(' ').nth(1).map(str::to_owned))
        .collect();
    let all: BTreeSet<String> = rules().map(|rule| rule.id.to_string()).collect();
    assert_eq!(all.len(), rules().count(), "a rule's name is there twice");
    assert_eq!(named, all);
    for rule in rules() {
        let name = rule.id.0;
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !rule.says.is_empty(), "{name}");
    }
}

#[test]
fn nothing_is_said_about_good_profiles() {
    let (mut count, mut said) = (0, String::new());
    for file in std::fs::read_dir("tests/lint/good").unwrap().map(|file| file.unwrap().path()) {
        let findings = Repository::new(&Description::parse(&std::fs::read_to_string(&file).unwrap())).lint();
        if !findings.is_empty() {
            said += &format!("{}:\n{}\n", file.display(), render_text(&findings, false));
        }
        count += 1;
    }
    assert!(said.is_empty(), "{said}");
    assert!(count >= 4, "the corpus was not read: {count}");
}

/// What only some machines have.
fn cartridge(base: &str) -> Description {
    Description::parse(&format!("=== cartridge.toml\nname = \"x\"\n[image]\nengine = \"archiso\"\nbase = \"{base}\"\n"))
}

#[test]
fn nothing_is_said_about_our_own_small_profile() {
    let repository = Repository::new(&cartridge("profile"));
    isoprep::profile::write_minimal(&repository.root.join("profile")).unwrap();
    let findings = repository.lint();
    assert!(findings.is_empty(), "{}", render_text(&findings, false));
}

#[test]
fn nothing_is_said_about_the_profiles_of_an_installed_archiso() {
    for name in ["releng", "baseline"] {
        if !Path::new("/usr/share/archiso/configs").join(name).join("profiledef.sh").exists() {
            println!("archiso is not installed: {name} is not looked at");
            continue;
        }
        let findings = Repository::new(&cartridge(name)).lint();
        assert!(findings.is_empty(), "{name}:\n{}", render_text(&findings, false));
    }
}

#[test]
fn a_hostile_repository_neither_blocks_nor_panics() {
    let mut description = Description::parse(&std::fs::read_to_string("tests/lint/good/minimal.txt").unwrap());
    let deep =
        format!("#!/bin/bash\n{}\n{}\n{}", "$(".repeat(20_000), "${a:-\"".repeat(5_000), "case x in (".repeat(5_000));
    let lines = "me:x:99999999999999999999999:::/\u{1b}[2J:\n:::::\n\u{0}\n".repeat(2_000);
    let loops = "=== profile/airootfs/root/a -> b\n=== profile/airootfs/root/b -> a\n=== profile/airootfs/up -> ../../../../..\n";
    for (path, text) in
        [("evil.sh", &deep), ("profile/airootfs/root/.zlogin", &deep), ("profile/airootfs/etc/passwd", &lines)]
    {
        description.files.extend(Description::parse(&format!("=== {path} 755\n{text}\n")).files);
    }
    description.files.extend(Description::parse(loops).files);
    let repository = Repository::new(&description);
    let root = &repository.root;
    rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe"), rustix::fs::FileType::Fifo, 0o755.into(), 0).unwrap();
    std::fs::write(root.join(std::ffi::OsStr::from_bytes(b"\xff\x1b[2J.sh")), b"#!/bin/sh\r\n\xff\xfe\n").unwrap();
    std::fs::File::create(root.join("sparse.sh")).unwrap().set_len(1 << 40).unwrap();
    let (done, waiting) = std::sync::mpsc::channel();
    let lint = std::thread::spawn(move || done.send(repository.lint()).unwrap());
    let findings = waiting.recv_timeout(std::time::Duration::from_secs(60)).expect("it takes longer than a minute");
    lint.join().unwrap();
    assert!(findings.iter().any(|finding| finding.rule.0 == "script-carriage-returns"));
    assert!(!render_text(&findings, false).contains('\u{1b}'));
    let json: serde_json::Value = serde_json::from_str(&render_json(&findings)).unwrap();
    assert_eq!(json["findings"].as_array().unwrap().len(), findings.len());
}

#[test]
fn many_scripts_are_read_in_time_and_a_look_is_given_up_when_asked() {
    let mut description = Description::parse(&std::fs::read_to_string("tests/lint/good/minimal.txt").unwrap());
    for number in 0..1_500 {
        let text = format!(
            "=== s/{number}.sh 755\n#!/bin/sh\nA{number}=/root/a{number}\ncp /root/least/x{number} /root/y{number}\nsource /root/least/z{number}.sh\n"
        );
        description.files.extend(Description::parse(&text).files);
    }
    let repository = Repository::new(&description);
    let begun = std::time::Instant::now();
    let cancel = isoprep::Cancel::new();
    cancel.cancel();
    assert!(repository.lint_until(&cancel).is_empty(), "a look that was cancelled goes on");
    // It was more than a minute when each path was compared with every other.
    assert!(!repository.lint().is_empty());
    assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[test]
fn where_the_search_for_secrets_ends_is_said() {
    let description = Description::parse(&std::fs::read_to_string("tests/lint/good/minimal.txt").unwrap());
    let repository = Repository::new(&description);
    for number in 0..300 {
        std::fs::File::create(repository.root.join(format!("data{number}"))).unwrap().set_len(256 << 10).unwrap();
    }
    let findings = repository.lint();
    assert!(matches!(findings.as_slice(), [one] if one.what.contains("64 MiB")), "{}", render_text(&findings, false));
}

/// No engine but archiso's has a lint: secrets are looked for all the same, in what is injected and in a root that is a folder.
#[test]
fn an_image_without_a_profile_is_looked_through_for_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().canonicalize().unwrap();
    let token = ["ghp_", "A7bK9dQ2xW5mZ8pL4tR6vY3cN1sJ0fHgE123"].concat();
    let cartridge = format!(
        "name = \"x\"\n[image]\nengine = \"tree\"\nbase = \"../system\"\n[image.env]\nNAME = \"x\"\nAPI_TOKEN = \"{}\"\n",
        &token[4..]
    );
    for (path, content) in [
        ("repo/.gitignore", b"*.pem\n".to_vec()),
        ("repo/ignored.pem", b"-----BEGIN PRIVATE KEY-----\n".to_vec()),
        ("repo/tool", [b"\x7fELF\0\0", token.as_bytes(), b"\0"].concat()),
        // Larger than what a script is read to.
        ("repo/large.txt", ["x\n".repeat(200_000).as_bytes(), token.as_bytes()].concat()),
        ("repo/.bash_history", b"ls\n".to_vec()),
        ("system/usr/bin/true", token.clone().into_bytes()),
        ("system/etc/NetworkManager/system-connections/home", b"[wifi-security]\npsk=hunter22\n".to_vec()),
        ("system/home/me/.ssh/id_ed25519", b"key".to_vec()),
        ("system/home/me/.ssh/id_ed25519.pub", b"key".to_vec()),
        // Of this host, where a link of a root leads that is looked at from outside.
        ("host/.ssh/id_rsa", b"key".to_vec()),
    ] {
        let file = top.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }
    for link in ["system/root", "system/home/other"] {
        std::os::unix::fs::symlink(top.join("host"), top.join(link)).unwrap();
    }
    let recipe = isoprep::parse(&cartridge, &top.join("repo")).unwrap();
    let findings = isoprep::secrets(&recipe, &cartridge, &[], &isoprep::Cancel::new()).unwrap();
    let mut said: Vec<String> =
        findings.iter().map(|it| line(it).replace(&format!("{}/", top.display()), "")).collect();
    said.sort();
    let expected = [
        "warning secret-credentials .bash_history:1 | Leave /.bash_history out of the repository",
        "warning secret-credentials cartridge.toml:5",
        "warning secret-credentials system/etc/NetworkManager/system-connections/home:2",
        "warning secret-private-key system/home/me/.ssh/id_ed25519:1",
        "warning secret-token large.txt:200001 | Leave /large.txt out of the repository",
        "warning secret-token tool:1 | Leave /tool out of the repository",
    ];
    assert_eq!(said, expected);
    let shown = render_text(&findings, false) + &render_json(&findings);
    assert!(!shown.contains(&token[4..]), "{shown}");
}

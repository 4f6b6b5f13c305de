//! Broken profiles, each with exactly what has to be said about it, and good ones, about which nothing may be said. Every
//! fix of a finding is done and has to mend what it says.

mod lint_support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use isoprep::lint::{LintFinding, Severity, apply, render_text, rules};
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
        wrong.push(format!("{}\n---- wanted\n{wanted}\n---- said\n{}\n{}", case.name, said.join("\n"), render_text(&findings, false)));
    }
    for finding in &findings {
        assert!(!finding.what.is_empty() && !finding.consequence.is_empty(), "{}", line(finding));
        let Some(fix) = &finding.fix else { continue };
        let mended = Repository::new(&case.repository);
        if let Err(e) = apply(&mended.root, &fix.edit) {
            wrong.push(format!("{}: {}\n  {e}", case.name, line(finding)));
            continue;
        }
        let same = |other: &LintFinding| (other.rule, &other.file, &other.what) == (finding.rule, &finding.file, &finding.what);
        let after = mended.lint();
        if after.iter().any(same) {
            wrong.push(format!("{}: {}\n  {:?} does not mend it\n{}", case.name, line(finding), fix.edit, render_text(&after, false)));
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
    let named: BTreeSet<String> =
        corpus().iter().flat_map(|case| &case.expected).filter_map(|line| line.split(' ').nth(1).map(str::to_owned)).collect();
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

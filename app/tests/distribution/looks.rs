//! A look before the build: `lint`, `tree`, `cache`, and builds that a finding stops.

use std::fs;

use serde_json::Value;

use crate::arch::{Fault, Repository};
use crate::bench::{Bench, profile};
use crate::support::Finished;

fn rules(run: &Finished) -> Vec<&str> {
    let lint = run.event("examined")["lint"].as_array().unwrap();
    lint.iter().filter(|it| it["severity"] == "error").map(|it| it["rule"].as_str().unwrap()).collect()
}

#[test]
fn a_good_profile_is_clean_and_its_tree_says_where_everything_comes_from() {
    let bench = Bench::new(profile(), "packages = [\"jq\"]");
    let lint = bench.console.run(&["lint", "--json", bench.path()]);
    assert_eq!((lint.code, rules(&lint)), (0, vec![]), "{:#?}\n{}", lint.events, lint.stderr);
    assert!(lint.event("examined")["failure"].is_null());
    bench.console.assert_clean();

    let tree = bench.console.run(&["tree", bench.path()]);
    assert_eq!(tree.code, 0, "{}", tree.stderr);
    let line =
        |name: &str| tree.stdout.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{}", tree.stdout));
    assert!(line("profiledef.sh").contains("base"), "{}", line("profiledef.sh"));
    assert!(line("packages.x86_64").contains("replaces base"), "{}", line("packages.x86_64"));
    let json = bench.console.run(&["tree", "--json", bench.path()]);
    let nodes = json.event("examined")["tree"].as_array().unwrap();
    assert!(nodes.iter().any(|node| node["path"] == "airootfs/etc/hostname"), "{nodes:#?}");
    bench.console.assert_clean();
}

#[test]
fn what_would_fail_stops_a_build_before_its_packages_unless_that_is_wanted() {
    let broken = profile().broken(Repository::get(), Fault::HookWithoutPackage);
    let bench = Bench::new(broken, "");
    let lint = bench.console.run(&["lint", "--json", bench.path()]);
    assert_eq!(lint.code, 3, "{:#?}\n{}", lint.events, lint.stderr);
    let found = rules(&lint);
    assert!(!found.is_empty());
    let text = bench.console.run(&["lint", bench.path()]);
    assert!(text.code == 3 && text.stdout.contains("plymouth") && text.stdout.contains("Fix:"), "{}", text.stdout);

    let build = bench.console.run(&["build", "--json", bench.path()]);
    assert_eq!(build.code, 3, "{:#?}\n{}", build.events, build.stderr);
    let stopped = build.event("stopped_by_lint")["lint"].as_array().unwrap();
    assert_eq!(stopped.iter().filter(|it| it["severity"] == "error").count(), found.len());
    assert!(build.failure()["detail"].as_str().unwrap().contains("plymouth"), "{}", build.failure());
    let began = |run: &Finished| run.events.iter().any(|e| e["progress"]["stage"] == "packages");
    assert!(!began(&build));
    bench.console.assert_clean();

    // It is built in spite of the finding, and fails as that said it would.
    let anyway = bench.console.run(&["build", "--no-lint", "--json", bench.path()]);
    assert_eq!(anyway.code, 5, "{:#?}\n{}", anyway.events, anyway.stderr);
    assert!(began(&anyway) && anyway.failure()["title"].as_str().unwrap().contains("plymouth"), "{}", anyway.failure());
    bench.console.assert_clean();
}

#[test]
fn a_package_that_is_not_there_is_named_with_its_neighbour() {
    let bench = Bench::new(profile().broken(Repository::get(), Fault::PackageUnknown), "");
    let build = bench.console.run(&["build", "--no-lint", "--json", bench.path()]);
    assert_eq!(build.code, 5, "{:#?}\n{}", build.events, build.stderr);
    let failure = build.failure();
    assert!(failure["title"].as_str().unwrap().contains("giit"), "{failure}");
    assert!(failure["advice"].as_str().unwrap().contains("git"), "{failure}");
    assert!(failure["command"].as_str().unwrap().contains("pacman"), "{failure}");
    bench.console.assert_clean();
}

#[test]
fn a_profile_that_cannot_be_read_is_the_cartridges_error() {
    let bench = Bench::new(profile(), "");
    fs::write(bench.repo.join("iso/profiledef.sh"), "iso_name=(\n").unwrap();
    let lint = bench.console.run(&["lint", "--json", bench.path()]);
    assert_eq!(lint.code, 3, "{:#?}\n{}", lint.events, lint.stderr);
    let failure = &lint.event("examined")["failure"];
    assert!(failure["detail"].as_str().unwrap().contains("profiledef.sh"), "{failure}");
    assert_eq!(bench.console.run(&["build", "--json", bench.path()]).code, 3);
    assert_eq!(bench.console.run(&["lint", "--json", "/no/such/repository"]).code, 3);
    assert_eq!(bench.console.run(&["lint", "--set", "guest.gpus=1", bench.path()]).code, 2);
    bench.console.assert_clean();
}

#[test]
fn the_cache_is_seen_and_emptied_and_the_image_stays() {
    let bench = Bench::new(profile(), "");
    let empty = bench.console.run(&["cache", "--json"]);
    assert_eq!(empty.event("cache_viewed")["view"]["bytes"], 0);
    let build = bench.console.run(&["build", "--json", bench.path()]);
    assert_eq!(build.code, 0, "{:#?}\n{}", build.events, build.stderr);
    let iso = build.event("image_built")["image"]["iso"].as_str().unwrap().to_owned();

    let view = bench.console.run(&["cache", "--json"]);
    let seen = view.event("cache_viewed")["view"].clone();
    let rows: Vec<&str> = seen["rows"].as_array().unwrap().iter().filter_map(|row| row["what"].as_str()).collect();
    assert!(rows.contains(&"packages") && rows.contains(&"inject"), "{rows:?}");
    let text = bench.console.run(&["cache"]);
    assert!(text.code == 0 && text.stdout.contains("packages") && text.stdout.contains("in all"), "{}", text.stdout);

    let clean = bench.console.run(&["cache", "--clean", "--json"]);
    assert_eq!((clean.code, &clean.event("cache_viewed")["freed"]), (0, &seen["bytes"]), "{:#?}", clean.events);
    assert_eq!(clean.event("cache_viewed")["view"]["bytes"], Value::from(0));
    assert!(std::path::Path::new(&iso).is_file());
    bench.console.assert_clean();
}

#[test]
fn the_doctor_judges_for_the_cartridge_that_it_is_given() {
    let bench = Bench::new(profile(), "");
    let run = bench.console.run(&["doctor", "--json", bench.path()]);
    let checks = run.event("diagnosed")["checks"].as_array().unwrap();
    let check = |name: &str| checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{checks:#?}"));
    for name in ["pacman", "squashfs tools", "User namespaces", "Lent ids"] {
        assert_eq!(check(name)["status"], "good", "{}", check(name));
    }
    assert_eq!(bench.console.run(&["doctor", "--json", "/no/such/repository"]).code, 3);
}

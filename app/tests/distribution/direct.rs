//! An archiso image boots without its boot loader: as the last build's, and as an ISO of somebody else's.

use std::fs;

use crate::bench::{Bench, profile};

#[test]
fn an_archiso_boots_without_its_loader_and_finds_its_medium() {
    let bench = Bench::new(profile(), "");
    let expected = bench.expected();
    let built = bench.console.run(&["build", "--json", bench.path()]);
    assert_eq!(built.code, 0, "{:#?}\n{}", built.events, built.stderr);
    let direct = bench.console.run(&["boot", "--direct", "--json", bench.path()]);
    assert_eq!(direct.code, 0, "{:#?}\n{}", direct.events, direct.stderr);
    let report = direct.event("guest_reported");
    assert_eq!((report["report"]["tree"].as_str(), report["matches"].as_bool()), (Some(&*expected), Some(true)));
    bench.console.assert_clean();

    // The same ISO somewhere else is anybody's: its entries say what to boot.
    let iso = bench.console.home.path().join("somebody's.iso");
    fs::copy(built.event("image_built")["image"]["iso"].as_str().unwrap(), &iso).unwrap();
    let list = bench.console.run(&["boot", "--iso", iso.to_str().unwrap(), "--list"]);
    assert!(list.code == 0 && list.stdout.contains("archisobasedir=arch"), "{}\n{}", list.stdout, list.stderr);
    let words = ["boot", "--iso", iso.to_str().unwrap(), "--json", "--until-report", "--memory", "1G"];
    let run = bench.console.run(&[&words[..], &["--set", "guest.accelerator=tcg"]].concat());
    assert_eq!(run.code, 0, "{:#?}\n{}", run.events, run.stderr);
    let chosen = &run.event("direct_chosen")["view"];
    assert!(chosen["cmdline"].as_str().unwrap().contains("archisosearchuuid="), "{chosen}");
    assert!(run.event("guest_started")["mute"].is_string());
    bench.console.assert_clean();
}

//! Eject under torture: named layouts of a work directory, each in mount and pid namespaces of its own, with a root that is
//! thrown away. After each, everything precious is what it was, and what should be gone is gone or is named.
//!
//! `CARTRIDGE_TORTURE=WORD` runs the layouts with that word in their name. The ignored test `comparison` does to the same
//! layouts what people do without Eject, and prints the table of SECURITY.md.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod child;
mod hold;
mod judge;
mod layouts;
mod method;
mod room;
mod table;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use child::{Verdict, Ways};
use method::Method;

/// So many layouts must really have run, or the suite proves too little on this host.
const FEWEST: usize = 90;

#[test]
fn every_precious_file_survives_and_what_should_be_gone_is_gone_or_named() {
    if let Some(task) = child::Task::ours() {
        return child::run(&task);
    }
    let wanted = std::env::var("CARTRIDGE_TORTURE").unwrap_or_default();
    let chosen: Vec<_> = layouts::all().into_iter().filter(|layout| layout.name.contains(&wanted)).collect();
    let names: BTreeSet<_> = chosen.iter().map(|layout| layout.name).collect();
    assert_eq!(names.len(), chosen.len(), "two layouts have the same name");
    let began = Instant::now();
    let verdicts = child::each(&Ways::find(), &chosen, Method::Eject);
    let mut bad = Vec::new();
    let mut ran = 0;
    for (layout, verdict) in chosen.iter().zip(&verdicts) {
        println!("{}", verdict.line(layout.name));
        ran += usize::from(verdict.skipped.is_none());
        if !verdict.faults.is_empty() {
            bad.push(format!("{}:\n  {}", layout.name, verdict.told()));
        }
    }
    println!("{ran} of {} layouts ran in {:.1?}", chosen.len(), began.elapsed());
    assert!(bad.is_empty(), "{} layouts failed:\n{}", bad.len(), bad.join("\n"));
    assert!(!wanted.is_empty() || ran >= FEWEST, "only {ran} layouts could be made on this host");
}

#[test]
#[ignore = "a comparison, which prints a table: cargo test -p isoprep --test torture -- --ignored --nocapture comparison"]
fn comparison() {
    if let Some(task) = child::Task::ours() {
        return child::run(&task);
    }
    let wanted = std::env::var("CARTRIDGE_TORTURE").unwrap_or_default();
    let ways = Ways::find();
    let chosen: Vec<_> = layouts::all().into_iter().filter(|layout| layout.name.contains(&wanted)).collect();
    let columns: Vec<(Method, Vec<Verdict>)> =
        Method::ALL.into_iter().map(|method| (method, child::each(&ways, &chosen, method))).collect();
    println!("{}", table::render(&chosen, &columns));
    let ours = &columns.first().expect("there are methods").1;
    assert!(ours.iter().all(|verdict| verdict.faults.is_empty()), "Eject failed");
}

/// How long one layout may take; whatever hangs is killed with its namespace.
const LIMIT: Duration = Duration::from_secs(40);

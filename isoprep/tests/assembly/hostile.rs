//! Folders that mean harm: nothing outside of the target is written, nothing is read that was not named.

use std::fs;
use std::path::Path;

use isoprep::assembly::{AssemblyError, Kind, Origin, Problem, Warning, append_permissions, prepare};
use isoprep::{BuildError, Cancel};

use crate::bench::{Bench, read};

#[test]
fn a_link_for_a_folder_is_a_conflict_and_never_a_way_out() {
    let precious = tempfile::tempdir().unwrap();
    fs::write(precious.path().join("passwd"), "precious").unwrap();
    for absolute in [true, false] {
        let mut bench = Bench::new();
        fs::remove_dir_all(bench.at("base/airootfs/etc")).unwrap();
        let (one, two) = (bench.overlay("one"), bench.overlay("two"));
        let relative = Path::new("../../..").join(precious.path().file_name().unwrap());
        let target = if absolute { precious.path() } else { &relative };
        bench.link(format!("{one}/airootfs/etc"), target);
        bench.write(format!("{two}/airootfs/etc/passwd"), "hostile");
        bench.write(format!("{two}/airootfs/etc/new"), "hostile");
        let assembly = bench.prepare();
        let [Problem::Conflict { path, kept, refused }] = &assembly.problems[..] else { panic!("{assembly:?}") };
        assert_eq!(path, Path::new("airootfs/etc"));
        assert!(matches!(kept, (Origin::Overlay(0), Kind::Link { .. })) && *refused == (Origin::Overlay(1), Kind::Dir));
        let out = bench.folder("out");
        let error = bench.try_write(&assembly, &out).unwrap_err();
        assert!(matches!(&error, BuildError::Assembly { source: AssemblyError::Problems { .. }, .. }), "{error}");
        assert!(error.to_string().contains("airootfs/etc is a link of overlay 1 and a folder of overlay 2"), "{error}");

        // Nor do single files or the environment go through it.
        bench.ingredients.overlays.pop();
        bench.ingredients.files = [("/etc/passwd".into(), bench.write("mine", "x"))].into();
        bench.ingredients.env = [("A".to_owned(), "1".to_owned())].into();
        let assembly = bench.prepare();
        assert_eq!(assembly.problems.len(), 2, "{:?}", assembly.problems);

        // The link alone is a link like any other.
        (bench.ingredients.files, bench.ingredients.env) = Default::default();
        assert_eq!(fs::read_link(bench.assemble().1.join("airootfs/etc")).unwrap(), target);
        assert_eq!(fs::read_dir(precious.path()).unwrap().count(), 1);
        assert_eq!(read(precious.path().join("passwd")), "precious");
    }
}

#[test]
fn a_file_takes_the_place_of_a_link_and_not_of_what_it_leads_to() {
    let mut bench = Bench::new();
    let precious = bench.write("precious", "precious");
    bench.link("base/airootfs/etc/passwd", &precious);
    let over = bench.overlay("over");
    bench.write(format!("{over}/airootfs/etc/passwd"), "ours");
    let (_, target) = bench.assemble();
    assert_eq!(read(target.join("airootfs/etc/passwd")), "ours");
    assert!(!target.join("airootfs/etc/passwd").is_symlink());
    assert_eq!(read(precious), "precious");
}

#[test]
fn links_in_a_layer_are_never_followed_not_even_in_a_circle() {
    let bench = Bench::new();
    bench.link("base/airootfs/loop", ".");
    bench.link("base/airootfs/top", "/");
    bench.link("base/self", "self");
    bench.link("base/up", "../..");
    let (assembly, target) = bench.assemble();
    assert_eq!(fs::read_link(target.join("airootfs/top")).unwrap(), Path::new("/"));
    assert_eq!(assembly.pieces.len(), 10);
    let out = Warning::LeadsOut { path: "up".into(), target: "../..".into() };
    assert_eq!(assembly.warnings, [out]);
}

#[test]
fn a_profiledef_or_a_package_list_that_leads_elsewhere_is_refused_and_never_extended() {
    for target in ["/etc/hostname", "../precious", "gone", "profiledef.sh", "airootfs"] {
        let mut bench = Bench::new();
        let precious = bench.write("precious", "precious");
        for file in ["profiledef.sh", "packages.x86_64"] {
            fs::remove_file(bench.at("base").join(file)).unwrap();
            bench.link(format!("base/{file}"), target);
        }
        bench.ingredients.packages = vec!["git".into()];
        let problems = bench.prepare().problems;
        assert_eq!(problems.len(), 2, "{target}: {problems:?}");
        assert!(problems.iter().all(|it| matches!(it, Problem::Elsewhere { .. })), "{target}: {problems:?}");

        // Were it there, it would not be written through either.
        let link = bench.at("base/profiledef.sh");
        fs::remove_file(&link).unwrap();
        bench.link("base/profiledef.sh", &precious);
        let error = append_permissions(&bench.at("base"), &[("/x".into(), 0o755)].into()).unwrap_err();
        assert!(error.to_string().contains("is a link"), "{error}");
        assert_eq!(read(&precious), "precious");
    }
}

#[test]
fn a_plan_that_was_tampered_with_writes_nothing_outside_either() {
    let bench = Bench::new();
    let precious = bench.write("precious/passwd", "precious");
    let outside = precious.parent().unwrap();
    bench.link("base/out", outside);
    // A name that nobody else has, wherever it may land.
    let new = format!("new-{}", std::process::id());
    let tampered =
        ["out/passwd", "out/new", "../new", "/tmp/../new", "out/../../precious/new", "airootfs/..", "gone/new"];
    for path in tampered.map(|path| path.replace("new", &new)) {
        let mut assembly = bench.prepare();
        let piece = assembly.pieces[Path::new("pacman.conf")].clone();
        assembly.pieces.insert(path.clone().into(), piece);
        let target = bench.folder(format!("target{}", path.replace('/', "-")));
        let error = bench.try_write(&assembly, &target).unwrap_err();
        assert!(matches!(&error, BuildError::Io { doing: "write", .. }), "{path}: {error}");
    }
    assert_eq!(fs::read_dir(outside).unwrap().count(), 1);
    assert_eq!(read(&precious), "precious");
    let landed = [bench.at(&new), Path::new("/tmp").join(&new), Path::new("/").join(&new)];
    assert!(landed.iter().all(|file| !file.exists()), "{landed:?}");
}

#[test]
fn a_base_that_is_missing_is_told_once() {
    let mut bench = Bench::new();
    bench.ingredients.base = bench.at("gone");
    let problems: Vec<String> = bench.prepare().problems.iter().map(ToString::to_string).collect();
    let gone = bench.at("gone").display().to_string();
    assert_eq!(
        problems,
        [format!("image.base: {gone} is missing. Correct the path; a submodule has to be fetched first")]
    );
}

#[test]
fn a_layer_without_an_end_is_no_profile() {
    let bench = Bench::new();
    let mut deep = bench.at("base");
    for _ in 0..140 {
        deep.push("d");
        fs::create_dir(&deep).unwrap();
    }
    let error = prepare(&bench.ingredients, &Cancel::new(), &|_| ()).unwrap_err();
    assert!(matches!(&error, BuildError::Assembly { source: AssemblyError::TooBig { .. }, .. }), "{error}");
    assert!(error.to_string().contains("more than 128 folders one inside the other"), "{error}");
}

/// Without the capabilities that let root read everything, in a thread of its own.
fn unprivileged<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let reading = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    let drop_them = || {
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(reading);
        set_capabilities(None, sets).unwrap();
    };
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            drop_them();
            work()
        });
        thread.join().unwrap()
    })
}

#[test]
fn all_that_cannot_be_read_is_named_at_once() {
    let mut bench = Bench::new();
    let over = bench.overlay("over");
    bench.ingredients.files = [("/opt/x".into(), bench.write("single", "x"))].into();
    let closed = ["base/airootfs/etc/motd".to_owned(), format!("{over}/airootfs/secret"), "single".to_owned()];
    bench.write(&closed[1], "x");
    bench.write("base/airootfs/locked/inside", "x");
    for path in &closed {
        bench.chmod(path, 0o000);
    }
    bench.chmod("base/airootfs/locked", 0o000);
    let error = unprivileged(|| prepare(&bench.ingredients, &Cancel::new(), &|_| ()).unwrap_err());
    let BuildError::Assembly { source: AssemblyError::Unreadable { entries }, .. } = &error else { panic!("{error}") };
    assert_eq!(entries.len(), 4, "{error}");
    for path in closed.iter().map(String::as_str).chain(["base/airootfs/locked"]) {
        let line = format!("\n  {}: Permission denied (os error 13)", bench.at(path).display());
        assert!(error.to_string().contains(&line), "{error}");
    }
    bench.chmod("base/airootfs/locked", 0o755);
}

#[test]
fn a_target_with_something_in_it_or_behind_a_link_is_refused() {
    let bench = Bench::new();
    let assembly = bench.prepare();
    let full = bench.write("full/file", "precious");
    let error = bench.try_write(&assembly, full.parent().unwrap()).unwrap_err();
    assert!(matches!(&error, BuildError::Assembly { source: AssemblyError::NotEmpty { .. }, .. }), "{error}");
    bench.folder("real");
    bench.link("alias", "real");
    for target in ["alias", "gone", "full/file"] {
        let error = bench.try_write(&assembly, &bench.at(target)).unwrap_err();
        assert!(matches!(&error, BuildError::Io { doing: "open", .. }), "{target}: {error}");
    }
    assert_eq!(fs::read_dir(bench.at("real")).unwrap().count(), 0);
    assert_eq!(read(full), "precious");
}

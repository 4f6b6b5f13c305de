//! Fakes that fail as the real mkarchiso does seldom, with the real xorriso below them.

use std::fs;
use std::time::{Duration, Instant};

use cartridge_supervise::Cancel;
use isoprep::mkarchiso::{BootFile, MkarchisoError, MkarchisoNews, run};
use isoprep::pacman_log::FaultKind;

use crate::place::{Place, script};

/// What every fake begins with: the options that mkarchiso is given, and a function that makes a real image of one file.
const HEAD: &str = r#"#!/bin/bash
while getopts vw:o: option; do case $option in w) work=$OPTARG ;; o) out=$OPTARG ;; *) ;; esac; done
shift $((OPTIND - 1)); profile=$1
image() {
    mkdir -p "$work/iso/arch/boot/x86_64"
    echo kernel >"$work/iso/arch/boot/x86_64/vmlinuz-linux"
    xorriso -as mkisofs -quiet -R -o "$out/$1" "$work/iso" 2>/dev/null
}
echo "[mkarchiso] INFO: Validating options..."
"#;

fn fake(body: &str) -> Place {
    let mut place = Place::new(std::path::Path::new("/nowhere"));
    fs::create_dir(&place.job.profile).unwrap();
    place.job.tool = script(place.top.path(), &format!("{HEAD}{body}\n"));
    place
}

fn boot_file(path: &str) -> BootFile {
    BootFile { path: path.into(), entry: "Arch".into(), file: "syslinux/syslinux.cfg".into(), line: 3, live: true }
}

#[test]
fn an_image_is_taken_whole_and_replaces_the_one_before() {
    let mut place = fake("image a.iso");
    place.job.boot_files = vec![boot_file("/arch/boot/x86_64/vmlinuz-linux")];
    fs::create_dir(&place.job.out).unwrap();
    fs::write(place.job.out.join("a.iso"), "old").unwrap();
    let product = place.build().0.unwrap_or_else(|e| panic!("{e}"));
    assert!(product.bytes > 32_768 && product.iso == place.job.out.join("a.iso"));
}

#[test]
fn an_exit_code_of_0_is_not_trusted() {
    let error = |body: &str| fake(body).build().0.unwrap_err();
    assert!(matches!(error("exit 0"), MkarchisoError::NoImage { found, .. } if found.is_empty()));
    assert!(matches!(error("image a.iso; image b.iso"), MkarchisoError::NoImage { found, .. } if found.len() == 2));
    assert!(matches!(error("mkdir \"$out/a.iso\""), MkarchisoError::NoImage { .. }));
    assert!(matches!(error("ln -s /etc/passwd \"$out/a.iso\""), MkarchisoError::NoImage { .. }));
    let cut = error("image a.iso; truncate -s 100K \"$out/a.iso\"");
    assert!(matches!(&cut, MkarchisoError::NotWhole { why, .. } if why.contains("of")), "{cut}");
    assert!(matches!(error("echo hello >\"$out/a.iso\""), MkarchisoError::NotWhole { .. }));
    let swallowed = error("image a.iso; echo 'error: command terminated by signal 2: Interrupt' >&2");
    let MkarchisoError::Found { finding, exit: Some(0) } = &swallowed else { panic!("{swallowed}") };
    assert_eq!(finding.kind, FaultKind::Interrupted);
    assert!(swallowed.to_string().contains("says that it succeeded"));
}

#[test]
fn a_failure_without_a_word_is_told_with_the_last_lines() {
    let error = fake("echo one; echo two; exit 3").build().0.unwrap_err();
    let MkarchisoError::Unexplained { how, tail } = &error else { panic!("{error}") };
    assert_eq!((how.as_str(), tail.last().map(String::as_str)), ("exit code 3", Some("two")));
}

#[test]
fn an_earlier_doubt_is_not_blamed_for_a_later_end() {
    let body = "echo '[mkarchiso] INFO: Installing packages to /x...'\n\
                printf ':: Processing package changes...\\ninstalling a...\\nerror: command failed to execute correctly\\n'\n\
                echo '[mkarchiso] INFO: Creating SquashFS image, this may take some time...'\nexit 1";
    let error = fake(body).build().0.unwrap_err();
    assert!(matches!(error, MkarchisoError::Unexplained { .. }), "{error}");
}

#[test]
fn it_sees_the_profile_read_only_and_writes_only_what_it_may() {
    let body = "touch \"$profile/x\" /etc/x \"$HOME/../etc/x\" 2>/dev/null && echo '[mkarchiso] ERROR: wrote'\n\
                [ \"$SOURCE_DATE_EPOCH\" = 1700000000 ] || echo '[mkarchiso] ERROR: date'\n\
                [ \"$(id -u)\" = 0 ] || echo '[mkarchiso] ERROR: not root'\n\
                [ -e \"$work\" ] && echo '[mkarchiso] ERROR: not fresh'\nimage a.iso";
    fake(body).build().0.unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn a_tool_that_is_not_there_cannot_be_started() {
    let mut place = fake("exit 0");
    place.job.tool = place.top.path().join("absent");
    let error = place.build().0.unwrap_err();
    assert!(matches!(error, MkarchisoError::Start { .. }), "{error}");
    assert!(error.to_string().contains("absent"));
}

#[test]
fn a_helper_that_is_not_installed_or_not_allowed_is_told_as_such() {
    if std::path::Path::new(isoprep::mkarchiso::HELPER).exists() {
        return eprintln!("skipped, as the helper is installed");
    }
    let mut place = fake("exit 0");
    place.job.way = isoprep::mkarchiso::Way::Helper;
    let error = place.build().0.unwrap_err();
    // Without pkexec it cannot be started; with it, pkexec refuses.
    assert!(matches!(error, MkarchisoError::Start { .. } | MkarchisoError::NotAuthorized { .. }), "{error}");
}

#[test]
fn a_full_disk_is_told_as_such() {
    let body = "echo 'cp: error writing /x: No space left on device' >&2; exit 1";
    let error = fake(body).build().0.unwrap_err();
    assert!(matches!(&error, MkarchisoError::Found { finding, .. } if finding.kind == FaultKind::DiskFull), "{error}");
}

#[test]
fn cancelling_ends_children_that_ignore_signals() {
    let place = fake("trap '' TERM INT HUP; (trap '' TERM; setsid sleep 300 & sleep 300) & echo ready; wait; wait");
    let cancel = Cancel::new();
    let mut since = None;
    let result = run(&place.job, &cancel, &mut |news| {
        if matches!(&news, MkarchisoNews::Line { text, .. } if text == "ready") {
            since = Some(Instant::now());
            cancel.cancel();
        }
    });
    assert!(matches!(result, Err(MkarchisoError::Cancelled)), "{result:?}");
    let took = since.unwrap().elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    place.assert_clean();
}

#[test]
fn cancelled_before_it_began_it_does_not_begin() {
    let place = fake("touch \"$out/began\"; image a.iso");
    let cancel = Cancel::new();
    cancel.cancel();
    assert!(matches!(run(&place.job, &cancel, &mut |_| ()), Err(MkarchisoError::Cancelled)));
    place.assert_clean();
}

#[test]
fn a_flood_of_output_is_read_to_its_end() {
    let place = fake("head -c 30000000 /dev/zero | tr '\\0' 'x'; echo; yes line | head -n 200000; image a.iso");
    let (built, told) = place.build();
    built.unwrap_or_else(|e| panic!("{e}"));
    let longest =
        told.iter().filter_map(|it| if let MkarchisoNews::Line { text, .. } = it { Some(text.len()) } else { None });
    assert!(longest.max().unwrap() <= 8192);
}

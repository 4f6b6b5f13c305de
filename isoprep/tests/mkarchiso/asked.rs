//! The conversation with the helper, with a fake pkexec in its place: what it is told, and how it learns that it is to stop.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use cartridge_supervise::{Cancel, CommandLine, run as tool};
use isoprep::eject::WorkDir;
use isoprep::mkarchiso::{MkarchisoError, MkarchisoNews, Way, remove_scratch, run};

use crate::arch::{Repository, TestProfile, mkarchiso};
use crate::place::{Place, script};

/// Says that the test was started again, with the fake in `PATH`; where it notes what happened.
const NOTES: &str = "CARTRIDGE_TEST_NOTES";
/// What happens outside of it no signal of a user's reaches, as with what is root's.
const PKEXEC: &str = r#"#!/bin/bash
read -r line; echo "$line" >>"$CARTRIDGE_TEST_NOTES/requests"
case $line in '{"clear"'*'"build"'*|'{"build"'*) ;; *) exit 0 ;; esac
exec 3<&0; setsid bash -c 'echo ready; cat <&3; echo x >"$CARTRIDGE_TEST_NOTES/ended"' &
sleep 300
"#;

/// Lets the helper itself build, for a user who owns what it is told of, without a question. Needs root.
const HELPER: &str = r#"#!/bin/bash
read -r line
of() { printf %s "$line" | grep -o "\"$1\":\"[^\"]*\"" | cut -d'"' -f4; }
chown -R 54321:54321 "$(of profile)" "$(of work)"
exec 3<&0
export PKEXEC_UID=54321
unshare -m bash -c 'mount -t overlay overlay -o "lowerdir=$2:/usr/bin" /usr/bin &&
    exec "$1" < <(echo "$3"; exec cat <&3)' - "$CARTRIDGE_TEST_HELPER_BUILT" "$CARTRIDGE_TEST_MKARCHISO" "$line"
code=$?; chown -R 0:0 "$(of profile)" "$(of work)"; exit $code
"#;

/// Starts `test` again with the fake; true there.
fn with_fake_pkexec(test: &str, text: &str) -> bool {
    if std::env::var_os(NOTES).is_some() {
        return true;
    }
    let top = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let fake = top.path().join("pkexec");
    fs::write(&fake, text).unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", top.path().display(), std::env::var("PATH").unwrap());
    let line = CommandLine::new(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    let output = tool(&line.env("PATH", path).env(NOTES, top.path()), &Cancel::new(), |_, _| ());
    let output = output.unwrap_or_else(|e| panic!("{e}"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    false
}

fn note(name: &str) -> String {
    let path = std::path::PathBuf::from(std::env::var_os(NOTES).unwrap()).join(name);
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn the_helper_is_told_what_dead_ones_left_and_stops_with_its_input() {
    if !with_fake_pkexec("asked::the_helper_is_told_what_dead_ones_left_and_stops_with_its_input", PKEXEC) {
        return;
    }
    let mut place = Place::new(std::path::Path::new("/usr/bin/mkarchiso"));
    place.job.way = Way::Helper;
    let session = WorkDir::create(place.job.work.parent().unwrap(), "killed").unwrap();
    let dead = WorkDir::create(session.path(), "mkarchiso").unwrap();
    fs::create_dir(dead.path().join("mkarchiso-root")).unwrap();
    let cancel = Cancel::new();
    let mut since = None;
    let result = run(&place.job, &cancel, &mut |news| {
        if matches!(&news, MkarchisoNews::Line { text, .. } if text == "ready") {
            assert_eq!(note("ended"), "", "its input is held open");
            since = Some(Instant::now());
            cancel.cancel();
        }
    });
    assert!(matches!(result, Err(MkarchisoError::Cancelled)), "{result:?}");
    assert!(since.unwrap().elapsed() < Duration::from_secs(2));
    while note("ended").is_empty() {
        assert!(since.unwrap().elapsed() < Duration::from_secs(5), "it was not told to stop");
        std::thread::sleep(Duration::from_millis(20));
    }
    // As an ordinary user the test cannot make what is root's, and then nothing is asked for.
    let root = rustix::process::geteuid().is_root();
    let clear = format!("{{\"clear\":[\"{}\"]", dead.path().display());
    assert_eq!(note("requests").starts_with(&clear), root, "{}", note("requests"));
    assert!(note("requests").contains("\"build\":{"));
    // By itself, too: the request is that alone.
    let _ = remove_scratch(Way::Helper, dead.path());
    assert_eq!(
        note("requests").lines().last(),
        Some(format!("{{\"clear\":[\"{}\"]}}", dead.path().display()).as_str())
    );
}

#[test]
fn what_cannot_be_removed_is_told_after_an_error_too() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("what_cannot_be_removed: skipped, as only root can make a file that stays");
    }
    let mut place = Place::new(std::path::Path::new("/x"));
    fs::create_dir(&place.job.profile).unwrap();
    place.job.tool = script(place.top.path(), "#!/bin/sh\necho ready; sleep 1; exit 3\n");
    let mut told = Vec::new();
    let chattr = |how: &str, file: &std::path::Path| {
        tool(&CommandLine::new("chattr").arg(how).arg(file), &Cancel::new(), |_, _| ())
            .unwrap_or_else(|e| panic!("{e}"));
    };
    let mut stays = None;
    let result = run(&place.job, &Cancel::new(), &mut |news| {
        let MkarchisoNews::Line { text, .. } = news else { return };
        if text == "ready" {
            let scratch = fs::read_dir(&place.job.work).unwrap().flatten().map(|it| it.path()).find(|it| it.is_dir());
            let file = scratch.unwrap().join("out/stays");
            fs::write(&file, "x").unwrap();
            chattr("+i", &file);
            stays = Some(file);
        }
        told.push(text);
    });
    chattr("-i", &stays.unwrap());
    assert!(matches!(result, Err(MkarchisoError::Unexplained { .. })), "{result:?}");
    assert!(told.last().unwrap().contains("could not be removed"), "{told:?}");
}

#[test]
fn the_real_tool_builds_for_a_root_who_is_nobody_on_the_host() {
    let test = "asked::the_real_tool_builds_for_a_root_who_is_nobody_on_the_host";
    let helper = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("mkarchiso-helper");
    let Some(installed) = mkarchiso::find() else { return mkarchiso::skipped(test) };
    if !helper.exists() || !rustix::process::geteuid().is_root() {
        return eprintln!("{test}: skipped, as it needs root and {}", helper.display());
    }
    let fake = HELPER.replace("$CARTRIDGE_TEST_HELPER_BUILT", helper.to_str().unwrap());
    let fake = fake.replace("$CARTRIDGE_TEST_MKARCHISO", installed.parent().unwrap().to_str().unwrap());
    if !with_fake_pkexec(test, &fake) {
        return;
    }
    let mut place = crate::real::place(&installed, &TestProfile::releng(Repository::get()).packages(&["owned-files"]));
    place.job.way = Way::Helper;
    let (built, told) = place.build();
    let product = built.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((product.doubts, product.shortfalls, product.leftover), (Vec::new(), Vec::new(), None), "{told:?}");
}

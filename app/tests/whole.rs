//! What is written appears whole or not at all: killed in the middle of a write at any byte, and on a full disk. The old file is as it
//! was then, the error names the file and what to do, and the next write leaves nothing of the one before.
//!
//! Elsewhere: images and the cache in isoprep's `build::disk`, `build::kill` and `archiso::kill`; slots in vmtools' `slot_faults`; templates
//! in vmtools' `template::faults`; a recording is written as it goes and plays up to its last picture (vmtools' `recording`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::fs;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command as Process, Output};

use cartridge::session::event::Side;
use cartridge::session::{Command, Event};
use rustix::mount::{MountFlags, mount};
use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use support::Console;
use support::alone::{alone, fill};
use support::session::Session;
use vmtools::display::Frame;

const WHAT: &str = "CARTRIDGE_TEST_WRITES";
/// Each writes one file, in its first or its second version.
const ALL: [(&str, &str); 4] =
    [("settings", "cartridge.toml"), ("window", "window.toml"), ("picture", "shot.png"), ("state", "recent.json")];

fn write(what: &str, dir: &Path, version: u8) -> Result<(), String> {
    let text = format!("# version {version}\n").repeat(400);
    match what {
        "settings" | "state" => {
            let name = ALL.iter().find(|it| it.0 == what).unwrap().1;
            isoprep::save_atomically(&dir.join(name), &text).map_err(|e| e.to_string())
        }
        #[cfg(feature = "gui")]
        "window" => {
            let width = 1000.0 + f32::from(version);
            let preferences = cartridge::gui::preferences::Preferences { width, ..Default::default() };
            preferences.save(&dir.join("window.toml")).map_err(|e| e.to_string())
        }
        "picture" => {
            // Noise, so that it has some length.
            let mut seed = u32::from(version);
            let rgba = std::iter::repeat_with(|| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            });
            let frame = Frame { width: 40, height: 40, rgba: rgba.take(6400).collect() };
            frame.save_png(&dir.join("shot.png")).map_err(|e| e.to_string())
        }
        _ => panic!("{what}"),
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Writes the second version in a process that may write that many bytes into a file; then the kernel ends it (setrlimit(2)).
fn writes_at_most(what: &str, dir: &Path, bytes: u64) -> Output {
    let mut child = Process::new(std::env::current_exe().unwrap());
    child.args(["--exact", "writes", "--ignored", "--nocapture"]).env(WHAT, format!("{what}\n{}", dir.display()));
    // SAFETY: one system call, which is async-signal-safe.
    unsafe {
        child.pre_exec(move || {
            let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
            setrlimit(Resource::Fsize, limit).map_err(Into::into)
        });
    }
    child.output().unwrap()
}

#[test]
#[ignore = "is killed by killed_at_any_byte_the_old_one_stays"]
fn writes() {
    let text = std::env::var(WHAT).unwrap();
    let (what, dir) = text.split_once('\n').unwrap();
    write(what, Path::new(dir), 2).unwrap();
}

#[test]
fn killed_at_any_byte_the_old_one_stays() {
    for (what, name) in ALL.into_iter().filter(|it| cfg!(feature = "gui") || it.0 != "window") {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(what, old.path(), 1).unwrap();
        write(what, new.path(), 2).unwrap();
        let read = |dir: &Path| fs::read(dir.join(name)).unwrap();
        let (first, second) = (read(old.path()), read(new.path()));
        let length = second.len() as u64;
        assert!(first != second && length > 100, "{what}");
        for bytes in [0, 1, length / 2, length - 1] {
            let out = writes_at_most(what, old.path(), bytes);
            assert_eq!(out.status.signal(), Some(Signal::XFSZ.as_raw()), "{what} {bytes}: {out:?}");
            assert!(read(old.path()) == first, "{what} {bytes}");
        }
        assert!(writes_at_most(what, old.path(), length).status.success(), "{what}");
        assert!(read(old.path()) == second, "{what}");
        let begun: Vec<_> = names(old.path()).into_iter().filter(|it| it != name).collect();
        assert_eq!(begun, [""; 0], "{what}");
    }
}

fn small(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    mount("tmpfs", dir, "tmpfs", MountFlags::empty(), c"size=128k").unwrap();
}

#[test]
fn a_full_disk_keeps_the_old_one() {
    alone("a_full_disk_keeps_the_old_one", || {
        let top = tempfile::tempdir().unwrap();
        for (what, name) in ALL.into_iter().filter(|it| cfg!(feature = "gui") || it.0 != "window") {
            let dir = top.path().join(what);
            small(&dir);
            write(what, &dir, 1).unwrap();
            let old = fs::read(dir.join(name)).unwrap();
            let filler = fill(&dir);
            let before = names(&dir);
            let error = write(what, &dir, 2).unwrap_err();
            assert!(error.contains("No space left"), "{error}");
            if what == "picture" {
                assert!(error.contains("shot.png") && error.contains("Free a few MiB in "), "{error}");
            }
            assert!(fs::read(dir.join(name)).unwrap() == old, "{what}");
            assert_eq!(names(&dir), before, "{what}");
            fs::remove_file(filler).unwrap();
            write(what, &dir, 2).unwrap();
        }
    });
}

#[test]
fn a_cartridge_on_a_full_disk_is_not_saved_and_nothing_of_it_is_lost() {
    alone("a_cartridge_on_a_full_disk_is_not_saved_and_nothing_of_it_is_lost", || {
        let console = Console::new();
        small(&console.home.path().join("distro"));
        let repo = console.repository("distro");
        let file = repo.join("cartridge.toml");
        let old = fs::read(&file).unwrap();
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let mut session = Session::begin(&console);
            session.insert(&repo).await;
            session.set("name", "another").await;
            let filler = fill(&repo);
            session.send(Command::Save).await;
            let failed = |event: &Event| match event {
                Event::SideFailed { side: Side::Save, failure } => {
                    assert!(failure.title.contains(file.to_str().unwrap()), "{failure:?}");
                    let advice = failure.advice.as_deref().unwrap_or_default();
                    assert!(advice.contains(&format!("Free 1 MiB in {}", repo.display())), "{failure:?}");
                    true
                }
                _ => false,
            };
            session.until("the failure", |event, _| failed(event)).await;
            assert!(fs::read(&file).unwrap() == old);
            assert_eq!(names(&repo), ["cartridge.toml", "filler", "hello.txt"]);
            fs::remove_file(filler).unwrap();
            session.send(Command::Save).await;
            let saved = |event: &Event| matches!(event, Event::Noticed { text, .. } if text.starts_with("Saved "));
            session.until("the second", |event, _| saved(event)).await;
            assert!(fs::read_to_string(&file).unwrap().contains("another"));
            session.quit().await;
        });
        rustix::mount::unmount(&repo, rustix::mount::UnmountFlags::DETACH).unwrap();
    });
}

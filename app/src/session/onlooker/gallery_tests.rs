//! Who is slow, hostile or one too many holds nobody up.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;

use tokio::io::AsyncReadExt as _;

use super::super::line::{LONGEST, Lines};
use super::super::ring::LINES;
use super::*;
use crate::session::event::EVENT_VERSION;

/// No machine is so slow.
const EVER: Duration = Duration::from_secs(24 * 3600);

fn told(at_ms: u64, text: String) -> Told {
    Told { v: EVENT_VERSION, at_ms, event: Event::Noticed { level: Level::Info, text } }
}

/// Reads lines until one fits.
async fn until(stream: &mut UnixStream, lines: &mut Lines, fits: impl Fn(&Line) -> bool) -> Line {
    let wait = async {
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let count = stream.read(&mut chunk).await.unwrap();
            assert!(count > 0, "it has hung up");
            for line in lines.push(&chunk[..count]) {
                let line = line.unwrap();
                if fits(&line) {
                    return line;
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(600), wait).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_late_begins_with_all_that_is_so_and_is_told_the_end() {
    let base = tempfile::tempdir().unwrap();
    let gallery = Gallery::new("1-session");
    gallery.tell(&told(5, "before".into()), Some("before"));
    let socket = gallery.open(&base.path().join("run")).unwrap();
    assert_eq!(gallery.open(&base.path().join("run")).unwrap(), socket, "it is open already");
    let mode = std::fs::metadata(socket.parent().unwrap()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let mut stream = vmtools::machine::connect(&socket).await.unwrap();
    let mut lines = Lines::default();
    let start = until(&mut stream, &mut lines, |line| matches!(line, Line::Start { .. })).await;
    let Line::Start { at_ms: 5, missed: 0, said, model } = start else { panic!("{start:?}") };
    assert_eq!((said, model.notices.len()), (vec!["before".to_owned()], 1));
    gallery.tell(&told(6, "after".into()), None);
    until(&mut stream, &mut lines, |line| matches!(line, Line::Told(it) if it.at_ms == 6)).await;
    gallery.close();
    until(&mut stream, &mut lines, |line| matches!(line, Line::LetGo)).await;
    assert!(!socket.exists() && !socket.parent().unwrap().exists());
    assert!(vmtools::machine::connect(&socket).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_reads_holds_nobody_up_and_begins_anew() {
    let base = tempfile::tempdir().unwrap();
    let gallery = Gallery::patient("1-session", EVER);
    let socket = gallery.open(&base.path().join("run")).unwrap();
    let mut slow = vmtools::machine::connect(&socket).await.unwrap();
    let mut quick = vmtools::machine::connect(&socket).await.unwrap();
    let (mut slow_lines, mut quick_lines) = (Lines::default(), Lines::default());
    let begun = |line: &Line| matches!(line, Line::Start { .. });
    until(&mut slow, &mut slow_lines, begun).await;
    until(&mut quick, &mut quick_lines, begun).await;
    // More than a socket and the ring can hold: whoever waited for the slow one would never come to the end.
    let last = 3 * LINES as u64;
    let reads = tokio::spawn(async move {
        let is_last = |line: &Line| match line {
            Line::Told(told) => told.at_ms == last,
            Line::Start { at_ms, .. } => *at_ms == last,
            _ => false,
        };
        until(&mut quick, &mut quick_lines, is_last).await
    });
    for at_ms in 0..=last {
        gallery.tell(&told(at_ms, "x".repeat(4000)), None);
        // The quick one gets its turn.
        tokio::time::sleep(Duration::from_micros(300)).await;
    }
    reads.await.unwrap();
    let again =
        until(&mut slow, &mut slow_lines, |line| matches!(line, Line::Start { missed, .. } if *missed > 0)).await;
    let Line::Start { at_ms, .. } = again else { panic!("{again:?}") };
    assert_eq!(at_ms, last, "it begins with what is so now");
}

/// Each read of his is quick: it is the line as a whole that takes too long.
#[tokio::test(flavor = "multi_thread")]
async fn who_drips_is_dropped_in_the_middle_of_a_line() {
    let base = tempfile::tempdir().unwrap();
    let gallery = Gallery::patient("1-session", Duration::from_secs(2));
    let socket = gallery.open(&base.path().join("run")).unwrap();
    let mut drips = vmtools::machine::connect(&socket).await.unwrap();
    until(&mut drips, &mut Lines::default(), |line| matches!(line, Line::Start { .. })).await;
    let long = LONGEST / 2;
    gallery.tell(&told(1, "x".repeat(long)), None);
    let (mut taken, mut chunk) = (0, [0; 4096]);
    loop {
        match drips.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(count) => taken += count,
        }
        assert!(taken < long, "it got all of it, however slowly");
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    while gallery.shared.seats.available_permits() < SEATS {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(gallery.shared.lock().ring.at(0), Found::Missed(1), "nothing is kept for nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_is_told_to_be_missing() {
    let base = tempfile::tempdir().unwrap();
    let gallery = Gallery::new("1-session");
    let socket = gallery.open(&base.path().join("run")).unwrap();
    let mut stream = vmtools::machine::connect(&socket).await.unwrap();
    let mut lines = Lines::default();
    until(&mut stream, &mut lines, |line| matches!(line, Line::Start { .. })).await;
    let odd = Event::Opened { logs: std::ffi::OsStr::from_bytes(b"/logs\xff").into() };
    // What is for one front end alone is no gap.
    let own = Event::TextRead { text: "x".into() };
    for (at_ms, event) in [(1, odd), (2, told(0, "x".repeat(LONGEST)).event), (3, own)] {
        gallery.tell(&Told { v: EVENT_VERSION, at_ms, event }, None);
    }
    gallery.tell(&told(4, "next".into()), None);
    let seen = std::cell::RefCell::new(Vec::new());
    let is_last = |line: &Line| {
        let Line::Told(it) = line else { panic!("{line:?}") };
        let Event::Noticed { level, text } = &it.event else { panic!("{it:?}") };
        seen.borrow_mut().push((it.at_ms, *level, text.contains("cannot be shown here")));
        it.at_ms == 4
    };
    until(&mut stream, &mut lines, is_last).await;
    let (gap, fine) = ((Level::Warning, true), (Level::Info, false));
    assert_eq!(*seen.borrow(), [(1, gap.0, gap.1), (2, gap.0, gap.1), (4, fine.0, fine.1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_too_many_and_one_that_talks_are_sent_away() {
    let base = tempfile::tempdir().unwrap();
    let gallery = Gallery::new("1-session");
    let socket = gallery.open(&base.path().join("run")).unwrap();
    let mut seated = Vec::new();
    for _ in 0..SEATS {
        let mut stream = vmtools::machine::connect(&socket).await.unwrap();
        until(&mut stream, &mut Lines::default(), |line| matches!(line, Line::Start { .. })).await;
        seated.push(stream);
    }
    let mut more = vmtools::machine::connect(&socket).await.unwrap();
    let refused = until(&mut more, &mut Lines::default(), |_| true).await;
    assert!(matches!(&refused, Line::Refused { why } if why.contains("are watching")), "{refused:?}");
    let mut talks = seated.pop().unwrap();
    talks.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let mut rest = Vec::new();
    let _ = talks.read_to_end(&mut rest).await;
    // There is a seat again, soon.
    loop {
        let mut stream = vmtools::machine::connect(&socket).await.unwrap();
        if matches!(until(&mut stream, &mut Lines::default(), |_| true).await, Line::Hello { .. }) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

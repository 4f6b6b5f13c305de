//! Who is slow, hostile or one too many holds nobody up.

use std::os::unix::fs::PermissionsExt as _;

use tokio::io::AsyncReadExt as _;

use super::super::line::Lines;
use super::*;
use crate::session::event::{EVENT_VERSION, Event, Level};

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
    tokio::time::timeout(Duration::from_secs(120), wait).await.unwrap()
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
    let gallery = Gallery::new("1-session");
    let socket = gallery.open(&base.path().join("run")).unwrap();
    let mut slow = vmtools::machine::connect(&socket).await.unwrap();
    let mut quick = vmtools::machine::connect(&socket).await.unwrap();
    let (mut slow_lines, mut quick_lines) = (Lines::default(), Lines::default());
    let begun = |line: &Line| matches!(line, Line::Start { .. });
    until(&mut slow, &mut slow_lines, begun).await;
    until(&mut quick, &mut quick_lines, begun).await;
    // More than a socket and the ring can hold: whoever waited for the slow one would never come to the end.
    let last = 3 * BEHIND as u64;
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

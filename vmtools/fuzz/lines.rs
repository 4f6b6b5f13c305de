//! What fuzzed bytes mean as lines: all that QEMU's control line says, and all that a guest writes to its serial line. However they
//! are cut, they say the same. The fuzz target and the test that replays its seeds share this.

use vmtools::ReportScanner;
use vmtools::qmp::message::{Lines, Message, parse};
use vmtools::serial::Finding;

/// Hears `bytes` as both: whole, and cut into pieces of `cut` bytes. Returns how many messages QEMU has sent, and what was found on
/// the serial line.
pub fn hear(bytes: &[u8], cut: usize) -> (usize, Vec<Finding>) {
    let whole = (messages(&[bytes]), findings(&[bytes]));
    let pieces: Vec<&[u8]> = bytes.chunks(cut.max(1)).collect();
    assert_eq!(messages(&pieces), whole.0);
    // Whether something lives after a panic is asked at the end of each piece.
    let told = |found: &[Finding]| {
        let told = found.iter().filter(|it| matches!(it, Finding::Report(_) | Finding::Step(_)));
        told.cloned().collect::<Vec<_>>()
    };
    assert_eq!(told(&findings(&pieces)), told(&whole.1));
    (whole.0.len(), whole.1)
}

fn messages(pieces: &[&[u8]]) -> Vec<Message> {
    let (mut lines, mut found) = (Lines::default(), Vec::new());
    for piece in pieces {
        let heard = lines.push(piece, |line| {
            found.push(parse(line)?);
            Ok(())
        });
        // Whoever says something else is not listened to any more.
        if let Err(error) = heard {
            let _ = error.to_string();
            break;
        }
    }
    found
}

fn findings(pieces: &[&[u8]]) -> Vec<Finding> {
    let (mut scanner, mut found) = (ReportScanner::new(), Vec::new());
    for piece in pieces {
        scanner.push(piece, |finding| {
            if let Finding::Report(report) = &finding {
                let _ = (report.live(), report.system_words());
            }
            found.push(finding);
        });
    }
    found
}

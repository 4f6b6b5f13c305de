//! Bytes from a server: a buffer that large reads bypass, and numbers in network order.

use std::io::{ErrorKind, IoSliceMut, Read};
use std::time::{Duration, Instant};

use super::RfbError;
use crate::display::pace::{PATIENCE, UNANSWERED};

/// Bytes that are read ahead at most.
const BUFFER: usize = 256 * 1024;
/// Reads of this size and more go straight to where the bytes belong.
pub(super) const DIRECT: usize = 64 * 1024;
/// What is read ahead where large pieces follow: enough for what is said before them.
const HEADERS: usize = 1024;
/// So often it is looked at how fast a message comes.
const LONG: Duration = Duration::from_secs(60);
/// Slower than this is no line that anybody looks at, bytes a second: a server that says a byte now and then.
pub(super) const SLOWEST: u64 = 64;
/// Into so many places a read goes at once (readv(2) takes 1024): more than a socket holds, row by row.
const AT_ONCE: usize = 64;

/// How fast a message comes.
#[derive(Debug, Default)]
struct Pace {
    /// Bytes that have come so far, taken out or not.
    received: u64,
    /// Since when it is looked at, and how many had come by then; `None` while hands are shaken.
    since: Option<(Instant, u64)>,
}

impl Pace {
    /// Another message is waited for.
    fn begin(&mut self) {
        self.since = Some((Instant::now(), self.received));
    }

    /// Whether it still comes at a speed that leads anywhere.
    fn keeps_up(&mut self) -> bool {
        let Some((since, before)) = self.since.filter(|(since, _)| since.elapsed() > LONG) else { return true };
        let enough = self.received - before >= SLOWEST * since.elapsed().as_secs();
        self.begin();
        enough
    }
}

/// Reads from `R`, knowing what it is doing, for errors.
#[derive(Debug)]
pub(super) struct Wire<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    consumed: u64,
    pace: Pace,
    /// How much is read ahead at once.
    ahead: usize,
    /// For how long the reader waits.
    pub(super) patience: Duration,
    /// What is being done, as in "closed the connection while …".
    pub(super) doing: &'static str,
}

impl<R: Read> Wire<R> {
    pub(super) fn new(reader: R) -> Self {
        let buffer = vec![0; BUFFER];
        let (patience, doing) = (PATIENCE, "shaking hands");
        Self { reader, buffer, start: 0, end: 0, consumed: 0, pace: Pace::default(), ahead: BUFFER, patience, doing }
    }

    /// Bytes that were taken out so far.
    pub(super) fn consumed(&self) -> u64 {
        self.consumed
    }

    fn failed(&self, error: std::io::Error) -> RfbError {
        let doing = self.doing;
        match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => RfbError::Closed { doing },
            // The line gives up a read after that time.
            ErrorKind::WouldBlock => RfbError::Stalled { doing, limit: self.patience },
            // What was sent was not acknowledged (tcp(7), TCP_USER_TIMEOUT).
            ErrorKind::TimedOut => RfbError::Unanswered { limit: UNANSWERED },
            _ => RfbError::Io { doing, source: error },
        }
    }

    /// One `read` from the server, of at least one byte.
    fn receive(&mut self, mut read: impl FnMut(&mut Self) -> Result<usize, std::io::Error>) -> Result<usize, RfbError> {
        loop {
            let count = match read(self) {
                Ok(0) => return Err(RfbError::Closed { doing: self.doing }),
                Ok(count) => count,
                // Also who has only a part of what can be read at once (a record of TLS).
                Err(error) if error.kind() == ErrorKind::Interrupted => 0,
                Err(error) => return Err(self.failed(error)),
            };
            self.pace.received += count as u64;
            if !self.pace.keeps_up() {
                return Err(RfbError::TooSlow { doing: self.doing });
            }
            if count > 0 {
                return Ok(count);
            }
        }
    }

    /// What is buffered, at least one byte, after a read if there is none.
    fn more(&mut self) -> Result<(), RfbError> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let until = self.buffer.len().min(self.end + self.ahead);
        self.end += self.receive(|wire| wire.reader.read(&mut wire.buffer[wire.end..until]))?;
        Ok(())
    }

    /// Waits for a first byte; false where none has come for as long as the reader waits: between messages a server may be still.
    pub(super) fn wait(&mut self) -> Result<bool, RfbError> {
        self.pace.begin();
        if self.start == self.end {
            match self.more() {
                Err(RfbError::Stalled { .. }) => return Ok(false),
                other => other?,
            }
        }
        Ok(true)
    }

    /// Between 1 and `limit` bytes that wait; [`Wire::consume`] takes them. `limit` is not 0.
    #[inline]
    pub(super) fn some(&mut self, limit: usize) -> Result<&[u8], RfbError> {
        if self.start == self.end {
            self.more()?;
        }
        let end = self.end.min(self.start.saturating_add(limit));
        Ok(&self.buffer[self.start..end])
    }

    #[inline]
    pub(super) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        self.consumed += count as u64;
    }

    /// The next `count` bytes, which must be few.
    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Result<&[u8], RfbError> {
        if count > BUFFER {
            return Err(RfbError::garbage(format!("{count} bytes in one piece")));
        }
        while self.end - self.start < count {
            self.more()?;
        }
        let start = self.start;
        self.consume(count);
        Ok(&self.buffer[start..start + count])
    }

    /// Fills `target`.
    pub(super) fn fill(&mut self, target: &mut [u8]) -> Result<(), RfbError> {
        let mut done = 0;
        while done < target.len() {
            let rest = &mut target[done..];
            if self.start < self.end || rest.len() < DIRECT {
                let some = self.some(rest.len())?;
                let count = some.len();
                rest[..count].copy_from_slice(some);
                self.consume(count);
                done += count;
                continue;
            }
            let count = self.receive(|wire| wire.reader.read(rest))?;
            done += count;
            self.consumed += count as u64;
        }
        Ok(())
    }

    /// Fills all of `targets`, one after the other: rows of a picture that lie apart, without a copy in between.
    pub(super) fn fill_all(&mut self, mut targets: &mut [IoSliceMut<'_>]) -> Result<(), RfbError> {
        let mut left: usize = targets.iter().map(|target| target.len()).sum();
        loop {
            // Also what is empty already.
            IoSliceMut::advance_slices(&mut targets, 0);
            let Some(first) = targets.first_mut() else { return Ok(()) };
            let count = if self.start < self.end || left < DIRECT {
                let some = self.some(first.len())?;
                let count = some.len();
                first[..count].copy_from_slice(some);
                self.consume(count);
                count
            } else {
                let most = targets.len().min(AT_ONCE);
                let count = self.receive(|wire| wire.reader.read_vectored(&mut targets[..most]))?;
                self.consumed += count as u64;
                count
            };
            left -= count;
            IoSliceMut::advance_slices(&mut targets, count);
        }
    }

    /// Says whether what comes next is likely to be large pieces that go straight to where they belong: what was read ahead of them
    /// would be copied once more.
    pub(super) fn expect_large(&mut self, large: bool) {
        self.ahead = if large { HEADERS } else { BUFFER };
    }

    /// Passes over `count` bytes.
    pub(super) fn skip(&mut self, mut count: usize) -> Result<(), RfbError> {
        while count > 0 {
            let some = self.some(count)?.len();
            self.consume(some);
            count -= some;
        }
        Ok(())
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], RfbError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, RfbError> {
        Ok(self.array::<1>()?[0])
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Result<u16, RfbError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, RfbError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(super) fn i32(&mut self) -> Result<i32, RfbError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// A text with its length before it: of what is longer than `limit` bytes the rest is passed over, and of what is longer
    /// than 16 MiB nothing is believed.
    pub(super) fn text(&mut self, limit: usize) -> Result<Vec<u8>, RfbError> {
        let length = self.u32()? as usize;
        if length > 16 << 20 {
            return Err(RfbError::garbage(format!("a text of {length} bytes")));
        }
        let mut text = vec![0; length.min(limit)];
        self.fill(&mut text)?;
        self.skip(length - text.len())?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out a few bytes at a time.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> {
            let count = target.len().min(self.0.len()).min(self.1);
            target[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn every_byte_arrives_once_however_it_comes() {
        let bytes: Vec<u8> = (0..900_000_u32).flat_map(u32::to_be_bytes).collect();
        for step in [7, 1000, 65_536, usize::MAX] {
            let mut wire = Wire::new(Drip(&bytes, step));
            assert_eq!((wire.u32().unwrap(), wire.u16().unwrap(), wire.u16().unwrap()), (0, 0, 1));
            wire.skip(4).unwrap();
            assert_eq!(wire.take(200_000).unwrap(), &bytes[12..200_012]);
            assert_eq!(wire.some(5).unwrap().len().min(1), 1);
            let mut large = vec![0; 3_000_000];
            wire.fill(&mut large).unwrap();
            assert!(large == bytes[200_012..3_200_012], "step {step}");
            assert_eq!(wire.consumed(), 3_200_012);
            wire.skip(400_000 - 12 - 4).unwrap();
            assert_eq!(wire.u32().unwrap(), 899_999);
            assert!(matches!(wire.u8(), Err(RfbError::Closed { .. })));
        }
    }

    #[test]
    fn places_that_lie_apart_are_filled_in_turn() {
        let bytes: Vec<u8> = (0..900_000_u32).flat_map(u32::to_be_bytes).collect();
        let mut said = Wire::new(&bytes[..]);
        let mut dripping = Wire::new(Drip(&bytes, 65_536));
        // Small ones, many, none at all, and large ones.
        for (length, count) in [(5, 3), (3000, 400), (0, 4), (100_000, 7), (1, 1)] {
            let mut at = [said.consumed() as usize, dripping.consumed() as usize];
            let mut apart = vec![vec![0; length]; count];
            for (number, place) in [0, 1].into_iter().zip(&mut at) {
                let mut targets: Vec<_> = apart.iter_mut().map(|part| IoSliceMut::new(part)).collect();
                if number == 0 { said.fill_all(&mut targets) } else { dripping.fill_all(&mut targets) }.unwrap();
                let whole = apart.concat();
                assert!(whole == bytes[*place..*place + length * count], "{length} {count} {number}");
                apart.iter_mut().for_each(|part| part.fill(0));
            }
            said.skip(3).unwrap();
            dripping.skip(3).unwrap();
        }
        assert_eq!(said.consumed(), dripping.consumed());
        let mut much = vec![0; 4_000_000];
        let cut = said.fill_all(&mut [IoSliceMut::new(&mut much)]);
        assert!(matches!(cut, Err(RfbError::Closed { .. })), "{cut:?}");
    }

    /// Says bytes, each after some time in which nothing comes.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> {
            if self.1 > 0 {
                self.1 -= 1;
                return Err(ErrorKind::WouldBlock.into());
            }
            self.1 = 3;
            let count = self.0.len().min(1);
            target[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    /// A line whose other end has vanished.
    struct Gone;

    impl Read for Gone {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(ErrorKind::TimedOut.into())
        }
    }

    #[test]
    fn stillness_is_waited_for_between_messages_and_an_error_inside_of_one() {
        let mut wire = Wire::new(Slow(&[1, 2], 3));
        assert_eq!([(); 4].map(|()| wire.wait().unwrap()), [false, false, false, true]);
        assert_eq!(wire.u8().unwrap(), 1);
        wire.doing = "sending a picture";
        let stalled = wire.u8().unwrap_err();
        assert!(matches!(stalled, RfbError::Stalled { doing: "sending a picture", limit: PATIENCE }));
        assert!(stalled.to_string().contains("nothing more for 5 s while sending a picture"), "{stalled}");
        while !wire.wait().unwrap() {}
        assert!(matches!(wire.fill(&mut [0; 200_000]), Err(RfbError::Stalled { .. })));
        let closed = std::iter::repeat_with(|| wire.wait()).find(|waited| !matches!(waited, Ok(false)));
        assert!(matches!(closed, Some(Err(RfbError::Closed { .. }))), "{closed:?}");
        let mut gone = Wire::new(Gone);
        assert!(matches!(gone.wait(), Err(RfbError::Unanswered { .. })), "it is not only still");
    }

    /// A server that says so much at once, and was last looked at a little more than [`LONG`] ago.
    fn looked_at_long_ago(step: usize) -> Wire<Drip<'static>> {
        let mut wire = Wire::new(Drip(&[7; 300_000], step));
        wire.u8().unwrap();
        wire.pace.since =
            Some((Instant::now().checked_sub(LONG + Duration::from_secs(1)).unwrap(), wire.pace.received));
        wire
    }

    #[test]
    fn who_drips_is_given_up_wherever_it_goes_and_who_is_slow_is_not() {
        type Read = fn(&mut Wire<Drip<'static>>) -> Result<(), RfbError>;
        let ways: [(&str, Read); 3] = [
            ("a number", |wire| wire.take(100).map(|_| ())),
            ("one piece", |wire| wire.fill(&mut [0; 200_000])),
            ("rows", |wire| wire.fill_all(&mut [IoSliceMut::new(&mut [0; 200_000])])),
        ];
        for (way, read) in ways {
            let dripped = read(&mut looked_at_long_ago(12));
            assert!(matches!(dripped, Err(RfbError::TooSlow { .. })), "{way}: {dripped:?}");
            // As much as a modem brings in that time.
            let slow = read(&mut looked_at_long_ago(61 * 64));
            assert!(slow.is_ok(), "{way}: {slow:?}");
        }
        // Nobody looks before the first message.
        let mut wire = Wire::new(Drip(&[7; 300], 1));
        wire.take(300).unwrap();
        assert!(wire.pace.since.is_none());
    }

    /// What has a part only of what can be read at once.
    struct InParts(u32);

    impl Read for InParts {
        fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> {
            self.0 += 1;
            if self.0 < 4 {
                return Err(ErrorKind::Interrupted.into());
            }
            target[..1].fill(9);
            Ok(1)
        }
    }

    #[test]
    fn parts_of_what_can_be_read_are_waited_for_as_long_as_they_lead_anywhere() {
        assert_eq!(Wire::new(InParts(0)).u8().unwrap(), 9);
        let mut wire = Wire::new(InParts(0));
        wire.pace.since = Some((Instant::now().checked_sub(LONG * 2).unwrap(), 0));
        assert!(matches!(wire.u8(), Err(RfbError::TooSlow { .. })));
    }

    #[test]
    fn texts_are_cut_and_huge_ones_refused() {
        let text = |length: u32, bytes: &[u8]| [&length.to_be_bytes()[..], bytes].concat();
        let bytes = text(5, b"hello!");
        let mut wire = Wire::new(&bytes[..]);
        assert_eq!(wire.text(3).unwrap(), b"hel");
        assert_eq!(wire.u8().unwrap(), b'!');
        assert!(matches!(Wire::new(&text(u32::MAX, b"")[..]).text(10), Err(RfbError::Garbage { .. })));
        assert!(matches!(Wire::new(&text(9, b"x")[..]).text(10), Err(RfbError::Closed { .. })));
    }
}

//! A zlib stream inside a rectangle: unpacked in pieces, never more than the rectangle wants.

use std::io::Read;

use flate2::{Decompress, FlushDecompress, Status};

use super::RfbError;
use super::wire::Wire;

/// Unpacked bytes that wait at most; more than a row of Tight or a tile of ZRLE.
const OUTPUT: usize = 128 * 1024;

/// One zlib stream of the connection; it goes on from rectangle to rectangle.
#[derive(Debug)]
pub(super) struct Zlib {
    stream: Decompress,
    output: Vec<u8>,
    start: usize,
    end: usize,
    /// Packed bytes of this rectangle that have not come yet.
    input: usize,
    /// All of this rectangle's bytes were taken, and no more comes of them.
    dry: bool,
}

impl Default for Zlib {
    fn default() -> Self {
        Self { stream: Decompress::new(true), output: Vec::new(), start: 0, end: 0, input: 0, dry: false }
    }
}

impl Zlib {
    /// The stream begins anew.
    pub(super) fn reset(&mut self) {
        self.stream.reset(true);
    }

    /// A rectangle begins whose packed bytes are `length`.
    pub(super) fn begin(&mut self, length: usize) {
        if self.output.is_empty() {
            self.output = vec![0; OUTPUT];
        }
        (self.start, self.end, self.input, self.dry) = (0, 0, length, false);
    }

    /// Unpacks some bytes more; false when no more will come.
    fn more<R: Read>(&mut self, wire: &mut Wire<R>) -> Result<bool, RfbError> {
        if self.dry {
            return Ok(false);
        }
        if self.start > 0 {
            self.output.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        loop {
            let packed: &[u8] = if self.input == 0 { &[] } else { wire.some(self.input)? };
            let (before_in, before_out) = (self.stream.total_in(), self.stream.total_out());
            let status = self
                .stream
                .decompress(packed, &mut self.output[self.end..], FlushDecompress::None)
                .map_err(|error| RfbError::garbage(format!("packed pixels that cannot be unpacked: {error}")))?;
            let taken = usize::try_from(self.stream.total_in() - before_in).unwrap_or(usize::MAX);
            let given = usize::try_from(self.stream.total_out() - before_out).unwrap_or(usize::MAX);
            if self.input > 0 {
                wire.consume(taken);
            }
            self.input = self.input.saturating_sub(taken);
            self.end = (self.end + given).min(self.output.len());
            // Nothing is held back for want of room: asking again would only cost time.
            self.dry = self.input == 0 && self.end < self.output.len();
            if given > 0 {
                return Ok(true);
            }
            if status == Status::StreamEnd && self.input > 0 && taken == 0 {
                return Err(RfbError::garbage("packed pixels after their end"));
            }
            if taken == 0 {
                return Ok(false);
            }
        }
    }

    /// At least `count` unpacked bytes, which are few; [`Zlib::consume`] takes them.
    pub(super) fn need<R: Read>(&mut self, wire: &mut Wire<R>, count: usize) -> Result<&[u8], RfbError> {
        while self.end - self.start < count {
            if count > OUTPUT || !self.more(wire)? {
                return Err(RfbError::garbage("fewer packed pixels than the rectangle has"));
            }
        }
        Ok(&self.output[self.start..self.end])
    }

    /// All that can be had up to `count` bytes.
    pub(super) fn up_to<R: Read>(&mut self, wire: &mut Wire<R>, count: usize) -> Result<&[u8], RfbError> {
        while self.end - self.start < count && self.more(wire)? {}
        Ok(&self.output[self.start..self.end])
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    /// The rectangle is complete: nothing more may come of it but what ends a block.
    pub(super) fn finish<R: Read>(&mut self, wire: &mut Wire<R>) -> Result<(), RfbError> {
        if self.start < self.end || self.more(wire)? {
            return Err(RfbError::garbage("more packed pixels than the rectangle has"));
        }
        if self.input > 0 {
            return Err(RfbError::garbage("packed bytes that mean nothing"));
        }
        Ok(())
    }
}

//! The newest that was told, for whoever is a little behind: bounded by number and by bytes. Pure.

use std::collections::VecDeque;
use std::sync::Arc;

use super::line::LONGEST;

/// How many lines wait for whoever is slow.
pub(super) const LINES: usize = 512;
/// How many bytes of lines do: room for any one.
pub(super) const BYTES: usize = LONGEST + 1;

/// What those who watch get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// With its end.
    Line(Arc<str>),
    /// Nothing follows.
    End,
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Line(line) => line.len(),
            Self::End => 0,
        }
    }
}

/// What there is under a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Item(Item),
    /// It is yet to come.
    NotYet,
    /// It is not kept any more, and neither are those behind it: so many in all.
    Missed(u64),
}

/// Items by number, the newest of them.
#[derive(Debug, Default)]
pub(super) struct Ring {
    /// The number of the oldest.
    first: u64,
    items: VecDeque<Item>,
    bytes: usize,
}

impl Ring {
    /// The number that the next one gets.
    pub(super) fn next(&self) -> u64 {
        self.first + self.items.len() as u64
    }

    /// Takes one more, and lets go of the oldest where there is no room for all.
    pub(super) fn push(&mut self, item: Item) {
        self.bytes += item.bytes();
        self.items.push_back(item);
        while self.items.len() > LINES || self.bytes > BYTES {
            let Some(oldest) = self.items.pop_front() else { return };
            self.bytes -= oldest.bytes();
            self.first += 1;
        }
    }

    /// What has this number.
    pub(super) fn at(&self, number: u64) -> Found {
        let Some(place) = number.checked_sub(self.first) else { return Found::Missed(self.first - number) };
        let item = usize::try_from(place).ok().and_then(|place| self.items.get(place));
        item.map_or(Found::NotYet, |item| Found::Item(item.clone()))
    }

    /// Lets go of all.
    pub(super) fn clear(&mut self) {
        self.first = self.next();
        self.items = VecDeque::new();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bytes: usize) -> Item {
        Item::Line("x".repeat(bytes).into())
    }

    #[test]
    fn many_short_ones_and_few_long_ones_are_bounded() {
        let mut ring = Ring::default();
        for _ in 0..LINES + 7 {
            ring.push(line(1));
        }
        assert_eq!((ring.items.len(), ring.first, ring.bytes), (LINES, 7, LINES));
        assert_eq!(ring.at(2), Found::Missed(5));
        assert_eq!((ring.at(7), ring.at(ring.next())), (Found::Item(line(1)), Found::NotYet));
        // The longest there is has room, alone.
        for _ in 0..3 {
            ring.push(line(BYTES));
            assert_eq!((ring.items.len(), ring.bytes), (1, BYTES));
        }
        ring.push(Item::End);
        assert_eq!(ring.at(ring.next() - 1), Found::Item(Item::End));
        let next = ring.next();
        ring.clear();
        assert_eq!((ring.next(), ring.bytes, ring.at(next - 1)), (next, 0, Found::Missed(1)));
    }
}

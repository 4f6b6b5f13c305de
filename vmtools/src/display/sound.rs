//! What the guest plays: samples on their way from its display's server to whoever plays them here.
//!
//! Bounded: of what nobody takes in time the oldest goes, so that what is heard is never far behind what is seen. Nothing is
//! asked of the server unless somebody wants to hear it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use super::screen::lock;

/// Sound as it is asked of the server: signed 16 bits, little endian, left and right in turn; so many of each a second.
pub const SOUND_RATE: u32 = 48_000;
/// Bytes of one moment of it.
pub const SOUND_FRAME: usize = 4;
/// How much waits to be taken at most: 0.3 s, bytes.
const KEPT: usize = SOUND_RATE as usize * SOUND_FRAME * 3 / 10;

/// How many may wait for it at once.
const TAKERS: usize = 8;

/// A piece of what the guest plays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Played {
    /// It begins to play.
    Begun,
    /// Samples, whole moments of them in order.
    Samples(Vec<u8>),
    /// It is silent until it begins again.
    Ended,
}

/// The guest's sound, shared by the source that hears it and whoever plays it.
#[derive(Debug, Default)]
pub struct Sound {
    offered: AtomicBool,
    wanted: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    samples: VecDeque<u8>,
    /// Who waits for samples: of two that take turns for a moment neither is forgotten.
    takers: Vec<Waker>,
}

impl Sound {
    /// Whether the guest's display passes its sound on.
    #[must_use]
    pub fn offered(&self) -> bool {
        self.offered.load(Ordering::Acquire)
    }

    /// Whether somebody wants to hear it.
    #[must_use]
    pub fn wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    /// Takes whole moments of sound to `to` and says how many bytes; waits, waking `context`, where there are none. Never says 0.
    pub fn poll_take(&self, context: &mut Context<'_>, to: &mut [u8]) -> Poll<usize> {
        let mut waiting = self.waiting();
        let count = waiting.samples.len().min(to.len()) / SOUND_FRAME * SOUND_FRAME;
        if count == 0 {
            if !waiting.takers.iter().any(|taker| taker.will_wake(context.waker())) && waiting.takers.len() < TAKERS {
                waiting.takers.push(context.waker().clone());
            }
            return Poll::Pending;
        }
        for (byte, sample) in to.iter_mut().zip(waiting.samples.drain(..count)) {
            *byte = sample;
        }
        Poll::Ready(count)
    }

    /// Says whether anybody wants it; true if that is new.
    pub(super) fn want(&self, wanted: bool) -> bool {
        self.forget();
        self.wanted.swap(wanted, Ordering::AcqRel) != wanted
    }

    /// Says whether the display passes it on; true if that is new.
    pub(super) fn offer(&self, offered: bool) -> bool {
        self.forget();
        self.offered.swap(offered, Ordering::AcqRel) != offered
    }

    /// Takes what has come.
    pub(super) fn hear(&self, played: &Played) {
        let Played::Samples(samples) = played else { return self.forget() };
        if !self.wanted() {
            return;
        }
        let mut waiting = self.waiting();
        waiting.samples.extend(samples);
        let excess = waiting.samples.len().saturating_sub(KEPT).next_multiple_of(SOUND_FRAME);
        let excess = excess.min(waiting.samples.len());
        waiting.samples.drain(..excess);
        let takers = std::mem::take(&mut waiting.takers);
        drop(waiting);
        takers.into_iter().for_each(Waker::wake);
    }

    fn forget(&self) {
        self.waiting().samples.clear();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(sound: &Sound, room: usize) -> Option<Vec<u8>> {
        let mut to = vec![0; room];
        match sound.poll_take(&mut Context::from_waker(Waker::noop()), &mut to) {
            Poll::Ready(count) => Some(to[..count].to_vec()),
            Poll::Pending => None,
        }
    }

    #[test]
    fn whole_moments_are_taken_in_order_and_the_oldest_go_first() {
        let sound = Sound::default();
        sound.hear(&Played::Samples(vec![1; 8]));
        assert_eq!(take(&sound, 8), None, "nobody wanted it");
        assert!(sound.want(true) && !sound.want(true));
        sound.hear(&Played::Samples(vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(take(&sound, 7), Some(vec![1, 2, 3, 4]));
        assert_eq!(take(&sound, 7), None, "half a moment is none");
        sound.hear(&Played::Samples(vec![7, 8]));
        assert_eq!(take(&sound, 3), None);
        assert_eq!(take(&sound, 4), Some(vec![5, 6, 7, 8]));
        for number in 0..20_u8 {
            sound.hear(&Played::Samples(vec![number; KEPT / 10]));
        }
        let kept = take(&sound, 2 * KEPT).unwrap();
        assert!(kept.len() <= KEPT && kept.len() > KEPT - KEPT / 10 && kept.ends_with(&[19]) && kept[0] >= 10);
        sound.hear(&Played::Samples(vec![1; 8]));
        sound.hear(&Played::Begun);
        assert_eq!(take(&sound, 8), None, "it begins anew");
    }
}

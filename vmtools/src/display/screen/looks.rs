//! Who looks at a screen: whether anything is asked of the guest, and how a picture of now is had where nobody does.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::{Screen, lock};

impl Screen {
    /// Says whether whoever shows it is seen. Nothing is asked of the guest while nobody looks: its picture is then as it was,
    /// until [`Screen::fresh`].
    pub fn set_visible(&self, visible: bool) {
        if self.hidden.swap(!visible, Ordering::AcqRel) == visible {
            // What is asked for only now is not late yet.
            if let Some(since) = &mut *lock(&self.behind) {
                *since = Instant::now();
            }
            self.wishes.notify_one();
        }
    }

    /// Whether anybody looks.
    #[must_use]
    pub fn visible(&self) -> bool {
        !self.hidden.load(Ordering::Acquire) || self.lookers.load(Ordering::Acquire) > 0
    }

    /// Looks at it until the answer is dropped, whether it is shown or not.
    #[must_use]
    pub fn look(self: &Arc<Self>) -> Look {
        self.lookers.fetch_add(1, Ordering::AcqRel);
        self.wishes.notify_one();
        Look(Arc::clone(self))
    }

    /// Whether there is a picture, live or not.
    #[must_use]
    pub fn has_picture(&self) -> bool {
        lock(&self.picture).width > 0
    }

    /// Asks the guest for its picture of now, and waits for nothing. Returns the number of the wish.
    pub fn wish_fresh(&self) -> u64 {
        let wish = self.fresh.fetch_add(1, Ordering::AcqRel) + 1;
        self.wishes.notify_one();
        wish
    }

    /// Asks the guest for its picture of now and waits until it has come, or for `patience` at most. Says whether it has: a
    /// snapshot is of now then. Where the screen is not live nothing is waited for.
    pub async fn fresh(&self, patience: Duration) -> bool {
        let wish = self.wish_fresh();
        let waiting = async {
            loop {
                let news = self.freshened.notified();
                let answered = self.answered.load(Ordering::Acquire) >= wish;
                if answered || !self.live() {
                    return answered;
                }
                news.await;
            }
        };
        timeout(patience, waiting).await.unwrap_or(false)
    }

    /// The newest wish for a picture of now, if there is one after `asked`.
    pub(crate) fn fresh_wish(&self, asked: u64) -> Option<u64> {
        let newest = self.fresh.load(Ordering::Acquire);
        (newest > asked && newest > self.answered.load(Ordering::Acquire)).then_some(newest)
    }

    /// Whether `asked`, which was passed on, is unanswered.
    pub(crate) fn wants_fresh(&self, asked: u64) -> bool {
        asked > self.answered.load(Ordering::Acquire)
    }

    /// The picture is one of after the wish `asked`.
    pub(crate) fn answer_fresh(&self, asked: u64) {
        if self.answered.fetch_max(asked, Ordering::AcqRel) < asked {
            self.freshened.notify_waiters();
        }
    }

    /// Says that the user only looks: nothing is sent then that the guest's own machine would not have to know.
    pub fn set_view_only(&self, only: bool) {
        self.view_only.store(only, Ordering::Release);
    }

    /// Whether the user only looks.
    #[must_use]
    pub fn view_only(&self) -> bool {
        self.view_only.load(Ordering::Acquire)
    }
}

/// Somebody looks at a screen, as long as this lives.
#[derive(Debug)]
pub struct Look(Arc<Screen>);

impl Drop for Look {
    fn drop(&mut self) {
        self.0.lookers.fetch_sub(1, Ordering::AcqRel);
    }
}

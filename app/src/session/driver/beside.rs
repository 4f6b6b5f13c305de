//! Work beside everything else that reads or writes the cache. Whoever removes the cache waits for it: what it would still write is
//! no work folder's any more.

use isoprep::Cancel;
use tokio::task::{JoinHandle, JoinSet};

/// What is under way.
#[derive(Default)]
pub(super) struct Beside {
    tasks: JoinSet<()>,
    cancel: Cancel,
}

impl Beside {
    /// Does `work`, which blocks, off the driver. It ends soon after its token is cancelled.
    pub(super) fn run(&mut self, work: impl FnOnce(&Cancel) + Send + 'static) {
        self.forget_ended();
        let cancel = self.cancel.clone();
        self.tasks.spawn_blocking(move || work(&cancel));
    }

    /// The same for work that waits.
    pub(super) fn spawn(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.forget_ended();
        self.tasks.spawn(work);
    }

    /// Takes over what was cancelled and has not ended yet.
    pub(super) fn leave<T: Send + 'static>(&mut self, work: JoinHandle<T>) {
        self.spawn(async move { drop(work.await) });
    }

    fn forget_ended(&mut self) {
        while self.tasks.try_join_next().is_some() {}
    }

    /// Cancels all of it. [`Beside::ended`] waits for what that leaves; what begins from now on is another's.
    pub(super) fn stop(&mut self) -> Self {
        self.cancel.cancel();
        std::mem::take(self)
    }

    /// Waits until all of it has ended.
    pub(super) async fn ended(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_is_stopped_is_waited_for_and_what_begins_then_is_not() {
        let (mut beside, done) = (Beside::default(), Arc::new(AtomicUsize::new(0)));
        let count = |done: &Arc<AtomicUsize>| {
            let done = Arc::clone(done);
            move || {
                done.fetch_add(1, Ordering::SeqCst);
            }
        };
        let ended = count(&done);
        beside.run(move |cancel| {
            while !cancel.wait(std::time::Duration::from_secs(60)) {}
            ended();
        });
        let ended = count(&done);
        beside.leave(tokio::task::spawn_blocking(ended));
        let stopped = beside.stop();
        beside.spawn(std::future::pending());
        stopped.ended().await;
        assert_eq!(done.load(Ordering::SeqCst), 2);
    }
}

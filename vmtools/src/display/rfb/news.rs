//! What is told of a display's connections, to whoever wants to know: how each began, and why it ended.

use tokio::sync::{mpsc, watch};

use super::RfbError;
use crate::display::pace::is_gone;

/// How a connection goes.
#[derive(Debug)]
pub enum News {
    /// It is there.
    Connected {
        /// What the server calls itself.
        name: String,
        /// It is inside TLS.
        tls: bool,
    },
    /// The server is reached, and has not let us in yet.
    Waiting,
    /// It is over, or came to nothing. Another one is tried next.
    Lost(RfbError),
}

/// Tells it, if anybody wants to know.
#[derive(Clone, Debug, Default)]
pub(super) struct Reporter(Option<mpsc::Sender<News>>);

impl Reporter {
    pub(super) fn to(news: mpsc::Sender<News>) -> Self {
        Self(Some(news))
    }

    /// Waits until there is room for it, or the guest is gone.
    pub(super) async fn tell(&self, news: News, gone: &mut watch::Receiver<bool>) {
        let Some(queue) = &self.0 else { return };
        tokio::select! {
            _ = queue.send(news) => {}
            () = is_gone(gone) => {}
        }
    }
}

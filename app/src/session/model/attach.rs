//! What a front end knows of a VNC server of somebody else's.

use serde::{Deserialize, Serialize};

use super::Model;
use crate::session::attachment::AttachedView;
use crate::session::event::Event;
use crate::session::state::{Goal, Phase};

/// A VNC server of somebody else's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachView {
    /// Where it is.
    pub address: String,
    /// The host that ssh reaches it from, if it does.
    pub ssh: Option<String>,
    /// When it was asked for, milliseconds since the session began.
    pub since_ms: u64,
    /// The server, once it is attached.
    pub server: Option<AttachedView>,
    /// Why its connection is lost, while it is tried again.
    pub lost: Option<String>,
}

impl Model {
    /// Folds what is told of it.
    pub(super) fn fold_attach(&mut self, event: &Event, at: u64) {
        if let Event::AttachBegan { address, ssh } = event {
            let (address, ssh) = (address.clone(), ssh.clone());
            self.attach = Some(AttachView { address, ssh, since_ms: at, server: None, lost: None });
        }
        if let Event::AttachRecentChanged { addresses } = event {
            self.attach_recent.clone_from(addresses);
        }
        let Some(attach) = &mut self.attach else { return };
        match event {
            Event::Attached { view } => attach.server = Some(view.clone()),
            Event::AttachAsks { want } => self.attach_want = Some(want.clone()),
            Event::AttachLost { why } => attach.lost = Some(why.clone()),
            Event::AttachBack => attach.lost = None,
            _ => {}
        }
    }

    /// Whether a VNC server is what is worked towards, or on the screen.
    #[must_use]
    pub fn attaches(&self) -> bool {
        self.state.goal == Some(Goal::Attach)
    }

    /// The server that is attached right now.
    #[must_use]
    pub fn attached(&self) -> Option<&AttachedView> {
        let runs = self.attaches() && self.state.phase == Phase::Running;
        self.attach.as_ref().filter(|_| runs)?.server.as_ref()
    }

    /// Whether something is on the screen that takes keys: a guest, or a server that is attached.
    #[must_use]
    pub fn takes_keys(&self) -> bool {
        self.guest_runs() || self.attached().is_some()
    }
}

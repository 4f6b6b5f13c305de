//! Attaching to a VNC server, with the certificate that it is known by.

use std::path::PathBuf;
use std::sync::Arc;

use isoprep::Cancel;
use tokio::sync::mpsc::Sender;
use vmtools::attach::{AttachError, AttachEvent, AttachPlan, Attached, KnownServers, attach};
use vmtools::display::Screen;

use super::start::{cancelled, not_started};
use crate::session::attachment::{AttachWant, AttachWish};
use crate::session::event::Failure;
use crate::session::failure;

/// Why a server is not attached.
pub(in crate::session) struct NotAttached {
    pub(in crate::session) failure: Failure,
    /// What the user could answer.
    pub(in crate::session) want: Option<AttachWant>,
}

impl NotAttached {
    pub(in crate::session) fn of(error: &AttachError, known: &KnownServers) -> Self {
        Self { failure: failure::of_attach(error, known.file()), want: error.want().map(AttachWant::from) }
    }
}

/// A server that is attached.
pub(in crate::session) struct Joined {
    pub(in crate::session) attached: Attached,
    /// Why its certificate is not remembered, where it should be.
    pub(in crate::session) forgotten: Option<String>,
}

/// Attaches. `runtime` is a private directory, needed for a way through ssh.
pub(in crate::session) async fn join(
    wish: AttachWish,
    known: KnownServers,
    runtime: PathBuf,
    events: Sender<AttachEvent>,
    screen: Arc<Screen>,
    cancel: Cancel,
) -> Result<Box<Joined>, Box<NotAttached>> {
    let not = |error: AttachError| Box::new(NotAttached::of(&error, &known));
    let before = known.find(&wish.place).map_err(|error| not(error.into()))?;
    let fingerprint = wish.trust.or(before);
    let plan = AttachPlan { password: wish.password, fingerprint, ..AttachPlan::new(wish.place.clone(), runtime) };
    let attached = tokio::select! {
        attached = attach(plan, events, screen) => attached.map_err(not)?,
        () = cancelled(&cancel) => return Err(Box::new(NotAttached { failure: not_started(), want: None })),
    };
    let new = fingerprint.filter(|it| attached.tls() && before != Some(*it));
    let forgotten = new.and_then(|it| known.keep(&wish.place, it).err()).map(|error| error.to_string());
    Ok(Box::new(Joined { attached, forgotten }))
}

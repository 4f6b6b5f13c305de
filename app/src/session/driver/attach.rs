//! A VNC server of somebody else's in place of a guest: a goal like any other, so that it goes through the same phases.

use std::sync::Arc;

use tokio::sync::mpsc::channel;
use vmtools::attach::{AttachEvent, KnownServers, Place};
use vmtools::display::InputEvent;
use vmtools::display::rfb::Address;

use super::Driver;
use crate::session::attachment::{AttachWish, AttachedView};
use crate::session::event::{Event, Level};
use crate::session::failure::internal;
use crate::session::jobs::{self, Joined, NotAttached, Outcome};
use crate::session::state::{Goal, Input, Phase, step};

/// What is said where something wants a guest of ours, and a server is attached.
const NOT_OURS: &str = "A VNC server is attached: it has neither a power button, nor a serial line, nor slots here. Disconnect from it to \
                        boot a guest of your own";

impl Driver {
    pub(super) async fn attach(&mut self, wish: AttachWish) {
        if step(&self.state, Input::Ask(Goal::Attach)).is_ok() {
            self.attach_wish = Some(wish);
        }
        self.input(Input::Ask(Goal::Attach)).await;
    }

    /// There is nothing to look at on this host.
    pub(super) async fn prepare_attach(&mut self) {
        let Some(wish) = &self.attach_wish else {
            return self.fail(internal("There is nothing to attach to", &"no address")).await;
        };
        let (address, ssh) = (wish.place.to_string(), wish.place.ssh.as_ref().map(ToString::to_string));
        self.cancel = isoprep::Cancel::new();
        self.tell(Event::AttachBegan { address, ssh }).await;
        self.input(Input::Prepared).await;
    }

    pub(super) async fn start_attach(&mut self) {
        self.screen.forget();
        let Some(wish) = self.attach_wish.take() else {
            return self.fail(internal("There is nothing to attach to", &"no address")).await;
        };
        self.boots += 1;
        let runtime = self.paths.runtime.join(format!("{}-{}", self.id, self.boots));
        if wish.place.ssh.is_some()
            && let Err(failure) = self.make_runtime(&runtime)
        {
            return self.fail(failure).await;
        }
        self.attached_to = Some(wish.place.clone());
        let (events, queue) = channel(64);
        self.attached_events = Some(queue);
        let (known, screen, cancel) = (self.known_servers(), Arc::clone(&self.screen), self.cancel.clone());
        self.job = Some(tokio::spawn(async move {
            Outcome::Attached(jobs::join(wish, known, runtime, events, screen, cancel).await)
        }));
    }

    /// The answer of that.
    pub(super) async fn attached(&mut self, answer: Result<Box<Joined>, Box<NotAttached>>) {
        let joined = match answer {
            Ok(joined) => *joined,
            Err(not) => return self.not_attached(*not).await,
        };
        let Some(place) = self.attached_to.clone() else { return };
        let view = AttachedView {
            address: place.to_string(),
            ssh: place.ssh.as_ref().map(ToString::to_string),
            name: joined.attached.name().to_owned(),
            tls: joined.attached.tls(),
            local: is_local(&place),
        };
        self.attached = Some(Box::new(joined.attached));
        let readable = (!view.is_secret()).then(|| view.secrecy().trim_end_matches('.').to_owned());
        self.tell(Event::Attached { view }).await;
        if let Some(text) = readable {
            self.notice(Level::Info, text).await;
        }
        if let Some(why) = joined.forgotten {
            self.notice(Level::Warning, format!("The certificate is not remembered: {why}")).await;
        }
        match self.attach_recent.insert(&place.to_string()) {
            Ok(true) => self.tell_attach_recent().await,
            Ok(false) => {}
            Err(error) => self.notice(Level::Warning, format!("The address is not remembered: {error}")).await,
        }
        self.input(Input::BootDone).await;
    }

    /// Tells which servers were attached to, if any was.
    pub(super) async fn tell_attach_recent(&mut self) {
        let addresses = self.attach_recent.addresses().to_vec();
        if !addresses.is_empty() {
            self.tell(Event::AttachRecentChanged { addresses }).await;
        }
    }

    async fn not_attached(&mut self, not: NotAttached) {
        if let Some(want) = not.want {
            self.tell(Event::AttachAsks { want }).await;
        }
        self.fail(not.failure).await;
    }

    pub(super) async fn attached_event(&mut self, event: AttachEvent) {
        match event {
            AttachEvent::Said(bytes) => {
                String::from_utf8_lossy(&bytes).lines().for_each(|line| self.note(&format!("ssh: {line}")));
            }
            AttachEvent::Waiting => {
                let text = "The VNC server is there, and has not let us in yet: it may be asking its user";
                self.notice(Level::Info, text.to_owned()).await;
            }
            AttachEvent::Lost { why } => self.tell(Event::AttachLost { why }).await,
            AttachEvent::Back => self.tell(Event::AttachBack).await,
            AttachEvent::Ended(error) if self.state.phase == Phase::Running => {
                self.not_attached(NotAttached::of(&error, &self.known_servers())).await;
            }
            AttachEvent::Ended(_) => {}
        }
    }

    /// Certificates of servers that the user trusts.
    fn known_servers(&self) -> KnownServers {
        KnownServers::new(&self.paths.known_servers())
    }

    /// Passes input to what is on the screen. False where nothing is.
    pub(super) fn pass(&self, event: InputEvent) -> bool {
        match (&self.guest, &self.attached) {
            (Some(guest), _) => guest.input(event),
            (None, Some(attached)) => attached.input(event),
            (None, None) => return false,
        }
        true
    }

    /// Whether something is on the screen that takes input.
    pub(super) fn has_screen(&self) -> bool {
        self.guest.is_some() || self.attached.is_some()
    }

    /// Why nothing is done with a guest of ours.
    pub(super) fn no_guest(&self) -> &'static str {
        if self.attached.is_some() { NOT_OURS } else { "No guest is running" }
    }
}

/// Whether nothing of a network is between us and it.
fn is_local(place: &Place) -> bool {
    match &place.at {
        Address::Unix(_) => true,
        Address::Tcp(at) => {
            let host = at.rsplit_once(':').map_or(at.as_str(), |(host, _)| host);
            let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
            host == "localhost" || address.is_ok_and(|address| address.is_loopback())
        }
    }
}

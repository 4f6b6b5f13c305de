//! Meeting a server: connecting, shaking hands, and which way to log in is tried first.

use std::time::Duration;

use super::address::{Address, Line};
use super::handshake::{self, Credentials, Order, agree, log_in};
use super::wire::Wire;
use super::{Encoding, RfbError, Trust};
use crate::display::pace::PATIENCE;

/// A server, and how it is met.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) address: Address,
    /// It listens in a runtime directory of ours.
    pub(super) ours: bool,
    pub(super) credentials: Credentials,
    pub(super) trust: Trust,
    pub(super) encoding: Encoding,
    /// It is somebody else's, who may let us in or not for so long; and whether it lives, nobody else tells.
    pub(super) login: Option<Duration>,
}

pub(super) fn failed(source: std::io::Error) -> RfbError {
    RfbError::Io { doing: "connecting", source }
}

/// A connection whose hands are shaken.
pub(super) struct Met {
    pub(super) wire: Wire<Line>,
    /// Another handle of the same, to write to.
    pub(super) writer: Line,
    pub(super) server: handshake::Server,
    /// It is inside TLS.
    pub(super) tls: bool,
}

/// Connects and shakes hands, and inside TLS where the server has that and others could read along. `reached` is called with the
/// line when there is one, and without when there is none again.
pub(super) fn shake(to: &Server, reached: impl Fn(Option<&Line>) -> Result<(), RfbError>) -> Result<Met, RfbError> {
    let order = match (to.credentials.only_tls, to.address.is_network()) {
        (true, _) => Order::OnlyTls,
        (false, true) => Order::Tls,
        (false, false) => Order::Plain,
    };
    let without_certificate = match shake_by(order, to, &reached) {
        Err(error @ (RfbError::Anonymous { .. } | RfbError::Ways { .. })) if order == Order::Tls => error,
        met => return met,
    };
    // What was chosen is chosen: another way begins anew.
    reached(None)?;
    match shake_by(Order::WithoutTls, to, &reached) {
        Err(RfbError::Security { .. }) => Err(without_certificate),
        met => met,
    }
}

fn shake_by(
    order: Order,
    to: &Server,
    reached: &impl Fn(Option<&Line>) -> Result<(), RfbError>,
) -> Result<Met, RfbError> {
    let line = Line::connect(&to.address, to.ours)?;
    let mut writer = line.another().map_err(failed)?;
    reached(Some(&line))?;
    let mut wire = Wire::new(line);
    // A server greets at once, and may then ask its user.
    wire.some(1)?;
    let login = to.login.unwrap_or(PATIENCE);
    let wait = |writer: &Line, wire: &mut Wire<Line>, patience| {
        wire.patience = patience;
        writer.wait_at_most(patience).map_err(failed)
    };
    let waited = |error| match error {
        RfbError::Stalled { limit, .. } if to.login == Some(limit) => RfbError::NotLetIn { limit },
        error => error,
    };
    wait(&writer, &mut wire, login)?;
    let agreed = agree(&mut wire, &mut writer, order).map_err(waited)?;
    if agreed.tls {
        wait(&writer, &mut wire, PATIENCE)?;
        let inside = writer.secured(&to.address, &to.trust)?;
        writer = inside.another().map_err(failed)?;
        wire = Wire::new(inside);
        wait(&writer, &mut wire, login)?;
    }
    let server = log_in(&mut wire, &mut writer, agreed, &to.credentials).map_err(waited)?;
    wait(&writer, &mut wire, PATIENCE)?;
    Ok(Met { wire, writer, server, tls: agreed.tls })
}

/// Connects, shakes hands and hangs up: what a connection would meet.
pub(super) fn meet(to: &Server) -> Result<(), RfbError> {
    shake(to, |_| Ok(())).map(|met| met.writer.shut())
}

//! What the user does, on its way to the server: in order, at a pace that QEMU can take, as keys and places that it knows.

use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::connection::{Outbox, lock};
use super::source::{Session, send};
use super::{RfbError, clipboard, outgoing};
use crate::display::pace::KEY_PACE;
use crate::display::{InputEvent, NOTHING, keysym};

impl Session<'_> {
    /// Sends `first` and what else waits, leaving out pointer positions that newer ones have overtaken.
    pub(super) async fn take_inputs(
        &mut self,
        outbox: &Outbox,
        first: InputEvent,
        inputs: &mut mpsc::Receiver<InputEvent>,
    ) -> Result<(), RfbError> {
        let mut event = first;
        while matches!(event, InputEvent::Pointer { .. } | InputEvent::Motion { .. }) {
            let Ok(next) = inputs.try_recv() else { break };
            event = match event.overtaken_by(next) {
                Some(both) => both,
                None => {
                    self.follow(outbox, event).await?;
                    next
                }
            };
        }
        self.follow(outbox, event).await
    }

    async fn follow(&mut self, outbox: &Outbox, event: InputEvent) -> Result<(), RfbError> {
        let buttons = self.keyboard.buttons();
        if event == InputEvent::ReleaseAll {
            self.locks.end();
        }
        let mut out = Vec::new();
        self.keyboard.follow(event, |event| out.push(event));
        let sent = self.pass_on(outbox, out).await;
        if sent.is_err() {
            self.keyboard.doubt(buttons);
        }
        sent
    }

    pub(super) async fn pass_on(&mut self, outbox: &Outbox, events: Vec<InputEvent>) -> Result<(), RfbError> {
        for event in events {
            match event {
                InputEvent::Key { scancode, keysym, down } => {
                    let Some(message) = self.stroke(scancode, keysym, down) else { continue };
                    self.keys_until = self.keys_until.max(Instant::now()) + KEY_PACE;
                    send(outbox, message).await?;
                }
                InputEvent::Pointer { x, y, buttons } => {
                    let at = self.place(x, y);
                    let takes_places = !self.facts.relative.load(Ordering::SeqCst);
                    self.screen.set_pointer(takes_places.then_some((x, y)));
                    self.point(outbox, at, buttons).await?;
                }
                InputEvent::Motion { dx, dy, buttons } => {
                    let Some(at) = self.moved((dx, dy), buttons) else { continue };
                    self.screen.set_pointer(None);
                    self.point(outbox, at, buttons).await?;
                }
                InputEvent::Locks(host) => {
                    let keys = self.locks.begin(host);
                    self.press(outbox, keys).await?;
                }
                InputEvent::ReleaseAll => {}
            }
        }
        Ok(())
    }

    /// Hands over the text that the user has for the guest, if there is one: now, or once the guest asks for it.
    pub(super) async fn hand_over(&mut self, outbox: &Outbox) -> Result<(), RfbError> {
        let Some(text) = self.screen.take_offer() else { return Ok(()) };
        if !self.facts.unicode.load(Ordering::SeqCst) {
            return send(outbox, clipboard::cut_text(&text)).await;
        }
        if !self.facts.notify.load(Ordering::SeqCst) {
            return send(outbox, clipboard::provide(&text)).await;
        }
        *lock(&self.facts.offer) = Some(text);
        send(outbox, clipboard::notify(true)).await
    }

    /// The guest has told of its lock keys.
    pub(super) async fn lights(&mut self, outbox: &Outbox) -> Result<(), RfbError> {
        let told = lock(&self.facts.locks).take();
        let keys = told.map(|locks| self.locks.told(locks)).unwrap_or_default();
        self.press(outbox, keys).await
    }

    /// Presses and releases lock keys, but none that the user has a finger on.
    async fn press(&mut self, outbox: &Outbox, keys: Vec<u16>) -> Result<(), RfbError> {
        for scancode in keys.into_iter().filter(|key| !self.keyboard.is_down(*key)).collect::<Vec<_>>() {
            for down in [true, false] {
                let Some(message) = self.key(scancode, None, down) else { continue };
                self.keys_until = self.keys_until.max(Instant::now()) + KEY_PACE;
                send(outbox, message).await?;
            }
        }
        Ok(())
    }

    /// A key of the user's. It goes up as it went down, also where the server has told meanwhile that it knows scan codes.
    fn stroke(&mut self, scancode: u16, yields: Option<u32>, down: bool) -> Option<Vec<u8>> {
        let named = self.by_keysym.iter().position(|code| *code == scancode);
        match named {
            Some(at) if !down => {
                self.by_keysym.swap_remove(at);
                return by_keysym(scancode, yields, false);
            }
            None if down && !self.facts.extended_keys.load(Ordering::SeqCst) => self.by_keysym.push(scancode),
            _ => {}
        }
        self.key(scancode, yields, down)
    }

    /// A key as this server takes it: by its scan code, or as what it yields. `None` where nothing says that.
    pub(super) fn key(&self, scancode: u16, yields: Option<u32>, down: bool) -> Option<Vec<u8>> {
        if scancode != 0 && self.facts.extended_keys.load(Ordering::SeqCst) {
            let keysym = yields.or_else(|| keysym(scancode));
            return Some(outgoing::extended_key(scancode, keysym.unwrap_or(0), down));
        }
        by_keysym(scancode, yields, down)
    }

    async fn point(&mut self, outbox: &Outbox, at: (u16, u16), buttons: u16) -> Result<(), RfbError> {
        self.buttons = buttons;
        send(outbox, outgoing::pointer(at, buttons, self.facts.extended_buttons.load(Ordering::SeqCst))).await
    }

    /// A movement. Where the server wants places it was meant for one that does no longer, and only its buttons count: where the
    /// pointer was last, or in the middle of the screen, and nowhere if they are as they were.
    fn moved(&self, (dx, dy): (i16, i16), buttons: u16) -> Option<(u16, u16)> {
        if self.facts.relative.load(Ordering::SeqCst) {
            return Some((moved(0, i32::from(dx)), moved(0, i32::from(dy))));
        }
        let middle = || {
            let half = |side: usize| u16::try_from(side / 2).unwrap_or(u16::MAX);
            let (width, height) = *lock(&self.facts.size);
            (half(width), half(height))
        };
        let last = self.pointer.or(self.keyboard.place());
        if buttons == self.buttons { None } else { Some(last.unwrap_or_else(middle)) }
    }

    /// Where the pointer is; or how far it moved, from the middle of all places, where the server wants that.
    fn place(&mut self, x: u16, y: u16) -> (u16, u16) {
        let (last_x, last_y) = self.pointer.replace((x, y)).unwrap_or((x, y));
        if !self.facts.relative.load(Ordering::SeqCst) {
            return (x, y);
        }
        (moved(last_x.into(), x.into()), moved(last_y.into(), y.into()))
    }
}

/// A key as what it yields. `None` where nothing says that.
fn by_keysym(scancode: u16, yields: Option<u32>, down: bool) -> Option<Vec<u8>> {
    let keysym = yields.or_else(|| keysym(scancode)).filter(|keysym| *keysym != NOTHING)?;
    Some(outgoing::key(keysym, down))
}

/// How far it is, from the middle of all places.
fn moved(from: i32, to: i32) -> u16 {
    (0x7fff + to - from).clamp(0, 0xffff) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn movements_are_told_from_the_middle() {
        assert_eq!((moved(5, 5), moved(5, 8), moved(8, 5)), (0x7fff, 0x8002, 0x7ffc));
        assert_eq!((moved(0, 0xffff), moved(0xffff, 0), moved(0, i16::MIN.into())), (0xffff, 0, 0));
    }
}

//! One connection: a thread that connects, reads and decodes, and one that writes what is handed to it.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};

use super::address::Line;
use super::clipboard::{self, Clip};
use super::decoder::{Decoder, Told, Update};
use super::meeting::{Met, Server, failed, shake};
use super::{RfbError, outgoing};
use crate::display::clipboard::Reach;
use crate::display::pace::{PATIENCE, UNANSWERED};
use crate::display::{Locks, Screen};

/// Messages that wait to be written at most.
const OUTBOX: usize = 256;

/// While so many messages wait, no text is handed over once more: a server that asks again and again does not read them.
const WAITING: usize = 4;

/// Messages to the server; the thread that writes ends with the last of these.
pub(super) type Outbox = mpsc::Sender<Vec<u8>>;

/// What the reading thread says.
#[derive(Debug)]
pub(super) enum Said {
    /// The server is reached; whether it lets us in is its own business.
    Reached,
    /// Hands are shaken; the server's name, and whether TLS is around it all.
    Ready { outbox: Outbox, name: String, tls: bool },
    /// It is over, and the thread with it.
    Ended(RfbError),
}

/// What is known of a connection on both sides of it.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// An update was asked for and has not come.
    pub(super) asked: AtomicBool,
    /// Every pixel has come.
    pub(super) whole: AtomicBool,
    /// A picture of this connection was shown.
    pub(super) shown: AtomicBool,
    /// The server knows keys by their scan codes.
    pub(super) extended_keys: AtomicBool,
    /// It takes the mouse buttons back and forward.
    pub(super) extended_buttons: AtomicBool,
    /// It takes movements of the pointer.
    pub(super) relative: AtomicBool,
    /// It is QEMU's.
    pub(super) qemu: AtomicBool,
    /// The newest wish for a picture of now that was passed on to it.
    pub(super) fresh: Mutex<Fresh>,
    /// It passes the guest's sound on.
    pub(super) audio: AtomicBool,
    /// Its sound was asked for.
    hears: AtomicBool,
    pub(super) size: Mutex<(usize, usize)>,
    /// Its first monitor, where it can be asked for another size.
    pub(super) monitor: Mutex<Option<(u32, u32)>>,
    /// The lights of the guest's keyboard, each state once.
    pub(super) locks: Mutex<Option<Locks>>,
    /// There is something new in `locks`.
    pub(super) news: Notify,
    /// The server knows the extended clipboard.
    pub(super) unicode: AtomicBool,
    /// It asks for texts that it is told of.
    pub(super) notify: AtomicBool,
    /// The text that was handed to the guest, for when it asks.
    pub(super) offer: Mutex<Option<Arc<str>>>,
    line: Mutex<Option<Line>>,
    over: AtomicBool,
}

impl Facts {
    /// Ends the connection; the reading thread says so when it has.
    pub(super) fn shut(&self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(line) = &*lock(&self.line) {
            line.shut();
        }
    }

    /// Claims the right to ask for an update: false when one is on its way.
    pub(super) fn may_ask(&self) -> bool {
        !self.asked.swap(true, Ordering::SeqCst)
    }

    /// Whether there is a line to end, so that the reading thread ends soon after it.
    pub(super) fn is_reached(&self) -> bool {
        lock(&self.line).is_some()
    }

    /// What to say of the guest's sound, if somebody wants it who has not, or no longer does.
    pub(super) fn hearing(&self, screen: &Screen) -> Option<Vec<u8>> {
        let wanted = self.audio.load(Ordering::SeqCst) && screen.sound().wanted();
        (self.hears.swap(wanted, Ordering::SeqCst) != wanted).then(|| outgoing::sound(wanted))
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}

/// A wish for a picture of now that was passed on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fresh {
    /// Its number; 0 is none.
    pub(super) wish: u64,
    /// How many pixels have to come until it is answered.
    pub(super) owed: u64,
}

/// Begins a connection on a thread of its own, which says first that it is ready and last that it has ended.
pub(super) fn begin(to: Server, screen: Arc<Screen>, facts: Arc<Facts>) -> mpsc::Receiver<Said> {
    let (sender, receiver) = mpsc::channel(4);
    let spawned = std::thread::Builder::new().name("display".into()).spawn({
        let sender = sender.clone();
        move || {
            let error = read(&to, &screen, &facts, &sender);
            facts.shut();
            // Nobody listens any more where the guest has been let go.
            let _ = sender.blocking_send(Said::Ended(error));
        }
    });
    if let Err(source) = spawned {
        let _ = sender.try_send(Said::Ended(RfbError::Io { doing: "starting a thread", source }));
    }
    receiver
}

/// Reads until the connection ends; says why it did.
fn read(to: &Server, screen: &Screen, facts: &Facts, sender: &mpsc::Sender<Said>) -> RfbError {
    let begun = || -> Result<(Decoder<Line>, Outbox, String, bool), RfbError> {
        let Met { wire, writer, server, tls } = shake(to, |line| {
            *lock(&facts.line) = line.map(Line::another).transpose().map_err(failed)?;
            // It may have been ended before there was anything to end.
            if facts.is_over() || line.is_some() && sender.blocking_send(Said::Reached).is_err() {
                return Err(RfbError::Closed { doing: "connecting" });
            }
            Ok(())
        })?;
        let decoder = Decoder::with_wire(wire, server.width, server.height, &server.name)?;
        *lock(&facts.size) = decoder.size();
        facts.qemu.store(decoder.is_qemu(), Ordering::SeqCst);
        let (outbox, queue) = mpsc::channel(OUTBOX);
        write(writer, queue).map_err(failed)?;
        for message in
            [outgoing::pixel_format(), outgoing::encodings(to.encoding), outgoing::request(false, decoder.size())]
        {
            send(&outbox, message)?;
        }
        facts.asked.store(true, Ordering::SeqCst);
        screen.set_reach(Reach::Latin);
        Ok((decoder, outbox, server.name, tls))
    };
    let (mut decoder, outbox, name, tls) = match begun() {
        Ok(begun) => begun,
        Err(error) => return error,
    };
    if sender.blocking_send(Said::Ready { outbox: outbox.clone(), name, tls }).is_err() {
        return RfbError::Closed { doing: "connecting" };
    }
    let mut still = Still::default();
    loop {
        let heard = match decoder.hear() {
            Ok(_) if facts.is_over() => return RfbError::Closed { doing: "sending a picture" },
            Ok(heard) => heard,
            Err(error) => return error,
        };
        let Some(told) = heard else {
            // Whether a guest of ours lives is told by its monitor; and saving one stops it for as long as that takes.
            match still.on(to.login.is_some() && screen.visible()) {
                Ask::Nothing => {}
                Ask::One => {
                    if let Err(error) = send(&outbox, outgoing::request(false, (1, 1))) {
                        return error;
                    }
                }
                Ask::NoMore => return RfbError::Unanswered { limit: UNANSWERED },
            }
            continue;
        };
        still = Still::default();
        let followed = match told {
            Told::Updated(update) => updated(&mut decoder, update, screen, facts, &outbox),
            Told::Clipboard(clip) => clipped(clip, screen, facts, &outbox),
            Told::Bell => {
                screen.ring();
                Ok(())
            }
            Told::Sound(played) => {
                screen.sound().hear(&played);
                Ok(())
            }
            Told::Nothing => Ok(()),
        };
        if let Err(error) = followed {
            return error;
        }
    }
}

/// For how long a server has been still, in steps of [`PATIENCE`].
#[derive(Debug, Default)]
struct Still(u32);

/// What to do about that.
#[derive(Debug, PartialEq, Eq)]
enum Ask {
    Nothing,
    /// Ask for something that it answers at once.
    One,
    /// It has not answered for too long.
    NoMore,
}

impl Still {
    /// Another step has gone; `looked_at` says whether it matters.
    fn on(&mut self, looked_at: bool) -> Ask {
        if !looked_at {
            self.0 = 0;
            return Ask::Nothing;
        }
        self.0 += 1;
        match self.0 {
            1 => Ask::One,
            steps if PATIENCE * (steps - 1) >= UNANSWERED => Ask::NoMore,
            _ => Ask::Nothing,
        }
    }
}

/// Asks for the next update first, if anybody looks, and shows this one then.
///
/// Any update answers what was asked for (RFC 6143, 7.5.3), also one without pixels; but QEMU tells what is new of pointers and keys
/// when it likes, and owes the picture still.
fn updated(
    decoder: &mut Decoder<Line>,
    update: Update,
    screen: &Screen,
    facts: &Facts,
    outbox: &Outbox,
) -> Result<(), RfbError> {
    let whole = decoder.is_whole();
    let Fresh { wish, owed } = {
        let mut fresh = lock(&facts.fresh);
        if update.resized {
            let (width, height) = decoder.size();
            fresh.owed = (width * height) as u64;
        }
        fresh.owed = fresh.owed.saturating_sub(update.pixels);
        *fresh
    };
    if update.resized {
        *lock(&facts.size) = decoder.size();
    }
    if update.resized || update.pixels > 0 || !decoder.is_qemu() {
        facts.asked.store(false, Ordering::SeqCst);
    }
    // Looked at only now: whoever looks from here on finds that nothing is asked for, and asks. Somebody waits for a picture, or
    // there was none yet.
    let waited_for = screen.wants_fresh(wish) && (owed > 0 || !whole) || !facts.shown.load(Ordering::SeqCst) && !whole;
    if (screen.visible() || waited_for) && facts.may_ask() {
        // Nothing is left of a picture that had another size: everything has to come again.
        send(outbox, outgoing::request(!update.resized, decoder.size()))?;
    }
    if update.extended_keys {
        facts.extended_keys.store(true, Ordering::SeqCst);
    }
    // Who knows scan codes says so with or before its first picture.
    screen.set_takes_keysyms(whole && !facts.extended_keys.load(Ordering::SeqCst));
    facts.whole.store(whole, Ordering::SeqCst);
    if decoder.publish(screen) {
        facts.shown.store(true, Ordering::SeqCst);
    } else if update.resized && !whole {
        screen.falls_behind();
    }
    if whole && owed == 0 {
        screen.answer_fresh(wish);
    }
    if let Some(cursor) = update.cursor {
        screen.set_cursor(cursor);
    }
    if let Some(relative) = update.relative {
        facts.relative.store(relative, Ordering::SeqCst);
        screen.set_relative(relative);
    }
    if let Some(locks) = update.locks {
        screen.set_locks(locks);
        *lock(&facts.locks) = Some(locks);
        facts.news.notify_one();
    }
    if update.extended_buttons {
        facts.extended_buttons.store(true, Ordering::SeqCst);
    }
    if update.audio {
        facts.audio.store(true, Ordering::SeqCst);
        screen.offer_sound(true);
        send(outbox, outgoing::sound_format())?;
        // Who writes the rest asks for it: by two the wish and its end could cross.
        facts.news.notify_one();
    }
    if update.monitor.is_some() {
        *lock(&facts.monitor) = update.monitor;
    }
    if let Some(status) = update.size_status {
        screen.answer_size(status);
    }
    Ok(())
}

/// Follows what the server says of its clipboard. What was handed to the guest is there until it copies something itself.
fn clipped(clip: Clip, screen: &Screen, facts: &Facts, outbox: &Outbox) -> Result<(), RfbError> {
    match clip {
        Clip::Copied(copied) => {
            *lock(&facts.offer) = None;
            screen.set_copied(copied);
        }
        Clip::Caps { notify } => {
            facts.unicode.store(true, Ordering::SeqCst);
            facts.notify.store(notify, Ordering::SeqCst);
            screen.set_reach(Reach::Unicode);
            send(outbox, clipboard::caps())?;
        }
        Clip::Request => {
            // Whoever pastes there waits for an answer: with no text for it that is an empty one.
            let text = lock(&facts.offer).clone().unwrap_or_default();
            if outbox.max_capacity() - outbox.capacity() < WAITING {
                send(outbox, clipboard::provide(&text))?;
            }
        }
        Clip::Peek => {
            let offered = lock(&facts.offer).is_some();
            send(outbox, clipboard::notify(offered))?;
        }
        Clip::Notify { text: true } => {
            *lock(&facts.offer) = None;
            send(outbox, clipboard::request())?;
        }
        // A program that ends takes its text with it, which may cross what was handed over just now.
        Clip::Notify { text: false } | Clip::Nothing => {}
    }
    Ok(())
}

fn send(outbox: &Outbox, message: Vec<u8>) -> Result<(), RfbError> {
    outbox.blocking_send(message).map_err(|_| RfbError::Closed { doing: "taking what we say" })
}

/// Writes what comes, on a thread of its own, until nobody has anything to say or it cannot be said.
fn write(mut line: Line, mut queue: mpsc::Receiver<Vec<u8>>) -> std::io::Result<()> {
    let writing = move || {
        while let Some(message) = queue.blocking_recv() {
            if line.write_all(&message).is_err() {
                // The reader learns it this way.
                line.shut();
                break;
            }
        }
    };
    std::thread::Builder::new().name("display input".into()).spawn(writing).map(drop)
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_still_is_asked_once_and_given_up_in_time_but_only_while_somebody_looks() {
        let mut still = Still::default();
        assert_eq!([(); 4].map(|()| still.on(true)), [Ask::One, Ask::Nothing, Ask::Nothing, Ask::NoMore]);
        let mut still = Still::default();
        let steps = [true, true, false, false, true, true].map(|looked_at| still.on(looked_at));
        assert_eq!(steps, [Ask::One, Ask::Nothing, Ask::Nothing, Ask::Nothing, Ask::One, Ask::Nothing]);
    }
}

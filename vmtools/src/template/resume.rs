//! Resuming a guest from a template: the same machine is built around the kept memory, takes the kept devices, goes on, and is
//! told the time and random bytes. Only then is it handed out.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::error::TemplateError;
use super::wake::{SEED, line};
use super::{Key, Template};
use crate::display::Screen;
use crate::guest::{GuestEvent, GuestHandle, GuestPlan, Moment, start_with_file};
use crate::serial::BootStep;
use crate::slot;

/// How long a resumed guest may take to go on, on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(30);
/// How many events may wait.
const EVENTS: usize = 256;

/// Resumes a guest of `plan`, whose key is `key`, as the template's is. Its events are those of a guest that [`start`](crate::start) has
/// booted, from its init's first step on.
///
/// # Errors
/// [`TemplateError`]; nothing is left running, `events` has got nothing, and the plan may be booted instead.
pub async fn resume(
    template: &Template,
    key: &Key,
    plan: GuestPlan,
    events: mpsc::Sender<GuestEvent>,
    screen: Arc<Screen>,
) -> Result<GuestHandle, TemplateError> {
    let moment =
        Moment { memory: template.devices(), files: slot::files_of(&plan), plugged: Vec::new(), generation: None };
    let seed = seed().map_err(TemplateError::io("read", Path::new("/dev/urandom")))?;
    let (sender, mut heard) = mpsc::channel(EVENTS);
    let guest = start_with_file(plan, (moment, &template.memory(), key.late), sender, screen).await?;
    // It runs: what comes before is lost, because nobody has told it yet that there is a line to read.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    guest.send_serial(line(now, &seed, key.late > 0));
    let first = match awake(&mut heard).await {
        Ok(first) => first,
        Err(how) => {
            guest.end(|_, _| ()).await;
            return Err(TemplateError::NotAwake { how });
        }
    };
    tokio::spawn(async move {
        for event in first {
            if events.send(event).await.is_err() {
                return;
            }
        }
        while let Some(event) = heard.recv().await {
            if events.send(event).await.is_err() {
                return;
            }
        }
    });
    Ok(guest)
}

fn seed() -> std::io::Result<[u8; SEED]> {
    let mut seed = [0; SEED];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(seed)
}

/// Everything until the guest has taken what it was told; or what happened instead.
async fn awake(events: &mut mpsc::Receiver<GuestEvent>) -> Result<Vec<GuestEvent>, String> {
    let until = Instant::now() + LIMIT;
    let mut first = Vec::new();
    while first.len() < EVENTS {
        match timeout_at(until, events.recv()).await {
            Ok(Some(GuestEvent::Ended(end))) => return Err(end.how),
            Ok(Some(event)) => {
                let is_awake = event == GuestEvent::Boot(BootStep::Init);
                first.push(event);
                if is_awake {
                    return Ok(first);
                }
            }
            Ok(None) => return Err("it has ended".to_owned()),
            Err(_) => return Err(format!("nothing was heard of it within {} s", LIMIT.as_secs())),
        }
    }
    Err("it says other things than that it goes on".to_owned())
}

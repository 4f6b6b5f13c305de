//! Template guests of direct boots: the one that there is is resumed; where there is none, and could be one, it is made for the
//! next time. Whatever goes wrong with one, the guest is booted.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use isoprep::Cancel;
use tokio::sync::mpsc::Sender;
use vmtools::boot::Early;
use vmtools::display::Screen;
use vmtools::template::{self, Key, Template, TemplateError};
use vmtools::{GuestEvent, GuestHandle, GuestPlan};

use super::start::{cancelled, not_started};
use crate::paths::Paths;
use crate::session::event::{Event, Failure, Level};

/// Of what a template is to be made, once the guest is up.
pub(in crate::session) type Lacking = Arc<OnceLock<(GuestPlan, Key)>>;

/// What there is for a guest.
pub(super) enum Found {
    There(Template, Key),
    Lacking(Key),
    /// There can be none.
    Unfit,
}

/// Looks for the template of a guest, and says why it can have none if one of its kind could.
pub(super) async fn look(plan: &GuestPlan, early: Option<Early>, paths: &Paths, side: &Sender<Event>) -> Found {
    let (plan, direct, store) = (plan.clone(), paths.direct(), paths.templates());
    let looking = tokio::task::spawn_blocking(move || {
        let key = template::key(&plan, early, &direct)?;
        Ok::<_, template::NoTemplate>(match template::find(&store, &key) {
            Some(template) => Found::There(template, key),
            None => Found::Lacking(key),
        })
    });
    match looking.await {
        Ok(Ok(found)) => found,
        Ok(Err(why)) => {
            if early.is_some() {
                notice(side, Level::Info, format!("It is booted: {why}")).await;
            }
            Found::Unfit
        }
        Err(_) => Found::Unfit,
    }
}

/// Resumes the guest from what was found. `None`: it is to be booted.
///
/// # Errors
/// It was cancelled.
pub(super) async fn resume(
    found: Found,
    plan: &GuestPlan,
    lacking: &Lacking,
    (events, screen): (Sender<GuestEvent>, Arc<Screen>),
    cancel: &Cancel,
    side: &Sender<Event>,
) -> Result<Option<Box<GuestHandle>>, Failure> {
    let (template, key) = match found {
        Found::Unfit => return Ok(None),
        Found::Lacking(key) => {
            // It is set once for each guest.
            let _ = lacking.set((plan.clone(), key));
            return Ok(None);
        }
        Found::There(template, key) => (template, key),
    };
    let began = Instant::now();
    let resumed = tokio::select! {
        resumed = template::resume(&template, &key, plan.clone(), events, screen) => resumed,
        () = cancelled(cancel) => return Err(not_started()),
    };
    match resumed {
        Ok(guest) => {
            let text = format!("Resumed from a template guest in {:.1} s", began.elapsed().as_secs_f64());
            notice(side, Level::Info, text).await;
            Ok(Some(Box::new(guest)))
        }
        Err(error) => {
            let text = if error.is_the_templates() {
                let _ = tokio::task::spawn_blocking(move || template::remove(&template)).await;
                format!("The guest is booted, because its template is of no use and was removed: {error}")
            } else {
                format!("The guest is booted, because it could not be resumed from its template: {error}")
            };
            notice(side, Level::Warning, text).await;
            Ok(None)
        }
    }
}

/// Makes a template, and says what came of it; `None` if it was cancelled.
pub(in crate::session) async fn make(
    plan: &GuestPlan,
    key: &Key,
    paths: &Paths,
    cancel: &Cancel,
    began: Instant,
) -> Option<(Level, String)> {
    let (store, runtime): (_, &Path) = (paths.templates(), &paths.runtime);
    match template::make(plan, key, &store, runtime, cancel).await {
        Ok(template) => {
            let (mib, seconds) = (template.bytes() >> 20, began.elapsed().as_secs_f64());
            let text = format!(
                "A template of this guest was made in {seconds:.1} s ({mib} MiB): the next direct boot of this kernel on this \
                 machine is resumed from it"
            );
            Some((Level::Info, text))
        }
        Err(TemplateError::Cancelled) => None,
        Err(error) => Some((Level::Info, format!("No template was made for the next direct boot: {error}"))),
    }
}

async fn notice(side: &Sender<Event>, level: Level, text: String) {
    // A driver that is gone waits for nothing.
    let _ = side.send(Event::Noticed { level, text }).await;
}

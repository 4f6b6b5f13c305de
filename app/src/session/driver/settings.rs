//! The inserted cartridge: insert, edit, save, remember; and the image that an earlier build of it left.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use isoprep::Finding;

use super::Driver;
use crate::session::built::{Built, IMAGE_RECORD};
use crate::session::event::{Event, Failure, Level, Side};
use crate::session::failure::{exit_code, internal};
use crate::session::inserted::{Inserted, OnDisk};
use crate::session::run_field::RunField;
use crate::session::state::{Input, Phase};

/// Whether the cartridge's way to boot needs no image.
fn inserted_boots_without_image(inserted: Option<&Inserted>) -> bool {
    inserted.and_then(|it| it.recipe.as_ref().ok()).is_some_and(|recipe| !recipe.boot.needs_image())
}

/// " in line 3: guest.cpuz: unknown key".
fn error_words(finding: &Finding) -> String {
    let line = finding.line.map_or_else(String::new, |line| format!(" in line {line}"));
    let key = if finding.key.is_empty() { String::new() } else { format!("{}: ", finding.key) };
    format!("{line}: {key}{}", finding.message)
}

impl Driver {
    /// Inserts what lies there, with fields set for this run.
    pub(super) async fn insert(&mut self, path: PathBuf, fields: Vec<RunField>) {
        if self.refuse_while_busy().await {
            return;
        }
        if self.inserted.as_ref().is_some_and(|i| i.dirty() && !i.builtin) {
            let text = "The settings have changes that are not saved: save or revert them first".to_owned();
            return self.notice(Level::Warning, text).await;
        }
        let opened = tokio::task::spawn_blocking(move || isoprep::open(&path)).await;
        match opened {
            Ok(Ok(file)) => self.take_in(Inserted::new(file, false, fields)).await,
            Ok(Err(error)) => self.tell_unopened(&error).await,
            Err(error) => self.tell_unopened(&error).await,
        }
    }

    pub(super) async fn insert_builtin(&mut self, fields: Vec<RunField>) {
        if self.refuse_while_busy().await {
            return;
        }
        let paths = self.paths.clone();
        let unpacked = tokio::task::spawn_blocking(move || crate::builtin::unpack(&paths)).await;
        let opened = match unpacked {
            Ok(Ok(dir)) => isoprep::open(&dir).map_err(|e| e.to_string()),
            Ok(Err(error)) => Err(format!("{}: {error}", self.paths.data.display())),
            Err(error) => Err(error.to_string()),
        };
        match opened {
            Ok(file) => self.take_in(Inserted::new(file, true, fields)).await,
            Err(error) => {
                let failure = internal("The built-in cartridge could not be unpacked", &error);
                self.tell(Event::Failed { failure }).await;
            }
        }
    }

    async fn take_in(&mut self, inserted: Result<Inserted, Failure>) {
        match inserted {
            Ok(inserted) => self.inserted(inserted).await,
            Err(failure) => self.tell(Event::Failed { failure }).await,
        }
    }

    async fn inserted(&mut self, inserted: Inserted) {
        // What runs on every save was wished for the cartridge before.
        self.set_live(false).await;
        self.forget_examination().await;
        self.forget_comparison().await;
        self.forget_source();
        self.prepared_notices.clear();
        if let Some(failure) = inserted.failure() {
            self.inserted = Some(inserted);
            self.tell_cartridge().await;
            return self.tell(Event::Failed { failure }).await;
        }
        let (root, name, builtin) = (inserted.root(), inserted.name(), inserted.builtin);
        self.inserted = Some(inserted);
        self.tell_cartridge().await;
        if !builtin {
            if let Err(error) = self.recent.insert(&root, &name) {
                self.notice(Level::Warning, format!("The list of recent cartridges could not be saved: {error}")).await;
            }
            self.tell_recent();
        }
    }

    async fn tell_unopened(&mut self, error: &(dyn std::fmt::Display + Sync)) {
        let failure = Failure {
            title: "The cartridge could not be opened".into(),
            detail: error.to_string(),
            advice: None,
            command: None,
            pane: None,
            exit_code: exit_code::CARTRIDGE,
        };
        self.tell(Event::Failed { failure }).await;
    }

    pub(super) async fn forget(&mut self, path: PathBuf) {
        if let Err(error) = self.recent.forget(&path) {
            self.notice(Level::Warning, format!("The list of recent cartridges could not be saved: {error}")).await;
        }
        self.tell_recent();
    }

    pub(super) async fn set_field(&mut self, key: &str, value: &str) {
        let Some(inserted) = &mut self.inserted else { return };
        match isoprep::set_field(&inserted.text, key, value) {
            Ok(text) => {
                inserted.edit(text);
                self.tell_cartridge().await;
            }
            Err(error) => {
                let text = error.to_string();
                self.tell_cartridge().await;
                self.notice(Level::Warning, text).await;
            }
        }
    }

    pub(super) async fn save(&mut self) {
        let Some(inserted) = &mut self.inserted else { return };
        if inserted.builtin {
            let text = "The built-in cartridge cannot be changed: copy its folder and open the copy".to_owned();
            return self.notice(Level::Warning, text).await;
        }
        let (file, text) = (inserted.file.file.clone(), inserted.text.clone());
        if let Ok(now) = isoprep::read_text(&file)
            && (now != inserted.file.text || !inserted.file.exists)
        {
            // The next Save overwrites it knowingly; Revert takes it over.
            inserted.file.text = now;
            inserted.file.exists = true;
            self.tell_cartridge().await;
            let text = format!(
                "{} was changed by another program meanwhile. Revert takes that over, Save again overwrites it",
                file.display()
            );
            return self.notice(Level::Warning, text).await;
        }
        match isoprep::save_atomically(&file, &text) {
            Ok(()) => {
                inserted.saved();
                self.tell_cartridge().await;
                self.notice(Level::Success, format!("Saved {}", file.display())).await;
            }
            Err(error) => {
                let title = format!("{} could not be saved; the file is as it was", file.display());
                let full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
                let folder = file.parent().unwrap_or(&file).display();
                let advice =
                    full.then(|| format!("Free 1 MiB in {folder}, then save again; what you changed is still here"));
                let failure = Failure { advice, ..internal(&title, &error) };
                self.tell(Event::SideFailed { side: Side::Save, failure }).await;
            }
        }
    }

    pub(super) async fn revert(&mut self) {
        let Some(inserted) = &mut self.inserted else { return };
        let text = inserted.file.text.clone();
        inserted.edit(text);
        self.tell_cartridge().await;
    }

    /// The file may have been changed in an editor since: what is built is what it says now.
    pub(super) async fn refresh(&mut self) {
        let Some(text) = self.settings_on_disk().await else { return };
        let Some(inserted) = &mut self.inserted else { return };
        inserted.file.exists = true;
        if inserted.refresh(text) {
            self.tell_cartridge().await;
        }
    }

    /// What the cartridge's file says now, if it can be read. Off the driver's thread: a file system may be slow.
    async fn settings_on_disk(&self) -> Option<String> {
        let file = self.inserted.as_ref()?.file.file.clone();
        tokio::task::spawn_blocking(move || isoprep::read_text(&file)).await.ok()?.ok()
    }

    /// The repository has stirred: an editor may have written the cartridge's file. Says whether that was taken over. One with
    /// errors is not: what was in use stays, until it is mended or something is asked for.
    pub(super) async fn take_settings_from_disk(&mut self) -> bool {
        let Some(text) = self.settings_on_disk().await else { return false };
        let Some(inserted) = self.inserted.as_mut().filter(|it| !it.builtin) else { return false };
        let found = inserted.on_disk(&text);
        if found == OnDisk::Same {
            self.watched.settings = None;
            return false;
        }
        if self.watched.settings.as_ref() == Some(&text) {
            return false;
        }
        let name = inserted.file.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let taken = found == OnDisk::New;
        if taken {
            inserted.file.exists = true;
            inserted.refresh(text);
            self.tell_cartridge().await;
        } else {
            self.watched.settings = Some(text);
        }
        let (level, text) = match found {
            OnDisk::Broken(findings) => {
                let what = findings.first().map_or_else(String::new, error_words);
                (
                    Level::Warning,
                    format!("{name} has changed, and has an error{what}. The settings of before stay in use"),
                )
            }
            OnDisk::Unsaved => {
                let text = "has changed, and here are settings that are not saved: Revert takes over what the file says, Save \
                            asks before it overwrites that";
                (Level::Warning, format!("{name} {text}"))
            }
            _ if matches!(self.state.phase, Phase::Booting | Phase::Running) => {
                let text =
                    "has changed: its settings count from the next build or boot on, and the guest stays as it is";
                (Level::Info, format!("{name} {text}"))
            }
            _ => (Level::Info, format!("{name} has changed: its settings are in use now")),
        };
        self.notice(level, text).await;
        taken
    }

    /// Another session may have built since: what is booted is what its record says now.
    pub(super) fn reload_image(&mut self) {
        if let Some(inserted) = &self.inserted {
            let record = self.paths.images_of(&inserted.name(), &inserted.root()).join(IMAGE_RECORD);
            self.image = Built::load(&record);
        }
    }

    /// Tells the cartridge, and what it means for the state.
    pub(super) async fn tell_cartridge(&mut self) {
        let Some(inserted) = &self.inserted else { return };
        let valid = inserted.recipe.is_ok();
        let record = self.paths.images_of(&inserted.name(), &inserted.root()).join(IMAGE_RECORD);
        let cartridge = inserted.view();
        if self.state.phase == Phase::Idle {
            self.image = Built::load(&record);
        }
        // A way that boots no image can be gone at once.
        let imageless = inserted_boots_without_image(self.inserted.as_ref());
        let image = self.image.is_some() || imageless;
        self.tell(Event::CartridgeChanged { cartridge }).await;
        self.examine_soon().await;
        self.diagnose_if_needed();
        self.look_at_source_again();
        self.input(Input::Inserted { valid, image }).await;
    }

    /// Writes down what was built, so that a later session can boot it.
    pub(super) async fn remember_image(&mut self, built: &Built, images: &Path) {
        let record = images.join(IMAGE_RECORD);
        if let Err(error) = built.save(&record) {
            let text = format!("The image cannot be booted by a later session: {}: {error}", record.display());
            self.notice(Level::Warning, text).await;
        }
    }

    /// Looks off the driver which of them are still there: a dead network file system must not stop the session.
    pub(super) fn tell_recent(&self) {
        let (recent, side) = (self.recent.clone(), self.side.0.clone());
        tokio::task::spawn_blocking(move || {
            // The session may have ended meanwhile.
            let _ = side.blocking_send(Event::RecentChanged { recent: recent.views() });
        });
    }

    async fn refuse_while_busy(&mut self) -> bool {
        let busy = self.state.phase != Phase::Idle;
        if busy {
            let denied = crate::session::state::Denied::Busy;
            self.tell(Event::Refused { denied, reason: denied.to_string() }).await;
        }
        busy
    }
}

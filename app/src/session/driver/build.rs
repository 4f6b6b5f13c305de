//! Prepare and build: what runs on the blocking pool before a guest does, and the work directory it runs in.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use isoprep::{BuildRequest, Cancel, Image, Progress};
use tokio::sync::mpsc::channel;

use super::{Driver, millis};
use crate::session::built::{Built, TIMES};
use crate::session::event::{Event, Failure, Level};
use crate::session::failure::internal;
use crate::session::holder::Holder;
use crate::session::jobs::{self, NotBuilt, Outcome};
use crate::session::pace::{PaceMaker, StageTimes};
use crate::session::state::{Goal, Input};

impl Driver {
    pub(super) async fn start_prepare(&mut self, goal: Goal) {
        let cartridge = match self.recipe_for(goal, self.wish.as_ref()) {
            Ok(cartridge) => cartridge,
            Err(failure) => return self.fail(failure).await,
        };
        self.cancel = Cancel::new();
        self.leave_examination();
        let (paths, cancel, gallery) = (self.paths.clone(), self.cancel.clone(), self.gallery.clone());
        let holder = Holder::here(&self.who, Some(goal), &self.id);
        let fields = self.run_fields();
        self.job = Some(tokio::task::spawn_blocking(move || {
            Outcome::Prepared(jobs::prepare((cartridge, &fields), goal, (&paths, holder, &gallery), &cancel))
        }));
    }

    pub(super) async fn start_build(&mut self) {
        let ready = self.prepared.as_ref().and_then(|p| Some((p.recipe.clone(), p.host.clone()?, p.memory_mib)));
        let Some((recipe, host, memory_mib)) = ready else {
            return self.fail(internal("There is nothing to build", &"nothing was prepared")).await;
        };
        let work = match self.make_work() {
            Ok(work) => work,
            Err(failure) => return self.fail(failure).await,
        };
        let request = BuildRequest {
            images: self.paths.images_of(&recipe.name, &recipe.root),
            recipe,
            host,
            epoch: jobs::epoch(),
            init: vmtools::INIT,
            apart: self.paths.ours(),
            guest_memory_mib: Some(memory_mib),
            build_anyway: !self.lint || self.anyway,
            cartridge: self.prepared.as_ref().map(|it| it.text.clone()),
            cache: if self.fresh { work.join("stages") } else { self.paths.stages() },
            work,
        };
        // The image that it reads is about to be another one.
        self.forget_comparison().await;
        self.build_began = Some(Instant::now());
        self.pace = PaceMaker::new(times(&request.images).unwrap_or_default());
        let (told, progress) = channel(64);
        self.progress = Some(progress);
        let (cancel, logs) = (self.cancel.clone(), Arc::clone(&self.logs));
        self.job =
            Some(tokio::task::spawn_blocking(move || Outcome::Built(jobs::build(&request, &cancel, &logs, &told))));
    }

    pub(super) async fn progressed(&mut self, progress: Progress) {
        if let Progress::Warned { text, .. } = progress {
            return self.notice(Level::Warning, text).await;
        }
        self.note_stage(&progress);
        let pace = self.pace.take(&progress, millis(self.started.elapsed()));
        self.tell(Event::BuildProgressed { progress, pace }).await;
    }

    /// The build has answered.
    pub(super) async fn built(&mut self, answer: Result<Box<Image>, Box<NotBuilt>>) {
        let took_ms = self.build_began.take().map_or(0, |began| millis(began.elapsed()));
        let Some(recipe) = self.prepared.as_ref().map(|it| it.recipe.clone()) else {
            return self.fail(internal("There is nothing that was built", &"nothing was prepared")).await;
        };
        let images = self.paths.images_of(&recipe.name, &recipe.root);
        // Losing them costs an estimate, no more.
        let _ =
            serde_json::to_string(self.pace.times()).map(|text| isoprep::save_atomically(&images.join(TIMES), &text));
        match answer {
            Ok(image) => {
                let built = Built::new(*image, &recipe);
                self.remember_image(&built, &images).await;
                self.image = Some(built.clone());
                self.tell(Event::ImageBuilt { image: built.image.clone(), took_ms }).await;
                self.look_at_source_again();
                self.start_comparing(&built.image, &recipe).await;
                self.input(Input::Built).await;
            }
            Err(error) => {
                let NotBuilt { failure, lint } = *error;
                if !lint.is_empty() {
                    self.stopped_by_lint(lint).await;
                }
                self.fail(failure).await;
            }
        }
    }

    /// Makes this goal's work directory. Its name begins with the session's id, which is how the next start finds it.
    pub(super) fn make_work(&mut self) -> Result<PathBuf, Failure> {
        let failed = |e: &dyn std::fmt::Display| internal("No work directory could be made", e);
        self.works += 1;
        let name = format!("{}-{}", self.id, self.works);
        let parent = self.paths.work();
        for (dir, what) in [(&parent, "work"), (&self.paths.stages(), "stages"), (&self.paths.images(), "images")] {
            isoprep::ensure_marked(dir, what).map_err(|e| failed(&e))?;
        }
        let work = isoprep::WorkDir::create(&parent, &name).map_err(|e| failed(&e))?;
        Ok(work.path().to_owned())
    }
}

/// How long the stages of a cartridge took, from its image directory.
fn times(images: &Path) -> Option<StageTimes> {
    serde_json::from_str(&std::fs::read_to_string(images.join(TIMES)).ok()?).ok()
}

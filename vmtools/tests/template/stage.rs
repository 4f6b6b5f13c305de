//! What these tests share: a template in the making and guests that are resumed from it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cartridge_supervise::Cancel;
use tokio::sync::mpsc;
use vmtools::boot::{DirectBoot, Early};
use vmtools::share::Serving;
use vmtools::template::{self, Key, Template, TemplateError};
use vmtools::{Machine, Screen};

use crate::bench::prepared;
use crate::harness::{Guest, Plan, machine, plan};

/// A place with a cache, templates, and guests' directories.
pub struct Stage {
    pub place: tempfile::TempDir,
    /// Where a virtiofsd may be: without one, folders are served by 9p.
    virtiofsd: Vec<PathBuf>,
}

impl Stage {
    pub fn new() -> Self {
        Self { place: crate::bench::place(), virtiofsd: Vec::new() }
    }

    /// One whose folders are served by virtiofs, if this machine has it.
    pub fn with_virtiofs() -> Option<Self> {
        let virtiofsd = Serving::default().virtiofsd;
        let can = virtiofsd.iter().any(|path| path.is_file()) && cartridge_supervise::isolation_support().is_ok();
        can.then(|| Self { virtiofsd, ..Self::new() })
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub fn store(&self) -> PathBuf {
        self.at("templates")
    }

    /// The plan of a boot, and what its kernel looks at early.
    pub fn plan(&self, boot: &DirectBoot) -> (Plan, Option<Early>) {
        let prepared = prepared(boot, self.place.path());
        let machine = Machine { memory_mib: 512, layers: prepared.layers, ..machine() };
        let mut plan = plan(machine, prepared.boot);
        plan.plan.sharing.folders = prepared.shares;
        plan.plan.sharing.serving.kernel = prepared.kernel;
        plan.plan.sharing.serving.virtiofsd.clone_from(&self.virtiofsd);
        (plan, prepared.early)
    }

    pub fn key(&self, plan: &Plan, early: Option<Early>) -> Key {
        template::key(&plan.plan, early, &self.at("cache")).unwrap_or_else(|e| panic!("{e}"))
    }

    pub async fn try_make(&self, boot: &DirectBoot, cancel: &Cancel) -> Result<Template, TemplateError> {
        let (plan, early) = self.plan(boot);
        let key = self.key(&plan, early);
        template::make(&plan.plan, &key, &self.store(), &self.at("run"), cancel).await
    }

    pub async fn make(&self, boot: &DirectBoot) -> Template {
        self.try_make(boot, &Cancel::new()).await.unwrap_or_else(|e| panic!("{e}"))
    }

    /// The template that there is for `boot`.
    pub fn find(&self, boot: &DirectBoot) -> Option<Template> {
        let (plan, early) = self.plan(boot);
        template::find(&self.store(), &self.key(&plan, early))
    }

    /// A guest resumed from the template that there is for `boot`.
    pub async fn resume(&self, boot: &DirectBoot) -> Guest {
        let (plan, early) = self.plan(boot);
        self.resume_plan(plan, early).await
    }

    pub async fn resume_plan(&self, plan: Plan, early: Option<Early>) -> Guest {
        let key = self.key(&plan, early);
        let template = template::find(&self.store(), &key).expect("there is no template");
        let (sender, events) = mpsc::channel(64);
        let screen = Arc::new(Screen::new());
        let runtime = plan.plan.runtime.clone();
        let handle = template::resume(&template, &key, plan.plan, sender, Arc::clone(&screen)).await;
        Guest::new(handle.unwrap_or_else(|e| panic!("{e}")), events, screen, runtime, plan.dir)
    }
}

/// The hash of each file of a template, but for the time of its last use.
pub fn content(template: &Template) -> BTreeMap<PathBuf, blake3::Hash> {
    let files = std::fs::read_dir(template.dir()).unwrap().map(|it| it.unwrap().path());
    files.map(|path| (path.clone(), blake3::hash(&std::fs::read(path).unwrap()))).collect()
}

/// How many entries a folder has; none if it is not there.
pub fn count(dir: &Path) -> usize {
    std::fs::read_dir(dir).map_or(0, Iterator::count)
}

//! An archiso profile becomes an image by the unmodified mkarchiso, from an assembled copy that was completed for it.

use std::fs;
use std::path::PathBuf;

use cartridge_treehash::{hash_content, hash_tree};

use super::ready::Ready;
use super::{BuildError, Stages};
use crate::cache::atomic;
use crate::engine;
use crate::host::Tools;
use crate::image::Image;
use crate::mkarchiso::{self, CONTAINER, Chosen, Facts, MkarchisoError, MkarchisoJob, MkarchisoNews, Way};
use crate::pacman_log::PacmanNews;
use crate::plan::KeyHasher;
use crate::progress::{Reporter, Unit};
use crate::stage::packages::pacman;
use crate::stage::{hashing, iso};

impl Stages<'_> {
    /// The engine `mkarchiso`.
    pub(super) fn mkarchiso(&self, tools: &Tools) -> Result<Image, BuildError> {
        let target = self.target()?;
        let epoch = self.epoch()?;
        let (mut ready, repository) = self.timed(engine::ASSEMBLE, |reporter| {
            let repository = self.repository(reporter)?;
            let ready = self.profile(tools, epoch, reporter)?;
            Ok((repository.reused, (ready, repository)))
        })?;
        self.lint(&mut ready)?;
        let profile = ready.profile.dir.clone();
        let key = self.timed(engine::PACKAGES, |reporter| {
            self.complete(&ready, &repository, reporter)?;
            let (facts, chosen) = self.way(reporter)?;
            let tree = hash_tree(&profile)
                .map_err(|e| BuildError::io(reporter.stage, "read", &profile)(std::io::Error::other(e.to_string())))?;
            let mut key = KeyHasher::new(engine::ISO).bytes(b"mkarchiso").hash(&tree.hash).number(epoch);
            key = key.bytes(ready.expanded.as_bytes()).bytes(format!("{:?}", chosen.way).as_bytes());
            // A container has its own tool.
            let tool = facts.tool.as_ref().filter(|_| chosen.way != Way::Podman);
            key = key.bytes(chosen.with.as_deref().unwrap_or("").as_bytes());
            if let Some(file) = tool {
                let content = hashing::open_part(file).and_then(hash_content);
                key = key.path(file).hash(&content.map_err(BuildError::io(reporter.stage, "read", file))?.0);
            }
            let key = pacman::with_local_databases(key, &ready.expanded).finish();
            if iso::is_current(&self.cache, &target, key) {
                return Ok((true, None));
            }
            let made = self.run_mkarchiso(&ready, (&facts, &chosen), epoch, reporter)?;
            Ok((false, Some((key, made))))
        })?;
        let reused = self.timed(engine::ISO, |reporter| match &key {
            None => Ok((true, true)),
            Some((key, made)) => iso::adopt(made, &target, (&self.cache, *key), reporter).map(|()| (false, false)),
        })?;
        self.keep_source(&repository.manifest, &target);
        Ok(Image {
            bytes: atomic::size(&target).map_err(BuildError::io(engine::ISO, "read", &target))?,
            iso: target,
            // Inside the image alone.
            kernel: PathBuf::new(),
            initrds: Vec::new(),
            cmdline: String::new(),
            kernel_version: String::new(),
            files: repository.files,
            tree_hash: repository.tree.to_string(),
            reused,
        })
    }

    /// How mkarchiso is run here.
    fn way(&self, reporter: &Reporter<'_>) -> Result<(Facts, Chosen), BuildError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let facts = mkarchiso::look_around(&path, CONTAINER, self.cancel);
        reporter.go_on()?;
        let chosen = mkarchiso::choose(&facts).map_err(|e| BuildError::missing(reporter.stage, e.to_string()))?;
        Ok((facts, chosen))
    }

    fn run_mkarchiso(
        &self,
        ready: &Ready,
        (facts, chosen): (&Facts, &Chosen),
        epoch: u64,
        reporter: &Reporter<'_>,
    ) -> Result<PathBuf, BuildError> {
        let stage = reporter.stage;
        for line in chosen.sentence().lines() {
            reporter.line(line);
        }
        reporter.way(chosen.clone());
        let fetched = self.cache.packages().map_err(BuildError::write(stage, &self.request.cache, 0))?;
        let local =
            pacman::local_repositories(&ready.expanded).into_iter().map(|(_, dir)| dir).filter(|dir| dir.is_dir());
        let out = self.request.work.join("mkarchiso-out");
        fs::create_dir_all(&out).map_err(BuildError::write(stage, &out, 0))?;
        let job = MkarchisoJob {
            way: chosen.way,
            tool: facts.tool.clone().unwrap_or_default(),
            image: CONTAINER.to_owned(),
            profile: ready.profile.dir.clone(),
            work: self.request.work.clone(),
            cache: fetched.path().to_path_buf(),
            readable: local.collect(),
            out,
            source_date_epoch: epoch,
            boot_files: mkarchiso::boot_files(&ready.profile),
            path: std::env::var_os("PATH").unwrap_or_default(),
        };
        let mut tell = |news: MkarchisoNews| match news {
            MkarchisoNews::Line { text, .. } => reporter.line(text),
            MkarchisoNews::Waiting => reporter.line("another build is fetching packages: waiting for it"),
            MkarchisoNews::Percent { stage, percent } => {
                reporter.advanced_on(percent.into(), Some(100), Unit::Percent, Some(&stage.to_string()));
            }
            MkarchisoNews::Pacman { news: PacmanNews::Item { name, number, total, .. } } if total > 0 => {
                reporter.advanced_on(number, Some(total), Unit::Packages, Some(&name));
            }
            MkarchisoNews::Stage { stage } => reporter.advanced_on(0, None, Unit::Percent, Some(&stage.to_string())),
            MkarchisoNews::Pacman { .. } | MkarchisoNews::Found { .. } => {}
        };
        let product = mkarchiso::run(&job, self.cancel, &mut tell).map_err(|error| match error {
            MkarchisoError::Cancelled => BuildError::Cancelled { stage },
            error => BuildError::Mkarchiso { stage, source: Box::new(error) },
        })?;
        for doubt in &product.doubts {
            reporter.line(format!("warning: {doubt}"));
        }
        if let Some(why) = &product.leftover {
            reporter.line(format!("warning: {why}"));
        }
        for shortfall in &product.shortfalls {
            reporter.line(format!("warning: {shortfall}"));
        }
        Ok(product.iso)
    }
}

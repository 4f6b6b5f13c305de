//! Reads `[image]`: the one section in which the engine decides what the other fields mean, and whether they mean anything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::base;
use super::fields::FIELDS;
use super::guest_places;
use super::judge::{Judge, quoted};
use super::model::{Base, BuildKind, EngineKind, ImageSettings};
use super::package_values;
use super::reader::Raw;
use super::values::{self, Problem};

impl Judge<'_> {
    /// The engine; micro when it is not set, or wrongly.
    pub(super) fn engine(&mut self) -> EngineKind {
        let [first, others @ ..] = EngineKind::ALL;
        self.choice("image.engine", first, &others)
    }

    pub(super) fn image(&mut self, engine: EngineKind, into: &Path) -> ImageSettings {
        self.refuse_what_does_nothing(engine);
        let root = self.root;
        let (mut overlays, mut packages) = (Vec::new(), Vec::new());
        ImageSettings {
            engine,
            base: self.base(engine),
            overlays: self.list("image.overlays", |text| once(&mut overlays, values::inside(text, root)?, text)),
            remove: self.list("image.remove", base::profile_path),
            pacman_conf: self.text("image.pacman_conf", |text| values::inside(text, root)),
            packages: self
                .list("image.packages", |text| once(&mut packages, package_values::package(text, engine)?, text)),
            mirror: self.text("image.mirror", package_values::mirror),
            build: self.choice("image.build", BuildKind::Dev, &[BuildKind::Release]),
            kernel: self.text("image.kernel", |text| values::host_path(text, root)),
            cmdline: self.text("image.cmdline", values::cmdline).unwrap_or_default(),
            files: self.files(engine, into),
            env: self.env(),
        }
    }

    /// A setting that the engine does not read would be believed and do nothing.
    fn refuse_what_does_nothing(&mut self, engine: EngineKind) {
        if self.findings.iter().any(|finding| finding.key == "image.engine") {
            return;
        }
        for field in FIELDS.iter().filter(|field| !field.engines.contains(&engine)) {
            let Some((at, value)) = self.take(field.key) else { continue };
            if matches!(&value, Raw::List(items) if items.is_empty()) {
                continue;
            }
            let others: Vec<_> = field.engines.iter().map(|other| format!("{:?}", other.word())).collect();
            let advice = format!("remove it, or set engine = {}", others.join(" or "));
            self.find(at, field.key, (format!("does nothing with engine {:?}", engine.word()), advice));
            // One finding is enough: its value is not judged too.
            self.entries.retain(|entry| entry.key != field.key);
        }
    }

    fn base(&mut self, engine: EngineKind) -> Base {
        let root = self.root;
        let set = self.text("image.base", |text| base::base(text, engine, root));
        if let Some(base) = set {
            return base;
        }
        match engine {
            EngineKind::Micro | EngineKind::Debian => Base::Host,
            EngineKind::Archiso | EngineKind::Mkarchiso => Base::Minimal,
            EngineKind::Tree => {
                if self.take("image.base").is_none() {
                    let at = self.take("image.engine").map_or(0, |(at, _)| at);
                    let advice = "name a folder or a tarball: base = \"rootfs.tar.zst\"".to_owned();
                    self.find(at, "image.base", ("engine \"tree\" needs a base".to_owned(), advice));
                }
                Base::Folder(root.to_owned())
            }
        }
    }

    fn files(&mut self, engine: EngineKind, into: &Path) -> BTreeMap<PathBuf, PathBuf> {
        let mut files = BTreeMap::new();
        let mut places = BTreeMap::new();
        for pair in self.map("image.files") {
            let key = format!("image.files.{:?}", pair.name);
            let guest = self.judged(pair.key_at, &key, values::guest_file(&pair.name, into, engine));
            let Raw::Text(text) = &pair.value else {
                self.wrong_type(pair.value_at, &key, "a string", &pair.value, "name a file in quotes".to_owned());
                continue;
            };
            let host = self.judged(pair.value_at, &key, values::inside(text, self.root));
            let (Some(guest), Some(host)) = (guest, host) else { continue };
            places.insert(guest.clone(), (pair.key_at, key.clone()));
            if files.insert(guest, host).is_some() {
                self.find(pair.key_at, key, ("names the same file in the guest twice".into(), "keep one".into()));
            }
        }
        for (to, problem) in guest_places::conflicts(&files) {
            if let Some((at, key)) = places.remove(to) {
                self.find(at, key, problem);
            }
        }
        files
    }

    fn env(&mut self) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        for pair in self.map("image.env") {
            let key = format!("image.env.{}", pair.name);
            if self.judged(pair.key_at, &key, values::variable(&pair.name)).is_none() {
                continue;
            }
            match pair.value {
                Raw::Text(text) if text.contains('\0') => {
                    let problem = ("has a NUL character".to_owned(), "remove it".to_owned());
                    self.find(pair.value_at, key, problem);
                }
                Raw::Text(text) => drop(env.insert(pair.name, text)),
                other => self.wrong_type(pair.value_at, &key, "a string", &other, quoted(&pair.name, &other)),
            }
        }
        env
    }
}

/// `value` unless `seen` has it already.
fn once<T: PartialEq + Clone>(seen: &mut Vec<T>, value: T, text: &str) -> Result<T, Problem> {
    if seen.contains(&value) {
        return Err((format!("{text:?} is listed twice"), "keep one".to_owned()));
    }
    seen.push(value.clone());
    Ok(value)
}

//! Turns the text of a `cartridge.toml` into a [`Recipe`]: every value judged, every finding kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::fields::{CPUS, DISK, FieldKind, MEMORY_MIB, field, nearest};
use super::finding::{Finding, RecipeError, position};
use super::guest_places;
use super::model::{
    AcceleratorWish, EngineKind, Firmware, Forward, Gpu, GuestSettings, ImageSettings, Medium, Recipe, Source,
};
use super::open::FILE_NAME;
use super::reader::{Entry, Pair, Raw, entries};
use super::values::{self, Problem};

/// Reads a recipe. `root` is the absolute folder of the file: relative paths start there. Nothing on the disk is looked
/// at; that is [`check`](super::check())'s work. An empty text is a working cartridge.
///
/// # Errors
/// [`RecipeError`] with everything that is wrong, in the order of the file.
pub fn parse(text: &str, root: &Path) -> Result<Recipe, RecipeError> {
    let (entries, findings) = entries(text);
    let mut judge = Judge { text, root, entries, findings };
    let recipe = judge.recipe();
    if judge.findings.is_empty() {
        return Ok(recipe);
    }
    judge.findings.sort_by_key(|finding| (finding.line, finding.column));
    Err(RecipeError { file: root.join(FILE_NAME), findings: judge.findings })
}

struct Judge<'a> {
    text: &'a str,
    root: &'a Path,
    entries: Vec<Entry>,
    findings: Vec<Finding>,
}

impl Judge<'_> {
    /// Every field is read, whatever is wrong with the others; a bad one counts as not set.
    fn recipe(&mut self) -> Recipe {
        let folder = self.root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name = self.text("name", values::name).unwrap_or_else(|| values::safe_name(&folder));
        let root = self.root;
        let source = Source {
            path: self.text("source.path", |text| values::inside(text, root)).unwrap_or_else(|| root.to_owned()),
            into: self.text("source.into", values::guest_folder).unwrap_or_else(|| Path::new("/root").join(&name)),
            exclude: self.list("source.exclude", values::pattern),
        };
        let image = ImageSettings {
            engine: self.choice("image.engine", EngineKind::Micro, &[]),
            kernel: self.text("image.kernel", |text| values::host_path(text, root)),
            cmdline: self.text("image.cmdline", values::cmdline).unwrap_or_default(),
            files: self.files(&source.into),
            env: self.env(),
        };
        let memory = (MEMORY_MIB.0 << 20, MEMORY_MIB.1 << 20);
        let guest = GuestSettings {
            cpus: self.integer("guest.cpus", CPUS).and_then(|cpus| u32::try_from(cpus).ok()).unwrap_or(4),
            memory_mib: self.size("guest.memory", memory).map_or(4096, |bytes| bytes >> 20),
            firmware: self.choice("guest.firmware", Firmware::Bios, &[Firmware::Uefi]),
            gpu: self.choice("guest.gpu", Gpu::Std, &[Gpu::Virtio]),
            medium: self.choice("guest.medium", Medium::Cd, &[Medium::Usb]),
            disk_bytes: self.size("guest.disk", DISK),
            accelerator: self.choice(
                "guest.accelerator",
                AcceleratorWish::Auto,
                &[AcceleratorWish::Kvm, AcceleratorWish::Tcg],
            ),
            forward: self.forward(),
        };
        Recipe { name, root: root.to_owned(), source, image, guest }
    }

    fn find(&mut self, at: usize, key: impl Into<String>, (message, advice): Problem) {
        let (line, column) = position(self.text, at);
        self.findings.push(Finding { line: Some(line), column: Some(column), key: key.into(), message, advice });
    }

    fn wrong_type(&mut self, at: usize, key: &str, wanted: &str, got: &Raw, advice: String) {
        self.find(at, key, (format!("must be {wanted}, not {}", got.kind()), advice));
    }

    fn take(&mut self, key: &'static str) -> Option<(usize, Raw)> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some((entry.value_at, entry.value.clone()))
    }

    fn judged<T>(&mut self, at: usize, key: &str, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.find(at, key, problem)).ok()
    }

    fn text<T>(&mut self, key: &'static str, judge: impl FnOnce(&str) -> Result<T, Problem>) -> Option<T> {
        match self.take(key)? {
            (at, Raw::Text(text)) => self.judged(at, key, judge(&text)),
            (at, other) => {
                self.wrong_type(at, key, "a string", &other, quoted(key, &other));
                None
            }
        }
    }

    fn integer(&mut self, key: &'static str, (min, max): (i64, i64)) -> Option<i64> {
        let default = field(key).map_or("", |field| field.default);
        let example = || format!("write {} = {default}", leaf(key));
        match self.take(key)? {
            (_, Raw::Integer(_, Some(number))) if (min..=max).contains(&number) => Some(number),
            (at, Raw::Integer(written, _)) => {
                let advice = format!("use {min} to {max}");
                self.find(at, key, (format!("{written} is out of range"), advice));
                None
            }
            (at, Raw::Text(text)) => {
                let bare = text.trim().parse::<i64>().is_ok();
                let advice =
                    if bare { format!("remove the quotes: {} = {}", leaf(key), text.trim()) } else { example() };
                self.wrong_type(at, key, "a whole number", &Raw::Text(text), advice);
                None
            }
            (at, other) => {
                self.wrong_type(at, key, "a whole number", &other, example());
                None
            }
        }
    }

    fn size(&mut self, key: &'static str, range: (u64, u64)) -> Option<u64> {
        match self.take(key)? {
            (at, Raw::Text(text)) => self.judged(at, key, values::size(&text, range)),
            (at, Raw::Integer(written, number)) => {
                let advice = format!("add a unit, in quotes: {} = \"{written}G\" or \"{written}M\"", leaf(key));
                self.wrong_type(at, key, "a size like \"4G\"", &Raw::Integer(written, number), advice);
                None
            }
            (at, other) => {
                self.wrong_type(at, key, "a size like \"4G\"", &other, format!("write {} = \"4G\"", leaf(key)));
                None
            }
        }
    }

    /// `default` for the first word in the field's own list, and the `others` for the words after it.
    fn choice<T: Copy>(&mut self, key: &'static str, default: T, others: &[T]) -> T {
        let words = match field(key).map(|field| field.kind) {
            Some(FieldKind::Choice(words)) => words,
            _ => &[],
        };
        let chosen = self.text(key, |text| match words.iter().position(|word| *word == text) {
            Some(index) => Ok(index),
            None => Err(not_a_choice(key, text, words)),
        });
        chosen.and_then(|index| others.get(index.checked_sub(1)?)).copied().unwrap_or(default)
    }

    fn list(&mut self, key: &'static str, judge: impl Fn(&str) -> Result<String, Problem>) -> Vec<String> {
        match self.take(key) {
            None => Vec::new(),
            Some((_, Raw::List(items))) => {
                let mut good = Vec::new();
                for (at, item) in items {
                    match item {
                        Raw::Text(text) => good.extend(self.judged(at, key, judge(&text))),
                        other => self.wrong_type(at, key, "a list of strings", &other, quoted("", &other)),
                    }
                }
                good
            }
            Some((at, other)) => {
                let advice = match &other {
                    Raw::Text(text) => format!("put it in brackets: {} = [{text:?}]", leaf(key)),
                    _ => format!("write {} = [\"…\"]", leaf(key)),
                };
                self.wrong_type(at, key, "a list of strings", &other, advice);
                Vec::new()
            }
        }
    }

    fn map(&mut self, key: &'static str) -> Vec<Pair> {
        match self.take(key) {
            None => Vec::new(),
            Some((_, Raw::Map(pairs))) => pairs,
            Some((at, other)) => {
                let range = field(key).map_or("", |field| field.range);
                self.wrong_type(at, key, "a table", &other, format!("write {} = {{ … }} with {range}", leaf(key)));
                Vec::new()
            }
        }
    }

    fn files(&mut self, into: &Path) -> BTreeMap<PathBuf, PathBuf> {
        let mut files = BTreeMap::new();
        let mut places = BTreeMap::new();
        for pair in self.map("image.files") {
            let key = format!("image.files.{:?}", pair.name);
            let guest = self.judged(pair.key_at, &key, values::guest_file(&pair.name, into));
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

    fn forward(&mut self) -> Vec<Forward> {
        let mut forward: Vec<Forward> = Vec::new();
        for pair in self.map("guest.forward") {
            let key = format!("guest.forward.{}", pair.name);
            if self.judged(pair.key_at, &key, values::name(&pair.name)).is_none() {
                continue;
            }
            let port = match &pair.value {
                Raw::Text(text) if text == "auto" => self.judged(pair.value_at, &key, values::service(&pair.name)),
                Raw::Integer(_, Some(port @ 1..=65535)) => u16::try_from(*port).ok(),
                Raw::Integer(written, _) => {
                    self.find(pair.value_at, &key, (format!("{written} is not a port"), "use 1 to 65535".to_owned()));
                    None
                }
                other => {
                    let message = format!("must be \"auto\" or the guest's port, not {}", shown(other));
                    self.find(pair.value_at, &key, (message, format!("write {} = 8080", pair.name)));
                    None
                }
            };
            let Some(guest_port) = port else { continue };
            if let Some(other) = forward.iter().find(|other| other.guest_port == guest_port) {
                let message = format!("port {guest_port} is forwarded as {} too", other.name);
                self.find(pair.value_at, key, (message, "keep one".to_owned()));
                continue;
            }
            forward.push(Forward { name: pair.name, guest_port });
        }
        forward
    }
}

/// The name of a field without its section, as it is written in the file.
fn leaf(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

fn shown(raw: &Raw) -> String {
    match raw {
        Raw::Text(text) => format!("{text:?}"),
        other => other.kind().to_owned(),
    }
}

/// Advice for a value that lacks its quotes.
fn quoted(key: &str, raw: &Raw) -> String {
    let written = match raw {
        Raw::Integer(written, _) | Raw::Other(_, written) => written,
        _ => return "write one string in quotes".to_owned(),
    };
    if key.is_empty() { format!("write \"{written}\"") } else { format!("write {} = \"{written}\"", leaf(key)) }
}

fn not_a_choice(key: &str, text: &str, words: &[&str]) -> Problem {
    // Engines that the format knows and this version does not: the file may be right for another version.
    if key == "image.engine" && ["archiso", "mkarchiso", "debian", "tree"].contains(&text) {
        return (format!("engine {text:?} is not in this version"), format!("use {:?}", words.join(" or ")));
    }
    let advice = match nearest(text, words.iter().copied()) {
        Some(word) => format!("did you mean {word:?}?"),
        None if words.len() == 1 => format!("use {:?}", words.join("")),
        None => format!("use one of {}", words.join(", ")),
    };
    (format!("{text:?} is not a choice"), advice)
}

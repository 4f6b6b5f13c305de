//! Turns the text of a `cartridge.toml` into a [`Recipe`]: every value judged, every finding kept.

use std::path::Path;

use super::field_table::{CPUS, DISK, MEMORY_MIB};
use super::finding::RecipeError;
use super::judge::{Judge, shown};
use super::model::{AcceleratorWish, Firmware, Forward, Gpu, GuestSettings, Live, Medium, Recipe, Source};
use super::open::FILE_NAME;
use super::reader::{Raw, entries};
use super::values;

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

impl Judge<'_> {
    /// Every field is read, whatever is wrong with the others; a bad one counts as not set.
    fn recipe(&mut self) -> Recipe {
        let folder = self.root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name = self.text("name", values::name).unwrap_or_else(|| values::safe_name(&folder));
        let root = self.root;
        let engine = self.engine();
        let source = Source {
            path: self.text("source.path", |text| values::inside(text, root)).unwrap_or_else(|| root.to_owned()),
            into: self
                .text("source.into", |text| values::guest_folder(text, engine))
                .unwrap_or_else(|| Path::new("/root").join(&name)),
            exclude: self.list("source.exclude", values::pattern),
            live: self.choice("source.live", Live::Off, &[Live::ReadOnly, Live::Overlaid, Live::Writable]),
        };
        let image = self.image(engine, &source.into);
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

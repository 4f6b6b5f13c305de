//! Writes a first `cartridge.toml` for a folder: complete, with every field explained, made from the table of fields and
//! from what was found. What is proposed is decided in `propose_image` and `propose_source`.

use toml_edit::{Array, InlineTable, Value};

use super::document;
use super::fields::{FIELDS, FieldDoc, FieldKind, sections};
use super::model::EngineKind;
use super::proposal::{Proposal, Proposed, ProposedKind};
use super::values::safe_name;
use super::{propose_image, propose_source};
use crate::discover::Discovered;

/// Fields that stand in a proposal as settings; all others stand there as comments, with an example, unless something was
/// found for them.
const SET: &[&str] = &["name", "source.path", "source.exclude", "guest.cpus", "guest.memory", "guest.firmware"];

/// What a field without a default looks like when it is used.
const EXAMPLES: &[(&str, &str)] = &[
    ("image.base", "\"minimal\""),
    ("image.overlays", "[\"configs\"]"),
    ("image.remove", "[\"airootfs/etc/motd\"]"),
    ("image.pacman_conf", "\"configs/pacman-online.conf\""),
    ("image.packages", "[\"git\"]"),
    ("image.mirror", "\"https://geo.mirror.pkgbuild.com/$repo/os/$arch\""),
    ("image.kernel", "\"boot/vmlinuz\""),
    ("image.cmdline", "\"loglevel=7\""),
    ("image.files", "{ \"/root/hello.sh\" = \"scripts/hello.sh\" }"),
    ("image.env", "{ GREETING = \"hello\" }"),
    ("guest.disk", "\"40G\""),
    ("guest.forward", "{ ssh = \"auto\", web = 8080 }"),
    ("guest.disks", "{ data = \"20G\", system = \"40G keep\" }"),
    ("guest.extra_iso", "\"drivers.iso\""),
    ("guest.usb", "[\"1d6b:0002\"]"),
    ("guest.qemu_args", "[\"-device\", \"edu\"]"),
];

/// Proposes a `cartridge.toml` for a folder called `dir_name`, from what was found in it. Without a sign of archiso it means
/// the same as an empty one. Every line that is commented out may be uncommented.
#[must_use]
pub fn propose(dir_name: &str, found: &Discovered) -> Proposal {
    if !found.is_archiso() {
        return Proposal { text: text(dir_name, found.has_git, EngineKind::Micro, &[]), settings: Vec::new() };
    }
    let mut settings = propose_image::settings(found);
    settings.extend(propose_source::settings(dir_name, found));
    let order = |setting: &Proposed| {
        let place = FIELDS.iter().position(|field| field.key == setting.key);
        (place.unwrap_or(FIELDS.len()), setting.kind == ProposedKind::Warning)
    };
    settings.sort_by_key(order);
    Proposal { text: text(dir_name, found.has_git, EngineKind::Archiso, &settings), settings }
}

fn text(dir_name: &str, has_git: bool, engine: EngineKind, settings: &[Proposed]) -> String {
    let name = safe_name(dir_name);
    let mut text = String::from(
        "# A cartridge: what to inject into an image, how to make the image, and the machine to run it on.\n\
         # Every setting may be left out. A line that begins with # says what holds, or shows an example.\n\n",
    );
    text.push_str(&block(&FIELDS[0], &name, has_git, settings));
    for section in sections() {
        text.push_str(&format!("\n[{section}]\n"));
        let here = |field: &&FieldDoc| field.key.split_once('.').is_some_and(|key| key.0 == section);
        let fields = FIELDS.iter().filter(here).filter(|field| field.engines.contains(&engine));
        let blocks: Vec<_> = fields.map(|field| block(field, &name, has_git, settings)).collect();
        text.push_str(&blocks.join("\n"));
    }
    text
}

fn block(field: &FieldDoc, name: &str, has_git: bool, settings: &[Proposed]) -> String {
    let leaf = field.key.rsplit('.').next().unwrap_or(field.key);
    let mut doc = field.doc.to_owned();
    if field.key == "source.exclude" && !has_git {
        doc.push_str(" There is no git here.");
    }
    let head = format!("# {doc}\n# ({})\n", field.range);
    match proposed(field, settings) {
        Some(value) => format!("{head}{leaf} = {}\n", document::layout(field, &value)),
        None if SET.contains(&field.key) => format!("{head}{leaf} = {}\n", usual(field, name)),
        None => format!("{head}# {leaf} = {}\n", usual(field, name)),
    }
}

/// What is proposed for a field, all items together.
fn proposed(field: &FieldDoc, settings: &[Proposed]) -> Option<Value> {
    let mut items = settings.iter().filter(|it| it.key == field.key && it.kind != ProposedKind::Warning).peekable();
    items.peek()?;
    match field.kind {
        FieldKind::List => Some(items.map(|it| it.value.as_str()).collect::<Array>().into()),
        FieldKind::Map => {
            let pairs = items.filter_map(|it| Some((it.item.as_deref()?, Value::from(it.value.as_str()))));
            Some(pairs.collect::<InlineTable>().into())
        }
        FieldKind::Integer { .. } => items.next()?.value.parse::<i64>().ok().map(Value::from),
        _ => items.next().map(|it| Value::from(it.value.as_str())),
    }
}

fn usual(field: &FieldDoc, name: &str) -> String {
    if let Some((_, example)) = EXAMPLES.iter().find(|(key, _)| *key == field.key) {
        return (*example).to_owned();
    }
    match (field.key, field.kind) {
        ("name", _) => format!("{name:?}"),
        (_, FieldKind::Integer { .. } | FieldKind::Switch) => field.default.to_owned(),
        (_, FieldKind::List) => "[]".to_owned(),
        _ => format!("{:?}", field.default.replace("<name>", name)),
    }
}

//! Writes a first `cartridge.toml` for a folder: complete, with every field explained, made from the table of fields.

use super::fields::{FIELDS, FieldDoc, FieldKind, sections};
use super::model::EngineKind;
use super::values::safe_name;

/// Fields that stand in a proposal as settings; all others stand there as comments, with an example.
const SET: &[&str] = &["name", "source.path", "source.exclude", "guest.cpus", "guest.memory", "guest.firmware"];

/// What a field without a default looks like when it is used.
const EXAMPLES: &[(&str, &str)] = &[
    ("image.kernel", "\"boot/vmlinuz\""),
    ("image.cmdline", "\"loglevel=7\""),
    ("image.files", "{ \"/root/hello.sh\" = \"scripts/hello.sh\" }"),
    ("image.env", "{ GREETING = \"hello\" }"),
    ("guest.disk", "\"40G\""),
    ("guest.forward", "{ ssh = \"auto\", web = 8080 }"),
];

/// Writes a commented, complete `cartridge.toml` for a folder called `dir_name`. It means the same as an empty one, and
/// every line that is commented out may be uncommented.
#[must_use]
pub fn propose(dir_name: &str, has_git: bool) -> String {
    let name = safe_name(dir_name);
    let mut text = String::from(
        "# A cartridge: what to inject into an image, how to make the image, and the machine to run it on.\n\
         # Every setting may be left out. A line that begins with # says what holds, or shows an example.\n\n",
    );
    text.push_str(&block(&FIELDS[0], &name, has_git));
    for section in sections() {
        text.push_str(&format!("\n[{section}]\n"));
        let fields = FIELDS.iter().filter(|field| {
            field.engines.contains(&EngineKind::Micro) && field.key.split_once('.').is_some_and(|key| key.0 == section)
        });
        let blocks: Vec<_> = fields.map(|field| block(field, &name, has_git)).collect();
        text.push_str(&blocks.join("\n"));
    }
    text
}

fn block(field: &FieldDoc, name: &str, has_git: bool) -> String {
    let leaf = field.key.rsplit('.').next().unwrap_or(field.key);
    let mark = if SET.contains(&field.key) { "" } else { "# " };
    let mut doc = field.doc.to_owned();
    if field.key == "source.exclude" && !has_git {
        doc.push_str(" There is no git here.");
    }
    format!("# {doc}\n# ({})\n{mark}{leaf} = {}\n", field.range, value(field, name))
}

fn value(field: &FieldDoc, name: &str) -> String {
    if let Some((_, example)) = EXAMPLES.iter().find(|(key, _)| *key == field.key) {
        return (*example).to_owned();
    }
    match (field.key, field.kind) {
        ("name", _) => format!("{name:?}"),
        (_, FieldKind::Integer { .. }) => field.default.to_owned(),
        (_, FieldKind::List) => "[]".to_owned(),
        _ => format!("{:?}", field.default.replace("<name>", name)),
    }
}

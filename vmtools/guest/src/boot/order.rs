//! `/etc/cartridge/boot.json`: what the root of a directly booted guest is. `vmtools/src/boot/initramfs.rs` writes it.

use std::path::{Component, Path};

use serde_json::Value;

use crate::shares::Access;

/// Where the host puts it.
const FILE: &str = "/etc/cartridge/boot.json";
/// The version that we understand.
const VERSION: u64 = 1;

/// What the root is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// This initramfs.
    Initramfs,
    /// Layers on a disk: their paths in it, none if they are to be found; whether a disk keeps what is written.
    Layers { layers: Vec<String>, keep: bool },
    /// A folder of the host, by its mount tag.
    Folder { tag: String, access: Access },
}

/// Reads it. `None`: this is no direct boot.
pub(crate) fn ordered(notes: &mut Vec<String>) -> Option<Order> {
    let text = std::fs::read_to_string(FILE).ok()?;
    Some(parse(&text).unwrap_or_else(|why| {
        notes.push(format!("{FILE}: {why}: the root is this initramfs"));
        Order::Initramfs
    }))
}

fn parse(text: &str) -> Result<Order, String> {
    let json: Value = serde_json::from_str(text).map_err(|e| format!("not JSON ({e})"))?;
    if json.get("v").and_then(Value::as_u64) != Some(VERSION) {
        return Err(format!("not of version {VERSION}"));
    }
    let word = |key: &str| json.get(key).and_then(Value::as_str).ok_or(format!("it has no text for {key:?}"));
    match word("root")? {
        "initramfs" => Ok(Order::Initramfs),
        "layers" => {
            let layers = json.get("layers").and_then(Value::as_array).ok_or("it has no list for \"layers\"")?;
            let layers = layers.iter().map(|it| it.as_str().filter(|it| is_inside(it)).map(str::to_owned));
            let layers = layers.collect::<Option<Vec<_>>>().ok_or("a layer's path leads out of the medium")?;
            Ok(Order::Layers { layers, keep: json.get("keep").and_then(Value::as_bool).unwrap_or(false) })
        }
        "folder" => {
            let access = match word("access")? {
                "read-only" => Access::ReadOnly,
                "writable" => Access::Writable,
                _ => Access::Overlaid,
            };
            Ok(Order::Folder { tag: word("tag")?.to_owned(), access })
        }
        other => Err(format!("a root of kind {other:?} is not known")),
    }
}

/// Whether it stays below the folder that it is joined to.
fn is_inside(path: &str) -> bool {
    let path = Path::new(path.trim_start_matches('/'));
    !path.as_os_str().is_empty() && path.components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_and_nonsense_is_named() {
        assert_eq!(parse(r#"{"v":1,"root":"initramfs","new":1}"#), Ok(Order::Initramfs));
        let layers = r#"{"v":1,"root":"layers","layers":["/arch/x86_64/airootfs.sfs"],"keep":true}"#;
        assert_eq!(parse(layers), Ok(Order::Layers { layers: vec!["/arch/x86_64/airootfs.sfs".into()], keep: true }));
        let folder = r#"{"v":1,"root":"folder","tag":"root","access":"writable"}"#;
        assert_eq!(parse(folder), Ok(Order::Folder { tag: "root".into(), access: Access::Writable }));
        for bad in [
            "",
            "{}",
            r#"{"v":2,"root":"initramfs"}"#,
            r#"{"v":1,"root":"moon"}"#,
            r#"{"v":1,"root":"layers","layers":["../x"]}"#,
            r#"{"v":1,"root":"folder","tag":7}"#,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}

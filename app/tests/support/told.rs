//! The events of a run, and how they are shown where a test fails: the last of them, a line each, and the end of the guest's
//! serial log. What a log of tests keeps of a failure is little, and a whole cartridge with its fields leaves no room for its end.

use std::fmt;
use std::fs;
use std::ops::Deref;
use std::path::Path;

use serde_json::Value;

/// How many events are shown.
const LAST: usize = 40;
/// How much of an event is shown, characters.
const LONGEST: usize = 300;
/// How much of the serial log is shown, bytes.
const TAIL: usize = 2 << 10;

#[derive(Default)]
pub struct Events(pub Vec<Value>);

impl Deref for Events {
    type Target = Vec<Value>;

    fn deref(&self) -> &Vec<Value> {
        &self.0
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed_over = self.len().saturating_sub(LAST);
        writeln!(f, "{} events, the last of them:", self.len())?;
        for event in &self[passed_over..] {
            let mut event = event.clone();
            if let Some(cartridge) = event.get_mut("cartridge").and_then(Value::as_object_mut) {
                cartridge.remove("fields");
            }
            writeln!(f, "{}", event.to_string().chars().take(LONGEST).collect::<String>())?;
        }
        for opened in self.iter().filter(|event| event["event"] == "opened") {
            serial_logs(f, Path::new(opened["logs"].as_str().unwrap_or_default()))?;
        }
        Ok(())
    }
}

fn serial_logs(f: &mut fmt::Formatter<'_>, logs: &Path) -> fmt::Result {
    for file in fs::read_dir(logs).into_iter().flatten().flatten() {
        if !file.file_name().to_string_lossy().starts_with("serial") {
            continue;
        }
        let bytes = fs::read(file.path()).unwrap_or_default();
        let tail = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL)..]).into_owned();
        writeln!(f, "the end of {}:\n{tail}", file.path().display())?;
    }
    Ok(())
}

//! QMP's lines: bytes in, typed messages out. Pure, bounded, and never surprised.
//!
//! Protocol: "QEMU Machine Protocol Specification", `docs/interop/qmp-spec`; events: `qapi/run-state.json`.

use serde_json::{Map, Value};

/// The longest line that is accepted, bytes. The longest that QEMU sends us is the answer to a query: some KiB.
pub const LINE_LIMIT: usize = 1024 * 1024;

/// One message from QEMU.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// The first line of a connection.
    Greeting {
        /// For example "7.2.22".
        version: String,
    },
    /// A command did what it should.
    Return {
        /// The id that the command had.
        id: Option<u64>,
        /// Its result.
        value: Value,
    },
    /// A command failed.
    Error {
        /// The id that the command had.
        id: Option<u64>,
        /// QEMU's words.
        description: String,
    },
    /// Something happened.
    Event(QmpEvent),
}

/// What can happen to a guest, as QEMU tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QmpEvent {
    /// The virtual machine has ended.
    Shutdown {
        /// The guest itself wanted it.
        guest: bool,
        /// "guest-shutdown", "host-qmp-quit", "host-signal" …
        reason: String,
    },
    /// The virtual machine starts again from its firmware.
    Reset {
        /// The guest itself wanted it.
        guest: bool,
        /// "guest-reset", "host-qmp-system-reset" …
        reason: String,
    },
    /// The virtual CPUs stand still.
    Stop,
    /// The virtual CPUs run again.
    Resume,
    /// The guest was asked to power down by its power button.
    Powerdown,
    /// The guest's kernel said through pvpanic that it has panicked.
    GuestPanicked,
    /// Anything else, by name.
    Other(String),
}

/// A line that is not QMP.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// It goes on for more than [`LINE_LIMIT`].
    #[error("a QMP line of more than {LINE_LIMIT} bytes")]
    TooLong,
    /// It is not a JSON object that QMP knows.
    #[error("not a QMP message: {start:?} ({problem})")]
    NotQmp {
        /// The first bytes of the line.
        start: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Understands one line.
///
/// # Errors
/// [`MessageError`] when it is too long or no QMP message.
pub fn parse(line: &[u8]) -> Result<Message, MessageError> {
    if line.len() > LINE_LIMIT {
        return Err(MessageError::TooLong);
    }
    let not_qmp = |problem: &str| MessageError::NotQmp {
        start: String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned(),
        problem: problem.to_owned(),
    };
    let object: Map<String, Value> = serde_json::from_slice(line).map_err(|e| not_qmp(&e.to_string()))?;
    let id = object.get("id").and_then(Value::as_u64);
    if let Some(value) = object.get("return") {
        return Ok(Message::Return { id, value: value.clone() });
    }
    if let Some(error) = object.get("error") {
        let description = text(error, "desc").unwrap_or("QEMU gave no reason").to_owned();
        return Ok(Message::Error { id, description });
    }
    if let Some(name) = object.get("event").and_then(Value::as_str) {
        return Ok(Message::Event(event(name, object.get("data").unwrap_or(&Value::Null))));
    }
    if let Some(greeting) = object.get("QMP") {
        return Ok(Message::Greeting { version: version(greeting.get("version").unwrap_or(&Value::Null)) });
    }
    Err(not_qmp("neither return, error, event nor greeting"))
}

fn event(name: &str, data: &Value) -> QmpEvent {
    let guest = data.get("guest").and_then(Value::as_bool).unwrap_or(false);
    let reason = || text(data, "reason").unwrap_or("unknown").to_owned();
    match name {
        "SHUTDOWN" => QmpEvent::Shutdown { guest, reason: reason() },
        "RESET" => QmpEvent::Reset { guest, reason: reason() },
        "STOP" => QmpEvent::Stop,
        "RESUME" => QmpEvent::Resume,
        "POWERDOWN" => QmpEvent::Powerdown,
        "GUEST_PANICKED" => QmpEvent::GuestPanicked,
        other => QmpEvent::Other(other.to_owned()),
    }
}

/// QEMU's version as a text (`qapi/control.json`, VersionInfo).
pub(super) fn version(info: &Value) -> String {
    let number = |part: &str| info.pointer(&format!("/qemu/{part}")).and_then(Value::as_u64).unwrap_or(0);
    format!("{}.{}.{}", number("major"), number("minor"), number("micro"))
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// A command as a line, with its newline.
#[must_use]
pub fn command(id: u64, name: &str, arguments: Option<Value>) -> Vec<u8> {
    let mut object = Map::new();
    object.insert("execute".into(), name.into());
    if let Some(arguments) = arguments {
        object.insert("arguments".into(), arguments);
    }
    object.insert("id".into(), id.into());
    let mut line = Value::Object(object).to_string().into_bytes();
    line.push(b'\n');
    line
}

/// Cuts a stream into lines, of which it keeps one at most.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes a chunk and gives each finished line, without its end, to `line`. Empty lines are left out.
    ///
    /// # Errors
    /// [`MessageError::TooLong`] when a line passes [`LINE_LIMIT`]; what `line` returns is passed on. After an error the
    /// stream is of no more use.
    pub fn push(
        &mut self,
        mut chunk: &[u8],
        mut line: impl FnMut(&[u8]) -> Result<(), MessageError>,
    ) -> Result<(), MessageError> {
        while let Some(at) = chunk.iter().position(|&b| b == b'\n') {
            let (head, rest) = chunk.split_at(at);
            chunk = &rest[1..];
            self.keep(head)?;
            let whole = std::mem::take(&mut self.partial);
            let trimmed = whole.trim_ascii();
            if !trimmed.is_empty() {
                line(trimmed)?;
            }
        }
        self.keep(chunk)
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), MessageError> {
        if self.partial.len() + bytes.len() > LINE_LIMIT {
            return Err(MessageError::TooLong);
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn understands_what_qemu_says() {
        let greeting =
            br#"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "x"}, "capabilities": []}}"#;
        assert_eq!(parse(greeting), Ok(Message::Greeting { version: "7.2.22".into() }));
        assert_eq!(
            parse(br#"{"return": {}, "id": 7}"#),
            Ok(Message::Return { id: Some(7), value: Value::Object(Map::new()) })
        );
        let error = br#"{"id": 1, "error": {"class": "CommandNotFound", "desc": "The command x has not been found"}}"#;
        assert!(
            matches!(parse(error), Ok(Message::Error { id: Some(1), description }) if description.contains("not been"))
        );
        let shutdown = br#"{"timestamp": {"seconds": 1}, "event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}"#;
        let expected = QmpEvent::Shutdown { guest: true, reason: "guest-shutdown".into() };
        assert_eq!(parse(shutdown), Ok(Message::Event(expected)));
        assert_eq!(parse(br#"{"event": "RTC_CHANGE"}"#), Ok(Message::Event(QmpEvent::Other("RTC_CHANGE".into()))));
    }

    #[test]
    fn garbage_is_an_error_with_the_words() {
        for line in [&b"hello"[..], b"[]", b"{}", b"{\"event\": 3}", b"\xff\xfe", b"{\"return\":"] {
            assert!(matches!(parse(line), Err(MessageError::NotQmp { .. })), "{line:?}");
        }
        assert_eq!(parse(&vec![b' '; LINE_LIMIT + 1]), Err(MessageError::TooLong));
        let mut lines = Lines::default();
        let endless = [b'x'; 64 * 1024];
        let failed = (0..1000).position(|_| lines.push(&endless, |_| Ok(())).is_err());
        assert_eq!(failed, Some(LINE_LIMIT / endless.len()));
    }

    #[test]
    fn commands_are_one_line() {
        let line = command(3, "human-monitor-command", Some(serde_json::json!({"command-line": "info\nusernet"})));
        assert_eq!(line.iter().filter(|&&b| b == b'\n').count(), 1);
        assert!(line.ends_with(b"\"id\":3}\n") || line.starts_with(b"{\"arguments\""));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
            let _ = parse(&bytes);
            let _ = Lines::default().push(&bytes, |line| parse(line).map(|_| ()));
        }

        #[test]
        fn lines_do_not_depend_on_how_they_arrive(
            lines in proptest::collection::vec("[ -~]{1,40}", 0..20),
            cut in 1_usize..50,
        ) {
            let stream = lines.iter().map(|l| format!("{l}\r\n")).collect::<String>();
            let mut seen = Vec::new();
            let mut splitter = Lines::default();
            for chunk in stream.as_bytes().chunks(cut) {
                splitter.push(chunk, |l| { seen.push(String::from_utf8_lossy(l).into_owned()); Ok(()) }).unwrap();
            }
            let expected: Vec<_> = lines.iter().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect();
            prop_assert_eq!(seen, expected);
        }
    }
}

//! A child's standard input: fed from a thread, then closed, or held open for as long as the child is wanted.

use std::io::{self, Write};
use std::process::ChildStdin;
use std::sync::{Arc, Mutex, PoisonError};

use crate::CommandLine;

/// The input of one child.
#[derive(Debug, Default)]
pub(crate) struct Input(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
enum Held {
    /// Not written to its end, or not held at all.
    #[default]
    Not,
    Open(#[expect(dead_code, reason = "held, and closed when it is dropped")] ChildStdin),
    Closed,
}

impl Input {
    /// Feeds what the command line says.
    pub(crate) fn feed(&self, stdin: Option<ChildStdin>, line: &CommandLine) -> io::Result<()> {
        let Some(mut stdin) = stdin else { return Ok(()) };
        let (bytes, hold, shared) = (line.stdin.clone(), line.stdin_held, Arc::clone(&self.0));
        std::thread::Builder::new().name("stdin".into()).spawn(move || {
            // A child that does not read its input is its own affair; it says so by its exit.
            let _ = stdin.write_all(&bytes);
            let mut held = shared.lock().unwrap_or_else(PoisonError::into_inner);
            if hold && !matches!(*held, Held::Closed) {
                *held = Held::Open(stdin);
            }
        })?;
        Ok(())
    }

    /// Ends it, now or as soon as it is written.
    pub(crate) fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Held::Closed;
    }
}

//! Runs the app's benches, which compare what they measure within one run.

use cartridge_supervise::{Cancel, Channel, CommandLine, run};

use crate::Failure;

/// Runs `cargo bench -p cartridge` with `arguments`, and shows what it prints as it comes.
pub fn run_benches(arguments: &[String]) -> Result<String, Failure> {
    use std::io::Write;
    let line = CommandLine::new("cargo").args(["bench", "--locked", "-p", "cartridge", "--"]).args(arguments);
    run(&line, &Cancel::new(), |channel, bytes| {
        // A closed terminal is no reason to stop measuring.
        let _ = match channel {
            Channel::Stdout => std::io::stdout().write_all(bytes),
            Channel::Stderr => std::io::stderr().write_all(bytes),
        };
    })?;
    Ok("bench: done".to_owned())
}

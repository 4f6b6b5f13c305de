//! What the verb takes that attaches to a VNC server.

use std::path::PathBuf;

use clap::Args;
use vmtools::display::rfb::Fingerprint;

/// What `attach` takes.
#[derive(Args, Clone, Debug, Default)]
pub struct AttachArgs {
    /// HOST, HOST:DISPLAY, HOST::PORT, vnc://USER@HOST:PORT, the path of a socket, or ssh://USER@HOST/ADDRESS
    #[arg(value_name = "ADDRESS")]
    pub address: String,
    /// The host from which the address is meant; ssh's own configuration, keys and agent are used
    #[arg(long, value_name = "[USER@]HOST[:PORT]")]
    pub ssh: Option<String>,
    /// The first line of this file is the password; without it a terminal or the window asks
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Trust the certificate with this SHA-256 fingerprint from now on, in place of the one that was trusted before
    #[arg(long, value_name = "FINGERPRINT", value_parser = fingerprint)]
    pub trust: Option<Fingerprint>,
    /// Send neither keys nor the pointer
    #[arg(long)]
    pub view_only: bool,
    /// Without a window: save its screen as PNG, and let go of it
    #[arg(long, value_name = "FILE")]
    pub shot: Option<PathBuf>,
    /// Without a window: record its screen until Ctrl-C, as H.264 in a new MP4 file
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Without a window: one JSON object an event, until Ctrl-C or with --shot until that is saved
    #[arg(long)]
    pub json: bool,
}

impl AttachArgs {
    /// Whether it is shown in the window.
    #[must_use]
    pub fn in_window(&self) -> bool {
        self.shot.is_none() && self.record.is_none() && !self.json
    }
}

fn fingerprint(text: &str) -> Result<Fingerprint, String> {
    Fingerprint::parse(text)
        .ok_or_else(|| "64 hexadecimal digits are wanted, with colons between bytes or without".into())
}

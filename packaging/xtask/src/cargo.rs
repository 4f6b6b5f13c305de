//! The one place that asks cargo.

use cartridge_supervise::{Cancel, CommandLine, run};
use serde::Deserialize;

use crate::Failure;

/// The platform that is shipped; dependencies of others are neither downloaded nor looked at.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What `cargo metadata` says, as far as we read it.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// Every package of the graph.
    pub packages: Vec<Package>,
    /// The ids of our own packages.
    pub workspace_members: Vec<String>,
}

/// One package of the graph.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Its unique id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence, an SPDX expression.
    pub license: Option<String>,
    /// Its licence's file, where the licence is none of SPDX's.
    pub license_file: Option<String>,
    /// Where its Cargo.toml lies.
    pub manifest_path: String,
}

impl Metadata {
    /// The packages that are not ours.
    pub fn foreign(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| !self.workspace_members.contains(&package.id))
    }
}

/// The whole graph, with all features.
pub fn metadata() -> Result<Metadata, Failure> {
    let text = ask(&["metadata", "--format-version", "1", "--locked", "--all-features", "--filter-platform", TARGET])?;
    Ok(serde_json::from_str(&text)?)
}

/// The names of the packages that `package` is linked from, one on a line, with `extra` arguments.
pub fn tree(package: &str, extra: &[&str]) -> Result<String, Failure> {
    let mut words = vec![
        "tree",
        "--package",
        package,
        "--locked",
        "--target",
        TARGET,
        "--edges",
        "normal,build",
        "--prefix",
        "none",
    ];
    words.extend(["--format", "{lib} {p}", "--no-dedupe"]);
    words.extend(extra);
    ask(&words)
}

fn ask(words: &[&str]) -> Result<String, Failure> {
    // `cargo run` and `cargo test` say which cargo it is.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let line = CommandLine::new(cargo).args(words).cwd(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let output = run(&line, &Cancel::new(), |_, _| {})?;
    Ok(String::from_utf8(output.stdout)?)
}

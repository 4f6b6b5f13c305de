//! Builds the guest's init, statically linked, so that the finished program carries it: an image needs nothing from the
//! host that this build did not make.
//!
//! A nested cargo does it, with a target directory of its own (the outer one is locked), for an explicit target (so that
//! `crt-static` reaches the init and not the proc macros of its dependencies), and without the outer build's flags.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "x86_64-unknown-linux-gnu";

fn main() -> Result<(), Box<dyn Error>> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let root = here.parent().ok_or("vmtools lies in no workspace")?.to_path_buf();
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for path in [
        "vmtools/build.rs",
        "vmtools/guest",
        "isoprep/treehash/src",
        "isoprep/treehash/Cargo.toml",
        "Cargo.toml",
        "Cargo.lock",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    let built = build(&root, &out.join("guest-target"))?;
    std::fs::copy(&built, out.join("cartridge-init")).map_err(|e| format!("{}: {e}", built.display()))?;
    Ok(())
}

/// Builds it with `target_dir`, and says where it is.
pub fn build(root: &Path, target_dir: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (key, _) in env::vars_os() {
        if key.to_str().is_some_and(is_noise) {
            cargo.env_remove(&key);
        }
    }
    cargo.current_dir(root).args([
        "build",
        "--locked",
        "-p",
        "cartridge-guest",
        "--bin",
        "cartridge-init",
        "--features",
        "plain-hash",
    ]);
    cargo.args(["--target", TARGET, "--profile", "guest", "--target-dir"]).arg(target_dir);
    for setting in [
        r#"profile.guest.inherits="release""#,
        "profile.guest.opt-level=2",
        r#"profile.guest.panic="abort""#,
        "profile.guest.codegen-units=1",
        r#"profile.guest.strip="symbols""#,
    ] {
        cargo.args(["--config", setting]);
    }
    // Position-dependent: a static PIE relocates itself at every start and is larger.
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned(), "-Crelocation-model=static".to_owned()];
    // It goes into images that are given away: whoever built it, and where, stays out of it.
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    for (from, to) in [(Some(root.to_path_buf()), "/cartridge"), (home, "/cargo")] {
        flags.extend(from.map(|from| format!("--remap-path-prefix={}={to}", from.display())));
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    let output = cargo.output().map_err(|e| format!("cargo could not be started for the guest's init: {e}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "the guest's init was not built ({}){}\n{words}\n  command: {cargo:?}",
            output.status,
            advice(&words)
        )
        .into());
    }
    Ok(target_dir.join(TARGET).join("guest/cartridge-init"))
}

/// What the outer build tells its build scripts and its compiler; none of it is about the init.
fn is_noise(key: &str) -> bool {
    const KEPT: [&str; 6] =
        ["CARGO_HOME", "CARGO_MAKEFLAGS", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_TERM_"];
    const NOISE: [&str; 10] = [
        "RUSTFLAGS",
        "RUSTDOCFLAGS",
        "RUSTC_WORKSPACE_WRAPPER",
        "TARGET",
        "HOST",
        "PROFILE",
        "OPT_LEVEL",
        "DEBUG",
        "OUT_DIR",
        "CLIPPY_ARGS",
    ];
    NOISE.contains(&key) || (key.starts_with("CARGO_") && !KEPT.iter().any(|kept| key.starts_with(kept)))
}

fn advice(words: &str) -> &'static str {
    if words.contains("can't find crate for `std`") || words.contains("target may not be installed") {
        "\nThe Rust target is missing: rustup target add x86_64-unknown-linux-gnu"
    } else if words.contains("-lc") || words.contains("crt1") || words.contains("crtbeginT") {
        "\nStatic glibc is missing. Fedora: dnf install glibc-static; Debian and Ubuntu: apt install libc6-dev; Arch has it in glibc."
    } else if words.contains("offline") {
        "\nThe init's own dependencies are not downloaded yet: run `cargo fetch --locked` once while online."
    } else {
        ""
    }
}

//! From the command line to a front end.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::{self, AttachArgs, Cli, Verb};
use crate::paths::Paths;
use crate::session::attachment::AttachWish;
use crate::session::failure::exit_code;

/// When the program began.
static BEGAN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();

/// How long the program has run, milliseconds.
#[must_use]
pub fn running_ms() -> u128 {
    BEGAN.get().map_or(0, |began| began.elapsed().as_millis())
}

/// Reads the command line and runs what it asks for.
#[must_use]
pub fn start() -> ExitCode {
    BEGAN.get_or_init(std::time::Instant::now);
    let args: Vec<_> = std::env::args_os().collect();
    if let Some(code) = cartridge_supervise::warden_main(&args) {
        return code;
    }
    // The accelerator probe runs this very program as a child, so that a hanging guest cannot hang us.
    if let Some(code) = vmtools::probe_main(&args) {
        return code;
    }
    let cli = Cli::read(&args, |path| path.symlink_metadata().is_ok()).unwrap_or_else(|error| error.exit());
    let code = run(cli).unwrap_or_else(|error| {
        crate::cli::print::err(&format!("cartridge: {error}"));
        exit_code::INTERNAL
    });
    cartridge_supervise::dismiss_warden();
    ExitCode::from(code)
}

fn run(cli: Cli) -> Result<u8, Box<dyn std::error::Error>> {
    let paths = Paths::from_env()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let code = match cli.verb() {
        Some(Verb::Attach(args)) if args.in_window() => attach_window(&cli, &args, &runtime, paths),
        Some(verb) => runtime.block_on(cli::run(verb, paths)).map_err(Into::into),
        None => window(&cli, &runtime, paths),
    };
    // A stuck blocking task (a read from a dead network file system) must not keep us from ending.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    code
}

/// Why there can be no window, if that is so.
fn no_window() -> Option<&'static str> {
    let has_display = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|v| std::env::var_os(v).is_some_and(|v| !v.is_empty()));
    match (has_display, cfg!(feature = "gui")) {
        (true, true) => None,
        (true, false) => Some("This build has no window"),
        (false, _) => Some("There is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"),
    }
}

/// The window on a VNC server of somebody else's.
fn attach_window(
    cli: &Cli,
    args: &AttachArgs,
    runtime: &tokio::runtime::Runtime,
    paths: Paths,
) -> Result<u8, Box<dyn std::error::Error>> {
    let wrong = |why: &str| {
        crate::cli::print::err(&format!("cartridge: {why}"));
        Ok(exit_code::USAGE)
    };
    match (cli::attach_wish(args), no_window()) {
        (Err(why), _) => wrong(&why),
        (Ok(_), Some(why)) => wrong(&format!("{why}: --shot FILE, --record FILE and --json do without one")),
        (Ok(wish), None) => shown(cli, runtime, paths, Some((wish, args.view_only))),
    }
}

fn window(cli: &Cli, runtime: &tokio::runtime::Runtime, paths: Paths) -> Result<u8, Box<dyn std::error::Error>> {
    if let Some(why) = no_window() {
        crate::cli::print::err(&format!("{why}: doing the same without one, as `cartridge up` does."));
        return Ok(runtime.block_on(cli::run(Verb::headless_default(cli), paths))?);
    }
    shown(cli, runtime, paths, None)
}

/// The window; `attach` is the server that it begins with, and whether it is only looked at.
#[cfg_attr(not(feature = "gui"), expect(unused_variables, reason = "there is none"))]
fn shown(
    cli: &Cli,
    runtime: &tokio::runtime::Runtime,
    paths: Paths,
    attach: Option<(AttachWish, bool)>,
) -> Result<u8, Box<dyn std::error::Error>> {
    #[cfg(feature = "gui")]
    {
        let _guard = runtime.enter();
        let who = "the window".to_owned();
        let session = crate::session::begin(crate::session::SessionConfig {
            paths,
            who,
            fresh: cli.fresh,
            lint: true,
            examines: true,
            watches: true,
            patience: None,
            blank_after: None,
        })?;
        runtime.spawn(quit_on_signal(session.commands.clone()));
        let path = cli.path.clone().filter(|p| p.as_path() != std::path::Path::new(""));
        crate::gui::run(session, path, cli.builtin, attach)?;
    }
    Ok(exit_code::GOOD)
}

/// SIGTERM, SIGINT and SIGHUP eject and close, as closing the window does. The second one ends at once: our children die
/// with us, and the next start cleans what is left.
#[cfg(feature = "gui")]
async fn quit_on_signal(commands: tokio::sync::mpsc::Sender<crate::session::Command>) {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
    let [Ok(mut term), Ok(mut interrupt), Ok(mut hangup)] = kinds.map(signal) else { return };
    for asked in 0.. {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
            () = commands.closed() => return,
        }
        if asked > 0 {
            std::process::exit(i32::from(exit_code::CANCELLED));
        }
        let _ = commands.send(crate::session::Command::Quit).await;
    }
}

/// Whether somebody sits at a terminal: then a booted guest stays.
pub(crate) fn at_a_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// The folder to insert when none is named: the current one.
pub(crate) fn current_folder() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."))
}

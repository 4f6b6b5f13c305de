//! The program that serves virtiofs: where it is, which of the two it is, and its command line.
//!
//! There are two by that name: the one in Rust (gitlab.com/virtio-fs/virtiofsd), and the older one in C that QEMU brought
//! along up to 7.2. Both are started as root of a user namespace in which the whole file system is read-only, but for the
//! guest's runtime directory with the socket and, if the guest may write, the folder: so neither needs real root, a user's
//! own files are root's in the guest, and read-only does not depend on an option that not every version has.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cartridge_supervise::{Cancel, CommandLine, Isolation, run};

/// Where distributions put it: Fedora and Debian (Rust), Arch (Rust), Debian up to 12 (C).
const PLACES: [&str; 4] =
    ["/usr/libexec/virtiofsd", "/usr/lib/virtiofsd", "/usr/bin/virtiofsd", "/usr/lib/qemu/virtiofsd"];
/// Where it sees the folder: in its private `/run`.
const FOLDER: &str = "/run/cartridge/folder";
/// How long it may take to say what it is.
const SAYING: Duration = Duration::from_secs(10);
/// It holds a file open for each one that the guest knows. More than this is refused by some kernels (`fs.nr_open`).
const FILES: u64 = 1_000_000;

/// Where one may be, best first; `path` is `$PATH`.
pub(super) fn places(path: Option<&OsStr>) -> Vec<PathBuf> {
    let in_path = path.map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
    let in_path = Vec::into_iter(in_path).filter(|dir: &PathBuf| dir.is_absolute()).map(|dir| dir.join("virtiofsd"));
    let mut places: Vec<PathBuf> = PLACES.iter().map(PathBuf::from).collect();
    for place in in_path {
        if !places.contains(&place) {
            places.insert(places.len() - 1, place);
        }
    }
    places
}

/// Which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Make {
    /// The one in Rust, with or without `--readonly`.
    Rust { readonly: bool },
    /// QEMU's own.
    C,
}

/// A virtiofsd that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Daemon {
    pub(super) program: PathBuf,
    pub(super) make: Make,
}

/// Finds the first that runs and is one. Blocks, at most some seconds for each that hangs.
pub(super) fn find(places: &[PathBuf]) -> Result<Daemon, String> {
    let mut problems = Vec::new();
    for program in places {
        if rustix::fs::access(program, rustix::fs::Access::EXEC_OK).is_err() || !program.is_file() {
            continue;
        }
        match ask(program) {
            Ok(make) => return Ok(Daemon { program: program.clone(), make }),
            Err(problem) => problems.push(problem),
        }
    }
    Err(match &*problems {
        [] => "there is no virtiofsd on this machine (package virtiofsd)".to_owned(),
        problems => problems.join("; "),
    })
}

fn ask(program: &Path) -> Result<Make, String> {
    let cancel = Cancel::new();
    let (over, waiting) = std::sync::mpsc::channel::<()>();
    let late = cancel.clone();
    let watch = std::thread::Builder::new().name("virtiofsd --help".into()).spawn(move || {
        if waiting.recv_timeout(SAYING) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            late.cancel();
        }
    });
    let line = CommandLine::new(program).arg("--help").one_pipe();
    let answer = run(&line, &cancel, |_, _| ());
    drop(over);
    drop(watch);
    let said = answer.map_err(|e| format!("{}: {e}", program.display()))?;
    make(&String::from_utf8_lossy(&said.stdout))
        .ok_or_else(|| format!("{} is no virtiofsd that is known here", program.display()))
}

/// Reads what `--help` says.
fn make(help: &str) -> Option<Make> {
    if help.contains("--shared-dir") {
        return Some(Make::Rust { readonly: help.contains("--readonly") });
    }
    help.contains("-o source=").then_some(Make::C)
}

/// The command that serves `dir` at `socket`, whose folder is `runtime`. `files` is the limit of open files that we may set.
pub(super) fn command(
    daemon: &Daemon,
    dir: &Path,
    writable: bool,
    (runtime, socket): (&Path, &Path),
    files: u64,
) -> CommandLine {
    let files = files.min(FILES).to_string();
    let words: Vec<std::ffi::OsString> = match daemon.make {
        Make::Rust { readonly } => {
            let mut words = vec!["--socket-path".into(), socket.into(), "--shared-dir".into(), FOLDER.into()];
            // It is shut in already, and may not be allowed to do so again. `auto` asks again after a second at most.
            words.extend(["--sandbox", "none", "--cache", "auto", "--rlimit-nofile", &files].map(Into::into));
            if readonly && !writable {
                words.push("--readonly".into());
            }
            words
        }
        Make::C => {
            let mut path = std::ffi::OsString::from("--socket-path=");
            path.push(socket);
            let options = format!("source={FOLDER},sandbox=chroot,cache=auto,timeout=0.2,log_level=warn");
            vec!["-f".into(), path, "-o".into(), options.into(), format!("--rlimit-nofile={files}").into()]
        }
    };
    // The program too, as it may lie in a folder that is private there.
    let isolation = Isolation::new().writable(runtime).shown(&daemon.program, &daemon.program);
    let isolation = if writable { isolation.writable_at(dir, FOLDER) } else { isolation.shown(dir, FOLDER) };
    CommandLine::new(&daemon.program).args(words).isolated(isolation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_makes_are_known_by_their_help() {
        assert_eq!(make("  -o source=PATH             shared directory tree\n"), Some(Make::C));
        let rust = "      --shared-dir <SHARED_DIR>\n          Shared directory path\n";
        assert_eq!(make(rust), Some(Make::Rust { readonly: false }));
        assert_eq!(make(&format!("{rust}      --readonly\n")), Some(Make::Rust { readonly: true }));
        assert_eq!(make("usage: true"), None);
    }

    #[test]
    fn the_usual_places_come_first_and_the_old_one_last() {
        let places = places(Some(OsStr::new("/home/me/.cargo/bin:relative:/usr/bin")));
        let places: Vec<_> = places.iter().map(|it| it.to_str().unwrap()).collect();
        assert_eq!(
            places,
            [
                "/usr/libexec/virtiofsd",
                "/usr/lib/virtiofsd",
                "/usr/bin/virtiofsd",
                "/home/me/.cargo/bin/virtiofsd",
                "/usr/lib/qemu/virtiofsd"
            ]
        );
    }

    #[test]
    fn each_make_has_its_own_words() {
        let of = |make, writable| {
            let daemon = Daemon { program: "/v".into(), make };
            let places = (Path::new("/run/demo"), Path::new("/run/demo/share0.sock"));
            command(&daemon, Path::new("/home/a, b"), writable, places, 4096).to_string()
        };
        assert_eq!(
            of(Make::C, false),
            "/v -f '--socket-path=/run/demo/share0.sock' -o \
             'source=/run/cartridge/folder,sandbox=chroot,cache=auto,timeout=0.2,log_level=warn' '--rlimit-nofile=4096'"
        );
        let rust = of(Make::Rust { readonly: true }, false);
        assert!(rust.contains("--sandbox none --cache auto --rlimit-nofile 4096 --readonly"), "{rust}");
        assert!(!of(Make::Rust { readonly: true }, true).contains("--readonly"));
        assert!(!of(Make::Rust { readonly: false }, false).contains("--readonly"));
    }

    #[test]
    fn what_is_no_virtiofsd_is_said() {
        let dir = tempfile::tempdir().unwrap();
        assert!(find(&[dir.path().join("none")]).unwrap_err().contains("there is no virtiofsd"));
        let error = find(&["/bin/true".into()]).unwrap_err();
        assert!(error.contains("/bin/true is no virtiofsd"), "{error}");
    }
}

//! A work directory, a cache and an output directory for one test, and what must not be left of a build.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cartridge_supervise::Cancel;
use isoprep::eject::WorkDir;
use isoprep::mkarchiso::{MkarchisoError, MkarchisoJob, MkarchisoNews, Product, Way, run};
use tempfile::TempDir;

/// Folders for one build.
pub struct Place {
    pub top: TempDir,
    pub job: MkarchisoJob,
}

impl Place {
    /// With the given tool; the way is the one that this host offers without asking.
    pub fn new(tool: &Path) -> Self {
        // Not below /tmp, which a namespace sees empty.
        let top = tempfile::Builder::new().prefix("mkarchiso ").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let dir = |name: &str| {
            let dir = top.path().join(name);
            fs::create_dir(&dir).unwrap();
            dir
        };
        let job = MkarchisoJob {
            way: Way::Namespace,
            tool: tool.to_owned(),
            image: String::new(),
            profile: top.path().join("profile"),
            work: WorkDir::create(&dir("sessions"), "test").unwrap().path().to_owned(),
            cache: dir("cache"),
            readable: Vec::new(),
            out: top.path().join("images"),
            source_date_epoch: 1_700_000_000,
            boot_files: Vec::new(),
            path: std::env::var_os("PATH").unwrap(),
        };
        Self { top, job }
    }

    /// Builds; returns what came out and everything that was told.
    pub fn build(&self) -> (Result<Product, MkarchisoError>, Vec<MkarchisoNews>) {
        let mut told = Vec::new();
        let result = run(&self.job, &Cancel::new(), &mut |news| told.push(news));
        self.assert_clean();
        (result, told)
    }

    /// Nothing runs, nothing is mounted, and the work directory is as it was.
    pub fn assert_clean(&self) {
        let top = self.top.path().to_str().unwrap();
        let end = Instant::now() + Duration::from_secs(2);
        while !processes(top).is_empty() {
            assert!(Instant::now() < end, "still running: {:?}", processes(top));
            std::thread::sleep(Duration::from_millis(20));
        }
        // Blanks are written as \040 there.
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&top.replace(' ', "\\040")), "{mounts}");
        let left: Vec<_> = fs::read_dir(&self.job.work).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(left, [isoprep::eject::MARKER], "the work directory");
    }
}

/// The processes that have `text`, a path of ours, in their command line, or mounted: in a namespace they see it
/// elsewhere.
pub fn processes(text: &str) -> Vec<String> {
    let mounted = text.replace(' ', "\\040");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let own = entry.file_name().to_str() == Some(&std::process::id().to_string());
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let sees = || fs::read_to_string(entry.path().join("mountinfo")).is_ok_and(|it| it.contains(&mounted));
        let is_process = entry.file_name().to_string_lossy().parse::<u32>().is_ok();
        if !own && is_process && (line.contains(text) || sees()) {
            found.push(line);
        }
    }
    found
}

/// The program `name`, written into a folder of the place's.
pub fn script(dir: &Path, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join("mkarchiso");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

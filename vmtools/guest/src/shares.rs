//! Folders of the host, mounted live where the host says: the list is a JSON text in QEMU's firmware configuration device
//! (Linux, `drivers/firmware/qemu_fw_cfg.c`), the folders are 9p or virtiofs devices.
//!
//! An overlaid folder is mounted twice: as it is at `/run/cartridge/live/<tag>`, and with a memory of the guest's own laid
//! over it at its place. An overlay remembers which names are not there, and holds on to files that have been replaced
//! (Linux, `Documentation/filesystems/overlayfs.rst`, "Changes to underlying filesystems"), so a thread or a process makes
//! it forget, a few times a second, by a remount that changes nothing: the kernel drops the names that nobody uses
//! (`reconfigure_super` in fs/super.c), those of this one file system.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::mount::{MountFlags, mount, mount_remount};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where the host's list is once the module is loaded.
const LIST: &str = "/sys/firmware/qemu_fw_cfg/by_name/opt/cartridge/shares/raw";
/// Where overlaid folders are seen as they are, and where what the guest writes over them goes.
const LIVE: &str = "/run/cartridge/live";
const UPPER: &str = "/run/cartridge/upper";
/// What was mounted, for whoever reports later.
const DONE: &str = "/run/cartridge/shares.json";
/// The longest list, bytes, and the most folders.
const LONGEST: u64 = 64 * 1024;
const MOST: usize = 32;
/// The longest word that is reported, characters.
const LONGEST_WORD: usize = 200;
/// How often an overlay is made to forget.
const BEAT: Duration = Duration::from_millis(250);
/// PCI devices that serve folders: 9p before and since virtio 1.0, and virtiofs (virtio 1.2, 5 "Device Types", 4.1.2.1).
const DEVICES: [(&str, Kind); 3] = [("0x1009", Kind::Plan9), ("0x1049", Kind::Plan9), ("0x105a", Kind::Virtiofs)];
const VIRTIO: &str = "0x1af4";
/// Nothing on the host becomes root's in the guest, or a device.
const FLAGS: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// A folder that the host lends us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) tag: String,
    pub(crate) kind: Kind,
    pub(crate) at: PathBuf,
    pub(crate) access: Access,
}

/// How it gets here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Plan9,
    Virtiofs,
}

/// What we may do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    ReadOnly,
    Overlaid,
    Writable,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Plan9 => "9p",
            Self::Virtiofs => "virtiofs",
        }
    }
}

impl Access {
    fn word(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::Overlaid => "overlaid",
            Self::Writable => "writable",
        }
    }
}

/// What became of a folder, for the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    tag: String,
    kind: String,
    at: String,
    access: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    live: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl Outcome {
    /// Whether `path` is the host's own.
    pub(crate) fn covers(&self, path: &Path) -> bool {
        self.problem.is_none() && path.starts_with(&self.at)
    }

    /// For people.
    pub(crate) fn words(&self) -> String {
        let Self { kind, at, access, .. } = self;
        match (&self.problem, &self.detail) {
            (None, _) => format!("{at} is live, {access}, by {kind}"),
            (Some(problem), detail) => {
                let detail = detail.as_deref().unwrap_or(problem);
                format!("{at} is not live: {detail}")
            }
        }
    }
}

/// Whether the machine has a device that serves a folder.
pub(crate) fn expected() -> bool {
    !devices().is_empty()
}

/// How each device of the machine that serves a folder does that. Known before any module is loaded.
pub(crate) fn devices() -> Vec<Kind> {
    let kind = |dir: &Path| {
        let word = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
        let (vendor, device) = (word("vendor"), word("device"));
        kind_of(vendor.trim(), device.trim())
    };
    let entries = std::fs::read_dir("/sys/bus/pci/devices").into_iter().flatten().flatten();
    entries.filter_map(|it| kind(&it.path())).collect()
}

fn kind_of(vendor: &str, device: &str) -> Option<Kind> {
    let (_, kind) = DEVICES.into_iter().find(|(it, _)| vendor == VIRTIO && *it == device)?;
    Some(kind)
}

/// Reads the host's list; what cannot be read becomes a note.
pub(crate) fn listed(notes: &mut Vec<String>) -> Vec<Share> {
    load("qemu_fw_cfg");
    let mut text = String::new();
    let read = std::fs::File::open(LIST).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
    match read {
        Ok(_) => parse(&text, notes),
        Err(e) => {
            notes.push(format!("folders of the host are there, but not which: {LIST}: {e} (module qemu_fw_cfg)"));
            Vec::new()
        }
    }
}

/// Reads a list tolerantly: an entry that is not understood costs a note.
fn parse(text: &str, notes: &mut Vec<String>) -> Vec<Share> {
    let list = match serde_json::from_str(text) {
        Ok(Value::Array(list)) => list,
        _ => {
            notes.push("the host's list of folders is no JSON list".to_owned());
            return Vec::new();
        }
    };
    let share = |entry: &Value| {
        let word = |key: &str| entry.get(key)?.as_str();
        let kind = [Kind::Plan9, Kind::Virtiofs].into_iter().find(|kind| word("kind") == Some(kind.word()))?;
        let all = [Access::ReadOnly, Access::Overlaid, Access::Writable];
        let access = all.into_iter().find(|access| word("access") == Some(access.word()))?;
        let (tag, at) = (word("tag")?, PathBuf::from(word("at")?));
        let plain = tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        let inside = !at.components().any(|part| part == std::path::Component::ParentDir);
        (plain && !tag.is_empty() && at.is_absolute() && inside && !text.contains('\0')).then(|| Share {
            tag: tag.to_owned(),
            kind,
            at,
            access,
        })
    };
    let mut shares = Vec::new();
    for entry in list.iter().take(MOST) {
        match share(entry) {
            Some(share) => shares.push(share),
            None => notes.push(format!("a folder of the host is not understood: {}", short(&entry.to_string()))),
        }
    }
    shares
}

/// Mounts every folder at its place below `root`, `/` in a system that runs. What could not be mounted is told, not fatal.
pub(crate) fn mount_all(shares: &[Share], root: &Path) -> Vec<Outcome> {
    if shares.is_empty() {
        return Vec::new();
    }
    load("virtio_pci");
    let outcomes: Vec<Outcome> = shares.iter().map(|share| mount_one(share, root)).collect();
    // A report without them is one, too.
    let _ = std::fs::create_dir_all("/run/cartridge");
    let _ = std::fs::write(DONE, serde_json::to_vec(&outcomes).unwrap_or_default());
    outcomes
}

/// What an earlier program has mounted.
pub(crate) fn done() -> Vec<Outcome> {
    let text = std::fs::read_to_string(DONE).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn mount_one(share: &Share, root: &Path) -> Outcome {
    let live = (share.access == Access::Overlaid).then(|| Path::new(LIVE).join(&share.tag));
    let failed = attach(share, root, live.as_deref()).err();
    Outcome {
        tag: share.tag.clone(),
        kind: share.kind.word().to_owned(),
        at: share.at.display().to_string(),
        access: share.access.word().to_owned(),
        live: live.filter(|_| failed.is_none()).map(|live| live.display().to_string()),
        detail: failed.as_ref().map(|(_, detail)| short(detail)),
        problem: failed.map(|(problem, _)| problem.to_owned()),
    }
}

/// A problem's name in the report, and more about it.
type Problem = (&'static str, String);

fn attach(share: &Share, root: &Path, live: Option<&Path>) -> Result<(), Problem> {
    let at = below(root, &share.at);
    let modules: &[&str] = match share.kind {
        Kind::Plan9 => &["9pnet_virtio", "9p"],
        Kind::Virtiofs => &["virtiofs"],
    };
    modules.iter().for_each(|module| load(module));
    let first = live.unwrap_or(&at);
    place(first)?;
    mount_share(&share.tag, share.kind, share.access == Access::Writable, first)?;
    let Some(live) = live else { return Ok(()) };
    load("overlay");
    let upper = Path::new(UPPER).join(&share.tag);
    place(&upper)?;
    mount("cartridge", &upper, "tmpfs", FLAGS, Some(c"mode=0755")).map_err(|e| refused("tmpfs", e))?;
    let (data, work) = (upper.join("data"), upper.join("work"));
    for dir in [&data, &work, &at] {
        place(dir)?;
    }
    // Tags are plain, so that nothing in these paths is a comma or a colon.
    let options = format!("lowerdir={},upperdir={},workdir={}", live.display(), data.display(), work.display());
    let options = std::ffi::CString::new(options).map_err(|e| ("refused", e.to_string()))?;
    mount("cartridge", &at, "overlay", FLAGS, Some(options.as_c_str())).map_err(|e| match e {
        Errno::NODEV => ("no-overlay", "this kernel has no overlay".to_owned()),
        e => refused("overlay", e),
    })
}

/// Mounts one folder as it is. The caller has loaded what is needed.
pub(crate) fn mount_share(tag: &str, kind: Kind, writable: bool, at: &Path) -> Result<(), Problem> {
    let flags = if writable { FLAGS } else { FLAGS | MountFlags::RDONLY };
    // Nothing is cached, so that a change on the host is seen at once; large messages.
    let options = match kind {
        Kind::Plan9 => Some(c"trans=virtio,version=9p2000.L,msize=1048576,cache=none"),
        Kind::Virtiofs => None,
    };
    mount(tag, at, kind.word(), flags, options).map_err(|e| match (kind, e) {
        // 9p without its transport is "invalid" (net/9p/mod.c).
        (_, Errno::NODEV) | (Kind::Plan9, Errno::INVAL | Errno::PROTONOSUPPORT) => {
            ("no-driver", format!("this kernel has no {}", kind.word()))
        }
        // Both say so where no device has this tag (net/9p/trans_virtio.c, fs/fuse/virtio_fs.c).
        (Kind::Plan9, Errno::NOENT) | (Kind::Virtiofs, Errno::INVAL) => {
            ("no-device", format!("there is no {} device {tag:?}", kind.word()))
        }
        (kind, e) => refused(kind.word(), e),
    })
}

/// Where `at` is below `root`.
fn below(root: &Path, at: &Path) -> PathBuf {
    root.join(at.strip_prefix("/").unwrap_or(at))
}

fn place(dir: &Path) -> Result<(), Problem> {
    std::fs::create_dir_all(dir).map_err(|e| ("no-place", format!("{}: {e}", dir.display())))
}

fn refused(what: &str, e: Errno) -> Problem {
    ("refused", format!("{what}: {}", std::io::Error::from(e)))
}

/// Loads a module with what the image has for it. Where there is nothing, the kernel may have it built in, or an earlier
/// program has loaded it: the mount will tell.
fn load(module: &str) {
    // A program that finds that out takes its time where the processor is emulated.
    if Path::new("/sys/module").join(module.replace('-', "_")).exists() {
        return;
    }
    let programs = ["/sbin/modprobe", "/usr/sbin/modprobe", "/usr/bin/modprobe", "/bin/modprobe"];
    let Some(program) = programs.into_iter().find(|program| Path::new(program).exists()) else { return };
    let mut command = Command::new(program);
    command.args(["-q", module]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _ = command.status();
}

/// Whether an overlay is among them, which has to be made to forget.
pub(crate) fn must_forget(outcomes: &[Outcome]) -> bool {
    outcomes.iter().any(|it| it.live.is_some())
}

/// Makes the overlays forget what they remember of the host's folders, for ever.
pub(crate) fn keep_fresh(outcomes: &[Outcome]) {
    let places: Vec<PathBuf> = outcomes.iter().filter(|it| it.live.is_some()).map(|it| PathBuf::from(&it.at)).collect();
    loop {
        std::thread::sleep(BEAT);
        for place in &places {
            // Unmounted meanwhile: nothing is to be forgotten.
            let _ = mount_remount(place, FLAGS, c"");
        }
    }
}

/// As [`keep_fresh`], in a thread of this process.
pub(crate) fn keep_fresh_beside(outcomes: &[Outcome], notes: &mut Vec<String>) {
    if !must_forget(outcomes) {
        return;
    }
    let outcomes = outcomes.to_vec();
    let started = std::thread::Builder::new().name("fresh".into()).spawn(move || keep_fresh(&outcomes));
    if let Err(e) = started {
        notes.push(format!("new files of the host are not seen in overlaid folders: {e}"));
    }
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST_WORD).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_it_understands_and_notes_the_rest() {
        let mut notes = Vec::new();
        let text = r#"[{"tag":"repository","kind":"9p","at":"/root/a, b","access":"overlaid","new":1},
            {"tag":"b","kind":"virtiofs","at":"/b","access":"writable"},
            {"tag":"c","kind":"nfs","at":"/c","access":"writable"}, {"tag":"d/..","kind":"9p","at":"/d","access":"writable"},
            {"tag":"e","kind":"9p","at":"e","access":"writable"}, {"tag":"f","kind":"9p","at":"/a/../f","access":"writable"}, 7]"#;
        let shares = parse(text, &mut notes);
        assert_eq!(shares.len(), 2);
        let first =
            Share { tag: "repository".into(), kind: Kind::Plan9, at: "/root/a, b".into(), access: Access::Overlaid };
        assert_eq!(shares[0], first);
        assert_eq!(notes.len(), 5);
        for broken in ["", "{}", "[", "null"] {
            assert_eq!(parse(broken, &mut notes), []);
        }
        assert_eq!(notes.len(), 9);
    }

    #[test]
    fn what_cannot_be_mounted_is_told_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let share = Share { tag: "absent".into(), kind: Kind::Plan9, at: "/file/x".into(), access: Access::ReadOnly };
        let outcome = mount_one(&share, dir.path());
        assert_eq!(outcome.problem.as_deref(), Some("no-place"), "{outcome:?}");
        assert!(!outcome.covers(Path::new("/file/x")) && outcome.words().contains("is not live"));
        let json = serde_json::to_string(&outcome).unwrap();
        assert!(json.contains(r#""access":"read-only""#) && !json.contains("live\":"), "{json}");
    }

    #[test]
    fn a_folder_covers_what_lies_in_it() {
        let outcome: Outcome =
            serde_json::from_str(r#"{"tag":"a","kind":"9p","at":"/root/a","access":"overlaid","live":"/run/x"}"#)
                .unwrap();
        assert!(outcome.covers(Path::new("/root/a")) && outcome.covers(Path::new("/root/a/b")));
        assert!(!outcome.covers(Path::new("/root")) && must_forget(&[outcome]));
        assert_eq!(below(Path::new("/new"), Path::new("/root/a")), Path::new("/new/root/a"));
    }
}

//! Files and folders picked through the desktop's portal, on a thread: a dialog may stay open for minutes. Whether a
//! portal is there is found out first, because without one the dialog would just never come.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::wish::{BootFile, PickFor};
use crate::session::event::CartridgeView;
use crate::session::recording_name;

/// Said where a picker cannot be opened.
pub const NO_PORTAL: &str =
    "This desktop has no file chooser portal: type the path. To get one, install xdg-desktop-portal and a backend.";

/// Opens dialogs and collects what was picked.
#[derive(Debug)]
pub struct Picker {
    available: Arc<AtomicBool>,
    open: Arc<AtomicBool>,
    sender: Sender<(PickFor, PathBuf)>,
    receiver: Receiver<(PickFor, PathBuf)>,
}

impl Picker {
    /// A picker; `available` is set from elsewhere once a portal was found.
    #[must_use]
    pub fn new(available: Arc<AtomicBool>) -> Self {
        let (sender, receiver) = channel();
        Self { available, open: Arc::default(), sender, receiver }
    }

    /// Whether a dialog can be opened.
    #[must_use]
    pub fn available(&self) -> bool {
        self.available.load(Ordering::Acquire)
    }

    /// Opens a dialog, unless one is open. `wake` is called when it was answered.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn pick(&self, what: PickFor, wake: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        if self.open.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let (sender, open) = (self.sender.clone(), self.open.clone());
        let started = std::thread::Builder::new().name("picker".to_owned()).spawn(move || {
            if let Some(path) = ask(&what) {
                // The window may have closed meanwhile; then nobody wants the path any more.
                let _ = sender.send((what, path));
            }
            open.store(false, Ordering::Release);
            wake();
        });
        if started.is_err() {
            self.open.store(false, Ordering::Release);
        }
        started.map(drop)
    }

    /// What was picked since the last call.
    pub fn take(&self) -> Vec<(PickFor, PathBuf)> {
        self.receiver.try_iter().collect()
    }
}

/// A picked path as a field takes it: relative to the cartridge's folder where it lies in there.
#[must_use]
pub fn value(cartridge: &CartridgeView, key: &str, path: &Path) -> String {
    let Ok(inside) = path.strip_prefix(&cartridge.root) else { return path.display().to_string() };
    let text = inside.display().to_string();
    match text.as_str() {
        "" => ".".to_owned(),
        // Without the dot it could be one of the words that name other bases.
        name if key == "image.base" && !name.contains('/') => format!("./{name}"),
        _ => text,
    }
}

fn ask(what: &PickFor) -> Option<PathBuf> {
    let dialog = rfd::FileDialog::new();
    let (start, folder) = match what {
        PickFor::Repository => return dialog.set_title("Open a repository").pick_folder(),
        PickFor::Field { folder, start, .. } => (start, *folder),
        PickFor::Item { start, .. } => (start, true),
        PickFor::Recording => {
            let videos = dialog.set_title("Record the guest's screen").add_filter("MP4 video", &["mp4"]);
            return videos.set_file_name(recording_name()).save_file();
        }
        PickFor::Boot(BootFile::Keep) => return dialog.set_file_name("kept.img").save_file(),
        PickFor::Boot(file) => (&None, matches!(file, BootFile::Folder | BootFile::Modules)),
    };
    let dir = start.as_deref().and_then(|start| start.ancestors().find(|dir| dir.is_dir()));
    let dialog = match dir {
        Some(dir) => dialog.set_directory(dir),
        None => dialog,
    };
    if folder { dialog.pick_folder() } else { dialog.pick_file() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_the_repository_is_named_relative_to_it() {
        let cartridge = CartridgeView { root: "/srv/distro".into(), ..CartridgeView::default() };
        let value = |key, path: &str| value(&cartridge, key, Path::new(path));
        assert_eq!(value("image.base", "/srv/distro/configs/releng"), "configs/releng");
        assert_eq!(value("image.base", "/srv/distro/releng"), "./releng");
        assert_eq!(value("source.path", "/srv/distro"), ".");
        assert_eq!(value("image.base", "/srv/distro2"), "/srv/distro2");
    }
}

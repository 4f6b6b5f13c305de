//! Turns a repository and a recipe into a bootable image, and ejects what that left.
//!
//! The repository is only ever read. Everything is decided in pure functions and done by the stages; processes are
//! started through `cartridge-supervise` alone.

pub mod assembly;
pub mod build;
mod cache;
pub mod contents;
pub mod deploy;
pub mod discover;
pub mod eject;
pub mod engine;
pub mod host;
pub mod image;
mod known_name;
pub mod lint;
pub mod mkarchiso;
pub mod pacman_log;
pub mod plan;
pub mod profile;
pub mod progress;
pub mod recipe;
mod redact;
mod rootfs;
pub mod source;
pub mod stage;

pub use build::{
    BuildError, BuildRequest, BuildWarning, Examination, RepositoryLayer, build, examine, repository_layer, secrets,
};
pub use cache::drafts::sweep_drafts;
pub use cache::view::{CacheRow, CacheView, clean_cache, view_cache};
pub use cache::{Held, cache_in_use};
pub use cartridge_supervise::Cancel;
pub use eject::{
    Advance, EjectError, EjectReport, Holder, Remaining, Removed, Survey, Untouched, WorkDir, count_entries, eject,
    eject_ending, ensure_marked, is_marked, remove_unmarked, survey,
};
pub use host::{Host, HostParts, HostSearch, Kernel, LoaderParts, MissingParts, Tools, discover, host, kernels};
pub use image::Image;
pub use progress::{Progress, StageName, Unit};
pub use recipe::{
    AcceleratorWish, Base, BootAccess, BootSettings, BootWay, BuildKind, CartridgeFile, DiskWish, EditError,
    EngineKind, FIELDS, FieldDoc, FieldKind, Finding, Firmware, Forward, Gpu, GuestDisk, GuestSettings, ImageSettings,
    InstalledProfile, Live, Medium, Network, OpenError, Proposal, Proposed, ProposedKind, Recipe, RecipeError,
    SecureBootKeys, Source, TestSettings, TestStep, UsbDevice, Viewer, check, check_boot, check_guest, check_places,
    get_field, nearest_field, open, parse, proposal_lines, proposal_now, propose, read_text, save_atomically,
    set_field,
};
pub use redact::{HIDDEN, names_a_secret, redacted};
pub use rootfs::reclaim;
pub use source::{ChangeKind, SourceChange, SourceTree};

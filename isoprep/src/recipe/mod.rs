//! `cartridge.toml`: what it may say ([`FIELDS`]), reading it ([`parse()`]), looking whether the disk agrees ([`check()`]),
//! opening or proposing one ([`open()`]), and changing single fields without touching the user's comments ([`set_field`]).
//!
//! Only [`check()`], [`open()`] and [`save_atomically`] touch the disk. All findings are reported, never just the first.

mod base;
mod boot;
mod check;
mod distribution_places;
mod document;
mod field_table;
mod field_table_guest;
mod fields;
mod finding;
pub(crate) mod guest_places;
mod judge;
mod model;
mod model_guest;
mod open;
mod package_values;
mod parse;
mod parse_guest;
mod parse_image;
mod proposal;
mod proposal_now;
mod propose;
mod propose_image;
mod propose_source;
mod qemu_words;
mod reader;
mod splice;
mod test_section;
mod values;
mod walker;

pub use boot::{BootAccess, BootSettings, BootWay, check_boot};
pub use cartridge_supervise::save_atomically;
pub use check::{check, check_guest, check_places};
pub use document::{EditError, get_field, set_field};
pub use fields::{FIELDS, FieldDoc, FieldKind, field, nearest_field};
pub use finding::{Finding, RecipeError, locate};
pub use model::{
    Base, BuildKind, EngineKind, INSTALLED_PROFILES, ImageSettings, InstalledProfile, Live, Recipe, Source,
};
pub use model_guest::{
    AcceleratorWish, DiskWish, Firmware, Forward, Gpu, GuestDisk, GuestSettings, Medium, Network, SecureBootKeys,
    UsbDevice, Viewer,
};
pub use open::{CartridgeFile, FILE_NAME, OpenError, open, read_text};
pub use parse::parse;
pub use proposal::{Proposal, Proposed, ProposedKind, proposal_lines};
pub use proposal_now::proposal_now;
pub use propose::propose;
pub use test_section::{TestSettings, TestStep};
pub use values::{format_size, parse_size, safe_name};
pub use walker::source_walker;
pub(crate) use walker::{excluded, git_top, leaves_out};

//! Says before a build what would fail late or silently in it: where, what it is, what will happen, and the edit that
//! mends it.
//!
//! [`lint`] is pure but for reading: it looks at a [`Subject`] and never runs code of the profile. [`apply()`] is the
//! one place that changes a file. Every rule is in [`rules`], and has cases in `tests/lint`, broken and good.

mod apply;
mod boot;
mod boot_files;
mod boot_modes;
mod boot_options;
mod definition;
mod edit;
mod executable;
mod finding;
mod gather;
mod hook_table;
mod initcpio;
mod initramfs;
mod known;
mod package_set;
mod packages;
mod pacman_conf;
mod permissions;
mod private_files;
mod render;
mod repositories;
mod repository_table;
mod rule;
mod script;
mod script_makes;
mod script_variables;
mod scripts;
mod secret_files;
mod secret_patterns;
mod secrets;
mod shell;
mod size;
mod subject;
mod sync_db;
mod systemd;
mod users;
mod variables;

pub use apply::{ApplyError, apply, edited};
pub use edit::Edit;
pub use finding::{Fix, LintFinding, Place, RuleId, Severity};
pub use gather::{Gathered, Surroundings};
pub use render::{Counts, JSON_VERSION, render_json, render_text};
pub(crate) use rule::secrets_of;
pub use rule::{Rule, lint, rules};
pub(crate) use secret_files::{Named, named_secret};
pub(crate) use secret_patterns::tokens;
pub(crate) use secrets::RULES_HASH as SECRET_RULES;
pub use subject::{Entry, EntryKind, HostFiles, Injected, Modes, OnDisk, Subject};
pub use sync_db::{SyncDatabases, SyncDbError, SyncPackage};

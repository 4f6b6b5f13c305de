//! A small Arch for tests: a pacman repository made of this machine's own kernel, shell and boot loaders, archiso
//! profiles against it, and a guest that tells what has started. Real pacman, real hooks and real boots need no network
//! and no root with it.
//!
//! A test file begins with `mod arch;` (or `#[path = "../arch/mod.rs"] mod arch;` from a folder) and uses:
//!
//! - [`Repository::get`]: made on first use, then shared by all test processes. It holds a bootable base system, a small
//!   mkinitcpio that keeps the contract of the real one, `mkinitcpio-archiso`, boot loaders, the names that profiles ask
//!   for, and packages that are hard or impossible to install ([`odd packages`](#odd-packages)).
//! - [`TestProfile::releng`]: a profile like releng in a folder of the test's choice, with settings for everything that
//!   a profile can say, and [`Fault`] for the ways to get one wrong.
//! - [`Boot`]: starts an ISO image by BIOS or UEFI from an optical or a USB medium, and returns the guest's [`Report`].
//! - [`mkarchiso`]: runs the real tool where it is installed.
//!
//! ```ignore
//! let repository = Repository::get();
//! let profile = TestProfile::releng(repository).packages(&["git", "owned-files"]).write(&dir.path().join("profile"));
//! let iso = /* build it */;
//! let booted = Boot::new(&iso, Firmware::Uefi, Medium::Usb).run().unwrap_or_else(|e| panic!("{e}"));
//! assert_eq!(booted.report.paths["/opt/owned/user"].owner, (1000, 1000));
//! ```
//!
//! # Odd packages
//!
//! | package | what it is for |
//! |---|---|
//! | `owned-files` | other owners, setuid, setgid, sticky, hard links, a capability in the archive, odd names |
//! | `capable` | a capability set by its scriptlet, as several of Arch's packages do |
//! | `bulk` | 2000 files of 4 KiB |
//! | `failing-hook` | its hook fails after the transaction: pacman says so and ends with 0 |
//! | `slow-hook` | its hook takes ten minutes: for cancelling and killing |
//! | `failing-scriptlet` | its `post_install` fails |
//! | `conflict-one`, `conflict-two` | each conflicts with the other |
//! | `clash-one`, `clash-two` | both have `/opt/clash/file` |
//! | `missing-dependency` | depends on `no-such-library`, which does not exist |
//! | `needs-editor`, group `editors` | `text-editor` is provided by `nano` and `vim` |
//! | `gum`, `jq` | in `archtest` 1.0-1, in `archtest-next` 1.1-1 |
#![allow(dead_code, unused_imports, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fault;
mod firmware;
mod guest;
pub mod mkarchiso;
mod profile;
mod report;
mod repository;

pub use fault::Fault;
pub use guest::{Boot, BootFailure, Booted, Firmware, Medium};
pub use profile::TestProfile;
pub use report::{Mount, PathFacts, Report, TreeFacts};
pub use repository::{COPY, COPY_KERNEL, Repository, Signatures, tree_hash};

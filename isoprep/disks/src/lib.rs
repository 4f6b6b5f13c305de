//! The disks of this host, for writing an image to one: isoprep writes, and a helper opens a disk as root where polkit says so.
//! Both must see the same and refuse the same, so there is one definition.
//!
//! | module | what is there |
//! |---|---|
//! | [`disk`] | a disk, its partitions and what uses them |
//! | [`facts`] | what the kernel says of its block devices, as text |
//! | [`read`] | reading that, from `/sys` and `/proc` or from copies of them |
//! | [`listing`] | facts, mounts and swap -> disks (pure) |
//! | [`mounts`] | the tables of mounts and swap (pure) |
//! | [`mod@verdict`] | why a disk is not written to (pure) |
//! | [`mod@open`] | opening a disk that is the one that was meant, and that nobody else can use meanwhile |

pub mod disk;
pub mod facts;
pub mod listing;
pub mod mounts;
pub mod open;
pub mod read;
pub mod verdict;

pub use disk::{Bus, DeviceNumber, Disk, DiskUse, Part, UsedBy, label_size};
pub use open::{OpenError, Wanted, acceptable, check_open, open};
pub use read::{Tree, scan};
pub use verdict::{Policy, Refusal, named, verdict};

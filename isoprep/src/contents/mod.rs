//! What is in an image, and in what two of them differ.
//!
//! [`open_image`] reads a finished ISO; [`Side`] takes the record that its build left instead, where that is true to it;
//! [`difference`](difference()) is pure, from two [`ImageContents`] to a [`Difference`]; [`show`] makes text and JSON of it.
//! An image is never trusted: everything read of it is bounded, and what contradicts itself is an error, not a guess.

mod boot;
mod choices;
mod difference;
mod erofs;
mod error;
mod esp;
mod ext4;
mod fields;
mod image;
mod initramfs;
mod iso;
mod layers;
mod live;
mod model;
mod packages;
mod record;
mod region;
pub mod show;
mod side;
mod squashfs;
mod tree_path;
mod versions;
mod volume;
mod watch;

pub use choices::{BootChoice, BootMenu, ChoiceError, DiscFile, Extracted, PassedOver, boot_menu, extract};
pub use difference::{
    AttributeChange, BootChange, BootDifference, Change, Difference, Direction, FileChange, FileLine, Listed,
    MOST_LISTED, PackageDifference, PackageLine, Sum, TreeDifference, VersionChange, difference,
};
pub use error::{ContentsError, Fault};
pub use image::{Depth, ImageReader, TreeName, open_image};
pub use live::live_layers;
pub use model::{
    BootEntry, Content, DeviceNumbers, Entry, ImageContents, Kind, Loader, PackageEntry, PackageManager, RootFormat,
    RootImage, Tree,
};
pub use record::{BuildFacts, BuildRecord, RECORD_VERSION, RecordError, StageTime, Stamp, leave_record};
pub use side::Side;
pub use tree_path::{LONGEST_PATH, TreePath};
pub use versions::compare as compare_versions;
pub use watch::{Reading, ReadingProgress, Watch};

//! Reads archiso profiles.
//!
//! - `model` says what a profile is; [`read()`] makes one out of a folder.
//! - `evaluate` runs `profiledef.sh` with the real bash, shut in; `answer` and `declare` read what bash prints, `definition`
//!   makes the definition of it, `complaint` and `error` say why it did not work. `outcome` puts these together.
//! - `packages`, `pacman_conf`, `boot_entries` and `initcpio` are parsers of text: they never fail, and what they do not
//!   understand is a warning. `assignments` reads bash files without running them.
//! - `minimal` is a small profile of our own.
//! - `text_file` and `pattern` read the disk with bounds.

mod answer;
mod assignments;
mod boot_entries;
mod checkout;
mod chosen_conf;
mod complaint;
mod declare;
mod definition;
mod error;
mod evaluate;
mod initcpio;
mod minimal;
mod model;
mod outcome;
mod packages;
mod pacman_conf;
mod pattern;
mod quoting;
mod read;
mod text_file;

pub use boot_entries::{BootFile, parse_boot_file};
pub use chosen_conf::read_pacman_conf;
pub use declare::{BashValue, BashVariable, DeclareError, parse_declarations};
pub use error::{Bound, Place, ProfileError};
pub use evaluate::EvaluationLimits;
pub use initcpio::{parse_initcpio_config, parse_initcpio_preset};
pub use minimal::{MINIMAL, MinimalContent, MinimalEntry, MinimalError, write_minimal};
pub use model::{
    BootEntry, BootMode, BootModeKind, Definition, Directive, FilePermission, ImageType, InitcpioConfig,
    InitcpioPreset, ListedPackage, PackageList, PacmanConf, Profile, ProfileWarning, Repository,
};
#[doc(hidden)]
pub use outcome::definition_of;
pub use packages::parse_package_list;
pub use pacman_conf::{Included, parse_pacman_conf};
pub use read::{ReadOptions, read};

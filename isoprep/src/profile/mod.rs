//! Reads archiso profiles. `model` says what a profile is.

mod minimal;
mod model;

pub use minimal::{MINIMAL, MinimalContent, MinimalEntry, MinimalError, write_minimal};
pub use model::{
    BootEntry, BootMode, BootModeKind, Definition, Directive, FilePermission, ImageType, InitcpioConfig,
    InitcpioPreset, ListedPackage, PackageList, PacmanConf, Profile, ProfileWarning, Repository,
};

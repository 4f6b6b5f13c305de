//! Reads archiso profiles. `model` says what a profile is.

mod model;

pub use model::{
    BootEntry, BootMode, BootModeKind, Definition, Directive, FilePermission, ImageType, InitcpioConfig,
    InitcpioPreset, ListedPackage, PackageList, PacmanConf, Profile, ProfileWarning, Repository,
};

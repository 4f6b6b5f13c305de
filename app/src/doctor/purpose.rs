//! What a cartridge needs of the host besides what every one does: by its engine and by its guest.

use isoprep::{EngineKind, Firmware, Gpu, Recipe};
use vmtools::UsbId;

/// What the host is wanted for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purpose {
    /// The engine of the cartridge; `None` where no particular one is meant.
    pub engine: Option<EngineKind>,
    /// Whether its guest starts with UEFI.
    pub uefi: bool,
    /// Whether that does Secure Boot.
    pub secure: bool,
    /// Whether it has a TPM.
    pub tpm: bool,
    /// Whether it draws with this machine's graphics card.
    pub gl: bool,
    /// USB devices of this machine that it gets.
    pub usb: Vec<UsbId>,
    /// What is wrong with the files that it gets.
    pub files: Vec<String>,
}

/// The check of user namespaces, by name.
pub(super) const USER_NAMESPACES: &str = "User namespaces";
/// The check of lent ids, by name.
pub(super) const LENT_IDS: &str = "Lent ids";
/// The row of the table about UEFI firmware, by name.
const FIRMWARE: &str = "UEFI firmware";
/// The row of the table about UEFI firmware with Secure Boot, by name.
const SECURE_FIRMWARE: &str = "Secure Boot firmware";
/// The row of the table about the TPM, by name.
const TPM: &str = "swtpm";

/// The rows of the table that are parts of engine micro's guest: other engines bring their own.
const OF_MICRO: [&str; 2] = ["Kernel", "Static busybox"];

impl Purpose {
    /// What `recipe` wants. Looks at the files that its guest gets.
    #[must_use]
    pub fn of(recipe: &Recipe) -> Self {
        let guest = &recipe.guest;
        Self {
            engine: Some(recipe.image.engine),
            uefi: guest.firmware != Firmware::Bios,
            secure: guest.firmware == Firmware::UefiSecure,
            tpm: guest.tpm,
            gl: guest.gpu == Gpu::VirtioGl,
            usb: guest.usb.iter().map(|it| UsbId { vendor: it.vendor, product: it.product }).collect(),
            files: isoprep::check_guest(recipe).iter().map(|it| format!("{}: {}", it.key, it.message)).collect(),
        }
    }

    /// Whether the need called `name` is that of engine micro alone, and another engine is meant.
    pub(super) fn does_without(&self, name: &str) -> bool {
        self.engine.is_some_and(|engine| engine != EngineKind::Micro) && OF_MICRO.contains(&name)
    }

    /// Who cannot do without the need called `name`, if somebody cannot: the end of the sentence "needed by …".
    pub(super) fn needs(&self, name: &str) -> Option<String> {
        if self.uefi && name == FIRMWARE {
            return Some("this cartridge's guest, which starts with UEFI".to_owned());
        }
        if self.secure && name == SECURE_FIRMWARE {
            return Some("this cartridge's guest, which starts with Secure Boot".to_owned());
        }
        if self.tpm && name == TPM {
            return Some("this cartridge's guest, which has a TPM".to_owned());
        }
        let engine = self.engine?;
        of_engine(engine).contains(&name).then(|| format!("this cartridge's engine, {}", engine.word()))
    }
}

/// What an engine cannot do without, by the names of needs and checks.
fn of_engine(engine: EngineKind) -> &'static [&'static str] {
    match engine {
        EngineKind::Micro | EngineKind::Mkarchiso => &[],
        EngineKind::Archiso => &["squashfs tools", "pacman", "subordinate ids", USER_NAMESPACES, LENT_IDS],
        EngineKind::Debian => {
            &["squashfs tools", "mmdebstrap", "Debian's keys", "subordinate ids", USER_NAMESPACES, LENT_IDS]
        }
        EngineKind::Tree => &["squashfs tools", "subordinate ids", USER_NAMESPACES, LENT_IDS],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::checks;

    #[test]
    fn what_is_needed_is_a_need_of_the_table_or_a_check_of_the_host() {
        for engine in [EngineKind::Archiso, EngineKind::Debian, EngineKind::Tree] {
            for name in of_engine(engine) {
                let known =
                    checks().iter().any(|spec| spec.name == *name) || [USER_NAMESPACES, LENT_IDS].contains(name);
                assert!(known, "{name}");
            }
        }
        for name in [FIRMWARE, SECURE_FIRMWARE, TPM] {
            assert!(checks().iter().any(|spec| spec.name == name), "{name}");
        }
        assert!(OF_MICRO.iter().all(|name| checks().iter().any(|spec| spec.name == *name)));
    }
}

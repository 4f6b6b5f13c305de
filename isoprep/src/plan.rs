//! Recipe and fingerprints in, stages with input hashes out: pure, so that what is built again, and why, can be tested.
//!
//! A stage's key covers everything that its result depends on: its own format, its inputs' content, and the keys of the
//! stages before it. Same key, same result, bit by bit.

use std::path::Path;

use cartridge_initramfs::system;
use cartridge_treehash::TreeHash;

use crate::engine;
use crate::progress::StageName;
use crate::recipe::Recipe;
use crate::stage::bootloader;
use crate::stage::inject::Extra;

/// What the kernel is told besides the recipe's own words. `no_timer_check`: without it a few boots in a hundred panic
/// under emulation with load; `panic=0`: a kernel that panics before anything can tell the host stands still with its
/// words on the screen, where a reboot would repeat it for ever.
const CMDLINE: &str = "console=tty0 console=ttyS0,115200 no_timer_check panic=0";

/// To be raised when a stage writes something else for the same inputs.
const FORMATS: [(StageName, u32); 6] = [
    (engine::INITRAMFS, 1),
    (engine::PACKAGES, 1),
    (engine::INJECT, 1),
    (engine::SQUASH, 1),
    (engine::BOOTLOADER, 1),
    (engine::ISO, 1),
];

/// The hash of everything that a stage's result depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub TreeHash);

/// A stage and its input hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Which stage.
    pub stage: StageName,
    /// The hash of its inputs.
    pub key: Key,
}

/// Content hashes of all that comes from the host.
#[derive(Clone, Debug)]
pub struct Fingerprints {
    /// The kernel image.
    pub kernel: TreeHash,
    /// The kernel's release.
    pub kernel_version: String,
    /// The modules that go along, as one hash.
    pub modules: TreeHash,
    /// The static init.
    pub init: TreeHash,
    /// busybox.
    pub busybox: TreeHash,
    /// isolinux.bin, ldlinux.c32 and isohdpfx.bin, in this order.
    pub bios: [TreeHash; 3],
    /// systemd-boot.
    pub systemd_boot: TreeHash,
}

/// The kernel's command line for `recipe`.
#[must_use]
pub fn cmdline(recipe: &Recipe) -> String {
    format!("{CMDLINE} {}", recipe.image.cmdline.trim()).trim_end().to_owned()
}

/// The stages after `assemble`, whose result is `tree` and `extras`.
#[must_use]
pub fn plan(recipe: &Recipe, from: &Fingerprints, tree: &TreeHash, extras: &[Extra]) -> Vec<Planned> {
    let initramfs = KeyHasher::new(engine::INITRAMFS)
        .hash(&TreeHash(*blake3::hash(system::fingerprint().as_bytes()).as_bytes()))
        .hash(&from.init)
        .hash(&from.busybox)
        .hash(&from.modules)
        .bytes(from.kernel_version.as_bytes())
        .finish();
    let mut inject = KeyHasher::new(engine::INJECT)
        .bytes(recipe.name.as_bytes())
        .path(&recipe.source.into)
        .hash(tree)
        .number(extras.len() as u64);
    for extra in extras {
        inject = inject.path(&extra.to).number(u64::from(extra.mode)).hash(&extra.content);
    }
    for (key, value) in &recipe.image.env {
        inject = inject.bytes(key.as_bytes()).bytes(value.as_bytes());
    }
    let inject = inject.finish();
    let bootloader = KeyHasher::new(engine::BOOTLOADER)
        .hash(&from.kernel)
        .hash(&from.systemd_boot)
        .hash(&initramfs.0)
        .hash(&inject.0)
        .bytes(bootloader::configuration(&recipe.name, &cmdline(recipe)).as_bytes())
        .finish();
    let mut iso = KeyHasher::new(engine::ISO).hash(&bootloader.0);
    for part in &from.bios {
        iso = iso.hash(part);
    }
    let keys = [initramfs, inject, bootloader, iso.finish()];
    let stages = [engine::INITRAMFS, engine::INJECT, engine::BOOTLOADER, engine::ISO];
    stages.into_iter().zip(keys).map(|(stage, key)| Planned { stage, key }).collect()
}

/// Hashes fields so that no two lists of fields look alike: each has its length before it.
#[derive(Clone)]
pub(crate) struct KeyHasher(blake3::Hasher);

impl KeyHasher {
    pub(crate) fn new(stage: StageName) -> Self {
        let format = FORMATS.iter().find(|(name, _)| *name == stage).map_or(0, |(_, format)| *format);
        let version = env!("CARGO_PKG_VERSION").as_bytes();
        Self(blake3::Hasher::new()).bytes(version).bytes(stage.0.as_bytes()).number(u64::from(format))
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    pub(crate) fn number(self, number: u64) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    pub(crate) fn hash(self, hash: &TreeHash) -> Self {
        self.bytes(&hash.0)
    }

    pub(crate) fn path(self, path: &Path) -> Self {
        self.bytes(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()))
    }

    pub(crate) fn finish(self) -> Key {
        Key(TreeHash(*self.0.finalize().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(change: impl Fn(&mut Recipe, &mut Fingerprints)) -> Vec<Planned> {
        let mut recipe = crate::recipe::parse("name = \"demo\"\n", Path::new("/r")).unwrap();
        let hash = |byte| TreeHash([byte; 32]);
        let mut from = Fingerprints {
            kernel: hash(1),
            kernel_version: "6.1".into(),
            modules: hash(2),
            init: hash(3),
            busybox: hash(4),
            bios: [hash(5); 3],
            systemd_boot: hash(6),
        };
        change(&mut recipe, &mut from);
        plan(&recipe, &from, &hash(7), &[])
    }

    /// Which of initramfs, inject, bootloader and iso a change touches.
    fn touched(change: impl Fn(&mut Recipe, &mut Fingerprints)) -> Vec<&'static str> {
        let (before, after) = (keys(|_, _| ()), keys(change));
        assert_eq!(before.len(), 4);
        before.iter().zip(&after).filter(|(a, b)| a.key != b.key).map(|(a, _)| a.stage.0).collect()
    }

    #[test]
    fn a_key_covers_its_inputs_and_those_of_the_stages_before() {
        let other = TreeHash([9; 32]);
        assert_eq!(touched(|_, _| ()), [] as [&str; 0]);
        assert_eq!(touched(|_, f| f.bios[1] = other), ["iso"]);
        assert_eq!(touched(|_, f| f.systemd_boot = other), ["bootloader", "iso"]);
        assert_eq!(touched(|_, f| f.kernel = other), ["bootloader", "iso"]);
        assert_eq!(touched(|_, f| f.busybox = other), ["initramfs", "bootloader", "iso"]);
        assert_eq!(touched(|_, f| f.modules = other), ["initramfs", "bootloader", "iso"]);
        assert_eq!(touched(|r, _| r.image.cmdline = "quiet".into()), ["bootloader", "iso"]);
        let env = |r: &mut Recipe, _: &mut Fingerprints| drop(r.image.env.insert("A".into(), "1".into()));
        assert_eq!(touched(env), ["inject", "bootloader", "iso"]);
    }

    #[test]
    fn the_command_line_ends_with_the_recipes_own_words() {
        let mut recipe = crate::recipe::parse("name = \"demo\"\n", Path::new("/r")).unwrap();
        assert_eq!(cmdline(&recipe), CMDLINE);
        // The machine resets when the guest reboots: a kernel that reboots on a panic would do so for ever.
        assert!(CMDLINE.split(' ').any(|word| word == "panic=0"));
        recipe.image.cmdline = " debug ".into();
        assert_eq!(cmdline(&recipe), format!("{CMDLINE} debug"));
    }
}

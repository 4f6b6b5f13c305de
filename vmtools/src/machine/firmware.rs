//! Finds UEFI firmware for x86_64: QEMU's firmware descriptors first, then the paths distributions are known to use.
//!
//! Format: `docs/interop/firmware.json` in QEMU's source; man page qemu-firmware. Directories: the administrator's
//! `/etc/qemu/firmware` hides files of the same name in `/usr/share/qemu/firmware`; then lower file names win.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where descriptors lie, the more important first.
const DESCRIPTOR_DIRS: &[&str] = &["/etc/qemu/firmware", "/usr/share/qemu/firmware"];

/// Code and variables as Debian, Arch, Fedora and openSUSE install them.
const KNOWN_PATHS: &[(&str, &str)] = &[
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/edk2-ovmf/x64/OVMF_CODE.4m.fd", "/usr/share/edk2-ovmf/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/edk2-ovmf/x64/OVMF_CODE.fd", "/usr/share/edk2-ovmf/x64/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE_4M.qcow2", "/usr/share/edk2/ovmf/OVMF_VARS_4M.qcow2"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/qemu/ovmf-x86_64-4m-code.bin", "/usr/share/qemu/ovmf-x86_64-4m-vars.bin"),
    ("/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),
];

/// The same with Secure Boot and keys enrolled, as Debian, Fedora and openSUSE install them.
const VENDOR_PATHS: &[(&str, &str)] = &[
    ("/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd"),
    ("/usr/share/qemu/ovmf-x86_64-smm-ms-code.bin", "/usr/share/qemu/ovmf-x86_64-smm-ms-vars.bin"),
];

/// The same with Secure Boot and no keys: ours are enrolled.
const KEYLESS_PATHS: &[(&str, &str)] = &[
    ("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.secboot.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/edk2-ovmf/x64/OVMF_CODE.secboot.4m.fd", "/usr/share/edk2-ovmf/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/edk2-ovmf/x64/OVMF_CODE.secboot.fd", "/usr/share/edk2-ovmf/x64/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/qemu/ovmf-x86_64-smm-code.bin", "/usr/share/qemu/ovmf-x86_64-smm-vars.bin"),
];

/// The file format of a flash image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashFormat {
    /// The bytes themselves.
    Raw,
    /// A qcow2 image.
    Qcow2,
}

impl FlashFormat {
    /// As QEMU calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        match name {
            "raw" => Some(Self::Raw),
            "qcow2" => Some(Self::Qcow2),
            _ => None,
        }
    }
}

/// UEFI firmware: its code, shared by all guests, and the variables that each guest gets a copy of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirmwareFiles {
    /// The code, never written.
    pub code: PathBuf,
    /// Its format.
    pub code_format: FlashFormat,
    /// The template of the variables; copied for each guest.
    pub vars: PathBuf,
    /// Its format.
    pub vars_format: FlashFormat,
    /// Which keys Secure Boot knows; `None` without Secure Boot.
    pub keys: Option<EnrolledKeys>,
}

/// Which keys Secure Boot knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnrolledKeys {
    /// Our test key, enrolled into the guest's copy of the variables.
    Test,
    /// Those that the template of the variables brings along: Microsoft's and the distribution's.
    Vendor,
}

/// No UEFI firmware is installed that we can use.
#[derive(Debug, thiserror::Error)]
#[error(
    "no UEFI firmware for x86_64{} was found; {}. Looked at: {}",
    what(*keys),
    advice(*keys),
    looked_at.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
)]
pub struct MissingFirmware {
    /// What was looked for: with Secure Boot and these keys, or without.
    pub keys: Option<EnrolledKeys>,
    /// Every descriptor directory and every path that was tried.
    pub looked_at: Vec<PathBuf>,
}

fn what(keys: Option<EnrolledKeys>) -> &'static str {
    match keys {
        None => "",
        Some(EnrolledKeys::Test) => " with Secure Boot and an empty store of variables",
        Some(EnrolledKeys::Vendor) => " with Secure Boot and keys enrolled",
    }
}

fn advice(keys: Option<EnrolledKeys>) -> &'static str {
    match keys {
        None => "install it (Debian, Ubuntu: ovmf; Arch, Fedora: edk2-ovmf) or set the firmware to bios",
        Some(EnrolledKeys::Test) => {
            "install it (Debian, Ubuntu: ovmf; Arch, Fedora: edk2-ovmf) or set the firmware to uefi"
        }
        Some(EnrolledKeys::Vendor) => {
            "install it (Debian, Ubuntu: ovmf; Fedora: edk2-ovmf; Arch has none with keys), or set keys to test"
        }
    }
}

/// Looks for UEFI firmware below `root` (normally `/`): x86_64, q35, without Secure Boot if there is a choice.
///
/// # Errors
/// [`MissingFirmware`] with every place that was looked at.
pub fn find_firmware(root: &Path) -> Result<FirmwareFiles, MissingFirmware> {
    // Among equals the lower file name stays first, as the format asks for.
    find(root, None, KNOWN_PATHS, |found| found.into_iter().min_by_key(|d| d.secure || d.enrolled || d.smm))
}

/// Looks for UEFI firmware with Secure Boot below `root` (normally `/`): x86_64, q35. For [`EnrolledKeys::Test`] one whose
/// variables are empty and raw, so that our key can be enrolled.
///
/// # Errors
/// [`MissingFirmware`] with every place that was looked at.
pub fn find_secure_firmware(root: &Path, keys: EnrolledKeys) -> Result<FirmwareFiles, MissingFirmware> {
    match keys {
        EnrolledKeys::Vendor => {
            find(root, Some(keys), VENDOR_PATHS, |found| found.into_iter().find(|d| d.secure && d.enrolled))
        }
        EnrolledKeys::Test => find(root, Some(keys), KEYLESS_PATHS, |found| {
            found.into_iter().find(|d| d.secure && !d.enrolled && d.vars_format == FlashFormat::Raw)
        }),
    }
}

fn find(
    root: &Path,
    keys: Option<EnrolledKeys>,
    known: &[(&str, &str)],
    choose: impl FnOnce(Vec<Descriptor>) -> Option<Descriptor>,
) -> Result<FirmwareFiles, MissingFirmware> {
    let below = |path: &str| root.join(path.trim_start_matches('/'));
    let mut looked_at = Vec::new();
    let mut descriptors = BTreeMap::new();
    for dir in DESCRIPTOR_DIRS {
        looked_at.push(below(dir));
        for entry in std::fs::read_dir(below(dir)).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|e| e == "json") {
                descriptors.entry(entry.file_name()).or_insert_with(|| entry.path());
            }
        }
    }
    let found = descriptors
        .values()
        .filter_map(|path| parse_descriptor(&std::fs::read_to_string(path).ok()?))
        .filter(|d| below(&d.code).is_file() && below(&d.vars).is_file())
        .collect();
    if let Some(best) = choose(found) {
        return Ok(FirmwareFiles {
            code: below(&best.code),
            code_format: best.code_format,
            vars: below(&best.vars),
            vars_format: best.vars_format,
            keys,
        });
    }
    for (code, vars) in known {
        let (code, vars) = (below(code), below(vars));
        if code.is_file() && vars.is_file() {
            let format =
                if code.extension().is_some_and(|e| e == "qcow2") { FlashFormat::Qcow2 } else { FlashFormat::Raw };
            return Ok(FirmwareFiles { code, code_format: format, vars, vars_format: format, keys });
        }
        looked_at.push(code);
    }
    Err(MissingFirmware { keys, looked_at })
}

#[derive(Debug, PartialEq, Eq)]
struct Descriptor {
    code: String,
    code_format: FlashFormat,
    vars: String,
    vars_format: FlashFormat,
    /// Does Secure Boot.
    secure: bool,
    /// Its variables have keys.
    enrolled: bool,
    /// Needs system management mode, which protects the variables.
    smm: bool,
}

#[derive(Deserialize)]
struct Flash {
    filename: String,
    format: String,
}

#[derive(Deserialize)]
struct Mapping {
    device: String,
    mode: Option<String>,
    executable: Option<Flash>,
    #[serde(rename = "nvram-template")]
    nvram_template: Option<Flash>,
}

#[derive(Deserialize)]
struct Target {
    architecture: String,
    #[serde(default)]
    machines: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    interface_types: Vec<String>,
    mapping: Mapping,
    #[serde(default)]
    targets: Vec<Target>,
    #[serde(default)]
    features: Vec<String>,
}

/// Understands one descriptor; `None` when it is broken (an empty file hides another one) or not for us.
fn parse_descriptor(text: &str) -> Option<Descriptor> {
    let Document { interface_types, mapping, targets, features } = serde_json::from_str(text).ok()?;
    let for_us = targets.iter().any(|t| {
        t.architecture == "x86_64" && t.machines.iter().any(|m| m == "q35" || m == "*" || m.starts_with("pc-q35-"))
    });
    let split = mapping.mode.as_deref().is_none_or(|mode| mode == "split");
    if !for_us || !split || mapping.device != "flash" || !interface_types.iter().any(|i| i == "uefi") {
        return None;
    }
    let (code, vars) = (mapping.executable?, mapping.nvram_template?);
    let has = |name: &str| features.iter().any(|feature| feature == name);
    Some(Descriptor {
        code_format: FlashFormat::parse(&code.format)?,
        code: code.filename,
        vars_format: FlashFormat::parse(&vars.format)?,
        vars: vars.filename,
        secure: has("secure-boot"),
        enrolled: has("enrolled-keys"),
        smm: has("requires-smm"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn descriptor(code: &str, arch: &str, features: &str) -> String {
        format!(
            r#"{{"description":"d","interface-types":["uefi"],"mapping":{{"device":"flash",
            "executable":{{"filename":"{code}","format":"raw"}},
            "nvram-template":{{"filename":"{code}.vars","format":"qcow2"}}}},
            "targets":[{{"architecture":"{arch}","machines":["pc-q35-*"]}}],"features":[{features}],"tags":[]}}"#
        )
    }

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn prefers_descriptors_without_secure_boot_and_the_administrators_word() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for file in ["a", "b", "c"] {
            put(root, &format!("fw/{file}"), "code");
            put(root, &format!("fw/{file}.vars"), "vars");
        }
        put(root, "usr/share/qemu/firmware/10-secure.json", &descriptor("/fw/a", "x86_64", r#""secure-boot""#));
        put(root, "usr/share/qemu/firmware/20-arm.json", &descriptor("/fw/b", "aarch64", ""));
        assert_eq!(find_firmware(root).unwrap().code, root.join("fw/a"));
        put(root, "usr/share/qemu/firmware/30-absent.json", &descriptor("/fw/absent", "x86_64", ""));
        put(root, "usr/share/qemu/firmware/40-plain.json", &descriptor("/fw/b", "x86_64", ""));
        put(root, "usr/share/qemu/firmware/50-plain.json", &descriptor("/fw/c", "x86_64", ""));
        let found = find_firmware(root).unwrap();
        assert_eq!((found.code, found.vars_format), (root.join("fw/b"), FlashFormat::Qcow2));
        put(root, "etc/qemu/firmware/40-plain.json", "");
        assert_eq!(find_firmware(root).unwrap().code, root.join("fw/c"));
    }

    #[test]
    fn falls_back_to_known_paths_and_else_says_where_it_looked() {
        let root = tempfile::tempdir().unwrap();
        let error = find_firmware(root.path()).unwrap_err();
        assert!(error.to_string().contains("edk2-ovmf"));
        assert_eq!(error.looked_at.len(), DESCRIPTOR_DIRS.len() + KNOWN_PATHS.len());
        put(root.path(), "usr/share/edk2/x64/OVMF_CODE.4m.fd", "");
        assert!(find_firmware(root.path()).is_err(), "code without variables is no firmware");
        put(root.path(), "usr/share/edk2/x64/OVMF_VARS.4m.fd", "");
        assert_eq!(find_firmware(root.path()).unwrap().code_format, FlashFormat::Raw);
    }

    #[test]
    fn broken_descriptors_are_not_for_us() {
        for text in ["", "{}", "[]", "{\"interface-types\":[\"uefi\"],\"mapping\":{\"device\":\"memory\"}}", "\u{0}"] {
            assert_eq!(parse_descriptor(text), None, "{text:?}");
        }
        assert!(parse_descriptor(&descriptor("/a", "x86_64", "")).is_some_and(|d| !d.secure));
    }

    #[test]
    fn secure_boot_comes_with_keys_or_with_room_for_ours() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let find = |keys| find_secure_firmware(root, keys);
        for (keys, said) in [(EnrolledKeys::Vendor, "set keys to test"), (EnrolledKeys::Test, "edk2-ovmf")] {
            let error = find(keys).unwrap_err().to_string();
            assert!(error.contains("Secure Boot") && error.contains(said), "{error}");
        }
        for file in ["a", "b", "c"] {
            put(root, &format!("fw/{file}"), "code");
            put(root, &format!("fw/{file}.vars"), "vars");
        }
        let raw = |text: String| text.replace("qcow2", "raw");
        let keyed = r#""secure-boot","enrolled-keys","requires-smm""#;
        put(root, "usr/share/qemu/firmware/10.json", &descriptor("/fw/a", "x86_64", ""));
        put(root, "usr/share/qemu/firmware/20.json", &raw(descriptor("/fw/b", "x86_64", keyed)));
        put(root, "usr/share/qemu/firmware/30.json", &descriptor("/fw/c", "x86_64", r#""secure-boot""#));
        let vendor = find(EnrolledKeys::Vendor).unwrap();
        assert_eq!((vendor.code, vendor.keys), (root.join("fw/b"), Some(EnrolledKeys::Vendor)));
        assert!(find(EnrolledKeys::Test).is_err(), "our key cannot be enrolled into a qcow2 image");
        put(root, "usr/share/qemu/firmware/40.json", &raw(descriptor("/fw/c", "x86_64", r#""secure-boot""#)));
        let test = find(EnrolledKeys::Test).unwrap();
        assert_eq!((test.code, test.keys), (root.join("fw/c"), Some(EnrolledKeys::Test)));
    }
}

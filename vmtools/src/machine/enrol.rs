//! Enrolling the test key: PK, KEK and db are written into an empty store of UEFI variables, and Secure Boot is on.
//!
//! The key is public, like Debian's snakeoil one: what is signed with it proves nothing but that the chain works. Formats:
//! PI 1.7 volume 3, 3.2.1 (firmware volume header); edk2 `MdeModulePkg/Include/Guid/VariableFormat.h` (the store);
//! UEFI 2.10, 32.4.1 (`EFI_SIGNATURE_LIST`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::FirmwareFiles;

/// The certificate that is enrolled, PEM.
const TEST_CERTIFICATE: &str = include_str!("../../../assets/secure-boot/test.crt");
/// Its private key, PEM: to sign boot loaders and kernels with.
const TEST_KEY: &str = include_str!("../../../assets/secure-boot/test.key");
/// The certificate as it is enrolled.
const CERTIFICATE: &[u8] = include_bytes!("../../../assets/secure-boot/test.der");

/// `EFI_SYSTEM_NV_DATA_FV_GUID`.
const VOLUME: [u8; 16] = guid(0xfff1_2b8d, 0x7696, 0x4c8b, [0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50]);
/// `EFI_AUTHENTICATED_VARIABLE_GUID`.
const STORE: [u8; 16] = guid(0xaaf3_2c78, 0x947b, 0x439a, [0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92]);
/// `EFI_GLOBAL_VARIABLE_GUID`: PK and KEK.
const GLOBAL: [u8; 16] = guid(0x8be4_df61, 0x93ca, 0x11d2, [0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c]);
/// `EFI_IMAGE_SECURITY_DATABASE_GUID`: db.
const DATABASE: [u8; 16] = guid(0xd719_b2cb, 0x3d3a, 0x4596, [0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f]);
/// `EFI_SECURE_BOOT_ENABLE_DISABLE_GUID`.
const ENABLE: [u8; 16] = guid(0xf0a3_0bc7, 0xaf08, 0x4556, [0x99, 0xc4, 0x00, 0x10, 0x09, 0xc9, 0x3a, 0x44]);
/// `EFI_CERT_X509_GUID`.
const X509: [u8; 16] = guid(0xa5c0_59a1, 0x94e4, 0x4aa7, [0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72]);
/// Who owns the signature: us, a random number.
const OWNER: [u8; 16] = guid(0x6d3f_1a52, 0x0c1e, 0x4b7a, [0x9d, 0x55, 0x3e, 0x86, 0x21, 0x7f, 0xc4, 0x0b]);

/// Length of `VARIABLE_STORE_HEADER`, bytes.
const STORE_HEADER: usize = 28;
/// NV, BS; and for keys also RT and time based authenticated write access.
const PLAIN: u32 = 0x03;
const AUTHENTICATED: u32 = 0x27;
/// `VAR_ADDED`.
const ADDED: u8 = 0x3f;

/// The variables are no store that a key can be enrolled into.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// A file could not be read or written.
    #[error("could not {action} {}: {source}", path.display())]
    Io {
        /// "read", "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It has another format.
    #[error("the template of the UEFI variables is no store that we know; choose other firmware, or keys = \"vendor\"")]
    Unknown,
    /// There are variables in it already.
    #[error(
        "the template of the UEFI variables is not empty: keys would be enrolled over others; choose keys = \"vendor\""
    )]
    NotEmpty,
}

/// Enrols the test key into a copy of the variables of `files` in `dir`, and puts certificate and key beside it as
/// `test.crt` and `test.key`, to sign with. What is returned names the copy. Blocks for milliseconds.
///
/// # Errors
/// [`EnrolError`] when the variables are no empty store, or a file cannot be read or written.
pub fn enrol_test_key(files: FirmwareFiles, dir: &Path) -> Result<FirmwareFiles, EnrolError> {
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| EnrolError::Io { action, path, source }
    };
    let enrolled = enrol(&fs::read(&files.vars).map_err(failed("read", &files.vars))?)?;
    fs::create_dir_all(dir).map_err(failed("write", dir))?;
    // Two kinds of firmware have stores of two sizes.
    let vars = dir.join(format!("vars-{}k.fd", enrolled.len() / 1024));
    for (path, bytes) in [
        (&vars, enrolled.as_slice()),
        (&dir.join("test.crt"), TEST_CERTIFICATE.as_bytes()),
        (&dir.join("test.key"), TEST_KEY.as_bytes()),
    ] {
        if fs::read(path).is_ok_and(|there| there == bytes) {
            continue;
        }
        let beside = path.with_extension(format!("{}.part", std::process::id()));
        let written = fs::write(&beside, bytes).and_then(|()| fs::File::open(&beside)?.sync_all());
        written.and_then(|()| fs::rename(&beside, path)).map_err(|source| {
            let _ = fs::remove_file(&beside);
            failed("write", path)(source)
        })?;
    }
    Ok(FirmwareFiles { vars, ..files })
}

/// `store`, a raw image of empty UEFI variables, with the test key as PK, KEK and db. Pure.
///
/// # Errors
/// [`EnrolError`] when it is something else.
fn enrol(store: &[u8]) -> Result<Vec<u8>, EnrolError> {
    let header = volume(store).ok_or(EnrolError::Unknown)?;
    let signatures = signature_list();
    let mut variables = Vec::new();
    for (name, vendor) in [("PK", GLOBAL), ("KEK", GLOBAL), ("db", DATABASE)] {
        variable(&mut variables, name, vendor, AUTHENTICATED, &signatures);
    }
    variable(&mut variables, "SecureBootEnable", ENABLE, PLAIN, &[1]);
    let mut enrolled = store.to_vec();
    let room = enrolled.get_mut(header..header + variables.len()).ok_or(EnrolError::Unknown)?;
    if room.iter().any(|byte| *byte != 0xff) {
        return Err(EnrolError::NotEmpty);
    }
    room.copy_from_slice(&variables);
    Ok(enrolled)
}

/// Where the first variable goes.
fn volume(store: &[u8]) -> Option<usize> {
    let length = usize::from(u16::from_le_bytes(store.get(48..50)?.try_into().ok()?));
    let whole = store.get(16..32)? == VOLUME && store.get(40..44)? == b"_FVH";
    (whole && store.get(length..length + 16)? == STORE).then_some(length + STORE_HEADER)
}

/// An `EFI_SIGNATURE_LIST` of one certificate.
fn signature_list() -> Vec<u8> {
    let signature = 16 + CERTIFICATE.len();
    let mut list = X509.to_vec();
    for number in [28 + signature, 0, signature] {
        list.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
    }
    list.extend(OWNER);
    list.extend(CERTIFICATE);
    list
}

/// Appends an `AUTHENTICATED_VARIABLE_HEADER`, name and data, padded to four bytes.
fn variable(to: &mut Vec<u8>, name: &str, vendor: [u8; 16], attributes: u32, data: &[u8]) {
    let name: Vec<u8> = name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    to.extend(0x55aa_u16.to_le_bytes());
    to.extend([ADDED, 0]);
    to.extend(attributes.to_le_bytes());
    to.extend(0_u64.to_le_bytes());
    // An EFI_TIME: the first of January 2024. An update must be newer.
    let time = if attributes == AUTHENTICATED { [0xe8, 0x07, 1, 1] } else { [0; 4] };
    to.extend(time);
    to.extend([0; 12]);
    to.extend(0_u32.to_le_bytes());
    for length in [name.len(), data.len()] {
        to.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    }
    to.extend(vendor);
    to.extend(name);
    to.extend(data);
    to.resize(to.len().next_multiple_of(4), 0xff);
}

/// A GUID as it lies in memory.
const fn guid(a: u32, b: u16, c: u16, d: [u8; 8]) -> [u8; 16] {
    let (a, b, c) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
    [a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Vec<u8> {
        let mut store = vec![0xff; 8192];
        store[..16].fill(0);
        store[16..32].copy_from_slice(&VOLUME);
        store[40..44].copy_from_slice(b"_FVH");
        store[48..50].copy_from_slice(&72_u16.to_le_bytes());
        store[72..88].copy_from_slice(&STORE);
        store
    }

    #[test]
    fn the_keys_lie_where_the_firmware_looks() {
        let enrolled = enrol(&empty()).unwrap();
        assert_eq!(enrolled.len(), 8192);
        assert_eq!(enrolled[100..104], [0xaa, 0x55, ADDED, 0]);
        assert_eq!(enrolled[160..166], [b'P', 0, b'K', 0, 0, 0]);
        let certificates = enrolled.windows(CERTIFICATE.len()).filter(|bytes| *bytes == CERTIFICATE).count();
        assert_eq!(certificates, 3);
        assert!(matches!(enrol(&enrolled), Err(EnrolError::NotEmpty)));
    }

    #[test]
    fn what_is_no_empty_store_is_refused() {
        assert!(matches!(enrol(&[]), Err(EnrolError::Unknown)));
        assert!(matches!(enrol(b"QFI\xfb"), Err(EnrolError::Unknown)));
        assert!(matches!(enrol(&empty()[..1000]), Err(EnrolError::Unknown)));
        let mut far = empty();
        far[48..50].copy_from_slice(&u16::MAX.to_le_bytes());
        assert!(matches!(enrol(&far), Err(EnrolError::Unknown)));
    }
}

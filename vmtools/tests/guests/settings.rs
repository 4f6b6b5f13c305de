//! Settings as a guest sees them: Secure Boot with our keys and with the vendor's, a TPM.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use vmtools::{
    Boot, EnrolledKeys, Firmware, FirmwareFiles, GuestEvent, Machine, Medium, RuntimeDir, enrol_test_key,
    find_secure_firmware,
};

use crate::harness::{Guest, Plan, alive, kernel, machine, plan};

fn run(program: &str, args: &[&str]) {
    let done = Command::new(program).args(args).output().unwrap_or_else(|e| panic!("this test needs {program}: {e}"));
    assert!(done.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A USB stick whose boot loader for UEFI is `program`.
fn stick(dir: &Path, program: &Path) -> PathBuf {
    let image = dir.join("stick.img");
    std::fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
    let at = image.to_str().unwrap();
    run("mformat", &["-i", at, "-F", "::"]);
    run("mmd", &["-i", at, "::/EFI", "::/EFI/BOOT"]);
    run("mcopy", &["-i", at, program.to_str().unwrap(), "::/EFI/BOOT/BOOTX64.EFI"]);
    image
}

/// A guest with Secure Boot that boots the kernel itself, as it is or signed with the test key.
fn secure(keys: EnrolledKeys, signed: bool) -> Plan {
    let secure = Machine { firmware: Firmware::UefiSecure, medium: Medium::Usb, memory_mib: 512, ..machine() };
    let mut plan = plan(secure, Boot::Nothing);
    let dir = plan.dir.path().join("keys");
    let found = find_secure_firmware(Path::new("/"), keys).expect("this test needs UEFI firmware with Secure Boot");
    let enrolled: FirmwareFiles =
        enrol_test_key(find_secure_firmware(Path::new("/"), EnrolledKeys::Test).unwrap(), &dir).unwrap();
    plan.plan.firmware = Some(if keys == EnrolledKeys::Test { enrolled } else { found });
    let mut program = kernel();
    if signed {
        let (key, crt, to) = (dir.join("test.key"), dir.join("test.crt"), dir.join("signed.efi"));
        let words = [&key, &crt, &to, &program].map(|path| path.to_str().unwrap());
        run("sbsign", &["--key", words[0], "--cert", words[1], "--output", words[2], words[3]]);
        program = to;
    }
    plan.plan.boot = Boot::Iso(stick(plan.dir.path(), &program));
    plan
}

/// A firmware with Secure Boot that is emulated takes its time, the more where many tests share few processors.
const PATIENCE: Duration = Duration::from_secs(300);

/// Waits until one of `words` is on the serial line, and returns it.
async fn heard<'a>(guest: &mut Guest, words: &[&'a str]) -> &'a str {
    let end = Instant::now() + PATIENCE;
    let mut text = String::new();
    loop {
        match timeout_at(end, guest.events.recv()).await {
            Ok(Some(GuestEvent::Serial(bytes))) => text.push_str(&String::from_utf8_lossy(&bytes)),
            Ok(Some(_)) => {}
            other => panic!("waiting for {words:?}: {other:?}\nserial: {text}"),
        }
        if let Some(word) = words.iter().copied().find(|word| text.contains(word)) {
            return word;
        }
    }
}

const STARTED: &str = "UEFI Secure Boot is enabled";
const REFUSED: &str = "Access Denied";

#[tokio::test(flavor = "multi_thread")]
async fn secure_boot_starts_what_our_key_has_signed_and_tells_it() {
    let mut guest = secure(EnrolledKeys::Test, true).start().await.unwrap();
    assert_eq!(heard(&mut guest, &[STARTED, REFUSED]).await, STARTED);
    guest.handle.end(|_, _| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secure_boot_refuses_what_is_signed_by_another() {
    let mut guest = secure(EnrolledKeys::Test, false).start().await.unwrap();
    assert_eq!(heard(&mut guest, &[STARTED, REFUSED]).await, REFUSED);
    guest.handle.end(|_, _| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vendors_keys_do_not_know_ours() {
    let mut guest = secure(EnrolledKeys::Vendor, true).start().await.unwrap();
    assert_eq!(heard(&mut guest, &[STARTED, REFUSED]).await, REFUSED);
    guest.handle.end(|_, _| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tpm_is_seen_by_the_guest_and_ends_with_it() {
    let cmdline = "console=ttyS0 no_timer_check panic=0 cryptomgr.notests".to_owned();
    let boot = Boot::Direct { kernel: kernel(), initrds: vec![], cmdline };
    let mut guest = plan(Machine { tpm: true, memory_mib: 512, ..machine() }, boot).start().await.unwrap();
    let state = guest.runtime.join("tpm");
    let swtpm = || {
        let there =
            std::fs::read_dir("/proc").unwrap().flatten().filter_map(|it| it.file_name().to_str()?.parse().ok());
        let is_it = |pid: &u32| {
            let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).into_owned();
            words.starts_with("swtpm\0") && words.contains(state.to_str().unwrap())
        };
        there.filter(is_it).collect::<Vec<u32>>()
    };
    let pids = swtpm();
    assert_eq!(pids.len(), 1);
    // The firmware has talked to it, and tells the kernel of it.
    heard(&mut guest, &["ACPI: TPM2 "]).await;
    assert!(state.join("tpm2-00.permall").exists(), "a TPM that nobody has started has no state");
    guest.handle.end(|_, _| {}).await;
    assert!(!alive(pids[0]) && swtpm().is_empty());
    RuntimeDir::open(&guest.runtime).unwrap().remove().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tpm_that_cannot_start_is_said_and_nothing_runs() {
    let plan = plan(Machine { tpm: true, ..machine() }, Boot::Nothing);
    std::fs::write(plan.plan.runtime.join("tpm"), "no folder").unwrap();
    let error = plan.start().await.err().unwrap().to_string();
    assert!(error.contains("/tpm") && error.contains("could not prepare"), "{error}");
}

//! For users who may not write to disks: the real udisks2, with the real polkit, D-Bus and udev, in a guest with USB sticks. Skipped
//! where udisks2 is not installed.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use cartridge_supervise::Cancel;
use isoprep::deploy::{Away, DeployError, DeployRequest, DeployStage, Policy, Tree, Wanted, Way, deploy, scan};

use crate::inside::MIB;
use crate::pattern::{image, pattern};
use crate::qemu::{Drive, Guest};

const UDISKSD: &str = "/usr/libexec/udisks2/udisksd";
const POLKITD: [&str; 2] = ["/usr/lib/polkit-1/polkitd", "/usr/lib/policykit-1/polkitd"];
const UDEVD: &str = "/lib/systemd/systemd-udevd";
/// Programs, and what they load while they run.
const PROGRAMS: &[&str] = &[UDISKSD, UDEVD, "/usr/bin/udevadm", "/usr/bin/dbus-daemon", "/usr/bin/eject"];
/// Folders whose files they read or start.
const FOLDERS: &[&str] = &[
    "/usr/share/dbus-1",
    "/etc/dbus-1",
    "/usr/share/polkit-1/actions",
    "/etc/udisks2",
    "/etc/libblockdev/conf.d",
    "/lib/udev",
    "/lib/udev/rules.d",
    "/usr/share/dbus-1/system.d",
];
const BYTES: usize = 12 * MIB + 700;

const SCRIPT: &str = r#"
mkdir -p /run/dbus /run/udev /run/udisks2 /var/lib/udisks2 /var/lib/dbus /etc/polkit-1/rules.d /usr/share/polkit-1/rules.d
mkdir -p /run/systemd/seats /run/systemd/sessions /run/systemd/users /run/systemd/machines
ln -s /run /var/run
echo 0123456789abcdef0123456789abcdef >/etc/machine-id
cat >>/etc/passwd <<END
maker:x:4242:4242::/:/bin/sh
other:x:4243:4243::/:/bin/sh
END
cat >/etc/polkit-1/rules.d/10-maker.rules <<END
polkit.addRule(function(action, subject) {
    if (action.id.indexOf("org.freedesktop.udisks2.") == 0 && subject.user == "maker") return polkit.Result.YES;
});
END
chmod 755 / /etc /usr /var /run /tmp
/lib/systemd/systemd-udevd --daemon
/usr/bin/udevadm trigger --action=add
/usr/bin/udevadm settle
/usr/bin/dbus-daemon --system --fork
POLKITD >/tmp/polkitd 2>&1 &
/usr/libexec/udisks2/udisksd >/tmp/udisksd 2>&1 &
CARTRIDGE_UDISKS=1 /bin/inside --exact udisks::inside --nocapture --test-threads 1 && echo UDISKS DID ALL
cat /tmp/polkitd /tmp/udisksd
"#;

#[test]
fn users_write_through_udisks_where_polkit_lets_them() {
    let Some(polkitd) = POLKITD.iter().find(|it| Path::new(it).exists()).filter(|_| Path::new(UDISKSD).exists()) else {
        return eprintln!("skipped: udisks2 and polkit are not installed");
    };
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    let drives = ["maker", "other"].map(|id| {
        std::fs::write(file(id), vec![0xee; bytes_of(id)]).unwrap();
        let drive = format!("format=raw,file={}", file(id).display());
        Drive { id, drive, device: "usb-storage,bus=xhci.0,removable=on" }
    });
    let mut programs = vec![(std::env::current_exe().unwrap(), PathBuf::from("/bin/inside"))];
    let mut add = |path: PathBuf| programs.push((path.clone(), path));
    PROGRAMS.iter().chain([polkitd]).map(PathBuf::from).filter(|it| it.exists()).for_each(&mut add);
    ["/etc/passwd", "/etc/group", "/etc/nsswitch.conf"].map(PathBuf::from).into_iter().for_each(&mut add);
    let plugins = std::fs::read_dir("/usr/lib/x86_64-linux-gnu").into_iter().flatten().flatten().map(|it| it.path());
    plugins.filter(|it| it.to_string_lossy().contains("/libbd_")).for_each(&mut add);
    for folder in FOLDERS {
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|it| it.path());
        files.filter(|it| it.is_file()).for_each(&mut add);
    }
    let text = Guest::start(dir.path(), &drives, &programs, &SCRIPT.replace("POLKITD", polkitd)).end();
    assert!(text.contains("UDISKS DID ALL"), "{text}");
    assert!(std::fs::read(file("maker")).unwrap()[..BYTES] == pattern(BYTES));
    assert!(std::fs::read(file("other")).unwrap().iter().all(|it| *it == 0xee));
}

fn bytes_of(id: &str) -> usize {
    if id == "maker" { 40 * MIB } else { 41 * MIB }
}

/// In the guest, as root: starts this again as each user.
#[test]
fn inside() {
    if std::env::var_os("CARTRIDGE_UDISKS").is_none() {
        return;
    }
    image(Path::new("/tmp/image"), BYTES);
    for (user, uid) in [("maker", 4242), ("other", 4243)] {
        let done = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "udisks::as_a_user", "--nocapture"])
            .env("CARTRIDGE_UDISKS_USER", user)
            .uid(uid)
            .gid(uid)
            .status()
            .unwrap();
        assert!(done.success(), "{user}");
    }
}

/// In the guest, as one of them.
#[test]
fn as_a_user() {
    let Ok(user) = std::env::var("CARTRIDGE_UDISKS_USER") else { return };
    let end = Instant::now() + Duration::from_secs(120);
    let request = || {
        let all = scan(&Tree::default()).unwrap();
        let disk = all.iter().find(|it| it.bytes == bytes_of(&user) as u64)?;
        let (disk, ways) = (Wanted::of(disk), Way::ALL.to_vec());
        Some(DeployRequest { image: "/tmp/image".into(), disk, policy: Policy::Removable, ways, eject: true })
    };
    loop {
        let mut exclusive = 0;
        let result = match request() {
            Some(request) => deploy(&request, &Cancel::new(), &mut |step| {
                // That it is ours alone is seen by asking once more.
                if step.stage == DeployStage::Verifying && step.done == 0 {
                    let again = deploy(&request, &Cancel::new(), &mut |_| ());
                    println!("{user}, meanwhile: {again:?}");
                    exclusive += u32::from(matches!(again, Err(DeployError::Open(_))));
                }
            }),
            None => panic!("{user}'s stick is not there"),
        };
        println!("{user}: {result:?}");
        match (user.as_str(), result) {
            ("maker", Ok(done)) => {
                assert_eq!((done.way, exclusive), (Way::Udisks, 1));
                // QEMU's sticks are ejected; not each of its ports can be switched off.
                return assert!(matches!(done.away, Away::Off | Away::Ejected), "{done:?}");
            }
            ("other", Err(DeployError::NoWay { said, .. })) if said.join(" ").contains("authorized") => return,
            // The daemons have just been started.
            (_, Err(DeployError::NoWay { .. })) if Instant::now() < end => std::thread::sleep(Duration::from_secs(1)),
            (_, other) => panic!("{user}: {other:?}"),
        }
    }
}

//! An ordinary user with lent ids builds what root builds, bit by bit, other owners and capabilities included. The user exists
//! for the test alone: in a mount namespace of its own, over copies of the files that name users.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cartridge_supervise::{CommandLine, run};
use isoprep::Cancel;

use crate::arch::{COPY, COPY_KERNEL, Repository};
use crate::bench::{Bench, PLACE, profile};

const INSIDE: &str = "CARTRIDGE_TEST_INSIDE";
/// An id that no machine gives to people, and the ids that are lent to it.
const USER: u32 = 61_184;
const LENT: &str = "2130771968:65536";
/// Arguments: the folder of the test, the lent ids, and the command.
const ENTER: &str = r#"set -e
cd "$1"
for file in passwd group subuid subgid; do cp /etc/$file $file; done
echo "throwaway:x:61184:61184::$1:/bin/sh" >>passwd
echo "throwaway:x:61184:" >>group
if [ -n "$2" ]; then for file in subuid subgid; do echo "throwaway:$2" >>$file; done; fi
for file in passwd group subuid subgid; do mount --bind $file /etc/$file; done
shift 2
cd /
exec setpriv --reuid=61184 --regid=61184 --clear-groups --inh-caps=-all -- "$@""#;

/// Both kinds of image, of a profile whose packages have files of other owners.
fn sums() -> String {
    let profile = profile().packages(&["owned-files", "capable"]);
    let sum = |settings: &str| {
        let bench = Bench::new(&profile, settings);
        let image = bench.build();
        bench.assert_clean();
        blake3::hash(&fs::read(image.iso).unwrap()).to_hex().to_string()
    };
    [sum(""), sum("build = \"release\"")].join(" ")
}

/// As root: built here, and by somebody else. As an ordinary user: twice by oneself.
#[test]
fn an_ordinary_user_builds_the_same_images_bit_by_bit() {
    const TEST: &str = "users::an_ordinary_user_builds_the_same_images_bit_by_bit";
    if std::env::var_os(INSIDE).is_some() {
        assert!(!rustix::process::geteuid().is_root());
        let place = std::env::var_os(PLACE).unwrap();
        fs::write(std::path::Path::new(&place).join("sums"), sums()).unwrap();
        return;
    }
    let mine = sums();
    assert_eq!(as_somebody(TEST, LENT, |place| fs::read_to_string(place.join("user/sums")).unwrap()), mine);
}

/// Runs the test again as a user to whom `lent` ids are lent; `look` looks at what it left.
fn as_somebody<T>(test: &str, lent: &str, look: impl FnOnce(&Path) -> T) -> T {
    let repository = Repository::get();
    // Somebody else may not be able to get at the build directory.
    let place = tempfile::Builder::new().prefix("some one").tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(std::env::current_exe().unwrap(), at("test")).unwrap();
    fs::set_permissions(at("test"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(at("user")).unwrap();
    let copy = CommandLine::new("cp").arg("-a").arg(repository.path()).arg(at("repository"));
    run(&copy, &Cancel::new(), |_, _| ()).unwrap();
    let line = if rustix::process::geteuid().is_root() {
        let owner = format!("{USER}:{USER}");
        let own = CommandLine::new("chown").args(["-R", &owner]).arg(at("user")).arg(at("repository"));
        run(&own, &Cancel::new(), |_, _| ()).unwrap();
        let line = CommandLine::new("unshare").args(["-m", "--propagation", "private", "--", "sh", "-c", ENTER, "sh"]);
        line.arg(place.path()).arg(lent).arg(at("test"))
    } else {
        CommandLine::new(at("test"))
    };
    let line = line.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(INSIDE, "1");
    let line = line.env(PLACE, at("user")).env("TMPDIR", at("user")).env("HOME", at("user"));
    let line = line.env(COPY, at("repository")).env(COPY_KERNEL, repository.kernel_version());
    let output = run(&line, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("1 passed"), "the test did not run inside: {said}");
    look(place.path())
}

/// Without lent ids there is no user but root inside: the image is made, and what is wrong with it is told each time.
#[test]
fn where_only_root_exists_the_image_is_made_and_its_owners_are_told() {
    const TEST: &str = "users::where_only_root_exists_the_image_is_made_and_its_owners_are_told";
    if std::env::var_os(INSIDE).is_none() {
        if rustix::process::geteuid().is_root() {
            as_somebody(TEST, "", |_| ());
        }
        return;
    }
    let profile = profile().permission("/opt/theirs/", "1000:1000:700").file("airootfs/opt/theirs/file", "x").file(
        "airootfs/etc/passwd",
        "root:x:0:0:root:/root:/usr/bin/bash\nlive:x:1000:1000::/home/live:/usr/bin/bash\n",
    );
    let bench = Bench::new(&profile, "");
    for again in [false, true] {
        let (image, reused, lines) = bench.build_telling();
        image.unwrap_or_else(|e| panic!("{e}\n{}", lines.join("\n")));
        assert_eq!(reused["packages"], again);
        assert!(lines.iter().any(|line| line.contains("every file of this image belongs to root")), "{lines:#?}");
        let told = |path: &str| lines.iter().any(|line| line.contains(&format!("warning: {path} stays root's")));
        assert!(again || (told("/opt/theirs/") && told("/home/live")), "{lines:#?}");
    }
    bench.assert_clean();
}

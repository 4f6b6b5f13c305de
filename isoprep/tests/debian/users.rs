//! An ordinary user with lent ids builds what root builds, bit by bit; one without is told what is lacking. The user
//! exists for the test alone: in a mount namespace of its own, over copies of the files that name users.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cartridge_supervise::{CommandLine, run};
use isoprep::{Cancel, Image, Unit};

use crate::bench::{self, Bench};
use crate::boots::steps;
use crate::init;

const INSIDE: &str = "CARTRIDGE_TEST_INSIDE";
/// An id that no machine gives to people, and the ids that are lent to it.
const USER: u32 = 61_183;
const LENT: &str = "2130706432:65536";
/// The packed root and the list of its packages, in the cache.
const ROOT: &str = "root.sfs";
const PACKAGES: &str = "pkglist.txt";
const PARTS: [&str; 2] = [ROOT, PACKAGES];
/// How often root builds anew where the archive has moved on meanwhile.
const TRIES: usize = 3;
/// Arguments: the folder of the test, and the command.
const ENTER: &str = r#"set -e
cd "$1"
for file in passwd group subuid subgid; do cp /etc/$file $file; done
echo "throwaway:x:61183:61183::$1:/bin/sh" >>passwd
echo "throwaway:x:61183:" >>group
if [ -n "$2" ]; then for file in subuid subgid; do echo "throwaway:$2" >>$file; done; fi
for file in passwd group subuid subgid; do mount --bind $file /etc/$file; done
shift 2
cd /
exec setpriv --reuid=61183 --regid=61183 --clear-groups --inh-caps=-all -- "$@""#;

fn image_of_this_user() -> (Image, Bench) {
    let bench = Bench::without_base("debian", "");
    let (image, reused, told) = bench.build_telling();
    let image = image.unwrap_or_else(|e| panic!("{e}\n{}", bench::lines(&told)));
    assert!(!reused["packages"], "it must be made here");
    let installing = steps(&told, Unit::Packages);
    let (_, total, what) = installing.last().expect("installation is told");
    assert!(*total > 200 && what.starts_with("setting up "), "{installing:?}");
    assert!(installing.windows(2).all(|two| two[0].0 <= two[1].0), "{installing:?}");
    (image, bench)
}

/// As root: the base of all tests, and this one made by somebody else. As an ordinary user: twice by oneself.
#[test]
fn an_ordinary_user_builds_the_same_image_bit_by_bit() {
    const TEST: &str = "users::an_ordinary_user_builds_the_same_image_bit_by_bit";
    if std::env::var_os(INSIDE).is_some() {
        assert!(!rustix::process::geteuid().is_root());
        let (image, _bench) = image_of_this_user();
        fs::copy(&image.iso, bench::place().join("iso")).unwrap();
        for part in PARTS {
            fs::copy(entry(&image).join(part), bench::place().join(part)).unwrap();
        }
        return;
    }
    let bench = Bench::new("debian", "");
    let place = as_somebody_else(TEST, LENT, |user| {
        // The packages have been fetched.
        copy_files(&bench::cache().join("packages-fetched"), &user.join("debian-cache/packages-fetched"));
    });
    let theirs = |name: &str| place.path().join("user").join(name);
    let mut mine = (bench.build(), bench);
    let list = |file: &Path| fs::read_to_string(file).unwrap();
    let same = |image: &Image| list(&entry(image).join(PACKAGES)) == list(&theirs(PACKAGES));
    // The archive moves on, and not all of its mirrors at once: what was built of other packages is built anew.
    for _ in 0..TRIES {
        if same(&mine.0) {
            break;
        }
        println!("other packages than the user's: root builds anew");
        let mut bench = Bench::without_base("debian", "");
        bench.request.cache = bench.dir.path().join("cache");
        copy_files(&theirs("debian-cache/packages-fetched"), &bench.request.cache.join("packages-fetched"));
        mine = (bench.build(), bench);
    }
    assert!(same(&mine.0), "the archive gave other packages {TRIES} times");
    let (image, bench) = &mine;
    if fs::read(&image.iso).unwrap() == fs::read(theirs("iso")).unwrap() {
        return;
    }
    let parts: Vec<_> = PARTS
        .into_iter()
        .filter(|it| fs::read(entry(image).join(it)).unwrap() != fs::read(theirs(it)).unwrap())
        .collect();
    let differ = bench::as_root(bench.dir.path(), DIFFER, &[bench.dir.path(), &entry(image).join(ROOT), &theirs(ROOT)]);
    panic!("the images differ, in {parts:?} of their roots:\n{differ}");
}

/// What two packed roots differ in: attributes and contents.
const DIFFER: &str = r#"cd "$1"
for which in "$2 mine" "$3 theirs"; do
    unsquashfs -lln "${which% *}" | sed "s/squashfs-root//" >"${which##* }.list"
    unsquashfs -no-progress -quiet -d "${which##* }" "${which% *}" >/dev/null 2>&1 || true
done
diff mine.list theirs.list || true
diff -rq --no-dereference mine theirs 2>&1 || true
rm -rf -- mine theirs"#;

/// The folder of the cache that has the packed root of an image.
fn entry(image: &Image) -> PathBuf {
    image.kernel.ancestors().nth(3).unwrap().to_path_buf()
}

/// Copies the files of a folder, not what is below.
fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap().flatten().filter(|it| it.file_type().unwrap().is_file()) {
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// Without lent ids files can belong to root alone: that is said before anything is fetched or unpacked for nothing.
#[test]
fn without_lent_ids_it_is_said_what_would_lend_them() {
    const TEST: &str = "users::without_lent_ids_it_is_said_what_would_lend_them";
    if std::env::var_os(INSIDE).is_some() {
        let debian = Bench::without_base("debian", "").fails().to_string();
        assert!(debian.contains("several users") && debian.contains("/etc/subuid lends no ids"), "{debian}");
        let tarball = bench::place().join("owned.tar");
        let tree = Bench::without_base("tree", &format!("base = {:?}", tarball.to_str().unwrap()));
        let text = tree.fails().to_string();
        assert!(text.contains("several users") && text.contains("--add-subuids"), "{text}");
        return;
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("{TEST}: skipped, as only root can make a user without lent ids");
        return;
    }
    as_somebody_else(TEST, "", |user| {
        fs::create_dir_all(user.join("in/usr")).unwrap();
        let tar = CommandLine::new("tar").args(["-cf", "owned.tar", "--owner=7:7", "--group=7:7", "-C", "in", "usr"]);
        run(&tar.cwd(user), &Cancel::new(), |_, _| ()).unwrap();
    });
}

/// Runs the test called `test` again, as a user who exists for it alone and has `lent` ids; `prepare` fills the folder
/// that the user owns, `user` below the one that is returned.
fn as_somebody_else(test: &str, lent: &str, prepare: impl FnOnce(&Path)) -> tempfile::TempDir {
    // Somebody else may not be able to get at the build directory.
    let place = tempfile::Builder::new().prefix("some one").tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let copy = |from: &Path, name: &str| {
        fs::copy(from, at(name)).unwrap();
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o755)).unwrap();
    };
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    copy(&std::env::current_exe().unwrap(), "test");
    copy(init::file(), "init");
    fs::create_dir(at("user")).unwrap();
    prepare(&at("user"));
    let line = if rustix::process::geteuid().is_root() {
        let owner = format!("{USER}:{USER}");
        run(&CommandLine::new("chown").args(["-R", &owner]).arg(at("user")), &Cancel::new(), |_, _| ()).unwrap();
        let line = CommandLine::new("unshare").args(["-m", "--propagation", "private", "--", "sh", "-c", ENTER, "sh"]);
        line.arg(place.path()).arg(lent).arg(at("test"))
    } else {
        CommandLine::new(at("test"))
    };
    let line = line.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(INSIDE, "1");
    let line = line.env(bench::PLACE, at("user")).env(init::READY, at("init")).env("TMPDIR", at("user"));
    let output = run(&line, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("1 passed"), "the test did not run inside: {said}");
    place
}

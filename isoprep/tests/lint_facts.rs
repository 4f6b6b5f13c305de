//! What findings say that will happen, seen on the real pacman, repo-add, xorriso and bash.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use isoprep::lint::SyncDatabases;

fn run(program: &str, arguments: &[&str]) -> (bool, String) {
    let Output { status, stdout, stderr } = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|e| panic!("{program} is not here ({e}); packaging/setup test installs it"));
    (status.success(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

/// A repository `mine` with one package `tool`, made by repo-add, and a root for pacman to look at it from.
fn repository(dir: &Path) -> String {
    let packages = dir.join("mine");
    fs::create_dir_all(&packages).unwrap();
    fs::create_dir_all(dir.join("db")).unwrap();
    let package = "pkgname = tool\npkgver = 1-1\narch = any\nsize = 4096\nprovides = something=2\ngroup = \
        tools\ndepend = glibc>=2\n";
    fs::write(packages.join(".PKGINFO"), package).unwrap();
    let (archive, database) = (packages.join("tool-1-1-any.pkg.tar.zst"), packages.join("mine.db.tar.gz"));
    let (archive, database) = (archive.to_str().unwrap(), database.to_str().unwrap());
    assert!(run("bsdtar", &["-C", packages.to_str().unwrap(), "--zstd", "-cf", archive, ".PKGINFO"]).0);
    // Debian's repo-add looks for makepkg's library elsewhere.
    let said =
        Command::new("repo-add").env("LIBRARY", "/usr/share/makepkg").args([database, archive]).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let conf = dir.join("pacman.conf");
    let text =
        format!("[options]\nArchitecture = x86_64\nSigLevel = Never\n[mine]\nServer = file://{}\n", packages.display());
    fs::write(&conf, text).unwrap();
    conf.to_str().unwrap().to_owned()
}

/// Asks pacman's solver for targets, as pacstrap does, without root.
fn ask(dir: &Path, conf: &str, targets: &[&str]) -> (bool, String) {
    let db = dir.join("db");
    fs::create_dir_all(db.join("sync")).unwrap();
    // `-Sy` wants root; what it would fetch is copied.
    if let Ok(bytes) = fs::read(dir.join("mine/mine.db")) {
        fs::write(db.join("sync/mine.db"), bytes).unwrap();
    }
    let fixed = ["--config", conf, "--dbpath", db.to_str().unwrap(), "-Sddp", "--print-format", "%n", "--"];
    run("pacman", &[&fixed[..], targets].concat())
}

#[test]
fn pacman_compares_names_letter_by_letter_and_takes_a_name_twice() {
    let dir = tempfile::tempdir().unwrap();
    let conf = repository(dir.path());
    for good in [&["tool"][..], &["mine/tool"], &["something"], &["tools"], &["tool", "tool"]] {
        let (fine, said) = ask(dir.path(), &conf, good);
        assert!(fine && said.lines().filter(|line| line.trim() == "tool").count() == 1, "{good:?}: {said}");
    }
    for bad in ["tool ", " tool", "tool\r", "tool\t", "tool other", "\r", "tol"] {
        let (fine, said) = ask(dir.path(), &conf, &[bad]);
        assert!(!fine && said.contains("target not found"), "{bad:?}: {said}");
    }
}

#[test]
fn a_database_of_repo_add_is_read() {
    let dir = tempfile::tempdir().unwrap();
    repository(dir.path());
    let (databases, errors) = SyncDatabases::load(&dir.path().join("mine"));
    assert!(errors.is_empty(), "{errors:?}");
    let tool = databases.packages_of("mine").first().expect("the package is in it");
    assert_eq!((tool.name.as_str(), tool.installed_bytes), ("tool", 4096));
    assert_eq!(
        (&tool.provides[..], &tool.groups[..], &tool.depends[..]),
        (&["something".to_owned()][..], &["tools".to_owned()][..], &["glibc".to_owned()][..])
    );
    assert!(tool.packed_bytes > 0);
    fs::write(dir.path().join("mine/broken.db"), b"\x1f\x8bnonsense").unwrap();
    let (databases, errors) = SyncDatabases::load(&dir.path().join("mine"));
    assert_eq!((databases.packages_of("mine").len(), errors.len()), (1, 1));
    assert!(errors[0].to_string().contains("broken.db"), "{}", errors[0]);
    assert_eq!(SyncDatabases::load(Path::new("/nowhere/at/all")).1.len(), 0);
}

#[test]
fn pacman_ends_at_a_missing_include_and_at_an_empty_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let conf = repository(dir.path());
    for include in ["/nowhere/mirrorlist", "/nowhere/*.conf"] {
        let text = fs::read_to_string(&conf).unwrap();
        let broken = dir.path().join("broken.conf");
        fs::write(&broken, text + &format!("Include = {include}\n")).unwrap();
        let (fine, said) = run("pacman-conf", &["--config", broken.to_str().unwrap()]);
        assert!(!fine && said.contains("could not be read"), "{said}");
    }
    let empty = dir.path().join("empty.conf");
    fs::write(&empty, "").unwrap();
    let (fine, said) = ask(dir.path(), empty.to_str().unwrap(), &["tool"]);
    assert!(!fine && said.contains("no usable package repositories configured"), "{said}");
}

/// What xorriso says to a label and a publisher.
fn image(label: &str, publisher: &str) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "x").unwrap();
    let output = dir.path().join("out.iso");
    let fixed = ["-no_rc", "-as", "mkisofs", "-iso-level", "3", "-full-iso9660-filenames", "-joliet", "-rational-rock"];
    let ours =
        ["-volid", label, "-publisher", publisher, "-output", output.to_str().unwrap(), dir.path().to_str().unwrap()];
    run("xorriso", &[&fixed[..], &ours].concat())
}

#[test]
fn xorriso_refuses_long_names_and_warns_of_others() {
    assert!(image(&"A".repeat(32), &"p".repeat(128)).0);
    let (fine, said) = image(&"A".repeat(33), "p");
    assert!(!fine && said.contains("Text too long"), "{said}");
    let (fine, said) = image("A", &"p".repeat(129));
    assert!(!fine && said.contains("too long"), "{said}");
    for label in ["arch", "ARCH LINUX", "ARCH-1"] {
        let (fine, said) = image(label, "p");
        assert!(fine && said.contains("does not comply to ISO 9660"), "{label}: {said}");
    }
    assert!(!image("ARCH_202611", "p").1.contains("does not comply"));
}

/// The way in which mkarchiso reads `passwd`, in our own words.
fn homes(passwd: &str) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("passwd");
    fs::write(&file, passwd).unwrap();
    let script = "set -e -u; declare -a f; while IFS=: read -r -a f; do (( f[2] >= 1000 )) || continue; echo \"home \
        ${f[5]}\"; done < \"$1\"; echo end";
    run("bash", &["-c", script, "bash", file.to_str().unwrap()])
}

#[test]
fn bash_ends_at_a_broken_line_and_does_not_see_a_last_line_without_its_end() {
    let root = "root:x:0:0::/root:/bin/sh\n";
    assert_eq!(homes(&format!("{root}\n# x\nme:x:1000:1000::/home/me:/bin/sh\n")).1, "home /home/me\nend\n");
    let (fine, said) = homes(&format!("{root}me:x:1000:1000\n"));
    assert!(!fine && said.contains("unbound variable"), "{said}");
    let (fine, said) = homes(&format!("{root}me:x:many:1000::/home/me:/bin/sh\n"));
    assert!(!fine && said.contains("unbound variable"), "{said}");
    assert_eq!(homes(&format!("{root}me:x:1000:1000::/home/me:/bin/sh")).1, "end\n");
}

#[test]
fn realpath_says_nothing_about_a_path_whose_folder_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let below = |path: &str| run("realpath", &["-q", "--", dir.path().join(path).to_str().unwrap()]);
    assert!(below("file").0, "the last part may be missing");
    assert_eq!(below("folder/file"), (false, String::new()));
}

//! What is in an image: the whole repository, byte for byte, and nothing that should have stayed out.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};

use cartridge_treehash::hash_tree;
use isoprep::{Cancel, Progress};

use crate::bench::{Bench, INIT, from_esp, from_iso, unpack};

fn mode(path: impl AsRef<std::path::Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_secret_is_told_of_before_it_is_on_the_image() {
    let bench = Bench::new();
    let token = "A7bK9dQ2xW5mZ8pL4tR6v";
    bench.write("config/.env", &format!("NAME=x\nAPI_TOKEN={token}\n"));
    let (_, _, lines) = bench.build_telling();
    let warned = |line: &String| line.starts_with("What looks like a secret") && line.contains("config/.env:2");
    assert!(lines.iter().any(warned), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains(token)), "{lines:?}");
}

#[test]
fn secrets_are_looked_for_again_only_where_something_has_changed() {
    let bench = Bench::new();
    let key = "A7bK9dQ2xW5mZ8pL4tR6vY3cN1sJ0fHgE123";
    // Two kinds in one file, which is named once.
    bench.write(".env", &format!("API_TOKEN={key}\nOTHER=ghp_{key}\n"));
    let warned = |bench: &Bench| {
        let lines = bench.build_telling().2;
        lines.into_iter().find(|line| line.starts_with("What looks like a secret"))
    };
    let first = warned(&bench).unwrap();
    assert_eq!(first.matches(".env").count(), 1, "{first}");
    // What was found is kept, and told again: here with another word, so that it is seen.
    let index = fs::read_dir(bench.request.cache.join("index")).unwrap().flatten();
    let kept = index.map(|it| it.path()).find(|it| it.to_str().unwrap().contains("/secrets-")).unwrap();
    let text = fs::read_to_string(&kept).unwrap();
    assert!(!text.contains(key), "{text}");
    fs::write(&kept, text.replace(".env", "kept.word")).unwrap();
    assert!(warned(&bench).unwrap().contains("kept.word"));
    // Another tree is looked at, and so is what is kept of it in a file that is damaged.
    bench.write("more.env", &format!("API_TOKEN={key}\n"));
    let more = warned(&bench).unwrap();
    assert!(more.contains(" .env:") && more.contains("more.env:1"), "{more}");
    fs::write(&kept, "{").unwrap();
    assert_eq!(warned(&bench).unwrap(), more);
    for name in [".env", "more.env"] {
        fs::remove_file(bench.repo().join(name)).unwrap();
    }
    assert_eq!(warned(&bench), None);
}

#[test]
fn what_changes_between_hashing_and_looking_is_not_kept() {
    let bench = Bench::new();
    let with = "API_TOKEN=A7bK9dQ2xW5mZ8pL4tR6v\n";
    bench.write(".env", with);
    let swapped = AtomicBool::new(false);
    // The repository is hashed before the kernel is, and looked at afterwards.
    let listen = |progress| {
        let of_the_kernel = matches!(progress, Progress::Advanced { total: Some(1_000_000..), .. });
        if of_the_kernel && !swapped.swap(true, Ordering::Relaxed) {
            bench.write(".env", "NAME=x\n");
        }
    };
    // That it has changed may end it.
    let _ = isoprep::build(&bench.request, &Cancel::new(), &listen);
    assert!(swapped.load(Ordering::Relaxed));
    bench.write(".env", with);
    let lines = bench.build_telling().2;
    assert!(lines.iter().any(|line| line.starts_with("What looks like a secret")), "{lines:?}");
}

#[test]
fn a_nasty_repository_arrives_whole() {
    let bench = Bench::new();
    let repo = bench.repo();
    for name in ["a b", "it's \"quoted\"", "line\nbreak", "ünï→✓", "-dash", "*", "a=b\\c", " ", "TRAILER!!!", ".hidden"]
    {
        bench.write(&format!("names/{name}"), name);
    }
    let raw = OsStr::from_bytes(b"names/\xff\xfe not utf-8");
    fs::write(repo.join(raw), "raw").unwrap();
    let long = "d".repeat(200);
    bench.write(&format!("{long}/{long}/{long}/{long}/file"), "deep");
    bench.write("empty file", "");
    mode(bench.write("secret", "s"), 0o600);
    mode(bench.write("tool", "#!/bin/sh\n"), 0o755);
    mode(bench.write("setuid", "x"), 0o4755);
    fs::create_dir_all(repo.join("empty/inner")).unwrap();
    mode(repo.join("empty"), 0o1777);
    symlink("nowhere/at all", repo.join("dangling")).unwrap();
    symlink("/etc/passwd", repo.join("absolute")).unwrap();
    symlink(OsStr::from_bytes(b"\xff"), repo.join("raw link")).unwrap();
    symlink("names", repo.join("folder link")).unwrap();
    fs::hard_link(repo.join("README"), repo.join("hard link")).unwrap();
    fs::write(repo.join("four"), vec![7; 300_001]).unwrap();
    let _socket = UnixListener::bind(repo.join("socket")).unwrap();

    let (image, _, lines) = bench.build_telling();
    assert!(lines.iter().any(|line| line.contains("socket")), "{lines:?}");
    let out = bench.dir.path().join("out");
    unpack(&image.initrds[1], &out);
    fs::remove_file(repo.join("socket")).unwrap();
    let (expected, found) = (hash_tree(&repo).unwrap(), hash_tree(&out.join("root/demo")).unwrap());
    assert_eq!(found, expected);
    assert_eq!(image.tree_hash, expected.hash.to_string());
    assert_eq!(image.files, expected.files);
    let bits = |path: &str| fs::metadata(out.join(path)).unwrap().mode() & 0o7777;
    assert_eq!(bits("root"), 0o700);
    assert_eq!(bits("root/demo"), 0o755);
    assert_eq!(bits("root/demo/setuid"), 0o4755);

    // All four ways to boot get these very bytes.
    let copy = bench.dir.path().join("copy");
    from_iso(&image.iso, "/boot/inject.img", &copy);
    let archive = fs::read(&image.initrds[1]).unwrap();
    assert!(fs::read(&copy).unwrap() == archive);
    assert!(from_esp(&image.iso, "cartridge/inject.img") == archive);
    assert!(from_esp(&image.iso, "cartridge/base.img") == fs::read(&image.initrds[0]).unwrap());
    assert!(from_esp(&image.iso, "cartridge/vmlinuz") == fs::read(&image.kernel).unwrap());
    let entry = String::from_utf8(from_esp(&image.iso, "loader/entries/cartridge.conf")).unwrap();
    assert!(entry.contains(&image.cmdline), "{entry}");
}

#[test]
fn what_git_ignores_and_the_recipe_excludes_stays_out() {
    let mut bench = Bench::new();
    bench.request.recipe.source.exclude = vec!["*.iso".into(), "/build/".into(), "!keep.iso".into()];
    for name in
        ["a.iso", "keep.iso", "build/x", "deep/build/y", "target/z", "deep/debug.log", "deep/keep.log", "private"]
    {
        bench.write(name, name);
    }
    bench.write(".gitignore", "target/\n*.log\n");
    bench.write("deep/.gitignore", "!keep.log\n");
    bench.write(".ignore", "README\n");
    bench.write(".git/info/exclude", "private\n");
    bench.write(".git/config", "x");
    bench.write("sub/.git", "gitdir: elsewhere\n");
    // The places that we write to lie inside the repository, as they may.
    bench.request.images = bench.repo().join("out");
    bench.request.cache = bench.repo().join("kept");
    let image = bench.build().unwrap();
    let out = bench.dir.path().join("unpacked");
    unpack(&image.initrds[1], &out);
    let mut found = Vec::new();
    list(&out.join("root/demo"), "", &mut found);
    found.sort();
    let expected = [
        ".gitignore",
        ".ignore",
        "README",
        "deep",
        "deep/.gitignore",
        "deep/build",
        "deep/build/y",
        "deep/keep.log",
        "keep.iso",
        "src",
        "src/main.c",
        "sub",
    ];
    assert_eq!(found, expected);
}

fn list(dir: &std::path::Path, prefix: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            list(&entry.path(), &format!("{name}/"), found);
        }
        found.push(name);
    }
}

#[test]
fn a_folder_that_is_no_checkout_obeys_its_own_ignore_files_and_nobody_elses() {
    let bench = Bench::new();
    fs::write(bench.dir.path().join(".gitignore"), "README\n").unwrap();
    bench.write(".gitignore", "*.o\n");
    bench.write("x.o", "x");
    let image = bench.build().unwrap();
    assert_eq!(image.files, 3);
}

#[test]
fn further_files_environment_and_settings_come_along() {
    let mut bench = Bench::new();
    let tool = bench.dir.path().join("outside.sh");
    fs::write(&tool, "tool").unwrap();
    mode(&tool, 0o750);
    let image = &mut bench.request.recipe.image;
    image.files = [("/usr/local/bin/tool".into(), tool.clone()), ("/root/demo/new/tool".into(), tool.clone())].into();
    image.env = [("WORD".to_owned(), "it's $HOME".to_owned())].into();
    image.cmdline = "quiet".into();
    let image = bench.build().unwrap();
    assert!(image.cmdline.ends_with(" quiet"), "{}", image.cmdline);
    let out = bench.dir.path().join("out");
    unpack(&image.initrds[1], &out);
    assert_eq!(fs::read(out.join("usr/local/bin/tool")).unwrap(), b"tool");
    assert_eq!(fs::metadata(out.join("usr/local/bin/tool")).unwrap().mode() & 0o7777, 0o750);
    // What lands inside the repository's place counts for its hash.
    assert_eq!(hash_tree(&out.join("root/demo")).unwrap().hash.to_string(), image.tree_hash);
    let guest: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join("etc/cartridge/guest.json")).unwrap()).unwrap();
    assert_eq!(guest, serde_json::json!({"name": "demo", "into": "/root/demo", "env": {"WORD": "it's $HOME"}}));
    let profile = fs::read_to_string(out.join("etc/profile.d/cartridge.sh")).unwrap();
    assert_eq!(profile, "export WORD='it'\\''s $HOME'\n");
}

#[test]
fn the_base_has_init_busybox_and_modules_in_load_order() {
    let bench = Bench::new();
    let image = bench.build().unwrap();
    let (copy, out) = (bench.dir.path().join("base"), bench.dir.path().join("out"));
    // Device nodes cannot be made by everyone: leave them out, and look for them in the list.
    let script =
        r#"cpio -itv --quiet <"$1" && mkdir "$2" && cd "$2" && cpio -idm --quiet --no-preserve-owner -f 'dev/*' <"$1""#;
    std::os::unix::fs::symlink(&image.initrds[0], &copy).unwrap();
    let line = cartridge_supervise::CommandLine::new("sh").args(["-c", script, "sh"]).arg(&copy).arg(&out);
    let output = cartridge_supervise::run(&line, &isoprep::Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
    let listing = String::from_utf8(output.stdout).unwrap();
    assert!(listing.lines().any(|line| line.starts_with("crw-------") && line.ends_with("dev/console")), "{listing}");
    assert_eq!(fs::read(out.join("init")).unwrap(), INIT);
    assert_eq!(fs::read_link(out.join("bin/sh")).unwrap().to_str(), Some("/bin/busybox"));
    let modules = out.join("lib/modules").join(&image.kernel_version);
    let dep = fs::read_to_string(modules.join("modules.dep")).unwrap();
    let list = fs::read_to_string(out.join("etc/cartridge/modules.load")).unwrap();
    let order: Vec<&str> = list.lines().collect();
    assert!(order.iter().any(|path| path.ends_with("pvpanic-pci.ko")), "{list}");
    for (place, path) in order.iter().enumerate() {
        let file = fs::read(modules.join(path)).unwrap();
        assert_eq!(&file[..4], b"\x7fELF", "{path} is not unpacked");
        let needs = dep.lines().find_map(|line| line.strip_prefix(&format!("{path}:"))).unwrap();
        assert!(needs.split_whitespace().all(|need| order[..place].contains(&need)), "{path} before {needs}");
    }
}

#[test]
fn a_kernel_without_modules_still_makes_an_image_and_says_so() {
    let mut bench = Bench::new();
    bench.parts_mut().kernel.modules = None;
    let (_, _, lines) = bench.build_telling();
    assert!(lines.iter().any(|line| line.contains("without modules")), "{lines:?}");
}

#[test]
fn what_git_tracks_comes_along_although_it_is_ignored() {
    let mut bench = Bench::new();
    bench.request.recipe.source.exclude = vec!["no/".into()];
    for name in ["dist/kept.js", "dist/left.js", "no/kept", "gone"] {
        bench.write(name, name);
    }
    bench.write(".gitignore", "dist/\nno/\n");
    for arguments in [&["init", "-q"][..], &["add", "-f", ".gitignore", "dist/kept.js", "no/kept", "gone", "README"]] {
        let line = cartridge_supervise::CommandLine::new("git").arg("-C").arg(bench.repo()).args(arguments);
        cartridge_supervise::run(&line, &isoprep::Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
    }
    fs::remove_file(bench.repo().join("gone")).unwrap();
    let image = bench.build().unwrap();
    let out = bench.dir.path().join("unpacked");
    unpack(&image.initrds[1], &out);
    let mut found = Vec::new();
    list(&out.join("root/demo"), "", &mut found);
    found.sort();
    assert_eq!(found, [".gitignore", "README", "dist", "dist/kept.js", "src", "src/main.c"]);
}

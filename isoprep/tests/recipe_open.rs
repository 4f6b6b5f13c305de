//! Inserting folders and files, proposals, and what the check says about the disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod eject_support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use eject_support::as_user;
use isoprep::discover::Discovered;
use isoprep::recipe::{
    AcceleratorWish, Base, BuildKind, DiskWish, EngineKind, FIELDS, FieldKind, Firmware, Forward, Gpu, GuestDisk,
    InstalledProfile, Medium, Network, OpenError, Recipe, SecureBootKeys, UsbDevice, check, check_guest, check_places,
    get_field, locate, open, parse, propose, source_walker,
};

fn folder() -> (tempfile::TempDir, PathBuf) {
    let top = tempfile::tempdir().unwrap();
    let root = top.path().canonicalize().unwrap().join("My Project");
    fs::create_dir(&root).unwrap();
    (top, root)
}

/// What is proposed for a folder in which nothing was found.
fn proposal(name: &str, has_git: bool) -> String {
    propose(name, &Discovered { has_git, ..Discovered::default() }).text
}

/// Makes files; a path that ends in `/` is a folder.
fn make(root: &Path, paths: &[&str]) {
    for path in paths {
        let full = root.join(path);
        if path.ends_with('/') {
            fs::create_dir_all(full).unwrap();
        } else {
            fs::create_dir_all(full.parent().unwrap()).unwrap();
            fs::write(full, "x").unwrap();
        }
    }
}

fn said(recipe: &Recipe) -> Vec<String> {
    check(recipe).iter().map(|f| f.to_string().replace(&recipe.root.display().to_string(), "ROOT")).collect()
}

#[test]
fn an_empty_text_is_a_working_cartridge() {
    let (_top, root) = folder();
    make(&root, &["main.rs"]);
    let recipe = parse("", &root).unwrap();
    assert_eq!((recipe.name.as_str(), recipe.root.as_path()), ("My-Project", root.as_path()));
    assert_eq!(recipe.source.path, root);
    assert_eq!(recipe.source.into, Path::new("/root/My-Project"));
    assert!(recipe.source.exclude.is_empty());
    assert_eq!(recipe.image.engine, EngineKind::Micro);
    assert_eq!((recipe.image.base, recipe.image.build), (Base::Host, BuildKind::Dev));
    assert!(recipe.image.overlays.is_empty() && recipe.image.remove.is_empty() && recipe.image.packages.is_empty());
    assert_eq!((recipe.image.pacman_conf, recipe.image.mirror), (None, None));
    assert_eq!((recipe.image.kernel, recipe.image.cmdline.as_str()), (None, ""));
    assert!(recipe.image.files.is_empty() && recipe.image.env.is_empty());
    let guest = recipe.guest;
    assert_eq!((guest.cpus, guest.memory_mib, guest.disk_bytes), (4, 4096, None));
    assert_eq!((guest.firmware, guest.gpu, guest.medium), (Firmware::Bios, Gpu::Std, Medium::Cd));
    assert_eq!((guest.accelerator, guest.forward), (AcceleratorWish::Auto, Vec::new()));
    assert_eq!((guest.network, guest.keys, guest.tpm), (Network::User, SecureBootKeys::Test, false));
    assert!(!guest.clipboard && !guest.audio);
    assert!(guest.disks.is_empty() && guest.usb.is_empty() && guest.qemu_args.is_empty());
    assert_eq!(guest.extra_iso, None);
}

#[test]
fn everything_that_can_be_said_is_understood() {
    let text = r##"
        name = "homerchy"
        [source]
        path = "src"
        into = "/root/homerchy/"
        exclude = ["isoprep/work", "*.iso", "!keep.iso"]
        [image]
        engine = "micro"
        kernel = "../kernels/vmlinuz"
        cmdline = " loglevel=7 "
        files = { "/root/vm-env.sh" = "vmtools/vm-env.sh" }
        env = { OMARCHY_VM_TEST = "1" }
        [guest]
        cpus = 2
        memory = "512M"
        firmware = "uefi-secure"
        keys = "vendor"
        gpu = "virtio-gl"
        medium = "usb"
        disk = "40G"
        disks = { data = "1G", system = "2G keep", old = "../old.qcow2", shared = "my disk.img write" }
        accelerator = "tcg"
        network = "user"
        forward = { ssh = "auto", web = 8080, db = "15432:5432" }
        tpm = true
        clipboard = true
        audio = true
        extra_iso = "drivers.iso"
        usb = ["1d6b:0002"]
        qemu_args = ["-device", "edu"]
    "##;
    let recipe = parse(text, Path::new("/home/me/p")).unwrap();
    assert_eq!(recipe.source.path, Path::new("/home/me/p/src"));
    assert_eq!(recipe.source.into, Path::new("/root/homerchy"));
    assert_eq!(recipe.image.kernel.as_deref(), Some(Path::new("/home/me/kernels/vmlinuz")));
    assert_eq!(recipe.image.cmdline, "loglevel=7");
    assert_eq!(recipe.image.files[Path::new("/root/vm-env.sh")], Path::new("/home/me/p/vmtools/vm-env.sh"));
    assert_eq!(recipe.image.env["OMARCHY_VM_TEST"], "1");
    assert_eq!((recipe.guest.cpus, recipe.guest.memory_mib, recipe.guest.disk_bytes), (2, 512, Some(40 << 30)));
    assert_eq!(
        (recipe.guest.firmware, recipe.guest.gpu, recipe.guest.medium),
        (Firmware::UefiSecure, Gpu::VirtioGl, Medium::Usb)
    );
    let forward = |name: &str, guest_port, host_port| Forward { name: name.into(), guest_port, host_port };
    let forwards = [forward("ssh", 22, None), forward("web", 8080, None), forward("db", 5432, Some(15432))];
    assert_eq!(recipe.guest.forward, forwards);
    let disk = |name: &str, wish| GuestDisk { name: name.into(), wish };
    let disks = [
        disk("data", DiskWish::Empty { bytes: 1 << 30, keep: false }),
        disk("system", DiskWish::Empty { bytes: 2 << 30, keep: true }),
        disk("old", DiskWish::Image { path: "/home/me/old.qcow2".into(), write: false }),
        disk("shared", DiskWish::Image { path: "/home/me/p/my disk.img".into(), write: true }),
    ];
    assert_eq!(recipe.guest.disks, disks);
    assert_eq!((recipe.guest.keys, recipe.guest.tpm), (SecureBootKeys::Vendor, true));
    assert!(recipe.guest.clipboard && recipe.guest.audio);
    assert_eq!(recipe.guest.extra_iso.as_deref(), Some(Path::new("/home/me/p/drivers.iso")));
    assert_eq!(recipe.guest.usb, [UsbDevice { vendor: 0x1d6b, product: 2 }]);
    assert_eq!(recipe.guest.qemu_args, ["-device", "edu"]);
}

#[test]
fn everything_about_a_profile_is_understood() {
    let text = r#"
        [source]
        into = "/usr/share/homerchy"
        [image]
        engine = "archiso"
        base = "iso-builder/archiso/configs/releng"
        overlays = ["iso-builder/configs", "./more/"]
        remove = ["airootfs/etc/motd", "airootfs/root/"]
        pacman_conf = "iso-builder/configs/pacman-online.conf"
        packages = ["git", "extra/gum"]
        mirror = "https://geo.mirror.pkgbuild.com/$repo/os/$arch"
        build = "release"
    "#;
    let image = parse(text, Path::new("/p")).unwrap().image;
    assert_eq!((image.engine, image.build), (EngineKind::Archiso, BuildKind::Release));
    assert_eq!(image.base, Base::Folder("/p/iso-builder/archiso/configs/releng".into()));
    assert_eq!(image.overlays, [Path::new("/p/iso-builder/configs"), Path::new("/p/more")]);
    assert_eq!(image.remove, [Path::new("airootfs/etc/motd"), Path::new("airootfs/root")]);
    assert_eq!(image.pacman_conf.as_deref(), Some(Path::new("/p/iso-builder/configs/pacman-online.conf")));
    assert_eq!(image.packages, ["git", "extra/gum"]);
    assert_eq!(image.mirror.as_deref(), Some("https://geo.mirror.pkgbuild.com/$repo/os/$arch"));
    // Each engine's own default.
    let base = |text: &str| parse(&format!("[image]\n{text}"), Path::new("/p")).unwrap().image.base;
    assert_eq!(base("engine = \"archiso\""), Base::Minimal);
    assert_eq!(base("engine = \"mkarchiso\"\nbase = \"baseline\""), Base::Installed(InstalledProfile::Baseline));
    assert_eq!(base("engine = \"debian\""), Base::Host);
    assert_eq!(base("engine = \"tree\"\nbase = \"../root.tar.zst\""), Base::Tarball("/root.tar.zst".into()));
}

#[test]
fn what_the_image_is_made_from_is_looked_at() {
    let (top, root) = folder();
    make(&root, &["main.rs", "profile/profiledef.sh", "overlay/airootfs/x", "empty/", "conf"]);
    symlink(top.path(), root.join("out")).unwrap();
    let said = |text: &str| said(&parse(&format!("[image]\n{text}"), &root).unwrap());
    let nothing = [] as [&str; 0];
    assert_eq!(said("engine = \"archiso\""), nothing);
    assert_eq!(
        said("engine = \"archiso\"\nbase = \"profile\"\noverlays = [\"overlay\"]\npacman_conf = \"conf\""),
        nothing
    );
    assert_eq!(
        said("engine = \"archiso\"\nbase = \"overlay\""),
        ["cartridge.toml: image.base: ROOT/overlay has no profiledef.sh: it is not a whole profile; name it in \
             image.overlays, and a profile here, like \"releng\" or \"minimal\""]
    );
    assert_eq!(
        said("engine = \"archiso\"\nbase = \"relang\""),
        [
            "cartridge.toml: image.base: ROOT/relang does not exist; make the folder or correct the path; or did you mean \
             \"releng\"?"
        ]
    );
    let empty = "is empty; put something into it, or name another folder; if it is a submodule of git: git submodule update \
                 --init";
    assert_eq!(
        said("engine = \"mkarchiso\"\nbase = \"empty\""),
        [format!("cartridge.toml: image.base: ROOT/empty {empty}")]
    );
    assert_eq!(
        said(
            "engine = \"mkarchiso\"\noverlays = [\"overlay\", \"empty\", \"no\", \"conf\", \"out\"]\npacman_conf = \"no.conf\""
        ),
        [
            format!("cartridge.toml: image.overlays: ROOT/empty {empty}"),
            "cartridge.toml: image.overlays: ROOT/no does not exist; make the folder or correct the path".to_owned(),
            "cartridge.toml: image.overlays: ROOT/conf is not a folder; name the folder that holds it".to_owned(),
            format!(
                "cartridge.toml: image.overlays: ROOT/out is a link to {}, outside the cartridge's folder; name a folder \
                 inside it, or move cartridge.toml up",
                top.path().canonicalize().unwrap().display()
            ),
            "cartridge.toml: image.pacman_conf: ROOT/no.conf does not exist; make the file or correct the path"
                .to_owned(),
        ]
    );
    assert_eq!(
        said("engine = \"tree\"\nbase = \"conf\""),
        ["cartridge.toml: image.base: ROOT/conf is a file that is not called like a tarball; name a folder, or a \
             tarball: .tar, .tar.gz, .tar.xz, .tar.zst …"]
    );
    assert_eq!(said("engine = \"tree\"\nbase = \"overlay\""), nothing);
    assert_eq!(
        said("engine = \"tree\"\nbase = \"../no.tar\"")[0].split("no.tar").last().unwrap(),
        " does not exist; make the file or correct the path"
    );
    let installed = Path::new("/usr/share/archiso/configs/releng/profiledef.sh").exists();
    assert_eq!(said("engine = \"archiso\"\nbase = \"releng\"").is_empty(), installed);
}

#[test]
fn a_proposal_is_complete_and_means_the_same_as_nothing() {
    for has_git in [true, false] {
        let text = proposal("My Project", has_git);
        let root = Path::new("/home/me/My Project");
        assert_eq!(parse(&text, root).unwrap(), parse("", root).unwrap());
        // With every example uncommented it still parses, and sets every field there is.
        let setting = |line: &str| {
            line.strip_prefix("# ").is_some_and(|line| {
                line.split_once(" = ")
                    .is_some_and(|(key, _)| FIELDS.iter().any(|f| f.key.rsplit('.').next() == Some(key)))
            })
        };
        let all: String =
            text.lines().map(|line| format!("{}\n", if setting(line) { &line[2..] } else { line })).collect();
        parse(&all, root).unwrap();
        for field in FIELDS.iter().filter(|field| field.engines.contains(&EngineKind::Micro)) {
            assert!(get_field(&all, field.key).is_some(), "{} is missing:\n{all}", field.key);
            assert!(text.contains(field.doc) && text.contains(field.range), "{} is not explained", field.key);
            if !field.default.is_empty() && !matches!(field.kind, FieldKind::List | FieldKind::Map) {
                let default = field.default.replace("<name>", "My-Project");
                assert_eq!(get_field(&all, field.key), Some(default), "{}", field.key);
            }
        }
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    }
}

#[test]
fn folders_and_cartridges_are_opened_and_all_else_is_refused_with_advice() {
    let (top, root) = folder();
    make(&root, &["README.md"]);
    let proposed = open(&root).unwrap();
    assert_eq!((proposed.file.as_path(), proposed.exists), (root.join("cartridge.toml").as_path(), false));
    assert!(proposed.text.contains("name = \"My-Project\""));
    assert_eq!(open(&root.join("cartridge.toml")).unwrap(), proposed, "a file that is not there yet is proposed too");
    assert!(!root.join("cartridge.toml").exists(), "opening wrote something");
    let error = open(&root.join("README.md")).unwrap_err().to_string();
    assert_eq!(
        error.replace(&root.display().to_string(), "ROOT"),
        "ROOT/README.md is a file, not a cartridge; insert its folder ROOT instead"
    );
    fs::write(root.join("cartridge.toml"), "name = \"x\"\n").unwrap();
    for path in [root.clone(), root.join("cartridge.toml"), root.join("./../My Project")] {
        let opened = open(&path).unwrap();
        assert_eq!(
            (opened.file, opened.text.as_str(), opened.exists),
            (root.join("cartridge.toml"), "name = \"x\"\n", true)
        );
    }
    // Links are resolved: the folder is where it really is.
    let link = top.path().join("link");
    symlink(&root, &link).unwrap();
    assert_eq!(open(&link).unwrap().file, root.join("cartridge.toml"));
    assert_eq!(open(&link.join("cartridge.toml")).unwrap().file, root.join("cartridge.toml"));
    assert!(matches!(open(Path::new("/")), Err(OpenError::TooWide { .. })));
    assert!(matches!(open(&root.join("nothing")), Err(OpenError::Missing { .. })));
    assert!(matches!(open(&root.join("no/cartridge.toml")), Err(OpenError::Missing { .. })));
    assert!(matches!(open(Path::new("/dev/null")), Err(OpenError::NotACartridge { .. })));
}

#[test]
fn files_that_are_no_text_are_findings() {
    let (_top, root) = folder();
    let file = root.join("cartridge.toml");
    fs::write(&file, b"name = \"x\"\n[guest]\n# \xc3\xa9 \xff\n").unwrap();
    let error = open(&root).unwrap_err();
    let OpenError::NotText(error) = error else { panic!("{error}") };
    assert_eq!(
        error.findings[0].to_string(),
        "cartridge.toml:3:5: the byte 0xff is not UTF-8 text; save the file as UTF-8"
    );
    fs::write(&file, "#".repeat(2 << 20)).unwrap();
    assert!(matches!(open(&root), Err(OpenError::TooLarge { bytes: 2_097_152, .. })));
    fs::remove_file(&file).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert!(matches!(open(&root), Err(OpenError::NotACartridge { .. })), "a FIFO would hold us for ever");
    fs::remove_file(&file).unwrap();
    symlink("nowhere", &file).unwrap();
    assert!(matches!(open(&root), Err(OpenError::Unreadable { .. })));
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(open(&root).is_err());
}

#[test]
fn the_disk_is_checked() {
    let (top, root) = folder();
    let recipe = |text: &str| parse(text, &root).unwrap();
    assert_eq!(
        said(&recipe("")),
        ["cartridge.toml: source.path: ROOT is empty; put something into it, or name another folder"]
    );
    make(&root, &["a/file", "target/x", "kernel"]);
    assert_eq!(said(&recipe("")), [] as [&str; 0]);
    assert_eq!(
        said(&recipe("source.path = \"nope\"")),
        ["cartridge.toml: source.path: ROOT/nope does not exist; make the folder or correct the path"]
    );
    assert_eq!(
        said(&recipe("source.path = \"kernel\"")),
        ["cartridge.toml: source.path: ROOT/kernel is not a folder; name the folder that holds it"]
    );
    assert_eq!(
        said(&recipe("source = { path = \"target\", exclude = [\"*\"] }")),
        [
            "cartridge.toml: source.path: ROOT/target holds nothing but what is left out; see .gitignore and source.exclude"
        ]
    );
    symlink(top.path(), root.join("out")).unwrap();
    fs::write(top.path().join("secret"), "x").unwrap();
    let outside = said(&recipe(
        "source.path = \"out\"\nimage.files = { \"/x\" = \"out/secret\", \"/y\" = \"a\", \"/z\" = \"b\" }",
    ));
    assert_eq!(outside.len(), 4, "{outside:?}");
    assert!(outside[0].starts_with("cartridge.toml: source.path: ROOT/out is a link to "), "{outside:?}");
    assert!(outside[1].starts_with("cartridge.toml: image.files.\"/x\": ROOT/out/secret is a link to "), "{outside:?}");
    assert_eq!(outside[2], "cartridge.toml: image.files.\"/y\": ROOT/a is not a file; name a single file");
    assert_eq!(
        outside[3],
        "cartridge.toml: image.files.\"/z\": ROOT/b does not exist; make the file or correct the path"
    );
    let text = "# first\n[image]\nkernel = \"vmlinuz\"\n";
    let found = locate(text, check(&recipe(text)));
    assert_eq!((found.len(), found[0].line, found[0].column), (1, Some(3), Some(10)));
}

#[test]
fn only_the_top_of_the_source_is_looked_at() {
    as_user("only_the_top_of_the_source_is_looked_at", || {
        let (_top, root) = folder();
        // A walk would have to say that it cannot go in; the build will.
        make(&root, &["closed/inside", "good"]);
        fs::set_permissions(root.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
        assert_eq!(said(&parse("", &root).unwrap()), [] as [&str; 0]);
        fs::remove_file(root.join("good")).unwrap();
        assert_eq!(said(&parse("", &root).unwrap()), [] as [&str; 0]);
        fs::set_permissions(root.join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o000)).unwrap();
        assert_eq!(
            said(&parse("", &root).unwrap()),
            ["cartridge.toml: source.path: ROOT cannot be read; change its permissions (it needs r and x)"]
        );
        fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
    });
}

#[test]
fn our_places_and_the_source_must_be_apart() {
    let (_top, root) = folder();
    make(&root, &["src/main.rs", "out/"]);
    let recipe = parse("source.exclude = [\"/out\"]", &root).unwrap();
    let inside = check_places(&recipe, &[("work", &root.join("src/work")), ("image", &root.join("out/iso"))]);
    assert_eq!(inside.len(), 1, "{inside:?}");
    assert!(inside[0].to_string().contains("the work folder"));
    assert!(inside[0].advice.contains("\"/src/work\""), "{inside:?}");
    let around = check_places(&recipe, &[("cache", root.parent().unwrap()), ("work", &root)]);
    assert_eq!(around.len(), 2, "{around:?}");
    assert!(around.iter().all(|finding| finding.key == "source.path"));
    assert!(
        check_places(&recipe, &[("cache", Path::new("/var/tmp/elsewhere")), ("work", &root.with_extension("x"))])
            .is_empty()
    );
}

#[test]
fn what_git_ignores_and_what_is_excluded_is_not_walked() {
    let (top, root) = folder();
    fs::write(top.path().join(".gitignore"), "*\n").unwrap();
    make(&root, &[".git/config", ".hidden", "sub/a.o", "sub/b.c", "sub/deep/keep.o", "target/x", "logs/l", ".ignore"]);
    fs::write(root.join(".gitignore"), "*.o\n!keep.o\n").unwrap();
    fs::write(root.join(".ignore"), "b.c\n").unwrap();
    symlink("sub", root.join("link")).unwrap();
    let walk = |text: &str| {
        let recipe = parse(text, &root).unwrap();
        let mut paths: Vec<_> = source_walker(&recipe, &[])
            .build()
            .map(|entry| entry.unwrap().path().strip_prefix(&recipe.source.path).unwrap().display().to_string())
            .filter(|path| !path.is_empty())
            .collect();
        paths.sort();
        paths
    };
    assert_eq!(
        walk("source.exclude = [\"/target\", \"logs/\"]"),
        [".gitignore", ".hidden", ".ignore", "link", "sub", "sub/b.c", "sub/deep", "sub/deep/keep.o"]
    );
    // The .gitignore of the checkout's top holds for a source below it; what is above the checkout does not.
    assert_eq!(walk("source.path = \"sub\""), ["b.c", "deep", "deep/keep.o"]);
    // A checkout of its own has its own rules, as for git.
    make(&root, &["sub/.git"]);
    assert_eq!(walk("source.path = \"sub\""), ["a.o", "b.c", "deep", "deep/keep.o"]);
}

#[test]
fn the_guests_own_files_are_looked_at() {
    let (_top, root) = folder();
    fs::write(root.join("a.qcow2"), "x").unwrap();
    fs::create_dir(root.join("folder")).unwrap();
    let said = |guest: &str| -> Vec<String> {
        let recipe = parse(&format!("[guest]\n{guest}"), &root).unwrap();
        check_guest(&recipe).iter().map(ToString::to_string).collect()
    };
    assert!(said("disks = { a = \"a.qcow2\", b = \"a.qcow2\", c = \"1G keep\" }\nextra_iso = \"a.qcow2\"").is_empty());
    let bad = said("disks = { a = \"absent.img\", b = \"folder write\" }\nextra_iso = \"none.iso\"");
    assert_eq!(bad.len(), 3, "{bad:?}");
    assert!(bad[0].contains("guest.disks.a: ") && bad[0].contains("absent.img does not exist"), "{bad:?}");
    assert!(bad[1].contains("guest.disks.b: ") && bad[1].contains("is not a file"), "{bad:?}");
    assert!(bad[2].contains("guest.extra_iso: ") && bad[2].contains("none.iso does not exist"), "{bad:?}");
    fs::set_permissions(root.join("a.qcow2"), fs::Permissions::from_mode(0o444)).unwrap();
    let recipe = parse("[guest]\ndisks = { a = \"a.qcow2 write\" }", &root).unwrap();
    if !rustix::process::geteuid().is_root() {
        assert!(check_guest(&recipe)[0].message.ends_with("cannot be written"));
    }
}

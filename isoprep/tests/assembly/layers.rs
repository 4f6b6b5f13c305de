//! What comes from where: overlays, removals, package lists, single files, and the tree that shows it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use isoprep::assembly::{Origin, Problem, Warning, nodes, text};

use crate::bench::{Bench, mode, read};

fn origin(assembly: &isoprep::assembly::Assembly, path: &str) -> (Origin, Vec<Origin>) {
    let piece = &assembly.pieces[Path::new(path)];
    (piece.origin, piece.replaced.clone())
}

#[test]
fn overlays_are_merged_file_by_file_in_their_order() {
    let mut bench = Bench::new();
    bench.write("base/airootfs/etc/both", "base");
    bench.write("base/airootfs/etc/base", "base");
    let (one, two) = (bench.overlay("one"), bench.overlay("two"));
    for (overlay, text) in [(&one, "one"), (&two, "two")] {
        bench.write(format!("{overlay}/airootfs/etc/both"), text);
        bench.write(format!("{overlay}/airootfs/etc/{text}"), text);
    }
    bench.link(format!("{one}/airootfs/etc/motd"), "../nowhere");
    bench.write(format!("{two}/grub/grub.cfg"), "menu");
    let (assembly, target) = bench.assemble();
    assert_eq!((assembly.problems.clone(), assembly.warnings.clone()), (vec![], vec![]));
    let etc = target.join("airootfs/etc");
    for (file, content) in [("both", "two"), ("base", "base"), ("one", "one"), ("two", "two")] {
        assert_eq!(read(etc.join(file)), content);
    }
    assert_eq!(fs::read_link(etc.join("motd")).unwrap(), Path::new("../nowhere"));
    assert_eq!(read(target.join("grub/grub.cfg")), "menu");
    let both = (Origin::Overlay(1), vec![Origin::Base, Origin::Overlay(0)]);
    assert_eq!(origin(&assembly, "airootfs/etc/both"), both);
    assert_eq!(origin(&assembly, "airootfs/etc"), (Origin::Base, vec![]));
    assert_eq!(origin(&assembly, "airootfs/etc/motd"), (Origin::Overlay(0), vec![Origin::Base]));
}

#[test]
fn modes_times_links_and_any_name_are_kept() {
    let mut bench = Bench::new();
    let over = bench.overlay("over");
    let odd =
        [OsStr::from_bytes(b"a b"), OsStr::from_bytes(b"a\nb"), OsStr::from_bytes(b"\xff\xfe"), OsStr::new("-rf")];
    for name in odd {
        bench.write(Path::new(&over).join("airootfs/opt").join(name), name.as_bytes());
    }
    bench.link(Path::new(&over).join("airootfs/link\n"), OsStr::from_bytes(b"/no where/\xff"));
    for (index, bits) in [0o400, 0o444, 0o600, 0o755, 0o4711, 0o777].into_iter().enumerate() {
        bench.write(format!("{over}/airootfs/modes/{index}"), "x");
        bench.chmod(format!("{over}/airootfs/modes/{index}"), bits);
    }
    bench.write(format!("{over}/airootfs/closed/file"), "x");
    bench.chmod(format!("{over}/airootfs/closed"), 0o555);
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123_456_789);
    for path in ["airootfs/opt/a b", "airootfs/opt"] {
        fs::File::open(bench.at(&over).join(path)).unwrap().set_modified(old).unwrap();
    }
    let (assembly, target) = bench.assemble();
    for name in odd {
        assert_eq!(fs::read(target.join("airootfs/opt").join(name)).unwrap(), name.as_bytes());
    }
    assert_eq!(fs::read_link(target.join("airootfs/link\n")).unwrap().as_os_str().as_bytes(), b"/no where/\xff");
    for (index, bits) in [0o400, 0o444, 0o600, 0o755, 0o4711, 0o777].into_iter().enumerate() {
        assert_eq!(mode(target.join(format!("airootfs/modes/{index}"))), bits);
    }
    assert_eq!(mode(target.join("airootfs/closed")), 0o555);
    for path in ["airootfs/opt/a b", "airootfs/opt"] {
        assert_eq!(fs::metadata(target.join(path)).unwrap().modified().unwrap(), old, "{path}");
    }
    let shown = text(&assembly);
    assert!(shown.contains("a\\nb") && shown.contains("link\\n -> /no where/\u{fffd}"), "{shown}");
    assert_eq!(shown.lines().filter(|line| line.ends_with('b') && line.starts_with("      ")).count(), 0);
    // So that the temporary folder can be removed by anybody.
    bench.chmod(format!("{over}/airootfs/closed"), 0o755);
    bench.chmod(target.join("airootfs/closed"), 0o755);
}

#[test]
fn remove_takes_files_folders_and_links_of_the_base_and_an_overlay_can_put_its_own_there() {
    let mut bench = Bench::new();
    let wants = "airootfs/etc/systemd/system/multi-user.target.wants";
    bench.link(format!("base/{wants}/reflector.service"), "/usr/lib/systemd/system/reflector.service");
    bench.write("base/airootfs/etc/xdg/reflector/reflector.conf", "x");
    bench.write("base/airootfs/etc/xdg/reflector.conf", "not in the folder");
    bench.write("base/airootfs/srv/real/file", "x");
    bench.link("base/airootfs/srv/alias", "real");
    bench.write("base/airootfs/etc/odd", "a file");
    let over = bench.overlay("over");
    bench.write(format!("{over}/airootfs/etc/motd"), "ours");
    bench.write(format!("{over}/airootfs/etc/odd/is-a-folder"), "now");
    bench.ingredients.remove = [
        &format!("{wants}/reflector.service"),
        "./airootfs/etc/xdg/reflector/",
        "airootfs/etc/xdg/reflector/reflector.conf",
        "airootfs/srv/alias",
        "airootfs/etc/motd",
        "airootfs/etc/odd",
    ]
    .map(PathBuf::from)
    .into();
    let (assembly, target) = bench.assemble();
    assert_eq!((assembly.problems.clone(), assembly.warnings.clone()), (vec![], vec![]));
    assert!(!target.join(wants).join("reflector.service").is_symlink() && target.join(wants).is_dir());
    assert!(
        !target.join("airootfs/etc/xdg/reflector").exists() && target.join("airootfs/etc/xdg/reflector.conf").exists()
    );
    assert!(!target.join("airootfs/srv/alias").is_symlink() && target.join("airootfs/srv/real/file").exists());
    assert_eq!(read(target.join("airootfs/etc/motd")), "ours");
    assert_eq!(origin(&assembly, "airootfs/etc/motd"), (Origin::Overlay(0), vec![Origin::Base]));
    assert_eq!(read(target.join("airootfs/etc/odd/is-a-folder")), "now");
    let removed: Vec<_> = assembly.removed.keys().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(removed.len(), 6, "{removed:?}");
    // What is removed is removed from the copy.
    assert!(bench.at("base/airootfs/etc/motd").exists());
}

#[test]
fn a_removal_of_nothing_is_a_warning_with_what_was_probably_meant() {
    let mut bench = Bench::new();
    bench.link("base/airootfs/srv/link", "../etc");
    let over = bench.overlay("over");
    bench.write(format!("{over}/airootfs/etc/extra"), "x");
    let wishes = ["etc/motd", "airootfs/etc/modt", "airootfs/etc/extra", "zzz", "airootfs/srv/link/motd"];
    bench.ingredients.remove = wishes.map(PathBuf::from).into();
    let warnings = bench.prepare().warnings;
    let found: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "image.remove: the base has no etc/motd; did you mean airootfs/etc/motd?",
            "image.remove: the base has no airootfs/etc/modt; did you mean airootfs/etc/motd?",
            "image.remove: the base has no airootfs/etc/extra. overlay 1 has it, and is laid over the base afterwards: \
             take it out of that folder",
            "image.remove: the base has no zzz",
            "image.remove: the base has no airootfs/srv/link/motd; did you mean airootfs/etc/motd?",
        ]
    );
    // No link is followed to remove something.
    assert!(bench.assemble().1.join("airootfs/etc/motd").exists());
    for wish in ["/airootfs", "..", "airootfs/../pacman.conf", ".", ""] {
        bench.ingredients.remove = vec![wish.into()];
        let assembly = bench.prepare();
        assert!(matches!(&assembly.problems[..], [Problem::BadPath { .. }]), "{wish}: {:?}", assembly.problems);
        assert!(assembly.removed.is_empty());
    }
}

#[test]
fn packages_are_appended_to_the_list_that_the_profile_uses() {
    let mut bench = Bench::new();
    bench.ingredients.packages = ["git", "linux", "gum"].map(String::from).into();
    let (assembly, target) = bench.assemble();
    let list = "base\nlinux\n# image.packages of cartridge.toml\ngit\ngum\n";
    assert_eq!(read(target.join("packages.x86_64")), list);
    assert_eq!((assembly.package_list.as_deref(), assembly.packages.len()), (Some(Path::new("packages.x86_64")), 2));
    assert_eq!(origin(&assembly, "packages.x86_64"), (Origin::Packages, vec![Origin::Base]));

    // An overlay's list replaces the base's, and is the one that is extended.
    let over = bench.overlay("over");
    bench.write(format!("{over}/packages.x86_64"), "only");
    let (assembly, target) = bench.assemble();
    assert_eq!(read(target.join("packages.x86_64")), "only\n# image.packages of cartridge.toml\ngit\nlinux\ngum\n");
    assert_eq!(origin(&assembly, "packages.x86_64"), (Origin::Packages, vec![Origin::Base, Origin::Overlay(0)]));

    // All of them are there already: the file is copied as it is.
    bench.write(format!("{over}/packages.x86_64"), "git\ngum\nlinux # kernel\n");
    let (assembly, _) = bench.assemble();
    assert_eq!(origin(&assembly, "packages.x86_64"), (Origin::Overlay(0), vec![Origin::Base]));

    // The one that profiledef.sh names.
    bench.write(format!("{over}/lists/mine"), "a\n");
    bench.ingredients.package_list = Some("lists/mine".into());
    let (assembly, target) = bench.assemble();
    assert!(read(target.join("lists/mine")).ends_with("linux\ngum\n") && assembly.problems.is_empty());

    for (base, used) in [("packages", "packages"), ("packages.aarch64", "packages.aarch64")] {
        let mut bench = Bench::new();
        fs::rename(bench.at("base/packages.x86_64"), bench.at("base").join(base)).unwrap();
        bench.ingredients.packages = vec!["git".into()];
        assert_eq!(bench.assemble().0.package_list.as_deref(), Some(Path::new(used)));
    }
    let mut bench = Bench::new();
    fs::remove_file(bench.at("base/packages.x86_64")).unwrap();
    bench.ingredients.packages = vec!["git".into()];
    let (assembly, target) = bench.assemble();
    assert_eq!(read(target.join("packages.x86_64")), "# image.packages of cartridge.toml\ngit\n");
    assert!(matches!(&assembly.warnings[..], [Warning::NewList { .. }]));
}

#[test]
fn a_package_list_and_a_profiledef_that_are_links_become_files_and_their_targets_stay() {
    let mut bench = Bench::new();
    for (file, real) in [("packages.x86_64", "packages.common"), ("profiledef.sh", "definition.bash")] {
        fs::rename(bench.at("base").join(file), bench.at("base").join(real)).unwrap();
        bench.link(format!("base/{file}"), real);
    }
    bench.ingredients.packages = vec!["git".into()];
    let (assembly, target) = bench.assemble();
    assert_eq!(assembly.problems, []);
    assert_eq!(read(target.join("packages.x86_64")), "base\nlinux\n# image.packages of cartridge.toml\ngit\n");
    assert_eq!(read(target.join("packages.common")), "base\nlinux\n");
    assert!(target.join("profiledef.sh").symlink_metadata().unwrap().is_file());
    assert_eq!(read(target.join("profiledef.sh")), "iso_name=demo\n");
}

#[test]
fn the_chosen_pacman_conf_is_the_profiles_own_and_single_files_have_their_mode() {
    let mut bench = Bench::new();
    bench.ingredients.pacman_conf = Some(bench.write("repo/pacman-online.conf", "online"));
    let tool = bench.write("repo/tool", "#!/bin/sh\n");
    let secret = bench.write("repo/secret", "s");
    bench.chmod(&tool, 0o750);
    bench.chmod(&secret, 0o600);
    // A single file may be named by a link: it is a file that is wanted.
    bench.link("repo/alias", "tool");
    bench.ingredients.files = [
        ("/usr/local/bin/tool", bench.at("repo/alias")),
        ("/root/.secret", secret),
        ("/root/demo/vm-env.sh", bench.write("repo/vm-env.sh", "A=1")),
        ("/etc/motd", bench.write("repo/motd", "mine")),
    ]
    .map(|(to, from)| (to.into(), from))
    .into();
    let (assembly, target) = bench.assemble();
    assert_eq!((assembly.problems.clone(), assembly.warnings.clone()), (vec![], vec![]));
    assert_eq!(assembly.pacman_conf.as_deref(), Some(Path::new("pacman.conf")));
    assert_eq!(read(target.join("pacman.conf")), "online");
    let root = target.join("airootfs");
    assert_eq!((mode(root.join("usr/local/bin/tool")), mode(root.join("root/.secret"))), (0o750, 0o600));
    assert_eq!((mode(root.join("usr/local/bin")), read(root.join("etc/motd"))), (0o755, "mine".to_owned()));
    assert_eq!(origin(&assembly, "airootfs/etc/motd"), (Origin::File, vec![Origin::Base]));
    let modes = [("/root/.secret", 0o600), ("/usr/local/bin/tool", 0o750)].map(|(path, mode)| (path.into(), mode));
    assert_eq!(assembly.modes(&[].into()), modes.into());
    let inside: Vec<_> = assembly.inside_into().map(|(path, piece)| (path.to_owned(), piece.origin)).collect();
    assert_eq!(inside, [("vm-env.sh".into(), Origin::File)]);
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let mut bench = Bench::new();
    fs::remove_file(bench.at("base/profiledef.sh")).unwrap();
    bench.write("base/airootfs/root", "no folder");
    let over = bench.overlay("over");
    bench.ingredients.overlays.push(bench.at("not-there"));
    bench.write(format!("{over}/airootfs/etc"), "a file over a folder");
    bench.ingredients.pacman_conf = Some(bench.at("no.conf"));
    bench.ingredients.packages = ["ok", "two words", "-Syu"].map(String::from).into();
    bench.ingredients.files = [
        ("relative", bench.write("a", "")),
        ("/up/../etc/x", bench.at("a")),
        ("/opt/gone", bench.at("gone")),
        ("/opt/folder", bench.at("base")),
    ]
    .map(|(to, from)| (to.into(), from))
    .into();
    bench.ingredients.env = [("OK", "1"), ("NOT OK", "2"), ("NUL", "\0")].map(|(a, b)| (a.into(), b.into())).into();
    let assembly = bench.prepare();
    let target = bench.folder("target");
    let error = bench.try_write(&assembly, &target).unwrap_err().to_string();
    let dir = bench.dir.path().display();
    let expected = format!(
        "assemble: the profile cannot be assembled:
  image.overlays: {dir}/not-there is missing. Correct the path; a submodule has to be fetched first.
  image.pacman_conf: {dir}/no.conf is missing. Make the file or correct the path.
  image.files: {dir}/base cannot be used: not a regular file. Make the file or correct the path.
  image.files: {dir}/gone is missing. Make the file or correct the path.
  airootfs/etc is a folder of the base and a file of overlay 1. Add \"airootfs/etc\" to image.remove if the base's is \
         not wanted.
  image.base: {dir}/base has no profiledef.sh, and no overlay brings one. Name a complete profile as the base: releng, \
         baseline, or a folder with profiledef.sh.
  image.packages: \"two words\" is no package's name. Write one name, without blanks, # or a leading -.
  image.packages: \"-Syu\" is no package's name. Write one name, without blanks, # or a leading -.
  image.files: /up/../etc/x has to be an absolute path, that of the file itself in the live system.
  image.files: relative has to be an absolute path, that of the file itself in the live system.
  image.env: \"NOT OK\" cannot be an environment variable. Use letters, digits and _ for the name, and no NUL in the \
         value.
  image.env: \"NUL\" cannot be an environment variable. Use letters, digits and _ for the name, and no NUL in the value.
  source.into: /root is a file of the base, and the repository needs a folder there. Choose another place for it."
    );
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines[1..].sort();
        lines.join("\n")
    };
    assert_eq!(sorted(&error), sorted(&expected));
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
}

#[test]
fn an_empty_layer_and_what_is_no_file_are_warnings_and_git_is_no_part_of_a_profile() {
    let mut bench = Bench::new();
    bench.overlay("submodule");
    bench.write("base/.git/config", "x");
    bench.write("base/docs/.git", "gitdir: elsewhere");
    bench.write("base/airootfs/root/dotfiles/.git/config", "somebody's");
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, bench.at("base/airootfs/pipe"), kind, 0o600.into(), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(bench.at("base/airootfs/socket")).unwrap();
    isoprep::ensure_marked(&bench.at("base/work"), "x").unwrap();
    bench.write("base/work/huge", "x");
    let (assembly, target) = bench.assemble();
    let mut told: Vec<String> = assembly.warnings.iter().map(ToString::to_string).collect();
    told.sort();
    let at = |path| bench.at(path).display().to_string();
    assert_eq!(
        told,
        [
            format!("{} was left out: it is a pipe", at("base/airootfs/pipe")),
            format!("{} was left out: it is a socket", at("base/airootfs/socket")),
            format!("{} was left out: it is a work folder of ours", at("base/work")),
            format!(
                "image.overlays: {} is empty. If it is a submodule, it was not fetched: git submodule update --init",
                at("submodule")
            ),
        ]
    );
    assert!(!target.join(".git").exists() && !target.join("docs/.git").exists() && !target.join("work").exists());
    assert!(target.join("airootfs/root/dotfiles/.git/config").exists());
    let left: Vec<_> = fs::read_dir(target.join("airootfs")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name == "pipe" || name == "socket"), "{left:?}");
}

#[test]
fn the_tree_tells_where_everything_came_from() {
    let mut bench = Bench::new();
    bench.write("base/airootfs/etc/old/file", "x");
    bench.write("base/airootfs/usr/bin/run", "#!/bin/sh\n");
    bench.chmod("base/airootfs/usr/bin/run", 0o775);
    let over = bench.overlay("over");
    bench.write(format!("{over}/airootfs/etc/motd"), "ours");
    bench.link(format!("{over}/airootfs/etc/localtime"), "/usr/share/zoneinfo/UTC");
    bench.ingredients.remove = vec!["airootfs/etc/old".into(), "nothing".into()];
    bench.ingredients.packages = vec!["git".into()];
    bench.ingredients.env = [("A".to_owned(), "1".to_owned())].into();
    let (assembly, _) = bench.assemble();
    let (base, overlay) = (bench.at("base").display().to_string(), bench.at(&over).display().to_string());
    let expected = format!(
        "  \
  airootfs/                                         base
      etc/                                            base
        environment.d/                                env
          50-cartridge.conf                           env
        localtime -> /usr/share/zoneinfo/UTC          overlay 1
        motd                                          overlay 1, replaces base
-       old/                                          base, removed
-         file                                        base, removed
        profile.d/                                    env
          cartridge.sh                                env
        systemd/                                      env
          system.conf.d/                              env
            50-cartridge.conf                         env
      usr/                                            base
        bin/                                          base
          run                                         base, mode 755
    packages.x86_64                                   packages, replaces base
    pacman.conf                                       base
    profiledef.sh                                     base
base: {base}
overlay 1: {overlay}
the repository: /root/demo
warning: image.remove: the base has no nothing
"
    );
    let squeezed = |text: &str| {
        text.lines()
            .map(|line| line.split("  ").filter(|it| !it.is_empty()).map(str::trim).collect::<Vec<_>>().join("|"))
            .collect::<Vec<_>>()
    };
    assert_eq!(squeezed(&text(&assembly)), squeezed(&expected));

    let nodes = nodes(&assembly);
    let node = |path: &str| nodes.iter().find(|node| node.path == path).unwrap();
    assert_eq!((node("airootfs").depth, node("airootfs").below), (0, 15));
    assert_eq!((node("airootfs/etc").below, node("pacman.conf").below), (11, 0));
    assert!(node("airootfs/etc/old/file").removed && !node("airootfs/etc").removed);
    assert_eq!(node("airootfs/usr/bin/run").live_mode, Some(0o755));
    assert_eq!(node("airootfs/etc/localtime").target.as_deref(), Some("/usr/share/zoneinfo/UTC"));
    let json = serde_json::to_value(node("airootfs/etc/motd")).unwrap();
    assert_eq!(
        (json["origin"].clone(), json["replaced"].clone()),
        (serde_json::json!({"overlay": 0}), serde_json::json!(["base"]))
    );
}

#[test]
fn what_builders_made_beside_a_profile_is_passed_over() {
    let bench = Bench::new();
    bench.folder("base/.git");
    bench.write("base/.gitignore", "/cache/\n/grub/\n");
    for made in ["base/work/x86_64/airootfs/root/x", "base/out/x.iso", "base/cache/x"] {
        bench.write(made, "x");
    }
    for kept in ["base/grub/grub.cfg", "base/airootfs/out/x.iso", "base/keys/x"] {
        bench.write(kept, "x");
    }
    let target = bench.assemble().1;
    assert!(["work", "out", "cache"].iter().all(|made| !target.join(made).exists()));
    assert!(["grub/grub.cfg", "airootfs/out/x.iso", "keys/x"].iter().all(|kept| target.join(kept).exists()));
}

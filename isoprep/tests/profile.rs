//! Profiles read with the real bash: everything that a profile may say, from its definition to its last boot entry.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod profile_support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use cartridge_supervise::{Cancel, CommandLine, run};
use isoprep::profile::{BootModeKind, FilePermission, ImageType, ProfileError, read};
use profile_support::{Place, as_user};

const GOOD: &str = r#"#!/usr/bin/env bash
. "${BASH_SOURCE[0]%/*}/../version.sh"   # of the repository
iso_name="distro"
iso_label="DISTRO_$(date --utc --date="@${SOURCE_DATE_EPOCH}" +%Y%m)"
iso_publisher="Me <me@example.org>"
iso_application='A "distro" with $signs'
iso_version="$VERSION-$(printf '%(%Y.%m.%d)T' "$SOURCE_DATE_EPOCH")"
install_dir=arch
buildmodes=('iso' 'netboot')
bootmodes=('bios.syslinux.mbr' 'bios.syslinux.eltorito'
           'uefi-x64.systemd-boot.esp')
pacman_conf="pacman.conf"
airootfs_image_type=erofs
airootfs_image_tool_options=('-zlzma,109' -E 'ztailpacking')
bootstrap_tarball_compression=(zstd -c "--long" -19)
file_permissions=(
  ["/etc/shadow"]="0:0:400"
  ["/opt/with space/"]="0:100:2750"
)
shopt -q extglob && _note=$'two\nlines'
[[ ${1-none} == none && $# == 0 && $0 == */mkarchiso && $LC_ALL == C.UTF-8 && $PWD == "$profile" ]]
"#;

fn good(place: &Place) {
    fs::write(place.home.join("repo/version.sh"), "VERSION=7\n").unwrap();
    place.file("profiledef.sh", GOOD);
    place.file("packages.x86_64", "# list\nbase\n linux # kernel\nmkinitcpio\r\n");
    place.file("bootstrap_packages", "base\n");
    let mirrors = place.file("mirrorlist", "Server = https://one/$repo/os/$arch\nServer = https://two/$repo\n");
    place.file(
        "pacman.conf",
        &format!(
            "[options]\nHoldPkg = pacman\nInclude = /nowhere/at/all\n[core]\nInclude = {}\n[own]\nSigLevel = Never\nServer = file:///srv/own\n",
            mirrors.display()
        ),
    );
    place.file("syslinux/syslinux.cfg", "DEFAULT arch\nINCLUDE linux.cfg\nINCLUDE gone.cfg\n");
    place.file(
        "syslinux/linux.cfg",
        "LABEL arch\nMENU LABEL Distro (%ARCH%)\nLINUX /%INSTALL_DIR%/vmlinuz-linux\nINITRD /i.img\nAPPEND a=1\n",
    );
    place.file("grub/grub.cfg", "menuentry \"Distro\" {\n  linux /vmlinuz-linux b=2\n  initrd /i.img\n}\n");
    place.file("efiboot/loader/entries/01.conf", "title Distro\nlinux /vmlinuz-linux\ninitrd /i.img\noptions c=3\n");
    place.file("efiboot/loader/loader.conf", "default 01.conf\n");
    place.file("airootfs/etc/mkinitcpio.conf.d/archiso.conf", "HOOKS=(base\n udev archiso)\nCOMPRESSION=\"xz\"\n");
    place.file("airootfs/etc/mkinitcpio.d/linux.preset", "PRESETS=('archiso')\nALL_kver='/boot/vmlinuz-linux'\n");
    place.file("airootfs/root/customize_airootfs.sh", "#!/bin/sh\n");
    symlink("/usr/lib/mkinitcpio.conf", place.profile.join("airootfs/etc/mkinitcpio.conf")).unwrap();
}

fn check_good(place: &Place) {
    good(place);
    let profile = place.read().unwrap();
    let it = &profile.definition;
    assert_eq!(profile.dir, place.profile);
    assert_eq!((it.iso_name.as_str(), it.iso_label.as_str()), ("distro", "DISTRO_202311"));
    assert_eq!((it.iso_version.as_str(), it.iso_application.as_str()), ("7-2023.11.14", "A \"distro\" with $signs"));
    assert_eq!(
        (it.build_modes.join(" "), it.install_dir.as_str(), it.arch.as_str()),
        ("iso netboot".into(), "arch", "x86_64")
    );
    let modes: Vec<_> = it.boot_modes.iter().map(|mode| (mode.word.as_str(), mode.kind.unwrap())).collect();
    assert_eq!(
        modes,
        [
            ("bios.syslinux.mbr", BootModeKind::BiosSyslinux),
            ("bios.syslinux.eltorito", BootModeKind::BiosSyslinux),
            ("uefi-x64.systemd-boot.esp", BootModeKind::UefiSystemdBoot)
        ]
    );
    assert_eq!(it.image_type, ImageType::Erofs);
    assert_eq!(it.image_tool_options, ["-zlzma,109", "-E", "ztailpacking"]);
    assert_eq!(it.bootstrap_compression, ["zstd", "-c", "--long", "-19"]);
    assert_eq!(it.file_permissions["/etc/shadow"], FilePermission { uid: 0, gid: 0, mode: 0o400 });
    assert_eq!(it.file_permissions["/opt/with space/"], FilePermission { uid: 0, gid: 100, mode: 0o2750 });
    assert_eq!(it.unknown, [("VERSION".into(), "7".into()), ("_note".into(), "two\nlines".into())].into());
    assert_eq!(
        (it.lines["iso_label"], it.lines["bootmodes[2]"], it.lines["file_permissions[/etc/shadow]"]),
        (4, 11, 17)
    );
    assert!(it.internal.is_empty(), "{:?}", it.internal);

    let names: Vec<_> =
        profile.packages.packages.iter().map(|it| (it.name.as_str(), it.raw.as_str(), it.line)).collect();
    assert_eq!(names, [("base", "base", 2), ("linux", " linux ", 3), ("mkinitcpio", "mkinitcpio\r", 4)]);
    assert_eq!(profile.packages.file, place.profile.join("packages.x86_64"));
    assert_eq!(profile.bootstrap_packages.as_ref().unwrap().file, place.profile.join("bootstrap_packages"));
    let conf = &profile.pacman_conf;
    let repositories: Vec<String> = conf
        .repositories
        .iter()
        .map(|it| {
            format!("{} {}", it.name, it.servers.iter().map(|it| it.value.as_str()).collect::<Vec<_>>().join(" "))
        })
        .collect();
    assert_eq!(repositories, ["core https://one/$repo/os/$arch https://two/$repo", "own file:///srv/own"]);
    assert_eq!(conf.repositories[0].servers[1].file, place.profile.join("mirrorlist"));
    assert_eq!((conf.missing_includes.len(), conf.missing_includes[0].line), (1, 3));
    let entries: Vec<String> = profile
        .boot_entries
        .iter()
        .map(|it| format!("{}:{} {} {}", it.file.display(), it.line, it.title, it.options))
        .collect();
    assert_eq!(
        entries,
        [
            "syslinux/linux.cfg:1 Distro (%ARCH%) a=1",
            "grub/grub.cfg:1 Distro b=2",
            "efiboot/loader/entries/01.conf:1 Distro c=3"
        ]
    );
    assert_eq!(profile.initcpio_configs[0].hooks, ["base", "udev", "archiso"]);
    assert_eq!(profile.initcpio_presets[0].variables["ALL_kver"].0, "/boot/vmlinuz-linux");
    assert!(profile.customizes);
    let warnings: Vec<_> =
        profile.warnings.iter().map(|it| format!("{}:{:?} {}", it.file.display(), it.line, it.text)).collect();
    assert_eq!(
        warnings,
        [
            "syslinux/syslinux.cfg:Some(3) loads gone.cfg, which is not in syslinux/",
            "airootfs/etc/mkinitcpio.conf:None is a link; what it leads to is known in the image only"
        ]
    );
}

#[test]
fn a_profile_is_read_whole() {
    check_good(&Place::new());
    check_good(&Place::in_the_open());
}

#[test]
fn an_ordinary_user_reads_it_just_so() {
    as_user("an_ordinary_user_reads_it_just_so", || check_good(&Place::new()));
}

#[test]
fn git_answers_as_it_does_in_the_repository() {
    let place = Place::new();
    let repository = place.home.join("repo");
    fs::remove_dir(repository.join(".git")).unwrap();
    place.define("pacman_conf=pacman.conf\niso_version=$(git describe --tags)\n");
    for words in
        ["init -q -b main", "add -A", "-c user.name=me -c user.email=me@example.org commit -q -m one", "tag v1.2"]
    {
        let line = CommandLine::new("git").args(words.split(' ')).cwd(&repository).env("HOME", &place.home);
        run(&line, &Cancel::new(), |_, _| ()).unwrap();
    }
    assert_eq!(place.read().unwrap().definition.iso_version, "v1.2");
}

#[test]
fn links_are_followed_where_mkarchiso_follows_them() {
    let place = Place::new();
    let shared = place.top.path().join("home/shared");
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("def.sh"), "iso_name=linked\npacman_conf=p.conf\n").unwrap();
    fs::write(shared.join("list"), "base\n").unwrap();
    symlink(shared.join("def.sh"), place.profile.join("profiledef.sh")).unwrap();
    symlink("../../shared/list", place.profile.join("packages")).unwrap();
    let through = place.top.path().join("through");
    symlink(&place.profile, &through).unwrap();
    let profile = read(&through, &place.options(), &Cancel::new()).unwrap();
    assert_eq!((profile.definition.iso_name.as_str(), &profile.dir), ("linked", &place.profile));
    assert_eq!(profile.packages.file, place.profile.join("packages"));
    assert_eq!(profile.packages.packages[0].name, "base");
    let said: Vec<_> = profile.warnings.iter().map(|it| (it.file.to_str().unwrap(), it.text.as_str())).collect();
    assert_eq!(said, [("p.conf", "is not there: mkarchiso ends without a pacman.conf")]);
}

#[test]
fn missing_lists_and_local_variables_are_warnings() {
    let place = Place::new();
    place.file(
        "profiledef.sh",
        "pacman_conf=../pacman.conf\npackages=mine\narch=aarch64\nbootmode=(uefi.grub)\n\ndeclare -A file_permissions=([\"/a\"]=0:0:755)\n\
         ls /does/not/exist || :\nnosuch || :\ncd lists\n",
    );
    place.file("pacman.conf", "[options]\nInclude = relative.conf\n");
    fs::create_dir(place.profile.join("lists")).unwrap();
    let profile = place.read().unwrap();
    // The shell is elsewhere when the profile ends, and mkarchiso looks there.
    assert_eq!(profile.packages.file, place.profile.join("lists/mine"));
    assert!(profile.packages.packages.is_empty() && profile.bootstrap_packages.is_none());
    assert!(profile.definition.file_permissions.is_empty());
    assert_eq!(profile.definition.unknown["bootmode"], "(uefi.grub)");
    let mut said: Vec<_> = profile
        .warnings
        .iter()
        .map(|it| format!("{}:{}: {}", it.file.display(), it.line.unwrap_or(0), it.text))
        .collect();
    said.sort();
    let begins = [
        "lists/mine:0: is not there",
        "pacman.conf:2: Include = relative.conf is relative to wherever pacman is started",
        "profiledef.sh:0: changes PWD,",
        "profiledef.sh:4: archiso knows no bootmode; bootmodes is not set",
        "profiledef.sh:6: file_permissions is declared here",
        "profiledef.sh:8: bash says: nosuch: command not found",
    ];
    assert_eq!(said.len(), begins.len(), "{said:#?}");
    for (said, begin) in said.iter().zip(begins) {
        assert!(said.starts_with(begin), "{said}\n{begin}");
    }
}

#[test]
fn what_is_no_profile_is_told_apart() {
    let place = Place::new();
    let fails = |dir: &Path| read(dir, &place.options(), &Cancel::new()).unwrap_err();
    let file = place.profile.join("profiledef.sh");
    assert!(matches!(fails(&place.profile.join("none")), ProfileError::NotAFolder { .. }));
    assert!(matches!(fails(&place.profile), ProfileError::NoDefinition { .. }));
    symlink("../module/profiledef.sh", &file).unwrap();
    let ProfileError::BrokenLink { target, .. } = fails(&place.profile) else { panic!("no broken link") };
    assert_eq!(target, Path::new("../module/profiledef.sh"));
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(matches!(fails(&place.profile), ProfileError::NotAFile { kind: "a folder", .. }));
    fs::remove_dir(&file).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
    assert!(matches!(fails(&place.profile), ProfileError::NotAFile { kind: "a pipe", .. }));
    fs::remove_file(&file).unwrap();
    symlink("/dev/zero", &file).unwrap();
    assert!(matches!(fails(&place.profile), ProfileError::NotAFile { kind: "a device", .. }));
    fs::remove_file(&file).unwrap();
    fs::write(&file, vec![b'#'; 3 << 20]).unwrap();
    assert!(matches!(fails(&place.profile), ProfileError::TooLarge { bytes: 3_145_728, .. }));
}

/// What the error says of where it is: the file's name and the line.
fn failure(profiledef: &str) -> (ProfileError, String) {
    let place = Place::new();
    let error = place.define(profiledef).read().unwrap_err();
    let at = match &error {
        ProfileError::Syntax { place, .. } | ProfileError::Ended { place, .. } => {
            format!("{}:{}", place.file.file_name().unwrap().to_string_lossy(), place.line.unwrap_or(0))
        }
        other => panic!("{other}"),
    };
    (error, at)
}

#[test]
fn failing_code_is_told_with_line_command_and_bashs_words() {
    const LAST: &str = "the file's last command, or its return, gave this code";
    let ended = |profiledef: &str| match failure(profiledef) {
        (ProfileError::Ended { code, command, words, .. }, at) => (at, code, command.unwrap_or_default(), words),
        (other, _) => panic!("{other}"),
    };
    let owned =
        |at: &str, code, command: &str, words: &str| (at.to_owned(), code, command.to_owned(), words.to_owned());
    assert_eq!(ended("a=1\n\nfalse\n"), owned("profiledef.sh:3", 1, "false", ""));
    assert_eq!(
        ended("a=1\nv=\"$(nosuch --x)\"\n"),
        owned("profiledef.sh:2", 127, "v=\"$(nosuch --x)\"", "nosuch: command not found")
    );
    assert_eq!(ended("a=1\necho \"$foo\"\n"), owned("profiledef.sh:2", 1, "", "foo: unbound variable"));
    assert_eq!(ended("f() {\n  cd /nowhere\n}\nf\n"), {
        owned("profiledef.sh:2", 1, "cd /nowhere", "cd: /nowhere: No such file or directory")
    });
    assert_eq!(ended("readonly ucodes\nucodes=x\n"), owned("profiledef.sh:2", 1, "", "ucodes: readonly variable"));
    assert_eq!(ended("a=1\n[[ -n '' ]] && b=2\n"), owned("profiledef.sh:0", 1, "", LAST));
    assert_eq!(ended("a=1\nreturn 3\n"), owned("profiledef.sh:0", 3, "", LAST));
    assert_eq!(ended("a=1\nexit 0\n"), owned("profiledef.sh:2", 0, "", ""));
    assert_eq!(ended("exec true\n"), owned("profiledef.sh:1", 0, "", ""));
    let (error, at) = failure("iso_name=x\r\nif true; then\r\n");
    assert_eq!(at, "profiledef.sh:3", "{error}");
    let (error, at) = failure("a=1\n\nb=(x\n");
    assert!(matches!(&error, ProfileError::Syntax { words, .. } if words.contains("unexpected EOF")), "{error}");
    assert_eq!(at, "profiledef.sh:3");
    let (error, at) = failure("a=1\nif true; fi\n");
    assert!(matches!(&error, ProfileError::Syntax { words, .. } if words.contains("`fi'")), "{error}");
    assert_eq!(at, "profiledef.sh:2");
}

#[test]
fn failures_of_a_neighbour_file_name_that_file() {
    let place = Place::new();
    fs::write(place.home.join("repo/lib.sh"), "x=1\ny=)\n").unwrap();
    let error = place.define(". ../lib.sh\n").read().unwrap_err();
    let ProfileError::Syntax { place: at, .. } = &error else { panic!("{error}") };
    assert_eq!((at.file.clone(), at.line), (place.profile.join("../lib.sh"), Some(2)));
    fs::write(place.home.join("outside.sh"), "x=1\n").unwrap();
    let error = place.define(". \"$profile/../../outside.sh\"\n").read().unwrap_err().to_string();
    assert!(error.contains("No such file or directory") && error.contains("is not shown to it"), "{error}");
}

#[test]
fn a_path_may_hold_anything() {
    use std::os::unix::ffi::OsStrExt;
    for name in ["new\nline: line 3: x", "it's $(false) \"x\" *", "-n"] {
        let mut place = Place::new();
        let odd = place.home.join(name);
        fs::rename(place.home.join("repo"), &odd).unwrap();
        place.profile = odd.join("a profile");
        place.define("pacman_conf=pacman.conf\niso_name=x\n");
        let profile = place.read().unwrap();
        assert_eq!((profile.definition.iso_name.as_str(), profile.warnings.len()), ("x", 0), "{:?}", profile.warnings);
        let error = place.define("a=1\nnosuch\n").read().unwrap_err();
        let ProfileError::Ended { place: at, words, .. } = &error else { panic!("{error}") };
        assert_eq!((&at.file, at.line), (&place.profile.join("profiledef.sh"), Some(2)));
        assert_eq!(words, "nosuch: command not found");
    }
    let mut place = Place::new();
    let odd = place.home.join(std::ffi::OsStr::from_bytes(b"not\xfftext"));
    fs::rename(place.home.join("repo"), &odd).unwrap();
    place.profile = odd.join("a profile");
    assert_eq!(place.define("pacman_conf=p\niso_name=x\n").read().unwrap().definition.iso_name, "x");
}

#[test]
fn it_is_cancelled() {
    let place = Place::new();
    place.define("sleep 1000\n");
    let cancel = Cancel::new();
    let began = std::time::Instant::now();
    let later = cancel.clone();
    std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        later.cancel();
    });
    assert!(matches!(read(&place.profile, &place.options(), &cancel), Err(ProfileError::Cancelled { .. })));
    assert!(began.elapsed() < std::time::Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn without_bash_it_says_so() {
    let place = Place::new();
    place.define("iso_name=x\n");
    let options = isoprep::profile::ReadOptions { search: vec![PathBuf::from("/nowhere")], ..place.options() };
    let error = place.read_with(&options).unwrap_err();
    assert!(matches!(&error, ProfileError::NoBash { .. }), "{error}");
    assert!(error.to_string().contains("/nowhere") && error.to_string().contains("package bash"), "{error}");
}

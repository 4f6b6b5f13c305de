//! Variables and the definitions that come of them.

use super::*;
use crate::profile::declare::parse_declarations;

const BEFORE: &str = "declare -a bootmodes=()\ndeclare -A file_permissions=()\ndeclare -- iso_name=\"\"\ndeclare -- work_dir=\"\"\n\
                      declare -- bootstrap_tarball_compression=\"\"\ndeclare -a pkg_list=()\ndeclare -x PATH=\"/bin\"\ndeclare -- _=\"\"\n";

fn defined(after: &str, source: &str) -> Defined {
    let set = |text: &str| parse_declarations(text.as_bytes()).unwrap();
    let mut all = set(BEFORE);
    all.extend(set(after));
    define(&Answer { before: set(BEFORE), inside: all.clone(), after: all }, source, "x86_64")
}

fn said(defined: &Defined) -> Vec<String> {
    defined.warnings.iter().map(|it| format!("{:?} {}", it.line, it.text)).collect()
}

#[test]
fn what_is_not_set_has_mkarchisos_defaults() {
    let it = defined("declare -- pacman_conf=\"pacman.conf\"\n", "");
    let definition = it.definition;
    assert_eq!(
        (definition.iso_name.as_str(), definition.iso_label.as_str(), definition.iso_publisher.as_str()),
        ("mkarchiso", "MKARCHISO", "mkarchiso")
    );
    assert_eq!((definition.iso_application.as_str(), definition.install_dir.as_str()), ("mkarchiso iso", "mkarchiso"));
    assert_eq!((definition.build_modes, definition.arch.as_str()), (vec!["iso".to_owned()], "x86_64"));
    assert_eq!(
        (definition.image_type, definition.bootstrap_compression),
        (ImageType::Squashfs, vec!["cat".to_owned()])
    );
    assert!(
        definition.unknown.is_empty() && definition.internal.is_empty() && it.warnings.is_empty(),
        "{:?}",
        it.warnings
    );
    let none = defined("", "");
    assert_eq!(none.definition.pacman_conf, Path::new("/etc/pacman.conf"));
    assert!(said(&none)[0].contains("pacman_conf is not set"));
}

#[test]
fn every_variable_goes_to_its_field() {
    let it = defined(
        "declare -- pacman_conf=\"p.conf\"\ndeclare -r iso_name=\"n\"\ndeclare -- iso_version=\"1\"\ndeclare -- arch=\"aarch64\"\n\
         declare -a bootmodes=([0]=\"bios.syslinux.mbr\" [2]=\"uefi-x64.grub.esp\" [3]=\"uefi.systemd-boot\" [4]=\"odd\")\n\
         declare -- airootfs_image_type=\"ext4+squashfs\"\ndeclare -a airootfs_image_tool_options=([0]=\"-comp\" [1]=\"xz -9\")\n\
         declare -a bootstrap_tarball_compression=([0]=\"zstd\" [1]=\"-c\")\ndeclare -n install_dir=\"short\"\ndeclare -- short=\"arch\"\n\
         declare -A file_permissions=([/etc/shadow]=\"0:0:400\" [/opt/]=\"root:10:4755\" )\ndeclare -- packages=\"list\"\n",
        "",
    );
    let definition = &it.definition;
    assert_eq!(
        (definition.iso_name.as_str(), definition.install_dir.as_str(), definition.arch.as_str()),
        ("n", "arch", "aarch64")
    );
    let modes: Vec<_> = definition.boot_modes.iter().map(|mode| mode.kind).collect();
    use BootModeKind::{BiosSyslinux, UefiGrub, UefiSystemdBoot};
    assert_eq!(modes, [Some(BiosSyslinux), Some(UefiGrub), Some(UefiSystemdBoot), None]);
    assert_eq!(definition.image_type, ImageType::Ext4Squashfs);
    assert_eq!(definition.image_tool_options, ["-comp", "xz -9"]);
    assert_eq!(definition.bootstrap_compression, ["zstd", "-c"]);
    assert_eq!(definition.file_permissions["/etc/shadow"], FilePermission { uid: 0, gid: 0, mode: 0o400 });
    assert_eq!(definition.file_permissions["/opt/"], FilePermission { uid: 0, gid: 10, mode: 0o4755 });
    assert_eq!(definition.unknown, [("short".to_owned(), "arch".to_owned())].into());
    assert_eq!(it.packages, "list");
    assert!(it.warnings.is_empty(), "{:?}", it.warnings);
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_kept() {
    let source = "pacman_conf=p\nfile_permissions=(\n [/a]=0:0\n [/b]=me:0:644\n [/c]=0:0:u+x\n)\niso_lable=X\nPATH=/x\nwork_dir=w\nreadonly packages=p\npkg_list=(vim)\n";
    let it = defined(
        "declare -- pacman_conf=\"p\"\ndeclare -A file_permissions=([/a]=\"0:0\" [/b]=\"me:0:644\" [/c]=\"0:0:u+x\" )\ndeclare -- iso_lable=\"X\"\n\
         declare -x PATH=\"/x\"\ndeclare -- work_dir=\"w\"\ndeclare -r packages=\"p\"\ndeclare -a pkg_list=([0]=\"vim\")\ndeclare -- helper=\"1\"\n",
        source,
    );
    assert_eq!(
        said(&it),
        [
            "Some(3) \"0:0\" for /a is not owner:group:mode: the mode is missing, and mkarchiso ends at that",
            "Some(4) \"me:0:644\" for /b is not owner:group:mode: the owner must be a number",
            "Some(5) \"0:0:u+x\" for /c is not owner:group:mode: the mode must be octal, at most 7777",
            "Some(7) archiso knows no iso_lable; iso_label is not set, did you mean that?",
            "Some(8) changes PATH, which mkarchiso or bash itself uses, to \"/x\"",
            "Some(11) pkg_list is set here; mkarchiso installs that too, but does not document it",
            "Some(9) changes work_dir, which mkarchiso or bash itself uses, to \"w\"",
            "Some(10) packages is read-only, and mkarchiso ends when it assigns it",
        ]
    );
    let definition = it.definition;
    assert_eq!(
        definition.unknown.keys().collect::<Vec<_>>(),
        ["file_permissions[/a]", "file_permissions[/b]", "file_permissions[/c]", "helper", "iso_lable"]
    );
    assert_eq!(definition.internal.keys().collect::<Vec<_>>(), ["PATH", "work_dir"]);
    assert_eq!(definition.pkg_list, ["vim"]);
}

#[test]
fn what_is_local_to_the_function_is_lost_as_in_mkarchiso() {
    let set = |text: &str| parse_declarations(format!("{BEFORE}{text}").as_bytes()).unwrap();
    let after = set("declare -- pacman_conf=\"p\"\n");
    let inside =
        set("declare -- pacman_conf=\"p\"\ndeclare -A file_permissions=([/a]=\"0:0:400\" )\ndeclare -- helper=\"x\"\n");
    let it = define(
        &Answer { before: set(""), inside, after },
        "x=1\ndeclare -A file_permissions=([/a]=0:0:400)\n",
        "x86_64",
    );
    assert!(it.definition.file_permissions.is_empty());
    assert_eq!(it.warnings.len(), 1);
    assert!(said(&it)[0].starts_with("Some(2) file_permissions is declared here"), "{:?}", said(&it));
}

#[test]
fn lines_are_those_of_the_one_assignment_and_of_its_elements() {
    let lines = lines("a=1\nb=(x\n  y $z w)\nc=1; c=2\nm=([k]=v\n [l]=w)\nm+=([n]=x)\nm[o]=p\n");
    let shown: Vec<String> = lines.iter().map(|(name, line)| format!("{name}:{line}")).collect();
    assert_eq!(shown, ["a:1", "b:2", "b[0]:2", "b[1]:3", "m[k]:5", "m[l]:6", "m[n]:7", "m[o]:8"]);
}

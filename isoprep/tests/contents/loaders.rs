//! Boot entries of an image as archiso lays them out, on the ISO and on the EFI partition.

use isoprep::contents::{Loader, TreeName, TreePath};

use crate::studio::{Studio, compare, lines, read};

const ENTRY: &str = "title Demo\nlinux /arch/vmlinuz\ninitrd /arch/a.img\noptions archisobasedir=arch quiet\n";

fn studio(entry: &str) -> (Studio, std::path::PathBuf) {
    let studio = Studio::new();
    studio.write("iso/boot/syslinux/syslinux.cfg", "label demo\nmenu label Demo\nlinux /v\ninitrd /i\nappend x=DEMO\n");
    studio.write("iso/boot/grub/grub.cfg", "menuentry 'Demo' {\n linux /v x=1\n initrd /i\n}\n");
    studio.write("iso/loader/entries/01.conf", "title A copy\nlinux /other\n");
    let esp = studio.esp(&[
        ("EFI/BOOT/BOOTx64.EFI", "loader"),
        ("loader/loader.conf", "timeout 5\n"),
        ("loader/entries/01-a rather long name.conf", entry),
    ]);
    let iso = studio.master_efi("demo.iso", &esp);
    (studio, iso)
}

#[test]
fn entries_of_all_loaders_are_found_and_the_efi_partition_counts_for_systemd_boot() {
    let (_studio, iso) = studio(ENTRY);
    let found = read(&iso);
    let told: Vec<_> = found
        .boot_entries
        .iter()
        .map(|it| (it.loader, it.file.to_string(), it.title.as_str(), it.kernel.as_deref().unwrap(), it.initrds.len()))
        .collect();
    let expected = [
        (Loader::Syslinux, "boot/syslinux/syslinux.cfg".to_owned(), "Demo", "/v", 1),
        (Loader::Grub, "boot/grub/grub.cfg".to_owned(), "Demo", "/v", 1),
        (Loader::SystemdBoot, "loader/entries/01-a rather long name.conf".to_owned(), "Demo", "/arch/vmlinuz", 1),
    ];
    assert_eq!(told, expected);
    assert_eq!(found.boot_entries[2].options, "archisobasedir=arch quiet");
    let efi = lines(found.tree(TreeName::Efi));
    let loader = &efi[&b"EFI/BOOT/BOOTx64.EFI"[..]];
    assert!(loader.starts_with(&format!("f 6 {}", blake3::hash(b"loader"))), "{loader}");
    assert!(found.efi_files.get(&TreePath::from("loader/loader.conf")).is_some());
}

#[test]
fn a_changed_command_line_is_told_word_by_word() {
    let (one, from) = studio(ENTRY);
    let (two, to) = studio(&ENTRY.replace("quiet", "debug loglevel=7"));
    let found = compare(&from, &to);
    let [change] = found.boot.changed.as_slice() else { panic!("{:?}", found.boot) };
    assert_eq!((change.words.from.join(" "), change.words.to.join(" ")), ("quiet".into(), "debug loglevel=7".into()));
    assert_eq!(found.efi.changed.items[0].path, "loader/entries/01-a rather long name.conf".into());
    assert_eq!((found.efi.changed.total, found.iso.changed.total, found.root.changed.total), (1, 0, 0));
    drop((one, two));
}

//! Repositories and packages that mean harm: whatever links they plant, no file of the user's is written.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use isoprep::{BuildRequest, Cancel};

use crate::arch::{Repository, Signatures, mkarchiso};
use crate::bench::{Bench, profile};

const PRECIOUS: &str = "precious\n";

/// A file of the user's, beside the repository.
fn victim(bench: &Bench, name: &str, text: &str) -> PathBuf {
    let file = bench.dir.path().join(name);
    fs::write(&file, text).unwrap();
    file
}

#[test]
fn looking_at_a_repository_writes_through_none_of_its_links() {
    let bench = Bench::new(&profile(), "");
    let victim = victim(&bench, "victim", PRECIOUS);
    for name in ["cartridge-pacman.conf", "chosen-pacman.conf", ".profiledef.sh.new"] {
        symlink(&victim, bench.repo().join("iso").join(name)).unwrap();
    }
    let work = tempfile::tempdir_in(&bench.request.work).unwrap();
    let request = BuildRequest { work: work.path().into(), ..bench.request.clone() };
    isoprep::examine(&request, &Cancel::new(), &|_| ()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(fs::read_to_string(&victim).unwrap(), PRECIOUS);
}

#[test]
fn mkarchiso_gets_its_configuration_and_the_one_that_the_profile_names_stays() {
    if mkarchiso::find().is_none() {
        return mkarchiso::skipped("mkarchiso_gets_its_configuration_and_the_one_that_the_profile_names_stays");
    }
    let conf = Repository::get().pacman_conf(Signatures::Never);
    for linked in [true, false] {
        let bench = Bench::new(&profile(), "engine = \"mkarchiso\"");
        let victim = victim(&bench, "victim.conf", &conf);
        let iso = bench.repo().join("iso");
        symlink(&victim, iso.join("cartridge-pacman.conf")).unwrap();
        if linked {
            fs::remove_file(iso.join("pacman.conf")).unwrap();
            symlink(&victim, iso.join("pacman.conf")).unwrap();
        } else {
            let text = fs::read_to_string(iso.join("profiledef.sh")).unwrap();
            let named = format!("pacman_conf='{}'", victim.display());
            fs::write(iso.join("profiledef.sh"), text.replace("pacman_conf=pacman.conf", &named)).unwrap();
        }
        bench.build();
        assert_eq!(fs::read_to_string(&victim).unwrap(), conf, "linked: {linked}");
    }
}

/// Runs in the middle of an installation, outside of the new root: `/proc/1/root` is what the sandbox sees. Plants links
/// wherever something of ours may be written later.
const PLANT: &str = r#"#!/bin/sh
echo "planting"
for dir in /proc/1/root@TOP@/work/work*; do
    for number in 01 02 03 04 05 06 07 08 09 10; do
        for what in finish customize customized collect cleanup; do
            ln -sf @VICTIM@ "$dir/packages-$number-$what.sh"
        done
    done
    for name in pacman.conf grub-embedded.cfg chosen-pacman.conf; do ln -sf @VICTIM@ "$dir/$name"; done
done
for dir in /proc/1/root@TOP@/cache/drafts/*; do
    for name in installed.json entry.json pkglist.txt checksum; do ln -sf @VICTIM@ "$dir/$name"; done
    mkdir -p "$dir/boot/boot"
    ln -sf @VICTIM@ "$dir/boot/boot/vmlinuz-mine"
done
exit 0
"#;
const HOOK: &str = "[Trigger]\nOperation = Install\nType = Package\nTarget = *\n\n[Action]\nDescription = planting...\n\
                    When = PostTransaction\nExec = /usr/local/bin/plant\n";

#[test]
fn what_a_package_plants_in_the_middle_leads_nowhere() {
    let profile = profile()
        .file("airootfs/etc/pacman.d/hooks/60-plant.hook", HOOK)
        .permission("/usr/local/bin/plant", "0:0:755")
        .boot_modes(&["bios.syslinux", "uefi.grub"]);
    let bench = Bench::new(&profile, "");
    let victim = victim(&bench, "victim", PRECIOUS);
    let top = bench.dir.path();
    let text = PLANT.replace("@TOP@", top.to_str().unwrap()).replace("@VICTIM@", victim.to_str().unwrap());
    let plant = bench.repo().join("iso/airootfs/usr/local/bin/plant");
    fs::write(&plant, text).unwrap();
    let (image, _, lines) = bench.build_telling();
    assert!(lines.iter().any(|line| line.contains("planting")), "{lines:#?}");
    assert_eq!(fs::read_to_string(&victim).unwrap(), PRECIOUS);
    let image = image.unwrap_or_else(|e| panic!("{e}\n{}", lines.join("\n")));
    assert!(!holds(&image.iso, PRECIOUS.as_bytes()), "a file of the user's is in the image");
    bench.assert_clean();
}

/// Whether a file has these bytes in it.
pub fn holds(file: &Path, bytes: &[u8]) -> bool {
    fs::read(file).unwrap().windows(bytes.len()).any(|it| it == bytes)
}

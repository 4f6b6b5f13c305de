//! What is found in repositories of many layouts, and exactly what is proposed for each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod discover_support;
mod eject_support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use discover_support::{homerchy, make, omarchy_iso, profile, repository};
use eject_support::as_user;
use isoprep::discover::{Discovered, Installed, look};
use isoprep::recipe::{EngineKind, InstalledProfile, Proposal, ProposedKind, check, get_field, open, parse, propose};

/// What is proposed for a folder on a machine without archiso, after proof that it holds together: the text parses, agrees
/// with the list, and can be built as far as the disk tells.
fn proposed(root: &Path) -> Proposal {
    on_a_machine_with(None, root)
}

fn on_a_machine_with(installed: Option<Installed>, root: &Path) -> Proposal {
    let name = root.file_name().unwrap().to_string_lossy().into_owned();
    let proposal = propose(&name, &Discovered { installed, ..look(root) });
    let recipe = parse(&proposal.text, root).unwrap_or_else(|error| panic!("{error}\n{}", proposal.text));
    let findings: Vec<_> = check(&recipe).into_iter().filter(|it| it.key != "image.base").collect();
    assert!(findings.is_empty(), "{findings:?}");
    for setting in proposal.settings.iter().filter(|it| it.kind != ProposedKind::Warning) {
        if setting.key == "image.env" {
            assert_eq!(recipe.image.env[setting.item.as_ref().unwrap()], setting.value);
            continue;
        }
        let value = get_field(&proposal.text, &setting.key).unwrap_or_else(|| panic!("{} is not set", setting.key));
        let said = value.contains(&setting.value);
        assert!(said, "{} = {value} is not {}", setting.key, setting.value);
        assert!(setting.from.iter().all(|from| root.join(from).exists()), "{:?}", setting.from);
    }
    proposal
}

/// The list as a terminal shows it, and every line of the text that sets something.
fn shown(proposal: &Proposal) -> String {
    let lines: Vec<_> = proposal.text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    format!("{proposal}\n{}\n", lines.join("\n"))
}

#[test]
fn a_distribution_with_its_submodule_fetched() {
    let (_top, root) = repository("homerchy");
    homerchy(&root, true);
    let proposal = proposed(&root);
    insta::assert_snapshot!(shown(&proposal));
    let recipe = parse(&proposal.text, &root).unwrap();
    assert_eq!(check(&recipe), []);
    assert_eq!(recipe.image.engine, EngineKind::Archiso);
    // The same by the door that everybody uses.
    let opened = open(&root).unwrap();
    assert_eq!((opened.text, opened.proposed), (proposal.text, proposal.settings));
}

#[test]
fn a_distribution_whose_submodule_was_not_fetched() {
    let (_top, root) = repository("homerchy");
    homerchy(&root, false);
    insta::assert_snapshot!(shown(&proposed(&root)));
}

#[test]
fn a_downloaded_distribution_on_a_machine_with_archiso() {
    let (_top, root) = repository("homerchy");
    homerchy(&root, false);
    fs::remove_dir_all(root.join(".git")).unwrap();
    let removable = vec![PathBuf::from("airootfs/etc/motd")];
    let installed = Installed { profile: InstalledProfile::Releng, removable };
    insta::assert_snapshot!(shown(&on_a_machine_with(Some(installed), &root)));
}

#[test]
fn an_overlay_with_a_definition_and_a_conf_for_each_channel() {
    let (_top, root) = repository("omarchy-iso");
    omarchy_iso(&root);
    insta::assert_snapshot!(shown(&proposed(&root)));
}

#[test]
fn a_live_system_that_looks_elsewhere_whatever_the_environment_says() {
    let (_top, root) = repository("homerchy");
    homerchy(&root, true);
    let live = "#!/bin/bash\nsource /root/vm-env.sh\nexport OMARCHY_PATH=/root/omarchy\n";
    make(&root, &[("iso-builder/configs/airootfs/root/.automated_script.sh", live)]);
    let warnings = proposed(&root).settings.into_iter().filter(|it| it.kind == ProposedKind::Warning);
    let warnings: Vec<_> = warnings.map(|it| (it.key, it.why)).collect();
    let why = "iso-builder/configs/airootfs/root/.automated_script.sh:3 of the live system sets OMARCHY_PATH to \
               /root/omarchy, but the repository is put in /root/homerchy";
    assert_eq!(warnings, [("source.into".to_owned(), why.to_owned())]);
}

#[test]
fn a_repository_that_is_one_profile() {
    let (_top, root) = repository("tiny");
    profile(&root, "");
    make(&root, &[("out/tiny-2026.iso", "x"), ("work/build_date", "1"), ("work/x86_64/airootfs/etc/x", "")]);
    insta::assert_snapshot!(shown(&proposed(&root)));
}

#[test]
fn a_repository_with_two_profiles_an_overlay_and_one_for_tests() {
    let (_top, root) = repository("family");
    profile(&root, "spins/kde/");
    profile(&root, "spins/gnome/");
    profile(&root, "tests/profile/");
    make(
        &root,
        &[
            ("common/airootfs/etc/motd", "hello"),
            ("common/pacman.conf", "[mine]\nServer = file:///srv/mine\n"),
            ("vendor/airootfs/etc/x", ""),
            ("ci/env.sh", "export CI=1\n"),
        ],
    );
    insta::assert_snapshot!(shown(&proposed(&root)));
}

#[test]
fn a_copy_of_archiso() {
    let (_top, root) = repository("archiso");
    make(&root, &[("archiso/mkarchiso", "#!/bin/bash\n")]);
    profile(&root, "configs/baseline/");
    profile(&root, "configs/releng/");
    insta::assert_snapshot!(shown(&proposed(&root)));
}

#[test]
fn a_repository_that_is_an_overlay() {
    let (_top, root) = repository("dots");
    make(&root, &[("airootfs/root/.zlogin", "#!/bin/zsh\nexport DOTS_PATH=/opt/dots-live\n"), ("README.md", "x")]);
    insta::assert_snapshot!(shown(&proposed(&root)));
}

#[test]
fn without_a_sign_of_archiso_nothing_but_defaults_is_proposed() {
    let (_top, root) = repository("plain");
    make(
        &root,
        &[
            ("vmtools/vm-env.sh", "A=1\n"),
            ("work/x.iso", ""),
            ("pacman.conf", "[core]\nServer = x\n"),
            ("grub/grub.cfg", "set timeout=1"),
            ("packages", "x"),
            (".gitmodules", "[submodule \"x\"]\npath = x\nurl = https://example.org/x\n"),
        ],
    );
    let proposal = proposed(&root);
    assert_eq!(proposal.settings, []);
    assert_eq!(proposal.to_string(), "");
    let defaults = propose("plain", &Discovered { has_git: true, ..Discovered::default() });
    assert_eq!(proposal, defaults);
    assert_eq!(parse(&proposal.text, &root).unwrap(), parse("", &root).unwrap());
}

#[test]
fn secrets_and_what_only_a_shell_knows_are_named_and_not_copied() {
    let (_top, root) = repository("careful");
    profile(&root, "profile/");
    make(
        &root,
        &[(
            "vm-env.sh",
            "export GOOD='a \"b\" $c'\nexport GITHUB_TOKEN=sesame\nHOST=$(hostname)\nexport WIDE=\"ü\tx\"\n",
        )],
    );
    let proposal = proposed(&root);
    insta::assert_snapshot!(shown(&proposal));
    assert!(!proposal.text.contains("sesame"));
}

#[test]
fn names_that_cannot_be_written_down_are_told_and_patterns_are_escaped() {
    let (_top, root) = repository("odd");
    profile(&root, "a\nb/");
    profile(&root, "releng/");
    make(&root, &[("over\u{1b}[31mlay/airootfs/x", ""), ("so [it] is!/out/x.iso", "")]);
    let raw = root.join(OsStr::from_bytes(b"raw-\xff/airootfs"));
    fs::create_dir_all(&raw).unwrap();
    let bad = root.join(OsStr::from_bytes(b"bad-\xff/out"));
    fs::create_dir_all(bad).unwrap();
    let proposal = proposed(&root);
    insta::assert_snapshot!(shown(&proposal));
    assert!(!proposal.to_string().contains('\u{1b}'), "an escape sequence reached the terminal");
    let recipe = parse(&proposal.text, &root).unwrap();
    assert_eq!(recipe.image.base, isoprep::Base::Folder(root.join("releng")));
}

#[test]
fn links_are_not_followed() {
    let (top, root) = repository("links");
    profile(top.path(), "outside/");
    fs::write(top.path().join("secret-env.sh"), "STOLEN=1\n").unwrap();
    make(&root, &[("mine/airootfs/etc/x", "")]);
    symlink(top.path().join("outside"), root.join("profile")).unwrap();
    symlink(top.path().join("secret-env.sh"), root.join("vm-env.sh")).unwrap();
    symlink("..", root.join("mine/up")).unwrap();
    symlink(".", root.join("mine/airootfs/self")).unwrap();
    symlink("loop-b", root.join("loop-a")).unwrap();
    symlink("loop-a", root.join("loop-b")).unwrap();
    let proposal = proposed(&root);
    assert!(!proposal.text.contains("STOLEN"));
    assert_eq!(get_field(&proposal.text, "image.base").as_deref(), Some("minimal"));
    assert_eq!(get_field(&proposal.text, "image.overlays").as_deref(), Some("mine"));
    assert_eq!(proposal.settings.iter().filter(|it| it.kind == ProposedKind::Warning).count(), 0);
}

#[test]
fn what_is_no_file_is_not_opened_and_what_is_too_large_is_not_read() {
    let (_top, root) = repository("traps");
    profile(&root, "profile/");
    for name in ["profile/pacman-online.conf", "vm-env.sh", "build.sh", ".gitmodules"] {
        let fifo = root.join(name);
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    }
    make(&root, &[("iso-env.sh", &format!("A=1\n# {}\n", "x".repeat(1 << 20)))]);
    let began = Instant::now();
    let proposal = proposed(&root);
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(get_field(&proposal.text, "image.env"), None);
    assert_eq!(get_field(&proposal.text, "image.base").as_deref(), Some("profile"));
}

#[test]
fn a_folder_that_cannot_be_read_is_told_and_the_rest_is_found() {
    as_user("a_folder_that_cannot_be_read_is_told_and_the_rest_is_found", || {
        let (_top, root) = repository("closed");
        profile(&root, "profile/");
        make(&root, &[("private/x", "")]);
        fs::set_permissions(root.join("private"), fs::Permissions::from_mode(0o000)).unwrap();
        let proposal = proposed(&root);
        fs::set_permissions(root.join("private"), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(get_field(&proposal.text, "image.base").as_deref(), Some("profile"));
        let last = proposal.settings.last().unwrap();
        assert_eq!(last.why, "private could not be read: what is in there is not known");
        assert_eq!(last.from, [PathBuf::from("private")]);
    });
}

#[test]
fn thousands_of_folders_and_names_are_bounded_and_the_shallow_ones_are_found() {
    let (_top, root) = repository("huge");
    profile(&root, "zz/profile/");
    for number in 0..4600 {
        fs::create_dir_all(root.join(format!("data/{}/{number}", number % 7))).unwrap();
    }
    let mut deep = root.join("deep");
    for _ in 0..200 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    for number in 0..8300 {
        fs::write(root.join(format!("data/0/{number}.sh")), "").unwrap();
    }
    let began = Instant::now();
    let found = look(&root);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert!(found.cut);
    let proposal = proposed(&root);
    assert_eq!(get_field(&proposal.text, "image.base").as_deref(), Some("zz/profile"));
    assert!(proposal.to_string().contains("! the repository is so large that only a part of it was looked at"));
}

#[test]
fn samples_and_what_git_ignores_make_no_image() {
    let (_top, root) = repository("rusty");
    make(
        &root,
        &[
            ("Cargo.toml", "[package]"),
            ("tests/airootfs/etc/x", ""),
            (".gitignore", "/build\n"),
            ("build/x86_64/airootfs/etc/x", ""),
            ("half/work/x86_64/airootfs/etc/x", ""),
        ],
    );
    let found = look(&root);
    assert!(!found.is_archiso(), "{:?}", found.overlays);
}

#[test]
fn a_deep_live_system_is_no_large_repository() {
    let (_top, root) = repository("deep");
    profile(&root, "iso/");
    make(&root, &[("iso/airootfs/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o", "")]);
    assert!(!look(&root).cut);
    make(&root, &[("a/b/c/d/e/f/g/h/i/j/k/l/m/n/o", "")]);
    assert!(look(&root).cut);
}

#[test]
fn a_list_of_packages_of_another_name_is_told() {
    let (_top, root) = repository("cachy");
    profile(&root, "archiso/");
    fs::rename(root.join("archiso/packages.x86_64"), root.join("archiso/packages_desktop.x86_64")).unwrap();
    let proposal = proposed(&root);
    assert_eq!(get_field(&proposal.text, "image.base").unwrap(), "archiso");
    let told =
        |it: &isoprep::recipe::Proposed| it.kind == ProposedKind::Warning && it.why.contains("packages_desktop.x86_64");
    assert!(proposal.settings.iter().any(told), "{proposal}");
}

#[test]
fn a_base_in_a_submodule_that_was_not_fetched_is_called_one() {
    let (_top, root) = repository("homerchy");
    homerchy(&root, false);
    let text = "[image]\nengine = \"archiso\"\nbase = \"iso-builder/archiso/configs/releng\"\n";
    let findings = check(&parse(text, &root).unwrap());
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert!(finding.message.contains("submodule iso-builder/archiso, which was not fetched"), "{finding:?}");
    assert!(finding.advice.contains("git submodule update --init -- iso-builder/archiso"), "{finding:?}");
}

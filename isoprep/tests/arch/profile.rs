//! A profile like releng, small enough that it is built and booted in a test, and everything in it can be changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::{Repository, Signatures};

/// What every boot entry says to the kernel. `no_timer_check` keeps emulated guests from panicking on a busy machine.
const ARGUMENTS: &str = "archisobasedir=%INSTALL_DIR% archisosearchuuid=%ARCHISO_UUID% console=tty0 \
                         console=ttyS0,115200 no_timer_check";

/// The hooks of releng's initramfs.
const HOOKS: &[&str] = &[
    "base",
    "udev",
    "microcode",
    "modconf",
    "kms",
    "memdisk",
    "archiso",
    "archiso_loop_mnt",
    "archiso_pxe_common",
    "archiso_pxe_nbd",
    "archiso_pxe_http",
    "archiso_pxe_nfs",
    "block",
    "filesystems",
    "keyboard",
];

/// A hook of the profile's own, which takes itself away as releng's do.
const HOOK: &str = "[Trigger]\nOperation = Install\nOperation = Upgrade\nType = Package\nTarget = *\n\n[Action]\n\
                    Description = Hook of the profile...\nWhen = PostTransaction\nDepends = bash\n\
                    Exec = /bin/sh -c \"echo yes >/etc/hooked; rm -- /etc/pacman.d/hooks/50-archtest.hook\"\n";

/// The packages that such a profile cannot do without.
const PACKAGES: &[&str] = &[
    "arch-install-scripts",
    "base",
    "linux",
    "mkinitcpio",
    "mkinitcpio-archiso",
    "mkinitcpio-nfs-utils",
    "nbd",
    "syslinux",
];

#[derive(Clone, Debug)]
enum Entry {
    File { bytes: Vec<u8>, executable: bool },
    Link(String),
}

/// A profile that is being put together; [`write`](Self::write) makes its folder.
#[derive(Clone, Debug)]
pub struct TestProfile {
    /// Variables of profiledef.sh, as bash.
    variables: BTreeMap<String, String>,
    permissions: BTreeMap<String, String>,
    packages: Vec<String>,
    hooks: Vec<String>,
    compression: String,
    arguments: String,
    report_paths: Vec<String>,
    report_trees: Vec<String>,
    files: BTreeMap<String, Entry>,
    deleted: BTreeSet<String>,
    replaced: Vec<(String, String, String)>,
}

impl TestProfile {
    /// Like releng: BIOS by SYSLINUX and UEFI by systemd-boot, squashfs, an automated script, odd permissions.
    pub fn releng(repository: &Repository) -> Self {
        let variables = [
            ("iso_name", "archtest"),
            ("iso_label", "ARCHTEST_202611"),
            ("iso_publisher", "'Archtest <https://example.invalid>'"),
            ("iso_application", "'Archtest live medium'"),
            ("iso_version", "2026.11.24"),
            ("install_dir", "arch"),
            ("buildmodes", "('iso')"),
            ("bootmodes", "('bios.syslinux' 'uefi.systemd-boot')"),
            ("pacman_conf", "pacman.conf"),
            ("airootfs_image_type", "squashfs"),
            ("airootfs_image_tool_options", "('-comp' 'zstd' '-Xcompression-level' '3')"),
        ];
        let permissions = [
            ("/etc/shadow", "0:0:400"),
            ("/root", "0:0:750"),
            ("/root/.automated_script.sh", "0:0:755"),
            ("/usr/local/bin/choose-mirror", "0:0:755"),
        ];
        let owned = |list: &[(&str, &str)]| list.iter().map(|&(a, b)| (a.to_owned(), b.to_owned())).collect();
        let strings = |list: &[&str]| list.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
        let profile = Self {
            variables: owned(&variables),
            permissions: owned(&permissions),
            packages: strings(PACKAGES),
            hooks: strings(HOOKS),
            compression: "zstd".into(),
            arguments: ARGUMENTS.into(),
            report_paths: strings(&["/root", "/root/.automated_script.sh", "/etc/shadow", "/usr/local/bin/*"]),
            report_trees: Vec::new(),
            files: BTreeMap::new(),
            deleted: BTreeSet::new(),
            replaced: Vec::new(),
        };
        profile
            .signatures(repository, Signatures::Never)
            .file("airootfs/etc/hostname", "archtest\n")
            .file("airootfs/etc/motd", "This medium is made by a test.\n")
            .file("airootfs/etc/passwd", "root:x:0:0:root:/root:/usr/bin/bash\n")
            .file("airootfs/etc/shadow", "root::14871::::::\n")
            .link("airootfs/etc/localtime", "/usr/share/zoneinfo/UTC")
            .link(
                "airootfs/etc/systemd/system/multi-user.target.wants/choose-mirror.service",
                "/etc/systemd/system/choose-mirror.service",
            )
            .file(
                "airootfs/etc/systemd/system/choose-mirror.service",
                "[Unit]\nDescription=Choose a mirror\n\n[Service]\nType=oneshot\nExecStart=/usr/local/bin/choose-mirror\n\n\
                 [Install]\nWantedBy=multi-user.target\n",
            )
            .executable("airootfs/root/.automated_script.sh", "#!/usr/bin/env bash\necho automated\n")
            .executable("airootfs/usr/local/bin/choose-mirror", "#!/usr/bin/env bash\necho mirror\n")
            .file("airootfs/etc/pacman.d/hooks/50-archtest.hook", HOOK)
            .file(
                "airootfs/etc/mkinitcpio.d/linux.preset",
                "PRESETS=('archiso')\nALL_kver='/boot/vmlinuz-linux'\n\
                 archiso_config='/etc/mkinitcpio.conf.d/archiso.conf'\narchiso_image=\"/boot/initramfs-linux.img\"\n",
            )
    }

    /// Sets a variable of profiledef.sh to a piece of bash: `"'text'"`, `"('a' 'b')"`.
    pub fn set(mut self, variable: &str, bash: &str) -> Self {
        self.variables.insert(variable.into(), bash.into());
        self
    }

    /// Takes a variable out of profiledef.sh.
    pub fn unset(mut self, variable: &str) -> Self {
        self.variables.remove(variable);
        self
    }

    /// The boot modes. `uefi.grub` brings its own configuration.
    pub fn boot_modes(self, modes: &[&str]) -> Self {
        self.set("bootmodes", &array(modes))
    }

    /// How the root is packed: `squashfs`, `erofs`, `ext4+squashfs`, each with options that cost little time.
    pub fn image_type(self, kind: &str) -> Self {
        let options: &[&str] = match kind {
            "erofs" => &["-zlz4hc,1"],
            _ => &["-comp", "zstd", "-Xcompression-level", "3"],
        };
        self.set("airootfs_image_type", &format!("'{kind}'")).image_options(options)
    }

    /// The options of the program that packs the root.
    pub fn image_options(self, options: &[&str]) -> Self {
        self.set("airootfs_image_tool_options", &array(options))
    }

    /// Adds packages.
    pub fn packages(mut self, names: &[&str]) -> Self {
        self.packages.extend(names.iter().map(|&it| it.to_owned()));
        self
    }

    /// Takes a package from the list.
    pub fn without(mut self, name: &str) -> Self {
        self.packages.retain(|it| it != name);
        self
    }

    /// The hooks of the initramfs.
    pub fn hooks(mut self, names: &[&str]) -> Self {
        self.hooks = names.iter().map(|&it| it.to_owned()).collect();
        self
    }

    /// Puts a hook behind another one.
    pub fn hook_after(mut self, before: &str, name: &str) -> Self {
        let at = self.hooks.iter().position(|it| it == before).expect("no such hook") + 1;
        self.hooks.insert(at, name.into());
        self
    }

    /// The compressor of the initramfs: `zstd`, `xz`, `gzip`, `cat`, or one that is not there.
    pub fn compression(mut self, program: &str) -> Self {
        self.compression = program.into();
        self
    }

    /// Adds arguments to every boot entry: `checksum=y`, `copytoram=y`.
    pub fn arguments(mut self, more: &str) -> Self {
        self.arguments = format!("{} {more}", self.arguments);
        self
    }

    /// An entry of `file_permissions`: `permission("/root/x", "0:0:755")`.
    pub fn permission(mut self, path: &str, words: &str) -> Self {
        self.permissions.insert(path.into(), words.into());
        self
    }

    /// Adds patterns of paths that the guest reports on.
    pub fn report_paths(mut self, patterns: &[&str]) -> Self {
        self.report_paths.extend(patterns.iter().map(|&it| it.to_owned()));
        self
    }

    /// Adds directories that the guest hashes.
    pub fn report_trees(mut self, dirs: &[&str]) -> Self {
        self.report_trees.extend(dirs.iter().map(|&it| it.to_owned()));
        self
    }

    /// The pacman.conf that goes with a way of checking signatures.
    pub fn signatures(self, repository: &Repository, signatures: Signatures) -> Self {
        self.file("pacman.conf", &repository.pacman_conf(signatures))
    }

    /// A file, relative to the profile: `airootfs/etc/x`. Replaces what is there.
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.into(), Entry::File { bytes: text.into(), executable: false });
        self
    }

    /// An executable file.
    pub fn executable(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.into(), Entry::File { bytes: text.into(), executable: true });
        self
    }

    /// A symbolic link.
    pub fn link(mut self, path: &str, target: &str) -> Self {
        self.files.insert(path.into(), Entry::Link(target.into()));
        self
    }

    /// Leaves out a file, or everything below a directory, whoever made it.
    pub fn delete(mut self, path: &str) -> Self {
        self.deleted.insert(path.into());
        self
    }

    /// Replaces a text that must be in a file, last of all.
    pub fn replace(mut self, path: &str, from: &str, to: &str) -> Self {
        self.replaced.push((path.into(), from.into(), to.into()));
        self
    }

    /// Writes the profile into `dir`, which must not exist, and returns it.
    pub fn write(&self, dir: &Path) -> PathBuf {
        assert!(!dir.exists(), "{} is there already", dir.display());
        let mut files = self.made();
        files.extend(self.files.clone());
        files.retain(|path, _| {
            !self
                .deleted
                .iter()
                .any(|gone| path == gone || path.strip_prefix(gone).is_some_and(|it| it.starts_with('/')))
        });
        for (path, from, to) in &self.replaced {
            let Some(Entry::File { bytes, .. }) = files.get_mut(path) else { panic!("{path}: no such file") };
            let text = String::from_utf8(bytes.clone()).unwrap();
            assert!(text.contains(from), "{path} has no {from:?}:\n{text}");
            *bytes = text.replace(from, to).into_bytes();
        }
        for (path, entry) in files {
            let path = dir.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match entry {
                Entry::Link(target) => symlink(target, path).unwrap(),
                Entry::File { bytes, executable } => {
                    fs::write(&path, bytes).unwrap();
                    let mode = if executable { 0o755 } else { 0o644 };
                    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
                }
            }
        }
        dir.to_owned()
    }

    /// The files that follow from the settings.
    fn made(&self) -> BTreeMap<String, Entry> {
        let mut files = BTreeMap::new();
        let mut put = |path: &str, text: String| {
            files.insert(path.to_owned(), Entry::File { bytes: text.into(), executable: false });
        };
        put("profiledef.sh", self.definition());
        put("packages.x86_64", lines(&self.packages));
        let hooks = self.hooks.join(" ");
        put(
            "airootfs/etc/mkinitcpio.conf.d/archiso.conf",
            format!("HOOKS=({hooks})\nCOMPRESSION=\"{}\"\n", self.compression),
        );
        put("airootfs/etc/guest-report/paths", lines(&self.report_paths));
        put("airootfs/etc/guest-report/trees", lines(&self.report_trees));
        let (kernel, initrd) =
            ("/%INSTALL_DIR%/boot/%ARCH%/vmlinuz-linux", "/%INSTALL_DIR%/boot/%ARCH%/initramfs-linux.img");
        let arguments = &self.arguments;
        put(
            "syslinux/syslinux.cfg",
            format!(
                "SERIAL 0 115200\nDEFAULT arch\nTIMEOUT 1\nLABEL arch\nLINUX {kernel}\nINITRD {initrd}\nAPPEND {arguments}\n"
            ),
        );
        let modes = &self.variables["bootmodes"];
        if modes.contains("systemd-boot") || !modes.contains("uefi") {
            put("efiboot/loader/loader.conf", "timeout 0\ndefault 01-archiso-linux.conf\n".into());
            put(
                "efiboot/loader/entries/01-archiso-linux.conf",
                format!(
                    "title    Archtest (%ARCH%, UEFI)\nsort-key 01\nlinux    {kernel}\ninitrd   {initrd}\noptions  {arguments}\n"
                ),
            );
        }
        if modes.contains("grub") {
            let entry = |id: &str| {
                format!(
                    "menuentry 'Archtest (%ARCH%)' --id '{id}' {{\n    linux {kernel} {arguments}\n    initrd {initrd}\n}}\n"
                )
            };
            put(
                "grub/grub.cfg",
                format!(
                    "insmod part_gpt\ninsmod fat\ninsmod iso9660\nset timeout=0\nset default=arch\n{}",
                    entry("arch")
                ),
            );
            put(
                "grub/loopback.cfg",
                format!("search --no-floppy --set=root --file '%ARCHISO_SEARCH_FILENAME%'\n{}", entry("arch")),
            );
        }
        files
    }

    fn definition(&self) -> String {
        let mut text = String::from("#!/usr/bin/env bash\n# shellcheck disable=SC2034\n\n");
        for (name, value) in &self.variables {
            text.push_str(&format!("{name}={value}\n"));
        }
        text.push_str("file_permissions=(\n");
        for (path, words) in &self.permissions {
            text.push_str(&format!("  [\"{path}\"]=\"{words}\"\n"));
        }
        text.push_str(")\n");
        text
    }
}

fn array(words: &[&str]) -> String {
    format!("({})", words.iter().map(|it| format!("'{it}'")).collect::<Vec<_>>().join(" "))
}

fn lines(words: &[String]) -> String {
    words.iter().map(|it| format!("{it}\n")).collect()
}

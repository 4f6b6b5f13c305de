//! The cartridge's environment as files of the live system: pure.
//!
//! Each of these reaches other programs, and none reaches all:
//!
//! - `/etc/profile.d/cartridge.sh`: login shells and what they start. bash and sh read `/etc/profile`; zsh, releng's
//!   root shell, reads Arch's `/etc/zsh/zprofile`, which sources it. So the automatic login on tty1, `.zlogin`, `ssh
//!   host`, `su -`, and display managers whose session script sources it (SDDM, greetd).
//! - `/etc/environment.d/50-cartridge.conf`: the systemd instance of each user (`environment.d(5)`), its services, and
//!   what a desktop starts through it (GNOME, uwsm).
//! - `/etc/systemd/system.conf.d/50-cartridge.conf`: every service of the system (`DefaultEnvironment=` of
//!   `systemd-system.conf(5)`).
//!
//! Not reached: the initramfs; `ssh host command` and `zsh -c` (no login shell, and PAM reads neither folder); fish,
//! which reads no `/etc/profile`, unless something above it did; cron jobs; `sudo`, which clears what it does not know.
//! An empty value is left out of `environment.d`, whose reader refuses it. `/etc/environment` would reach some of
//! these, but is a package's own file.

use std::collections::BTreeMap;

/// The files, by path in `airootfs`.
pub(super) fn files(env: &BTreeMap<String, String>) -> [(&'static str, String); 3] {
    [
        ("etc/profile.d/cartridge.sh", profile(env)),
        ("etc/environment.d/50-cartridge.conf", environment_d(env)),
        ("etc/systemd/system.conf.d/50-cartridge.conf", manager(env)),
    ]
}

const HEADING: &str = "# image.env of cartridge.toml\n";

/// Whether systemd, bash and zsh take this as a variable.
pub(super) fn is_variable(name: &str, value: &str) -> bool {
    let mut letters = name.bytes();
    letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == b'_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == b'_')
        && !value.contains('\0')
}

/// For every shell that reads `/etc/profile`: POSIX quoting.
fn profile(env: &BTreeMap<String, String>) -> String {
    let line = |(key, value): (&String, &String)| format!("export {key}='{}'\n", value.replace('\'', r"'\''"));
    HEADING.to_owned() + &env.iter().map(line).collect::<String>()
}

/// `environment.d(5)`: shell-like quotes come off first, then `$` is expanded in what is left, where `$$` is one `$`.
fn environment_d(env: &BTreeMap<String, String>) -> String {
    let quoted = |value: &str| -> String {
        value.chars().fold(String::new(), |text, letter| match letter {
            '$' => text + r"\$\$",
            '"' | '\\' | '`' => text + "\\" + letter.encode_utf8(&mut [0; 4]),
            other => text + other.encode_utf8(&mut [0; 4]),
        })
    };
    let line = |(key, value): (&String, &String)| format!("{key}=\"{}\"\n", quoted(value));
    HEADING.to_owned() + &env.iter().filter(|it| !it.1.is_empty()).map(line).collect::<String>()
}

/// `DefaultEnvironment=`: words as in `Environment=` of `systemd.exec(5)`, with C escapes in quotes and `%` specifiers.
fn manager(env: &BTreeMap<String, String>) -> String {
    let quoted = |value: &str| -> String {
        value.chars().fold(String::new(), |text, letter| match letter {
            '%' => text + "%%",
            '"' | '\\' => text + "\\" + letter.encode_utf8(&mut [0; 4]),
            control if control.is_ascii_control() => text + &format!("\\x{:02x}", u32::from(control)),
            other => text + other.encode_utf8(&mut [0; 4]),
        })
    };
    let line = |(key, value): (&String, &String)| format!("DefaultEnvironment=\"{key}={}\"\n", quoted(value));
    format!("{HEADING}[Manager]\n{}", env.iter().map(line).collect::<String>())
}

//! What real shells and systemd read in what was written.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use cartridge_supervise::{CommandLine, run};
use isoprep::Cancel;
use isoprep::assembly::{Modes, append_permissions};

use crate::bench::{Bench, mode, read};

fn output(line: &CommandLine) -> Vec<u8> {
    run(line, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}")).stdout
}

/// Values that a careless quoting would break.
fn awkward() -> BTreeMap<String, String> {
    let values = [
        ("PLAIN", "/root/demo"),
        ("SPACES", " two  words "),
        ("QUOTES", r#"it's "quoted" `tick`"#),
        ("DOLLAR", "$HOME ${HOME} $$ $(id) $"),
        ("BACK", r"\ \\ \n \$ end\"),
        ("SIGNS", "# ; & | < > * ? ~ ! % %h %% = {a,b} [x]"),
        ("LINES", "one\ntwo\ttab\rback\n"),
        ("LETTERS", "äöü € 🦀"),
        ("EMPTY", ""),
        ("_x1", "-n"),
    ];
    values.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// The variables as a program sees them, from the output of `env -0`.
fn variables(output: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8(output.to_vec()).unwrap();
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn assembled() -> (Bench, PathBuf) {
    let mut bench = Bench::new();
    bench.ingredients.env = awkward();
    let (assembly, target) = bench.assemble();
    assert_eq!(assembly.problems, []);
    (bench, target.join("airootfs/etc"))
}

#[test]
fn every_shell_reads_the_values_as_they_are() {
    let (_bench, etc) = assembled();
    let script = etc.join("profile.d/cartridge.sh");
    assert_eq!(mode(&script), 0o644);
    for shell in [&["bash", "-eu"][..], &["sh", "-eu"], &["busybox", "ash"]] {
        // As /etc/profile does it.
        let line =
            CommandLine::new(shell[0]).args(&shell[1..]).args(["-c", r#"[ -r "$1" ] && . "$1"; exec env -0"#, "sh"]);
        let seen = variables(&output(&line.arg(&script)));
        for (key, value) in awkward() {
            assert_eq!(seen.get(&key), Some(&value), "{shell:?}: {key}");
        }
    }
}

#[test]
fn systemd_reads_the_values_as_they_are() {
    let (bench, etc) = assembled();
    let places = ["/usr/lib/systemd", "/lib/systemd"].map(|dir| Path::new(dir).join("user-environment-generators"));
    let generator = places.iter().map(|dir| dir.join("30-systemd-environment-d-generator")).find(|it| it.exists());
    // The user manager's own reader, told that a user's folder is ours.
    let line = CommandLine::new(generator.expect("systemd is a need of the tests"));
    let line = line.env("XDG_CONFIG_HOME", &etc).env("HOME", bench.dir.path());
    let told = String::from_utf8(output(&line)).unwrap();
    // It prints what a shell would read.
    let script = bench
        .write("told.sh", format!("set -a\n{}", told.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r")));
    let seen = variables(&output(&CommandLine::new("bash").args(["-c", r#". "$1"; exec env -0"#, "sh"]).arg(script)));
    for (key, value) in awkward().iter().filter(|it| !it.1.is_empty() && *it.0 != "BACK") {
        assert_eq!(seen.get(key), Some(value), "{key}: {told}");
    }
    assert!(told.contains(r#"BACK="\\ \\\\ \\n \\\$ end\\""#), "{told}");
}

/// `DefaultEnvironment=` is read as `Environment=` of a unit is (systemd-system.conf(5)), and what that holds is what
/// systemd's own test mode shows. It refuses to run as root.
#[test]
fn the_system_manager_reads_the_values_as_they_are() {
    let (bench, etc) = assembled();
    let text = read(etc.join("systemd/system.conf.d/50-cartridge.conf"));
    let words: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("DefaultEnvironment=")).collect();
    assert_eq!(text.lines().nth(1), Some("[Manager]"));
    assert_eq!((words.len(), text.lines().count()), (awkward().len(), awkward().len() + 2));
    let environment: String = words.iter().map(|word| format!("Environment={word}\n")).collect();
    let unit = "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/true\n";
    bench.write("units/t.service", format!("{unit}{environment}"));
    bench.chmod("", 0o755);
    let places = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"].map(Path::new);
    let systemd = places.iter().find(|it| it.exists()).expect("systemd is a need of the tests");
    let line = if rustix::process::geteuid().is_root() {
        CommandLine::new("setpriv").args(["--reuid", "65534", "--clear-groups", "--"]).arg(systemd)
    } else {
        CommandLine::new(systemd)
    };
    let line = line.args(["--test", "--system", "--unit=t.service"]).env("SYSTEMD_LOG_TARGET", "console");
    let shown = String::from_utf8(output(&line.env("SYSTEMD_UNIT_PATH", bench.at("units")))).unwrap();
    for (key, value) in awkward() {
        assert!(shown.contains(&format!("\t\tEnvironment: {key}={value}\n")), "{key}: {shown}");
    }
}

/// Sources `profiledef.sh` as mkarchiso does, in a function under `set -eu`, and returns what is in `file_permissions`.
fn permissions(profile: &Path) -> BTreeMap<Vec<u8>, String> {
    let script = r#"
        set -e -u
        shopt -s extglob
        export LC_ALL=C.UTF-8
        declare -A file_permissions=()
        profile="$1"
        read_profile() { cd -- "$profile"; . "$profile/profiledef.sh"; cd -- "$OLDPWD"; }
        read_profile
        for filename in "${!file_permissions[@]}"; do
            printf '%s\0%s\0' "$filename" "${file_permissions["${filename}"]}"
        done"#;
    let out = output(&CommandLine::new("bash").args(["-c", script, "bash"]).arg(profile));
    let mut fields = out.split(|byte| *byte == 0);
    let mut found = BTreeMap::new();
    while let (Some(key), Some(value)) = (fields.next(), fields.next()) {
        found.insert(key.to_vec(), String::from_utf8(value.to_vec()).unwrap());
    }
    found
}

#[test]
fn bash_reads_the_appended_modes_whatever_the_names() {
    let names: [&[u8]; 12] = [
        b"/usr/local/bin/run",
        b"/a b",
        b"/it's",
        b"/a\nb",
        b"/\xff\xfe",
        b"/a]b",
        b"/a]='0:0:777'",
        b"/$(touch hacked)",
        b"/`touch hacked`",
        b"/\"q\" \\ $HOME ${x} * ?",
        b"/)",
        b"/#",
    ];
    let modes: Modes = names.iter().map(|name| (OsStr::from_bytes(name).into(), 0o755)).collect();
    let definitions = [
        "",
        "iso_name=demo",
        "# a comment without an end",
        "file_permissions=(\n  [\"/etc/shadow\"]=\"0:0:400\"\n)\n",
        "unset file_permissions\n",
        "cat >/dev/null <<EOF\nx\nEOF",
    ];
    for definition in definitions {
        let bench = Bench::new();
        let file = bench.write("base/profiledef.sh", definition);
        bench.chmod(&file, 0o444);
        append_permissions(&bench.at("base"), &modes).unwrap();
        assert_eq!(mode(&file), 0o444);
        assert!(read_bytes(&file).starts_with(definition.as_bytes()));
        let mut expected: BTreeMap<Vec<u8>, String> =
            names.iter().map(|name| (name.to_vec(), "0:0:755".to_owned())).collect();
        if definition.contains("shadow") {
            expected.insert(b"/etc/shadow".to_vec(), "0:0:400".to_owned());
        }
        assert_eq!(permissions(&bench.at("base")), expected, "{definition:?}");
        let left: Vec<_> = fs::read_dir(bench.at("base")).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(left.len(), 4, "{left:?}");
    }
}

fn read_bytes(file: &Path) -> Vec<u8> {
    fs::read(file).unwrap()
}

/// The way that the bits take with mkarchiso: a copy without modes, then `file_permissions`.
#[test]
fn the_bits_survive_a_copy_without_modes() {
    let mut bench = Bench::new();
    bench.write("base/profiledef.sh", "file_permissions=([\"/usr/bin/named\"]=\"0:0:700\")");
    let over = bench.overlay("over");
    for name in ["named", "run", "with space"] {
        bench.write(format!("{over}/airootfs/usr/bin/{name}"), "#!/bin/sh\necho ran\n");
        bench.chmod(format!("{over}/airootfs/usr/bin/{name}"), 0o755);
    }
    bench.write(format!("{over}/airootfs/root/.ssh/key"), "x");
    bench.chmod(format!("{over}/airootfs/root/.ssh"), 0o700);
    bench.link(format!("{over}/airootfs/usr/bin/alias"), "run");
    let (assembly, target) = bench.assemble();
    let named = [("/usr/bin/named".to_owned(), isoprep::profile::FilePermission { uid: 0, gid: 0, mode: 0o700 })];
    append_permissions(&target, &assembly.modes(&named.into())).unwrap();
    // The user's own is as it was.
    assert!(!read(bench.at("base/profiledef.sh")).contains("Cartridge"));
    let root = bench.folder("root");
    let copy = "umask 0022; cp -af --no-preserve=ownership,mode -- \"$1/.\" \"$2\"";
    output(&CommandLine::new("bash").args(["-c", copy, "bash"]).arg(target.join("airootfs")).arg(&root));
    assert_eq!(mode(root.join("usr/bin/run")), 0o644);
    for (path, value) in permissions(&target) {
        let path = PathBuf::from(std::ffi::OsString::from_vec(path));
        let bits = u32::from_str_radix(value.strip_prefix("0:0:").unwrap(), 8).unwrap();
        bench.chmod(root.join(path.strip_prefix("/").unwrap()), bits);
    }
    let modes = ["usr/bin/named", "usr/bin/run", "usr/bin/with space", "root/.ssh", "root/.ssh/key", "usr/bin"];
    assert_eq!(modes.map(|path| mode(root.join(path))), [0o700, 0o755, 0o755, 0o700, 0o644, 0o755]);
    assert_eq!(output(&CommandLine::new(root.join("usr/bin/alias"))), b"ran\n");
}

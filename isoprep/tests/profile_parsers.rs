//! Our parsers against the programs that they imitate: bash's `declare -p`, the sed of mkarchiso, pacman-conf.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cartridge_supervise::{Cancel, CommandLine, run};
use isoprep::profile::{BashValue, parse_declarations, parse_package_list, read_pacman_conf};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

fn out(line: &CommandLine) -> Vec<u8> {
    run(line, &Cancel::new(), |_, _| ()).unwrap().stdout
}

/// Bash is slow to start, so few cases of many values.
fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

/// Hands keys and values to bash as arguments, and asks it what it holds.
const HOLDER: &str = r#"
declare -A map=() ; declare -a list=() ; declare -- last=''
while (( $# )); do map["$1"]=$2; list[${#list[@]}*3]=$2; last=$2; shift 2; done
declare -a unset_list ; declare -A unset_map ; declare -ir number=7
declare -p map list last unset_list unset_map number
"#;

fn argument() -> impl Strategy<Value = String> {
    // Bash decides by single characters how it quotes: those of the shell, those that are not printed, all others.
    let piece = prop_oneof![
        "[ -~]{0,4}",
        "[\u{1}-\u{1f}\u{7f}]{1,2}",
        "[$`\"'\\\\!~#@*\\[\\]]{1,3}",
        any::<char>().prop_filter("no NUL", |c| *c != '\0').prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

#[test]
fn what_real_bash_prints_is_what_it_holds() {
    let pairs = prop::collection::btree_map(argument().prop_filter("a key", |key| !key.is_empty()), argument(), 1..60);
    let checked = runner(40).run(&pairs, |pairs| {
        let words = pairs.iter().flat_map(|(key, value)| [key.clone(), value.clone()]);
        for locale in ["C.UTF-8", "C"] {
            let line = CommandLine::new("bash")
                .args(["--norc", "-c", HOLDER, "bash"])
                .args(words.clone())
                .env("LC_ALL", locale);
            let found = parse_declarations(&out(&line)).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(&found["map"].value, &BashValue::Associative(pairs.clone()));
            let values: BTreeMap<u64, String> = (0..).step_by(3).zip(pairs.values().cloned()).collect();
            prop_assert_eq!(&found["list"].value, &BashValue::Indexed(values));
            prop_assert_eq!(found["last"].value.scalar(), pairs.values().next_back().unwrap());
            prop_assert_eq!(
                (&found["unset_list"].value, &found["unset_map"].value),
                (&BashValue::Unset, &BashValue::Unset)
            );
            prop_assert_eq!((found["number"].attributes.as_str(), found["number"].value.scalar()), ("ir", "7"));
        }
        Ok(())
    });
    checked.unwrap();
}

#[test]
fn everything_that_this_bash_declares_is_read() {
    let line = CommandLine::new("bash").args(["--norc", "-c", "f() { local -A in=([a]=b); declare -p; }; f"]);
    let found = parse_declarations(&out(&line)).unwrap();
    assert!(found.len() > 20 && found.contains_key("BASH_VERSINFO") && found.contains_key("in"));
}

#[test]
fn package_lists_are_cut_as_sed_cuts_them() {
    let top = tempfile::tempdir().unwrap();
    let file = top.path().join("list");
    let text = "([a-z]{1,5}|[ \t]{1,2}|#|\n|\r){0,60}";
    let checked = runner(150).run(&text, |text| {
        fs::write(&file, &text).unwrap();
        // The expression of mkarchiso 88.
        let line = CommandLine::new("sed").arg("/^[[:blank:]]*#.*/d;s/#.*//;/^[[:blank:]]*$/d").arg(&file);
        let sed = String::from_utf8(out(&line)).unwrap();
        // Lines of carriage returns and blanks alone are packages to sed; we tell them by the flag.
        let wanted: Vec<&str> =
            sed.lines_kept().filter(|line| !line.trim_matches([' ', '\t', '\r']).is_empty()).collect();
        let list = parse_package_list(&file, &text);
        let found: Vec<&str> = list.packages.iter().map(|it| it.raw.as_str()).collect();
        prop_assert_eq!(found, wanted);
        Ok(())
    });
    checked.unwrap();
}

trait LinesKept {
    /// The lines with their carriage returns, which `str::lines` takes away.
    fn lines_kept(&self) -> impl Iterator<Item = &str>;
}

impl LinesKept for String {
    fn lines_kept(&self) -> impl Iterator<Item = &str> {
        self.split('\n').filter(|line| !line.is_empty())
    }
}

/// Repositories with servers as pacman-conf prints them.
fn asked(conf: &Path) -> Result<Vec<(String, Vec<String>)>, String> {
    let line = |args: &[&str]| {
        CommandLine::new("pacman-conf").arg("--config").arg(conf).args(args.to_vec()).env("LC_ALL", "C")
    };
    let text = |args: &[&str]| {
        let output = run(&line(args), &Cancel::new(), |_, _| ()).map_err(|e| e.to_string())?;
        Ok::<_, String>(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let of = |name: String| Ok((name.clone(), lines(text(&["--repo", &name, "Server"])?)));
    lines(text(&["--repo-list"])?).into_iter().map(of).collect()
}

#[test]
fn pacman_conf_agrees_on_repositories_and_servers() {
    let top = tempfile::tempdir().unwrap();
    let at = |name: &str| top.path().join(name);
    fs::create_dir(at("d")).unwrap();
    for (name, text) in [
        ("mirrors", "# one\nServer = https://m1/$repo/$arch\n\n  Server=https://m2  \n#Server = https://m3\n"),
        ("d/2.conf", "[second]\nServer = s\n"),
        ("d/1.conf", "Color\n[first]\nServer = f\n"),
        ("d/.hidden", "[hidden]\n"),
        ("loop", "[looped]\nInclude = {TOP}/loop\n"),
    ] {
        fs::write(at(name), text.replace("{TOP}", top.path().to_str().unwrap())).unwrap();
    }
    let check = |text: &str| {
        let conf = at("pacman.conf");
        fs::write(&conf, text.replace("{TOP}", top.path().to_str().unwrap())).unwrap();
        let ours = read_pacman_conf(&conf).unwrap();
        let found: Vec<(String, Vec<String>)> = ours
            .repositories
            .iter()
            .map(|it| {
                let expand = |url: &str| url.replace("$repo", &it.name).replace("$arch", "x86_64");
                (it.name.clone(), it.servers.iter().map(|server| expand(&server.value)).collect())
            })
            .collect();
        (asked(&conf), found, ours)
    };
    for text in [
        "[options]\nArchitecture = x86_64\n[core]\nInclude = {TOP}/mirrors\nServer = last\n[extra]\nInclude = {TOP}/mirrors\n",
        "[options]\nArchitecture = x86_64\nInclude = {TOP}/d/*\nServer = after\n[core]\nServer = a=b # c\n",
        "\n  [options]  \r\nArchitecture = x86_64\r\n[core]\r\nServer = x\r\nSigLevel = Never\r\nUsage = All\r\nUnknown = 1\r\n[core2]\n",
        "[options]\nArchitecture = x86_64\n[core]\nInclude = {TOP}/d/[12].conf\nInclude = {TOP}/m?rrors\n",
    ] {
        let (theirs, found, ours) = check(text);
        assert_eq!(theirs.unwrap(), found, "{text}");
        assert!(ours.missing_includes.is_empty(), "{text}");
    }
    // Where pacman ends, we have something to say.
    for text in ["[core]\nInclude = {TOP}/none/*\n", "[core]\nInclude =\n"] {
        let (theirs, _, ours) = check(text);
        assert!(theirs.unwrap_err().contains("could not be read"), "{text}");
        assert_eq!(ours.missing_includes.len(), 1, "{text}");
    }
    let (theirs, found, _) = check("[core]\nServer = x\nInclude = {TOP}/loop\n");
    assert!(theirs.unwrap_err().contains("recursion"));
    assert_eq!(found.len(), 11);
}

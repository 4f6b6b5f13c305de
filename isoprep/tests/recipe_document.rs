//! Setting single fields: values come back, comments and layout stay.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use isoprep::discover::Discovered;
use isoprep::recipe::{EditError, FIELDS, FieldKind, get_field, parse, propose, save_atomically, set_field};
use proptest::prelude::*;

/// A file as a person writes it.
const OURS: &str = "\
# My cartridge. # Twice.

name = \"mine\" # the name

[source] # what goes in
  # indented, on purpose
  path = '.'
  exclude = [ # not these
    \"target\", # big
    # a thought
    \"a # no comment\",
  ]

[guest]
cpus    =    2   # enough
# memory = \"8G\"

# ports
[guest.forward]
# remote
ssh = \"auto\" # always
web = 8080

[image]
env = { A = \"1\", B = \"x,}y\" }
# the end
";

/// What is proposed for a folder in which nothing was found.
fn proposal(name: &str, has_git: bool) -> String {
    propose(name, &Discovered { has_git, ..Discovered::default() }).text
}

fn set(text: &str, key: &str, value: &str) -> String {
    set_field(text, key, value).unwrap_or_else(|error| panic!("{key} = {value:?}: {error}\n{text}"))
}

/// What changed: lines that went (-) and came (+).
fn changes(old: &str, new: &str) -> Vec<String> {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let gone = old[head..old.len() - tail].iter().map(|line| format!("-{line}"));
    gone.chain(new[head..new.len() - tail].iter().map(|line| format!("+{line}"))).collect()
}

#[test]
fn one_line_changes_and_no_other() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("guest.cpus", "8", &["-cpus    =    2   # enough", "+cpus    =    8   # enough"]),
        ("guest.cpus", " 2 ", &[]),
        ("guest.cpus", "", &["-cpus    =    2   # enough", "+# enough"]),
        ("name", "other", &["-name = \"mine\" # the name", "+name = \"other\" # the name"]),
        ("name", "", &["-name = \"mine\" # the name", "+# the name"]),
        // Beside the line that the file has as a comment.
        ("guest.memory", "6G", &["+memory = \"6G\""]),
        ("guest.disk", "40G", &["+disk = \"40G\""]),
        ("image.cmdline", "quiet", &["+cmdline = \"quiet\""]),
        ("source.into", "/srv/x", &["+  into = \"/srv/x\""]),
        // In tables with lines of their own single entries change.
        ("guest.forward", "{ ssh = \"auto\", web = 8080, db = 5432 }", &["+db = 5432"]),
        ("guest.forward", "ssh = \"auto\", web = 9090", &["-web = 8080", "+web = 9090"]),
        ("guest.forward", "{ web = 8080 }", &["-ssh = \"auto\" # always", "+# always"]),
        ("guest.forward", "{ web = 8080, ssh = \"auto\" }", &[]),
        ("guest.forward", "", &["-ssh = \"auto\" # always", "-web = 8080", "+# always"]),
        ("image.env", "{ A = \"2\" }", &["-env = { A = \"1\", B = \"x,}y\" }", "+env = { A = \"2\" }"]),
        (
            "image.env",
            "A = \"2\"\nC = \"3\"",
            &["-env = { A = \"1\", B = \"x,}y\" }", "+env = { A = \"2\", C = \"3\" }"],
        ),
        ("image.env", "", &["-env = { A = \"1\", B = \"x,}y\" }"]),
        (
            "source.exclude",
            "target, docs",
            &[
                "-  exclude = [ # not these",
                "-    \"target\", # big",
                "+  # not these",
                "+  # big",
                "-    # a thought",
                "-    \"a # no comment\",",
                "-  ]",
                "+  # a thought",
                "+  exclude = [\"target\", \"docs\"]",
            ],
        ),
    ];
    for (key, value, want) in cases {
        let mut said = changes(OURS, &set(OURS, key, value));
        let mut want: Vec<_> = want.iter().map(ToString::to_string).collect();
        if said.len() > 2 {
            said.sort();
            want.sort();
        }
        assert_eq!(said, want, "{key} = {value:?}");
    }
    // Where it was put, not only that it was.
    let text = set(&set(OURS, "guest.memory", "6G"), "guest.disk", "40G");
    assert!(text.contains("# memory = \"8G\"\nmemory = \"6G\"\ndisk = \"40G\"\n\n# ports\n[guest.forward]"), "{text}");
    let proposal = set(&proposal("x", true), "source.into", "/srv/x");
    assert!(proposal.contains("# into = \"/root/x\"\ninto = \"/srv/x\"\n"), "{proposal}");
    assert!(set(OURS, "image.cmdline", "quiet").contains("B = \"x,}y\" }\ncmdline = \"quiet\"\n# the end\n"));
}

#[test]
fn sections_are_made_where_there_are_none_and_every_way_of_writing_is_understood() {
    let cases = [
        ("", "guest.cpus", "2", "[guest]\ncpus = 2\n"),
        ("", "name", "x", "name = \"x\"\n"),
        ("[guest]\n", "name", "x", "name = \"x\"\n\n[guest]\n"),
        ("# hello\n\n[guest]\n", "name", "x", "# hello\n\nname = \"x\"\n\n[guest]\n"),
        ("# of the guest\n[guest]\n", "name", "x", "name = \"x\"\n\n# of the guest\n[guest]\n"),
        ("name = \"x\"", "guest.cpus", "2", "name = \"x\"\n\n[guest]\ncpus = 2\n"),
        ("guest.cpus = 2\n", "guest.memory", "2G", "guest.cpus = 2\nguest.memory = \"2G\"\n"),
        ("guest.cpus = 2\nname = \"x\"\n", "guest.cpus", "", "name = \"x\"\n"),
        ("guest = { cpus = 2 }\n", "guest.memory", "2G", "guest = { cpus = 2, memory = \"2G\" }\n"),
        ("guest = {}\n", "guest.memory", "2G", "guest = { memory = \"2G\" }\n"),
        ("guest = { cpus = 2, gpu = \"std\" }", "guest.cpus", "", "guest = { gpu = \"std\" }"),
        ("guest = { cpus = 2, gpu = \"std\" }", "guest.gpu", "", "guest = { cpus = 2 }"),
        ("guest = { cpus = 2 }\n", "guest.cpus", "", "guest = { }\n"),
        ("guest = { forward.ssh = \"auto\" }\n", "guest.cpus", "2", "guest = { forward.ssh = \"auto\", cpus = 2 }\n"),
        ("[image.env]\nA = \"1\"\n", "image.cmdline", "x", "[image.env]\nA = \"1\"\n\n[image]\ncmdline = \"x\"\n"),
        (
            "[image]\nenv.A = \"1\"\n",
            "image.env",
            "{ A = \"1\", B = \"2\" }",
            "[image]\nenv.A = \"1\"\nenv.B = \"2\"\n",
        ),
        ("[guest]\r\ncpus = 2\r\n", "guest.memory", "2G", "[guest]\r\ncpus = 2\r\nmemory = \"2G\"\r\n"),
        ("\u{feff}name = \"x\"\n", "name", "y", "\u{feff}name = \"y\"\n"),
        ("name = 7\n", "name", "7", "name = \"7\"\n"),
        ("[guest]\ncpus = \"4\"\n", "guest.cpus", "4", "[guest]\ncpus = 4\n"),
        ("[image]\n", "image.files", "{ \"/a.b\" = \"c\" }", "[image]\nfiles = { \"/a.b\" = \"c\" }\n"),
        ("[guest]\nmemory = \"4G\"\n", "guest.memory", "4 gigs", "[guest]\nmemory = \"4 gigs\"\n"),
    ];
    for (text, key, value, want) in cases {
        assert_eq!(set(text, key, value), want, "{key} = {value:?} in {text:?}");
    }
}

#[test]
fn a_long_list_gets_lines() {
    let long = (0..30).map(|number| format!("directory-{number}")).collect::<Vec<_>>().join(", ");
    let text = set("", "source.exclude", &long);
    assert!(text.starts_with("[source]\nexclude = [\n    \"directory-0\",\n"), "{text}");
    assert_eq!(get_field(&text, "source.exclude"), Some(long));
}

#[test]
fn what_cannot_be_set_is_said() {
    let near = set_field("", "guest.cpuz", "2").unwrap_err();
    assert_eq!(near.to_string(), "guest.cpuz is not a field of cartridge.toml; did you mean guest.cpus?");
    let error = |text: &str, key: &str, value: &str| set_field(text, key, value).unwrap_err().to_string();
    assert_eq!(error("", "guest.cpus", "four"), "guest.cpus: \"four\" is not a whole number; use 1 to 255");
    assert_eq!(
        error("", "source.exclude", "[1, 2]"),
        "source.exclude: \"[1, 2]\" is not a list; write a, b or [\"a\", \"b\"]"
    );
    assert!(matches!(set_field("", "image.env", "A"), Err(EditError::NotAMap { .. })));
    assert!(matches!(set_field("", "image.env", "{ A = "), Err(EditError::NotAMap { .. })));
    assert_eq!(
        error("name = x\n", "guest.cpus", "2"),
        "cartridge.toml:1:8: text must be in quotes; write name = \"x\"; correct this line first"
    );
    assert_eq!(
        error("guest = 3\n", "guest.cpus", "2"),
        "guest is not a section here; write [guest] on a line of its own, then set guest.cpus again"
    );
    assert!(matches!(set_field("[[guest]]\n", "guest.cpus", "2"), Err(EditError::NotASection { .. })));
    assert!(matches!(set_field("[guest.cpus]\nx = 1\n", "guest.cpus", "2"), Err(EditError::Tangled { .. })));
}

/// A value that a form may hold for a field.
fn value(kind: FieldKind) -> BoxedStrategy<String> {
    let word = "[a-zA-Z0-9/*._-]{1,12}";
    match kind {
        FieldKind::Integer { .. } => any::<i64>().prop_map(|number| number.to_string()).boxed(),
        FieldKind::Size => "[0-9]{1,5}(M|G|T|GiB)".boxed(),
        FieldKind::Switch => any::<bool>().prop_map(|on| on.to_string()).boxed(),
        FieldKind::Choice(words) => prop::sample::select(words).prop_map(str::to_owned).boxed(),
        FieldKind::List => prop::collection::vec(word, 1..5).prop_map(|words| words.join(", ")).boxed(),
        FieldKind::Map => prop::collection::btree_map("[A-Z]{1,6}", "[^\\p{C}\"\\\\]{0,10}", 1..4)
            .prop_map(|map| {
                let pairs: Vec<_> = map.iter().map(|(name, value)| format!("{name} = \"{value}\"")).collect();
                format!("{{ {} }}", pairs.join(", "))
            })
            .boxed(),
        FieldKind::Text | FieldKind::Folder | FieldKind::File => {
            prop_oneof![Just("a \"b\" 'c' # d".to_owned()), "\\PC{1,30}", "(?s).{1,20}"]
                .prop_filter("empty is another thing", |text| !text.trim().is_empty())
                .boxed()
        }
    }
}

fn edits() -> impl Strategy<Value = Vec<(usize, String, bool)>> {
    let edit = (0..FIELDS.len()).prop_flat_map(|index| (Just(index), value(FIELDS[index].kind), any::<bool>()));
    prop::collection::vec(edit, 1..12)
}

/// The comments of a text, sorted; a `#` inside a string is not looked for: the texts here have none but `OURS`'s.
fn comments(text: &str) -> Vec<String> {
    let known = [
        "# My cartridge. # Twice.",
        "# the name",
        "# what goes in",
        "# indented, on purpose",
        "# not these",
        "# big",
        "# a thought",
        "# enough",
        "# memory = \"8G\"",
        "# ports",
        "# remote",
        "# always",
        "# the end",
    ];
    known.iter().filter(|comment| text.contains(*comment)).map(ToString::to_string).collect()
}

fn same(field: FieldKind, one: &str, other: &str) -> bool {
    let sorted = |text: &str| {
        let table: toml::Table = toml::from_str(&format!("x = {text}")).unwrap();
        table.to_string()
    };
    if field == FieldKind::Map { sorted(one) == sorted(other) } else { one == other }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_set_comes_back_and_comments_survive(edits in edits(), start in 0..4_usize) {
        let proposed = proposal("x", true);
        let windows = OURS.replace('\n', "\r\n");
        let mut text = [OURS, &proposed, "", &windows][start].to_owned();
        let before = comments(&text);
        for (index, value, remove) in edits {
            let field = &FIELDS[index];
            let others: Vec<_> = FIELDS.iter().filter(|other| other.key != field.key).collect();
            let was: Vec<_> = others.iter().map(|other| get_field(&text, other.key)).collect();
            text = set_field(&text, field.key, &value).unwrap();
            let back = get_field(&text, field.key).unwrap();
            prop_assert!(same(field.kind, &back, &value), "{}: {value:?} came back as {back:?}", field.key);
            prop_assert_eq!(&set_field(&text, field.key, &back).unwrap(), &text, "setting it again changed the text");
            if remove {
                text = set_field(&text, field.key, "").unwrap();
                prop_assert_eq!(get_field(&text, field.key), None);
            }
            let is: Vec<_> = others.iter().map(|other| get_field(&text, other.key)).collect();
            prop_assert_eq!(is, was, "another field changed");
            prop_assert_eq!(comments(&text), before.clone());
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "(?s)[\\[\\]{}=.\"'#a-c,\n\r\u{feff}é1 -]{0,60}", value in "(?s).{0,20}") {
        let _ = parse(&text, Path::new("/x"));
        for field in FIELDS {
            let _ = get_field(&text, field.key);
            if let Ok(edited) = set_field(&text, field.key, &value) {
                prop_assert!(value.trim().is_empty() || get_field(&edited, field.key).is_some() || field.kind == FieldKind::Map);
            }
        }
    }

    #[test]
    fn names_of_the_real_keys_in_any_toml_do_not_make_it_panic(
        lines in prop::collection::vec(prop::sample::select(vec![
            "[guest]", "[image]", "[source]", "[image.env]", "[guest.forward]", "[[guest]]", "cpus = 2", "memory = 4",
            "env = { A = \"1\" }", "env.B = \"2\"", "guest.cpus = 1", "guest = { cpus = 1 }", "forward = [1]",
            "exclude = [\"a\", # b\n 1]", "name = '''x\ny'''", "image = { env.A = \"1\", files = {} }", "# cpus = 3", "A = 1",
            "path = \"..\"", "files = { \"/x\" = \"y\" }", "into = ", "\"cpus\" = 3", "guest.forward.ssh = \"auto\"",
        ]), 0..12), value in "[a-z0-9\\[\\]{}=\", ]{0,20}") {
        let text = lines.join("\n");
        let _ = parse(&text, Path::new("/x"));
        for field in FIELDS {
            if let Ok(edited) = set_field(&text, field.key, &value) {
                prop_assert!(toml::from_str::<toml::Table>(&edited).is_ok(), "{}", edited);
            }
        }
    }
}

#[test]
fn saving_replaces_the_file_keeps_its_mode_and_its_link() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cartridge.toml");
    save_atomically(&file, "name = \"a\"\n").unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "name = \"a\"\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let link = folder.path().join("link.toml");
    symlink("cartridge.toml", &link).unwrap();
    save_atomically(&link, "name = \"b\"\n").unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "name = \"b\"\n");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o640);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "something was left");
    assert!(save_atomically(&folder.path().join("no/such/folder.toml"), "").is_err());
    symlink("nowhere/x", folder.path().join("dangling")).unwrap();
    assert!(save_atomically(&folder.path().join("dangling"), "").is_err());
}

//! What is typed on each layout: by hand for what people trip over, and all of it against the host's own tables.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use super::super::host_layout::{HostLayout, HostLayoutName, host_layouts};
use super::*;

fn typed(layout: Layout, text: &str) -> Vec<(u16, bool, bool)> {
    let (strokes, missing) = layout.strokes(text);
    assert_eq!(missing, [], "{layout:?}: {text}");
    strokes.iter().map(|it| (it.scancode, it.shift, it.alt_gr)).collect()
}

#[test]
fn keys_are_where_the_layout_has_them() {
    assert_eq!(typed(Layout::Us, "z"), [(0x2c, false, false)]);
    assert_eq!(typed(Layout::De, "z"), [(0x15, false, false)]);
    assert_eq!(typed(Layout::De, "@ß"), [(0x10, false, true), (0x0c, false, false)]);
    assert_eq!(typed(Layout::De, "/"), [(0x08, true, false)]);
    assert_eq!(typed(Layout::Fr, "a1A"), [(0x10, false, false), (0x02, true, false), (0x10, true, false)]);
    assert_eq!(typed(Layout::Fr, "\\"), [(0x09, false, true)]);
    assert_eq!(typed(Layout::Gb, "\"£#"), [(0x03, true, false), (0x04, true, false), (0x2b, false, false)]);
}

#[test]
fn accents_wait_for_their_letter() {
    assert_eq!(typed(Layout::De, "é"), [(0x0d, false, false), (0x12, false, false)]);
    assert_eq!(typed(Layout::De, "^"), [(0x29, false, false), (0x39, false, false)]);
    assert_eq!(typed(Layout::De, "ä"), [(0x28, false, false)], "the layout has a key for it");
    assert_eq!(
        typed(Layout::Fr, "ïÔ"),
        [(0x1a, true, false), (0x17, false, false), (0x1a, false, false), (0x18, true, false)]
    );
    assert_eq!(typed(Layout::DeNoDeadKeys, "^"), [(0x29, false, false)]);
    assert_eq!(Layout::DeNoDeadKeys.strokes("é").1, ['é']);
    assert_eq!(Layout::Es.strokes("´").1, ['´'], "it would become an apostrophe");
}

#[test]
fn every_layout_types_all_of_ascii_and_its_own_letters() {
    let ascii: String = (' '..='~').collect();
    for (layout, own) in [
        (Layout::Us, ""),
        (Layout::Gb, "£€"),
        (Layout::De, "äöüÄÖÜß§€°²³éèê"),
        (Layout::DeNoDeadKeys, "äöüÄÖÜß§€´"),
        (Layout::Fr, "éèàùçâêîôûëïüÿ€°£µ²§"),
        (Layout::Es, "ñÑáéíóúüÜÁ¿¡ºªçÇ€"),
    ] {
        let text = format!("{ascii}{own}");
        let (strokes, missing) = layout.strokes(&text);
        assert_eq!(missing, [], "{layout:?}");
        let mut ways: Vec<_> = text.chars().map(|c| layout.character(c).unwrap_or_default()).collect();
        assert_eq!(ways.iter().map(Vec::len).sum::<usize>(), strokes.len());
        ways.sort_by_key(|way| way.iter().map(|it| (it.scancode, it.shift, it.alt_gr)).collect::<Vec<_>>());
        ways.dedup();
        assert_eq!(ways.len(), text.chars().count(), "{layout:?}: two characters by the same keys");
    }
}

#[test]
fn what_cannot_be_typed_is_named_once_and_lines_end_once() {
    assert_eq!(Layout::De.strokes("a日b日→\r\nc").1, ['日', '→']);
    assert_eq!(typed(Layout::Fr, "\r\n\n\t"), [(0x1c, false, false), (0x1c, false, false), (0x0f, false, false)]);
}

/// What xkeyboard-config says of a layout: the keysyms of each key, by its scan code, as `xkbcomp` resolves them.
fn host_table(name: &str) -> BTreeMap<u16, Vec<String>> {
    let text = format!(
        "xkb_keymap {{ xkb_keycodes {{ include \"evdev\" }}; xkb_types {{ include \"complete\" }}; \
         xkb_compat {{ include \"complete\" }}; xkb_symbols {{ include \"pc+{name}\" }}; }};"
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keymap");
    std::fs::write(&file, text).unwrap();
    let out = Command::new("xkbcomp").args(["-w", "0", "-xkb"]).arg(&file).arg("-").stderr(Stdio::null()).output();
    let out = out.expect("xkbcomp comes with Xvfb: packaging/setup installs it").stdout;
    let text = String::from_utf8(out).unwrap().replace('\n', " ");
    let rows = [("AE", 12, 0x02), ("AD", 12, 0x10), ("AC", 11, 0x1e), ("AB", 10, 0x2c)];
    let mut keys: Vec<(String, u16)> = vec![("TLDE".into(), 0x29), ("BKSL".into(), 0x2b), ("LSGT".into(), 0x56)];
    keys.extend([("AB11".into(), 0x73), ("AE13".into(), 0x7d)]);
    keys.extend(
        rows.iter().flat_map(|(row, n, first)| (0..*n).map(move |i| (format!("{row}{:02}", i + 1), first + i))),
    );
    let found = keys.iter().filter_map(|(key, code)| {
        let rest = text.split_once(&format!("key <{key}>"))?.1.split_once("};")?.0;
        let list = rest.rsplit_once('[')?.1.split_once(']')?.0;
        Some((*code, list.split(',').map(|it| it.trim().to_owned()).collect()))
    });
    found.collect()
}

fn keysym_of(c: char) -> &'static [&'static str] {
    match c {
        '!' => &["exclam"],
        '"' => &["quotedbl"],
        '#' => &["numbersign"],
        '$' => &["dollar"],
        '%' => &["percent"],
        '&' => &["ampersand"],
        '\'' => &["apostrophe"],
        '(' => &["parenleft"],
        ')' => &["parenright"],
        '*' => &["asterisk"],
        '+' => &["plus"],
        ',' => &["comma"],
        '-' => &["minus"],
        '.' => &["period"],
        '/' => &["slash"],
        ':' => &["colon"],
        ';' => &["semicolon"],
        '<' => &["less"],
        '=' => &["equal"],
        '>' => &["greater"],
        '?' => &["question"],
        '@' => &["at"],
        '[' => &["bracketleft"],
        '\\' => &["backslash"],
        ']' => &["bracketright"],
        '^' => &["asciicircum", "dead_circumflex"],
        '_' => &["underscore"],
        '`' => &["grave", "dead_grave"],
        '{' => &["braceleft"],
        '|' => &["bar"],
        '}' => &["braceright"],
        '~' => &["asciitilde"],
        'ä' => &["adiaeresis"],
        'ö' => &["odiaeresis"],
        'ü' => &["udiaeresis"],
        'Ä' => &["Adiaeresis"],
        'Ö' => &["Odiaeresis"],
        'Ü' => &["Udiaeresis"],
        'ß' => &["ssharp"],
        '§' => &["section"],
        '€' => &["EuroSign"],
        '°' => &["degree"],
        'µ' => &["mu"],
        '²' => &["twosuperior"],
        '³' => &["threesuperior"],
        '£' => &["sterling"],
        'é' => &["eacute"],
        'è' => &["egrave"],
        'à' => &["agrave"],
        'ù' => &["ugrave"],
        'ç' => &["ccedilla"],
        'Ç' => &["Ccedilla"],
        'ñ' => &["ntilde"],
        'Ñ' => &["Ntilde"],
        '¿' => &["questiondown"],
        '¡' => &["exclamdown"],
        'º' => &["masculine"],
        'ª' => &["ordfeminine"],
        _ => &[],
    }
}

#[test]
fn the_hosts_own_tables_agree() {
    for (layout, name) in [
        (Layout::Us, "us"),
        (Layout::Gb, "gb"),
        (Layout::De, "de"),
        (Layout::DeNoDeadKeys, "de(nodeadkeys)"),
        (Layout::Fr, "fr"),
        (Layout::Es, "es"),
    ] {
        let table = host_table(name);
        assert!(table.len() >= 47, "{name}: {} keys", table.len());
        let all: String = ('!'..='~').chain("äöüÄÖÜß§€°µ²³£éèàùçÇñÑ¿¡ºª".chars()).collect();
        let mut compared = 0;
        for c in all.chars() {
            let Some(way) = layout.character(c) else { continue };
            // A letter with its accent: the letter is compared as itself.
            if way.len() == 2 && way[1] != SPACE {
                continue;
            }
            let level = usize::from(way[0].shift) + 2 * usize::from(way[0].alt_gr);
            let symbol = &table[&way[0].scancode][level];
            let letter = c.to_string();
            let known = keysym_of(c);
            assert!(*symbol == letter || known.contains(&symbol.as_str()), "{name}: {c} is typed as {symbol}");
            compared += 1;
        }
        assert!(compared >= 94, "{name}: {compared}");
    }
}

#[test]
fn every_layout_of_this_host_can_be_loaded_and_those_built_in_are_the_same() {
    let all = host_layouts();
    assert!(all.len() > 300, "{} layouts", all.len());
    let found = |name: &str| all.iter().find(|it| it.name == name).unwrap_or_else(|| panic!("{name}")).clone();
    assert_eq!(found("se").label, "Swedish");
    let mut mute = Vec::new();
    for name in &all {
        match HostLayout::load(name) {
            Ok(layout) => assert!(layout.strokes("1 2").1.len() <= 2),
            Err(_) => mute.push(name.name.clone()),
        }
    }
    assert_eq!(mute, Vec::<String>::new());
    let ascii: String = (' '..='~').collect();
    for (own, name) in
        [(Layout::Us, "us"), (Layout::Gb, "gb"), (Layout::De, "de"), (Layout::DeNoDeadKeys, "de(nodeadkeys)")]
            .into_iter()
            .chain([(Layout::Fr, "fr"), (Layout::Es, "es")])
    {
        let (host, table) = (HostLayout::load(&found(name)).unwrap(), host_table(name));
        for c in format!("{ascii}äöüßéèà€").chars() {
            let Some(ours) = own.character(c) else { continue };
            let theirs = host.strokes(&c.to_string()).0;
            // Where there are two ways to one sign any is right.
            let same = ours == theirs
                || ours.len() == 1 && theirs.len() == 1 && sym_of(&table, ours[0]) == sym_of(&table, theirs[0]);
            assert!(same, "{name}: {c:?} is {ours:?}, and {theirs:?} by the host's tables");
        }
    }
}

/// What xkbcomp says of one stroke.
fn sym_of(table: &BTreeMap<u16, Vec<String>>, stroke: Stroke) -> Option<String> {
    let level = usize::from(stroke.shift) + 2 * usize::from(stroke.alt_gr);
    table.get(&stroke.scancode)?.get(level).cloned()
}

#[test]
fn layouts_of_others_are_as_xkbcomp_has_them() {
    for (name, text) in [
        ("se", "åäöÅÄÖ@£$€{[]}\\~^'"),
        ("cz", "ěščřžýáíéůúĚŠČ12@#&"),
        ("pl", "ąćęłńóśźżĄŻ@"),
        ("ru", "привет, Мир!"),
        ("gr", "αβγδ ΩΣ ά"),
        ("br", "çÇáãâà/?\\|"),
        ("us(intl)", "éèñ'\"~"),
    ] {
        let layout = HostLayout::load(&HostLayoutName { name: name.into(), label: name.into() }).unwrap();
        let table = host_table(name);
        let mut compared = 0;
        for c in text.chars().filter(|c| *c != ' ') {
            let (strokes, missing) = layout.strokes(&c.to_string());
            assert_eq!(missing, [], "{name}");
            if let [one] = strokes[..] {
                let given = sym_of(&table, one).unwrap_or_else(|| panic!("{name}: {c} is {one:?}"));
                let given = kbvm::Keysym::from_str(&given).and_then(|it| it.char());
                assert_eq!(given, Some(c), "{name}: {one:?}");
                compared += 1;
            }
        }
        assert!(compared >= 4, "{name}: {compared}");
    }
    let absent = HostLayout::load(&HostLayoutName { name: "xx(y)".into(), label: String::new() }).unwrap_err();
    assert!(absent.to_string().contains("no keyboard layout \"xx(y)\""), "{absent}");
    for name in ["", "../us", "us(", "us()x", "de(a b)"] {
        assert!(HostLayout::load(&HostLayoutName { name: name.into(), label: String::new() }).is_err(), "{name}");
    }
}

//! Scripts and what is found in them.

use super::*;

fn word(text: &str) -> Word {
    Word { text: text.to_owned(), expands: false }
}

fn scalars(source: &str) -> Vec<(usize, String, String)> {
    let shown = |it: Assignment| match it.value {
        Assigned::Scalar(word) => (it.line, it.name, word.text),
        Assigned::Array(elements) => {
            let words: Vec<String> = elements.into_iter().map(|element| element.word.text).collect();
            (it.line, it.name, format!("({})", words.join("|")))
        }
    };
    scan(source).assignments.into_iter().map(shown).collect()
}

fn found(source: &str) -> String {
    let lines: Vec<String> =
        scalars(source).into_iter().map(|(line, name, value)| format!("{line} {name}={value}")).collect();
    lines.join("\n")
}

#[test]
fn quotes_and_expansions_are_told_apart() {
    let words = scan("a='x y'\nb=\"p \\\"q\\\" $v\"\nc=pre$'\\n'post\nd=a\\ b\ne=$(date \"+%Y) \\\")\" ')')x\nf=${a:-\"}\"}y\ng=`a;b`\nh=$((1+(2)))\ni=$\n")
        .assignments;
    let value = |index: usize| match &words[index].value {
        Assigned::Scalar(word) => (word.text.as_str(), word.expands),
        Assigned::Array(_) => panic!("no array"),
    };
    assert_eq!(value(0), ("x y", false));
    assert_eq!(value(1), ("p \"q\" $v", true));
    assert_eq!(value(2), ("pre\npost", false));
    assert_eq!(value(3), ("a b", false));
    assert_eq!(value(4), ("$(date \"+%Y) \\\")\" ')')x", true));
    assert_eq!(value(5), ("${a:-\"}\"}y", true));
    assert_eq!(value(6), ("`a;b`", true));
    assert_eq!(value(7), ("$((1+(2)))", true));
    assert_eq!(value(8), ("$", false));
    assert_eq!(words.len(), 9);
}

#[test]
fn arrays_over_several_lines_have_the_line_of_each_element() {
    let script =
        scan("x=1\nm=(\n  [\"/etc/shadow\"]=\"0:0:400\" # secret)\n  [/root]=0:0:750\n)\nl=('a' # b\n   $c)\n");
    let element = |key: Option<&str>, word: Word, line| Element { key: key.map(str::to_owned), word, line };
    let expanding = Word { text: "$c".to_owned(), expands: true };
    assert_eq!(script.assignments.len(), 3);
    assert_eq!(
        script.assignments[1].value,
        Assigned::Array(vec![
            element(Some("/etc/shadow"), word("0:0:400"), 3),
            element(Some("/root"), word("0:0:750"), 4),
        ])
    );
    assert_eq!(
        script.assignments[2].value,
        Assigned::Array(vec![element(None, word("a"), 6), element(None, expanding, 7)])
    );
    assert_eq!(script.assignments[2].line, 6);
}

#[test]
fn what_only_looks_like_an_assignment_is_none() {
    let source = "# a=1\necho b=2 \"\nc=3\n\"\ncat <<EOF >x; d=4\ne=5\nEOF\ncat <<-'END X'\n\tf=6\n\tEND X\nLC_ALL=C sort\ng=7; h=8 # i=9\n";
    assert_eq!(found(source), "5 d=4\n12 g=7\n12 h=8");
    let commands: Vec<String> = scan(source).commands.into_iter().map(|it| it.1).collect();
    assert_eq!(commands, ["echo", "cat", "cat", "sort"]);
}

#[test]
fn declarations_conditions_and_functions_are_looked_into() {
    let source = "declare -A m=([a]=b) n\nexport x=1 y='2 3'\nif [[ $x == 1 ]]; then z=4; fi\nf() { local q=5; }\nm[c]+=6\n{ r=7; }\n\
                  for i in 1 2; do s=8; done\nread -r t < <(u=9 cmd)\nv+=(w)\n";
    assert_eq!(found(source), "1 m=(b)\n2 x=1\n2 y=2 3\n3 z=4\n4 q=5\n5 m[c]=6\n6 r=7\n7 s=8\n9 v=(w)");
    assert!(scan("v+=(w)").assignments[0].appends);
}

#[test]
fn lines_with_carriage_returns_and_files_that_end_early_are_read() {
    assert_eq!(found("a=1\r\nb=2\r\n"), "1 a=1\n2 b=2");
    for source in
        ["a=(", "a=(b", "a=([", "a=([b]=", "a='", "a=\"", "a=$(", "a=${", "a=`", "a=\\", "a=$'", "<<", "a[", "x <<E"]
    {
        let _ = scan(source);
    }
    assert_eq!(found(&format!("a={}x", "$(".repeat(5000))).lines().count(), 1);
    assert_eq!(found(&"a=(((".repeat(300)).lines().count(), 1);
}

proptest::proptest! {
    #[test]
    fn any_text_is_scanned_and_every_line_exists(source in "[a-z=+()\\[\\]{}$'\"`\\\\#;&|<>\n \t-]{0,80}", any: String) {
        for source in [source, any] {
            let lines = source.matches('\n').count() + 1;
            for it in scan(&source).assignments {
                proptest::prop_assert!((1..=lines).contains(&it.line), "{:?}", it);
            }
        }
    }

    #[test]
    fn a_quoted_word_is_the_word(value: String) {
        let quoted = shlex_quote(&value);
        let script = scan(&format!("a={quoted}\nb=({quoted} {quoted})\n"));
        let wanted = Word { text: value, expands: false };
        proptest::prop_assert_eq!(&script.assignments[0].value, &Assigned::Scalar(wanted.clone()));
        let Assigned::Array(elements) = &script.assignments[1].value else { panic!("no array") };
        proptest::prop_assert!(elements.len() == 2 && elements.iter().all(|it| it.word == wanted));
    }
}

/// The one quoting style that works for every text.
fn shlex_quote(value: &str) -> String {
    format!("'{}'", value.replace('\'', "'\\''"))
}

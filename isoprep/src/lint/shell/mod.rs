//! A reader of shell scripts that finds simple commands: enough of the grammar (POSIX.1-2024 XCU 2, bash's `[[`,
//! arrays, here-documents) to see what is run, sourced and written where, and no more. Nothing is run or expanded.
//! Whatever is not understood becomes an opaque word, which no rule says anything about.

mod reader;
mod redirections;
mod words;

use reader::Reader;

/// A simple command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Command {
    /// The line of its first word, from 1.
    pub(super) line: usize,
    /// Its words, assignments included.
    pub(super) words: Vec<Word>,
    /// Where `>`, `>>`, `&>` write.
    pub(super) writes: Vec<Word>,
    /// What `<` reads.
    pub(super) reads: Vec<Word>,
    /// Whether its failure is taken care of: `||` or `&&` follows, it is a condition, or `!` stands before it.
    pub(super) tolerant: bool,
    /// Whether what it complains of is thrown away.
    pub(super) quiet: bool,
    /// Whether it reads what another command writes.
    pub(super) piped: bool,
}

/// A word with its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// In order.
    pub(super) parts: Vec<Part>,
}

/// A part of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// As it is.
    Text(String),
    /// `$NAME`, `${NAME}`, `${NAME:-default}`.
    Variable(String, Option<String>),
    /// `${NAME…}` with anything else behind the name: its value is not known.
    Derived(String),
    /// Anything that only a shell can know.
    Opaque,
}

impl Word {
    /// The word if it has no variables.
    pub(super) fn literal(&self) -> Option<String> {
        self.parts.iter().map(|part| if let Part::Text(text) = part { Some(text.as_str()) } else { None }).collect()
    }

    /// The word with its variables replaced; `None` if one is not known or a part is opaque.
    pub(super) fn expand(&self, value: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Variable(name, default) => text.push_str(&value(name).or_else(|| default.clone())?),
                Part::Derived(_) | Part::Opaque => return None,
            }
        }
        Some(text)
    }

    /// The variables that it names.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(name, _) | Part::Derived(name) => Some(name.as_str()),
            Part::Text(_) | Part::Opaque => None,
        })
    }

    fn push(&mut self, c: char) {
        if let Some(Part::Text(text)) = self.parts.last_mut() {
            text.push(c);
        } else {
            self.parts.push(Part::Text(c.to_string()));
        }
    }

    fn is_plain(&self, text: &str) -> bool {
        matches!(self.parts.as_slice(), [Part::Text(own)] if own == text)
    }
}

/// How deep `$(…)` is followed.
const DEEPEST: usize = 4;
/// All simple commands of a script, those in `$(…)` too, in the order in which they are met.
pub(super) fn commands(script: &str) -> Vec<Command> {
    let mut found = Vec::new();
    let mut waiting = vec![(script.to_owned(), 1, 0, false)];
    while let Some((text, line, depth, tolerant)) = waiting.pop() {
        let mut reader = Reader::new(&text, line);
        reader.read();
        if depth < DEEPEST {
            // What becomes of the outer command becomes of what is inside it.
            let outer = |at: usize| tolerant || reader.commands.get(at).is_some_and(|command| command.tolerant);
            let nested = reader.nested.iter().rev();
            waiting.extend(nested.map(|(text, line, at)| (text.clone(), *line, depth + 1, outer(*at))));
        }
        let commands = reader.commands.into_iter();
        found.extend(commands.map(|it| Command { tolerant: it.tolerant || tolerant, ..it }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(script: &str) -> Vec<String> {
        let show = |word: &Word| {
            let part = |part: &Part| match part {
                Part::Text(text) => text.clone(),
                Part::Variable(name, None) => format!("${name}"),
                Part::Variable(name, Some(default)) => format!("${{{name}:-{default}}}"),
                Part::Derived(_) | Part::Opaque => "…".to_owned(),
            };
            word.parts.iter().map(part).collect::<String>()
        };
        let words = |words: &[Word]| words.iter().map(show).collect::<Vec<_>>().join(" ");
        let one = |command: Command| {
            let mut text = format!("{}: {}", command.line, words(&command.words));
            for (sign, list) in [('>', &command.writes), ('<', &command.reads)] {
                if !list.is_empty() {
                    text.push_str(&format!(" {sign} {}", words(list)));
                }
            }
            text + if command.tolerant { " ||" } else { "" }
        };
        commands(script).into_iter().map(one).collect()
    }

    #[test]
    fn simple_commands_are_found_with_their_lines() {
        assert_eq!(
            said("#!/bin/bash\nset -e # no\n\nsource \"/root/a b.sh\"; . '/root/c' || true\n/root/x \\\n  y & z | w"),
            ["2: set -e", "4: source /root/a b.sh", "4: . /root/c ||", "4: true", "5: /root/x y", "6: z", "6: w"]
        );
    }

    #[test]
    fn tests_arrays_patterns_functions_and_documents_are_no_commands() {
        assert_eq!(
            said(
                "if [[ -f /root/x && ( -x /y || $a < b ) ]]; then source /root/x; fi\n\
                 A=(/root/a\n /root/b)\nB+=( /root/c )"
            ),
            ["1: [[ -f /root/x -x /y $a b ||", "1: source /root/x"]
        );
        assert_eq!(
            said("case $1 in\n  /root/a|b) run ;;\n  (c) stop ;;\nesac\nf() { g; }\nfunction h { i; }\n( cd /x; ls )"),
            ["2: run", "3: stop", "5: g", "6: i", "7: cd /x", "7: ls"]
        );
        assert_eq!(
            said("cat > /root/x <<EOF\n/root/y\nsource /z\nEOF\nrun <<-'E' >>/log 2>&1\n\t/root/q\n\tE\nlast < /in"),
            ["1: cat > /root/x", "5: run > /log", "8: last < /in"]
        );
    }

    #[test]
    fn variables_defaults_and_substitutions_are_kept_apart() {
        assert_eq!(
            said(
                "export A=/root B=${A:-/x/y} C=\"$A/${D}\" E=${F##*/}\n\
                 G=$(cat /root/mirror | head `ls /q`) \"$G/x\" $1 *.sh"
            ),
            [
                "1: export A=/root B=${A:-/x/y} C=$A/$D E=…",
                "2: G=… $G/x … ….sh",
                "2: cat /root/mirror",
                "2: head …",
                "2: ls /q"
            ]
        );
        let word = &commands("x \"$A/b\"")[0].words[1];
        assert_eq!(word.expand(&|name| (name == "A").then(|| "/root".to_owned())).as_deref(), Some("/root/b"));
        assert_eq!((word.literal(), word.variables().collect::<Vec<_>>()), (None, vec!["A"]));
    }

    #[test]
    fn failures_that_are_taken_care_of_are_known() {
        assert_eq!(
            said(
                "if ! a; then b; elif c; then d; fi\nuntil e; do f; done\n! g; h && i\n(j; k) || l\n\
                 { m; n; } 2>/dev/null || o\np | q || r\nif s; then t; fi || u\nfor x in y; do v; done\nw"
            ),
            [
                "1: a ||",
                "1: b",
                "1: c ||",
                "1: d",
                "2: e ||",
                "2: f",
                "3: g ||",
                "3: h ||",
                "3: i",
                "4: j ||",
                "4: k ||",
                "4: l",
                "5: m ||",
                "5: n ||",
                "5:  > /dev/null ||",
                "5: o",
                "6: p ||",
                "6: q ||",
                "6: r",
                "7: s ||",
                "7: t ||",
                "7: u",
                "8: for x in y",
                "8: v",
                "9: w"
            ]
        );
        assert_eq!(said("A=$(b) || c")[2], "1: b ||");
        let quiet = |script: &str| commands(script)[0].quiet;
        assert!(quiet("a 2>/dev/null") && quiet("a &>/dev/null") && quiet("a >/dev/null 2>&1"));
        assert!(!quiet("a >/dev/null") && !quiet("a 2>/tmp/x") && !quiet("a 2>&1"));
        let piped: Vec<bool> = commands("a | b |& c; d || e").into_iter().map(|it| it.piped).collect();
        assert_eq!(piped, [false, true, true, false, false]);
    }

    #[test]
    fn nothing_makes_it_panic_or_loop() {
        for script in
            ["\"", "'", "$(", "${", "`", "<<", "<<E", "((", "[[", "a=(", ")", "\\", "$", "<(", "&>", "{", "$'a"]
        {
            commands(script);
            commands(&script.repeat(50));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "[\"'`$(){}\\[\\]<>|&;#=\\\\ \n\tab/E-]{0,80}") {
            commands(&text);
        }
    }
}

//! What `declare -p` prints, as values: the one form in which bash writes all that a variable holds (bash(1), "declare").
//!
//! ```text
//! declare -- iso_name="archlinux"
//! declare -a bootmodes=([0]="bios.syslinux" [1]="uefi.grub")
//! declare -A file_permissions=(["/etc/shadow"]="0:0:400" )
//! declare -x MOTD=$'two\nlines'
//! declare -a set_to_nothing
//! ```
//!
//! Bash 4.4 to 5.3 print the same but for newlines, which the older ones leave as they are between double quotes.

use std::collections::BTreeMap;

use super::quoting::{ansi_c, double, text};

/// The value of a variable of bash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BashValue {
    /// Declared, never set.
    Unset,
    /// A string.
    Scalar(String),
    /// An indexed array; indices may be missing.
    Indexed(BTreeMap<u64, String>),
    /// An associative array.
    Associative(BTreeMap<String, String>),
}

/// A variable of bash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BashVariable {
    /// Its attributes as letters: `a`, `A`, `i`, `n`, `r`, `x`, …; empty for a plain one.
    pub attributes: String,
    /// What it holds.
    pub value: BashValue,
}

impl BashValue {
    /// What `$name` is: the string, or the element `0` of an array.
    #[must_use]
    pub fn scalar(&self) -> &str {
        let found = match self {
            Self::Unset => None,
            Self::Scalar(value) => Some(value),
            Self::Indexed(values) => values.get(&0),
            Self::Associative(values) => values.get("0"),
        };
        found.map_or("", String::as_str)
    }

    /// What `"${name[@]}"` is.
    #[must_use]
    pub fn list(&self) -> Vec<String> {
        match self {
            Self::Unset => Vec::new(),
            Self::Scalar(value) => vec![value.clone()],
            Self::Indexed(values) => values.values().cloned().collect(),
            Self::Associative(values) => values.values().cloned().collect(),
        }
    }

    /// For people: a string as it is, an array as `(a b)` or `([key]=value …)`.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Unset => String::new(),
            Self::Scalar(value) => value.clone(),
            Self::Indexed(values) => format!("({})", values.values().cloned().collect::<Vec<_>>().join(" ")),
            Self::Associative(values) => {
                let pairs: Vec<String> = values.iter().map(|(key, value)| format!("[{key}]={value}")).collect();
                format!("({})", pairs.join(" "))
            }
        }
    }
}

/// Output that `declare -p` does not print.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} of what bash printed: {expected} was expected")]
pub struct DeclareError {
    /// The place, bytes from the beginning.
    pub at: usize,
    /// What should have been there.
    pub expected: &'static str,
}

/// Reads the output of `declare -p`. A name that comes twice has its last value, as in a shell that reads it again.
///
/// # Errors
/// [`DeclareError`] at the first byte that is not what `declare -p` prints.
pub fn parse_declarations(output: &[u8]) -> Result<BTreeMap<String, BashVariable>, DeclareError> {
    let mut reader = Reader { bytes: output, at: 0 };
    let mut variables = BTreeMap::new();
    while reader.at < output.len() {
        let (name, variable) = reader.declaration()?;
        variables.insert(name, variable);
    }
    Ok(variables)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn wrong(&self, expected: &'static str) -> DeclareError {
        DeclareError { at: self.at, expected }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, word: &[u8], expected: &'static str) -> Result<(), DeclareError> {
        if !self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(self.wrong(expected));
        }
        self.at += word.len();
        Ok(())
    }

    fn run(&mut self, belongs: impl Fn(u8) -> bool) -> String {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| !belongs(*byte)).unwrap_or(rest.len());
        self.at += length;
        text(rest[..length].to_vec())
    }

    fn declaration(&mut self) -> Result<(String, BashVariable), DeclareError> {
        self.take(b"declare -", "\"declare -\"")?;
        let attributes = self.run(|byte| byte.is_ascii_alphabetic());
        if attributes.is_empty() {
            self.take(b"-", "attributes or \"--\"")?;
        }
        self.take(b" ", "a space")?;
        let name = self.run(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(self.wrong("a name"));
        }
        let value = if self.peek() == Some(b'=') {
            self.at += 1;
            if attributes.contains('A') {
                BashValue::Associative(self.elements(Ok)?)
            } else if attributes.contains('a') {
                BashValue::Indexed(self.elements(|key| key.parse().map_err(|_| "an index"))?)
            } else {
                BashValue::Scalar(self.value()?)
            }
        } else {
            BashValue::Unset
        };
        self.take(b"\n", "the end of the line")?;
        Ok((name, BashVariable { attributes, value }))
    }

    fn elements<K: Ord>(
        &mut self,
        key_of: impl Fn(String) -> Result<K, &'static str>,
    ) -> Result<BTreeMap<K, String>, DeclareError> {
        let mut elements = BTreeMap::new();
        self.take(b"(", "\"(\"")?;
        while self.peek() != Some(b')') {
            self.take(b"[", "\"[\" or \")\"")?;
            let key = match self.peek() {
                Some(b'"' | b'$') => self.value()?,
                // A key without quotes has no character that means something to a shell, so no bracket either.
                _ => self.run(|byte| byte != b']' && byte != b'\n'),
            };
            let key = key_of(key).map_err(|expected| self.wrong(expected))?;
            self.take(b"]=", "\"]=\"")?;
            elements.insert(key, self.value()?);
            if self.peek() == Some(b' ') {
                self.at += 1;
            }
        }
        self.at += 1;
        Ok(elements)
    }

    fn value(&mut self) -> Result<String, DeclareError> {
        let decoded = match self.peek() {
            Some(b'"') => double(self.bytes, self.at + 1),
            Some(b'$') if self.bytes.get(self.at + 1) == Some(&b'\'') => ansi_c(self.bytes, self.at + 2),
            _ => return Err(self.wrong("a quoted value")),
        };
        let (value, next) = decoded.ok_or_else(|| self.wrong("a closing quote"))?;
        self.at = next;
        Ok(text(value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(line: &str) -> BashValue {
        let mut all = parse_declarations(format!("{line}\n").as_bytes()).unwrap();
        assert_eq!(all.len(), 1, "{line}");
        all.pop_first().unwrap().1.value
    }

    fn associative(pairs: &[(&str, &str)]) -> BashValue {
        BashValue::Associative(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn what_bash_5_prints_is_read() {
        assert_eq!(one(r#"declare -- a="x \$y \"z\" \\ ! é""#), BashValue::Scalar(r#"x $y "z" \ ! é"#.to_owned()));
        assert_eq!(one(r"declare -x a=$'two\nlines\t\E\001it\'s\302\240'"), {
            BashValue::Scalar("two\nlines\t\u{1b}\u{1}it's\u{a0}".to_owned())
        });
        assert_eq!(one("declare -a a"), BashValue::Unset);
        assert_eq!(one("declare -a a=()"), BashValue::Indexed(BTreeMap::new()));
        assert_eq!(one("declare -A a=()"), associative(&[]));
        let sparse = BashValue::Indexed([(3, "x y".to_owned()), (7, "\t".to_owned())].into());
        assert_eq!(one(r#"declare -ar a=([3]="x y" [7]=$'\t')"#), sparse);
        assert_eq!(
            one(r#"declare -A m=(["q\"t]"]=$'n\nl' [/etc/shadow]="0:0:400" ["@"]="1" [é]="ü" )"#),
            associative(&[("q\"t]", "n\nl"), ("/etc/shadow", "0:0:400"), ("@", "1"), ("é", "ü")])
        );
        let attributes = parse_declarations(b"declare -ir N=\"5\"\ndeclare -- e=\"\"\n").unwrap();
        assert_eq!(attributes["N"].attributes, "ir");
        assert_eq!(attributes["e"].attributes, "");
    }

    #[test]
    fn newlines_inside_double_quotes_are_read_as_older_bashes_print_them() {
        let all = parse_declarations(b"declare -- a=\"one\ndeclare -- b=\\\"x\\\"\"\ndeclare -- c=\"d\"\n").unwrap();
        assert_eq!(all["a"].value.scalar(), "one\ndeclare -- b=\"x\"");
        assert_eq!(all.len(), 2);
    }

    #[test]
    fn arrays_are_strings_and_strings_are_arrays_as_in_bash() {
        let array = one(r#"declare -a a=([0]="x" [2]="y")"#);
        assert_eq!((array.scalar(), array.list(), array.shown()), ("x", vec!["x".into(), "y".into()], "(x y)".into()));
        let scalar = one(r#"declare -- a="x y""#);
        assert_eq!((scalar.scalar(), scalar.list()), ("x y", vec!["x y".to_owned()]));
        assert_eq!(one(r#"declare -A m=([k]="v" )"#).shown(), "([k]=v)");
        assert_eq!((BashValue::Unset.scalar(), BashValue::Unset.list()), ("", Vec::<String>::new()));
    }

    #[test]
    fn anything_else_is_an_error_with_its_place() {
        for (output, at) in [
            ("x", 0),
            ("declare a=1\n", 0),
            ("declare -- 1a=\"\"\n", 13),
            ("declare -- a=x\n", 13),
            ("declare -- a=\"x\n", 13),
            ("declare -- a=\"x\"", 16),
            ("declare -a a=([x]=\"y\")\n", 16),
            ("declare -a a=([0]=\"y\"\n", 21),
            ("declare -A a=([x\n", 16),
            ("declare -- a=\"x\" y\n", 16),
        ] {
            assert_eq!(parse_declarations(output.as_bytes()).unwrap_err().at, at, "{output}");
        }
    }

    /// Writes a value in the style that bash takes for it, as its manual says.
    fn quoted(value: &str) -> String {
        if value.chars().any(char::is_control) {
            let escaped: String = value
                .chars()
                .map(|c| match c {
                    '\'' | '\\' => format!("\\{c}"),
                    '\n' => "\\n".to_owned(),
                    c if c.is_control() => {
                        let mut bytes = [0; 4];
                        c.encode_utf8(&mut bytes).bytes().map(|byte| format!("\\{byte:03o}")).collect()
                    }
                    c => c.to_string(),
                })
                .collect();
            return format!("$'{escaped}'");
        }
        let escaped = value.chars().map(|c| if "$`\"\\".contains(c) { format!("\\{c}") } else { c.to_string() });
        format!("\"{}\"", escaped.collect::<String>())
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            scalars in prop::collection::btree_map("[a-z_][a-z0-9_]{0,8}", "[^\0]*", 0..6),
            lists in prop::collection::btree_map("L[a-z]{1,8}", prop::collection::btree_map(any::<u64>(), "[^\0]*", 0..6), 0..4),
            maps in prop::collection::btree_map("M[a-z]{1,8}", prop::collection::btree_map("[^\0]+", "[^\0]*", 0..6), 0..4),
        ) {
            let (mut output, mut wanted) = (String::new(), BTreeMap::new());
            let mut put = |name: &String, letters: &str, text: String, value| {
                let shown = if letters.is_empty() { "-" } else { letters };
                output.push_str(&format!("declare -{shown} {name}={text}\n"));
                wanted.insert(name.clone(), BashVariable { attributes: letters.to_owned(), value });
            };
            for (name, value) in &scalars {
                put(name, "", quoted(value), BashValue::Scalar(value.clone()));
            }
            for (name, values) in &lists {
                let text: Vec<String> = values.iter().map(|(key, value)| format!("[{key}]={}", quoted(value))).collect();
                put(name, "ax", format!("({})", text.join(" ")), BashValue::Indexed(values.clone()));
            }
            for (name, values) in &maps {
                let text: String = values.iter().map(|(key, value)| format!("[{}]={} ", quoted(key), quoted(value))).collect();
                put(name, "A", format!("({text})"), BashValue::Associative(values.clone()));
            }
            prop_assert_eq!(parse_declarations(output.as_bytes()).unwrap(), wanted);
        }

        #[test]
        fn any_bytes_are_answered(bytes: Vec<u8>, cut in 0_usize..200) {
            let _ = parse_declarations(&bytes);
            let good = b"declare -A m=([\"a b\"]=$'x\\ny' [k]=\"v\" )\ndeclare -a l=([0]=\"x\")\ndeclare -- s=\"\\\\\"\n";
            let _ = parse_declarations(&good[..cut.min(good.len())]);
            let _ = parse_declarations(&[b"declare -A m=(", bytes.as_slice()].concat());
        }
    }
}

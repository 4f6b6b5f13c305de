//! Which of two package versions is newer, by the rules of the package manager that installed them.
//!
//! pacman: vercmp(8). `[epoch:]version[-release]`; releases are compared only if both have one. dpkg: Debian policy 5.6.12,
//! `[epoch:]upstream[-revision]`, where a tilde sorts before the end.

use std::cmp::Ordering;

use super::model::PackageManager;

/// Compares two versions.
#[must_use]
pub fn compare(manager: PackageManager, one: &str, two: &str) -> Ordering {
    match manager {
        PackageManager::Pacman => pacman(one, two),
        PackageManager::Dpkg => dpkg(one, two),
    }
}

fn pacman(one: &str, two: &str) -> Ordering {
    fn parts(full: &str) -> (&str, &str, Option<&str>) {
        let digits = full.bytes().take_while(u8::is_ascii_digit).count();
        let (epoch, rest) = match full.get(digits..).and_then(|rest| rest.strip_prefix(':')) {
            Some(rest) => (&full[..digits], rest),
            None => ("0", full),
        };
        let (version, release) =
            rest.rsplit_once('-').map_or((rest, None), |(version, release)| (version, Some(release)));
        (if epoch.is_empty() { "0" } else { epoch }, version, release)
    }
    if one == two {
        return Ordering::Equal;
    }
    let ((epoch1, version1, release1), (epoch2, version2, release2)) = (parts(one), parts(two));
    let releases = || match (release1, release2) {
        (Some(one), Some(two)) => segments(one, two),
        _ => Ordering::Equal,
    };
    segments(epoch1, epoch2).then_with(|| segments(version1, version2)).then_with(releases)
}

/// Compares runs of digits and of letters, one after the other; what stands between them separates, and counts only by its
/// length.
fn segments(one: &str, two: &str) -> Ordering {
    if one == two {
        return Ordering::Equal;
    }
    let (mut one, mut two) = (one.as_bytes(), two.as_bytes());
    while !one.is_empty() && !two.is_empty() {
        let (gap1, gap2) = (separators(one), separators(two));
        (one, two) = (&one[gap1..], &two[gap2..]);
        if one.is_empty() || two.is_empty() {
            break;
        }
        if gap1 != gap2 {
            return gap1.cmp(&gap2);
        }
        let numbers = one[0].is_ascii_digit();
        let run = |bytes: &[u8]| {
            let alike = |byte: &u8| if numbers { byte.is_ascii_digit() } else { byte.is_ascii_alphabetic() };
            bytes.iter().take_while(|byte| alike(byte)).count()
        };
        let (len1, len2) = (run(one), run(two));
        if len2 == 0 {
            // A number is newer than a word.
            return if numbers { Ordering::Greater } else { Ordering::Less };
        }
        let (run1, run2) = (&one[..len1], &two[..len2]);
        let order = if numbers { numbers_by_size(run1, run2) } else { run1.cmp(run2) };
        if order.is_ne() {
            return order;
        }
        (one, two) = (&one[len1..], &two[len2..]);
    }
    match (one.first(), two.first()) {
        (None, None) => Ordering::Equal,
        // A word that is left over makes it older: 1.0rc comes before 1.0. Anything else makes it newer.
        (Some(byte), _) if byte.is_ascii_alphabetic() => Ordering::Less,
        (None, Some(byte)) if !byte.is_ascii_alphabetic() => Ordering::Less,
        _ => Ordering::Greater,
    }
}

fn separators(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| !byte.is_ascii_alphanumeric()).count()
}

/// Digits of any length as numbers.
fn numbers_by_size(one: &[u8], two: &[u8]) -> Ordering {
    let strip = |digits: &[u8]| digits.iter().take_while(|digit| **digit == b'0').count();
    let (one, two) = (&one[strip(one)..], &two[strip(two)..]);
    one.len().cmp(&two.len()).then_with(|| one.cmp(two))
}

fn dpkg(one: &str, two: &str) -> Ordering {
    fn parts(full: &str) -> (&str, &str, &str) {
        let (epoch, rest) = full.split_once(':').unwrap_or(("0", full));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        (epoch, upstream, revision)
    }
    let ((epoch1, upstream1, revision1), (epoch2, upstream2, revision2)) = (parts(one), parts(two));
    let order = numbers_by_size(epoch1.as_bytes(), epoch2.as_bytes());
    order.then_with(|| alternating(upstream1, upstream2)).then_with(|| alternating(revision1, revision2))
}

/// Compares what is no digit, then what is, in turn.
fn alternating(one: &str, two: &str) -> Ordering {
    let (mut one, mut two) = (one.as_bytes(), two.as_bytes());
    while !one.is_empty() || !two.is_empty() {
        loop {
            let weight = |bytes: &[u8]| match bytes.first() {
                Some(b'~') => -1,
                Some(byte) if byte.is_ascii_digit() => 0,
                None => 0,
                Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
                // Letters sort before everything else.
                Some(byte) => i32::from(*byte) + 256,
            };
            let is_word = |bytes: &[u8]| bytes.first().is_some_and(|byte| !byte.is_ascii_digit());
            if !is_word(one) && !is_word(two) {
                break;
            }
            let order = weight(one).cmp(&weight(two));
            if order.is_ne() {
                return order;
            }
            (one, two) = (one.get(1..).unwrap_or_default(), two.get(1..).unwrap_or_default());
        }
        let digits = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let ((run1, rest1), (run2, rest2)) = (one.split_at(digits(one)), two.split_at(digits(two)));
        let order = numbers_by_size(run1, run2);
        if order.is_ne() {
            return order;
        }
        (one, two) = (rest1, rest2);
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    /// In rising order: vercmp(8) has the first two lines, the others are corners of the rules.
    const PACMAN: [&[&str]; 9] = [
        &["1.0a", "1.0b", "1.0beta", "1.0p", "1.0pre", "1.0rc", "1.0", "1.0.a", "1.0.1"],
        &["1", "1.0", "1.1", "1.1.1", "1.2", "2.0", "3.0.0"],
        &["1.0-1", "1.0-2", "1.0-10", "1:0.1-1", "2:0"],
        &["6.10.arch1-1", "6.10.1.arch1-1", "6.11.arch1-1"],
        &["1.0~rc1", "1.0.1", "1.0.2"],
        &["1.9", "1.10", "1.100", "99999999999999999999999", "100000000000000000000000"],
        &["1.0", "1.0.", "1.0..1"],
        &["a", "b", "1"],
        &["r99.abc", "r100.aaa", "2024"],
    ];
    const DPKG: [&[&str]; 4] = [
        &["1.0~~", "1.0~~a", "1.0~", "1.0", "1.0-1", "1.0-1+deb12u1", "1.0a", "1.0+", "1:0.1"],
        &["6.1.99-1", "6.1.106-3"],
        &["1.2.3~rc1-1", "1.2.3-1", "1.2.3-1.1", "1.2.3+dfsg-1"],
        &["0", "0.0", "0.0.1"],
    ];

    #[test]
    fn versions_rise_in_the_order_of_the_manuals() {
        for (manager, lists) in [(PackageManager::Pacman, &PACMAN[..]), (PackageManager::Dpkg, &DPKG[..])] {
            for list in lists {
                for (i, one) in list.iter().enumerate() {
                    for (j, two) in list.iter().enumerate() {
                        assert_eq!(compare(manager, one, two), i.cmp(&j), "{manager:?}: {one} and {two}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_written_otherwise_may_be_the_same() {
        for (one, two) in [("1.0", "1.0-5"), ("0:1.0-1", "1.0-1"), ("1.00-1", "1.0-1"), ("1_0", "1.0"), (":1", "1")] {
            assert_eq!(compare(PackageManager::Pacman, one, two), Ordering::Equal, "{one} and {two}");
        }
        for (one, two) in [("0:1.0-1", "1.0-1"), ("1.0", "1.00"), ("1.0-0", "1.0"), ("", "0")] {
            assert_eq!(compare(PackageManager::Dpkg, one, two), Ordering::Equal, "{one} and {two}");
        }
    }

    proptest! {
        #[test]
        fn turning_them_round_turns_the_answer(one in "[0-9a-c.:~+_-]{0,12}", two in "[0-9a-c.:~+_-]{0,12}") {
            for manager in [PackageManager::Pacman, PackageManager::Dpkg] {
                prop_assert_eq!(compare(manager, &one, &one), Ordering::Equal);
                prop_assert_eq!(compare(manager, &one, &two), compare(manager, &two, &one).reverse());
            }
        }

        #[test]
        fn any_text_is_taken(one: String, two: String) {
            let _ = (pacman(&one, &two), dpkg(&one, &two));
        }
    }

    /// Where the real programs are there, they must say the same.
    fn agrees(
        program: &str,
        arguments: impl Fn(&str, &str) -> Vec<String>,
        answer: impl Fn(&std::process::Output) -> Ordering,
        ours: fn(&str, &str) -> Ordering,
    ) {
        if Command::new(program).arg("--version").output().is_err() {
            return;
        }
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(250));
        let version = "([0-2]:)?[0-9][0-9a-c.+~]{0,7}(-[0-9a-b.]{1,4})?";
        runner
            .run(&(version, version), |(one, two)| {
                let output = Command::new(program).args(arguments(&one, &two)).output().unwrap();
                prop_assert_eq!(ours(&one, &two), answer(&output), "{} and {}", one, two);
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn pacmans_own_program_agrees() {
        let answer = |output: &std::process::Output| {
            let text = String::from_utf8_lossy(&output.stdout);
            text.trim().parse::<i32>().unwrap().cmp(&0)
        };
        agrees("vercmp", |one, two| vec![one.into(), two.into()], answer, pacman);
    }

    #[test]
    fn dpkg_agrees() {
        let less = |one: &str, two: &str| {
            vec![
                "-c".into(),
                format!(
                    "dpkg --compare-versions {one} lt {two} && exit 1; dpkg --compare-versions {one} gt {two} && exit 2; exit 0"
                ),
            ]
        };
        let answer = |output: &std::process::Output| match output.status.code() {
            Some(1) => Ordering::Less,
            Some(2) => Ordering::Greater,
            _ => Ordering::Equal,
        };
        if Command::new("dpkg").arg("--version").output().is_ok() {
            agrees("sh", less, answer, dpkg);
        }
    }
}

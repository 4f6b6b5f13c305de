//! What comes of an evaluation that is over: the variables, or the error. All of it is decided here from bytes and numbers.

use std::path::Path;
use std::time::Duration;

use super::answer::{self, Answer};
use super::complaint::{Remains, Said, explain, take_apart};
use super::definition::{complaints, define};
use super::error::ProfileError;
use super::evaluate::EvaluationLimits;
use super::model::{Definition, ProfileWarning};

/// `output` is what bash printed, `marker` the word between whose repetitions its answer is; `file` is `profiledef.sh`, whose
/// text is `source`.
pub(super) fn outcome(
    output: &[u8],
    remains: &Remains,
    marker: &str,
    file: &Path,
    source: &str,
    limits: &EvaluationLimits,
) -> Result<(Answer, Said), ProfileError> {
    let went_well = remains.status == Ok(0) && !remains.timed_out && !remains.overflowed;
    if !went_well || !answer::is_complete(output, marker) {
        return Err(explain(remains, file, source, limits));
    }
    let garbled = |why| ProfileError::Garbled { file: file.to_path_buf(), why };
    Ok((answer::parse(output, marker).map_err(garbled)?, take_apart(&remains.errors, file)))
}

/// All of it without bash, for the fuzz target: the definition that comes of what a shell printed that ended with `code`. The
/// marker is `m`.
#[doc(hidden)]
pub fn definition_of(
    output: &[u8],
    errors: &[u8],
    code: i32,
    source: &str,
) -> Result<(Definition, Vec<ProfileWarning>), ProfileError> {
    let file = Path::new("/p/profiledef.sh");
    let took = Duration::from_millis(1);
    let remains = Remains { status: Ok(code), errors: errors.to_vec(), took, timed_out: false, overflowed: false };
    let (answer, said) = outcome(output, &remains, "m", file, source, &EvaluationLimits::default())?;
    let defined = define(&answer, source, "x86_64");
    let warnings = [defined.warnings, complaints(&said, Path::new("/p"))].concat();
    Ok((defined.definition, warnings))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "declare -A file_permissions=()\ndeclare -- iso_name=\"\"\ndeclare -a bootmodes=()\n";

    fn stream(inside: &str, after: &str) -> String {
        format!("{BEFORE}\0\0m\0{BEFORE}{inside}\0m\0{BEFORE}{after}\0m\0")
    }

    #[test]
    fn an_answer_makes_a_definition_and_a_failure_an_error() {
        let set = "declare -- iso_name=\"x\"\n";
        let (definition, warnings) =
            definition_of(stream(set, set).as_bytes(), b"/p/profiledef.sh: line 2: a: b\n", 0, "iso_name=x\n").unwrap();
        assert_eq!((definition.iso_name.as_str(), definition.lines["iso_name"]), ("x", 1));
        assert!(warnings.iter().any(|it| it.line == Some(2) && it.text == "bash says: a: b"), "{warnings:?}");
        let garbled = definition_of(stream("x", "").as_bytes(), b"", 0, "").unwrap_err();
        assert!(matches!(garbled, ProfileError::Garbled { .. }));
        let ended = definition_of(stream("", "").as_bytes(), b"", 1, "").unwrap_err();
        assert!(matches!(ended, ProfileError::Ended { code: 1, .. }));
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_profile_prints_is_answered(
            pieces in proptest::collection::vec(0_usize..9, 0..14),
            output: Vec<u8>,
            errors: Vec<u8>,
            code in -1..260,
            source: String,
        ) {
            let parts: [&[u8]; 9] = [
                BEFORE.as_bytes(),
                b"\0m\0",
                b"\0",
                b"declare -A file_permissions=([/a]=\"0:0:755\" [/b]=\"x\" )\n",
                b"declare -n iso_name=\"iso_name\"\n",
                b"declare -ar packages=([0]=\"l\")\n",
                b"declare -- bootmode=$'x\\ny'\n",
                b"declare -a bootmodes\n",
                &output,
            ];
            let built: Vec<u8> = pieces.iter().flat_map(|index| parts[*index].to_vec()).collect();
            if let Err(error) = definition_of(&built, &errors, code, &source) {
                proptest::prop_assert!(error.to_string().starts_with("/p/") || !errors.is_empty());
            }
        }
    }
}

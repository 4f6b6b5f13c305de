//! `--set FIELD=VALUE`: fields of the cartridge, changed for one run.

use crate::session::RunField;

/// The fields and values of `pairs`.
///
/// # Errors
/// A sentence for the first that has no value, or names no field.
pub(super) fn parse(pairs: &[String]) -> Result<Vec<RunField>, String> {
    pairs.iter().map(|pair| one(pair)).collect()
}

fn one(pair: &str) -> Result<RunField, String> {
    let Some((key, value)) = pair.split_once('=') else {
        return Err(format!("--set wants FIELD=VALUE, for example --set guest.firmware=uefi, not {pair:?}"));
    };
    let (key, value) = (key.trim(), value.trim());
    if !isoprep::FIELDS.iter().any(|field| field.key == key) {
        if let Some(near) = isoprep::nearest_field(key) {
            return Err(format!("there is no field {key:?}; did you mean {near}?"));
        }
        let known = isoprep::FIELDS.iter().map(|field| field.key).collect::<Vec<_>>().join(", ");
        return Err(format!("there is no field {key:?}. Fields: {known}"));
    }
    Ok(RunField::set(key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_names_a_field_that_there_is() {
        let good = one("guest.firmware = uefi").unwrap();
        assert_eq!((good.key.as_str(), good.value.as_str()), ("guest.firmware", "uefi"));
        assert_eq!(good.by, "--set guest.firmware=uefi");
        assert_eq!(one("image.env={ A = \"=\" }").unwrap().value, "{ A = \"=\" }");
        assert!(one("guest.firmware").unwrap_err().contains("FIELD=VALUE"));
        assert!(one("image.engin=micro").unwrap_err().ends_with("did you mean image.engine?"));
        assert!(one("foo=1").unwrap_err().contains("Fields: name, source.path"));
        assert!(one("guest.gpus=1").unwrap_err().ends_with("did you mean guest.gpu?"));
    }
}

//! mkinitcpio's configuration (mkinitcpio.conf(5)) and presets: bash files that hold assignments, read without running them.

use std::collections::BTreeMap;
use std::path::Path;

use super::assignments::{Assigned, Assignment, Script, scan};
use super::model::{InitcpioConfig, InitcpioPreset, ProfileWarning};

/// Reads `mkinitcpio.conf` or a drop-in of it. `file` is only named.
#[must_use]
pub fn parse_initcpio_config(file: &Path, text: &str) -> (InitcpioConfig, Vec<ProfileWarning>) {
    let script = scan(text);
    let warnings = doubts(file, &script, &["HOOKS", "COMPRESSION"]);
    let (mut hooks, mut hooks_line, mut compression) = (Vec::new(), None, None);
    for assignment in &script.assignments {
        match assignment.name.as_str() {
            "HOOKS" => {
                if !assignment.appends {
                    hooks.clear();
                }
                hooks.extend(words(assignment));
                hooks_line = Some(assignment.line);
            }
            "COMPRESSION" => compression = Some(words(assignment).join(" ")),
            _ => {}
        }
    }
    (InitcpioConfig { file: file.to_path_buf(), hooks, hooks_line, compression }, warnings)
}

/// Reads a preset, `/etc/mkinitcpio.d/*.preset`. `file` is only named. Arrays but `PRESETS` are joined with blanks.
#[must_use]
pub fn parse_initcpio_preset(file: &Path, text: &str) -> (InitcpioPreset, Vec<ProfileWarning>) {
    let script = scan(text);
    let (mut presets, mut variables) = (Vec::new(), BTreeMap::<String, (String, usize)>::new());
    for assignment in &script.assignments {
        let value = match (&assignment.value, assignment.name.as_str()) {
            (_, "PRESETS") => {
                if !assignment.appends {
                    presets.clear();
                }
                presets.extend(words(assignment));
                continue;
            }
            (Assigned::Scalar(word), _) => word.text.clone(),
            (Assigned::Array(elements), _) => {
                elements.iter().map(|it| it.word.text.as_str()).collect::<Vec<_>>().join(" ")
            }
        };
        let slot = variables.entry(assignment.name.clone()).or_default();
        if !assignment.appends {
            slot.0.clear();
        } else if matches!(assignment.value, Assigned::Array(_)) && !slot.0.is_empty() {
            slot.0.push(' ');
        }
        slot.0.push_str(&value);
        slot.1 = assignment.line;
    }
    let warnings = doubts(file, &script, &["PRESETS"]);
    (InitcpioPreset { file: file.to_path_buf(), presets, variables }, warnings)
}

/// An array's words; a string's too, which is how `HOOKS` was written before mkinitcpio 23.
fn words(assignment: &Assignment) -> Vec<String> {
    match &assignment.value {
        Assigned::Scalar(word) => word.text.split_whitespace().map(str::to_owned).collect(),
        Assigned::Array(elements) => elements.iter().map(|element| element.word.text.clone()).collect(),
    }
}

/// What keeps us from being sure: expansions where it matters, and commands.
fn doubts(file: &Path, script: &Script, names: &[&str]) -> Vec<ProfileWarning> {
    let warning = |line, text| ProfileWarning { file: file.to_path_buf(), line: Some(line), text };
    let expands = |it: &&Assignment| match &it.value {
        Assigned::Scalar(word) => word.expands,
        Assigned::Array(elements) => elements.iter().any(|element| element.word.expands),
    };
    let unsure = script.assignments.iter().filter(|it| names.contains(&it.name.as_str())).filter(expands);
    let mut warnings: Vec<ProfileWarning> = unsure
        .map(|it| warning(it.line, format!("{} is worked out when mkinitcpio runs; it is read as written", it.name)))
        .collect();
    if let Some((line, command)) = script.commands.first() {
        let names = names.join(" and ");
        warnings
            .push(warning(*line, format!("runs {command}: what {names} will be is not known before mkinitcpio runs")));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hooks_count_over_as_many_lines_as_they_take() {
        let (config, warnings) = parse_initcpio_config(
            Path::new("airootfs/etc/mkinitcpio.conf"),
            "# HOOKS=(no)\nMODULES=()\nHOOKS=\"base udev\"\nHOOKS=(base udev # early\n  plymouth\n  'archiso' \"block\"\n)\nHOOKS+=(filesystems)\nCOMPRESSION=\"xz\"\n",
        );
        assert_eq!(config.hooks, ["base", "udev", "plymouth", "archiso", "block", "filesystems"]);
        assert_eq!((config.hooks_line, config.compression.as_deref()), (Some(8), Some("xz")));
        assert!(warnings.is_empty());
        let (config, _) = parse_initcpio_config(Path::new("c"), "HOOKS=\"base  udev\"\n");
        assert_eq!(
            (config.hooks, config.hooks_line, config.compression),
            (vec!["base".into(), "udev".into()], Some(1), None)
        );
        assert_eq!(parse_initcpio_config(Path::new("c"), "").0.hooks_line, None);
    }

    #[test]
    fn presets_have_every_assignment_with_its_line() {
        let (preset, warnings) = parse_initcpio_preset(
            Path::new("airootfs/etc/mkinitcpio.d/linux.preset"),
            "# x\nPRESETS=('archiso')\n\nALL_kver='/boot/vmlinuz-linux'\narchiso_config=/etc/a.conf\narchiso_image=\"/boot/i.img\"\narchiso_options=(-S autodetect)\n",
        );
        assert_eq!(preset.presets, ["archiso"]);
        assert_eq!(preset.variables["ALL_kver"], ("/boot/vmlinuz-linux".to_owned(), 4));
        assert_eq!(preset.variables["archiso_image"], ("/boot/i.img".to_owned(), 6));
        assert_eq!(preset.variables["archiso_options"].0, "-S autodetect");
        assert_eq!(preset.variables.len(), 4);
        assert!(warnings.is_empty());
    }

    #[test]
    fn what_cannot_be_known_without_running_it_is_told() {
        let (config, warnings) =
            parse_initcpio_config(Path::new("c"), "HOOKS=(base $more)\n[[ -e /x ]] && HOOKS+=(x)\nM=$(y)\n");
        assert_eq!(config.hooks, ["base", "$more", "x"]);
        let said: Vec<_> = warnings.iter().map(|it| (it.line, it.text.as_str())).collect();
        assert_eq!(
            said,
            [
                (Some(1), "HOOKS is worked out when mkinitcpio runs; it is read as written"),
                (Some(2), "runs [[: what HOOKS and COMPRESSION will be is not known before mkinitcpio runs"),
            ]
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "((HOOKS|PRESETS|COMPRESSION|x)\\+?=|[()'\"$ #\na-z]){0,40}|.*") {
            let lines = text.matches('\n').count() + 1;
            let (config, _) = parse_initcpio_config(Path::new("c"), &text);
            proptest::prop_assert!(config.hooks_line.is_none_or(|line| line <= lines));
            proptest::prop_assert!(config.hooks.iter().map(String::len).sum::<usize>() <= text.len());
            let (preset, _) = parse_initcpio_preset(Path::new("p"), &text);
            proptest::prop_assert!(preset.variables.values().all(|(_, line)| *line <= lines));
        }
    }
}

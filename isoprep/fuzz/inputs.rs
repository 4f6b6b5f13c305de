//! What fuzzed bytes mean as a text of a repository's, and what must hold. The fuzz targets and the test that replays their seeds
//! share this.

use std::path::{Path, PathBuf};

use isoprep::profile::{
    BootModeKind, definition_of, parse_boot_file, parse_declarations, parse_initcpio_config, parse_initcpio_preset,
    parse_package_list, parse_pacman_conf,
};

/// Takes a `cartridge.toml`, and says whether it is one. What an edit leaves of a good one is another good one.
pub fn cartridge(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let root = Path::new("/home/me/x");
    let recipe = isoprep::parse(&text, root);
    for field in isoprep::FIELDS {
        let _ = isoprep::get_field(&text, field.key);
    }
    let _ = isoprep::redacted(&text);
    let edited = isoprep::set_field(&text, "guest.cpus", "3");
    match recipe {
        Ok(mut recipe) => {
            if let Ok(edited) = edited {
                recipe.guest.cpus = 3;
                let again = isoprep::parse(&edited, root).unwrap_or_else(|e| panic!("{text:?} became {edited:?}: {e}"));
                assert_eq!(again, recipe, "{text:?} became {edited:?}");
            }
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// Whatever an evaluated profile makes bash print, the reader answers with a definition or an error.
///
/// The input is the exit code's byte, then standard output, standard error and the text of `profiledef.sh`, parted by the line
/// `----`.
pub fn evaluation(input: &[u8]) {
    let Some((code, rest)) = input.split_first() else { return };
    let mut parts = split(rest, b"\n----\n");
    let mut next = || parts.pop().unwrap_or_default();
    let (output, errors, source) = (next(), next(), next());
    let source = String::from_utf8_lossy(source);
    let lines = source.matches('\n').count() + 1;
    match definition_of(output, errors, i32::from(*code), &source) {
        Ok((definition, warnings)) => {
            assert!(*code == 0, "a failure was taken for an answer");
            assert!(definition.lines.values().all(|line| (1..=lines).contains(line)));
            assert!(!definition.iso_name.is_empty() && !definition.build_modes.is_empty());
            assert!(definition.file_permissions.values().all(|it| it.mode <= 0o7777));
            drop(warnings);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let _ = parse_declarations(output);
}

/// The first three parts, last first.
fn split<'a>(mut bytes: &'a [u8], at: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    while parts.len() < 2
        && let Some(found) = bytes.windows(at.len()).position(|window| window == at)
    {
        parts.insert(0, &bytes[..found]);
        bytes = &bytes[found + at.len()..];
    }
    parts.insert(0, bytes);
    parts
}

/// Every parser of a profile's text files takes any text, and every line that it names exists. The first byte chooses the
/// parser.
pub fn texts(input: &[u8]) {
    let Some((which, text)) = input.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    let (file, lines) = (Path::new("f"), text.split('\n').collect::<Vec<_>>());
    let exists = |line: usize| assert!((1..=lines.len()).contains(&line));
    let boot = |loader| {
        let found = parse_boot_file(loader, file, &text);
        for entry in &found.entries {
            exists(entry.line);
            entry.kernel_line.into_iter().for_each(exists);
            assert_eq!(entry.kernel.is_some(), entry.kernel_line.is_some());
        }
        found.loads.iter().for_each(|(_, line)| exists(*line));
        found.warnings.iter().filter_map(|it| it.line).for_each(exists);
    };
    match which % 7 {
        0 => {
            for package in parse_package_list(file, &text).packages {
                assert!(lines[package.line - 1].starts_with(&package.raw) && package.raw.contains(&package.name));
            }
        }
        1 => {
            // A file that may include itself, and one that may not be read.
            let mut include = |pattern: &str| match pattern {
                "/self" => vec![(PathBuf::from("f"), Ok(text.clone().into_owned()))],
                "/none" => vec![(PathBuf::from("/none"), Err("no".to_owned()))],
                _ => Vec::new(),
            };
            let (conf, warnings) = parse_pacman_conf(file, &text, &mut include);
            conf.options.iter().chain(&conf.includes).for_each(|it| exists(it.line));
            warnings.iter().filter_map(|it| it.line).for_each(exists);
        }
        2 => boot(BootModeKind::BiosSyslinux),
        3 => boot(BootModeKind::UefiGrub),
        4 => boot(BootModeKind::UefiSystemdBoot),
        5 => {
            let (config, warnings) = parse_initcpio_config(file, &text);
            config.hooks_line.into_iter().for_each(exists);
            warnings.iter().filter_map(|it| it.line).for_each(exists);
        }
        _ => {
            let (preset, warnings) = parse_initcpio_preset(file, &text);
            preset.variables.values().for_each(|(_, line)| exists(*line));
            warnings.iter().filter_map(|it| it.line).for_each(exists);
        }
    }
}

//! Every parser of a profile's text files takes any text, and every line that it names exists. The first byte chooses the
//! parser.

#![no_main]

use std::path::{Path, PathBuf};

use isoprep::profile::{
    BootModeKind, parse_boot_file, parse_initcpio_config, parse_initcpio_preset, parse_package_list, parse_pacman_conf,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
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
});

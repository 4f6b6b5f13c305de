//! The seeds of the fuzz targets through our parsers. Those of the helpers and of Eject are replayed where these are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::let_underscore_must_use)]

#[path = "../fuzz/inputs.rs"]
mod inputs;

/// Every seed of a target, with its name.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = format!("{}/fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|it| (it.file_name().into_string().unwrap(), std::fs::read(it.path()).unwrap())).collect()
}

#[test]
fn cartridges_are_read_and_those_of_the_tests_are_good() {
    let seeds = seeds("cartridge");
    assert!(seeds.len() >= 8);
    for (name, text) in &seeds {
        let good = ["good_", "readme"].iter().any(|it| name.starts_with(it));
        assert_eq!(inputs::cartridge(text), good || name.starts_with("open_"), "{name}");
    }
}

#[test]
fn profiles_are_read() {
    let (evaluation, texts) = (seeds("evaluation"), seeds("texts"));
    assert!(evaluation.len() >= 6 && texts.len() >= 7);
    evaluation.iter().for_each(|(_, input)| inputs::evaluation(input));
    texts.iter().for_each(|(_, input)| inputs::texts(input));
}

//! The seeds of the fuzz targets through our VNC client, and through the readers of QEMU's and of the guest's lines: all that was
//! recorded of real ones must be understood, and nothing of what is hostile may do harm.

#[path = "../fuzz/lines.rs"]
mod lines;
#[path = "../fuzz/stream.rs"]
mod stream;

use std::io::Read as _;

#[test]
fn lines_are_heard_however_they_are_cut() {
    let seed = |name: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/lines");
        std::fs::read(format!("{folder}/{name}")).unwrap()
    };
    for cut in [1, 2, 7, 64] {
        assert_eq!(lines::hear(&seed("qmp"), cut).0, 5);
        let found = lines::hear(&seed("serial"), cut).1;
        assert!(matches!(found.as_slice(), [_, _, _, vmtools::serial::Finding::Report(_)]), "{found:?}");
        assert!(!lines::hear(&seed("panic"), cut).1.is_empty());
    }
}

#[test]
fn every_seed_is_met_and_those_of_real_servers_are_shown() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/connection");
    let mut servers = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let (updates, _) = stream::meet(&std::fs::read(&path).unwrap());
        let real = name.starts_with("qemu_") || name.starts_with("xvnc_");
        servers += usize::from(real);
        // A recording may end in the middle of an update.
        assert!(updates > 0 || !real, "{name}");
        assert!(updates > 5 || !name.starts_with("list_"), "{name}: {updates}");
    }
    assert_eq!(servers, 10);
}

/// What fuzzing has found of each kind: nothing of it may do harm.
#[test]
fn the_corpus_is_met() {
    let file = std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus.tar.gz")).unwrap();
    let mut corpus = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let mut seen = [0, 0, 0];
    for entry in corpus.entries().unwrap() {
        let mut bytes = Vec::new();
        entry.unwrap().read_to_end(&mut bytes).unwrap();
        let (updates, others) = stream::meet(&bytes);
        seen = [seen[0] + 1, seen[1] + updates, seen[2] + others];
    }
    // Inputs, updates and other messages in them.
    assert!(seen[0] > 500 && seen[1] > 1000 && seen[2] > 100, "{seen:?}");
}

#[test]
fn a_list_says_every_message_and_encoding_that_a_server_may() {
    let part = |kind: u8, y: u8, body: &[u8]| [&[kind, 0, y, 4, 4, 0, body.len() as u8][..], body].concat();
    let messages: [(u8, u8, &[u8]); 8] = [
        (112, 0, &[7; 12]),
        (113, 0, &[]),
        (114, 0, b"text"),
        // Provided text, and what the server knows of clipboards.
        (114 | 128, 0, &[0x10, 0, 0, 1, 0, 0, 0, 3, b'h', b'i', 0]),
        (115, 0, &[]),
        (115, 1, &[]),
        (115, 2, &[1, 2, 3, 4]),
        (113, 0, &[]),
    ];
    let list: Vec<u8> = messages.iter().flat_map(|(kind, y, body)| part(*kind, *y, body)).collect();
    assert_eq!(stream::meet(&list), (0, 8));
    // Sound and buttons, which are told without a body.
    let list = [part(14, 0, &[]), part(15, 0, &[]), part(113, 0, &[])].concat();
    assert_eq!(stream::meet(&list), (2, 1));
}

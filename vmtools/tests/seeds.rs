//! The seeds of the fuzz target through our VNC client: all that was recorded of real servers must be understood, and nothing of
//! what is hostile may do harm.

#[path = "../fuzz/stream.rs"]
mod stream;

#[test]
fn every_seed_is_met_and_those_of_real_servers_are_shown() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/connection");
    let mut servers = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let updates = stream::meet(&std::fs::read(&path).unwrap());
        let real = name.starts_with("qemu_") || name.starts_with("xvnc_");
        servers += usize::from(real);
        // A recording may end in the middle of an update.
        assert!(updates > 0 || !real, "{name}");
        assert!(updates > 5 || !name.starts_with("list_"), "{name}: {updates}");
    }
    assert_eq!(servers, 10);
}

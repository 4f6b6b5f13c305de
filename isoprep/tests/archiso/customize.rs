//! The profile's own script in the root: what it finds, and that what it does is in the image and in its list.

use std::path::Path;

use isoprep::Cancel;
use isoprep::contents::{Side, TreePath, Watch};

use crate::bench::{Bench, profile};

/// Asks for the names of the network, which a root has as little as a link into an empty `/run`; and installs a package, as
/// far as a list is concerned.
const SCRIPT: &str = "#!/bin/bash\nset -e\nif [ -e /etc/expects-names ]; then grep -q . /etc/resolv.conf; fi\n\
                      mkdir -p /var/lib/pacman/local/late-1-1\n\
                      printf '%%NAME%%\\nlate\\n\\n%%VERSION%%\\n1-1\\n\\n' >/var/lib/pacman/local/late-1-1/desc\n";

#[test]
fn the_script_finds_the_network_and_its_packages_are_listed() {
    let names = Path::new("/etc/resolv.conf").metadata().is_ok_and(|meta| meta.len() > 0);
    let profile = profile()
        .executable("airootfs/root/customize_airootfs.sh", SCRIPT)
        .link("airootfs/etc/resolv.conf", "/run/systemd/resolve/stub-resolv.conf");
    let profile = if names { profile.file("airootfs/etc/expects-names", "") } else { profile };
    let bench = Bench::new(&profile, "build = \"release\"");
    let cancel = Cancel::new();
    let image = bench.build();
    let side = Side::load(&image.iso, &Watch { cancel: &cancel, tell: &|_| () }).unwrap();
    let packages = side.contents.packages;
    assert_eq!(packages.get("late").map(|it| it.version.as_str()), Some("1-1"), "{:?}", packages.keys());
    let in_root = |path: &str| side.contents.files.get(&TreePath::new(path.as_bytes())).is_some();
    assert!(in_root("etc/resolv.conf") && !in_root("run/systemd") && !in_root("root/customize_airootfs.sh"));
}

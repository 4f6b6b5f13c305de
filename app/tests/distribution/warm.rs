//! The rapid cycle on an archiso image: a test that saves its slot, the same warm with the repository as it is then, and the
//! repository live in the guest.

use std::fs;

use crate::bench::{Bench, profile};

/// As the units of a dev build do where there is systemd: mounts what the host lends, then reports and stays.
const REPORT: &str = "#!/usr/bin/env bash\nif [ \"$(tty)\" = /dev/tty1 ] && [ -x /usr/lib/cartridge/report ]; then\n\
                      /usr/lib/cartridge/report --mount-shares; /usr/lib/cartridge/report; fi\nexit 0\n";

#[test]
fn a_warm_test_has_the_repository_as_it_is_now() {
    let bench = Bench::new(profile(), "");
    let file = bench.repo.join("cartridge.toml");
    let text = fs::read_to_string(&file).unwrap();
    let write_test =
        |steps: &str| fs::write(&file, format!("{text}[test]\nslot = \"up\"\nsteps = [{steps}]\n")).unwrap();
    write_test("\"serial cat /root/demo/README; /root/demo/bin/run\", \"expect ran\"");
    let cold = bench.console.run(&["test", "--json", bench.path()]);
    assert_eq!(cold.code, 0, "{:#?}\n{}", cold.events, cold.stderr);
    assert_eq!(cold.event("test_ended")["warm"], false);
    assert_eq!(cold.event("slot_saved")["name"], "up");

    fs::write(bench.repo.join("README"), "changed since\n").unwrap();
    write_test("\"serial cat /root/demo/README\", \"expect changed since\"");
    let warm = bench.console.run(&["test", "--json", bench.path()]);
    assert_eq!(warm.code, 0, "{:#?}\n{}", warm.events, warm.stderr);
    assert_eq!(warm.event("test_ended")["warm"], true);
    let told = warm.event("layer_plugged");
    assert_eq!((told["tree"].as_str(), told["matches"].as_bool()), (Some(&*bench.expected()), Some(true)));
    bench.console.assert_clean();
}

#[test]
fn the_repository_is_live_in_a_live_system() {
    let profile = profile().executable("airootfs/root/.automated_script.sh", REPORT);
    let bench = Bench::new(profile, "");
    let up = bench.console.run(&["up", "--json", "--set", "source.live=overlaid", bench.path()]);
    assert_eq!(up.code, 0, "{:#?}\n{}", up.events, up.stderr);
    let share = &up.event("guest_reported")["report"]["shares"][0];
    assert!(share["problem"].is_null() && share["at"] == "/root/demo", "{share}");
    bench.console.assert_clean();
}

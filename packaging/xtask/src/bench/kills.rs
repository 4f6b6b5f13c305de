//! How long it takes from a SIGKILL of the program, at a random moment of a build, a boot and an eject, until nothing of it runs or is
//! mounted; how long the next start takes to put the rest away; and whether that one works.

use std::fs;
use std::time::{Duration, Instant};

use super::console::Console;

/// How often it is killed, if `CARTRIDGE_KILLS` does not say.
const KILLS: u32 = 100;
/// What is promised, seconds: after that nothing runs.
const PROMISED: f64 = 5.0;
/// After which it is no measurement any more.
const LONGEST: Duration = Duration::from_secs(240);

/// Prints the rows.
pub fn rows() {
    let kills = std::env::var("CARTRIDGE_KILLS").ok().and_then(|it| it.parse().ok()).unwrap_or(KILLS);
    let console = Console::new();
    let repo = console.repository("distro");
    let words = ["up", "--json", "--set", "guest.memory=1G", repo.to_str().unwrap()];
    let began = Instant::now();
    let first = console.run(&words);
    assert_eq!(first.code, 0, "{:?}{}", first.events, first.stderr);
    let whole = began.elapsed();
    let mut random = std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    let (mut still, mut clean) = (Vec::new(), Vec::new());
    for number in 0..kills {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let moment = whole.mul_f64(f64::from(random >> 8) / f64::from(u32::MAX >> 8));
        fs::write(repo.join("hello.txt"), format!("{number}\n")).unwrap();
        let mut command = console.command(&words);
        let mut run = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(moment);
        let began = Instant::now();
        run.kill().unwrap();
        run.wait().unwrap();
        while console.is_busy() {
            assert!(began.elapsed() < LONGEST, "killed after {moment:?}: something goes on");
            std::thread::sleep(Duration::from_millis(2));
        }
        still.push(began.elapsed().as_secs_f64());
        let began = Instant::now();
        let next = console.run(&["eject", "--json"]);
        clean.push(began.elapsed().as_secs_f64());
        assert_eq!(next.code, 0, "killed after {moment:?}: {:?}{}", next.events, next.stderr);
        let work = fs::read_dir(console.home.path().join("cache/cartridge/work")).into_iter().flatten().flatten();
        assert!(
            work.into_iter().all(|it| it.file_name() == ".cartridge-work"),
            "killed after {moment:?}: work is left"
        );
        assert_eq!(fs::read_to_string(repo.join("hello.txt")).unwrap(), format!("{number}\n"));
    }
    let last = console.run(&words);
    assert_eq!(last.code, 0, "{:?}{}", last.events, last.stderr);
    for (what, values) in [("until nothing runs or is mounted", &mut still), ("eject of what is left", &mut clean)] {
        values.sort_by(f64::total_cmp);
        let at = |percent: usize| values[(values.len() - 1) * percent / 100];
        let [half, most, worst] = [50, 90, 100].map(at);
        println!(
            "| SIGKILL at {kills} moments of `up` ({:.1} s): {what}, p50/p90/max | {half:.3} / {most:.3} / {worst:.3} s | {:.3} of 5 s |",
            whole.as_secs_f64(),
            worst / PROMISED
        );
    }
}

//! Measures what the README's table says; run by hand, in release mode, on a quiet machine:
//! `cargo test --release -p isoprep --test debian -- --ignored --nocapture measure`.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use isoprep::{Cancel, Progress, StageName};

use crate::bench::Bench;

/// The most memory of this process since the last call, KiB (proc(5), `VmHWM`; 5 in `clear_refs` forgets it).
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    fs::write("/proc/self/clear_refs", "5").unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn measured(what: &str, bench: &Bench) -> Duration {
    let stages = Mutex::new(BTreeMap::new());
    let started = Instant::now();
    let image = bench.build_with(&Cancel::new(), &|progress| match progress {
        Progress::Started { .. } => drop(peak()),
        Progress::Finished { stage: StageName(stage), took, .. } => {
            stages.lock().unwrap().insert(stage, (took, peak()));
        }
        _ => {}
    });
    let took = started.elapsed();
    println!("{what}: {:.3} s, image {} MB", took.as_secs_f64(), image.unwrap().bytes / 1_000_000);
    for (stage, (took, peak)) in stages.into_inner().unwrap() {
        println!("  {stage}: {:.3} s, at most {} MiB", took.as_secs_f64(), peak / 1024);
    }
    took
}

#[test]
#[ignore = "takes minutes, and says nothing on a busy machine"]
fn measure_the_rapid_cycle() {
    let mut bench = Bench::without_base("debian", "");
    bench.request.cache = bench.dir.path().join("cache");
    let fetched = bench.request.cache.join("packages-fetched");
    fs::create_dir_all(&fetched).unwrap();
    // The network is not measured.
    for file in fs::read_dir(crate::bench::cache().join("packages-fetched")).into_iter().flatten().flatten() {
        if file.file_type().unwrap().is_file() {
            fs::copy(file.path(), fetched.join(file.file_name())).unwrap();
        }
    }
    // A repository of 13 MB in 1300 files.
    for number in 0..1300_u32 {
        let dir = bench.repo().join(format!("folder{}", number % 40));
        fs::create_dir_all(&dir).unwrap();
        let noise = blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof();
        let mut bytes = vec![0; 10_000];
        std::io::Read::read_exact(&mut { noise }, &mut bytes).unwrap();
        fs::write(dir.join(format!("{number}")), bytes).unwrap();
    }
    std::thread::sleep(Duration::from_secs(3));
    let full = measured("full", &bench);
    let again = measured("unchanged", &bench);
    fs::write(bench.repo().join("folder7/7"), "changed\n").unwrap();
    let one = measured("one file", &bench);
    println!(
        "unchanged {:.4}, one file {:.4} of the full build",
        again.div_duration_f64(full),
        one.div_duration_f64(full)
    );
}

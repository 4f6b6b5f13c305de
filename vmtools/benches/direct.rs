//! How long a direct boot takes, from the start of QEMU to the first line of user space and to a shell, and how much of that
//! is the kernel's own; and how long it takes where the guest is resumed from a template. Prints rows of the README's table:
//! medians of runs that take turns, and their ratios, also of virtme-ng's where `vng` is installed.
//!
//! `cargo bench -p vmtools --bench direct [-- [options] RUNS]`; 5 runs of each by default; with `options`: what each option
//! contributes. Wants a kernel with its modules, a static busybox and mksquashfs, as the tests do.

use std::error::Error;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cartridge_initramfs::cpio::Cpio;
use cartridge_supervise::{Cancel, CommandLine, run};
use tokio::sync::mpsc;
use vmtools::boot::{DirectBoot, Early, Root, prepare};
use vmtools::share::Access;
use vmtools::template::{self, Key, Template};
use vmtools::{
    Accelerator, Boot, BootStep, Firmware, Gpu, GuestEvent, GuestPlan, Machine, Medium, RuntimeDir, Screen, Sharing,
    start,
};

#[path = "direct/options.rs"]
mod options;
#[path = "direct/peer.rs"]
mod peer;

use peer::Peer;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What the floor's init prints.
const FLOOR: &str = "the floor of user space";
const A: &str = "A: init and busybox";
const B: &str = "B: squashfs on a disk";
const C: &str = "C: folder over 9p, overlaid";
const D: &str = "C: folder over virtiofs, overlaid";
const A_RESUMED: &str = "A: init and busybox, resumed";
const B_RESUMED: &str = "B: squashfs on a disk, resumed";
const C_RESUMED: &str = "C: folder over 9p, overlaid, resumed";
const D_RESUMED: &str = "C: folder over virtiofs, overlaid, resumed";
/// No boot may take longer.
const LIMIT: Duration = Duration::from_secs(120);

/// One way to boot.
struct Way {
    name: &'static str,
    plan: GuestPlan,
    /// What its kernel looks at early, where a template can be made of it.
    early: Option<Early>,
    /// What it is resumed from instead of booted.
    template: Option<(Template, Key)>,
    init: Vec<f64>,
    shell: Vec<f64>,
}

fn main() -> Outcome<()> {
    let runs = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(5);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let place = tempfile::Builder::new().prefix("direct").tempdir_in("/tmp")?;
    let mut ways = ways(place.path())?;
    if std::env::args().any(|word| word == "options") {
        return options::measure(&ways[0], place.path(), runs);
    }
    runtime.block_on(resumed(&mut ways, place.path()))?;
    let peer = Peer::find(place.path());
    let mut peers = Vec::new();
    for _ in 0..runs {
        for way in &mut ways {
            let (init, shell) = runtime.block_on(boot(way, place.path()))?;
            way.init.push(init);
            way.shell.extend(shell);
        }
        if let Ok(peer) = &peer {
            peers.push(peer.boot()?);
        }
    }
    print(&ways, &peers);
    if let Err(why) = peer {
        println!("virtme-ng was not measured: {why}");
    }
    Ok(())
}

/// Medians, and the medians of what each run is of another one's in its turn.
fn print(ways: &[Way], peers: &[f64]) {
    let of = |values: &[f64], others: &[f64]| {
        let ratios: Vec<f64> = values.iter().zip(others).map(|(value, other)| value / other).collect();
        if ratios.is_empty() { "-".to_owned() } else { format!("{:.3}", median(&ratios)) }
    };
    let floor = ways.first().map(|it| it.init.clone()).unwrap_or_default();
    let (booted, peer) = ("of booted", "of virtme-ng");
    println!("{:<44} {:>8} {:>8} {:>9} {booted:>10} {peer:>13}", "boot", "init, s", "shell, s", "of floor");
    for way in ways {
        let seconds =
            |values: &[f64]| if values.is_empty() { "-".to_owned() } else { format!("{:.2}", median(values)) };
        let first = ways.iter().find(|it| it.template.is_none() && way.name.starts_with(it.name));
        let booted = first.filter(|_| way.template.is_some()).map_or("-".to_owned(), |it| of(&way.shell, &it.shell));
        // The floor has no shell: nothing can be sooner.
        let ready = if way.shell.is_empty() { &way.init } else { &way.shell };
        let [init, shell, peer] = [seconds(&way.init), seconds(&way.shell), of(ready, peers)];
        println!("{:<44} {init:>8} {shell:>8} {:>9} {booted:>10} {peer:>13}", way.name, of(&way.init, &floor));
    }
    if !peers.is_empty() {
        println!("{:<44} {:>8} {:>8.2}", "virtme-ng, 9p", "-", median(peers));
    }
}

fn ways(place: &Path) -> Outcome<Vec<Way>> {
    let kernel = kernel()?;
    let tree = place.join("tree");
    busybox_tree(&tree)?;
    let image = place.join("tree.squashfs");
    let pack = CommandLine::new("mksquashfs").arg(&tree).arg(&image).args(["-quiet", "-no-progress", "-all-root"]);
    run(&pack, &Cancel::new(), |_, _| ())?;
    let floor = place.join("floor.cpio");
    std::fs::write(&floor, floor_archive(&tree)?)?;
    let made = |root: Root, initrds: Vec<PathBuf>| {
        let boot = DirectBoot { kernel: kernel.clone(), modules: None, initrds, root, cmdline: String::new() };
        prepare(&boot, &place.join("cache"), &Cancel::new())
    };
    let layers = Root::Layers { disk: image, layers: vec![], keep: None };
    let folder = Root::Folder { dir: tree, access: Access::Overlaid };
    let mut ways = Vec::new();
    for (name, prepared) in [
        ("floor: an init that prints and exits", made(Root::Initramfs, vec![floor])?),
        (A, made(Root::Initramfs, vec![])?),
        (B, made(layers, vec![])?),
        (C, made(folder.clone(), vec![])?),
        (D, made(folder, vec![])?),
    ] {
        let mut sharing = Sharing { folders: prepared.shares, ..Sharing::default() };
        if name != D {
            // By 9p on every machine.
            sharing.serving.virtiofsd.clear();
        } else if !sharing.serving.virtiofsd.iter().any(|path| path.is_file()) {
            println!("{D}: not measured, as there is no virtiofsd on this machine");
            continue;
        }
        let machine = Machine { layers: prepared.layers, ..machine() };
        let (runtime, qemu) = (PathBuf::new(), "qemu-system-x86_64".into());
        let plan = GuestPlan { machine, boot: prepared.boot, runtime, qemu, firmware: None, sharing };
        ways.push(Way { name, plan, early: prepared.early, template: None, init: vec![], shell: vec![] });
    }
    for (name, unpacked) in [("with the bzImage: the floor", 0), ("with the bzImage: A", 1)] {
        if let Boot::Direct { initrds, cmdline, .. } = &ways[unpacked].plan.boot {
            let boot = Boot::Direct { kernel: kernel.clone(), initrds: initrds.clone(), cmdline: cmdline.clone() };
            let plan = GuestPlan { boot, ..ways[unpacked].plan.clone() };
            ways.push(Way { name, plan, early: None, template: None, init: vec![], shell: vec![] });
        }
    }
    Ok(ways)
}

/// Makes a template of each way that can have one, and adds the way that is resumed from it.
async fn resumed(ways: &mut Vec<Way>, place: &Path) -> Outcome<()> {
    for (booted, name) in [(A, A_RESUMED), (B, B_RESUMED), (C, C_RESUMED), (D, D_RESUMED)] {
        let Some(way) = ways.iter().find(|it| it.name == booted) else { continue };
        let (plan, early) = (way.plan.clone(), way.early);
        let key = template::key(&plan, early, &place.join("cache"))?;
        let (store, run) = (place.join("templates"), place.join("run"));
        let began = Instant::now();
        let template = template::make(&plan, &key, &store, &run, &Cancel::new()).await?;
        let (seconds, mib) = (began.elapsed().as_secs_f64(), template.bytes() >> 20);
        println!("a template of {booted}: made in {seconds:.1} s, {mib} MiB");
        ways.push(Way { name, plan, early, template: Some((template, key)), init: vec![], shell: vec![] });
    }
    Ok(())
}

/// Boots it once: seconds to user space, and to a shell if there is to be one.
async fn boot(way: &Way, place: &Path) -> Outcome<(f64, Option<f64>)> {
    let dir = tempfile::tempdir_in(place)?;
    let runtime = RuntimeDir::create_in(&dir.path().join("run"), "bench")?.path().to_owned();
    let plan = GuestPlan { runtime, ..way.plan.clone() };
    let (sender, mut events) = mpsc::channel(64);
    let began = Instant::now();
    let screen = Arc::new(Screen::new());
    let handle = match &way.template {
        Some((template, key)) => template::resume(template, key, plan, sender, screen).await?,
        None => start(plan, sender, screen).await?,
    };
    let mut serial = Vec::new();
    let mut init = None;
    let found = loop {
        let event = tokio::time::timeout(LIMIT, events.recv()).await?.ok_or("the guest ended")?;
        let now = began.elapsed().as_secs_f64();
        match event {
            GuestEvent::Boot(BootStep::Init) => init = Some(now),
            GuestEvent::Boot(BootStep::Shell) => break (init.ok_or("no first step")?, Some(now)),
            GuestEvent::Boot(BootStep::Failed { what, .. }) => return Err(what.into()),
            GuestEvent::Serial(bytes) => {
                serial.extend(bytes);
                if String::from_utf8_lossy(&serial).contains(FLOOR) {
                    break (now, None);
                }
            }
            GuestEvent::Ended(end) => return Err(format!("{}: {}", way.name, end.how).into()),
            _ => {}
        }
    };
    handle.end(|_, _| ()).await;
    Ok(found)
}

fn machine() -> Machine {
    Machine {
        name: "bench".into(),
        cpus: 1,
        memory_mib: 512,
        firmware: Firmware::Bios,
        gpu: Gpu::Std,
        medium: Medium::Cd,
        disks: vec![],
        accelerator: Accelerator::Tcg,
        network: vmtools::Network::User,
        forwards: vec![],
        tpm: false,
        clipboard: false,
        audio: false,
        extra_iso: None,
        usb: vec![],
        extra: vec![],
        shares: vec![],
        layers: vec![],
        told: vec![],
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn kernel() -> Outcome<PathBuf> {
    let store = PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".local/share/cartridge/kernels");
    let found = [store, "/lib/modules".into()]
        .into_iter()
        .flat_map(|dir| std::fs::read_dir(dir).into_iter().flatten().flatten());
    let found = found.map(|it| it.path().join("vmlinuz")).find(|it| std::fs::File::open(it).is_ok());
    Ok(found
        .ok_or("no kernel in ~/.local/share/cartridge/kernels/<version>/vmlinuz or /lib/modules/<version>/vmlinuz")?)
}

fn busybox() -> Outcome<PathBuf> {
    let known = ["/bin/busybox", "/usr/bin/busybox", "/usr/bin/busybox.static"].map(PathBuf::from);
    Ok(known.into_iter().find(|it| it.exists()).ok_or("no busybox: install busybox-static")?)
}

fn busybox_tree(tree: &Path) -> Outcome<()> {
    for dir in ["bin", "dev", "etc", "proc", "root", "run", "sys", "tmp"] {
        std::fs::create_dir_all(tree.join(dir))?;
    }
    std::fs::copy(busybox()?, tree.join("bin/busybox"))?;
    Ok(symlink("busybox", tree.join("bin/sh"))?)
}

fn floor_archive(tree: &Path) -> Outcome<Vec<u8>> {
    let mut cpio = Cpio::new(Vec::new());
    for dir in ["/bin", "/dev"] {
        cpio.dir(Path::new(dir), 0o755)?;
    }
    cpio.device(Path::new("/dev/console"), 0o600, 5, 1)?;
    cpio.bytes(Path::new("/bin/busybox"), 0o755, &std::fs::read(tree.join("bin/busybox"))?)?;
    let script = format!("#!/bin/busybox sh\necho {FLOOR}\n/bin/busybox poweroff -f\n");
    cpio.bytes(Path::new("/init"), 0o755, script.as_bytes())?;
    Ok(cpio.finish()?)
}

//! How long a direct boot takes, from the start of QEMU to the first line of user space and to a shell, and how much of that
//! is the kernel's own. Prints rows of the README's table: medians of runs that take turns, and their ratios.
//!
//! `cargo bench -p vmtools --bench direct [-- RUNS]`; 5 runs of each by default. Wants a kernel with its modules, a static
//! busybox and mksquashfs, as the tests do.

use std::error::Error;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cartridge_initramfs::cpio::Cpio;
use cartridge_supervise::{Cancel, CommandLine, run};
use tokio::sync::mpsc;
use vmtools::boot::{DirectBoot, Root, prepare};
use vmtools::share::Access;
use vmtools::{
    Accelerator, Boot, BootStep, Firmware, Gpu, GuestEvent, GuestPlan, Machine, Medium, RuntimeDir, Screen, Share,
    Sharing, Transport, start,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What the floor's init prints.
const FLOOR: &str = "the floor of user space";
/// No boot may take longer.
const LIMIT: Duration = Duration::from_secs(120);

/// One way to boot.
struct Way {
    name: &'static str,
    boot: Boot,
    machine: Machine,
    init: Vec<f64>,
    shell: Vec<f64>,
}

fn main() -> Outcome<()> {
    let runs = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(5);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let place = tempfile::Builder::new().prefix("direct").tempdir_in("/tmp")?;
    let mut ways = ways(place.path())?;
    for _ in 0..runs {
        for way in &mut ways {
            let (init, shell) = runtime.block_on(boot(way, place.path()))?;
            way.init.push(init);
            way.shell.extend(shell);
        }
    }
    let floor = median(&ways[0].init);
    println!("{:<44} {:>9} {:>9} {:>9}", "boot", "init, s", "shell, s", "of floor");
    for way in &ways {
        let shell = if way.shell.is_empty() { "-".to_owned() } else { format!("{:.2}", median(&way.shell)) };
        println!("{:<44} {:>9.2} {:>9} {:>9.2}", way.name, median(&way.init), shell, median(&way.init) / floor);
    }
    let virtme = run(&CommandLine::new("vng").arg("--version"), &Cancel::new(), |_, _| ());
    println!(
        "virtme-ng: {}",
        if virtme.is_ok() { "installed; compare with `time vng --run <kernel> -- true`" } else { "not installed" }
    );
    Ok(())
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
        ("A: init and busybox", made(Root::Initramfs, vec![])?),
        ("B: squashfs on a disk", made(layers, vec![])?),
        ("C: folder over 9p, overlaid", made(folder, vec![])?),
    ] {
        let lent = |dir: &PathBuf| Transport::Plan9 { dir: dir.clone(), read_only: true };
        let shares = prepared.shares.iter().map(|it| Share { tag: it.tag.clone(), transport: lent(&it.dir) }).collect();
        let machine = Machine { shares, layers: prepared.layers, ..machine() };
        ways.push(Way { name, boot: prepared.boot, machine, init: vec![], shell: vec![] });
    }
    if let Boot::Direct { initrds, cmdline, .. } = &ways[1].boot {
        let boot = Boot::Direct { kernel, initrds: initrds.clone(), cmdline: cmdline.clone() };
        let name = "A: the same, with the bzImage";
        ways.push(Way { name, boot, machine: machine(), init: vec![], shell: vec![] });
    }
    Ok(ways)
}

/// Boots it once: seconds to user space, and to a shell if there is to be one.
async fn boot(way: &Way, place: &Path) -> Outcome<(f64, Option<f64>)> {
    let dir = tempfile::tempdir_in(place)?;
    let runtime = RuntimeDir::create_in(&dir.path().join("run"), "bench")?.path().to_owned();
    let plan = GuestPlan {
        machine: way.machine.clone(),
        boot: way.boot.clone(),
        runtime,
        qemu: "qemu-system-x86_64".into(),
        firmware: None,
        sharing: Sharing::default(),
    };
    let (sender, mut events) = mpsc::channel(64);
    let began = Instant::now();
    let handle = start(plan, sender, Arc::new(Screen::new())).await?;
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

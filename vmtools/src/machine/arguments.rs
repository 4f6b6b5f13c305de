//! A machine as a QEMU command line. Pure: the same machine gives the same words, held by golden tests.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::machine::{
    Accelerator, Boot, Firmware, FirmwareFiles, Gpu, Machine, Medium, Network, RuntimePaths, devices, ports,
};

/// The sandbox that QEMU is put into: no new programs, no new privileges (qemu(1), `-sandbox`).
const SANDBOX: &str = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

/// How a guest that was started is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Over sockets in its runtime directory, by us.
    Sockets,
    /// By a person who pasted the command into a terminal: the serial line is there, the screen in QEMU's own window if
    /// one can be opened.
    Terminal {
        /// Whether there is a desktop.
        window: bool,
    },
}

/// The arguments for QEMU, without the program itself.
///
/// The guest waits for QMP's `cont` (`-S`), so that nothing it prints is lost before the serial line is connected.
/// `firmware` is needed for [`Firmware::Uefi`] and [`Firmware::UefiSecure`] and ignored for [`Firmware::Bios`]; its
/// variables are expected to have been copied to [`RuntimePaths::vars`]. Several initial RAM disks are expected joined at
/// [`RuntimePaths::initrd`], a swtpm at [`RuntimePaths::tpm`], and the disks made.
#[must_use]
pub fn qemu_arguments(
    machine: &Machine,
    boot: &Boot,
    runtime: &RuntimePaths,
    firmware: Option<&FirmwareFiles>,
) -> Vec<OsString> {
    words(machine, boot, runtime, firmware, Reach::Sockets)
}

/// The same for either way to reach the guest.
pub(super) fn words(
    machine: &Machine,
    boot: &Boot,
    runtime: &RuntimePaths,
    firmware: Option<&FirmwareFiles>,
    reach: Reach,
) -> Vec<OsString> {
    let firmware = firmware.filter(|_| machine.firmware != Firmware::Bios);
    let mut args = Arguments::default();
    args.pair("-name", value().text("guest=").escaped(&machine.name).text(",debug-threads=on"));
    args.0.extend(["-nodefaults", "-no-user-config"].map(Into::into));
    if reach == Reach::Sockets {
        args.0.push("-S".into());
        args.pair("-sandbox", SANDBOX);
    }
    let (accelerator, cpu) = match machine.accelerator {
        Accelerator::Kvm => ("kvm", "host"),
        Accelerator::Tcg => ("tcg,thread=multi", "max"),
    };
    let mut board = "q35".to_owned();
    if machine.lends_its_memory() {
        board.push_str(",memory-backend=memory");
    }
    if firmware.is_some_and(|files| files.keys.is_some()) {
        // System management mode keeps the variables, and with them the keys, from the guest's system.
        board.push_str(",smm=on");
        args.pair("-global", "driver=cfi.pflash01,property=secure,value=on");
    }
    if machine.audio {
        board.push_str(&format!(",pcspk-audiodev={}", devices::AUDIO));
    }
    args.pair("-machine", board).pair("-accel", accelerator).pair("-cpu", cpu);
    args.pair("-smp", machine.cpus.to_string()).pair("-m", format!("{}M", machine.memory_mib));
    devices::memory(&mut args, machine);
    args.pair("-rtc", "base=utc");
    // A panic pauses, so that its screen stays: here for a kernel that has loaded pvpanic, and by `stop` for one that
    // has told it on the serial line only. A reboot goes on in the same process.
    args.pair("-action", "panic=pause,reboot=reset,shutdown=poweroff");
    args.pair("-boot", "menu=off,strict=on");
    if let Some(files) = firmware {
        flash(&mut args, files, runtime);
    }
    devices::audio(&mut args, machine);
    display(&mut args, machine, runtime, reach);
    args.pair("-device", "qemu-xhci,id=xhci").pair("-device", "usb-tablet,bus=xhci.0");
    args.pair("-device", "pvpanic-pci").pair("-device", "virtio-rng-pci");
    match reach {
        Reach::Sockets => {
            args.pair("-chardev", socket("socket,id=serial0,path=", &runtime.serial));
            args.pair("-serial", "chardev:serial0");
            args.pair("-qmp", socket("unix:", &runtime.qmp));
            args.pair("-pidfile", runtime.pid_file.as_os_str());
        }
        // With QEMU's monitor behind Ctrl-A C, and its end behind Ctrl-A X.
        Reach::Terminal { .. } => drop(args.pair("-serial", "mon:stdio")),
    }
    if machine.tpm {
        args.pair("-chardev", value().text("socket,id=tpm0,path=").escaped(&runtime.tpm));
        args.pair("-tpmdev", "emulator,id=tpm0,chardev=tpm0").pair("-device", "tpm-crb,tpmdev=tpm0");
    }
    devices::clipboard(&mut args, machine);
    boot_from(&mut args, machine.medium, boot, runtime);
    devices::drives(&mut args, machine);
    devices::lend(&mut args, machine);
    network(&mut args, machine);
    // After everything that is there from the start, whose places stay as they were. The identity is another one with
    // each QEMU, so that a guest that is restored renews its random numbers.
    for port in ports::devices() {
        args.pair("-device", port);
    }
    args.pair("-device", "vmgenid,guid=auto");
    args.0.extend(machine.extra.iter().map(Into::into));
    args.0
}

fn flash(args: &mut Arguments, files: &FirmwareFiles, runtime: &RuntimePaths) {
    let (code, vars) = (files.code_format.name(), files.vars_format.name());
    args.pair(
        "-drive",
        value().text(&format!("if=pflash,unit=0,format={code},readonly=on,file=")).escaped(&files.code),
    );
    args.pair("-drive", value().text(&format!("if=pflash,unit=1,format={vars},file=")).escaped(&runtime.vars));
}

fn display(args: &mut Arguments, machine: &Machine, runtime: &RuntimePaths, reach: Reach) {
    let gpu = machine.gpu;
    let device = match gpu {
        Gpu::Std => "VGA",
        Gpu::Virtio => "virtio-vga",
        Gpu::VirtioGl => "virtio-vga-gl",
    };
    args.pair("-device", format!("{device},id=video0"));
    match (reach, gpu) {
        (Reach::Terminal { window: true }, Gpu::VirtioGl) => drop(args.pair("-display", "gtk,gl=on")),
        // QEMU takes the best window that it was built with.
        (Reach::Terminal { window: true }, _) => {}
        (_, Gpu::VirtioGl) => drop(args.pair("-display", "egl-headless")),
        _ => drop(args.pair("-display", "none")),
    }
    if reach == Reach::Sockets {
        // Without `display` Ctrl-Alt-1…9 would switch QEMU's own consoles. With `lock-key-sync` off QEMU would tell nothing of
        // the guest's lock keys; on, which is its default, it leaves them to a client that asks for them.
        let sound = if machine.audio { format!(",audiodev={}", devices::AUDIO) } else { String::new() };
        args.pair("-vnc", value().text("unix:").escaped(&runtime.vnc).text(",display=video0").text(&sound));
    }
}

fn boot_from(args: &mut Arguments, medium: Medium, boot: &Boot, runtime: &RuntimePaths) {
    match boot {
        Boot::Iso(iso) => {
            let (media, device) = match medium {
                Medium::Cd => ("cdrom", "ide-cd,bus=ide.0,drive=medium,bootindex=1"),
                Medium::Usb => ("disk", "usb-storage,bus=xhci.0,drive=medium,bootindex=1,removable=on"),
            };
            let drive = format!("if=none,id=medium,media={media},format=raw,readonly=on,file=");
            args.pair("-drive", value().text(&drive).escaped(iso)).pair("-device", device);
        }
        Boot::Direct { kernel, initrds, cmdline } => {
            args.pair("-kernel", kernel.as_os_str());
            match initrds.as_slice() {
                [] => {}
                [one] => {
                    args.pair("-initrd", one.as_os_str());
                }
                _ => {
                    args.pair("-initrd", runtime.initrd.as_os_str());
                }
            }
            args.pair("-append", cmdline);
        }
        Boot::Nothing => {}
    }
}

fn network(args: &mut Arguments, machine: &Machine) {
    if machine.network == Network::None {
        return;
    }
    let mut net = String::from("user,id=net0");
    for forward in &machine.forwards {
        // Port 0: the kernel picks a free one, and `info usernet` tells which.
        let (host, guest) = (forward.host_port.unwrap_or(0), forward.guest_port);
        net.push_str(&format!(",hostfwd=tcp:127.0.0.1:{host}-:{guest}"));
    }
    // An empty romfile: no network boot, which would only delay "no bootable device".
    args.pair("-netdev", net).pair("-device", "virtio-net-pci,netdev=net0,romfile=");
}

fn socket(before: &str, path: &Path) -> Value {
    value().text(before).escaped(path).text(",server=on,wait=off")
}

/// The same arguments without the sandbox, for a QEMU that was built without it.
#[must_use]
pub fn without_sandbox(args: &[OsString]) -> Vec<OsString> {
    let mut left = args.to_vec();
    if let Some(at) = left.iter().position(|word| word == "-sandbox") {
        left.drain(at..(at + 2).min(left.len()));
    }
    left
}

/// Words for a command line in the making.
#[derive(Default)]
pub(super) struct Arguments(Vec<OsString>);

impl Arguments {
    pub(super) fn pair(&mut self, option: &str, value: impl Into<OsString>) -> &mut Self {
        self.0.push(option.into());
        self.0.push(value.into());
        self
    }
}

/// An option's value with commas doubled where QEMU would take them for separators.
pub(super) struct Value(OsString);

pub(super) fn value() -> Value {
    Value(OsString::new())
}

impl Value {
    pub(super) fn text(mut self, text: &str) -> Self {
        self.0.push(text);
        self
    }

    pub(super) fn escaped(mut self, text: impl AsRef<OsStr>) -> Self {
        use std::os::unix::ffi::{OsStrExt, OsStringExt};
        let doubled = text.as_ref().as_bytes().iter().flat_map(|&b| std::iter::repeat_n(b, 1 + usize::from(b == b',')));
        self.0.push(OsString::from_vec(doubled.collect()));
        self
    }
}

impl From<Value> for OsString {
    fn from(value: Value) -> Self {
        value.0
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::machine::{Disk, DiskFormat, EnrolledKeys, FlashFormat, Forward, Made, Share, Transport, UsbId};

    pub(crate) fn machine() -> Machine {
        Machine {
            name: "demo".into(),
            cpus: 4,
            memory_mib: 4096,
            firmware: Firmware::Bios,
            gpu: Gpu::Std,
            medium: Medium::Cd,
            disks: vec![],
            accelerator: Accelerator::Tcg,
            network: Network::User,
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

    pub(crate) fn disk(name: &str, file: &str, format: DiskFormat) -> Disk {
        Disk { name: name.into(), file: file.into(), format, made: Made::Before }
    }

    fn golden(machine: &Machine, boot: &Boot) -> String {
        let firmware = FirmwareFiles {
            code: "/fw/CODE.fd".into(),
            code_format: FlashFormat::Raw,
            vars: "/fw/VARS.fd".into(),
            vars_format: FlashFormat::Raw,
            keys: (machine.firmware == Firmware::UefiSecure).then_some(EnrolledKeys::Test),
        };
        let runtime = RuntimePaths::new(Path::new("/run/demo"));
        let words = qemu_arguments(machine, boot, &runtime, Some(&firmware));
        let mut text = String::new();
        for word in words {
            let word = word.into_string().unwrap();
            text.push(if word.starts_with('-') { '\n' } else { ' ' });
            text.push_str(&word);
        }
        text.trim_start().to_owned()
    }

    #[test]
    fn every_kind_of_machine_has_its_words() {
        let iso = Boot::Iso("/images/demo.iso".into());
        for firmware in [Firmware::Bios, Firmware::Uefi] {
            for medium in [Medium::Cd, Medium::Usb] {
                for gpu in [Gpu::Std, Gpu::Virtio] {
                    for accelerator in [Accelerator::Kvm, Accelerator::Tcg] {
                        let name = format!("{firmware:?}-{medium:?}-{gpu:?}-{accelerator:?}").to_lowercase();
                        let machine = Machine { firmware, medium, gpu, accelerator, ..machine() };
                        insta::assert_snapshot!(name, golden(&machine, &iso));
                    }
                }
            }
        }
    }

    #[test]
    fn direct_boot_disk_and_forwards() {
        let machine = Machine {
            name: "a, b".into(),
            disks: vec![disk("disk", "/d/x,y.qcow2", DiskFormat::Qcow2)],
            forwards: vec![
                Forward { name: "ssh".into(), guest_port: 22, host_port: None },
                Forward { name: "web".into(), guest_port: 80, host_port: Some(8080) },
            ],
            ..machine()
        };
        let boot = |initrds: &[&str]| Boot::Direct {
            kernel: "/k/vm,linuz".into(),
            initrds: initrds.iter().map(Into::into).collect(),
            cmdline: "console=ttyS0,115200 panic=-1".into(),
        };
        insta::assert_snapshot!("direct", golden(&machine, &boot(&["/k/initrd"])));
        assert!(golden(&machine, &boot(&["/a", "/b"])).contains("-initrd /run/demo/initrd.img"));
        assert!(!golden(&machine, &boot(&[])).contains("-initrd"));
    }

    /// What a setting adds to the words of a plain machine, a line each.
    fn added(machine: &Machine) -> String {
        let plain = golden(&self::machine(), &Boot::Nothing);
        let plain: Vec<_> = plain.lines().collect();
        let all = golden(machine, &Boot::Nothing);
        all.lines().filter(|line| !plain.contains(line)).map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn each_setting_has_its_words() {
        let said = |change: &dyn Fn(&mut Machine)| {
            let mut machine = machine();
            change(&mut machine);
            added(&machine)
        };
        let disks = vec![disk("system", "/d/s", DiskFormat::Qcow2), disk("data", "/d/a,b.img", DiskFormat::Raw)];
        let settings = [
            ("uefi-secure", said(&|it| it.firmware = Firmware::UefiSecure)),
            ("tpm", said(&|it| it.tpm = true)),
            ("clipboard", said(&|it| it.clipboard = true)),
            ("audio", said(&|it| it.audio = true)),
            ("disks", said(&|it| it.disks.clone_from(&disks))),
            ("gpu virtio-gl", said(&|it| it.gpu = Gpu::VirtioGl)),
            ("extra iso", said(&|it| it.extra_iso = Some("/i/x,y.iso".into()))),
            ("usb", said(&|it| it.usb = vec![UsbId { vendor: 0x1d6b, product: 2 }])),
            ("extra words", said(&|it| it.extra = vec!["-device".into(), "edu,x=1".into()])),
        ];
        let text: String = settings.iter().map(|(name, words)| format!("# {name}\n{words}")).collect();
        insta::assert_snapshot!("settings", text);
        let alone = Machine { network: Network::None, ..machine() };
        let text = golden(&alone, &Boot::Nothing);
        assert!(!text.contains("-netdev") && !text.contains("virtio-net"), "{text}");
    }

    #[test]
    fn folders_layers_and_words_are_lent() {
        let plan9 = |read_only| Transport::Plan9 { dir: "/home/a, b".into(), read_only };
        let mut machine = Machine {
            shares: vec![
                Share { tag: "repository".into(), transport: plan9(true) },
                Share { tag: "other".into(), transport: plan9(false) },
            ],
            layers: vec!["/l/root.squashfs".into(), "/l/x,y.erofs".into()],
            told: vec![("shares".into(), r#"[{"tag":"repository","at":"/root/a"}]"#.into())],
            ..machine()
        };
        assert!(!machine.lends_its_memory());
        insta::assert_snapshot!("lent-9p", golden(&machine, &Boot::Nothing));
        machine.shares[1].transport = Transport::Virtiofs { socket: "/run/demo/share0.sock".into() };
        assert!(machine.lends_its_memory());
        insta::assert_snapshot!("lent-virtiofs", golden(&machine, &Boot::Nothing));
    }

    #[test]
    fn commas_in_paths_are_doubled() {
        let text = golden(&machine(), &Boot::Iso("/i,j/a.iso".into()));
        assert!(text.contains("file=/i,,j/a.iso"), "{text}");
    }

    #[test]
    fn the_sandbox_can_be_left_out() {
        let runtime = RuntimePaths::new(Path::new("/run/demo"));
        let with = qemu_arguments(&machine(), &Boot::Nothing, &runtime, None);
        let without = without_sandbox(&with);
        assert_eq!(without.len() + 2, with.len());
        assert!(!without.iter().any(|word| word == "-sandbox" || word == SANDBOX));
    }
}

//! Starting a guest: files prepared, QEMU spawned stopped, control, serial line and display connected, then let go.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cartridge_supervise::{CommandLine, Exit, ProcessHandle, spawn};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::display::{Client, DisplayLink, DisplaySource, InputQueue, RfbSource, Screen, VncSource};
use crate::guest::Monitor;
use crate::guest::beginning::{Beginning, KeptMemory, Moment, Words};
use crate::guest::forward::parse_usernet;
use crate::guest::shared::{OUTPUT_QUEUE, Relay, Shared};
use crate::guest::status::Fact;
use crate::guest::watch::{self as watching, Watch};
use crate::guest::{GuestError, GuestEvent, GuestHandle, GuestPlan, buttons, tpm};
use crate::machine::{Boot, Firmware, Forward, Machine, RuntimeDir, RuntimePaths, connect, without_sandbox};
use crate::qmp::Qmp;
use crate::share::{ShareHandle, Sharing};
use crate::slot;
use crate::{serial, share};

/// How long QEMU may take to open its sockets, on a machine that is busy.
const OPENING: Duration = Duration::from_secs(20);
/// How long a QEMU that has not taken a guest's memory may take to end with its reasons.
const DYING: Duration = Duration::from_secs(2);
/// How often we try.
const RETRY: Duration = Duration::from_millis(10);
/// How many pieces of serial input may wait for the guest.
const SERIAL_INPUTS: usize = 256;
/// What a QEMU that was built without seccomp says (softmmu/vl.c).
const NO_SANDBOX: &str = "-sandbox support is not enabled";

/// Starts the guest of `plan`. What it does and says goes to `events`, its picture to `screen`.
///
/// On return it runs. Events are sent by tasks of their own: they may be read after this returns. Must be called inside
/// a tokio runtime.
///
/// # Errors
/// [`GuestError`] with QEMU's own words and the command; nothing is left running.
pub async fn start(
    plan: GuestPlan,
    events: mpsc::Sender<GuestEvent>,
    screen: Arc<Screen>,
) -> Result<GuestHandle, GuestError> {
    begin(plan, Beginning::default(), events, screen).await
}

/// As [`start`], from a moment of a guest of the same machine, whose disks are as they were at that moment.
pub(crate) async fn start_from(
    plan: GuestPlan,
    moment: Moment,
    events: mpsc::Sender<GuestEvent>,
    screen: Arc<Screen>,
) -> Result<GuestHandle, GuestError> {
    begin(plan, Beginning { moment: Some(moment), memory: None }, events, screen).await
}

/// As [`start`], with its memory in a file, which it fills, and ports for `late` folders that come when it is resumed.
pub(crate) async fn start_in_file(
    plan: GuestPlan,
    (path, late): (&Path, u32),
    events: mpsc::Sender<GuestEvent>,
    screen: Arc<Screen>,
) -> Result<GuestHandle, GuestError> {
    let memory = Some(KeptMemory::Filled { path: path.to_owned(), late });
    begin(plan, Beginning { moment: None, memory }, events, screen).await
}

/// As [`start_from`], where the moment's memory is in a file, which stays as it is. Its guest was kept without
/// `late` folders that a virtiofsd serves.
pub(crate) async fn start_with_file(
    plan: GuestPlan,
    (moment, path, late): (Moment, &Path, u32),
    events: mpsc::Sender<GuestEvent>,
    screen: Arc<Screen>,
) -> Result<GuestHandle, GuestError> {
    let memory = Some(KeptMemory::Kept { path: path.to_owned(), late });
    begin(plan, Beginning { moment: Some(moment), memory }, events, screen).await
}

async fn begin(
    mut plan: GuestPlan,
    beginning: Beginning,
    events: mpsc::Sender<GuestEvent>,
    screen: Arc<Screen>,
) -> Result<GuestHandle, GuestError> {
    let runtime = RuntimeDir::open(&plan.runtime)?.paths();
    let firmware = match plan.machine.firmware {
        Firmware::Uefi | Firmware::UefiSecure => Some(plan.firmware.as_ref().ok_or(GuestError::NoFirmware)?),
        Firmware::Bios => None,
    };
    // A slot depends on what was asked for, and not on this guest's sockets.
    let asked = plan.clone();
    let shares = lend(&mut plan.machine, &plan.sharing, &runtime, &events).await?;
    let Words { arguments, shown, lent, plugging } = beginning.words(&plan, &runtime, firmware).await?;
    let Beginning { moment, memory } = beginning;
    let preparing = (runtime.clone(), plan.boot.clone(), firmware.cloned().map(|f| f.vars));
    tokio::task::spawn_blocking(move || {
        let (runtime, boot, vars) = preparing;
        prepare(&runtime, &boot, vars.as_deref())
    })
    .await
    .map_err(|e| GuestError::Prepare { path: plan.runtime.clone(), source: io::Error::other(e) })??;
    for forward in &plan.machine.forwards {
        free(forward)?;
    }
    let mut tpm = if plan.machine.tpm { Some(tpm::start(&runtime).await?) } else { None };
    let line = |arguments: &[OsString]| CommandLine::new(&plan.qemu).args(arguments);
    let mut launched = match Launched::spawn(line(&arguments), &line(&shown), &runtime).await {
        Err(GuestError::Died { words, .. }) if words.contains(NO_SANDBOX) => {
            // The QEMU that is gone has taken its TPM along.
            if plan.machine.tpm {
                drop(tpm.take());
                tpm = Some(tpm::start(&runtime).await?);
            }
            let warning =
                format!("warning: {NO_SANDBOX} in this QEMU: a guest that breaks out of it is stopped by nothing\n");
            let _ = events.try_send(GuestEvent::Qemu(warning.into_bytes()));
            let [bare, shown] = [&arguments, &shown].map(|it| line(&without_sandbox(it)));
            Launched::spawn(bare, &shown, &runtime).await?
        }
        other => other?,
    };
    launched.tpm = tpm;
    if let Some(moment) = &moment {
        launched.resume(moment, memory.is_some(), plugging).await?;
    }
    // QEMU has it open by now.
    drop(lent);
    launched.run((asked, shares), moment, &runtime, events, screen).await
}

/// Has the folders served, and tells machine and guest of them.
async fn lend(
    machine: &mut Machine,
    sharing: &Sharing,
    runtime: &RuntimePaths,
    events: &mpsc::Sender<GuestEvent>,
) -> Result<ShareHandle, GuestError> {
    // Weak: what a virtiofsd may still say keeps nobody waiting for the end of the events.
    let ear = events.downgrade();
    let words = move |line: String| {
        if let Some(events) = ear.upgrade() {
            // Whoever is so far behind has other things to read.
            let _ = events.try_send(GuestEvent::Qemu(format!("{line}\n").into_bytes()));
        }
    };
    let (shares, handle) = share::serve(&sharing.folders, runtime, &sharing.serving, Arc::new(words)).await?;
    machine.shares.extend(shares);
    machine.told.extend(handle.told());
    Ok(handle)
}

/// Whether the port of this machine that `forward` asks for can be had. QEMU's own words would not say why it cannot.
fn free(forward: &Forward) -> Result<(), GuestError> {
    let Some(host_port) = forward.host_port else { return Ok(()) };
    let (name, guest_port) = (forward.name.clone(), forward.guest_port);
    std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, host_port))
        .map(drop)
        .map_err(|source| GuestError::Port { name, guest_port, host_port, source })
}

/// Makes the files that QEMU will open, and clears away what an earlier run left.
fn prepare(runtime: &RuntimePaths, boot: &Boot, vars: Option<&Path>) -> Result<(), GuestError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| GuestError::Prepare { path, source }
    };
    for old in [&runtime.qmp, &runtime.vnc, &runtime.serial, &runtime.pid_file] {
        match fs::remove_file(old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(old)(error)),
            _ => {}
        }
    }
    if let Some(vars) = vars {
        let mut from = File::open(vars).map_err(failed(vars))?;
        // Not fs::copy: the template is often read-only, and its mode would come along.
        let mut to = File::create(&runtime.vars).map_err(failed(&runtime.vars))?;
        io::copy(&mut from, &mut to).map_err(failed(&runtime.vars))?;
    }
    if let Boot::Direct { initrds, .. } = boot
        && initrds.len() > 1
    {
        let mut joined = File::create(&runtime.initrd).map_err(failed(&runtime.initrd))?;
        for initrd in initrds {
            let mut from = File::open(initrd).map_err(failed(initrd))?;
            let bytes = io::copy(&mut from, &mut joined).map_err(failed(initrd))?;
            // The kernel looks for each archive at a multiple of four bytes (init/initramfs.c).
            let padding = usize::try_from(bytes.next_multiple_of(4) - bytes).unwrap_or(0);
            joined.write_all(&[0; 4][..padding]).map_err(failed(&runtime.initrd))?;
        }
    }
    Ok(())
}

/// A QEMU that has opened its control line; its guest stands still.
struct Launched {
    process: ProcessHandle,
    shared: Arc<Shared>,
    exit: watch::Receiver<Option<Exit>>,
    output: mpsc::Receiver<Vec<u8>>,
    qmp: Qmp,
    qmp_closed: watch::Receiver<bool>,
    until: Instant,
    /// The guest's TPM, if it has one.
    tpm: Option<ProcessHandle>,
}

impl Launched {
    /// `shown` is what the user is shown in its place.
    async fn spawn(line: CommandLine, shown: &CommandLine, runtime: &RuntimePaths) -> Result<Self, GuestError> {
        let (output_sender, output) = mpsc::channel(OUTPUT_QUEUE);
        let (exit_sender, exit) = watch::channel(None);
        // Shown without -S: whoever runs it again has no control line to let the guest go.
        let shown = shown.to_string().replacen(" -S ", " ", 1);
        let shared = Arc::new(Shared::new(shown));
        let process = spawn(&line, Relay { output: output_sender, exit: exit_sender, dropped: 0 })?;
        let until = Instant::now() + OPENING;
        let mut opening = Opening { exit: exit.clone(), shared: Arc::clone(&shared), output, until };
        let (qmp, task) = opening
            .connect("control line", || {
                let shared = Arc::clone(&shared);
                Qmp::connect(&runtime.qmp, move |event| shared.hear(Fact::Qmp(event)))
            })
            .await?;
        let (closed, qmp_closed) = watch::channel(false);
        tokio::spawn(async move {
            let _ = task.await;
            closed.send_replace(true);
        });
        Ok(Self { process, shared, exit, output: opening.output, qmp, qmp_closed, until, tpm: None })
    }

    /// Gives it the memory of a saved moment, and what it gets with that; `in_file`: all but what lies in its memory's own file.
    async fn resume(
        &self,
        moment: &Moment,
        in_file: bool,
        plugging: Vec<(&'static str, Value)>,
    ) -> Result<(), GuestError> {
        self.shared.had_reported(moment.generation);
        let loading = async {
            if in_file {
                slot::leave_out_shared(&self.qmp, true).await?;
            }
            slot::load_memory(&self.qmp, &moment.memory).await?;
            if in_file {
                // From now on its memory is its own, and a slot of it has it all.
                slot::leave_out_shared(&self.qmp, false).await?;
            }
            Ok::<(), slot::LoadError>(())
        };
        let Err(error) = loading.await else {
            for (command, with) in plugging {
                let plugged = self.qmp.execute_within(OPENING, command, Some(with)).await;
                plugged.map_err(|e| GuestError::NotLent { problem: format!("{command}: {e}") })?;
            }
            return Ok(());
        };
        // A QEMU that cannot take the memory says why, and ends.
        let mut exit = self.exit.clone();
        let _ = timeout(DYING, exit.wait_for(Option::is_some)).await;
        let command = self.shared.command().to_owned();
        Err(died(&self.exit, &self.shared).unwrap_or(GuestError::NotResumed { problem: error.to_string(), command }))
    }

    async fn run(
        self,
        (plan, shares): (GuestPlan, ShareHandle),
        moment: Option<Moment>,
        runtime: &RuntimePaths,
        events: mpsc::Sender<GuestEvent>,
        screen: Arc<Screen>,
    ) -> Result<GuestHandle, GuestError> {
        let Self { process, shared, exit, output, qmp, qmp_closed, until, tpm } = self;
        let mut opening = Opening { exit: exit.clone(), shared: Arc::clone(&shared), output, until };
        let line = opening.connect("serial line", || connect(&runtime.serial)).await?;
        let mut first: Vec<_> = shares.chosen().iter().cloned().map(GuestEvent::Shared).collect();
        first.extend(forwarded(&plan, &qmp, &shared).await?);
        let files = moment.as_ref().map_or_else(|| slot::files_of(&plan), |moment| moment.files.clone());
        let (gone_sender, gone) = watch::channel(false);
        let (dark_sender, dark) = watch::channel(false);
        let (inputs, display_inputs) = InputQueue::new();
        let source: Box<dyn DisplaySource> = match screen.client() {
            Client::Own => Box::new(RfbSource::ours(&runtime.vnc)),
            Client::VncRs => Box::new(VncSource::new(&runtime.vnc)),
        };
        let link = DisplayLink { screen: Arc::clone(&screen), inputs: display_inputs, gone };
        let display = tokio::spawn(source.run(link));
        let (reader, writer) = serial::split(line);
        let (serial_keys, keys) = mpsc::channel(SERIAL_INPUTS);
        let serial = tokio::spawn(watching::serial_line(reader, events.clone(), Arc::clone(&shared)));
        tokio::spawn(serial::write(writer, keys));
        let watch = Watch {
            shared: Arc::clone(&shared),
            exit: exit.clone(),
            qmp_closed: qmp_closed.clone(),
            events,
            output: opening.output,
            screen,
            qmp: qmp.clone(),
            gone: gone_sender,
            dark: dark_sender,
            serial,
            display,
            first,
        };
        tokio::spawn(watch.run());
        if let Err(source) = qmp.execute("cont", None).await {
            let command = shared.command().to_owned();
            return Err(died(&exit, &shared).unwrap_or(GuestError::Control { source, command }));
        }
        let plugged = moment.map(|it| it.plugged).unwrap_or_default();
        let more_buttons = buttons::serve(qmp.clone());
        let monitor = Monitor::new(qmp.clone(), Arc::clone(&shared), plan, files, plugged);
        Ok(GuestHandle {
            process: Arc::new(process),
            shared,
            exit,
            qmp,
            qmp_closed,
            dark,
            serial: serial_keys,
            inputs,
            more_buttons,
            _shares: shares,
            runtime: Handle::current(),
            monitor,
            tpm,
        })
    }
}

/// Asks QEMU which ports the kernel chose.
async fn forwarded(plan: &GuestPlan, qmp: &Qmp, shared: &Shared) -> Result<Vec<GuestEvent>, GuestError> {
    if plan.machine.forwards.is_empty() {
        return Ok(Vec::new());
    }
    let command = || shared.command().to_owned();
    let words = qmp.human("info usernet").await.map_err(|source| GuestError::Control { source, command: command() })?;
    let mut found = parse_usernet(&words);
    let mut events = Vec::new();
    for forward in &plan.machine.forwards {
        let Some(at) = found.iter().position(|&(guest_port, _)| guest_port == forward.guest_port) else {
            let (name, guest_port) = (forward.name.clone(), forward.guest_port);
            return Err(GuestError::NotForwarded { name, guest_port, words, command: command() });
        };
        // Two forwards may lead to the same port: each host port is told once.
        let (guest_port, host_port) = found.remove(at);
        events.push(GuestEvent::Forwarded { name: forward.name.clone(), guest_port, host_port });
    }
    Ok(events)
}

/// Trying to get in while QEMU starts.
struct Opening {
    exit: watch::Receiver<Option<Exit>>,
    shared: Arc<Shared>,
    output: mpsc::Receiver<Vec<u8>>,
    until: Instant,
}

impl Opening {
    /// Tries `connect` until it works, QEMU ends, or time is up.
    async fn connect<T, E, F>(&mut self, what: &'static str, mut connect: impl FnMut() -> F) -> Result<T, GuestError>
    where
        E: std::fmt::Display,
        F: Future<Output = Result<T, E>>,
    {
        loop {
            if let Some(error) = died(&self.exit, &self.shared) {
                return Err(error);
            }
            let problem = match timeout(self.until.saturating_duration_since(Instant::now()), connect()).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer".to_owned(),
            };
            if Instant::now() >= self.until {
                let words = std::iter::from_fn(|| self.output.try_recv().ok()).collect::<Vec<_>>().concat();
                let words = String::from_utf8_lossy(&words).trim_end().to_owned();
                let command = self.shared.command().to_owned();
                return Err(GuestError::Unreachable { what, limit: OPENING, problem, words, command });
            }
            sleep(RETRY).await;
        }
    }
}

fn died(exit: &watch::Receiver<Option<Exit>>, shared: &Shared) -> Option<GuestError> {
    let exit = exit.borrow().clone()?;
    Some(GuestError::Died {
        how: exit.describe(),
        words: exit.evidence_text().trim_end().to_owned(),
        command: shared.command().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initrds_are_joined_at_multiples_of_four() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            fs::write(dir.path().join(name), bytes).unwrap();
            dir.path().join(name)
        };
        let initrds = vec![file("a", b"12345"), file("b", b"1234"), file("c", b"1")];
        let boot = Boot::Direct { kernel: "/k".into(), initrds, cmdline: String::new() };
        let runtime = RuntimePaths::new(dir.path());
        let vars = file("template", b"vars");
        prepare(&runtime, &boot, Some(&vars)).unwrap();
        assert_eq!(fs::read(&runtime.initrd).unwrap(), b"12345\x00\x00\x0012341\x00\x00\x00");
        assert_eq!(fs::read(&runtime.vars).unwrap(), b"vars");
        let error = prepare(&runtime, &boot, Some(Path::new("/absent"))).unwrap_err();
        assert!(error.to_string().contains("/absent"));
    }

    #[tokio::test]
    async fn a_door_that_stays_shut_is_said_with_qemus_words() {
        let (sender, output) = mpsc::channel(4);
        let (exit_sender, exit) = watch::channel(None);
        let shared = Arc::new(Shared::new("qemu -S".into()));
        let until = Instant::now() + Duration::from_millis(100);
        let mut opening = Opening { exit, shared, output, until };
        sender.try_send(b"a warning\n".to_vec()).unwrap();
        let error = opening
            .connect("control line", || tokio::net::UnixStream::connect("/absent"))
            .await
            .unwrap_err()
            .to_string();
        for part in ["control line", "No such file", "a warning", "command: qemu -S"] {
            assert!(error.contains(part), "{part} is not in {error}");
        }
        drop(exit_sender);
    }
}

//! All the ways in which a guest ends, told apart.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use vmtools::{Boot, EndStep, GuestEvent, GuestStatus, Machine, Medium, Screen};

use crate::boot_sector;
use crate::harness::{Guest, Plan, alive, kernel, machine, plan};

/// A guest that runs `code` from a USB stick.
fn sector(code: &[u8]) -> Plan {
    let mut plan = plan(Machine { medium: Medium::Usb, ..machine() }, Boot::Nothing);
    plan.plan.boot = Boot::Iso(boot_sector::medium(plan.dir.path(), code));
    plan
}

/// Sends a byte until the boot sector is up and takes it.
async fn poke(guest: &mut Guest, wanted: &GuestStatus) {
    let end = Instant::now() + crate::harness::SOON;
    while guest.handle.status() != *wanted {
        guest.handle.send_serial(b"x".to_vec());
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(Instant::now() < end, "waiting for {wanted:?}, it is {:?}", guest.handle.status());
        if *wanted == GuestStatus::PoweredOff && !alive(guest.handle.pid()) {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quit_is_enough_and_leaves_nothing() {
    let mut guest = plan(machine(), Boot::Nothing).start().await.unwrap();
    guest.until_status(&GuestStatus::Starting).await;
    guest.until_status(&GuestStatus::Running).await;
    let pid = guest.handle.pid();
    assert!(alive(pid) && guest.handle.command().contains("'guest=test,, guest,debug-threads=on'"));
    let mut steps = Vec::new();
    let end = guest.handle.end(|step, took| steps.push((step, took))).await;
    assert_eq!(steps.len(), 1, "{steps:?}");
    assert!(steps[0].0 == EndStep::Quit && steps[0].1 < Duration::from_secs(3), "{steps:?}");
    assert_eq!(end.status, GuestStatus::Ended);
    assert!(end.how.contains("asked over its control line"), "{}", end.how);
    assert!(!alive(pid) && !guest.screen.live());
    let told = loop {
        match guest.events.recv().await {
            Some(GuestEvent::Ended(told)) => break told,
            // Neither the end itself, which is told below, nor a pause on the way to it.
            Some(GuestEvent::Status(status)) => panic!("{status:?}"),
            Some(_) => {}
            None => panic!("no Ended"),
        }
    };
    assert_eq!(told, end);
    assert!(guest.events.recv().await.is_none(), "something came after Ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_qemu_is_a_crash_and_its_screen_is_not_live() {
    let mut guest = plan(machine(), Boot::Nothing).start().await.unwrap();
    guest.wait("a picture", |g| g.screen.live()).await;
    let pid = rustix::process::Pid::from_raw(guest.handle.pid().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let killed = Instant::now();
    guest.wait("a dark screen", |g| !g.screen.live()).await;
    assert!(killed.elapsed() < Duration::from_secs(2), "{:?}", killed.elapsed());
    assert!(guest.screen.snapshot().is_some());
    let crashed = GuestStatus::Crashed { how: "killed by signal 9".into() };
    let end = guest.until("the end", |e| if let GuestEvent::Ended(end) = e { Some(end.clone()) } else { None }).await;
    assert_eq!(end.status, crashed);
    let mut steps = Vec::new();
    assert_eq!(guest.handle.end(|step, _| steps.push(step)).await, end);
    assert_eq!(steps, [EndStep::Already]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_from_elsewhere_is_no_end_of_ours() {
    let mut guest = plan(machine(), Boot::Nothing).start().await.unwrap();
    let pid = rustix::process::Pid::from_raw(guest.handle.pid().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let end = guest.until("the end", |e| if let GuestEvent::Ended(end) = e { Some(end.clone()) } else { None }).await;
    assert!(matches!(&end.status, GuestStatus::Crashed { how } if how.contains("somebody else")), "{end:?}");
    assert!(end.qemu_words.contains("terminating on signal 15"), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_lives_through_two_guests() {
    let screen = Arc::new(Screen::new());
    for _ in 0..2 {
        let plan = plan(machine(), Boot::Nothing);
        let (events, _receiver) = mpsc::channel(64);
        let handle = vmtools::start(plan.plan, events, Arc::clone(&screen)).await.unwrap();
        let end = Instant::now() + crate::harness::SOON;
        while !screen.live() {
            assert!(Instant::now() < end, "no picture");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        handle.end(|_, _| {}).await;
        assert!(!screen.live());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_reboots_and_goes_on() {
    let mut guest = sector(boot_sector::RESET).start().await.unwrap();
    let pid = guest.handle.pid();
    poke(&mut guest, &GuestStatus::Rebooting).await;
    guest.until_status(&GuestStatus::Rebooting).await;
    guest.until_status(&GuestStatus::Running).await;
    guest.handle.reset();
    guest.until_status(&GuestStatus::Rebooting).await;
    guest.until_status(&GuestStatus::Running).await;
    assert_eq!((guest.handle.pid(), alive(pid)), (pid, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_powers_itself_off() {
    let mut guest = sector(boot_sector::POWEROFF).start().await.unwrap();
    poke(&mut guest, &GuestStatus::PoweredOff).await;
    let end = guest
        .until("the end", |event| match event {
            GuestEvent::Ended(end) => Some(end.clone()),
            GuestEvent::Status(GuestStatus::PoweredOff) => panic!("the end says that"),
            _ => None,
        })
        .await;
    assert_eq!((end.status, end.how.as_str()), (GuestStatus::PoweredOff, "the guest powered itself off"));
    assert!(!guest.screen.live());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_panic_is_noticed() {
    let cmdline = "console=ttyS0 no_timer_check panic=0 cryptomgr.notests".to_owned();
    let boot = Boot::Direct { kernel: kernel(), initrds: vec![], cmdline };
    let mut guest = plan(Machine { memory_mib: 512, ..machine() }, boot).start().await.unwrap();
    guest.until_status(&GuestStatus::Panicked).await;
    assert!(guest.serial_text().contains("Linux version"), "the first line was lost: {}", guest.serial_text());
    // Stopped, though no pvpanic was there, but not before it had said everything.
    assert!(guest.serial_text().contains("---[ end Kernel panic"), "{}", guest.serial_text());
    guest.wait("a processor at rest", |g| g.qemu_rests()).await;
    guest.handle.reset();
    guest.until_status(&GuestStatus::Rebooting).await;
    guest.until_status(&GuestStatus::Panicked).await;
    let end = guest.handle.end(|_, _| {}).await;
    assert_eq!(end.status, GuestStatus::Panicked);
    assert!(end.how.contains("VFS: Unable to mount root fs"), "{}", end.how);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_guest_may_show_an_old_panic() {
    // It sends back what it gets, as a shell does with an old log.
    let mut guest = sector(boot_sector::PIXELS).start().await.unwrap();
    let hears = |byte: u8| move |e: &GuestEvent| matches!(e, GuestEvent::Serial(b) if b.contains(&byte)).then_some(());
    while !guest.events.try_recv().is_ok_and(|e| hears(b'x')(&e).is_some()) {
        guest.handle.send_serial(b"x".to_vec());
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    guest.handle.send_serial(b"\r\n[    2.100000] Kernel panic - not syncing: VFS\r\ndemo ~ $ ".to_vec());
    guest.until("the prompt", hears(b'$')).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    guest.handle.send_serial(b"!".to_vec());
    guest.until("a sign of life", hears(b'!')).await;
    assert_eq!(guest.handle.status(), GuestStatus::Running);
    assert_eq!(guest.handle.end(|_, _| {}).await.status, GuestStatus::Ended);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_handle_kills() {
    let guest = plan(machine(), Boot::Nothing).start().await.unwrap();
    let pid = guest.handle.pid();
    let Guest { handle, mut events, .. } = guest;
    drop(handle);
    while let Some(event) = events.recv().await {
        if let GuestEvent::Ended(end) = event {
            assert_eq!(end.status, GuestStatus::Crashed { how: "killed by signal 9".into() });
        }
    }
    assert!(!alive(pid));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_guests_do_not_mix() {
    let (one, two) = tokio::join!(sector(boot_sector::ECHO).start(), sector(boot_sector::ECHO).start());
    let (mut one, mut two) = (one.unwrap(), two.unwrap());
    assert_ne!(one.runtime, two.runtime);
    for (guest, byte) in [(&mut one, b'a'), (&mut two, b'p')] {
        let handle = &guest.handle;
        // The boot sector adds one; SeaBIOS may take the first bytes away.
        let poking = async {
            loop {
                handle.send_serial(vec![byte]);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let events = &mut guest.events;
        let listening = async {
            while let Some(event) = events.recv().await {
                if matches!(&event, GuestEvent::Serial(bytes) if bytes.contains(&(byte + 1))) {
                    return;
                }
            }
            panic!("it ended");
        };
        tokio::select! {
            () = poking => {}
            () = listening => {}
            () = tokio::time::sleep(crate::harness::SOON) => panic!("no echo"),
        }
    }
    let other = two.handle.pid();
    one.handle.end(|_, _| {}).await;
    assert!(alive(other));
    two.handle.end(|_, _| {}).await;
}

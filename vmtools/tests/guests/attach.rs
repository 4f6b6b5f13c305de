//! Attaching to real VNC servers, from here and through a real sshd: what is shown, what is told, and what is left.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use vmtools::attach::{AttachError, AttachEvent, AttachPlan, Attached, Password, Place, TunnelError, Want, attach};
use vmtools::display::rfb::Fingerprint;
use vmtools::{InputEvent, RuntimeDir, Screen};

use crate::harness::SOON;
use crate::servers::{Said, Xvnc, free_port, until};
use crate::ssh::SshServer;
use crate::xvnc;

/// A place to attach from.
struct Desk {
    screen: Arc<Screen>,
    events: mpsc::Receiver<AttachEvent>,
    sender: mpsc::Sender<AttachEvent>,
    dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let (sender, events) = mpsc::channel(64);
        let dir = tempfile::Builder::new().prefix("at").tempdir_in("/tmp").unwrap();
        Self { screen: Arc::new(Screen::new()), events, sender, dir }
    }

    fn plan(&self, place: &str) -> AttachPlan {
        // Held to the end: there may be several at a time.
        let runtime = RuntimeDir::create_in(&self.dir.path().join("run"), "attach").unwrap();
        let runtime = Box::leak(Box::new(runtime)).path().to_owned();
        AttachPlan::new(Place::parse(place).unwrap(), runtime)
    }

    async fn attach(&self, plan: AttachPlan) -> Result<Attached, AttachError> {
        timeout(SOON, attach(plan, self.sender.clone(), Arc::clone(&self.screen))).await.expect("it hangs")
    }

    async fn refused(&self, plan: AttachPlan) -> AttachError {
        let error = self.attach(plan).await.expect_err("it is refused");
        assert!(!self.screen.live() && self.screen.snapshot().is_none());
        error
    }

    /// The next event that `wanted` wants.
    async fn until<T>(&mut self, what: &str, mut wanted: impl FnMut(AttachEvent) -> Option<T>) -> T {
        let waiting = async {
            loop {
                if let Some(found) = wanted(self.events.recv().await.expect("events come")) {
                    return found;
                }
            }
        };
        timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("waiting for {what}"))
    }

    async fn ended(&mut self) -> AttachError {
        self.until("the end", |event| if let AttachEvent::Ended(error) = event { Some(error) } else { None }).await
    }
}

fn password(text: &str) -> Option<Password> {
    Password::first_line(text)
}

fn on_port(words: &[&str]) -> (Xvnc, u16) {
    let port = free_port();
    let server = Xvnc::start(&[words, &["-localhost", "-rfbport", &port.to_string()]].concat());
    let end = std::time::Instant::now() + SOON;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(std::time::Instant::now() < end, "Xvnc does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    (server, port)
}

/// Draws on the X screen, and waits until it is seen.
async fn shows(desk: &Desk, xvnc: &Xvnc) {
    until("a picture", xvnc, || desk.screen.live()).await;
    xvnc.draw();
    let rgba = xvnc.picture().2;
    // Tight may pack colours, though not these.
    until("the pattern", xvnc, || desk.screen.snapshot().is_some_and(|frame| frame.rgba == rgba)).await;
}

fn alive(word: &Path) -> bool {
    let word = word.display().to_string();
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(&word))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_attached_by_address_and_password_and_takes_input() {
    let (xvnc, port) = on_port(&["-SecurityTypes", "VncAuth", "-desktop", "far away"]);
    let desk = Desk::new();
    let plan = |text: &str| AttachPlan { password: password(text), ..desk.plan(&format!("127.0.0.1::{port}")) };
    let wanted = desk.refused(plan("")).await;
    assert_eq!(wanted.want(), Some(Want::Password { wrong: false }), "{wanted}");
    let wrong = desk.refused(plan("Secret")).await;
    assert_eq!(wrong.want(), Some(Want::Password { wrong: true }), "{wrong}");
    assert!(!wrong.to_string().contains("Secret"), "{wrong}");
    let attached = desk.attach(plan("secret")).await.unwrap();
    assert_eq!((attached.tls(), attached.name()), (false, "far away"));
    shows(&desk, &xvnc).await;
    let said = Said::default();
    let line = xvnc.program("xev").args(["-geometry", "320x200+0+0", "-event", "button"]);
    let _window = cartridge_supervise::spawn(&line, said.clone()).unwrap();
    until("a press", &xvnc, || {
        for buttons in [0, 1, 0] {
            attached.input(InputEvent::Pointer { x: 50, y: 60, buttons });
        }
        said.text().contains("ButtonPress")
    })
    .await;
    attached.end().await;
    assert!(!desk.screen.live());
}

#[tokio::test(flavor = "multi_thread")]
async fn x11vnc_is_attached_too() {
    let (_dir, path) = Xvnc::socket();
    let xvnc = Xvnc::on_socket(&path);
    until("the X screen", &xvnc, || std::os::unix::net::UnixStream::connect(&path).is_ok()).await;
    xvnc.draw();
    let port = free_port().to_string();
    // Without -forever it ends with its first visitor: nobody may have visited it before we are attached.
    let line = xvnc.program("x11vnc").args(["-localhost", "-nocursor", "-noxdamage", "-rfbport", &port]);
    let said = Said::default();
    let _server = cartridge_supervise::spawn(&line.arg("-rfbauth").arg(xvnc.dir.path().join("password")), said.clone());
    until("x11vnc", &xvnc, || said.text().contains("PORT=")).await;
    let mut desk = Desk::new();
    let plan = AttachPlan { password: password("secret"), ..desk.plan(&format!("localhost:{port}")) };
    let attached = desk.attach(AttachPlan { patience: Duration::from_millis(300), ..plan }).await.unwrap();
    let rgba = xvnc.picture().2;
    until("the pattern", &xvnc, || desk.screen.snapshot().is_some_and(|frame| frame.rgba == rgba)).await;
    // It goes: that is told, tried again for a while, and told as the end.
    drop(_server);
    desk.until("the loss", |event| matches!(event, AttachEvent::Lost { .. }).then_some(())).await;
    let gone = desk.ended().await;
    assert!(matches!(&gone, AttachError::Gone { .. }) && gone.to_string().contains(&port), "{gone}");
    assert!(!desk.screen.live() && desk.screen.snapshot().is_some(), "the last picture stays");
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_is_shown_again() {
    let (_dir, path) = Xvnc::socket();
    let xvnc = Xvnc::on_socket(&path);
    until("the X screen", &xvnc, || std::os::unix::net::UnixStream::connect(&path).is_ok()).await;
    let mut desk = Desk::new();
    let attached = desk.attach(desk.plan(path.to_str().unwrap())).await.unwrap();
    shows(&desk, &xvnc).await;
    drop(xvnc);
    let why =
        desk.until("the loss", |event| if let AttachEvent::Lost { why } = event { Some(why) } else { None }).await;
    assert!(why.contains("closed the connection"), "{why}");
    let _ = std::fs::remove_file(&path);
    let xvnc = Xvnc::on_socket(&path);
    desk.until("the return", |event| matches!(event, AttachEvent::Back).then_some(())).await;
    shows(&desk, &xvnc).await;
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_with_another_password_ends_it_at_once() {
    let (dir, path) = Xvnc::socket();
    let socket = ["-SecurityTypes", "VncAuth", "-rfbport", "-1", "-rfbunixpath", path.to_str().unwrap()];
    let xvnc = Xvnc::start(&socket);
    until("the X screen", &xvnc, || std::os::unix::net::UnixStream::connect(&path).is_ok()).await;
    let mut desk = Desk::new();
    let plan = AttachPlan { password: password("secret"), ..desk.plan(path.to_str().unwrap()) };
    let attached = desk.attach(plan).await.unwrap();
    drop(xvnc);
    let other = dir.path().join("password");
    std::fs::write(&other, [1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    let _ = std::fs::remove_file(&path);
    let _xvnc = Xvnc::start(&[&socket[..], &["-PasswordFile", other.to_str().unwrap()]].concat());
    let ended = desk.ended().await;
    assert_eq!(ended.want(), Some(Want::Password { wrong: true }), "{ended}");
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_asked_for_and_another_one_refused() {
    let dir = tempfile::tempdir().unwrap();
    let fingerprint = xvnc::certificates(dir.path());
    let (xvnc, address) = xvnc::xvnc(dir.path(), "X509Vnc");
    until("the server", &xvnc, || std::net::TcpStream::connect(&address).is_ok()).await;
    let desk = Desk::new();
    let plan = |known| AttachPlan { fingerprint: known, password: password("secret"), ..desk.plan(&address) };
    let unknown = desk.refused(plan(None)).await;
    assert_eq!(unknown.want(), Some(Want::Trust { fingerprint, changed: false }), "{unknown}");
    let changed = desk.refused(plan(Some(Fingerprint([7; 32])))).await;
    assert_eq!(changed.want(), Some(Want::Trust { fingerprint, changed: true }), "{changed}");
    assert!(changed.to_string().contains("the password was not sent"), "{changed}");
    let attached = desk.attach(plan(Some(fingerprint))).await.unwrap();
    assert!(attached.tls());
    shows(&desk, &xvnc).await;
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn through_ssh_a_port_and_a_socket_of_there_are_attached_and_nothing_is_left() {
    let ssh = SshServer::start();
    let (xvnc, port) = on_port(&["-SecurityTypes", "VncAuth"]);
    let (_dir, path) = Xvnc::socket();
    let on_socket = Xvnc::on_socket(&path);
    until("the X screen", &on_socket, || std::os::unix::net::UnixStream::connect(&path).is_ok()).await;
    for (at, xvnc) in [(format!("localhost:{port}"), &xvnc), (path.display().to_string(), &on_socket)] {
        let desk = Desk::new();
        let plan = desk.plan(&format!("ssh://{}/{at}", ssh.host()));
        let runtime = plan.runtime.clone();
        let plan = AttachPlan { ssh: ssh.client(), password: password("secret"), ..plan };
        let attached = desk.attach(plan).await.unwrap_or_else(|error| panic!("{at}: {error}"));
        shows(&desk, xvnc).await;
        assert!(alive(&runtime), "ssh leads there");
        attached.end().await;
        assert!(!alive(&runtime) && !desk.screen.live());
        RuntimeDir::open(&runtime).unwrap().remove().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ssh_lacks_is_told_with_what_to_do() {
    let ssh = SshServer::start();
    let (_xvnc, port) = on_port(&["-SecurityTypes", "None"]);
    let desk = Desk::new();
    let plan = |at: &str| AttachPlan { ssh: ssh.client(), ..desk.plan(&format!("ssh://{}/{at}", ssh.host())) };
    let tunnel = |error: AttachError| match error {
        AttachError::Tunnel(error) => error,
        other => panic!("{other}"),
    };
    let there = format!("localhost:{port}");
    ssh.know_nobody();
    let unknown = tunnel(desk.refused(plan(&there)).await);
    assert!(matches!(&unknown, TunnelError::HostUnknown { .. }), "{unknown}");
    ssh.know("other_key");
    let changed = tunnel(desk.refused(plan(&there)).await);
    assert!(
        matches!(&changed, TunnelError::HostChanged { .. }) && changed.to_string().contains("known_hosts"),
        "{changed}"
    );
    ssh.know("host_key");
    ssh.take("other_key");
    let denied = tunnel(desk.refused(plan(&there)).await);
    assert!(matches!(&denied, TunnelError::Denied { .. }) && denied.to_string().contains("ssh-copy-id"), "{denied}");
    ssh.take("user_key");
    let nobody = desk.refused(plan(&format!("localhost:{}", free_port()))).await;
    assert!(
        matches!(&nobody, AttachError::Far { .. }) && nobody.to_string().contains("Connection refused"),
        "{nobody}"
    );
    let no_socket = desk.refused(plan("/nowhere/vnc.sock")).await;
    assert!(matches!(&no_socket, AttachError::Far { .. }) && no_socket.to_string().contains("/nowhere"), "{no_socket}");
    let elsewhere = desk.plan(&format!("ssh://127.0.0.1:{}/:1", free_port()));
    let unreached = tunnel(desk.refused(AttachPlan { ssh: ssh.client(), ..elsewhere }).await);
    assert!(matches!(&unreached, TunnelError::Unreachable { .. }), "{unreached}");
    let absent = tunnel(desk.refused(AttachPlan { ssh: "/no/ssh".into(), ..plan(&there) }).await);
    assert!(matches!(&absent, TunnelError::Spawn(_)) && absent.to_string().contains("openssh-client"), "{absent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_that_ends_is_opened_anew_and_one_that_cannot_be_is_told() {
    let mut ssh = SshServer::start();
    let (xvnc, port) = on_port(&["-SecurityTypes", "None"]);
    let mut desk = Desk::new();
    let plan = desk.plan(&format!("ssh://{}/localhost:{port}", ssh.host()));
    let plan = AttachPlan { ssh: ssh.client(), patience: Duration::from_secs(4), ..plan };
    let attached = desk.attach(plan).await.unwrap();
    shows(&desk, &xvnc).await;
    ssh.cut();
    desk.until("the loss", |event| matches!(event, AttachEvent::Lost { .. }).then_some(())).await;
    desk.until("the return", |event| matches!(event, AttachEvent::Back).then_some(())).await;
    until("a picture", &xvnc, || desk.screen.live()).await;
    ssh.stop();
    ssh.cut();
    let gone = desk.ended().await;
    assert!(matches!(&gone, AttachError::Gone { .. }) && gone.to_string().contains("does not reach"), "{gone}");
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_sends_garbage_again_and_again_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    // Hands are shaken as RFC 6143 says, and then comes a message that there is not.
    let bytes =
        b"RFB 003.008\n\x01\x01\0\0\0\0\0\x14\0\x0a\x20\x18\0\x01\0\xff\0\xff\0\xff\x10\x08\0\0\0\0\0\0\0\0\x63";
    let serving = tokio::spawn(async move {
        let mut lines = Vec::new();
        while let Ok((mut line, _)) = listener.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut line, bytes).await;
            lines.push(line);
        }
    });
    let mut desk = Desk::new();
    let plan = AttachPlan { patience: Duration::from_secs(2), ..desk.plan(&at) };
    let attached = desk.attach(plan).await.unwrap();
    let gone = desk.ended().await;
    assert!(matches!(&gone, AttachError::Gone { .. }) && gone.to_string().contains("sends garbage"), "{gone}");
    attached.end().await;
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_its_user_is_waited_for_and_that_is_told() {
    let (_dir, path) = Xvnc::socket();
    let xvnc = Xvnc::on_socket(&path);
    until("the X screen", &xvnc, || std::os::unix::net::UnixStream::connect(&path).is_ok()).await;
    let port = free_port().to_string();
    // Its user says yes, and takes longer than anything else may.
    let line = xvnc.program("x11vnc").args(["-localhost", "-forever", "-nocursor", "-noxdamage", "-rfbport", &port]);
    let said = Said::default();
    let _server = cartridge_supervise::spawn(&line.args(["-accept", "sleep 9"]), said.clone()).unwrap();
    until("x11vnc", &xvnc, || said.text().contains("PORT=")).await;
    let mut desk = Desk::new();
    let begun = std::time::Instant::now();
    let attached = desk.attach(desk.plan(&format!("127.0.0.1::{port}"))).await.unwrap();
    assert!(begun.elapsed() > Duration::from_secs(6), "nobody was asked: {}", said.text());
    desk.until("word of that", |event| matches!(event, AttachEvent::Waiting).then_some(())).await;
    until("a picture", &xvnc, || desk.screen.live()).await;
    attached.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_told_and_a_still_one_or_one_that_nobody_looks_at_is_not() {
    let (_dir, path) = Xvnc::socket();
    let xvnc = Xvnc::on_socket(&path);
    until("the X screen", &xvnc, || std::os::unix::net::UnixStream::connect(&path).is_ok()).await;
    let place = path.to_str().unwrap();
    let (mut desk, mut hidden) = (Desk::new(), Desk::new());
    let (attached, unseen) =
        (desk.attach(desk.plan(place)).await.unwrap(), hidden.attach(hidden.plan(place)).await.unwrap());
    until("a picture", &xvnc, || desk.screen.live() && hidden.screen.live()).await;
    hidden.screen.set_visible(false);
    // Long enough to be asked: it answers, and nothing is drawn anew for that.
    let mut generation = 0;
    while std::mem::replace(&mut generation, desk.screen.generation()) != desk.screen.generation() {
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert!(desk.screen.live() && desk.screen.generation() == generation);
    let pid = rustix::process::Pid::from_raw(xvnc.pid().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let why =
        desk.until("the loss", |event| if let AttachEvent::Lost { why } = event { Some(why) } else { None }).await;
    assert!(why.contains("has not answered for 15 s"), "{why}");
    assert!(!desk.screen.live() && hidden.screen.live());
    // A slow login may have been told.
    while let Ok(event) = hidden.events.try_recv() {
        assert!(matches!(event, AttachEvent::Waiting), "{event:?}");
    }
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    desk.until("the return", |event| matches!(event, AttachEvent::Back).then_some(())).await;
    until("a picture", &xvnc, || desk.screen.live()).await;
    attached.end().await;
    unseen.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_that_takes_no_connection_is_told_by_its_own_words() {
    let desk = Desk::new();
    // In place of ssh: a socket is there, and nobody listens.
    let fake = "exec python3 - \"$@\" <<'PYTHON'\nimport socket, sys, time\n\
                path = sys.argv[sys.argv.index('-L') + 1].split(':')[0]\n\
                socket.socket(socket.AF_UNIX).bind(path)\ntime.sleep(60)\nPYTHON";
    let ssh = crate::harness::script(desk.dir.path(), fake);
    let plan = desk.plan("ssh://box/:1");
    let no_way = desk.refused(AttachPlan { ssh, ..plan.clone() }).await;
    assert!(matches!(&no_way, AttachError::NoWay { .. }), "{no_way}");
    let told = no_way.to_string();
    assert!(told.contains("ssh to box") && told.contains("localhost:5901") && told.contains("refused"), "{told}");
    assert!(!told.contains(plan.runtime.to_str().unwrap()) && !told.contains("guest"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_server_or_hangs_is_told_and_never_waited_for() {
    let desk = Desk::new();
    let nobody = desk.refused(desk.plan(&format!("127.0.0.1:{}", free_port().max(100)))).await;
    assert!(matches!(&nobody, AttachError::Silent { .. }) && nobody.to_string().contains("nobody answers"), "{nobody}");
    let no_name = desk.refused(desk.plan("no-such-host.invalid:1")).await;
    assert!(no_name.to_string().contains("no-such-host.invalid:5901"), "{no_name}");
    for (greeting, told) in [
        (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], "is no VNC server"),
        (b"RFB 003.008\n\x02\x10\x1e", "a way to log in that is not known here"),
        (b"RFB 003.008\n\0\0\0\0\x05busy!", "refused the connection: busy!"),
        (b"RFB 003.008\n\x01\x01\0\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "from 1 to 16384"),
        (b"RFB 003.008\n", "has not let us in within 2 s"),
        (b"", "said nothing more for 5 s"),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let serving = tokio::spawn(async move {
            let mut lines = Vec::new();
            while let Ok((mut line, _)) = listener.accept().await {
                let _ = tokio::io::AsyncWriteExt::write_all(&mut line, greeting).await;
                lines.push(line);
            }
        });
        let plan = AttachPlan { login: Duration::from_secs(2), ..desk.plan(&at) };
        let error = desk.refused(plan).await.to_string();
        assert!(error.contains(told), "{told}: {error}");
        serving.abort();
    }
}

//! The clipboard between ours and an X screen of Xvnc, and a guest of QEMU whose agent is played.

use cartridge_supervise::{Cancel, ProcessHandle, run, spawn};
use vmtools::display::rfb::RfbSource;
use vmtools::display::{CLIPBOARD_LIMIT, Copied, NotOffered, Offered};
use vmtools::{Machine, Screen};

use crate::harness::Guest;
use crate::linux::linux;
use crate::servers::{Said, Xvnc, end, until};
use crate::viewer::view;

/// Lets a program copy `text` on that screen; it has it until the handle is dropped.
fn copy(xvnc: &Xvnc, text: &str) -> ProcessHandle {
    let file = xvnc.dir.path().join("copied");
    std::fs::write(&file, text).unwrap();
    let line = xvnc.program("xclip").args(["-selection", "clipboard", "-quiet", "-in"]).arg(file);
    spawn(&line, Said::default()).unwrap()
}

/// What a program on that screen gets when it pastes; nothing where nobody has a text.
fn paste(xvnc: &Xvnc) -> String {
    let line = xvnc.program("timeout").args(["5", "xclip", "-selection", "clipboard", "-out"]);
    let pasted = run(&line, &Cancel::new(), |_, _| ());
    String::from_utf8_lossy(&pasted.map(|done| done.stdout).unwrap_or_default()).into_owned()
}

fn has(screen: &Screen, text: &str) -> bool {
    matches!(screen.copied(), Some((_, Copied::Text(copied))) if *copied == *text)
}

#[tokio::test(flavor = "multi_thread")]
async fn any_text_is_copied_and_pasted_both_ways_and_only_what_was_handed_over() {
    let (_dir, path) = Xvnc::socket();
    let path_words = path.to_str().unwrap();
    let most = (4 * CLIPBOARD_LIMIT).to_string();
    let xvnc =
        Xvnc::start(&["-SecurityTypes", "None", "-rfbport", "-1", "-rfbunixpath", path_words, "-MaxCutText", &most]);
    let viewer = view(RfbSource::new(&path));
    let screen = &viewer.screen;
    until("a picture", &xvnc, || screen.live()).await;
    assert_eq!(screen.copied(), None);
    let long = "Grüße ☃\n".repeat(CLIPBOARD_LIMIT / 12);
    for text in ["plain", "zwei\nZeilen: Größe ☃ 𝄞", &long] {
        let _owner = copy(&xvnc, text);
        until("what was copied there", &xvnc, || has(screen, text)).await;
    }
    for text in ["handed over", "ein\nzweites: Größe ☃ 𝄞", &long] {
        assert_eq!(screen.offer(text), Ok(Offered::Whole));
        until("what was handed over", &xvnc, || paste(&xvnc) == text).await;
        // As often as it is pasted.
        assert_eq!(paste(&xvnc), text);
    }
    let too_long = "x".repeat(CLIPBOARD_LIMIT + 1);
    assert_eq!(screen.offer(&too_long), Err(NotOffered::TooLong { bytes: CLIPBOARD_LIMIT + 1 }));
    assert_eq!(paste(&xvnc), long);
    let count = screen.copied().unwrap().0;
    let _owner = copy(&xvnc, "its own again");
    until("what was copied there", &xvnc, || has(screen, "its own again")).await;
    assert!(screen.copied().unwrap().0 > count);
    assert_eq!(paste(&xvnc), "its own again");
    end(viewer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bell_is_heard() {
    let (_dir, path) = Xvnc::socket();
    let xvnc = Xvnc::on_socket(&path);
    let viewer = view(RfbSource::new(&path));
    until("a picture", &xvnc, || viewer.screen.live()).await;
    assert_eq!(viewer.screen.bells(), 0);
    until("the bell", &xvnc, || {
        xvnc.run(xvnc.program("xkbbell").args(["-force"]));
        viewer.screen.bells() > 0
    })
    .await;
    end(viewer).await;
}

/// What spice-vdagent says, as words for printf: a message of that type, with that data (spice-protocol, vd_agent.h).
fn agent(kind: u8, data: &[u8]) -> String {
    let length = |n: usize| (n as u32).to_le_bytes();
    let message = [&1_u32.to_le_bytes()[..], &[kind, 0, 0, 0], &[0; 8], &length(data.len()), data].concat();
    let chunk = [&1_u32.to_le_bytes()[..], &length(message.len()), &message].concat();
    chunk.iter().map(|byte| format!("\\{byte:03o}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_of_qemu_with_an_agent_shares_its_clipboard() {
    let mut plan = linux(false);
    plan.plan.machine = Machine { clipboard: true, ..plan.plan.machine };
    let mut guest = plan.start().await.unwrap();
    guest.until_report().await;
    guest.until_shell().await;
    // One program has the port, as the agent does, and says what it is told to.
    let port = "p=$(echo /dev/vport*p1); mkfifo /tmp/say; (exec 3<>$p 4<>/tmp/say; cat <&3 >/tmp/heard & cat <&4 >&3)";
    guest.run(&format!("{port} >/dev/null 2>&1 & sleep 1")).await;
    async fn say(guest: &mut Guest, words: String) {
        assert_eq!(guest.run(&format!("printf '{words}' > /tmp/say")).await, "");
    }
    // It can clipboards by demand and by selection, has a text, and hands it over.
    say(&mut guest, agent(6, &[0, 0, 0, 0, 0x60, 0, 0, 0])).await;
    say(&mut guest, agent(7, &[0, 0, 0, 0, 1, 0, 0, 0])).await;
    say(&mut guest, agent(4, &[&[0, 0, 0, 0, 1, 0, 0, 0], "Größe ☃".as_bytes()].concat())).await;
    guest.wait("what was copied there", |guest| has(&guest.screen, "Größe ☃")).await;
    assert_eq!(guest.screen.offer("handed over"), Ok(Offered::Whole));
    // The guest asks for what it was offered when somebody pastes there.
    let mut heard = String::new();
    for _ in 0..20 {
        say(&mut guest, agent(8, &[0, 0, 0, 0, 1, 0, 0, 0])).await;
        heard = guest.run("sleep 1; tr '\\000' '\\n' < /tmp/heard | grep -c 'handed over'").await;
        if heard != "0" {
            break;
        }
    }
    assert_ne!(heard, "0");
    guest.handle.end(|_, _| {}).await;
}

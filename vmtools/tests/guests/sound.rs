//! What a guest plays is heard: a boot sector's tone, through QEMU and our client, by a real PulseAudio without a sound card.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;

use vmtools::sound::{SoundServer, play};
use vmtools::{Boot, Machine, Medium};

use crate::boot_sector;
use crate::harness::{Guest, SOON, machine, plan};
use crate::pulse::Pulse;

async fn beeping(dir: &mut Option<tempfile::TempDir>) -> Guest {
    let mut plan = plan(Machine { medium: Medium::Usb, audio: true, ..machine() }, Boot::Nothing);
    let place = dir.insert(tempfile::tempdir().unwrap()).path();
    plan.plan.boot = Boot::Iso(boot_sector::medium(Path::new(place), boot_sector::BEEP));
    plan.start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guests_tone_is_heard_while_somebody_wants_it_and_only_then() {
    let pulse = Pulse::start();
    let mut dir = None;
    let guest = beeping(&mut dir).await;
    let screen = Arc::clone(&guest.screen);
    guest.wait("sound to be offered", |g| g.screen.sound().offered()).await;
    let (sender, ended) = channel();
    let player = play(Arc::clone(&screen), Some(SoundServer::at(pulse.socket())), "test", move |why| {
        sender.send(why.to_string()).unwrap();
    });
    let (_hearing, heard) = pulse.hear();
    pulse.until("silence", || heard.is_silent());
    screen.want_sound(true);
    pulse.until("the tone", || heard.pitch().is_some_and(|pitch| (960..1040).contains(&pitch)));
    screen.want_sound(false);
    pulse.until("silence again", || heard.is_silent());
    screen.want_sound(true);
    pulse.until("the tone again", || heard.pitch().is_some_and(|pitch| (960..1040).contains(&pitch)));
    // The sound server goes: that is told, and disturbs nothing else.
    pulse.end();
    let why = tokio::task::spawn_blocking(move || ended.recv_timeout(SOON)).await.unwrap().unwrap();
    assert!(why.contains("does not play"), "{why}");
    drop(player);
    assert!(screen.live());
    guest.handle.end(|_, _| {}).await;
    assert!(!screen.sound().offered());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_server_that_is_none_is_named() {
    let mut dir = None;
    let guest = beeping(&mut dir).await;
    guest.wait("the picture", |g| g.screen.live()).await;
    let (sender, ended) = channel();
    let nowhere = Some(SoundServer::at(Path::new("/nowhere/native")));
    let _player = play(Arc::clone(&guest.screen), nowhere, "test", move |why| sender.send(why.to_string()).unwrap());
    let why = tokio::task::spawn_blocking(move || ended.recv_timeout(SOON)).await.unwrap().unwrap();
    assert!(why.contains("/nowhere/native cannot be reached"), "{why}");
    guest.handle.end(|_, _| {}).await;
}

//! What memory a whole client has that shows a guest in motion at 1920×1080: a process of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cartridge_supervise::{Cancel, CommandLine, run};
use tokio::sync::{mpsc, watch};
use vmtools::display::{DisplayLink, RfbSource};
use vmtools::{DisplaySource, Screen};

use crate::{guest, sectors, socket};

/// Prints the memory of a client of its own.
pub async fn measure() {
    let screen = guest(sectors::MOTION, (1920, 1080)).await;
    screen.screen.set_visible(false);
    let line = CommandLine::new(std::env::current_exe().unwrap()).arg("client").arg(socket(&screen));
    let ran = tokio::task::spawn_blocking(move || run(&line, &Cancel::new(), |_, _| ())).await.unwrap();
    println!("memory of a client of 1920x1080: {}", String::from_utf8_lossy(&ran.unwrap().stdout).trim());
    screen.handle.end(|_, _| {}).await;
}

/// Is that client: prints its memory after 30 pictures, and the most that it had.
pub fn client(socket: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let screen = Arc::new(Screen::new());
        let (_inputs, receiver) = mpsc::channel(16);
        let (_gone, is_gone) = watch::channel(false);
        let link = DisplayLink { screen: Arc::clone(&screen), inputs: receiver, gone: is_gone };
        tokio::spawn(Box::new(RfbSource::new(socket)).run(link));
        let mut pictures = 0;
        while pictures < 30 {
            pictures += usize::from(screen.try_take(&mut |view| assert_eq!(view.width, 1920)));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let lines = status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"));
        println!("{}", lines.collect::<Vec<_>>().join(", ").replace('\t', " "));
    });
}

//! Our own VNC client with a screen and inputs, and no guest around it.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use vmtools::display::DisplayLink;
use vmtools::display::rfb::RfbSource;
use vmtools::{DisplaySource, InputEvent, Screen};

pub struct Viewer {
    pub screen: Arc<Screen>,
    pub inputs: mpsc::Sender<InputEvent>,
    pub gone: watch::Sender<bool>,
    pub running: tokio::task::JoinHandle<()>,
}

pub fn view(source: RfbSource) -> Viewer {
    let screen = Arc::new(Screen::new());
    let (inputs, receiver) = mpsc::channel(16);
    let (gone, is_gone) = watch::channel(false);
    let link = DisplayLink { screen: Arc::clone(&screen), inputs: receiver, gone: is_gone };
    let running = tokio::spawn(Box::new(source).run(link));
    Viewer { screen, inputs, gone, running }
}

//! A guest's display: a small RFB server (RFC 6143) that the real source connects to, so that a picture takes the same
//! way into the window as QEMU's.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use vmtools::display::{DisplayLink, DisplaySource, RfbSource, Screen};

/// Texts that were handed to the guest.
type Cuts = Arc<Mutex<Vec<Vec<u8>>>>;

/// A display that shows one picture until it is dropped.
pub struct Display {
    _runtime: tokio::runtime::Runtime,
    gone: tokio::sync::watch::Sender<bool>,
    _inputs: tokio::sync::mpsc::Sender<vmtools::display::InputEvent>,
    _dir: tempfile::TempDir,
    updates: Sender<Vec<u8>>,
    cuts: Cuts,
    screen: Arc<Screen>,
}

impl Display {
    /// Shows a console of `width` × `height` pixels on `screen`.
    pub fn show(screen: &Arc<Screen>, width: u16, height: u16) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("vnc.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (updates, queue) = channel();
        updates.send(raw(0, 0, width, height, &console(width, height))).unwrap();
        let cuts = Cuts::default();
        let told = Arc::clone(&cuts);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // The source may go at any time: that ends this connection, not the test.
                let _ = serve(stream, width, height, &queue, &told);
            }
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (gone, watch) = tokio::sync::watch::channel(false);
        let (inputs, receiver) = tokio::sync::mpsc::channel(16);
        let link = DisplayLink { screen: screen.clone(), inputs: receiver, gone: watch };
        runtime.spawn(Box::new(RfbSource::new(&socket)).run(link));
        let display =
            Self { _runtime: runtime, gone, _inputs: inputs, _dir: dir, updates, cuts, screen: screen.clone() };
        display.wait(|screen| screen.live());
        display
    }

    /// Paints a rectangle in one colour, and waits until the screen has it.
    pub fn paint(&self, x: u16, y: u16, width: u16, height: u16, rgb: [u8; 3]) {
        let before = self.screen.generation();
        let pixel = [rgb[2], rgb[1], rgb[0], 0];
        let pixels = pixel.repeat(usize::from(width) * usize::from(height));
        self.updates.send(raw(x, y, width, height, &pixels)).unwrap();
        self.wait(|screen| screen.generation() > before);
    }

    /// The guest sets a pointer of 8 × 8 pixels, and waits until the screen has it.
    pub fn set_cursor(&self) {
        let mut update = vec![0, 0, 0, 1];
        for n in [1_u16, 1, 8, 8] {
            update.extend_from_slice(&n.to_be_bytes());
        }
        update.extend_from_slice(&(-239_i32).to_be_bytes());
        update.extend_from_slice(&[0xff; 8 * 8 * 4]);
        update.extend_from_slice(&[0xff; 8]);
        self.updates.send(update).unwrap();
        self.wait(|screen| screen.cursor().is_some());
    }

    /// The guest takes movements of the pointer from now on, or places.
    pub fn set_relative(&self, relative: bool) {
        let mut update = vec![0, 0, 0, 1];
        for n in [u16::from(!relative), 0, 1, 1] {
            update.extend_from_slice(&n.to_be_bytes());
        }
        update.extend_from_slice(&(-257_i32).to_be_bytes());
        self.updates.send(update).unwrap();
        self.wait(|screen| screen.relative() == relative);
    }

    /// The guest copies a text, and waits until the screen has it.
    pub fn copy(&self, text: &str) {
        let before = self.screen.copied().map(|(number, _)| number);
        let length = u32::try_from(text.len()).unwrap();
        self.updates.send([&[3, 0, 0, 0][..], &length.to_be_bytes(), text.as_bytes()].concat()).unwrap();
        self.wait(|screen| screen.copied().map(|(number, _)| number) != before);
    }

    /// The guest rings its bell, and waits until the screen has heard it.
    pub fn ring(&self) {
        let before = self.screen.bells();
        self.updates.send(vec![2]).unwrap();
        self.wait(|screen| screen.bells() > before);
    }

    /// The texts that were handed to the guest.
    pub fn cuts(&self) -> Vec<Vec<u8>> {
        self.cuts.lock().unwrap().clone()
    }

    /// The last text that was handed to the guest, once there is one.
    pub fn wait_for_cut(&self) -> Vec<u8> {
        self.wait(|_| !self.cuts().is_empty());
        self.cuts().pop().unwrap()
    }

    /// The guest goes; its last picture stays.
    pub fn go(&self) {
        self.gone.send(true).unwrap();
        self.wait(|screen| !screen.live());
    }

    fn wait(&self, ready: impl Fn(&Screen) -> bool) {
        let until = Instant::now() + Duration::from_secs(20);
        while !ready(&self.screen) {
            assert!(Instant::now() < until, "the display does not get there: {:?}", self.screen);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn serve(
    mut stream: UnixStream,
    width: u16,
    height: u16,
    updates: &Receiver<Vec<u8>>,
    cuts: &Cuts,
) -> std::io::Result<()> {
    let read = |stream: &mut UnixStream, n: usize| -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; n];
        stream.read_exact(&mut bytes)?;
        Ok(bytes)
    };
    stream.write_all(b"RFB 003.008\n")?;
    read(&mut stream, 12)?;
    stream.write_all(&[1, 1])?;
    read(&mut stream, 1)?;
    stream.write_all(&[0; 4])?;
    read(&mut stream, 1)?;
    let mut hello = Vec::new();
    hello.extend_from_slice(&width.to_be_bytes());
    hello.extend_from_slice(&height.to_be_bytes());
    hello.extend_from_slice(&[32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0, 0, 0, 0, 4]);
    // It goes on by what QEMU alone is sent again and again.
    hello.extend_from_slice(b"QEMU");
    stream.write_all(&hello)?;
    loop {
        match read(&mut stream, 1)?[0] {
            0 => drop(read(&mut stream, 19)?),
            2 => {
                let head = read(&mut stream, 3)?;
                read(&mut stream, 4 * usize::from(u16::from_be_bytes([head[1], head[2]])))?;
            }
            3 => {
                read(&mut stream, 9)?;
                if let Ok(update) = updates.recv_timeout(Duration::from_millis(20)) {
                    stream.write_all(&update)?;
                }
            }
            4 => drop(read(&mut stream, 7)?),
            5 => drop(read(&mut stream, 5)?),
            6 => {
                let head = read(&mut stream, 7)?;
                let text = read(&mut stream, u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize)?;
                cuts.lock().unwrap().push(text);
            }
            other => return Err(std::io::Error::other(format!("message {other}"))),
        }
        if let Ok(update) = updates.try_recv() {
            stream.write_all(&update)?;
        }
    }
}

/// A FramebufferUpdate with one Raw rectangle of BGRX pixels.
fn raw(x: u16, y: u16, width: u16, height: u16, pixels: &[u8]) -> Vec<u8> {
    let mut update = vec![0, 0, 0, 1];
    for n in [x, y, width, height] {
        update.extend_from_slice(&n.to_be_bytes());
    }
    update.extend_from_slice(&0_i32.to_be_bytes());
    update.extend_from_slice(pixels);
    update
}

/// What a text console looks like from afar: lines of words, a prompt, and a bar of colours to see that none is swapped.
fn console(width: u16, height: u16) -> Vec<u8> {
    let (width, height) = (usize::from(width), usize::from(height));
    let mut pixels = vec![0; width * height * 4];
    let mut fill = |x: usize, y: usize, w: usize, h: usize, rgb: [u8; 3]| {
        for row in y..(y + h).min(height) {
            for column in x..(x + w).min(width) {
                pixels[(row * width + column) * 4..][..4].copy_from_slice(&[rgb[2], rgb[1], rgb[0], 0]);
            }
        }
    };
    let mut seed = 7_usize;
    for line in 0..height / 20 - 6 {
        let mut x = 8;
        let mut words = 2 + line % 7;
        while words > 0 && x < width * 3 / 4 {
            seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345) % (1 << 31);
            let letters = 2 + seed / 65_536 % 9;
            for letter in 0..letters {
                fill(
                    x + letter * 9,
                    line * 20 + 6,
                    7,
                    11,
                    if line % 9 == 4 { [120, 190, 120] } else { [176, 176, 176] },
                );
            }
            x += (letters + 1) * 9;
            words -= 1;
        }
    }
    let bar = [[230, 60, 60], [230, 180, 60], [90, 200, 110], [70, 130, 240], [170, 90, 220]];
    for (at, rgb) in bar.into_iter().enumerate() {
        fill(8 + at * 60, height - 90, 52, 40, rgb);
    }
    fill(8, height - 30, 90, 14, [200, 200, 200]);
    fill(106, height - 30, 9, 16, [255, 255, 255]);
    pixels
}

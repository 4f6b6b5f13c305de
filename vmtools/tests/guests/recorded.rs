//! What a real QEMU sends of a guest's screen, kept as it came, so that several clients can decode the same bytes.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use vmtools::display::rfb::{Decoder, Told};

/// Bytes of a server after its handshake, whole messages.
#[derive(Clone)]
pub struct Recorded {
    pub width: u16,
    pub height: u16,
    pub bytes: std::sync::Arc<Vec<u8>>,
    /// Where updates end in `bytes`, and the size of the picture there.
    pub ends: Vec<(usize, (usize, usize))>,
}

/// A line whose bytes are kept.
pub struct Tee {
    line: UnixStream,
    copy: std::sync::Arc<std::sync::Mutex<Vec<u8>>>,
}

impl Read for Tee {
    fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> {
        let count = self.line.read(target)?;
        self.copy.lock().unwrap().extend_from_slice(&target[..count]);
        Ok(count)
    }
}

fn request(incremental: u8, (width, height): (usize, usize)) -> Vec<u8> {
    let mut bytes = vec![3, incremental, 0, 0, 0, 0];
    bytes.extend((width as u16).to_be_bytes());
    bytes.extend((height as u16).to_be_bytes());
    bytes
}

/// Shakes hands with QEMU at `socket` and says which encodings are understood; the size of its screen.
fn shake(line: &mut UnixStream, encodings: &[i32]) -> (u16, u16) {
    let mut greeting = [0; 12];
    line.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"RFB 003.008\n");
    line.write_all(&greeting).unwrap();
    let mut types = [0; 2];
    line.read_exact(&mut types).unwrap();
    assert_eq!(types, [1, 1]);
    line.write_all(&[1]).unwrap();
    line.read_exact(&mut [0; 4]).unwrap();
    line.write_all(&[1]).unwrap();
    let mut init = [0; 24];
    line.read_exact(&mut init).unwrap();
    let mut name = vec![0; u32::from_be_bytes(init[20..].try_into().unwrap()) as usize];
    line.read_exact(&mut name).unwrap();
    line.write_all(&[0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0]).unwrap();
    line.write_all(&[&[2, 0][..], &(encodings.len() as u16).to_be_bytes()].concat()).unwrap();
    for encoding in encodings {
        line.write_all(&encoding.to_be_bytes()).unwrap();
    }
    (u16::from_be_bytes([init[0], init[1]]), u16::from_be_bytes([init[2], init[3]]))
}

/// Records the display at `socket` in `encoding` until `done` says so of a whole picture.
pub fn record(socket: &Path, encoding: i32, done: impl FnMut(&Decoder<Tee>) -> bool) -> Recorded {
    // Sizes too, or QEMU would cut the picture to the first one.
    record_with(socket, &[encoding, -223], done)
}

/// The same with all of these encodings told to the server.
pub fn record_with(socket: &Path, encodings: &[i32], mut done: impl FnMut(&Decoder<Tee>) -> bool) -> Recorded {
    let mut line = UnixStream::connect(socket).unwrap();
    line.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (width, height) = shake(&mut line, encodings);
    let copy = std::sync::Arc::default();
    let tee = Tee { line: line.try_clone().unwrap(), copy: std::sync::Arc::clone(&copy) };
    let mut decoder = Decoder::new(tee, width.into(), height.into(), "").unwrap();
    line.write_all(&request(0, decoder.size())).unwrap();
    let mut ends = Vec::new();
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < Duration::from_secs(120), "the guest never shows what is waited for");
        if let Told::Updated(update) = decoder.next().unwrap() {
            ends.push((decoder.consumed() as usize, decoder.size()));
            if decoder.is_whole() && done(&decoder) {
                break;
            }
            line.write_all(&request(u8::from(!update.resized), decoder.size())).unwrap();
            // Keeps QEMU from looking less often: a key that is not down goes up (QEMU's extended key event).
            line.write_all(&[255, 0, 0, 0, 0, 0, 0xff, 0xd5, 0, 0, 0, 0x76]).unwrap();
        }
    }
    drop(line);
    let mut bytes = std::mem::take(&mut *copy.lock().unwrap());
    bytes.truncate(decoder.consumed() as usize);
    Recorded { width, height, bytes: std::sync::Arc::new(bytes), ends }
}

impl Recorded {
    /// The picture after the first `length` bytes, by our client: its size and RGBA.
    pub fn ours(&self, length: usize) -> ((usize, usize), Vec<u8>) {
        let mut decoder = Decoder::new(&self.bytes[..length], self.width.into(), self.height.into(), "").unwrap();
        while decoder.consumed() < length as u64 {
            decoder.next().unwrap();
        }
        (decoder.size(), decoder.rgba())
    }

    /// Is a server that says the first `length` bytes after its handshake, and then a bell: all has come.
    pub fn serve(&self, mut far: UnixStream, length: usize) {
        far.write_all(b"RFB 003.008\n").unwrap();
        far.read_exact(&mut [0; 12]).unwrap();
        far.write_all(&[1, 1]).unwrap();
        far.read_exact(&mut [0]).unwrap();
        far.write_all(&[0; 4]).unwrap();
        far.read_exact(&mut [0]).unwrap();
        let mut init = [self.width.to_be_bytes(), self.height.to_be_bytes()].concat();
        init.extend([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
        far.write_all(&init).unwrap();
        far.write_all(&self.bytes[..length]).unwrap();
        far.write_all(&[2]).unwrap();
        let _ = far.read_to_end(&mut Vec::new());
    }

    /// The picture after the first `length` bytes, by vnc-rs.
    pub async fn by_vnc_rs(&self, length: usize, encoding: vnc::VncEncoding) -> ((usize, usize), Vec<u8>) {
        use vnc::{PixelFormat, VncConnector, VncError, VncEvent};
        let (near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let near = tokio::net::UnixStream::from_std(near).unwrap();
        let serving = self.clone();
        std::thread::spawn(move || serving.serve(far, length));
        let client = VncConnector::<_, std::future::Pending<Result<String, VncError>>>::new(near)
            .add_encoding(encoding)
            .add_encoding(vnc::VncEncoding::DesktopSizePseudo)
            .set_pixel_format(PixelFormat::bgra())
            .build()
            .unwrap()
            .try_start()
            .await
            .unwrap()
            .finish()
            .unwrap();
        let mut size = (usize::from(self.width), usize::from(self.height));
        let mut rgba = [0, 0, 0, 255].repeat(size.0 * size.1);
        loop {
            match client.recv_event().await.unwrap() {
                VncEvent::SetResolution(new) => {
                    size = (usize::from(new.width), usize::from(new.height));
                    rgba = [0, 0, 0, 255].repeat(size.0 * size.1);
                }
                VncEvent::RawImage(at, pixels) => {
                    let line = usize::from(at.width) * 4;
                    for (row, from) in pixels.chunks_exact(line).enumerate() {
                        let start = ((usize::from(at.y) + row) * size.0 + usize::from(at.x)) * 4;
                        for (to, from) in rgba[start..start + line].chunks_exact_mut(4).zip(from.chunks_exact(4)) {
                            to.copy_from_slice(&[from[2], from[1], from[0], 255]);
                        }
                    }
                }
                VncEvent::Copy(to, from) => {
                    let before = rgba.clone();
                    let place = |x: u16, y: usize| (y * size.0 + usize::from(x)) * 4;
                    for row in 0..usize::from(to.height) {
                        let line = usize::from(to.width) * 4;
                        let (to, from) =
                            (place(to.x, usize::from(to.y) + row), place(from.x, usize::from(from.y) + row));
                        rgba[to..to + line].copy_from_slice(&before[from..from + line]);
                    }
                }
                VncEvent::Bell => break,
                VncEvent::Error(words) => panic!("{words}"),
                _ => {}
            }
        }
        let _ = client.close().await;
        (size, rgba)
    }
}

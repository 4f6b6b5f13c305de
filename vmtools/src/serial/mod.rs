//! The guest's first serial line: raw bytes both ways, and the findings of the [`ReportScanner`].

mod escapes;
mod guest_share;
mod printk;
mod scanner;
mod steps;

use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

pub use escapes::EscapeFilter;
pub use guest_share::{GuestShare, ShareProblem};
pub use scanner::{Finding, GuestReport, ReportScanner};
pub use steps::BootStep;

/// The largest piece that is passed on, bytes.
const CHUNK: usize = 64 * 1024;
/// How much is held while whoever takes it is busy, bytes.
const HELD: usize = 1024 * 1024;
/// How long we gather before a small piece is passed on: a guest writes byte by byte.
const GATHER: Duration = Duration::from_millis(4);
/// How much one write of keystrokes may wait for a guest that does not read.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// Reads until the line is closed. `take` gets raw pieces of 1 to 65,536 bytes. While it is awaited up to 1 MiB more is
/// read; then nothing is, so that a flood is held back at its source and memory stays bounded.
///
/// The line is never left unread for long: a socket holds only some hundred writes of one byte, and a kernel waits 10 ms
/// for its serial port and then writes over what was not sent (Linux, drivers/tty/serial/8250, `wait_for_xmitr`).
pub(crate) async fn read<F>(mut line: OwnedReadHalf, mut take: impl FnMut(Vec<u8>) -> F)
where
    F: Future<Output = ()>,
{
    let mut chunk = vec![0; CHUNK];
    let mut held: Vec<u8> = Vec::new();
    let mut due = Instant::now();
    let mut taking: Option<Pin<Box<F>>> = None;
    let mut open = true;
    while open || taking.is_some() || !held.is_empty() {
        let ready = taking.is_none() && !held.is_empty();
        tokio::select! {
            biased;
            got = line.read(&mut chunk), if open && held.len() < HELD => match got {
                Ok(0) | Err(_) => (open, due) = (false, Instant::now()),
                Ok(n) => {
                    if held.is_empty() {
                        due = Instant::now() + GATHER;
                    }
                    held.extend_from_slice(&chunk[..n]);
                }
            },
            () = taken(&mut taking), if taking.is_some() => taking = None,
            () = sleep_until(due), if ready => {
                let rest = held.split_off(held.len().min(CHUNK));
                taking = Some(Box::pin(take(std::mem::replace(&mut held, rest))));
            }
        }
    }
}

async fn taken<F: Future<Output = ()>>(taking: &mut Option<Pin<Box<F>>>) {
    if let Some(taking) = taking {
        taking.as_mut().await;
    }
}

/// Writes keystrokes until the line or the queue is closed. A guest that does not read loses them.
pub(crate) async fn write(mut line: OwnedWriteHalf, mut queue: mpsc::Receiver<Vec<u8>>) {
    while let Some(bytes) = queue.recv().await {
        match tokio::time::timeout(WRITE_LIMIT, line.write_all(&bytes)).await {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(_)) => return,
        }
    }
    // The reader lives on: the line's other half must not be shut down with us.
    line.forget();
}

/// The two halves of a connection, apart.
pub(crate) fn split(stream: UnixStream) -> (OwnedReadHalf, OwnedWriteHalf) {
    stream.into_split()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[tokio::test]
    async fn gathers_small_pieces_and_ends_with_the_line() {
        let (near, far) = UnixStream::pair().unwrap();
        let pieces = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&pieces);
        let (reader, writer) = split(near);
        let task = tokio::spawn(read(reader, move |piece| {
            kept.lock().unwrap().push(piece);
            async {}
        }));
        let (queue, keys) = mpsc::channel(4);
        let writing = tokio::spawn(write(writer, keys));
        let mut far = far;
        for byte in b"hello world" {
            far.write_all(&[*byte]).await.unwrap();
        }
        queue.send(b"ls\n".to_vec()).await.unwrap();
        let mut answer = [0; 3];
        far.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"ls\n");
        drop(queue);
        writing.await.unwrap();
        far.write_all(b"!").await.unwrap();
        drop(far);
        task.await.unwrap();
        let pieces = pieces.lock().unwrap();
        assert_eq!(pieces.concat(), b"hello world!");
        assert!(pieces.len() < 6, "{} pieces for 12 bytes", pieces.len());
    }

    /// A guest goes on printing while whoever takes the pieces is busy: a line left unread would lose characters.
    #[tokio::test]
    async fn reads_on_while_a_piece_is_being_taken() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let (reader, _writer) = split(near);
        let (free, gate) = tokio::sync::watch::channel(false);
        let pieces = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&pieces);
        let task = tokio::spawn(read(reader, move |piece| {
            kept.lock().unwrap().extend(piece);
            let mut gate = gate.clone();
            async move {
                let _ = gate.wait_for(|open| *open).await;
            }
        }));
        let printed: Vec<u8> = (0..20_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let printing = async {
            for byte in &printed {
                far.write_all(&[*byte]).await.unwrap();
            }
        };
        // A socket holds some hundred such writes: without a reader this would never end.
        tokio::time::timeout(Duration::from_secs(60), printing).await.expect("the line is not read");
        free.send(true).unwrap();
        drop(far);
        task.await.unwrap();
        assert_eq!(*pieces.lock().unwrap(), printed);
    }
}

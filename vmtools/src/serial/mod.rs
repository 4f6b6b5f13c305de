//! The guest's first serial line: raw bytes both ways, and the findings of the [`ReportScanner`].

mod printk;
mod scanner;

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

pub use scanner::{Finding, GuestReport, ReportScanner};

/// The largest piece that is passed on, bytes.
const CHUNK: usize = 64 * 1024;
/// How long we wait for more before a small piece is passed on: a guest writes byte by byte.
const GATHER: Duration = Duration::from_millis(4);
/// How much one write of keystrokes may wait for a guest that does not read.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// Reads until the line is closed. `take` gets raw pieces of 1 to 65,536 bytes; while it is awaited nothing is read, so
/// that a flood is held back at its source and memory stays bounded.
pub(crate) async fn read<F>(mut line: OwnedReadHalf, mut take: impl FnMut(Vec<u8>) -> F)
where
    F: Future<Output = ()>,
{
    let mut chunk = vec![0; CHUNK];
    loop {
        let mut filled = match line.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(n) => n,
        };
        if filled < CHUNK / 4 {
            tokio::time::sleep(GATHER).await;
            // An error or the end shows itself again at the next read.
            filled += line.try_read(&mut chunk[filled..]).unwrap_or(0);
        }
        take(chunk[..filled].to_vec()).await;
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
}

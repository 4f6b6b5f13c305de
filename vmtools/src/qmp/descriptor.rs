//! An open file passed to QEMU beside the bytes of a command (unix(7), `SCM_RIGHTS`): a QEMU in its sandbox can neither
//! run a helper nor needs a path for what it is to read and write.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Sends the beginning of `bytes`, and `descriptor` with it. Says how many bytes went; at least one.
pub(super) async fn send(stream: &UnixStream, bytes: &[u8], descriptor: &OwnedFd) -> io::Result<usize> {
    loop {
        stream.writable().await?;
        let sending = stream.try_io(Interest::WRITABLE, || {
            let descriptors = [descriptor.as_fd()];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
                return Err(io::Error::other("there is no room for a descriptor"));
            }
            Ok(sendmsg(stream, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
        });
        match sending {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{IoSliceMut, Read};

    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn a_file_arrives_with_the_first_bytes() {
        let (near, far) = UnixStream::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, b"what is in it").unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        assert_eq!(send(&near, b"getfd\n", &file.into()).await.unwrap(), 6);
        far.readable().await.unwrap();
        let mut bytes = [0; 16];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = recvmsg(&far, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::empty()).unwrap();
        assert_eq!(&bytes[..got.bytes], b"getfd\n");
        let received = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        let mut text = String::new();
        std::fs::File::from(received.unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "what is in it");
    }

    #[tokio::test]
    async fn nobody_at_the_other_end_is_an_error() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let file = || OwnedFd::from(tempfile::tempfile().unwrap());
        send(&near, b"x", &file()).await.unwrap();
        far.read_u8().await.unwrap();
        drop(far);
        assert_eq!(send(&near, b"x", &file()).await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}

//! When to stop: at the end of our standard input, which the caller holds open for as long as the image is wanted. It ends
//! with the caller, however that ends, and whenever that was; a signal of a user's could not reach us, as we are root's.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::HelperError;
use crate::request::LONGEST;

/// Reads the request: the first line of our standard input. What else comes with it is not looked at.
pub(crate) fn request() -> Result<Vec<u8>, HelperError> {
    let mut text = Vec::new();
    let read = BufReader::new(std::io::stdin().take(LONGEST + 1)).read_until(b'\n', &mut text);
    read.map_err(|source| HelperError::Io { doing: "read", what: "the request".to_owned(), source })?;
    Ok(text)
}

/// Whether the caller does not want it any more, or is gone.
pub(crate) fn asked() -> bool {
    let stdin = std::io::stdin();
    let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut polled, Some(&now)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => false,
        // There is something to read, or the end; it does not wait.
        Ok(_) => !matches!(rustix::io::read(stdin.as_fd(), &mut [0_u8; 512]), Ok(1..)),
        Err(_) => true,
    }
}

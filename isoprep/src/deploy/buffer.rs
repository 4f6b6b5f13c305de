//! Memory for requests around the page cache: it must lie and end on the disk's blocks (open(2), `O_DIRECT`).

/// As much as any disk asks for: a page.
const ALIGNMENT: usize = 4096;

/// A buffer of one length, on a page's border.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    from: usize,
    len: usize,
}

impl Buffer {
    /// `len` bytes of zeros.
    pub fn new(len: usize) -> Self {
        let bytes = vec![0; len + ALIGNMENT];
        let from = bytes.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self { bytes, from, len }
    }

    /// The first `len` bytes, at most all.
    pub fn first(&mut self, len: u64) -> &mut [u8] {
        let len = usize::try_from(len).unwrap_or(self.len).min(self.len);
        &mut self.bytes[self.from..self.from + len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lies_on_a_page() {
        for len in [1, 512, 4096, 5000] {
            let mut buffer = Buffer::new(len);
            let it = buffer.first(u64::MAX);
            assert_eq!((it.as_ptr() as usize % ALIGNMENT, it.len()), (0, len));
        }
    }
}

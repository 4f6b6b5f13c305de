//! Takes little-endian fields off the front of bytes that nobody vouches for.

use super::error::Fault;

/// What is left of a structure.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    /// Named when it ends too early.
    what: &'static str,
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { bytes, what }
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(count)
            .ok_or_else(|| Fault::damaged(format!("{} ends before its last field", self.what)))?;
        self.bytes = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Fault> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number that is written in both byte orders (ECMA-119, 7.3.3), of which the first is taken.
    pub(super) fn both_u32(&mut self) -> Result<u32, Fault> {
        let number = self.u32()?;
        self.take(4)?;
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_in_order_and_an_early_end_is_told() {
        let mut fields = Fields::new(&[1, 2, 0, 3, 0, 0, 0, 4, 0, 0, 0, 9, 9, 9, 9, 7], "the header");
        assert_eq!((fields.u8().unwrap(), fields.u16().unwrap(), fields.u32().unwrap()), (1, 2, 3));
        assert_eq!(fields.both_u32().unwrap(), 4);
        let error = fields.u64().unwrap_err().to_string();
        assert!(error.contains("the header ends before"), "{error}");
        assert_eq!(fields.take(1).unwrap(), [7], "what did not fit was not taken");
    }
}

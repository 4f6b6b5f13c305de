//! QEMU's sound, as a server sends it (rfbproto, QEMU Audio Server Message).

use std::io::Read;

use super::RfbError;
use super::wire::Wire;
use crate::display::Played;

/// The only kind of QEMU's own messages that a server sends.
const AUDIO: u8 = 1;
/// The longest piece, bytes: more than five seconds.
const LONGEST: usize = 1 << 20;

/// Reads a message after its kind.
pub(super) fn read<R: Read>(wire: &mut Wire<R>) -> Result<Played, RfbError> {
    wire.doing = "sending sound";
    let kind = wire.u8()?;
    if kind != AUDIO {
        return Err(RfbError::garbage(format!("a message of QEMU of kind {kind}")));
    }
    match wire.u16()? {
        0 => Ok(Played::Ended),
        1 => Ok(Played::Begun),
        2 => {
            let length = wire.u32()? as usize;
            if length > LONGEST {
                return Err(RfbError::garbage(format!("{length} bytes of sound in one piece")));
            }
            let mut samples = vec![0; length];
            wire.fill(&mut samples)?;
            Ok(Played::Samples(samples))
        }
        what => Err(RfbError::garbage(format!("a message of kind {what} about sound"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: &[u8]) -> Result<Played, String> {
        read(&mut Wire::new(bytes)).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_played_is_read_and_what_is_none_is_refused() {
        assert_eq!(told(&[1, 0, 1]), Ok(Played::Begun));
        assert_eq!(told(&[1, 0, 0]), Ok(Played::Ended));
        assert_eq!(told(&[1, 0, 2, 0, 0, 0, 4, 1, 2, 3, 4]), Ok(Played::Samples(vec![1, 2, 3, 4])));
        assert_eq!(told(&[1, 0, 2, 0, 0, 0, 0]), Ok(Played::Samples(vec![])));
        for bad in [&[0, 0, 1][..], &[1, 0, 3], &[1, 0, 2, 0xff, 0xff, 0xff, 0xff], &[1, 0, 2, 0, 0, 0, 4, 1], &[]] {
            assert!(told(bad).is_err(), "{bad:?}");
        }
    }
}

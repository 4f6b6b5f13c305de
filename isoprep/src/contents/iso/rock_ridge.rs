//! System use fields of a directory record: the System Use Sharing Protocol (SUSP 1.12) and Rock Ridge (RRIP 1.12), which
//! tell the real name, mode, owner and link target.

use crate::contents::error::Fault;
use crate::contents::fields::Fields;
use crate::contents::model::Kind;
use crate::contents::tree_path::{LONGEST_PATH, TreePath};

/// How many continuation areas of one record are read.
const MOST_CONTINUATIONS: usize = 64;
/// The largest continuation area, bytes: it lies within a block (SUSP 5.1).
const LARGEST_CONTINUATION: u32 = 2048;
/// The bits of a mode that tell the kind (inode(7)).
const KIND: u32 = 0o170_000;

/// What the fields of one record say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) name: Vec<u8>,
    /// Permission bits.
    pub(super) mode: Option<u32>,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) kind: Option<Kind>,
    /// The block of a directory that was put elsewhere for its depth.
    pub(super) child: Option<u32>,
    /// It is such a directory, in the place where it was put.
    pub(super) relocated: bool,
}

/// How many bytes to pass over at the beginning of each area but the root's, which is `area`; `None` without SUSP.
pub(super) fn skip(area: &[u8]) -> Option<usize> {
    let field = area.get(..7)?;
    (field.starts_with(b"SP\x07\x01\xbe\xef")).then(|| usize::from(field[6]))
}

/// Reads the fields in `area` and in what continues it, which `continuation` gives by block, offset and length.
pub(super) fn facts(
    area: &[u8],
    continuation: impl Fn(u32, u32, u32) -> Result<Vec<u8>, Fault>,
) -> Result<Facts, Fault> {
    let mut facts = Facts::default();
    let mut target = None;
    let mut number = None;
    let mut next = take(area, &mut facts, &mut target, &mut number)?;
    for _ in 0..MOST_CONTINUATIONS {
        let Some((block, offset, len)) = next else { break };
        if len > LARGEST_CONTINUATION {
            return Err(Fault::damaged("a system use area continues in more than a block"));
        }
        next = take(&continuation(block, offset, len)?, &mut facts, &mut target, &mut number)?;
    }
    if next.is_some() {
        return Err(Fault::damaged("a system use area continues without end"));
    }
    facts.kind = match (facts.kind, target) {
        (Some(Kind::Symlink { .. }), Some(Target { path, .. })) => Some(Kind::Symlink { target: TreePath::new(path) }),
        (Some(Kind::Character(_)), _) => Some(Kind::Character(number)),
        (Some(Kind::Block(_)), _) => Some(Kind::Block(number)),
        (kind, _) => kind,
    };
    Ok(facts)
}

/// A link's target as it grows.
#[derive(Default)]
struct Target {
    path: Vec<u8>,
    /// Whether the next component belongs to the last one.
    joined: bool,
}

/// Reads one area. Returns where it continues.
fn take(
    mut area: &[u8],
    facts: &mut Facts,
    target: &mut Option<Target>,
    number: &mut Option<(u32, u32)>,
) -> Result<Option<(u32, u32, u32)>, Fault> {
    let mut next = None;
    while let Some(&[a, b, len, _]) = area.first_chunk() {
        let Some((field, rest)) = area.split_at_checked(usize::from(len)).filter(|_| len >= 4) else {
            // Padding, or something that is not ours.
            break;
        };
        area = rest;
        let mut fields = Fields::new(&field[4..], "a Rock Ridge field");
        match &[a, b] {
            b"CE" => next = Some((fields.both_u32()?, fields.both_u32()?, fields.both_u32()?)),
            b"ST" => break,
            b"PX" => {
                let mode = fields.both_u32()?;
                fields.both_u32()?;
                (facts.uid, facts.gid) = (fields.both_u32()?, fields.both_u32()?);
                (facts.mode, facts.kind) = (Some(mode & 0o7777), Some(kind(mode)?));
            }
            b"PN" => *number = Some(device(fields.both_u32()?, fields.both_u32()?)),
            b"NM" => {
                // Bits 1 and 2: the directory itself or its parent.
                let flags = fields.u8()?;
                if flags & 0b110 == 0 {
                    facts.name.extend(&field[5..]);
                }
            }
            b"SL" => link(&field[5.min(field.len())..], target.get_or_insert_default())?,
            b"CL" => facts.child = Some(fields.both_u32()?),
            b"RE" => facts.relocated = true,
            _ => {}
        }
    }
    Ok(next)
}

fn kind(mode: u32) -> Result<Kind, Fault> {
    Ok(match mode & KIND {
        0o040_000 => Kind::Directory,
        0o100_000 => Kind::file(0),
        0o120_000 => Kind::Symlink { target: TreePath::default() },
        0o020_000 => Kind::Character(None),
        0o060_000 => Kind::Block(None),
        0o010_000 => Kind::Fifo,
        0o140_000 => Kind::Socket,
        _ => return Err(Fault::damaged(format!("an entry has the mode {mode:o}"))),
    })
}

/// Both halves of a device number: either each in a field, or all in the second, as Linux encodes it (RRIP 4.1.2).
fn device(high: u32, low: u32) -> (u32, u32) {
    if high == 0 { (low >> 8 & 0xfff, low & 0xff | low >> 12 & 0xfff00) } else { (high, low) }
}

/// Adds the components of one field to a link's target (RRIP 4.1.3.1).
fn link(mut components: &[u8], target: &mut Target) -> Result<(), Fault> {
    while let Some(&[flags, len]) = components.first_chunk() {
        let text = components.get(2..2 + usize::from(len)).ok_or_else(|| Fault::damaged("a link's target is cut"))?;
        components = &components[2 + text.len()..];
        if !target.joined && !target.path.is_empty() && target.path != b"/" {
            target.path.push(b'/');
        }
        match flags & 0b1110 {
            0b0010 => target.path.push(b'.'),
            0b0100 => target.path.extend(b".."),
            0b1000 => target.path.push(b'/'),
            _ => target.path.extend(text),
        }
        target.joined = flags & 1 != 0;
        if target.path.len() > LONGEST_PATH {
            return Err(Fault::damaged("a link's target is longer than any path"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(tag: &[u8; 2], data: &[u8]) -> Vec<u8> {
        [tag, &[u8::try_from(data.len() + 4).unwrap(), 1][..], data].concat()
    }

    fn both(number: u32) -> Vec<u8> {
        [number.to_le_bytes(), number.to_be_bytes()].concat()
    }

    fn none(_: u32, _: u32, _: u32) -> Result<Vec<u8>, Fault> {
        panic!("nothing continues")
    }

    #[test]
    fn names_modes_and_targets_are_read_across_a_continuation() {
        let px = field(b"PX", &[both(0o120_755), both(1), both(1000), both(100), both(7)].concat());
        let area = [
            px,
            field(b"NM", b"\x01long na"),
            field(b"SL", b"\x01\x08\0\x01\x03usr\0\x02lo"),
            field(b"CE", &[both(5), both(6), both(7)].concat()),
        ]
        .concat();
        let more = [field(b"NM", b"\0me"), field(b"SL", b"\0\x04\0\x00\x03b n")].concat();
        let facts = facts(&area, |block, offset, len| {
            assert_eq!((block, offset, len), (5, 6, 7));
            Ok(more.clone())
        });
        let facts = facts.unwrap();
        assert_eq!(facts.name, b"long name");
        assert_eq!((facts.mode, facts.uid, facts.gid), (Some(0o755), 1000, 100));
        assert_eq!(facts.kind, Some(Kind::Symlink { target: "/usrlo/../b n".into() }));
    }

    #[test]
    fn device_numbers_come_in_both_forms() {
        let of = |mode, high, low| {
            let px = field(b"PX", &[both(mode), both(1), both(0), both(0)].concat());
            facts(&[px, field(b"PN", &[both(high), both(low)].concat())].concat(), none).unwrap().kind
        };
        assert_eq!(of(0o020_600, 0, 0x501), Some(Kind::Character(Some((5, 1)))));
        assert_eq!(of(0o060_600, 8, 3), Some(Kind::Block(Some((8, 3)))));
    }

    #[test]
    fn what_continues_without_end_or_measure_is_refused() {
        let again = field(b"CE", &[both(1), both(0), both(28)].concat());
        let fault = facts(&again, |_, _, _| Ok(again.clone())).unwrap_err().to_string();
        assert!(fault.contains("without end"), "{fault}");
        let huge = field(b"CE", &[both(1), both(0), both(1 << 30)].concat());
        assert!(facts(&huge, none).is_err());
    }

    #[test]
    fn without_the_protocol_nothing_is_skipped_or_read() {
        assert_eq!(skip(b"SP\x07\x01\xbe\xef\x05rest"), Some(5));
        assert_eq!(skip(b"XXXXXXXXXX"), None);
        assert_eq!(skip(b"SP"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_area_is_taken(area: Vec<u8>, more: Vec<u8>) {
            let _ = facts(&area, |_, _, _| Ok(more.clone()));
            let _ = facts(&[b"SL\x20\x01".as_slice(), &area].concat(), |_, _, _| Ok(more.clone()));
        }
    }
}

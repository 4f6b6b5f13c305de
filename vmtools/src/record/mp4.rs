//! A video file that can be played at any moment of its making: a fragmented MP4 (ISO/IEC 14496-12, 8.8) with one picture a
//! fragment. How long the last picture is shown is known only when the next one comes, and is written into its place then;
//! so whoever is killed leaves a file that plays to its last picture.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Time stamps are milliseconds.
const TIMESCALE: u32 = 1000;
/// Places to jump to that are remembered: one of every ten seconds, for days.
const MAX_JUMPS: usize = 100_000;
/// Flags of a sample that needs no other one, and of one that does (8.8.3.1).
const SYNC: u32 = 0x0200_0000;
const NOT_SYNC: u32 = 0x0101_0000;

/// What a decoder has to know before the first picture: H.264's parameter sets, without start codes.
#[derive(Debug)]
pub(super) struct Parameters<'a> {
    pub(super) sequence: &'a [u8],
    pub(super) picture: &'a [u8],
}

/// An MP4 file that grows.
#[derive(Debug)]
pub(super) struct Mp4 {
    file: File,
    end: u64,
    fragments: u32,
    /// Where the duration of the whole and that of the last picture are written, and when that one begins, milliseconds.
    whole_at: u64,
    last: Option<(u64, u64)>,
    /// Pictures that need no other: when, and where.
    jumps: Vec<(u64, u64)>,
}

impl Mp4 {
    /// Begins a file at `path`, which must not be there, for pictures of that size, pixels.
    pub(super) fn create(path: &Path, (width, height): (u16, u16), parameters: &Parameters<'_>) -> io::Result<Self> {
        let mut head = boxed(b"ftyp", |b| {
            b.extend(b"isom");
            u32s(b, &[512]);
            b.extend(b"isomiso5avc1mp41");
        });
        let (movie, whole_at) = movie(width, height, parameters);
        let whole_at = (head.len() + whole_at) as u64;
        head.extend(movie);
        let mut file = File::create_new(path)?;
        file.write_all(&head)?;
        Ok(Self { file, end: head.len() as u64, fragments: 0, whole_at, last: None, jumps: Vec::new() })
    }

    /// Adds a picture that is shown from `at`, milliseconds from the beginning: its units, each with its length before it.
    pub(super) fn add(&mut self, at: u64, sync: bool, sample: &[u8]) -> io::Result<()> {
        self.lasts_until(at)?;
        self.fragments += 1;
        let (moof, duration_at) = fragment(self.fragments, at, sync, sample.len() as u32);
        let mut bytes = moof;
        u32s(&mut bytes, &[sample.len() as u32 + 8]);
        bytes.extend(b"mdat");
        bytes.extend(sample);
        self.file.write_all(&bytes)?;
        if sync && self.jumps.len() < MAX_JUMPS {
            self.jumps.push((at, self.end));
        }
        self.last = Some((self.end + duration_at as u64, at));
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// The last picture is still shown at `now`, milliseconds.
    pub(super) fn lasts_until(&mut self, now: u64) -> io::Result<()> {
        let Some((place, since)) = self.last else { return Ok(()) };
        let duration = u32::try_from(now.saturating_sub(since)).unwrap_or(u32::MAX).max(1);
        self.file.write_all_at(&duration.to_be_bytes(), place)?;
        self.file.write_all_at(&now.max(since + 1).to_be_bytes(), self.whole_at)
    }

    /// Ends the file at `now`, milliseconds, with the table of places to jump to.
    pub(super) fn finish(mut self, now: u64) -> io::Result<()> {
        self.lasts_until(now)?;
        let mut table = boxed(b"mfra", |b| {
            b.extend(boxed(b"tfra", |b| {
                // Version 1: 64 bits; track 1; numbers of one byte.
                u32s(b, &[1 << 24, 1, 0, self.jumps.len() as u32]);
                for (at, place) in &self.jumps {
                    b.extend(at.to_be_bytes());
                    b.extend(place.to_be_bytes());
                    b.extend([1, 1, 1]);
                }
            }));
            b.extend(boxed(b"mfro", |b| u32s(b, &[0, 0])));
        });
        let length = (table.len() as u32).to_be_bytes();
        let at = table.len() - 4;
        table[at..].copy_from_slice(&length);
        self.file.write_all(&table)?;
        self.file.sync_all()
    }
}

fn u32s(bytes: &mut Vec<u8>, numbers: &[u32]) {
    bytes.extend(numbers.iter().flat_map(|n| n.to_be_bytes()));
}

fn u16s(bytes: &mut Vec<u8>, numbers: &[u16]) {
    bytes.extend(numbers.iter().flat_map(|n| n.to_be_bytes()));
}

/// A box: its length, its name, what is in it.
fn boxed(name: &[u8; 4], fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend(name);
    fill(&mut bytes);
    let length = (bytes.len() as u32).to_be_bytes();
    bytes[..4].copy_from_slice(&length);
    bytes
}

/// No turning, no scaling (8.2.2).
fn unity(b: &mut Vec<u8>) {
    u32s(b, &[0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000]);
}

/// What the whole file is, and where in it its duration stands.
fn movie(width: u16, height: u16, parameters: &Parameters<'_>) -> (Vec<u8>, usize) {
    let movie = boxed(b"moov", |b| {
        b.extend(boxed(b"mvhd", |b| {
            // Version, made, changed, time scale, duration, speed 1; volume 1 and nothing else.
            u32s(b, &[0, 0, 0, TIMESCALE, 0, 0x1_0000, 0x0100_0000, 0, 0]);
            unity(b);
            u32s(b, &[0; 6]);
            // The next track's number.
            u32s(b, &[2]);
        }));
        b.extend(track(width, height, parameters));
        b.extend(boxed(b"mvex", |b| {
            b.extend(boxed(b"trex", |b| u32s(b, &[0, 1, 1, 0, 0, 0])));
            // Version 1: 64 bits. It is the last, so that its place is known.
            b.extend(boxed(b"mehd", |b| u32s(b, &[1 << 24, 0, 0])));
        }));
    });
    let at = movie.len() - 8;
    (movie, at)
}

fn track(width: u16, height: u16, parameters: &Parameters<'_>) -> Vec<u8> {
    boxed(b"trak", |b| {
        b.extend(boxed(b"tkhd", |b| {
            // Enabled and in the movie; made, changed, number, -, duration, -, -, layer and group, volume.
            u32s(b, &[3, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
            unity(b);
            u32s(b, &[u32::from(width) << 16, u32::from(height) << 16]);
        }));
        b.extend(boxed(b"mdia", |b| {
            // The language is undetermined.
            b.extend(boxed(b"mdhd", |b| u32s(b, &[0, 0, 0, TIMESCALE, 0, 0x55c4_0000])));
            b.extend(boxed(b"hdlr", |b| {
                u32s(b, &[0, 0]);
                b.extend(b"vide");
                u32s(b, &[0; 3]);
                b.push(0);
            }));
            b.extend(boxed(b"minf", |b| {
                b.extend(boxed(b"vmhd", |b| u32s(b, &[1, 0, 0])));
                b.extend(boxed(b"dinf", |b| {
                    b.extend(boxed(b"dref", |b| {
                        u32s(b, &[0, 1]);
                        // What is told of is in this file.
                        b.extend(boxed(b"url ", |b| u32s(b, &[1])));
                    }));
                }));
                b.extend(boxed(b"stbl", |b| {
                    b.extend(boxed(b"stsd", |b| {
                        u32s(b, &[0, 1]);
                        b.extend(avc1(width, height, parameters));
                    }));
                    // Nothing of this kind is here: it is in the fragments.
                    b.extend(boxed(b"stts", |b| u32s(b, &[0, 0])));
                    b.extend(boxed(b"stsc", |b| u32s(b, &[0, 0])));
                    b.extend(boxed(b"stsz", |b| u32s(b, &[0, 0, 0])));
                    b.extend(boxed(b"stco", |b| u32s(b, &[0, 0])));
                }));
            }));
        }));
    })
}

/// H.264 in MP4 (ISO/IEC 14496-15, 5.3 and 5.4).
fn avc1(width: u16, height: u16, parameters: &Parameters<'_>) -> Vec<u8> {
    let Parameters { sequence, picture } = parameters;
    boxed(b"avc1", |b| {
        // Nothing, and which of the places of data: the first.
        u16s(b, &[0, 0, 0, 1]);
        u32s(b, &[0; 4]);
        u16s(b, &[width, height]);
        // 72 dots an inch, both ways; one picture a sample; no name; depth 24.
        u32s(b, &[0x0048_0000, 0x0048_0000, 0]);
        u16s(b, &[1]);
        b.extend([0; 32]);
        u16s(b, &[24, 0xffff]);
        b.extend(boxed(b"avcC", |b| {
            b.push(1);
            // Profile, what is compatible with it, level.
            b.extend(sequence.get(1..4).unwrap_or(&[66, 0xc0, 40]));
            // Lengths have four bytes; one set of each kind.
            b.extend([0xff, 0xe1]);
            u16s(b, &[sequence.len() as u16]);
            b.extend(*sequence);
            b.push(1);
            u16s(b, &[picture.len() as u16]);
            b.extend(*picture);
        }));
    })
}

/// The head of a fragment, and where in it the duration of its picture stands.
fn fragment(number: u32, at: u64, sync: bool, length: u32) -> (Vec<u8>, usize) {
    let build = |offset: u32| {
        boxed(b"moof", |b| {
            b.extend(boxed(b"mfhd", |b| u32s(b, &[0, number])));
            b.extend(boxed(b"traf", |b| {
                // Places are counted from the fragment; track 1.
                b.extend(boxed(b"tfhd", |b| u32s(b, &[0x02_0000, 1])));
                b.extend(boxed(b"tfdt", |b| {
                    u32s(b, &[1 << 24]);
                    b.extend(at.to_be_bytes());
                }));
                // One sample: its place, its flags, its duration of a second until it is known, its length.
                let flags = if sync { SYNC } else { NOT_SYNC };
                b.extend(boxed(b"trun", |b| u32s(b, &[0x305, 1, offset, flags, TIMESCALE, length])));
            }));
        })
    };
    let head = build(0).len();
    (build(head as u32 + 8), head - 8)
}

//! The guest's init, built by `build.rs` from `vmtools/guest` and carried inside the program.

/// A static x86_64 ELF program: `/init` of every image that we make.
pub const INIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/cartridge-init"));

#[cfg(test)]
mod tests {
    use super::INIT;

    #[test]
    fn the_init_does_not_say_who_built_it_and_where() {
        let has = |word: &str| INIT.windows(word.len()).any(|it| it == word.as_bytes());
        assert!(has("guest/src/boot/"), "the places of panics are in it");
        for word in [env!("CARGO_MANIFEST_DIR"), ".cargo/", "/home/", "/root/."] {
            assert!(!has(word), "{word}");
        }
    }

    /// Program header type of an interpreter, which a static program has none of (elf(5)).
    const PT_INTERP: u32 = 3;

    #[test]
    fn the_init_is_a_static_program() {
        assert_eq!(&INIT[..4], b"\x7fELF");
        let word =
            |at: usize, n: usize| INIT[at..at + n].iter().rev().fold(0_u64, |sum, b| sum << 8 | u64::from(*b)) as usize;
        let (start, size, count) = (word(32, 8), word(54, 2), word(56, 2));
        assert!(count > 0);
        assert!((0..count).all(|i| word(start + i * size, 4) != PT_INTERP as usize), "it wants a dynamic linker");
    }
}

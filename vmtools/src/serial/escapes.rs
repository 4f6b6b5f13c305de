//! Terminal escape sequences in a guest's serial output (ECMA-48), passed over byte by byte: a boot loader or a console
//! may write them into the very line that is looked for.

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Inside {
    #[default]
    None,
    /// After ESC.
    Start,
    /// Inside a control sequence, which a byte from `@` to `~` ends (ECMA-48, 5.4).
    Control,
    /// Inside an operating system command, which BEL or ESC ends.
    Command,
}

/// Tells text from escape sequences, in constant memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct EscapeFilter(Inside);

impl EscapeFilter {
    /// Follows escape sequences; says whether `byte` belongs to the text.
    pub fn is_text(&mut self, byte: u8) -> bool {
        let (next, text) = match (self.0, byte) {
            (_, 0x1b) => (Inside::Start, false),
            (Inside::None, _) => (Inside::None, true),
            (Inside::Start, b'[') => (Inside::Control, false),
            (Inside::Start, b']') => (Inside::Command, false),
            // Two-byte sequences may have intermediates, as in ESC ( B.
            (Inside::Start, 0x20..=0x2f) => (Inside::Start, false),
            (Inside::Start, _) | (Inside::Control, 0x40..=0x7e) | (Inside::Command, 0x07) => (Inside::None, false),
            (inside, _) => (inside, false),
        };
        self.0 = next;
        text
    }

    /// A line has ended: no sequence goes on in the next one.
    pub fn line_ended(&mut self) {
        self.0 = Inside::None;
    }
}

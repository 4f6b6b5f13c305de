//! Colours of terminals: SGR sequences in log lines, and the sixteen names that guests use, for both themes.

use egui::text::{LayoutJob, TextFormat};
use egui::{Color32, FontId, Stroke};

use super::ansi_colours::{indexed, readable};
use super::theme::{self, Palette};

/// The look that SGR sequences have built up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    fg: Option<Colour>,
    bg: Option<Colour>,
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    inverse: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colour {
    Index(u8),
    Rgb(u8, u8, u8),
}

impl Colour {
    fn colour(self, dark: bool) -> Color32 {
        match self {
            Self::Index(index) => indexed(index, dark),
            Self::Rgb(r, g, b) => readable(Color32::from_rgb(r, g, b), dark),
        }
    }
}

/// A line without its control sequences, and the looks of its parts: each up to a byte of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// What is shown.
    pub text: String,
    /// Where each look ends.
    pub looks: Vec<(usize, Look)>,
}

/// Parses a log line. Only colours count; cursor movements, titles and the like are dropped.
#[must_use]
pub fn parse(bytes: &[u8]) -> Line {
    let mut line = Line::default();
    if !bytes.iter().any(|b| *b < 0x20 || *b >= 0x7f) {
        line.text = String::from_utf8_lossy(bytes).into_owned();
    } else {
        let mut performer = Performer { line: &mut line, look: Look::default() };
        let mut parser = vte::Parser::new();
        parser.advance(&mut performer, bytes);
        let look = performer.look;
        performer.close(look);
    }
    if line.looks.is_empty() {
        line.looks.push((line.text.len(), Look::default()));
    }
    line
}

impl Line {
    /// For egui; `plain` is the colour of text that has none of its own. Parts between the byte positions in `marks`
    /// get the background `mark`.
    #[must_use]
    pub fn job(&self, size: f32, plain: Color32, dark: bool, marks: &[(usize, usize)], mark: Color32) -> LayoutJob {
        let mut job = LayoutJob::default();
        job.wrap.max_width = f32::INFINITY;
        let mut start = 0;
        for (end, look) in &self.looks {
            let mut at = start;
            for (from, to) in marks.iter().filter(|(from, to)| *from < *end && *to > start) {
                let (from, to) = ((*from).max(at), (*to).min(*end));
                append(&mut job, &self.text, at, from, look.format(size, plain, dark));
                let format = TextFormat { background: mark, ..look.format(size, plain, dark) };
                append(&mut job, &self.text, from, to, format);
                at = to;
            }
            append(&mut job, &self.text, at, *end, look.format(size, plain, dark));
            start = *end;
        }
        job
    }
}

fn append(job: &mut LayoutJob, text: &str, from: usize, to: usize, format: TextFormat) {
    if let Some(part) = text.get(from..to).filter(|part| !part.is_empty()) {
        job.append(part, 0.0, format);
    }
}

impl Look {
    /// The look of a cell of a terminal.
    #[must_use]
    pub fn of(cell: &vt100::Cell) -> Self {
        let colour = |colour| match colour {
            vt100::Color::Default => None,
            vt100::Color::Idx(index) => Some(Colour::Index(index)),
            vt100::Color::Rgb(r, g, b) => Some(Colour::Rgb(r, g, b)),
        };
        Self {
            fg: colour(cell.fgcolor()),
            bg: colour(cell.bgcolor()),
            bold: cell.bold(),
            dim: cell.dim(),
            italic: cell.italic(),
            underline: cell.underline(),
            inverse: cell.inverse(),
        }
    }

    /// For egui.
    #[must_use]
    pub fn format(&self, size: f32, plain: Color32, dark: bool) -> TextFormat {
        let palette = Palette::when(dark);
        let mut fg = self.fg.map_or(plain, |colour| colour.colour(dark));
        let mut bg = self.bg.map_or(Color32::TRANSPARENT, |colour| match colour {
            Colour::Rgb(r, g, b) => Color32::from_rgb(r, g, b),
            Colour::Index(index) => indexed(index, dark),
        });
        if self.inverse {
            (fg, bg) = (if bg == Color32::TRANSPARENT { palette.sunken } else { bg }, fg);
        } else if self.bg.is_some() && theme::contrast(fg, bg) < 3.0 {
            fg = if theme::contrast(Color32::WHITE, bg) > theme::contrast(Color32::BLACK, bg) {
                Color32::WHITE
            } else {
                Color32::BLACK
            };
        }
        if self.dim {
            fg = fg.lerp_to_gamma(palette.dim, 0.6);
        }
        let family = if self.bold { theme::mono_bold() } else { egui::FontFamily::Monospace };
        TextFormat {
            font_id: FontId::new(size, family),
            color: fg,
            background: bg,
            italics: self.italic,
            underline: if self.underline { Stroke::new(1.0, fg) } else { Stroke::NONE },
            ..TextFormat::default()
        }
    }
}

struct Performer<'a> {
    line: &'a mut Line,
    look: Look,
}

impl Performer<'_> {
    fn close(&mut self, look: Look) {
        let end = self.line.text.len();
        if self.line.looks.last().map_or(0, |(end, _)| *end) < end {
            self.line.looks.push((end, look));
        }
    }
}

impl vte::Perform for Performer<'_> {
    fn print(&mut self, c: char) {
        self.line.text.push(c);
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\t' => {
                let columns = self.line.text.chars().count();
                self.line.text.extend(std::iter::repeat_n(' ', 8 - columns % 8));
            }
            // A progress line that is drawn again and again: what was drawn last is what a terminal shows.
            b'\r' => {
                self.line.text.clear();
                self.line.looks.clear();
            }
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &vte::Params, _: &[u8], ignore: bool, action: char) {
        if action != 'm' || ignore {
            return;
        }
        let look = self.look;
        self.close(look);
        sgr(&mut self.look, params);
    }
}

/// ECMA-48, 8.3.117, with the extended colours of ITU-T T.416 as xterm reads them.
fn sgr(look: &mut Look, params: &vte::Params) {
    let mut params = params.iter();
    while let Some(param) = params.next() {
        let first = param.first().copied().unwrap_or(0);
        match first {
            0 => *look = Look::default(),
            1 => look.bold = true,
            2 => look.dim = true,
            3 => look.italic = true,
            4 => look.underline = param.get(1) != Some(&0),
            7 => look.inverse = true,
            22 => (look.bold, look.dim) = (false, false),
            23 => look.italic = false,
            24 => look.underline = false,
            27 => look.inverse = false,
            30..=37 => look.fg = index(first - 30),
            39 => look.fg = None,
            40..=47 => look.bg = index(first - 40),
            49 => look.bg = None,
            90..=97 => look.fg = index(first - 90 + 8),
            100..=107 => look.bg = index(first - 100 + 8),
            38 | 48 => {
                let rest: Vec<u16> = if param.len() > 1 {
                    param[1..].to_vec()
                } else {
                    let mut next = || params.next().and_then(|p| p.first().copied());
                    match next() {
                        Some(5) => [Some(5), next()].into_iter().flatten().collect(),
                        Some(2) => [Some(2), next(), next(), next()].into_iter().flatten().collect(),
                        _ => Vec::new(),
                    }
                };
                let colour = match rest.as_slice() {
                    [5, n] => index(*n),
                    [2, r, g, b] | [2, _, r, g, b] => match (u8::try_from(*r), u8::try_from(*g), u8::try_from(*b)) {
                        (Ok(r), Ok(g), Ok(b)) => Some(Colour::Rgb(r, g, b)),
                        _ => None,
                    },
                    _ => None,
                };
                if colour.is_some() {
                    *(if first == 38 { &mut look.fg } else { &mut look.bg }) = colour;
                }
            }
            _ => {}
        }
    }
}

fn index(n: u16) -> Option<Colour> {
    u8::try_from(n).ok().map(Colour::Index)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn colours_are_kept_and_the_rest_is_dropped() {
        let line = parse(b"\x1b[1;31merror\x1b[0m: \x1b]0;title\x07a\tb\x1b[2K \xff");
        assert_eq!(line.text, "error: a        b \u{fffd}");
        assert_eq!(line.looks[0], (5, Look { fg: Some(Colour::Index(1)), bold: true, ..Look::default() }));
        assert_eq!(line.looks[1], (line.text.len(), Look::default()));
    }

    #[test]
    fn extended_colours_in_both_spellings() {
        for bytes in [&b"\x1b[38;5;200mx"[..], b"\x1b[38:5:200mx"] {
            assert_eq!(parse(bytes).looks[0].1.fg, Some(Colour::Index(200)));
        }
        for bytes in [&b"\x1b[48;2;1;2;3mx"[..], b"\x1b[48:2::1:2:3mx"] {
            assert_eq!(parse(bytes).looks[0].1.bg, Some(Colour::Rgb(1, 2, 3)));
        }
    }

    #[test]
    fn marks_cut_the_text_where_they_say() {
        let line = parse(b"one \x1b[32mtwo\x1b[0m three");
        let job = line.job(13.0, Color32::WHITE, true, &[(2, 6)], Color32::RED);
        assert_eq!(job.text, line.text);
        let marked: String = job
            .sections
            .iter()
            .filter(|s| s.format.background == Color32::RED)
            .map(|s| &job.text[s.byte_range.start.0..s.byte_range.end.0])
            .collect();
        assert_eq!(marked, "e tw");
    }

    proptest! {
        #[test]
        fn nothing_in_a_log_takes_us_down(
            bytes in proptest::collection::vec(prop_oneof![Just(0x1b), Just(b'['), Just(b';'), Just(b'm'), any::<u8>()], 0..200),
            from in 0_usize..40, to in 0_usize..40,
        ) {
            let line = parse(&bytes);
            prop_assert_eq!(line.looks.last().map(|(end, _)| *end), Some(line.text.len()));
            let _ = line.job(13.0, Color32::WHITE, true, &[(from.min(to), from.max(to))], Color32::RED);
        }
    }
}

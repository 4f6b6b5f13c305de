//! Layouts that this host knows: text as strokes by the tables of xkeyboard-config, for every layout that it has.

use std::collections::BTreeMap;
use std::sync::Arc;

use kbvm::lookup::LookupTable;
use kbvm::xkb::diagnostic::{Diagnostic, Severity};
use kbvm::xkb::rmlvo::Group;
use kbvm::xkb::{Context, ContextBuilder};
use kbvm::{GroupIndex, Keycode, Keysym, ModifierMask};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use super::keymap::Stroke;
use super::layout::{Layout, SPACE, control, each};

/// Of a layout's keys these give text: Linux's numbers, which are the scan codes here. Then those of Brazil and Japan.
const KEYS: [(u32, u32, u16); 4] = [(2, 0x35, 0), (0x56, 0x56, 0), (89, 89, 0x73), (124, 124, 0x7d)];

/// Fewer characters than these are of no layout: the table is not there, and the keys beside it alone remain.
const FEWEST: usize = 20;

/// The accents of keys that wait for the next one: what Unicode has for them (combining), and X's number of the key
/// (keysymdef.h, `XK_dead_…`).
const DEAD: [(char, u32); 14] = [
    ('\u{300}', 0xfe50),
    ('\u{301}', 0xfe51),
    ('\u{302}', 0xfe52),
    ('\u{303}', 0xfe53),
    ('\u{304}', 0xfe54),
    ('\u{306}', 0xfe55),
    ('\u{307}', 0xfe56),
    ('\u{308}', 0xfe57),
    ('\u{30a}', 0xfe58),
    ('\u{30b}', 0xfe59),
    ('\u{30c}', 0xfe5a),
    ('\u{327}', 0xfe5b),
    ('\u{328}', 0xfe5c),
    ('\u{323}', 0xfe60),
];

/// An accent by itself: it, and the key that gives it with a space.
const ALONE: [(char, u32); 3] = [('`', 0xfe50), ('^', 0xfe52), ('~', 0xfe53)];

/// A layout that this host has tables of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostLayoutName {
    /// As in setxkbmap and localectl: "se", "cz(qwerty)".
    pub name: String,
    /// For people: "Swedish", "Czech (QWERTY)".
    pub label: String,
}

/// What its keys give.
#[derive(Clone, Debug)]
pub struct HostLayout {
    name: HostLayoutName,
    keys: Arc<Keys>,
}

#[derive(Debug, Default)]
struct Keys {
    typed: BTreeMap<char, Stroke>,
    dead: BTreeMap<u32, Stroke>,
}

/// A layout cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// There is none of that name, or no table of it.
    #[error(
        "this host has no keyboard layout {name:?}{}. Layouts are in /usr/share/X11/xkb (package xkeyboard-config or xkb-data); \
         `localectl list-x11-keymap-layouts` lists them",
        why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default()
    )]
    Unknown {
        /// As it was asked for.
        name: String,
        /// What was found wrong.
        why: Option<String>,
    },
}

/// The layout that a guest has: one that is built in, or one of this host's.
#[derive(Clone, Debug)]
pub enum GuestLayout {
    /// Known without any file.
    BuiltIn(Layout),
    /// By this host's tables.
    Host(HostLayout),
}

impl From<Layout> for GuestLayout {
    fn from(layout: Layout) -> Self {
        Self::BuiltIn(layout)
    }
}

impl GuestLayout {
    /// Its name for people.
    #[must_use]
    pub fn label(&self) -> &str {
        match self {
            Self::BuiltIn(layout) => layout.label(),
            Self::Host(layout) => &layout.name.label,
        }
    }

    /// The strokes that type `text` on it, and the characters that it cannot type, each once.
    #[must_use]
    pub fn strokes(&self, text: &str) -> (Vec<Stroke>, Vec<char>) {
        match self {
            Self::BuiltIn(layout) => layout.strokes(text),
            Self::Host(layout) => layout.strokes(text),
        }
    }
}

/// All that this host has tables of, in the order of their labels. Reads files.
#[must_use]
pub fn host_layouts() -> Vec<HostLayoutName> {
    let mut said = Vec::<Diagnostic>::new();
    let mut all = BTreeMap::new();
    for layout in context().registry(&mut said, "evdev").layouts {
        let label = layout.description.unwrap_or_else(|| layout.name.clone());
        for variant in layout.variants {
            let label = variant.description.unwrap_or_else(|| format!("{label} ({})", variant.name));
            all.insert(format!("{}({})", layout.name, variant.name), label);
        }
        all.insert(layout.name, label);
    }
    // One that is whatever somebody wrote, and those whose keys are the dots of Braille, which only together are a character.
    all.retain(|name, _| name != "custom" && split(name).is_some_and(|(layout, _)| layout != "brai"));
    let mut all: Vec<_> = all.into_iter().map(|(name, label)| HostLayoutName { name, label }).collect();
    all.sort_by(|a, b| a.label.cmp(&b.label));
    all
}

fn context() -> Context {
    let mut builder: ContextBuilder = Context::builder();
    // What this desktop makes of its own keyboard says nothing about a guest's.
    builder.enable_environment(false);
    // Where xkeyboard-config has them since its version 2.45, if the link of before is not there.
    builder.append_path("/usr/share/xkeyboard-config-2");
    builder.build()
}

impl HostLayout {
    /// The layout of that name, as [`host_layouts`] has it. Reads files.
    ///
    /// # Errors
    /// [`LayoutError`] when this host has no table of it.
    pub fn load(name: &HostLayoutName) -> Result<Self, LayoutError> {
        let unknown = |why: Option<String>| LayoutError::Unknown { name: name.name.clone(), why };
        let (layout, variant) = split(&name.name).ok_or_else(|| unknown(None))?;
        let mut said = Vec::<Diagnostic>::new();
        let groups = [Group { layout, variant }];
        let keymap = context().keymap_from_names(&mut said, Some("evdev"), Some("pc105"), Some(&groups), None);
        let keys = keys(&keymap.to_builder().build_lookup_table());
        if keys.typed.len() < FEWEST {
            let why = said.iter().find(|it| it.kind().severity() == Severity::Error).map(ToString::to_string);
            return Err(unknown(why));
        }
        Ok(Self { name: name.clone(), keys: Arc::new(keys) })
    }

    /// Which it is.
    #[must_use]
    pub fn name(&self) -> &HostLayoutName {
        &self.name
    }

    /// The strokes that type `text` on this layout, and the characters that it cannot type, each once.
    #[must_use]
    pub fn strokes(&self, text: &str) -> (Vec<Stroke>, Vec<char>) {
        each(text, |c| self.character(c))
    }

    fn character(&self, c: char) -> Option<Vec<Stroke>> {
        if let Some(stroke) = control(c).or_else(|| self.keys.typed.get(&c).copied()) {
            return Some(vec![stroke]);
        }
        let dead = |key: u32| self.keys.dead.get(&key).copied();
        if let Some((_, key)) = ALONE.iter().find(|(it, _)| *it == c) {
            return Some(vec![dead(*key)?, SPACE]);
        }
        let mut parts = std::iter::once(c).nfd();
        let (letter, accent) = (parts.next()?, parts.next()?);
        let (_, key) = DEAD.iter().find(|(it, _)| *it == accent).filter(|_| parts.next().is_none())?;
        Some(vec![dead(*key)?, self.keys.typed.get(&letter).copied()?])
    }
}

/// "cz(qwerty)" as layout and variant; `None` of what is no such name.
fn split(name: &str) -> Option<(&str, &str)> {
    let word = |it: &str| !it.is_empty() && it.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    let (layout, variant) = match name.split_once('(') {
        Some((layout, rest)) => (layout, rest.strip_suffix(')')?),
        None => (name, ""),
    };
    (word(layout) && (variant.is_empty() || word(variant))).then_some((layout, variant))
}

fn keys(table: &LookupTable) -> Keys {
    let mut keys = Keys::default();
    // The level with the fewest fingers first. AltGr is the third level's key, Mod5 in xkeyboard-config.
    for (shift, alt_gr) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut mods = ModifierMask::NONE;
        if shift {
            mods |= ModifierMask::SHIFT;
        }
        if alt_gr {
            mods |= ModifierMask::MOD5;
        }
        for (first, last, at) in KEYS {
            for key in first..=last {
                let scancode = if at == 0 { key as u16 } else { at };
                let mut given = table.lookup(GroupIndex(0), mods, Keycode::from_evdev(key)).into_iter();
                let (Some(one), None) = (given.next(), given.next()) else { continue };
                let stroke = Stroke { scancode, shift, alt_gr };
                let sym: Keysym = one.keysym();
                if DEAD.iter().any(|(_, it)| *it == sym.0) {
                    keys.dead.entry(sym.0).or_insert(stroke);
                } else if let Some(c) = one.char().filter(|c| !c.is_control()) {
                    keys.typed.entry(c).or_insert(stroke);
                }
            }
        }
    }
    keys
}

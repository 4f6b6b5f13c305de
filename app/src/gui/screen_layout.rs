//! Which keyboard layout the guest has, for text that is typed into it: a few that are built in, and all of this host's. Those are
//! read on a thread of their own.

use std::sync::mpsc::{Receiver, TryRecvError, channel};

use egui::{Key, RichText, ScrollArea, TextEdit, Ui};
use vmtools::display::{GuestLayout, HostLayout, HostLayoutName, Layout, host_layouts};

use super::theme::Palette;
use super::wish::{Wish, Wishes};

/// How many rows of the list are seen at once, and the height of one, points.
const ROWS: (f32, f32) = (5.0, 22.0);

/// What comes of reading.
type Coming<T> = Option<Receiver<T>>;

/// What is known of this host's layouts, and which of them is chosen.
#[derive(Debug, Default)]
pub struct Layouts {
    chosen: Option<HostLayoutName>,
    read: Option<Result<HostLayout, String>>,
    reading: Coming<Result<HostLayout, String>>,
    known: Option<Vec<HostLayoutName>>,
    listing: Coming<Vec<HostLayoutName>>,
    /// The list is open, and this is looked for in it.
    open: bool,
    opened: bool,
    filter: String,
}

/// Does `work` on a thread; the window is painted again when it is done.
fn aside<T: Send + 'static>(ui: &Ui, work: impl FnOnce() -> T + Send + 'static) -> Coming<T> {
    let (sender, receiver) = channel();
    let ctx = ui.ctx().clone();
    let viewport = ctx.viewport_id();
    let started = std::thread::Builder::new().name("layouts".to_owned()).spawn(move || {
        // The window may have closed meanwhile.
        let _ = sender.send(work());
        ctx.request_repaint_of(viewport);
    });
    started.ok().map(|_| receiver)
}

/// What has come, if it has; a thread that ended without is asked no more.
fn take<T>(coming: &mut Coming<T>) -> Option<T> {
    match coming.as_ref()?.try_recv() {
        Ok(it) => {
            *coming = None;
            Some(it)
        }
        Err(TryRecvError::Empty) => None,
        Err(TryRecvError::Disconnected) => {
            *coming = None;
            None
        }
    }
}

impl Layouts {
    /// The one of this host that was chosen, or none of them.
    pub fn choose(&mut self, chosen: Option<HostLayoutName>) {
        *self = Self { chosen, known: self.known.take(), listing: self.listing.take(), ..Self::default() };
    }

    /// The layout to type on, `built_in` where none of this host's is chosen; or why it is not there (yet).
    fn current(&self, built_in: Layout) -> Result<GuestLayout, &str> {
        match (&self.chosen, &self.read) {
            (None, _) => Ok(built_in.into()),
            (Some(_), Some(Ok(layout))) => Ok(GuestLayout::Host(layout.clone())),
            (Some(_), Some(Err(why))) => Err(why),
            (Some(_), None) => Err("Reading the layout…"),
        }
    }

    /// Takes what has come, and asks for what is wanted.
    fn follow(&mut self, ui: &Ui) {
        if let Some(known) = take(&mut self.listing) {
            self.known = Some(known);
        }
        if let Some(read) = take(&mut self.reading) {
            self.read = Some(read);
        }
        if self.open && self.known.is_none() && self.listing.is_none() {
            self.listing = aside(ui, host_layouts);
        }
        if let Some(name) = self.chosen.clone()
            && self.read.is_none()
            && self.reading.is_none()
        {
            self.reading = aside(ui, move || HostLayout::load(&name).map_err(|error| error.to_string()));
        }
    }

    /// Lets one be chosen: returns the one to type on, or why it cannot be typed on.
    pub fn show(&mut self, ui: &mut Ui, built_in: Layout, wishes: &mut Wishes) -> Result<GuestLayout, String> {
        self.follow(ui);
        let palette = Palette::of(ui);
        ui.label(RichText::new("The guest's keyboard layout").small().color(palette.dim));
        for pair in Layout::ALL.chunks(3) {
            ui.columns(pair.len(), |columns| {
                for (ui, way) in columns.iter_mut().zip(pair) {
                    if radio(ui, self.chosen.is_none() && *way == built_in, way.label()) {
                        self.choose(None);
                        wishes.add(Wish::Layout(*way));
                    }
                }
            });
        }
        let label = self.chosen.as_ref().map_or("Another one…", |name| &name.label).to_owned();
        if radio(ui, self.chosen.is_some(), &label) {
            self.open ^= true;
            self.opened = self.open;
        }
        if self.open {
            ui.scope(|ui| self.list(ui, wishes));
            ui.add_space(4.0);
        }
        self.current(built_in).map_err(str::to_owned)
    }

    fn list(&mut self, ui: &mut Ui, wishes: &mut Wishes) {
        let palette = Palette::of(ui);
        let note = |ui: &mut Ui, words: &str| {
            ui.add(egui::Label::new(RichText::new(words).small().color(palette.dim)).wrap());
        };
        let Some(known) = &self.known else { return note(ui, "Looking for this host's layouts…") };
        if known.is_empty() {
            return note(ui, "This host has no tables of layouts in /usr/share/X11/xkb (package xkeyboard-config).");
        }
        let hint = "Language, country or name, as in se";
        let edit = TextEdit::singleline(&mut self.filter).desired_width(f32::INFINITY).hint_text(hint);
        let edit = ui.add(edit).accessible_name("Find a layout");
        if std::mem::take(&mut self.opened) {
            edit.request_focus();
        }
        let found = matching(known, &self.filter);
        let mut picked = None;
        if edit.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter)) {
            picked = found.first().copied();
        }
        if found.is_empty() {
            note(ui, "This host knows none of that name.");
        }
        ui.spacing_mut().item_spacing.y = 0.0;
        ui.spacing_mut().interact_size.y = ROWS.1;
        ui.spacing_mut().button_padding.y = 0.0;
        ScrollArea::vertical().max_height(ROWS.0 * ROWS.1).auto_shrink([false, true]).show_rows(
            ui,
            ROWS.1,
            found.len(),
            |ui, rows| {
                for layout in found.get(rows).unwrap_or_default() {
                    let on = self.chosen.as_ref() == Some(*layout);
                    let words = format!("{}  ({})", layout.label, layout.name);
                    let item = ui.selectable_label(on, RichText::new(&words).size(12.5));
                    let name = format!("Layout: {words}");
                    item.widget_info(|| egui::WidgetInfo::selected(egui::Role::ListBoxOption, true, on, &name));
                    if item.clicked() {
                        picked = Some(*layout);
                    }
                }
            },
        );
        if let Some(layout) = picked.cloned() {
            self.choose(Some(layout.clone()));
            wishes.add(Wish::HostLayout(layout));
        }
    }
}

fn radio(ui: &mut Ui, on: bool, label: &str) -> bool {
    let item = ui.radio(on, RichText::new(label).size(12.5));
    let name = format!("Layout: {label}");
    item.widget_info(|| egui::WidgetInfo::selected(egui::Role::RadioButton, true, on, &name));
    item.clicked()
}

/// Those whose label or name has all words of `filter`; the ones whose name it is come first.
fn matching<'a>(known: &'a [HostLayoutName], filter: &str) -> Vec<&'a HostLayoutName> {
    let words: Vec<String> = filter.split_whitespace().map(str::to_lowercase).collect();
    let has = |it: &&HostLayoutName| {
        let text = format!("{} {}", it.label, it.name).to_lowercase();
        words.iter().all(|word| text.contains(word.as_str()))
    };
    let mut found: Vec<_> = known.iter().filter(has).collect();
    found.sort_by_key(|it| it.name != filter.trim());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_found_by_words_and_by_name_first() {
        let name = |name: &str, label: &str| HostLayoutName { name: name.into(), label: label.into() };
        let known = [name("de(neo)", "German (Neo 2)"), name("se", "Swedish"), name("de", "German")];
        let found = |filter| matching(&known, filter).iter().map(|it| it.name.clone()).collect::<Vec<_>>();
        assert_eq!(found("german"), ["de(neo)", "de"]);
        assert_eq!(found("de"), ["de", "de(neo)"]);
        assert_eq!(found("NEO german"), ["de(neo)"]);
        assert_eq!(found(""), ["de(neo)", "se", "de"]);
        assert!(found("klingon").is_empty());
    }
}

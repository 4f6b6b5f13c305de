//! The centre: the guest's screen, and what is said instead of a picture when there is none.

mod touch;

use std::sync::Arc;
use std::time::Duration;

use egui::{Rect, Sense, Ui, Vec2, pos2};
use vmtools::display::{HostLayoutName, Layout, Screen};
use vmtools::has_clipboard;

use super::bell::Bell;
use super::guest_sound::Heard;
use super::keyboard::KeyTap;
use super::keyboard_chord::Chord;
use super::keyboard_learn::{self, Learner};
use super::overlays;
use super::pointer::Pointer;
use super::pointer_lock::PointerLock;
use super::release_key::ReleaseKey;
use super::scaling::{self, Placement, Scaling};
use super::screen_clipboard::{GuestClipboard, Sharing};
use super::screen_follow::{Follow, Step};
use super::screen_full::FullScreen;
use super::screen_pan;
use super::screen_picture::{Picture, Uploads};
use super::screen_select::{self, Chosen, Selection};
use super::screen_toolbar::{self, Bar, ToolbarState};
use super::theme::Palette;
use super::wish::Wishes;
use crate::session::state::{Goal, Outcome, Phase};
use crate::session::{Command, Model};

/// What the panel remembers between frames.
#[derive(Debug)]
pub struct ScreenPanel {
    picture: Picture,
    pointer: Pointer,
    lock: PointerLock,
    chord: Chord,
    /// The keys that are pressed shall give the keyboard back.
    learner: Option<Learner>,
    keys: Arc<KeyTap>,
    toolbar: ToolbarState,
    /// The guest that the picture is of: its process id, 0 for a server that is attached, and when it was started.
    guest: Option<(u32, u64)>,
    full: FullScreen,
    follow: Follow,
    /// The size was chosen with this guest on the screen: one of somebody else's is asked only then.
    asks: bool,
    /// How many connections had ended in the last frame.
    losses: u64,
    clipboard: GuestClipboard,
    bell: Bell,
    /// The part of the screen to read text from is being chosen.
    selection: Option<Selection>,
    /// How far a picture that is larger than the panel is scrolled, points.
    pan: Vec2,
    /// What was said last of the picture's size, and until when it is shown, in egui's seconds.
    said: Option<(String, f64)>,
    /// The way of scaling in the last frame.
    scaling: Option<Scaling>,
    /// Text is being read off it: until when that is believed, in egui's seconds.
    reading: Option<f64>,
    /// The picture still has egui's focus, from a window that was not being painted.
    unfocus: bool,
}

/// Height of the toolbar, points.
pub(super) const TOOLBAR: f32 = 40.0;
/// No reading takes longer, seconds.
const READING: f64 = 300.0;
/// A picture of the size before is shown as one of now for so long.
const BEHIND: Duration = Duration::from_millis(400);
/// How long words about the size of the picture are shown, seconds.
const SAID: f64 = 6.0;

impl ScreenPanel {
    /// A panel that takes its keys from `keys`, and uploads the guest's pictures that way.
    #[must_use]
    pub fn new(keys: Arc<KeyTap>, uploads: Arc<Uploads>) -> Self {
        Self {
            picture: Picture::new(uploads),
            pointer: Pointer::default(),
            lock: PointerLock::default(),
            chord: Chord::default(),
            learner: None,
            keys,
            toolbar: ToolbarState::default(),
            guest: None,
            full: FullScreen::default(),
            follow: Follow::default(),
            asks: false,
            losses: 0,
            reading: None,
            clipboard: GuestClipboard::default(),
            bell: Bell::default(),
            selection: None,
            pan: Vec2::ZERO,
            said: None,
            scaling: None,
            unfocus: false,
        }
    }

    /// Lets the user choose a part of the screen to copy text from, if the guest is seen.
    pub fn read_text(&mut self) {
        self.toolbar.read_text = true;
    }

    /// The text that was asked for was read, or will not be.
    pub fn text_is_read(&mut self) {
        self.reading = None;
    }

    /// Text is typed on that layout of this host's, or on one that is built in.
    pub fn choose_layout(&mut self, layout: Option<HostLayoutName>) {
        self.toolbar.layouts.choose(layout);
    }

    /// Says why nothing is heard of the guest although it should be.
    pub fn say_silent(&mut self, why: Option<&str>) {
        if self.toolbar.silent.as_deref() != why {
            self.toolbar.silent = why.map(str::to_owned);
        }
    }

    /// Draws the panel.
    pub fn show(
        &mut self,
        ui: &mut Ui,
        model: &Model,
        screen: &Screen,
        now_ms: u64,
        window: Around,
        wishes: &mut Wishes,
    ) {
        let palette = Palette::of(ui);
        self.follow(ui.ctx(), model, screen);
        let whole = ui.max_rect();
        ui.painter().rect_filled(whole, 0.0, palette.sunken);
        let live = model.takes_keys() && screen.live();
        let behind = live && is_behind(ui, screen);
        let bar = Bar {
            runs: model.takes_keys(),
            attached: model.attached().is_some(),
            live,
            sharing: self.sharing(model, screen, window),
            heard: window.heard,
            recorded: model.recording.as_ref().map(|(since, _)| now_ms.saturating_sub(*since)),
            captured: self.keys.captured(),
            caps: screen.locks().is_some_and(|locks| locks.caps),
            pointer: self.lock,
            grabs: self.keys.can_grab(),
            learns: self.learner.is_some(),
            typing: model.typing,
            typing_left_ms: model.typing_left_ms,
            window,
        };
        let mut area = whole;
        if !window.full_screen {
            area.min.y += TOOLBAR;
            screen_toolbar::show(&mut strip(ui), &mut self.toolbar, bar, wishes);
        }
        self.clipboards(ui, screen, window, wishes);
        let room = area.shrink(if window.full_screen { 0.0 } else { 8.0 });
        let placed = self.placed(ui, model, room, window.scaling);
        if let Some(placed) = &placed {
            // Only what is not the guest's screen of now is dimmed, and then a label says what it is.
            self.picture.paint(ui, room, placed, !live || behind);
        }
        let response = ui.interact(area, ui.scope_id().with("guest"), Sense::click_and_drag());
        response.widget_info(|| {
            let what = if live { "Guest screen" } else { "Guest screen, not live" };
            egui::WidgetInfo::labeled(egui::Role::Canvas, true, what)
        });
        self.chord.release = window.release;
        if std::mem::take(&mut self.toolbar.read_text) {
            self.selection = Some(Selection::default());
        }
        let selects = self.select(ui, &response, placed.as_ref().filter(|_| live), wishes);
        match (live && !window.view_only && !selects && !model.typing, &placed) {
            (true, Some(placed)) => self.touch(ui, &response, room, placed, screen, window, wishes),
            _ => {
                self.toolbar.learn = false;
                self.give_back(ui.ctx(), wishes);
            }
        }
        if let Some(placed) = &placed {
            self.pan = screen_pan::show(ui, room, placed.over, self.pan);
        }
        let mut over = ui.new_child(egui::UiBuilder::new().id_salt("over").max_rect(area));
        over.set_clip_rect(area);
        let trouble = if live { self.picture.trouble() } else { screen.trouble() };
        let over_what = overlays::Over { now_ms, live, picture: placed.is_some(), trouble, goal: window.goal };
        match window.detached && !Self::about_guest(model) {
            true => overlays::no_guest(&mut over),
            false => overlays::show(&mut over, model, over_what, wishes),
        }
        if live && window.view_only && window.full_screen {
            overlays::corner(ui, area, "View only");
        }
        if live && self.bell.rings(ui, screen.bells()) {
            ui.painter().rect_stroke(area, 0.0, egui::Stroke::new(3.0, palette.warning), egui::StrokeKind::Inside);
        }
        match live {
            true => self.size(ui, room, screen, window),
            // Its next picture may be another guest's, or of another server; and what is wrong is said over the screen.
            false => (self.follow, self.said) = (Follow::default(), None),
        }
        if !window.full_screen {
            self.full.leave();
        }
        if selects {
            overlays::chip(ui, area, screen_select::WORDS);
        } else if behind {
            overlays::chip(ui, area, "The guest's screen has another size now; its picture is still coming…");
        } else if self.reading.is_some_and(|until| ui.input(|input| input.time) < until) {
            overlays::chip(ui, area, "Reading the text…");
        } else if self.learner.is_some() {
            overlays::chip(ui, area, keyboard_learn::WORDS);
        } else if !self.say_size(ui, area) && window.full_screen {
            let captured = self.keys.captured().then_some(window.release);
            self.full.hint(ui, area, captured, live && !window.view_only);
        }
        if window.full_screen {
            let toolbar = &mut self.toolbar;
            self.full.bar(ui, area, |ui| screen_toolbar::show(ui, toolbar, bar, wishes));
        }
    }

    fn sharing(&self, model: &Model, screen: &Screen, window: Around) -> Sharing {
        Sharing {
            device: model.attached().is_some()
                || model.guest.as_ref().is_some_and(|guest| has_clipboard(&guest.command)),
            takes: model.takes_keys() && !window.view_only,
            copied: screen.copied().is_some(),
            by_itself: window.copy_by_itself,
        }
    }

    /// Does what was pressed, and what was asked for before.
    fn clipboards(&mut self, ui: &Ui, screen: &Screen, window: Around, wishes: &mut Wishes) {
        let now = ui.input(|input| input.time);
        let pressed = self.toolbar.clipboard.take();
        let said = pressed.and_then(|press| self.clipboard.press(ui, press, screen, wishes));
        let by_itself = window.copy_by_itself && self.keys.captured();
        let followed = self.clipboard.follow(ui, screen, by_itself, wishes);
        if let Some(words) = said.or(followed) {
            self.said = Some((words, now + SAID));
        }
    }

    /// Whether a part of the screen is being chosen; reads the text of what was.
    fn select(&mut self, ui: &Ui, response: &egui::Response, placed: Option<&Placement>, wishes: &mut Wishes) -> bool {
        let (Some(selection), Some(placed)) = (&mut self.selection, placed) else {
            self.selection = None;
            return false;
        };
        let chosen = selection.step(ui, response, placed);
        let area = match chosen {
            None => return true,
            Some(Chosen::Nothing) => {
                self.selection = None;
                return true;
            }
            Some(Chosen::Whole) => None,
            Some(Chosen::Part(area)) => Some(area),
        };
        self.selection = None;
        wishes.send(Command::ReadText(area));
        self.reading = Some(ui.input(|input| input.time) + READING);
        ui.ctx().memory_mut(|memory| memory.surrender_focus(response.id));
        true
    }

    /// Where the picture is, if one is to be seen.
    fn placed(&self, ui: &Ui, model: &Model, room: Rect, scaling: Scaling) -> Option<Placement> {
        let size = self.picture.size().filter(|_| self.shows_picture(model))?;
        Some(scaling::place(room, size, ui.ctx().pixels_per_point(), scaling, self.pan))
    }

    /// Asks the guest for a screen of the panel's size, if it is to follow, and says what the picture's size is.
    fn size(&mut self, ui: &Ui, room: Rect, screen: &Screen, window: Around) {
        let (now, scaling) = (ui.input(|input| input.time), window.scaling);
        self.asks |= std::mem::take(&mut self.toolbar.scaled);
        if self.scaling.replace(scaling).is_some_and(|before| before != scaling) {
            self.said = Some((format!("Screen: {}", scaling.label()), now + SAID / 3.0));
            self.asks = true;
            self.follow = Follow::default();
            self.toolbar.why = None;
        }
        let (Scaling::Follow, Some(guest)) = (scaling, self.picture.size()) else { return };
        let pixels = room.size() * ui.ctx().pixels_per_point();
        let attached = self.guest.is_some_and(|(pid, _)| pid == 0);
        let keeps = match (window.view_only, attached && !self.asks) {
            (true, _) => Some("It is only looked at, and keeps its size."),
            (_, true) => Some("Somebody else's screen keeps its size until you choose this again."),
            _ => None,
        };
        let step = match keeps {
            Some(why) => Step { why: Some(why.to_owned()), ..Step::default() },
            None => self.follow.step([pixels.x, pixels.y], now, guest, screen.size_answer()),
        };
        if let Some((width, height)) = step.wish {
            screen.wish_size(width, height);
        }
        if let Some(after) = step.again {
            ui.ctx().request_repaint_after(Duration::from_secs_f64(after));
        }
        if step.why != self.toolbar.why {
            self.said = step.why.clone().map(|why| (why, now + SAID));
            self.toolbar.why = step.why;
        }
    }

    /// Says what there is to say of the picture's size; false when that is nothing.
    fn say_size(&mut self, ui: &Ui, area: Rect) -> bool {
        let now = ui.input(|input| input.time);
        let Some((words, until)) = self.said.as_ref().filter(|(_, until)| now < *until) else {
            self.said = None;
            return false;
        };
        ui.ctx().request_repaint_after(Duration::from_secs_f64(until - now));
        overlays::chip(ui, area, words);
        true
    }

    /// Takes what is new of the picture; forgets the picture of an earlier guest.
    fn follow(&mut self, ctx: &egui::Context, model: &Model, screen: &Screen) {
        let attached = model.attach.as_ref().map(|attach| (0, attach.since_ms));
        let guest = model.guest.as_ref().map(|guest| (guest.pid, guest.since_ms)).or(attached);
        if guest != self.guest {
            self.guest = guest;
            self.picture.clear();
            self.follow = Follow::default();
            self.toolbar.why = None;
            self.pan = Vec2::ZERO;
            self.asks = false;
            self.reading = None;
        }
        let losses = screen.losses();
        if std::mem::replace(&mut self.losses, losses) != losses {
            self.toolbar.held.forget();
        }
        self.picture.refresh(ctx, screen);
    }

    fn shows_picture(&self, model: &Model) -> bool {
        let ended = model.state.outcome == Some(Outcome::GuestEnded);
        (model.guest.is_some() || model.attach.is_some())
            && match model.state.phase {
                Phase::Booting | Phase::Running | Phase::Ejecting => true,
                // How a guest ended is seen on its last picture; what was ejected is gone.
                Phase::Idle => ended,
                Phase::Preparing | Phase::Building => false,
            }
    }

    /// Says, in the main window, that the screen is in its own; or what there is to say without a guest.
    pub fn elsewhere(&mut self, ui: &mut Ui, model: &Model, now_ms: u64, window: Around, wishes: &mut Wishes) {
        let whole = ui.max_rect();
        ui.painter().rect_filled(whole, 0.0, Palette::of(ui).sunken);
        screen_toolbar::elsewhere(&mut strip(ui), wishes);
        let area = Rect::from_min_max(pos2(whole.min.x, whole.min.y + TOOLBAR), whole.max);
        let mut over = ui.new_child(egui::UiBuilder::new().id_salt("over").max_rect(area));
        over.set_clip_rect(area);
        match Self::about_guest(model) {
            true => overlays::elsewhere(&mut over, wishes),
            false => {
                let over_what =
                    overlays::Over { now_ms, live: false, picture: false, trouble: None, goal: window.goal };
                overlays::show(&mut over, model, over_what, wishes);
            }
        }
    }

    /// Whether what is told over the screen is about the guest on it.
    fn about_guest(model: &Model) -> bool {
        match model.state.phase {
            Phase::Booting | Phase::Running | Phase::Ejecting => true,
            Phase::Idle => model.state.outcome == Some(Outcome::GuestEnded),
            Phase::Preparing | Phase::Building => false,
        }
    }
}

/// Whether the picture has been one of another size for so long that it has to be said; what is shorter only flickers.
fn is_behind(ui: &Ui, screen: &Screen) -> bool {
    let Some(since) = screen.behind() else { return false };
    match BEHIND.checked_sub(since) {
        Some(left) => {
            ui.ctx().request_repaint_after(left);
            false
        }
        None => true,
    }
}

/// The strip at the upper edge, for a bar.
fn strip(ui: &mut Ui) -> Ui {
    let (palette, whole) = (Palette::of(ui), ui.max_rect());
    let strip = Rect::from_min_max(whole.min, pos2(whole.max.x, whole.min.y + TOOLBAR));
    ui.painter().rect_filled(strip, 0.0, palette.window);
    ui.painter().hline(strip.x_range(), strip.max.y - 0.5, egui::Stroke::new(1.0, palette.line));
    let room = strip.shrink2(egui::vec2(8.0, 5.0));
    ui.new_child(egui::UiBuilder::new().id_salt("toolbar").max_rect(room))
}

/// What is around the panel.
#[derive(Clone, Copy, Debug)]
pub struct Around {
    /// A dialog or a menu lies over it.
    pub covered: bool,
    /// The window is full screen and shows nothing else.
    pub full_screen: bool,
    /// The guest's screen is in a window of its own.
    pub detached: bool,
    /// What was asked for last.
    pub goal: Option<Goal>,
    /// How large the guest's screen is shown.
    pub scaling: Scaling,
    /// Which keys give the keyboard back.
    pub release: ReleaseKey,
    /// The layout that text is typed on.
    pub layout: Layout,
    /// What the guest copies goes to the desktop's clipboard, while it has the keyboard.
    pub copy_by_itself: bool,
    /// Whether the guest is heard.
    pub heard: Heard,
    /// Nothing of keys and pointer goes to the guest.
    pub view_only: bool,
    /// It is the guest of a session that is only watched.
    pub watched: bool,
}

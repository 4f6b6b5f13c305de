//! The native window, and the event handler around it that sees physical keys before egui does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use eframe::{EframeWinitApplication, NativeOptions, UserEvent};
use egui::{Context, PointerButton, ViewportBuilder, ViewportId};
use winit::application::ApplicationHandler;
use winit::event::{DeviceEvent, ElementState, MouseButton, StartCause, TouchPhase, WindowEvent};
use winit::event_loop::{ActiveEventLoop, ControlFlow, DeviceEvents, EventLoop};
use winit::keyboard::PhysicalKey;
use winit::window::WindowId;

use super::app::App;
use super::detached::Shell;
use super::detached_access::DetachedAccess;
use super::keyboard::KeyTap;
use super::keyboard_grab;
use super::keyboard_inhibit;
use super::keysyms;
use super::pointer;
use super::preferences::{MIN_SIZE, Preferences};
use super::theme_portal::Desktop;
use super::wheel::Wheel;
use super::{APP_ID, GuiError, Options};
use crate::session::SessionHandle;

static ICON: &[u8] = include_bytes!("../../../assets/icons/cartridge-256.png");

/// Opens the window and returns when it is closed.
pub(super) fn open(session: SessionHandle, options: Options) -> Result<(), GuiError> {
    let event_loop = EventLoop::<UserEvent>::with_user_event().build().map_err(GuiError::no_display)?;
    event_loop.set_control_flow(ControlFlow::Wait);
    let preferences = options.preferences.as_deref().map(Preferences::load).unwrap_or_default();
    let keys = Arc::new(KeyTap::default());
    let context = Arc::new(OnceLock::new());
    let created = Arc::new(AtomicBool::new(false));
    let saver = Arc::new(OnceLock::new());
    let display = event_loop.owned_display_handle();
    let creator = {
        let (keys, context, created) = (keys.clone(), context.clone(), created.clone());
        let saver = Arc::clone(&saver);
        let tap = keys.clone();
        let creator: eframe::AppCreator<'static> = Box::new(move |creation| {
            let ctx = &creation.egui_ctx;
            let app = App::new(session, keys, Desktop::default(), options);
            app.attach(ctx);
            ctx.add_plugin(DetachedAccess::default());
            if let Some(window) = creation.winit_window() {
                tap.hear_of(window.id().into());
            }
            let waker = ctx.clone();
            // Where neither is possible the menu of keys says so.
            if keyboard_grab::attach(creation, &tap, move |viewport| waker.request_repaint_of(viewport)).is_err()
                && let Some(window) = creation.winit_window()
            {
                let _ = keyboard_inhibit::attach(display, window, &tap);
            }
            // Set once: this closure runs once.
            let _ = context.set(ctx.clone());
            let _ = saver.set(app.saver.clone());
            created.store(true, Ordering::Release);
            Ok(Box::new(Shell::new(app)))
        });
        creator
    };
    let inner = eframe::create_native(APP_ID, native_options(&preferences), creator, &event_loop);
    let mut tapped = Tapped { inner, keys, context, unfocused: None, wheel: Wheel::default(), listens: false };
    event_loop.run_app(&mut tapped).map_err(GuiError::event_loop)?;
    // No window stands still while a slow disk is waited for.
    drop(tapped);
    if let Some(Some(saver)) = saver.get() {
        saver.finish();
    }
    // eframe logs why a window could not be made and ends its loop; all that is left to see is that there was none.
    if created.load(Ordering::Acquire) { Ok(()) } else { Err(GuiError::NoWindow) }
}

fn native_options(preferences: &Preferences) -> NativeOptions {
    let mut viewport = ViewportBuilder::default()
        .with_app_id(APP_ID)
        .with_title("Cartridge")
        .with_inner_size([preferences.width, preferences.height])
        .with_min_inner_size(MIN_SIZE)
        .with_maximized(preferences.maximized);
    if let Ok(icon) = eframe::icon_data::from_png_bytes(ICON) {
        viewport = viewport.with_icon(icon);
    }
    // Named, so that tests, for which eframe is built with wgpu too, have the same window as everybody.
    let renderer = eframe::Renderer::Glow;
    NativeOptions { viewport, renderer, dithering: false, ..NativeOptions::default() }
}

/// eframe's handler, with a tap on the keyboard.
struct Tapped {
    inner: EframeWinitApplication<'static>,
    keys: Arc<KeyTap>,
    context: Arc<OnceLock<Context>>,
    /// The window that was told to have lost the focus when only its keys were grabbed.
    unfocused: Option<WindowId>,
    wheel: Wheel,
    /// winit tells of devices although it believes that no window has the focus.
    listens: bool,
}

impl Tapped {
    /// Whether the guest's screen is in that window.
    fn has_screen(&self, window: WindowId) -> bool {
        self.keys.place.window() == u64::from(window)
    }

    /// A grab looks to winit as if the focus were lost: that is kept from egui, until it is so.
    fn grabbed(&mut self, window: WindowId, event: &WindowEvent) -> bool {
        match event {
            WindowEvent::Focused(false) if self.has_screen(window) => {
                if self.keys.grabbed() && self.keys.told_apart() {
                    self.unfocused = Some(window);
                    return true;
                }
                self.lose_focus();
                false
            }
            WindowEvent::Focused(true) if self.unfocused == Some(window) => {
                self.unfocused = None;
                false
            }
            _ => false,
        }
    }

    /// The guest lets go of its keys. A window that is not seen any more is not painted on Wayland: the main window's logic
    /// goes on all the same.
    fn lose_focus(&self) {
        self.keys.lose_focus();
        if let Some(ctx) = self.context.get() {
            ctx.request_repaint_of(self.keys.place.viewport());
            ctx.request_repaint_of(ViewportId::ROOT);
        }
    }

    /// Where keys are grabbed winit would no longer tell of buttons: asked for before it notices, it goes on.
    fn listen(&mut self, event_loop: &ActiveEventLoop) {
        let grabbed = self.keys.grabbed() && self.keys.told_apart();
        if self.listens != grabbed {
            self.listens = grabbed;
            event_loop.listen_device_events(if grabbed { DeviceEvents::Always } else { DeviceEvents::WhenFocused });
        }
    }

    /// Follows which buttons are down; whether the event is a turn of the wheel that was none.
    fn point(&mut self, event: &WindowEvent) -> bool {
        match event {
            WindowEvent::MouseInput { state, button, .. } => {
                if let Some(mask) = egui_button(*button).and_then(pointer::mask) {
                    self.keys.set_button(mask, *state == ElementState::Pressed);
                    if let Some(ctx) = self.context.get() {
                        ctx.request_repaint_of(self.keys.place.viewport());
                    }
                }
                false
            }
            // egui makes the left button of a finger.
            WindowEvent::Touch(touch) => {
                self.keys.set_button(1, matches!(touch.phase, TouchPhase::Started | TouchPhase::Moved));
                false
            }
            WindowEvent::MouseWheel { delta, .. } => self.wheel.is_echo(*delta),
            _ => false,
        }
    }

    /// While the guest has the keyboard its keys are not for egui. Releases are for both, so that no key stays down.
    fn tap(&self, window: WindowId, event: &WindowEvent) -> bool {
        let WindowEvent::KeyboardInput { event: key, is_synthetic, .. } = event else { return false };
        if !self.keys.captured() || !self.has_screen(window) {
            return false;
        }
        let down = key.state == ElementState::Pressed;
        // X11 makes synthetic presses of what is down when the window gets the focus: nobody typed those.
        if let PhysicalKey::Code(code) = key.physical_key
            && !is_synthetic
        {
            self.keys.push_yielding(code, keysyms::of_key(&key.logical_key, key.location), down);
        }
        if let Some(ctx) = self.context.get() {
            ctx.request_repaint_of(self.keys.place.viewport());
        }
        down
    }
}

/// egui's name of a button, as its backend for winit has it.
fn egui_button(button: MouseButton) -> Option<PointerButton> {
    match button {
        MouseButton::Left => Some(PointerButton::Primary),
        MouseButton::Right => Some(PointerButton::Secondary),
        MouseButton::Middle => Some(PointerButton::Middle),
        MouseButton::Back => Some(PointerButton::Extra1),
        MouseButton::Forward => Some(PointerButton::Extra2),
        MouseButton::Other(_) => None,
    }
}

impl ApplicationHandler<UserEvent> for Tapped {
    fn window_event(&mut self, event_loop: &ActiveEventLoop, window_id: WindowId, event: WindowEvent) {
        match &event {
            WindowEvent::Destroyed => self.keys.place.forget(window_id.into()),
            // Only a window that is there is drawn; others of its events may come late.
            WindowEvent::RedrawRequested => self.keys.hear_of(window_id.into()),
            _ => {}
        }
        if !self.grabbed(window_id, &event) && !self.tap(window_id, &event) && !self.point(&event) {
            self.inner.window_event(event_loop, window_id, event);
        }
        self.listen(event_loop);
    }

    fn resumed(&mut self, event_loop: &ActiveEventLoop) {
        let display = |monitor: winit::monitor::MonitorHandle| {
            let (at, size) = (monitor.position(), monitor.size().cast::<i32>());
            [at.x, at.y, at.x.saturating_add(size.width), at.y.saturating_add(size.height)]
        };
        self.keys.place.set_displays(event_loop.available_monitors().map(display).collect());
        self.inner.resumed(event_loop);
    }

    fn new_events(&mut self, event_loop: &ActiveEventLoop, cause: StartCause) {
        self.inner.new_events(event_loop, cause);
    }

    fn user_event(&mut self, event_loop: &ActiveEventLoop, event: UserEvent) {
        self.inner.user_event(event_loop, event);
    }

    fn device_event(&mut self, event_loop: &ActiveEventLoop, device_id: winit::event::DeviceId, event: DeviceEvent) {
        if let DeviceEvent::Button { button, state } = event {
            self.wheel.button(button, state);
        }
        // Movements come by the grab then.
        if self.listens && matches!(event, DeviceEvent::MouseMotion { .. }) {
            return;
        }
        self.inner.device_event(event_loop, device_id, event);
    }

    fn about_to_wait(&mut self, event_loop: &ActiveEventLoop) {
        self.keys.listen();
        if !self.keys.grabbed()
            && let Some(window) = self.unfocused.take()
        {
            self.inner.window_event(event_loop, window, WindowEvent::Focused(false));
        }
        self.listen(event_loop);
        self.inner.about_to_wait(event_loop);
    }

    fn suspended(&mut self, event_loop: &ActiveEventLoop) {
        self.inner.suspended(event_loop);
    }

    fn exiting(&mut self, event_loop: &ActiveEventLoop) {
        self.inner.exiting(event_loop);
    }

    fn memory_warning(&mut self, event_loop: &ActiveEventLoop) {
        self.inner.memory_warning(event_loop);
    }
}

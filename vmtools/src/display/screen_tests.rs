//! The shared picture: what is taken of it and when, and what is forgotten.

use super::*;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

fn take(screen: &Screen) -> Option<(usize, Vec<Rect>, bool)> {
    let mut seen = None;
    screen.try_take(&mut |view| {
        assert_eq!(view.pixels.len(), view.width * view.height * 4);
        seen = Some((view.width, view.damage.to_vec(), view.resized));
    });
    seen
}

#[test]
fn damage_adds_up_until_it_is_taken() {
    let screen = Screen::new();
    let woken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&woken);
    screen.set_waker(Box::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    }));
    assert!(!screen.live() && screen.snapshot().is_none() && take(&screen).is_none());
    let mut buffer = Framebuffer::new(130, 4).unwrap();
    let dot = |x, y| Rect { x, y, width: 1, height: 1 };
    assert!(buffer.paint(dot(0, 0), &[1, 2, 3, 4]));
    screen.publish(&mut buffer);
    assert!(screen.live());
    assert_eq!(take(&screen), Some((130, vec![Rect { x: 0, y: 0, width: 130, height: 4 }], true)));
    assert_eq!(take(&screen), None);
    for at in [dot(3, 3), dot(129, 0)] {
        assert!(buffer.paint(at, &[9, 9, 9, 9]));
        screen.publish(&mut buffer);
    }
    // Whole tiles, cut to the picture.
    let tile = |x, width| Rect { x, y: 0, width, height: 4 };
    assert_eq!(take(&screen), Some((130, vec![tile(0, 64), tile(128, 2)], false)));
    let mut rgba = vec![0; 130 * 4 * 4];
    buffer.copy_as_rgba(&mut rgba, tile(0, 130));
    assert_eq!(screen.snapshot().unwrap().rgba, rgba);
    assert_eq!((screen.generation(), woken.load(Ordering::Relaxed)), (3, 3));
}

#[test]
fn a_stale_picture_stays_but_is_not_live() {
    let screen = Screen::new();
    let mut buffer = Framebuffer::new(2, 2).unwrap();
    screen.publish(&mut buffer);
    screen.set_cursor(Cursor { width: 0, height: 0, hot_x: 0, hot_y: 0, rgba: vec![] });
    let before = screen.generation();
    screen.lost();
    screen.lost();
    assert_eq!(screen.generation(), before + 1);
    assert!(!screen.live() && screen.cursor().is_none() && screen.snapshot().is_some());
    assert_eq!((screen.take_wished_size(), screen.size_answer()), (None, None), "another server is not asked for it");
}

#[test]
fn a_copy_has_the_pointer_where_it_was_told_to_be() {
    let screen = Screen::new();
    screen.publish(&mut Framebuffer::new(2, 1).unwrap());
    let mut pixels = Vec::new();
    let (_, _, seen) = screen.copy_newer(0, &mut pixels).unwrap();
    screen.set_pointer(Some((1, 0)));
    assert_eq!(screen.copy_newer(seen, &mut pixels), None, "the guest draws its own");
    screen.set_cursor(Cursor { width: 1, height: 1, hot_x: 0, hot_y: 0, rgba: vec![200, 100, 50, 255] });
    let (_, _, seen) = screen.copy_newer(seen, &mut pixels).unwrap();
    assert_eq!(pixels, [0, 0, 0, 255, 200, 100, 50, 255]);
    screen.set_pointer(Some((1, 0)));
    assert_eq!(screen.copy_newer(seen, &mut pixels), None, "it stands still");
    screen.set_pointer(Some((0, 0)));
    let (_, _, seen) = screen.copy_newer(seen, &mut pixels).unwrap();
    assert_eq!(pixels, [200, 100, 50, 255, 0, 0, 0, 255]);
    screen.set_pointer(None);
    screen.copy_newer(seen, &mut pixels).unwrap();
    assert_eq!(pixels, [0, 0, 0, 255].repeat(2), "nobody knows where it is");
    assert_eq!(screen.snapshot().unwrap().rgba, pixels, "and the picture itself has none");
}

#[test]
fn a_take_never_waits_for_a_writer() {
    let screen = Screen::new();
    screen.publish(&mut Framebuffer::new(2, 2).unwrap());
    let writer = screen.picture.lock().unwrap();
    assert!(!screen.try_take(&mut |_| {}));
    drop(writer);
    assert!(screen.try_take(&mut |_| {}));
}

#[test]
fn who_met_a_copy_is_called_when_it_is_done() {
    let screen = Screen::new();
    let woken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&woken);
    screen.publish(&mut Framebuffer::new(2, 2).unwrap());
    screen.set_waker(Box::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    }));
    let copy = screen.picture.lock().unwrap();
    assert!(!screen.try_take(&mut |_| {}));
    drop(copy);
    let mut pixels = Vec::new();
    assert_eq!(screen.copy_newer(0, &mut pixels), Some((2, 2, 1)));
    assert_eq!((woken.load(Ordering::Relaxed), pixels.len()), (1, 16));
    assert_eq!(screen.copy_newer(1, &mut pixels), None, "the same picture");
    assert!(screen.snapshot().is_some() && woken.load(Ordering::Relaxed) == 1);
}

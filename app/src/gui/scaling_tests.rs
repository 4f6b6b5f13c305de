//! Sizes, filters and pixels of each way of scaling, at several pixels a point.

use super::*;

const SCALES: [f32; 6] = [1.0, 1.25, 1.5, 1.75, 2.0, 3.0];

fn area(width: f32, height: f32) -> Rect {
    Rect::from_min_size(pos2(10.0, 20.0), vec2(width, height))
}

fn placed(area: Rect, size: [usize; 2], scale: f32, scaling: Scaling) -> Placement {
    place(area, size, scale, scaling, Vec2::ZERO)
}

#[test]
fn the_shape_is_kept_and_the_picture_is_centred() {
    let it = placed(area(800.0, 370.0), [1280, 800], 1.0, Scaling::Fit);
    assert_eq!((it.rect.size(), it.rect.min), (vec2(592.0, 370.0), pos2(10.0 + 104.0, 20.0)));
    assert_eq!((it.filter, it.over), (Filter::Smaller, Vec2::ZERO));
    assert_eq!(placed(area(1200.0, 750.0), [1280, 800], 1.0, Scaling::Fit).filter, Filter::Linear);
}

#[test]
fn a_whole_factor_is_taken_when_it_is_near() {
    for scaling in [Scaling::Fit, Scaling::Follow] {
        for (room, scale) in [(area(660.0, 500.0), 1.0), (area(650.0, 490.0), 2.0)] {
            let it = placed(room, [640, 480], scale, scaling);
            assert_eq!((it.rect.size(), it.filter), (vec2(640.0, 480.0), Filter::Nearest));
        }
    }
    assert_eq!(placed(area(700.0, 525.0), [640, 480], 1.0, Scaling::Fit).rect.size(), vec2(700.0, 525.0));
}

#[test]
fn whole_factors_are_whole_and_small_pictures_a_whole_part() {
    let it = placed(area(1900.0, 1000.0), [640, 400], 1.0, Scaling::Whole);
    assert_eq!((it.rect.size(), it.filter), (vec2(1280.0, 800.0), Filter::Nearest));
    let it = placed(area(1279.0, 799.0), [640, 400], 1.0, Scaling::Whole);
    assert_eq!((it.rect.size(), it.filter), (vec2(640.0, 400.0), Filter::Nearest));
    let it = placed(area(639.0, 399.0), [640, 400], 1.0, Scaling::Whole);
    assert_eq!((it.rect.size(), it.filter), (vec2(320.0, 200.0), Filter::Smaller));
    let it = placed(area(640.0, 400.0), [640, 400], 1.5, Scaling::Whole);
    assert_eq!(it.rect.size() * 1.5, vec2(640.0, 400.0), "device pixels count");
}

#[test]
fn stretching_fills_the_panel_and_is_sharp_at_whole_factors_only() {
    let it = placed(area(900.0, 300.0), [300, 300], 1.0, Scaling::Stretch);
    assert_eq!((it.rect, it.filter), (area(900.0, 300.0), Filter::Nearest));
    assert_eq!(placed(area(901.0, 300.0), [300, 300], 1.0, Scaling::Stretch).filter, Filter::Linear);
    assert_eq!(placed(area(900.0, 150.0), [300, 300], 1.0, Scaling::Stretch).filter, Filter::Smaller);
}

#[test]
fn one_to_one_is_scrolled_as_far_as_there_is_something() {
    let room = area(400.0, 600.0);
    let at = |pan| place(room, [1024, 300], 1.0, Scaling::Natural, pan);
    let it = at(Vec2::ZERO);
    assert_eq!((it.rect.size(), it.filter, it.over), (vec2(1024.0, 300.0), Filter::Nearest, vec2(624.0, 0.0)));
    assert_eq!(it.rect.min, pos2(10.0, 170.0), "begins at its left, and is in the middle of the height");
    assert_eq!(at(vec2(100.0, 50.0)).rect.min, pos2(-90.0, 170.0));
    let last = at(vec2(1e9, 1e9));
    assert_eq!(last.rect.max.x, room.max.x);
    assert_eq!(last.pixel(pos2(409.0, 170.0)), (1023, 0));
    assert_eq!(at(vec2(-5.0, -5.0)).rect.min.x, 10.0);
    for scale in SCALES {
        let it = place(room, [2048, 300], scale, Scaling::Natural, vec2(33.3, 0.0));
        let left = it.rect.min.x * scale;
        assert!((left - left.round()).abs() < 0.01, "{left} at {scale}");
    }
}

#[test]
fn it_lies_on_device_pixels_at_any_scale_and_inside() {
    for scale in SCALES {
        for scaling in Scaling::ALL {
            let room = area(811.3, 377.7);
            let it = placed(room, [1024, 768], scale, scaling);
            for edge in [it.rect.min.x, it.rect.min.y, it.rect.max.x, it.rect.max.y] {
                let pixels = edge * scale;
                assert!((pixels - pixels.round()).abs() < 0.01, "{edge} at {scale}");
            }
            if scaling != Scaling::Natural {
                assert!(room.expand(1.0).contains_rect(it.rect), "{scaling:?} at {scale}: {:?}", it.rect);
            }
        }
    }
}

/// Every device pixel of the picture is the guest's pixel that is drawn there.
#[test]
fn the_pointer_is_on_the_pixel_that_is_under_it() {
    for scale in SCALES {
        for (room, size, scaling) in [
            (area(700.0, 500.0), [160, 100], Scaling::Whole),
            (area(300.0, 200.0), [640, 480], Scaling::Natural),
            (area(333.0, 222.0), [111, 37], Scaling::Stretch),
            (area(700.0, 500.0), [100, 75], Scaling::Fit),
        ] {
            let it = placed(room, size, scale, scaling);
            let device = (it.rect.size() * scale).round();
            let first = (it.rect.min.to_vec2() * scale).round();
            for x in 0..device.x as usize {
                let pos = (first + vec2(x as f32, 0.0)) / scale;
                let drawn = ((x as f32 + 0.5) * size[0] as f32 / device.x) as u16;
                assert_eq!(it.pixel(pos.to_pos2()).0, drawn, "{x} of {device:?}, {scaling:?} at {scale}");
            }
            for y in 0..device.y as usize {
                let pos = (first + vec2(0.0, y as f32)) / scale;
                let drawn = ((y as f32 + 0.5) * size[1] as f32 / device.y) as u16;
                assert_eq!(it.pixel(pos.to_pos2()).1, drawn, "{y} of {device:?}, {scaling:?} at {scale}");
            }
        }
    }
}

#[test]
fn corners_are_reached_at_every_size() {
    for scaling in [Scaling::Fit, Scaling::Whole, Scaling::Stretch] {
        for (width, height) in [(300.0, 200.0), (1024.0, 768.0), (3000.0, 2000.0), (1500.0, 100.0)] {
            let it = placed(area(width, height), [1024, 768], 1.0, scaling);
            assert_eq!(it.pixel(it.rect.min), (0, 0), "{scaling:?} {width}");
            assert_eq!(it.pixel(it.rect.max - vec2(1.0, 1.0)), (1023, 767), "{scaling:?} {width}");
            assert_eq!(it.pixel(it.rect.max + vec2(99.0, 99.0)), (1023, 767));
            assert_eq!(it.pixel(pos2(-99.0, -99.0)), (0, 0));
        }
    }
}

#[test]
fn nothing_is_divided_by_nothing() {
    for scaling in Scaling::ALL {
        let it = placed(Rect::from_min_size(pos2(0.0, 0.0), Vec2::ZERO), [0, 0], 1.0, scaling);
        assert!(it.rect.is_finite() && it.zoom().x.is_finite());
        assert_eq!(it.pixel(pos2(5.0, 5.0)), (0, 0));
    }
}

#[test]
fn the_ways_come_round() {
    let mut seen = vec![Scaling::default()];
    while seen.last().map(|it| it.next()) != Some(Scaling::default()) {
        seen.push(seen[seen.len() - 1].next());
    }
    assert_eq!(seen, Scaling::ALL);
}

//! The guest's sound: asked for where the guest has some, turned off and on again, and gone with the guest.

use cartridge::session::Event;
use cartridge::session::state::Outcome;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use vmtools::GuestStatus;

use crate::stage::Stage;
use crate::story;

fn selected(stage: &Stage) -> Option<bool> {
    stage.window.query_by_label("Sound").map(|it| it.accesskit_node().is_selected() == Some(true))
}

#[test]
fn a_guest_is_heard_until_it_is_turned_off() {
    let mut stage = Stage::new();
    let _display = story::running(&mut stage);
    stage.settle();
    assert!(selected(&stage).is_none() && !stage.screen.sound().wanted(), "this one has no sound");
    let command = "qemu-system-x86_64 -audiodev none,id=sound0".to_owned();
    stage.tell(20_000, Event::GuestStarted { pid: 4713, command, mute: None });
    stage.tell(20_001, Event::GuestChanged { status: GuestStatus::Running });
    stage.settle();
    assert!(selected(&stage).is_some() && stage.screen.sound().wanted());
    for wanted in [false, true] {
        stage.window.get_by_label("Sound").click();
        stage.settle();
        stage.settle();
        assert_eq!((stage.screen.sound().wanted(), stage.window.state().preferences.muted), (wanted, !wanted));
        if !wanted {
            assert_eq!(selected(&stage), Some(false));
        }
    }
    stage.tell(30_000, story::idle(Outcome::GuestEnded, true));
    stage.settle();
    assert!(selected(&stage).is_none() && !stage.screen.sound().wanted());
}

//! A direct boot is resumed from a template guest when there is one, and makes one when there is none.

use std::path::{Path, PathBuf};

use cartridge::session::direct::{DirectKernel, DirectRoot, DirectSource, DirectWish};
use cartridge::session::state::{EjectScope, Phase};
use cartridge::session::{Command, Event, RunField};

use crate::parts::kernel;
use crate::support::Console;
use crate::support::session::{Session, paths};

fn wish() -> Command {
    let kernel = DirectKernel { kernel: Some(kernel()), root: DirectRoot::Initramfs, ..DirectKernel::default() };
    let fields = [("guest.memory", "512M"), ("guest.accelerator", "tcg")];
    let fields = fields.map(|(key, value)| RunField::set(key, value)).to_vec();
    Command::BootDirect(Box::new(DirectWish { fields, ..DirectWish::of(DirectSource::Kernel(kernel)) }))
}

fn templates(console: &Console) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(paths(console).templates()).into_iter().flatten().flatten();
    entries.map(|it| it.path()).collect()
}

/// Boots, and says what was told of templates until it was up and then until `more`.
async fn boot(session: &mut Session, more: Option<&str>) -> Vec<String> {
    let told = std::sync::Mutex::new(Vec::new());
    let listen = |event: &Event| {
        if let Event::Noticed { text, .. } = event
            && text.contains("template")
        {
            told.lock().unwrap().push(text.clone());
        }
    };
    session.send(wish()).await;
    session
        .until("a guest", |event, _| {
            listen(event);
            assert!(!matches!(event, Event::Failed { .. }), "{event:?}");
            matches!(event, Event::StateChanged { state } if state.phase == Phase::Running)
        })
        .await;
    if let Some(more) = more {
        let has = |text: &String| text.contains(more);
        if !told.lock().unwrap().iter().any(has) {
            session
                .until(more, |event, _| {
                    listen(event);
                    told.lock().unwrap().iter().any(has)
                })
                .await;
        }
    }
    session.send(Command::Eject(EjectScope::Session)).await;
    session.until_phase(Phase::Idle).await;
    told.into_inner().unwrap()
}

fn broken(template: &Path) {
    let devices = template.join("devices");
    let length = usize::try_from(std::fs::metadata(&devices).unwrap().len()).unwrap();
    std::fs::write(devices, vec![b'x'; length]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_boot_is_resumed_and_a_broken_template_costs_nothing() {
    let console = Console::new();
    let mut session = Session::begin(&console);
    let told = boot(&mut session, Some("was made")).await;
    assert_eq!(told.len(), 1, "{told:?}");
    let made = templates(&console);
    assert_eq!(made.len(), 1, "{made:?}");
    let told = boot(&mut session, None).await;
    assert!(told.len() == 1 && told[0].starts_with("Resumed from a template guest in "), "{told:?}");

    broken(&made[0]);
    let told = boot(&mut session, None).await;
    assert!(told.len() == 1 && told[0].contains("is booted, because its template is of no use"), "{told:?}");
    assert_eq!(templates(&console), [""; 0].map(PathBuf::from));

    // What is in the making when the guest is ejected leaves nothing.
    let told = boot(&mut session, None).await;
    assert_eq!((told, templates(&console)), (vec![], [""; 0].map(PathBuf::from).to_vec()));
    boot(&mut session, Some("was made")).await;
    session.send(Command::CleanCache).await;
    session
        .until("a clean cache", |event, _| match event {
            Event::CacheViewed { view, freed, .. } => {
                assert!(view.rows.is_empty() && freed.is_some_and(|bytes| bytes > 1 << 20), "{view:?} {freed:?}");
                true
            }
            _ => false,
        })
        .await;
    assert_eq!(templates(&console), [""; 0].map(PathBuf::from));
    session.quit().await;
    console.assert_clean();
}

//! The desktop's own wish for dark or light, asked for and followed through the settings portal; winit tells nothing of
//! it on Linux. Everything happens on a thread of its own: a portal may take seconds to start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use zbus::zvariant::{OwnedValue, Value};

const PORTAL: &str = "org.freedesktop.portal.Desktop";
const PATH: &str = "/org/freedesktop/portal/desktop";
const SETTINGS: &str = "org.freedesktop.portal.Settings";
const NAMESPACE: &str = "org.freedesktop.appearance";
const KEY: &str = "color-scheme";
/// How long the portal may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the desktop wishes, and what its portal can do. Shared with the thread that asks.
#[derive(Clone, Debug, Default)]
pub struct Desktop {
    scheme: Arc<AtomicU8>,
    /// Whether there is a portal that opens file choosers.
    pub file_chooser: Arc<AtomicBool>,
}

impl Desktop {
    /// Whether dark is wanted: `color-scheme` 1 is dark, 2 light, 0 no wish; dark without one.
    #[must_use]
    pub fn dark(&self) -> bool {
        self.scheme.load(Ordering::Acquire) != 2
    }

    /// Starts the thread that asks and follows. `changed` is called after each answer. Without a session bus, a portal
    /// or a thread everything stays as it is.
    pub fn follow(&self, changed: impl Fn() + Send + 'static) {
        let desktop = self.clone();
        let ask = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if let Ok(runtime) = runtime {
                // A desktop without a portal is usual; there is nobody to tell and nothing to do about it.
                let _ = runtime.block_on(desktop.listen(&changed));
            }
        };
        // Not having the thread means not following the desktop, nothing more.
        let _ = std::thread::Builder::new().name("desktop".to_owned()).spawn(ask);
    }

    async fn listen(&self, changed: &impl Fn()) -> zbus::Result<()> {
        let bus = tokio::time::timeout(PATIENCE, zbus::Connection::session())
            .await
            .map_err(|_| zbus::Error::Failure("the session bus does not answer".to_owned()))??;
        let chooser = tokio::time::timeout(PATIENCE, has_file_chooser(&bus)).await.unwrap_or(false);
        self.file_chooser.store(chooser, Ordering::Release);
        changed();
        let settings = zbus::Proxy::new(&bus, PORTAL, PATH, SETTINGS).await?;
        let mut signals = settings.receive_signal("SettingChanged").await?;
        // `Read` wraps its answer in one more variant than `ReadOne`, which old portals do not have.
        let read = settings.call_method("Read", &(NAMESPACE, KEY));
        if let Ok(Ok(reply)) = tokio::time::timeout(PATIENCE, read).await
            && let Ok(value) = reply.body().deserialize::<OwnedValue>()
        {
            self.set(&value, changed);
        }
        while let Some(signal) = next(&mut signals).await {
            if let Ok((namespace, key, value)) = signal.body().deserialize::<(String, String, OwnedValue)>()
                && namespace == NAMESPACE
                && key == KEY
            {
                self.set(&value, changed);
            }
        }
        Ok(())
    }

    fn set(&self, value: &Value<'_>, changed: &impl Fn()) {
        if let Some(scheme) = number(value, 4).and_then(|n| u8::try_from(n).ok()) {
            self.scheme.store(scheme, Ordering::Release);
            changed();
        }
    }
}

/// A number in at most `depth` variants.
fn number(value: &Value<'_>, depth: u8) -> Option<u32> {
    match value {
        Value::U32(n) => Some(*n),
        Value::Value(inner) if depth > 0 => number(inner, depth - 1),
        _ => None,
    }
}

/// The next signal; a stream without the crate that is made for streams.
async fn next(stream: &mut zbus::proxy::SignalStream<'_>) -> Option<zbus::Message> {
    std::future::poll_fn(|context| zbus::export::futures_core::Stream::poll_next(std::pin::Pin::new(stream), context))
        .await
}

/// Whether the portal has a backend for file choosers: without one the interface is not there at all.
async fn has_file_chooser(bus: &zbus::Connection) -> bool {
    let Ok(proxy) = zbus::Proxy::new(bus, PORTAL, PATH, "org.freedesktop.portal.FileChooser").await else {
        return false;
    };
    proxy.get_property::<u32>("version").await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_found_in_its_variants() {
        let wrapped = Value::Value(Box::new(Value::Value(Box::new(Value::U32(2)))));
        let desktop = Desktop::default();
        assert!(desktop.dark(), "dark without a wish");
        desktop.set(&wrapped, &|| {});
        assert!(!desktop.dark());
        desktop.set(&Value::U32(1), &|| {});
        assert!(desktop.dark());
        desktop.set(&Value::from("light"), &|| {});
        assert!(desktop.dark(), "nonsense changes nothing");
    }
}

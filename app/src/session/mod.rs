//! One session from insert to eject: commands in, events out, one driver that owns the state.

mod cartridge_lock;
pub mod command;
mod driver;
pub mod event;
pub mod failure;
pub mod handle;
mod inserted;
mod jobs;
pub mod logs;
pub mod model;
mod recent;
pub(crate) mod record;
mod sentence;
pub mod state;

pub use command::Command;
pub use driver::{BeginError, SessionConfig, begin};
pub use event::{Event, Told};
pub use handle::{SessionHandle, Waker};
pub use model::Model;

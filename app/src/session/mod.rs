//! One session from insert to eject: commands in, events out, one driver that owns the state.

pub mod command;
pub mod event;
pub mod handle;
pub mod logs;
pub mod model;
pub mod state;

pub use command::Command;
pub use event::{Event, Told};
pub use handle::{SessionHandle, Waker};
pub use model::Model;

//! One session from insert to eject: commands in, events out, one driver that owns the state.

mod attach_recent;
pub mod attachment;
pub mod blank;
mod built;
mod cartridge_lock;
pub mod command;
pub mod direct;
mod driver;
mod ear;
pub mod event;
pub mod examination;
pub mod failure;
pub mod handle;
mod handover;
mod inserted;
mod jobs;
pub mod kept_disks;
mod kernel_line;
pub mod logs;
pub mod model;
pub mod pace;
mod panic_words;
mod prompt;
mod recent;
pub(crate) mod record;
mod removal;
mod run_field;
pub(crate) mod sentence;
pub mod sign;
pub mod slot_stores;
mod slot_view;
mod source_watch;
mod standalone;
pub mod state;
mod test_run;
pub mod way;

pub use command::Command;
pub use driver::{BeginError, SessionConfig, begin};
pub use event::{Event, Told};
pub use handle::{SessionHandle, Waker};
pub use model::Model;
pub use run_field::RunField;
pub(crate) use run_field::recipe;
pub(crate) use standalone::standalone;
#[cfg(feature = "gui")]
pub(crate) use test_run::WRITE_STEPS;

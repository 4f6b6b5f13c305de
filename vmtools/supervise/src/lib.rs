//! The one place that spawns processes.
//!
//! Every child is in a process group of its own, is killed by the kernel when we die (the parent-death signal comes from
//! a thread that lives as long as the process does, because that signal follows the *thread* that spawned), has both
//! output pipes drained for as long as it lives, and leaves the end of its output as evidence.
//!
//! - [`CommandLine`] says what to run, and prints itself so that it can be copied and run again.
//! - [`spawn`] starts a long-lived child and reports to an [`Observer`].
//! - [`Isolation`] says what a child sees of the host: namespaces, so that nothing needs root and nothing is left.
//! - [`run`] runs a short tool to its end, obeys a [`Cancel`], and returns what it printed.
//! - [`post_warden`] has a process beside us that ends what our children have started once we are gone.
//!
//! And what outlives a process that is killed: [`save_atomically`] and [`Draft`] write files that are whole or not there, and tell
//! what a dead one has left from what one alive is at; [`ProcessStat`] tells how a process is.

mod attributes;
mod cancel;
mod command_line;
mod draft;
mod input;
mod isolation;
mod marks;
mod process;
mod process_stat;
mod run;
mod save;
mod spawner;
mod tail;
mod warden;

pub use cancel::Cancel;
pub use command_line::CommandLine;
pub use draft::{Draft, DraftName, sweep_drafts};
pub use isolation::{IdMap, IdRange, Isolation, IsolationError, Limits, Step, isolation_support};
pub use marks::{MARK, has_mark, mark};
pub use process::{Channel, End, EndStep, Exit, Observer, ProcessHandle, SpawnError, spawn};
pub use process_stat::ProcessStat;
pub use run::{Output, RunError, run};
pub use save::{save_atomically, save_new};
pub use spawner::tell_of_children;
pub use warden::{WARDEN_ARGUMENT, WARDEN_NAME, dismiss_warden, post_warden, warden_main};

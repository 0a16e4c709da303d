//! The commands for people.

pub(crate) mod allocate;
pub(crate) mod allocations;
pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod cluster;
pub(crate) mod credit_show;
pub(crate) mod credits;
pub(crate) mod diff;
pub(crate) mod export;
mod importable;
mod inbox;
pub(crate) mod init;
pub(crate) mod lake;
mod prompts;
mod proposal;
pub(crate) mod query;
pub(crate) mod queue;
pub(crate) mod repair;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod shell;
mod summary;
mod who;

use application::foreign_text::{LINE, visible};

use crate::stderr::to_stderr;

/// A note to the person, beside the output: one line.
pub(crate) fn note(text: &str) {
    to_stderr(&(visible(text, LINE) + "\n"));
}

//! End-to-end tests: the built binary against golden scenarios, and against an independent model on generated organisations.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "the whole crate is tests; the lints only spare functions that carry #[test] themselves"
)]

mod allocating;
mod architecture;
mod asked;
mod bad_input;
mod begin;
mod changes;
mod check;
mod cli;
mod clock;
mod cluster;
mod determinism;
mod drop_period;
mod export_tables;
mod exports;
mod faults;
mod formats;
mod fuzz;
mod held_back;
mod inbox;
mod incremental;
mod injection;
mod interop;
mod json;
mod lists;
mod lots;
mod many_lots;
mod many_rules;
mod model;
mod moved;
mod organisation;
mod properties;
mod renamed;
mod reorganised;
mod report;
mod round_trips;
mod sample;
mod several_exports;
mod spellings;
mod statement;
mod support;
mod terminal;
mod terminals;
mod told;
mod vectors;
mod views;
mod workbooks;

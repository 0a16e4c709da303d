//! Writes the sample organisation: six months of a billing export and the reference files that go with it.
//!
//! `cargo run -p tests --example sample-organisation -- --out data`
//!
//! The same arguments give the same bytes. What the organisation runs, buys and is credited stands in `tables/`; the
//! modules turn that into lines, the lines into Parquet.

mod columns;
mod commitments;
mod credits;
mod export;
mod fees;
mod fixed;
mod line;
mod organisation;
mod random;
mod reference;
mod usage;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Parser;

use crate::commitments::Commitments;
use crate::credits::Credits;
use crate::export::Export;
use crate::line::Line;
use crate::organisation::{Organisation, PAYER, Period};
use crate::usage::Meter;

/// The result of anything that can fail here; the text of the error is for a person.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const PERIODS: [&str; 6] = ["2026-05", "2026-06", "2026-07", "2026-08", "2026-09", "2026-10"];

/// Write the sample organisation's billing export and reference files.
#[derive(Parser)]
struct Arguments {
    /// Folder to write to; `cur` and `reference` in it are replaced
    #[arg(long, default_value = "data")]
    out: PathBuf,
    /// About how many lines of usage to write: days are cut into slices, down to hours, until there are as many [default: whole days]
    #[arg(long)]
    lines: Option<u32>,
    /// Seed of the random numbers
    #[arg(long, default_value_t = 2026)]
    seed: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let organisation = Organisation::load()?;
    for folder in ["cur", "reference"] {
        remove(&arguments.out.join(folder))?;
    }
    reference::write(&arguments.out.join("reference"), &organisation)?;
    let lines = write_export(&arguments, &organisation)?;
    let summary = format!("{lines} lines in {} periods written to {}", PERIODS.len(), arguments.out.display());
    Ok(writeln!(io::stdout(), "{summary}")?)
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

/// Writes all periods and returns the number of their lines.
fn write_export(arguments: &Arguments, organisation: &Organisation) -> Result<usize> {
    let workloads = organisation.workloads()?;
    let commitments = Commitments::new(organisation, arguments.seed)?;
    let periods = PERIODS.map(Period::parse).into_iter().collect::<Result<Vec<_>>>()?;
    let days = periods.iter().flat_map(|period| period.days());
    let a_day: u32 = workloads.iter().map(|workload| workload.resources).sum();
    let slices = slices(arguments.lines.unwrap_or(0), days.map(|_| a_day).sum());
    let seed = arguments.seed;
    let meter = Meter { workloads: &workloads, commitments: &commitments, seed, origin: periods[0], slices };
    let payer = organisation.account(PAYER)?;
    let export = Export { folder: arguments.out.join("cur").join("finops-daily"), payer: &payer, seed };

    let mut credits = Credits::load(organisation)?;
    let mut written = 0;
    for period in periods {
        let lines = period_lines(organisation, &meter, &mut credits, period)?;
        written += lines.len();
        if period == meter.origin {
            export.create_new(period, &lines)?;
        } else {
            export.overwrite(period, &lines)?;
        }
    }
    Ok(written)
}

/// The finest cut of a day that gives no more lines than wanted, and at least the whole day.
fn slices(wanted: u32, daily_lines: u32) -> u32 {
    [24, 12, 8, 6, 4, 3, 2].into_iter().find(|slices| slices * daily_lines <= wanted).unwrap_or(1)
}

/// All lines of a billing period.
fn period_lines(
    organisation: &Organisation,
    meter: &Meter<'_>,
    credits: &mut Credits,
    period: Period,
) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for day in period.days() {
        let mut usage = meter.day(period, day)?;
        usage.extend(meter.commitments.plan_fees(period, day, &usage));
        lines.extend(usage);
    }
    let applied = credits.apply(period, &lines);
    lines.push(meter.commitments.reservation_fee(period, &lines));
    lines.push(fees::support_fee(organisation, period, &lines)?);
    lines.extend(fees::taxes(organisation, period, &lines));
    lines.extend(fees::single_charges(organisation, meter.commitments, period)?);
    lines.extend(applied);
    Ok(lines)
}

//! `lake drop-period`.

use std::io::IsTerminal;

use ::lake::Generation;
use credit_ledger::BillingPeriod;
use detect_credits::still_there;
use serde::Serialize;

use super::prompts;
use crate::app::App;
use crate::output::answer;
use crate::{Failure, Kind};
use application::money_text;

/// Takes out a period that was never right. A later run does without it, unless the export still has it.
pub(crate) async fn drop_period(app: &App, period: BillingPeriod, yes: bool) -> Result<(), Failure> {
    let found = generation(app, period).await?;
    if !yes && !confirmed(&format!("Drop {period}: {}", in_short(&found)))? {
        return answer(app.format, &Dropped::default(), ["Nothing was dropped."]);
    }
    let file = match app.export_source().await {
        Ok(source) => still_there(&source, &found).await?,
        Err(failure) if failure.kind == Kind::NotYet => None,
        Err(failure) => return Err(failure),
    };
    let next = match &file {
        Some(file) => format!("The export still has it, in {file}: unless that changes, the next run reads it again."),
        None => "`run --publish` publishes without it.".to_owned(),
    };
    let dropped = app.locked(async |_lock| {
        let dropped = generation(app, period).await?;
        app.context.lake.drop_generation(period).await?;
        Ok(dropped)
    });
    let dropped = dropped.await?;
    let line = format!("Dropped {period}: {}. {next}", in_short(&dropped));
    answer(app.format, &Dropped { dropped: Some(period), still_in_export: file }, [line])
}

#[derive(Debug, Default, Serialize)]
struct Dropped {
    dropped: Option<BillingPeriod>,
    /// A file of the export that has the period: the next run reads it again.
    still_in_export: Option<String>,
}

/// # Errors
/// [`Kind::BadInput`] where the lake does not have the period.
async fn generation(app: &App, period: BillingPeriod) -> Result<Generation, Failure> {
    let mut generations = app.context.lake.generations().await?;
    generations.remove(&period).ok_or_else(|| {
        let known: Vec<String> = generations.keys().map(ToString::to_string).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let location = &app.context.settings.lake.location;
        let message = format!("the lake {location} does not have billing period {period}; it has {known}");
        Failure::new(Kind::BadInput, message)
    })
}

/// Lines, and totals by currency.
fn in_short(generation: &Generation) -> String {
    let totals = generation.totals.iter().map(|total| {
        let amount = money_text::cents(total.export_total);
        format!("{amount} {}", total.currency)
    });
    let lines = generation.lines();
    let counted = format!("{} line{}", money_text::count(lines), if lines == 1 { "" } else { "s" });
    std::iter::once(counted).chain(totals).collect::<Vec<_>>().join(", ")
}

/// What the person at the terminal answers.
///
/// # Errors
/// [`Kind::Usage`] where nobody is there.
fn confirmed(question: &str) -> Result<bool, Failure> {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(Failure::new(Kind::Usage, "lake drop-period: give --yes, as there is no terminal to ask on"));
    }
    prompts::confirm(question)
}

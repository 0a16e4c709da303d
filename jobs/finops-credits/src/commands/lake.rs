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

#[cfg(test)]
mod tests {
    use ::lake::CurrencyTotal;

    use super::*;
    use crate::testing::{AS_OF, Shop};

    #[tokio::test(flavor = "multi_thread")]
    async fn period_is_told_with_its_lines_and_totals_and_one_that_is_not_there_with_those_that_are() {
        let shop = Shop::new();
        let missing = async || {
            let app = shop.app("asking", AS_OF).await;
            let failure = generation(&app, "2019-03".parse().unwrap()).await.unwrap_err();
            assert_eq!(failure.kind, Kind::BadInput);
            failure.to_string()
        };
        let lake = format!("the lake {}", shop.path("lake").display());
        assert_eq!(missing().await, format!("{lake} does not have billing period 2019-03; it has none"));
        shop.night("night-1", AS_OF).await;
        assert_eq!(missing().await, format!("{lake} does not have billing period 2019-03; it has 2026-01"));
        let app = shop.app("asking", AS_OF).await;
        let january = generation(&app, "2026-01".parse().unwrap()).await.unwrap();
        assert_eq!(in_short(&january), "4 lines, 103.00 USD");
        let euro = CurrencyTotal {
            currency: "EUR".to_owned(),
            export_total: crate::testing::money("-1234.565"),
            lines: 1,
            invoice_ids: std::collections::BTreeSet::new(),
            lines_without_invoice: 1,
        };
        assert_eq!(in_short(&Generation { totals: vec![euro], ..january }), "1 line, -1,234.57 EUR");
    }
}

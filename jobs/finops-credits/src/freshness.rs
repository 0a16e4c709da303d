//! How recent the export is, against the as-of date: what a run cannot know yet is said with its figures.

use application::later_months_left_out;
use chrono::{NaiveDate, TimeDelta};
use credit_ledger::BillingPeriod;
use datafusion::functions_aggregate::expr_fn::max;
use datafusion::logical_expr::{col, lit};
use datafusion::scalar::ScalarValue;
use lake::{JobContext, Settings};
use schemas::records::Detected;
use schemas::tables::NetCost;
use serde::Serialize;

use crate::Failure;

/// AWS delivers a day's usage within a day or two.
const LATE: TimeDelta = TimeDelta::days(3);

/// How recent the export is.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Freshness {
    /// The newest usage up to the as-of date.
    pub(crate) newest_usage_date: Option<NaiveDate>,
    /// The export ends long before the as-of date: it may not be delivered any more.
    pub(crate) is_stale: bool,
    /// Billing periods that the export has after the as-of date: the run leaves them out.
    pub(crate) later_periods: Vec<BillingPeriod>,
    /// The settings that say the as-of date, where they do.
    pub(crate) as_of_pinned_in: Option<String>,
}

impl Freshness {
    /// Reads the newest usage date of what was staged.
    ///
    /// # Errors
    /// [`Failure`] from the lake or the engine.
    pub(crate) async fn read(
        context: &JobContext,
        detected: &Detected,
        as_of_pinned_in: Option<String>,
    ) -> Result<Self, Failure> {
        let newest_usage_date = newest_usage_date(context, detected).await?;
        Ok(Self {
            newest_usage_date,
            is_stale: newest_usage_date.is_some_and(|newest| context.as_of.signed_duration_since(newest) > LATE),
            later_periods: detected.later_periods.clone(),
            as_of_pinned_in,
        })
    }

    /// True where usage up to a date may still be missing: what is lost by then may become less.
    pub(crate) fn is_provisional(&self, end: Option<NaiveDate>) -> bool {
        self.is_stale && end.zip(self.newest_usage_date).is_some_and(|(end, newest)| end > newest)
    }

    /// `the export ends on 2026-10-20, 11 days before the as-of date …`
    pub(crate) fn stale(&self, as_of: NaiveDate) -> Option<String> {
        let newest = self.newest_usage_date.filter(|_| self.is_stale)?;
        let days = as_of.signed_duration_since(newest).num_days();
        Some(format!(
            "the export ends on {newest}, {days} days before the as-of date: it may not be delivered any more; what is lost \
             after that day is provisional"
        ))
    }

    /// What to say of a date that is pinned, and of months that are left out.
    pub(crate) fn left_out(&self, as_of: NaiveDate) -> Option<String> {
        let pinned = self.as_of_pinned_in.as_ref().map(|settings| format!("as_of is pinned to {as_of} in {settings}"));
        let left_out = later_months_left_out(&self.later_periods);
        match (pinned, left_out) {
            (Some(pinned), Some(left_out)) => Some(format!("{pinned}; {left_out}")),
            (pinned, left_out) => pinned.or(left_out),
        }
    }
}

/// What people call the settings where they, and not the command line, say the as-of date.
pub(crate) fn pinned_in(settings: &Settings, is_stated: bool) -> Option<String> {
    settings.run.as_of.filter(|_| !is_stated)?;
    let name = settings.name.strip_prefix("settings file ").unwrap_or(&settings.name);
    Some(name.rsplit('/').next().unwrap_or(name).to_owned())
}

async fn newest_usage_date(context: &JobContext, detected: &Detected) -> Result<Option<NaiveDate>, Failure> {
    let Some(newest) = detected.periods.iter().map(|detected| detected.period).max() else { return Ok(None) };
    let staged = context.run.frame::<NetCost>(&context.session, Some(newest)).await?;
    let until = ScalarValue::Date32(Some(arrow::datatypes::Date32Type::from_naive_date(context.as_of)));
    let newest = staged.filter(col("usage_date").lt_eq(lit(until)))?.aggregate(vec![], vec![max(col("usage_date"))])?;
    let batches = newest.collect().await?;
    let first = batches.first().and_then(|batch| batch.columns().first());
    let date = first.and_then(|column| ScalarValue::try_from_array(column, 0).ok());
    Ok(match date {
        Some(ScalarValue::Date32(Some(days))) => arrow::datatypes::Date32Type::to_naive_date_opt(days),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn pinned_date_and_months_left_out_are_one_sentence() {
        let periods = |of: &[&str]| of.iter().map(|period| period.parse().unwrap()).collect();
        let said = |later: &[&str], pinned: Option<&str>| {
            let pinned = pinned.map(str::to_owned);
            let fresh = Freshness { later_periods: periods(later), as_of_pinned_in: pinned, ..Freshness::default() };
            fresh.left_out(date("2026-10-31")).unwrap_or_default()
        };
        assert_eq!(
            said(&["2026-11", "2026-12"], Some("credits.toml")),
            "as_of is pinned to 2026-10-31 in credits.toml; 2 newer months of the export are left out: 2026-11, 2026-12"
        );
        assert_eq!(said(&[], Some("credits.toml")), "as_of is pinned to 2026-10-31 in credits.toml");
        assert_eq!(said(&["2026-11"], None), "1 newer month of the export is left out: 2026-11");
        assert_eq!(said(&[], None), "");
    }

    #[test]
    fn settings_that_pin_the_date_are_named_unless_the_command_line_says_another() {
        let of = |name: &str, as_of: &str, is_stated| {
            let text = format!(
                "source.location = \"cur\"\nreference.location = \"r\"\nlake.location = \"lake\"\n[run]\n{as_of}"
            );
            pinned_in(&Settings::parse(&text, name, ".").unwrap(), is_stated)
        };
        let pinned = "as_of = 2026-10-31";
        assert_eq!(of("settings file /etc/finops/credits.toml", pinned, false).as_deref(), Some("credits.toml"));
        assert_eq!(of("settings file s3://bucket/night.toml", pinned, false).as_deref(), Some("night.toml"));
        let named = of("settings (FINOPS_CREDITS_SETTINGS)", pinned, false);
        assert_eq!(named.as_deref(), Some("settings (FINOPS_CREDITS_SETTINGS)"));
        assert_eq!(of("settings file credits.toml", pinned, true), None);
        assert_eq!(of("settings file credits.toml", "", false), None);
    }

    #[test]
    fn what_is_lost_after_the_export_ends_is_provisional() {
        let newest_usage_date = Some(date("2026-10-20"));
        let stale = Freshness { newest_usage_date, is_stale: true, ..Freshness::default() };
        assert!(stale.is_provisional(Some(date("2026-10-25"))));
        assert!(!stale.is_provisional(Some(date("2026-10-20"))), "all its days were delivered");
        assert!(!stale.is_provisional(None));
        assert!(stale.stale(date("2026-10-31")).unwrap().starts_with("the export ends on 2026-10-20, 11 days before"));
        let fresh = Freshness { newest_usage_date, ..Freshness::default() };
        assert_eq!((fresh.stale(date("2026-10-22")), fresh.is_provisional(Some(date("2026-10-25")))), (None, false));
    }
}

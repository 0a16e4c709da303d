//! The job: goes through the months, oldest first, and applies what changed.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use credit_ledger::{BillingPeriod, Policy};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{TryStreamExt, stream};
use lake::{InputDigest, JobContext, LakeError, stream_of};
use schemas::TableRow;
use schemas::records::{Detected, Joined};
use schemas::tables::{AppliedByAws, Cell, CreditBalance, CreditConsumption, LotRow};

use crate::book::CreditBook;
use crate::draws::DRAWS_IN_MEMORY;
use crate::error::FifoError;
use crate::spend::PeriodSpend;

/// Consumes the lots first in, first out, month by month. A later month is reused if its inputs and opening balances are
/// unchanged.
///
/// # Errors
/// [`FifoError::Breach`] where an invariant does not hold, [`FifoError::Memory`] where a month does not fit,
/// [`FifoError`] from the lake.
pub async fn apply_fifo(context: &JobContext, detected: &Detected, joined: Joined) -> Result<(), FifoError> {
    let run = &context.run;
    let (lots, applied): (Vec<LotRow>, Vec<AppliedByAws>) = (run.rows(None).await?, run.rows(None).await?);
    let policy = context.settings.credits.policy()?;
    let mut book = CreditBook::open(policy, context.as_of, &lots, &applied)?;
    let months: Vec<BillingPeriod> = joined.first_period.through(context.last_period()).collect();
    let inputs = month_inputs(context, detected, &book, policy, &months)?;
    // Balances of the month before, where the book has not applied it itself.
    let (mut closing, mut reused) = (Vec::new(), None);
    for (month, inputs) in inputs {
        let inputs = inputs.with("opening", &left(&closing))?.finish();
        if is_reused(context, month, &inputs).await? {
            closing = run.rows(Some(month)).await?;
            reused = Some(month);
            continue;
        }
        if let Some(before) = reused.take() {
            resume(&mut book, before, &closing)?;
        }
        closing = apply(context, detected, &mut book, (month, &inputs)).await?;
    }
    Ok(())
}

/// Puts draws and balances of the published run in place again, where they are made from the same.
async fn is_reused(context: &JobContext, month: BillingPeriod, inputs: &str) -> Result<bool, LakeError> {
    let (run, month) = (&context.run, Some(month));
    Ok(run.reuse::<CreditBalance>(month, inputs).await? && run.reuse::<CreditConsumption>(month, inputs).await?)
}

/// Takes the book up after a month that was reused.
fn resume(book: &mut CreditBook, before: BillingPeriod, balances: &[CreditBalance]) -> Result<(), LakeError> {
    if book.resume(before, balances) {
        return Ok(());
    }
    let message = format!(
        "the published credit_balances of {before} are not of the lots that its manifest says; remove the manifest.json of \
         the published run and run again, which makes everything again"
    );
    Err(LakeError::Damaged(message))
}

/// Applies the credits to one month. Returns its balances.
async fn apply(
    context: &JobContext,
    detected: &Detected,
    book: &mut CreditBook,
    (month, inputs): (BillingPeriod, &str),
) -> Result<Vec<CreditBalance>, FifoError> {
    let pool = &context.session.runtime_env().memory_pool;
    let reserved = MemoryConsumer::new("apply-fifo").register(pool);
    let spend = read_spend(context, detected, book, month, |needed| {
        let fits = reserved.try_resize(needed.saturating_add(DRAWS_IN_MEMORY));
        fits.map_err(|_refused| FifoError::Memory { period: month, needed: needed as u64 })
    });
    let applied = book.apply(spend.await?)?;
    tracing::info!(period = %month, draws = applied.consumption.rows(), "credits applied");
    let draws = stream::iter(applied.consumption.map(|batch| batch.map_err(Into::into)));
    let draws = RecordBatchStreamAdapter::new(CreditConsumption::TABLE.schema(), draws);
    context.run.write_reusable::<CreditConsumption>(Some(month), inputs, Box::pin(draws)).await?;
    drop(reserved);
    context.run.write_reusable::<CreditBalance>(Some(month), inputs, stream_of(&applied.balances)?).await?;
    Ok(applied.balances)
}

/// Reads the spend of a month that lots may draw on, as far as it fits.
async fn read_spend(
    context: &JobContext,
    detected: &Detected,
    book: &CreditBook,
    month: BillingPeriod,
    fits: impl Fn(usize) -> Result<(), FifoError>,
) -> Result<PeriodSpend, FifoError> {
    let mut reader = book.spend_reader(month);
    if reader.wants_cells() && detected.has(month) {
        let mut batches = context.run.stream::<Cell>(Some(month)).await?;
        while let Some(batch) = batches.try_next().await? {
            reader.read(&batch)?;
            fits(reader.memory())?;
        }
    }
    Ok(reader.into_spend())
}

/// What is left of each lot: a month's draws depend on that, not on how it arose.
fn left(balances: &[CreditBalance]) -> Vec<(&str, i32, credit_ledger::Money)> {
    balances.iter().map(|row| (row.credit_key.as_str(), row.lot, row.remaining)).collect()
}

/// What draws and balances of each month are made from, beside the opening balances: the lots that count by then, what AWS
/// applied, and the cells.
fn month_inputs(
    context: &JobContext,
    detected: &Detected,
    book: &CreditBook,
    policy: Policy,
    months: &[BillingPeriod],
) -> Result<BTreeMap<BillingPeriod, InputDigest>, FifoError> {
    let mut lots: Vec<_> = book.lots().map(|lot| (lot.first_balance(), lot)).collect();
    // A digest of all lots so far: each lot is taken in once.
    let mut known = InputDigest::of_table::<CreditConsumption>()
        .with("balances", &InputDigest::of_table::<CreditBalance>().finish())?
        .with("policy", policy.name())?
        .with("first month", &months.first())?;
    let mut inputs = BTreeMap::new();
    for month in months.iter().copied() {
        for (_, lot) in lots.extract_if(.., |(first, _)| *first <= month) {
            known = known.with("lot", lot)?;
        }
        // Of the as-of date a month needs to know which lots have ended in it: a new date alone changes nothing else.
        let ended = |end: &NaiveDate| month.contains(*end) && *end < context.as_of;
        let mut of_month = known.clone();
        for lot in book.lots().filter(|lot| lot.end_date.as_ref().is_some_and(ended)) {
            of_month = of_month.with("ended", &(&lot.credit_key, lot.lot))?;
        }
        for (credit_key, amount) in book.aws_applied(month) {
            of_month = of_month.with("applied by AWS", &(credit_key, amount))?;
        }
        if detected.has(month) {
            of_month = of_month.with("cells", &context.run.inputs_of::<Cell>(Some(month))?)?;
        }
        inputs.insert(month, of_month);
    }
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::NaiveDateTime;
    use credit_ledger::Money;
    use datafusion::prelude::SessionContext;
    use lake::{Lake, Run, Settings, StagedRun};
    use schemas::records::{DetectedPeriod, InboxFiles, PeriodSource};

    use super::*;

    const MONTHS: [&str; 3] = ["2026-01", "2026-02", "2026-03"];

    fn money(text: &str) -> Money {
        text.parse().unwrap()
    }

    async fn context(folder: &std::path::Path, id: &str, as_of: &str) -> JobContext {
        let location = folder.display();
        let text =
            format!("source.location = \"cur\"\nreference.location = \"reference\"\nlake.location = \"{location}\"");
        let settings = Settings::parse(&text, "settings", ".").unwrap();
        let lake = Arc::new(Lake::open_local(&settings).await.unwrap());
        JobContext {
            run: Run::new(lake, id),
            session: SessionContext::new(),
            settings,
            as_of: as_of.parse().unwrap(),
            now: NaiveDateTime::default(),
        }
    }

    fn lot(amount: &str) -> LotRow {
        LotRow {
            credit_key: "id:1".into(),
            lot: 1,
            promotion_code: "MAP".into(),
            account_id: "1".into(),
            business_unit: Some("Retail".into()),
            department: None,
            portfolio: None,
            product: None,
            currency: "USD".into(),
            amount: money(amount),
            issue_date: "2026-01-01".parse().unwrap(),
            first_cur_date: "2026-01-02".parse().unwrap(),
            end_date: None,
            reference: None,
            from_period: None,
            continues_lot: None,
        }
    }

    fn cell(month: &str, eligible: &str) -> Cell {
        Cell {
            usage_date: format!("{month}-05").parse().unwrap(),
            payer_account_id: "9".into(),
            account_id: "1".into(),
            service: None,
            currency: "USD".into(),
            business_unit: Some("Retail".into()),
            department: None,
            portfolio: None,
            product: None,
            charges: money(eligible),
            tax: Money::ZERO,
            refunds: Money::ZERO,
            aws_credits: Money::ZERO,
            eligible_charges: money(eligible),
            unblended_charges: money(eligible),
        }
    }

    fn detected() -> Detected {
        let period = |month: &&str| DetectedPeriod {
            period: month.parse().unwrap(),
            fingerprint: String::new(),
            lines: 1,
            source: PeriodSource::Read,
            blank_costs: 0,
            unknown_line_types: BTreeMap::new(),
            notes: schemas::PeriodNotes::default(),
        };
        Detected {
            as_of: "2026-03-31".parse().unwrap(),
            format: String::new(),
            periods: MONTHS.iter().map(period).collect(),
            later_periods: Vec::new(),
            left_out: Vec::new(),
            fetched: None,
            inbox: InboxFiles::default(),
        }
    }

    /// A night with one lot and this eligible spend by month. Says what was left after each month, with a `*` where the month
    /// was applied, not reused.
    async fn night(folder: &std::path::Path, (id, as_of): (&str, &str), lot: LotRow, spend: [&str; 3]) -> String {
        let context = context(folder, id, as_of).await;
        let run = &context.run;
        run.begin().await.unwrap();
        run.write(None, &[lot]).await.unwrap();
        run.write::<AppliedByAws>(None, &[]).await.unwrap();
        for (month, spend) in MONTHS.iter().zip(spend) {
            let cells = stream_of(&[cell(month, spend)]).unwrap();
            run.write_reusable::<Cell>(month.parse().ok(), &format!("{month} {spend}"), cells).await.unwrap();
        }
        let first_period = MONTHS[0].parse().unwrap();
        apply_fifo(&context, &detected(), Joined { first_period }).await.unwrap();
        let staged = StagedRun {
            follows: run.lake().published().await.unwrap(),
            as_of: context.as_of,
            policy: String::new(),
            started_at: context.now,
            months: (first_period, context.last_period()),
            periods: Vec::new(),
        };
        let before = staged.follows.clone();
        run.finish_staging(staged).await.unwrap();
        run.lake().publish(id, context.now).await.unwrap();
        let mut left = Vec::new();
        for month in MONTHS {
            let rows: Vec<CreditBalance> = run.rows(month.parse().ok()).await.unwrap();
            let file =
                |id: &str| folder.join(format!("runs/{id}/credit_balances/billing_period={month}/part-0.parquet"));
            let inode = |id: &str| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(file(id)).unwrap());
            let is_reused = before.as_deref().is_some_and(|before| inode(before) == inode(id));
            left.push(format!("{}{}", rows[0].remaining.units() / 10_000_000_000, if is_reused { "" } else { "*" }));
        }
        left.join(" ")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn month_is_applied_again_only_if_its_inputs_or_opening_balances_changed() {
        let folder = tempfile::tempdir().unwrap();
        let night = async |id, amount, spend| night(folder.path(), (id, "2026-03-31"), lot(amount), spend).await;
        assert_eq!(night("a", "100", ["10", "20", "30"]).await, "90* 70* 40*");
        assert_eq!(night("b", "100", ["10", "20", "30"]).await, "90 70 40", "nothing changed");
        assert_eq!(night("c", "100", ["10", "20", "5"]).await, "90 70 65*", "March changed");
        assert_eq!(night("d", "100", ["15", "20", "5"]).await, "85* 65* 60*", "January left less");
        assert_eq!(night("e", "100", ["15", "100", "5"]).await, "85 0* 0*", "February took the rest");
        assert_eq!(
            night("f", "100", ["15", "200", "5"]).await,
            "85 0* 0",
            "it left as much to March as before: nothing"
        );
        assert_eq!(night("g", "200", ["15", "200", "5"]).await, "185* 0* 0*", "the lot grew");
    }
    #[tokio::test(flavor = "multi_thread")]
    async fn new_date_alone_changes_a_month_only_where_a_lot_ended() {
        let folder = tempfile::tempdir().unwrap();
        let ends = |end: &str| LotRow { end_date: end.parse().ok(), ..lot("100") };
        let night = async |id, date| night(folder.path(), (id, date), ends("2026-03-20"), ["10", "20", "30"]).await;
        assert_eq!(night("a", "2026-03-10").await, "90* 70* 40*");
        assert_eq!(night("b", "2026-03-20").await, "90 70 40", "it may draw to the end of its last day");
        assert_eq!(night("c", "2026-03-21").await, "90 70 0*", "what is left has lapsed");
        assert_eq!(night("d", "2026-03-31").await, "90 70 0");
    }
}

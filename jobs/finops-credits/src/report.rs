//! What a run found, as data: for the summary at its end and for machines.

use std::collections::BTreeMap;

use application::{ExportRead, TieOut};
use chrono::NaiveDate;
use credit_ledger::{BillingPeriod, Money, MoneyError, Text};
use hashbrown::{HashMap, HashSet};
use join_allocations::finding::Finding;
use join_allocations::{not_recorded, taken_over};
use lake::{JobContext, LakeError, ReferenceFiles};
use schemas::TableRow;
use schemas::records::{Detected, InboxFiles};
use schemas::tables::{AllocationIssue, AllocationLogRow, Credit, NetCostSummary, Reconciliation, RegisteredCredit};
use serde::Serialize;
use write_net_cost::changes::{Changes, changes_between};
use write_net_cost::standing::{AsOf, EndingLot};
use write_net_cost::{NetCostError, WrittenCredits};

use crate::Failure;
use crate::freshness::Freshness;

/// Everything the summary says, as `--format json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) run_id: String,
    pub(crate) as_of: NaiveDate,
    pub(crate) export: ExportRead,
    pub(crate) credits: CreditsPart,
    pub(crate) allocation_issues: Vec<String>,
    /// Files of the inbox that this run took or refused.
    pub(crate) inbox: InboxFiles,
    /// Since the published run; none where there is none.
    pub(crate) changes: Option<Changes>,
    /// Why they cannot be told.
    pub(crate) changes_unknown: Option<String>,
    /// What somebody should look at in the reference files.
    pub(crate) checks: Vec<Finding>,
    /// Rows of the reference folder's `allocations.csv` that are not what is recorded.
    pub(crate) edited_allocations: Vec<u64>,
    pub(crate) freshness: Freshness,
    /// Latest period with lines.
    pub(crate) latest_period: Option<BillingPeriod>,
    pub(crate) net_cost_by_business_unit: Vec<NetCostSummary>,
    pub(crate) tie_out: Vec<TieOut>,
    pub(crate) published: bool,
    /// Why it is not.
    pub(crate) not_published: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CreditsPart {
    pub(crate) registered: usize,
    pub(crate) new: Vec<CreditAmount>,
    pub(crate) waiting: Vec<CreditAmount>,
    pub(crate) expiring_soon: Vec<CreditAmount>,
    pub(crate) expired: Vec<CreditAmount>,
    /// Those that were not expiring soon, or expired, in the published run.
    pub(crate) newly_expiring: usize,
    pub(crate) newly_expired: usize,
    pub(crate) oldest_waiting_days: i32,
}

/// A credit and the amount that matters: applied by AWS so far (new, waiting), left (expiring soon), lost (expired).
#[derive(Debug, Serialize)]
pub(crate) struct CreditAmount {
    pub(crate) credit_key: Text,
    pub(crate) currency: Text,
    pub(crate) amount: Money,
    pub(crate) end_date: Option<NaiveDate>,
    /// Usage that would lessen it may still be missing in the export.
    pub(crate) provisional: bool,
}

impl Report {
    /// Reads back what was staged, before it is published.
    ///
    /// # Errors
    /// [`Failure`] from the lake; where a sum leaves the range of money.
    pub(crate) async fn read(
        context: &JobContext,
        detected: &Detected,
        credits: &WrittenCredits,
        checks: Vec<Finding>,
        reference: &ReferenceFiles,
        as_of_pinned_in: Option<String>,
    ) -> Result<Self, Failure> {
        let run = &context.run;
        let freshness = Freshness::read(context, detected, as_of_pinned_in).await?;
        let (issues, mut reconciliation): (Vec<AllocationIssue>, Vec<Reconciliation>) =
            (run.rows(None).await?, Vec::new());
        for period in &detected.periods {
            reconciliation.extend(run.rows::<Reconciliation>(Some(period.period)).await?);
        }
        let latest_period = detected.periods.iter().map(|detected| detected.period).max();
        let mut by_unit: Vec<NetCostSummary> = match latest_period {
            Some(_) => run.rows(latest_period).await?,
            None => Vec::new(),
        };
        let (changes, changes_unknown) = changes(context).await?;
        by_unit.retain(|row| row.level == 1);
        by_unit
            .sort_by(|left, right| (&left.currency, &left.business_unit).cmp(&(&right.currency, &right.business_unit)));
        Ok(Self {
            run_id: run.id().to_owned(),
            as_of: context.as_of,
            export: ExportRead::of(detected),
            credits: CreditsPart::read(context, credits, changes.as_ref(), &freshness).await?,
            allocation_issues: issues
                .iter()
                .map(|issue| format!("{} lot {}: {}", issue.allocation_id, issue.lot, issue.problem))
                .collect(),
            inbox: detected.inbox.clone(),
            changes,
            changes_unknown,
            checks,
            edited_allocations: edited_allocations(context, reference).await?,
            freshness,
            latest_period,
            net_cost_by_business_unit: by_unit,
            tie_out: TieOut::of(&reconciliation)?,
            published: false,
            not_published: None,
        })
    }
}

/// What changed since the published run, or why that cannot be told: a run does not fail for what it makes again.
async fn changes(context: &JobContext) -> Result<(Option<Changes>, Option<String>), Failure> {
    let lake = context.run.lake();
    let Some(published) = lake.published().await? else { return Ok((None, None)) };
    let changes = async {
        let (from, to) = (lake.open_run(&published).await?, lake.open_run(context.run.id()).await?);
        changes_between(&from, &to).await
    };
    match changes.await {
        Ok(changes) => Ok((Some(changes), None)),
        Err(NetCostError::Lake(LakeError::Damaged(problem))) => Ok((None, Some(problem))),
        Err(other) => Err(other.into()),
    }
}

impl CreditsPart {
    async fn read(
        context: &JobContext,
        written: &WrittenCredits,
        changes: Option<&Changes>,
        freshness: &Freshness,
    ) -> Result<Self, Failure> {
        let run = &context.run;
        let known = run.lake().published_texts(&Credit::TABLE, "credit_key").await?;
        let known_as = run.lake().published_texts(&Credit::TABLE, "status").await?;
        let mut part = Self::of(written, &known)?;
        let was: HashMap<&Text, &str> = known.iter().zip(known_as.iter().map(Text::as_str)).collect();
        let is_now = |credit: &Credit, status: &str| {
            credit.status == status && was.get(&credit.credit_key).is_none_or(|was| *was != status)
        };
        let news = EndingNews::since(changes, context.settings.credits.expiring_soon_days);
        let count = |status: &str, is_news: &dyn Fn(&Text, &EndingLot) -> bool| {
            let of = |credit: &Credit| written.ending.get(&credit.credit_key).into_iter().flatten();
            let is_news =
                |credit: &&Credit| is_now(credit, status) || of(credit).any(|lot| is_news(&credit.credit_key, lot));
            written.credits.iter().filter(is_news).count()
        };
        part.newly_expiring = count("expiring_soon", &|key, lot| news.is_newly_soon(key, lot));
        part.newly_expired = count("expired", &|key, lot| news.is_newly_lost(key, lot));
        for credit in &mut part.expired {
            credit.provisional = freshness.is_provisional(credit.end_date);
        }
        Ok(part)
    }

    /// What the tables say of credits; all but those of `known` are new. All in order of the key; what ends also of its day.
    fn of(WrittenCredits { credits, queue, ending }: &WrittenCredits, known: &[Text]) -> Result<Self, MoneyError> {
        let mut known = known.iter().peekable();
        let is_new = |credit: &&Credit| {
            while known.next_if(|key| **key < credit.credit_key).is_some() {}
            known.next_if(|key| **key == credit.credit_key).is_none()
        };
        let amount_of = |credit_key: &Text, currency: &Text, amount, end_date| CreditAmount {
            credit_key: credit_key.clone(),
            currency: currency.clone(),
            amount,
            end_date,
            provisional: false,
        };
        let new = credits.iter().filter(is_new);
        let new =
            new.map(|credit| amount_of(&credit.credit_key, &credit.currency, credit.aws_applied, credit.end_date));
        let waiting = queue.iter().map(|row| amount_of(&row.credit_key, &row.currency, row.aws_applied, None));
        // Lots of one credit may end on different days: some have lapsed while others end soon.
        let ending = |of: fn(&EndingLot) -> Money| {
            let mut amounts = Vec::new();
            for credit in credits {
                let mut by_end: BTreeMap<NaiveDate, Money> = BTreeMap::new();
                for lot in ending.get(&credit.credit_key).into_iter().flatten().filter(|lot| of(lot).is_positive()) {
                    let sum = by_end.entry(lot.end_date).or_default();
                    *sum = sum.checked_add(of(lot))?;
                }
                let of_credit = by_end.into_iter();
                amounts.extend(
                    of_credit.map(|(end, amount)| amount_of(&credit.credit_key, &credit.currency, amount, Some(end))),
                );
            }
            Ok::<_, MoneyError>(amounts)
        };
        Ok(Self {
            registered: credits.len(),
            new: new.collect(),
            waiting: waiting.collect(),
            expiring_soon: ending(|lot| lot.left)?,
            expired: ending(|lot| lot.lost)?,
            newly_expiring: 0,
            newly_expired: 0,
            oldest_waiting_days: queue.iter().map(|row| row.days_waiting).max().unwrap_or(0),
        })
    }
}

/// Which ends the published run did not have yet.
struct EndingNews<'a> {
    /// As of its date.
    then: Option<AsOf>,
    /// Lots that people recorded or changed since.
    recorded: HashSet<(&'a Text, i32)>,
}

impl<'a> EndingNews<'a> {
    fn since(changes: Option<&'a Changes>, expiring_soon_days: u32) -> Self {
        let then = changes.map(|changes| AsOf { date: changes.from.as_of, expiring_soon_days });
        let credits = changes.into_iter().flat_map(|changes| &changes.credits);
        let lots = credits.flat_map(|credit| credit.lots.iter().map(|lot| (&credit.credit_key, lot.lot)));
        Self { then, recorded: lots.collect() }
    }

    fn is_newly_soon(&self, key: &Text, lot: &EndingLot) -> bool {
        let was_far = |then: AsOf| lot.end_date > then.date && !then.is_soon(lot.end_date);
        lot.left.is_positive() && (self.then.is_some_and(was_far) || self.recorded.contains(&(key, lot.lot)))
    }

    fn is_newly_lost(&self, key: &Text, lot: &EndingLot) -> bool {
        let was_ahead = |then: AsOf| lot.end_date >= then.date;
        lot.lost.is_positive() && (self.then.is_some_and(was_ahead) || self.recorded.contains(&(key, lot.lot)))
    }
}

/// Rows of the reference folder's `allocations.csv` that are not what is recorded: it is taken over once.
async fn edited_allocations(context: &JobContext, reference: &ReferenceFiles) -> Result<Vec<u64>, Failure> {
    if reference.allocations.is_empty() {
        return Ok(Vec::new());
    }
    let register: Vec<RegisteredCredit> = context.run.rows(None).await?;
    let log: Vec<AllocationLogRow> = context.run.lake().logs().read().await?;
    Ok(not_recorded(&reference.allocations, &register, &reference.hierarchy, &log, &taken_over(context)))
}

#[cfg(test)]
mod tests;

//! Cost and draws below a node, read as far as a page can show them.

use application::{Failure, Kind, collected};
use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use credit_ledger::{BillingPeriod, Money, Node, Periods, Text};
use datafusion::logical_expr::{Expr, col, lit};
use datafusion::prelude::DataFrame;
use lake::Selection;
use maud::html;
use schemas::tables::{CreditConsumption, NetCost};
use schemas::{TableRow, column_values, from_batches};

use super::address::NO_SERVICE;
use super::books::{Amounts, BOOKS};
use super::lines::{self, ByCredit, Day, Spent};
use crate::asked::Asked;
use crate::page::Page;
use crate::pages::summaries::span;

/// Rows that a table has at most: its file would be no page any more.
const MOST: usize = 50_000;

/// What the address asks for, in the months that are shown.
pub(super) struct Drill<'a> {
    asked: &'a Asked,
    months: Periods,
    /// The months in words.
    shown: String,
}

impl<'a> Drill<'a> {
    /// None without a month.
    pub(super) fn of(asked: &'a Asked, months: &[BillingPeriod]) -> Result<Option<Self>, Failure> {
        let (Some(first), Some(last)) = (months.first(), months.last()) else { return Ok(None) };
        let periods = format!("{first}..{last}").parse::<Periods>();
        let periods = periods.map_err(|error| Failure::new(Kind::Usage, error.to_string()))?;
        Ok(Some(Self { asked, months: periods, shown: span(months) }))
    }

    /// Adds cost by account and service.
    pub(super) async fn add_accounts(&self, page: Page) -> Result<Page, Failure> {
        let Some(batch) = self.sums(&["account_id", "service", "currency"]).await? else {
            return Ok(too_many(page, "accounts and services"));
        };
        let (accounts, services) = (
            column_values::<NetCost, Text>(&batch, "account_id")?,
            column_values::<NetCost, Option<Text>>(&batch, "service")?,
        );
        let currencies = column_values::<NetCost, Text>(&batch, "currency")?;
        let rows = accounts.into_iter().zip(services).zip(currencies).zip(amounts(&batch)?);
        let rows =
            rows.map(|(((account_id, service), currency), amounts)| Spent { account_id, service, currency, amounts });
        Ok(page.sheet(lines::by_account_and_service(self.asked, &self.shown, rows.collect())))
    }

    /// Adds the credits whose draws are the credits applied.
    pub(super) async fn add_credits(&self, page: Page) -> Result<Page, Failure> {
        const LEVELS: [&str; 4] = ["credit_business_unit", "credit_department", "credit_portfolio", "credit_product"];
        let keys = ["credit_key", "lot", "currency"].into_iter().chain(LEVELS).map(col).collect();
        let frame = self.frame(CreditConsumption::TABLE.name).await?;
        let frame = frame.aggregate(keys, vec![money_sql::sum(col("used")).alias("used")])?;
        let Some(batch) = self.bounded(frame).await? else { return Ok(too_many(page, "lots")) };
        let [units, departments, portfolios, products] =
            LEVELS.map(|level| column_values::<CreditConsumption, Option<Text>>(&batch, level));
        let nodes = units?.into_iter().zip(departments?).zip(portfolios?).zip(products?);
        let nodes = nodes.map(|(((unit, department), portfolio), product)| {
            Node::from_levels([unit, department, portfolio, product]).ok()
        });
        let (credits, lots) = (
            column_values::<CreditConsumption, Text>(&batch, "credit_key")?,
            column_values::<CreditConsumption, i32>(&batch, "lot")?,
        );
        let (currencies, used) = (
            column_values::<CreditConsumption, Text>(&batch, "currency")?,
            column_values::<CreditConsumption, Money>(&batch, "used")?,
        );
        let rows = credits.into_iter().zip(lots).zip(nodes).zip(currencies).zip(used);
        let rows = rows.map(|((((credit_key, lot), node), currency), used)| ByCredit {
            credit_key,
            lot,
            node,
            currency,
            used,
        });
        Ok(page.sheet(lines::by_credit(&self.shown, rows.collect())))
    }

    /// Adds what an account or a service is made of: its other side, days, and the cost lines and draws of an account.
    pub(super) async fn add_lines(&self, mut page: Page) -> Result<Page, Failure> {
        let stated = |name: &str| self.asked.filter.stated(name).is_some();
        if !(stated("account") && stated("service")) {
            page = self.add_accounts(page).await?;
        }
        let Some(days) = self.days().await? else { return Ok(too_many(page, "days")) };
        page = page.sheet(lines::by_day(&self.shown, &days));
        if !stated("account") {
            return Ok(page.text(html! { p.note { "Choose an account to see its cost lines and draws." } }));
        }
        page = match self.rows::<NetCost>().await? {
            Some(cells) => page.sheet(lines::cost_lines(&cells)),
            None => too_many(page, "cost lines"),
        };
        Ok(match self.rows::<CreditConsumption>().await? {
            Some(draws) => page.sheet(lines::draws(&draws)).text(lines::tie_out(&days, &draws)?),
            None => too_many(page, "draws"),
        })
    }

    async fn days(&self) -> Result<Option<Vec<Day>>, Failure> {
        let Some(batch) = self.sums(&["usage_date", "currency"]).await? else { return Ok(None) };
        let (days, currencies) =
            (column_values::<NetCost, _>(&batch, "usage_date")?, column_values::<NetCost, Text>(&batch, "currency")?);
        let rows = days.into_iter().zip(currencies).zip(amounts(&batch)?);
        let mut rows: Vec<Day> =
            rows.map(|((usage_date, currency), amounts)| Day { usage_date, currency, amounts }).collect();
        rows.sort_by(|left, right| (left.usage_date, &left.currency).cmp(&(right.usage_date, &right.currency)));
        Ok(Some(rows))
    }

    /// The rows of a table that the address asks for.
    async fn frame(&self, table: &'static str) -> Result<DataFrame, Failure> {
        let (context, filter) = (&self.asked.context, &self.asked.filter);
        let selection = Selection { periods: Some(self.months), node: filter.node.clone() };
        let frame = context.lake.selected(&context.session()?, table, &selection).await?;
        let equal = |column: &str, value: &str| col(column).eq(lit(value));
        let service = |service: &str| match service {
            NO_SERVICE => col("service").is_null(),
            service => equal("service", service),
        };
        let conditions: [Option<Expr>; 3] = [
            filter.currency.as_deref().map(|currency| equal("currency", currency)),
            filter.stated("account").map(|account| equal("account_id", account)),
            filter.stated("service").map(service),
        ];
        Ok(conditions.into_iter().flatten().try_fold(frame, DataFrame::filter)?)
    }

    /// The amounts of both books by these columns.
    async fn sums(&self, keys: &[&str]) -> Result<Option<RecordBatch>, Failure> {
        let sums = BOOKS.map(|(name, _)| money_sql::sum(col(name)).alias(name));
        let frame = self.frame(NetCost::TABLE.name).await?;
        let keys = keys.iter().map(|key| col(*key)).collect();
        self.bounded(frame.aggregate(keys, sums.into())?).await
    }

    async fn rows<R: TableRow>(&self) -> Result<Option<Vec<R>>, Failure> {
        let batch = self.bounded(self.frame(R::TABLE.name).await?).await?;
        Ok(batch.map(|batch| from_batches(&[batch])).transpose()?)
    }

    /// What a plan gives; none where that is too much.
    async fn bounded(&self, frame: DataFrame) -> Result<Option<RecordBatch>, Failure> {
        let batches = collected(&self.asked.context, frame.limit(0, Some(MOST + 1))?).await?;
        let Some(first) = batches.first() else { return Ok(None) };
        let whole = concat_batches(&first.schema(), &batches).map_err(|error| unread(&error.to_string()))?;
        Ok((whole.num_rows() <= MOST).then_some(whole))
    }
}

fn too_many(page: Page, what: &str) -> Page {
    page.text(html! {
        p.note.warning {
            "These are more than 50,000 " (what) ": choose fewer months, a node further down, an account or a service."
        }
    })
}

fn amounts(batch: &RecordBatch) -> Result<Vec<Amounts>, Failure> {
    let mut rows = vec![Amounts::default(); batch.num_rows()];
    for (place, (name, _)) in BOOKS.into_iter().enumerate() {
        for (row, amount) in rows.iter_mut().zip(column_values::<NetCost, Money>(batch, name)?) {
            if let Some(cell) = row.get_mut(place) {
                *cell = amount;
            }
        }
    }
    Ok(rows)
}

fn unread(problem: &str) -> Failure {
    Failure::new(Kind::CheckFailed, format!("net cost cannot be read: {problem}"))
}

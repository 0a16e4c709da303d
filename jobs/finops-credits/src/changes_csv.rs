//! What changed between two runs as one flat table: a row for every figure that is another.

use arrow::record_batch::RecordBatch;
use credit_ledger::{Money, Text};
use datafusion::error::DataFusionError;
use schemas::ColumnValue;
use write_net_cost::changes::{
    AmountChange, Changes, CreditChange, CreditFigures, LotChange, LotTerms, MonthChange, UnitChange,
};

use crate::Failure;
use crate::changes_text::reason_text;

/// A figure of a business unit.
type AmountOf = fn(&UnitChange) -> &AmountChange;

/// What a credit has of something.
type Of<T> = fn(&CreditFigures) -> Option<T>;

/// One figure in both runs: an amount, or a text.
#[derive(Debug, Clone, Default)]
struct Row {
    section: Text,
    billing_period: Option<Text>,
    currency: Text,
    node: Option<Text>,
    credit_key: Option<Text>,
    lot: Option<i32>,
    figure: Text,
    from_amount: Option<Money>,
    to_amount: Option<Money>,
    change: Option<Money>,
    from_text: Option<Text>,
    to_text: Option<Text>,
    why: Option<Text>,
}

/// All rows, past months first.
pub(crate) fn flat(changes: &Changes) -> Result<RecordBatch, Failure> {
    let mut rows = Vec::new();
    for (section, months) in [("past_months", &changes.past_months), ("current_months", &changes.current_months)] {
        for month in months {
            add_month(&mut rows, section, month);
        }
    }
    for credit in &changes.credits {
        add_credit(&mut rows, credit);
    }
    let columns = [
        ("section", Text::to_array(rows.iter().map(|row| &row.section))),
        ("billing_period", Option::to_array(rows.iter().map(|row| &row.billing_period))),
        ("currency", Text::to_array(rows.iter().map(|row| &row.currency))),
        ("node", Option::to_array(rows.iter().map(|row| &row.node))),
        ("credit_key", Option::to_array(rows.iter().map(|row| &row.credit_key))),
        ("lot", Option::to_array(rows.iter().map(|row| &row.lot))),
        ("figure", Text::to_array(rows.iter().map(|row| &row.figure))),
        ("from_amount", Option::to_array(rows.iter().map(|row| &row.from_amount))),
        ("to_amount", Option::to_array(rows.iter().map(|row| &row.to_amount))),
        ("change", Option::to_array(rows.iter().map(|row| &row.change))),
        ("from_text", Option::to_array(rows.iter().map(|row| &row.from_text))),
        ("to_text", Option::to_array(rows.iter().map(|row| &row.to_text))),
        ("why", Option::to_array(rows.iter().map(|row| &row.why))),
    ];
    Ok(RecordBatch::try_from_iter(columns).map_err(DataFusionError::from)?)
}

impl Row {
    fn amounts(self, figure: &str, from: Option<Money>, to: Option<Money>) -> Option<Self> {
        let change = AmountChange::of(from.unwrap_or_default(), to.unwrap_or_default()).ok();
        let change = change.map(|change| change.change);
        (from != to).then(|| Self { figure: figure.into(), from_amount: from, to_amount: to, change, ..self })
    }

    fn texts(self, figure: &str, from: Option<Text>, to: Option<Text>) -> Option<Self> {
        (from != to).then(|| Self { figure: figure.into(), from_text: from, to_text: to, ..self })
    }
}

fn add_month(rows: &mut Vec<Row>, section: &str, month: &MonthChange) {
    let why: Vec<String> = month.why.iter().map(|reason| reason_text(reason, month)).collect();
    let of_month = Row {
        section: section.into(),
        billing_period: Some(month.billing_period.to_string().into()),
        currency: month.currency.clone(),
        why: Some(why.join("; ").into()),
        ..Row::default()
    };
    let figures: [(&str, AmountOf); 6] = [
        ("gross_cost", |unit| &unit.gross_cost),
        ("refunds", |unit| &unit.refunds),
        ("aws_credits", |unit| &unit.aws_credits),
        ("credits_applied", |unit| &unit.credits_applied),
        ("net_cost", |unit| &unit.net_cost),
        ("clearing", |unit| &unit.clearing),
    ];
    for unit in &month.business_units {
        let of_unit = Row { node: Some(unit.business_unit.clone()), ..of_month.clone() };
        let amounts = figures.iter().map(|(name, figure)| (name, figure(unit)));
        rows.extend(
            amounts.filter_map(|(name, change)| of_unit.clone().amounts(name, Some(change.from), Some(change.to))),
        );
    }
    for budget in &month.budgets {
        let node = budget.node.as_ref().map(|node| node.to_string().into());
        rows.extend(Row { node, ..of_month.clone() }.amounts("budget_amount", budget.from, budget.to));
    }
}

fn add_credit(rows: &mut Vec<Row>, credit: &CreditChange) {
    let of_credit = Row {
        section: Text::new_static("credits"),
        currency: credit.currency.clone(),
        credit_key: Some(credit.credit_key.clone()),
        ..Row::default()
    };
    let (from, to) = (credit.from.as_ref(), credit.to.as_ref());
    let amounts: [(&str, Of<Money>); 5] = [
        ("allocated_amount", |of| of.allocated_amount),
        ("used", |of| of.used),
        ("expired", |of| of.expired),
        ("remaining", |of| of.remaining),
        ("aws_applied", |of| Some(of.aws_applied)),
    ];
    let texts: [(&str, Of<Text>); 6] = [
        ("status", |of| Some(of.status.clone())),
        ("issue_date", |of| Some(of.issue_date.to_string().into())),
        ("end_date", |of| of.end_date.map(|end| end.to_string().into())),
        ("reference", |of| of.reference.clone()),
        ("recorded_by", |of| of.recorded_by.clone()),
        ("recorded_at", |of| of.recorded_at.map(|at| at.to_string().into())),
    ];
    rows.extend(
        texts
            .into_iter()
            .filter_map(|(name, text)| of_credit.clone().texts(name, from.and_then(text), to.and_then(text))),
    );
    rows.extend(
        amounts
            .into_iter()
            .filter_map(|(name, amount)| of_credit.clone().amounts(name, from.and_then(amount), to.and_then(amount))),
    );
    for lot in &credit.lots {
        add_lot(rows, &of_credit, lot);
    }
    for month in &credit.months {
        let of_month = Row { billing_period: Some(month.billing_period.to_string().into()), ..of_credit.clone() };
        for (name, change) in [("used", &month.used), ("expired", &month.expired)] {
            rows.extend(of_month.clone().amounts(name, Some(change.from), Some(change.to)));
        }
    }
}

fn add_lot(rows: &mut Vec<Row>, of_credit: &Row, change: &LotChange) {
    let of_lot = Row { lot: Some(change.lot), ..of_credit.clone() };
    let (from, to) = (change.from.as_ref(), change.to.as_ref());
    let node = |terms: &LotTerms| Text::from(terms.node.to_string());
    let end = |terms: &LotTerms| terms.end_date.map(|end| Text::from(end.to_string()));
    rows.extend(of_lot.clone().texts("node", from.map(node), to.map(node)));
    rows.extend(of_lot.clone().amounts("amount", from.map(|of| of.amount), to.map(|of| of.amount)));
    rows.extend(of_lot.texts("end_date", from.and_then(end), to.and_then(end)));
}

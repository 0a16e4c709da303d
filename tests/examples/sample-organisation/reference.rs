//! The reference files: hierarchy, cost rules, budgets and allocations, from tables that are shorter to read.
//!
//! In those tables a node is a path with ` > ` between its names, an account is named, and a condition on a tag or a
//! cost category is `key=value`, or `key` alone where any value will do.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::Result;
use crate::fixed::Fixed;
use crate::organisation::{Organisation, rows};

/// A table to be written: names of its columns, then its rows.
type Table = Vec<Vec<String>>;

#[derive(Deserialize)]
struct NodeRow {
    node: String,
    owner_email: String,
    cost_center: String,
}

#[derive(Deserialize)]
struct RuleRow {
    rule_id: String,
    priority: String,
    payer: String,
    account: String,
    service: String,
    region: String,
    tag: String,
    category: String,
    node: String,
    share: String,
    from_period: String,
    to_period: String,
}

#[derive(Deserialize)]
struct AllocationRow {
    /// `id:<credit id>`, or `<promotion code>@<account name>`.
    credit: String,
    amount: Fixed,
    end_date: String,
    reference: String,
    node: String,
}

/// Writes all reference files.
pub(crate) fn write(folder: &Path, organisation: &Organisation) -> Result<()> {
    fs::create_dir_all(folder)?;
    let hierarchy = Hierarchy::load()?;
    write_csv(&folder.join("hierarchy.csv"), hierarchy.table())?;
    write_csv(&folder.join("cost_rules.csv"), cost_rules(organisation, &hierarchy)?)?;
    write_csv(&folder.join("budgets.csv"), budgets(&hierarchy)?)?;
    write_csv(&folder.join("allocations.csv"), allocations(organisation, &hierarchy)?)
}

/// The nodes that may be referred to.
struct Hierarchy {
    rows: Vec<NodeRow>,
    nodes: BTreeSet<String>,
}

impl Hierarchy {
    fn load() -> Result<Self> {
        let rows = rows::<NodeRow>(include_str!("tables/hierarchy.csv"))?;
        let ends = |path: &str| path.match_indices(" > ").map(|(end, _)| end).chain([path.len()]).collect::<Vec<_>>();
        let nodes = rows.iter().flat_map(|row| ends(&row.node).into_iter().map(|end| row.node[..end].to_owned()));
        Ok(Self { nodes: nodes.collect(), rows })
    }

    fn table(&self) -> Table {
        let header = "business_unit,department,portfolio,product,owner_email,cost_center";
        let row =
            |row: &NodeRow| [&levels(&row.node)[..], &[row.owner_email.clone(), row.cost_center.clone()]].concat();
        std::iter::once(header.split(',').map(str::to_owned).collect()).chain(self.rows.iter().map(row)).collect()
    }

    /// The four names of a node that is in the hierarchy.
    fn levels(&self, node: &str) -> Result<[String; 4]> {
        if !self.nodes.contains(node) {
            return Err(format!("{node:?} is not in the hierarchy").into());
        }
        Ok(levels(node))
    }
}

/// The names of a node, empty below it.
fn levels(node: &str) -> [String; 4] {
    let mut names = node.split(" > ");
    std::array::from_fn(|_| names.next().unwrap_or_default().to_owned())
}

fn cost_rules(organisation: &Organisation, hierarchy: &Hierarchy) -> Result<Table> {
    let header = "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
                  cost_category_value,business_unit,department,portfolio,product,share,from_period,to_period";
    let mut table = vec![header.split(',').map(str::to_owned).collect()];
    for row in rows::<RuleRow>(include_str!("tables/cost_rules.csv"))? {
        let (tag_key, tag_value) = row.tag.split_once('=').unwrap_or((&row.tag, ""));
        let (category_key, category_value) = row.category.split_once('=').unwrap_or((&row.category, ""));
        let conditions = [
            row.rule_id.clone(),
            row.priority.clone(),
            account_id(organisation, &row.payer)?,
            account_id(organisation, &row.account)?,
            row.service.clone(),
            row.region.clone(),
            tag_key.to_owned(),
            tag_value.to_owned(),
            category_key.to_owned(),
            category_value.to_owned(),
        ];
        let node = hierarchy.levels(&row.node)?;
        table.push([&conditions[..], &node[..], &[row.share, row.from_period, row.to_period]].concat());
    }
    Ok(table)
}

/// The id of a named account; empty text and patterns stay.
fn account_id(organisation: &Organisation, name: &str) -> Result<String> {
    if name.is_empty() || name.ends_with('*') {
        return Ok(name.to_owned());
    }
    Ok(organisation.account(name)?.id.clone())
}

/// The table of budgets has a column for each period; an empty cell is no budget.
fn budgets(hierarchy: &Hierarchy) -> Result<Table> {
    let header = "billing_period,business_unit,department,portfolio,product,currency,amount";
    let mut table = vec![header.split(',').map(str::to_owned).collect()];
    let mut reader = csv::Reader::from_reader(include_str!("tables/budgets.csv").as_bytes());
    let periods: Vec<String> = reader.headers()?.iter().skip(1).map(str::to_owned).collect();
    let rows: Vec<csv::StringRecord> = reader.records().collect::<std::result::Result<_, _>>()?;
    for (column, period) in periods.iter().enumerate() {
        for row in &rows {
            let (node, amount) = (&row[0], &row[column + 1]);
            if amount.is_empty() {
                continue;
            }
            let node = if node.is_empty() { levels(node) } else { hierarchy.levels(node)? };
            table.push([&[period.clone()][..], &node[..], &["USD".to_owned(), amount.to_owned()]].concat());
        }
    }
    Ok(table)
}

fn allocations(organisation: &Organisation, hierarchy: &Hierarchy) -> Result<Table> {
    let header = "promotion_code,account_id,credit_key,amount,currency,end_date,reference,business_unit,department,\
                  portfolio,product";
    let mut table = vec![header.split(',').map(str::to_owned).collect()];
    for row in rows::<AllocationRow>(include_str!("tables/allocations.csv"))? {
        let credit = match row.credit.split_once('@') {
            Some((code, account)) => [code.to_owned(), organisation.account(account)?.id.clone(), String::new()],
            None => [String::new(), String::new(), row.credit.clone()],
        };
        let terms = [row.amount.to_string(), "USD".to_owned(), row.end_date, row.reference];
        table.push([&credit[..], &terms[..], &hierarchy.levels(&row.node)?[..]].concat());
    }
    Ok(table)
}

fn write_csv(path: &Path, table: Table) -> Result<()> {
    let mut writer = csv::Writer::from_path(path)?;
    for row in table {
        writer.write_record(row)?;
    }
    Ok(writer.flush()?)
}

//! Whose a credit is, as published: the nodes of its lots and whom to ask there; and whose one that waits might be.

use credit_ledger::{Money, Node, Text};
use datafusion::logical_expr::{col, lit};
use datafusion::prelude::DataFrame;
use hashbrown::HashMap;
use schemas::tables::NetCost;
use schemas::{Owners, column_values};

use crate::error::NetCostError;

/// The nodes and owners of a credit, each once, in order of its lots.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Whose {
    /// Where its lots sit.
    pub nodes: Vec<Text>,
    /// Whom to ask.
    pub owners: Vec<Text>,
}

impl Whose {
    /// The nodes and owners of each credit, from lots in order.
    #[must_use]
    pub fn of_lots(lots: impl IntoIterator<Item = (Text, Node)>, owners: &Owners) -> HashMap<Text, Self> {
        let mut found: HashMap<Text, Self> = HashMap::new();
        for (credit_key, node) in lots {
            let whose = found.entry(credit_key).or_default();
            let owner = owners.nearest(&node);
            for (names, name) in
                [(&mut whose.nodes, Some(node.to_string().into())), (&mut whose.owners, owner.cloned())]
            {
                names.extend(name.filter(|name| !names.contains(name)));
            }
        }
        found
    }
}

/// Names in short: `Retail +1`.
#[must_use]
pub fn in_short(names: &[Text]) -> Option<Text> {
    match names {
        [] => None,
        [name] => Some(name.clone()),
        [first, others @ ..] => Some(format!("{first} +{}", others.len()).into()),
    }
}

/// All names: `Retail; Media`.
#[must_use]
pub fn in_full(names: &[Text]) -> Option<Text> {
    let names: Vec<&str> = names.iter().map(Text::as_str).collect();
    (!names.is_empty()).then(|| names.join("; ").into())
}

/// For each of these accounts and each currency the node on which most of its gross cost lies, in all months of
/// `net_cost`; of equal ones the first. What is unassigned says nothing.
///
/// # Errors
/// [`NetCostError`] from the plan.
pub async fn likely_nodes(net_cost: DataFrame, accounts: &[Text]) -> Result<HashMap<(Text, Text), Node>, NetCostError> {
    let accounts = accounts.iter().map(|account| lit(account.as_str())).collect();
    let of_accounts = col("account_id").in_list(accounts, false);
    let keys = ["account_id", "currency"].into_iter().chain(Node::LEVELS).map(col).collect();
    let sums = net_cost
        .filter(of_accounts.and(col("business_unit").not_eq(lit(Node::UNASSIGNED))))?
        .aggregate(keys, vec![money_sql::sum(col("gross_cost")).alias("gross_cost")])?;
    let mut largest: HashMap<(Text, Text), (Money, Node)> = HashMap::new();
    for batch in sums.collect().await? {
        let (accounts, currencies) = (
            column_values::<NetCost, Text>(&batch, "account_id")?,
            column_values::<NetCost, Text>(&batch, "currency")?,
        );
        let [units, departments, portfolios, products] =
            Node::LEVELS.map(|level| column_values::<NetCost, Option<Text>>(&batch, level));
        let nodes = units?.into_iter().zip(departments?).zip(portfolios?).zip(products?);
        let nodes = nodes.map(|(((unit, department), portfolio), product)| [unit, department, portfolio, product]);
        let amounts = column_values::<NetCost, Money>(&batch, "gross_cost")?;
        for (((account, currency), amount), levels) in accounts.into_iter().zip(currencies).zip(amounts).zip(nodes) {
            let Ok(node) = Node::from_levels(levels) else { continue };
            let best = largest.entry((account, currency)).or_insert_with(|| (amount, node.clone()));
            if amount > best.0 || (amount == best.0 && node < best.1) {
                *best = (amount, node);
            }
        }
    }
    Ok(largest.into_iter().map(|(key, (_, node))| (key, node)).collect())
}

#[cfg(test)]
mod tests {
    use schemas::tables::HierarchyRow;

    use super::*;

    fn node(path: &str) -> Node {
        let names: Vec<&str> = path.split('/').collect();
        Node::from_levels(std::array::from_fn(|level| names.get(level))).unwrap()
    }

    fn owners() -> Owners {
        let row = |path: &str, owner: Option<&str>| {
            let [business_unit, department, portfolio, product] = node(path).levels();
            let level = 1;
            let owner_email = owner.map(Text::new);
            HierarchyRow { business_unit, department, portfolio, product, level, owner_email, cost_center: None }
        };
        Owners::of(&[row("Retail", Some("rosa")), row("Retail/A", Some("ann"))])
    }

    #[test]
    fn nodes_and_owners_of_several_lots_are_named_once_each() {
        let lots = [("a", "Retail/A"), ("a", "Retail/Online"), ("a", "Retail/A"), ("b", "Media")];
        let found = Whose::of_lots(lots.map(|(key, path)| (key.into(), node(path))), &owners());
        let of = |key: &str| {
            let Whose { nodes, owners } = &found[key];
            [in_short(nodes), in_full(nodes), in_short(owners), in_full(owners)].map(Option::unwrap_or_default)
        };
        assert_eq!(of("a"), ["Retail/A +1", "Retail/A; Retail/Online", "ann +1", "ann; rosa"]);
        assert_eq!(of("b"), ["Media", "Media", "", ""]);
    }

    #[test]
    fn names_in_short_and_in_full_say_nothing_of_nobody_and_all_of_many() {
        let names: Vec<Text> = ["Retail", "Media", "Food; Drinks"].map(Text::new).into();
        assert_eq!((in_short(&[]), in_full(&[])), (None, None));
        assert_eq!(
            (in_short(&names[..1]).as_deref(), in_full(&names[..1]).as_deref()),
            (Some("Retail"), Some("Retail"))
        );
        assert_eq!(in_short(&names).as_deref(), Some("Retail +2"));
        assert_eq!(in_full(&names).as_deref(), Some("Retail; Media; Food; Drinks"));
    }

    /// `1 2026-01-05 Retail/Online 10 USD`: account, day, node, gross cost.
    fn cost(text: &str) -> NetCost {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [business_unit, department, portfolio, product] = node(words[2]).levels();
        let gross_cost: Money = words[3].parse().unwrap();
        NetCost {
            usage_date: words[1].parse().unwrap(),
            payer_account_id: "9".into(),
            account_id: words[0].into(),
            service: None,
            currency: words[4].into(),
            business_unit,
            department,
            portfolio,
            product,
            charges: gross_cost,
            tax: Money::ZERO,
            gross_cost,
            refunds: Money::ZERO,
            aws_credits: Money::ZERO,
            invoice_net: gross_cost,
            credits_applied: Money::ZERO,
            net_cost: gross_cost,
            clearing: Money::ZERO,
            eligible_charges: gross_cost,
        }
    }

    #[tokio::test]
    async fn a_credit_is_likely_the_nodes_where_most_of_its_accounts_cost_lies_in_all_months() {
        let rows = [
            "1 2026-01-05 Media 60 USD",
            "1 2026-01-05 Retail/Online 50 USD",
            "1 2026-02-05 Retail/Online 50 USD",
            "1 2026-01-05 Unassigned 1000 USD",
            "1 2026-01-05 Media 5 EUR",
            "2 2026-01-05 Retail/Shops 7 USD",
            "2 2026-01-05 Retail/Online 7 USD",
            "2 2026-01-05 Media 6.9999999999 USD",
            "3 2026-01-05 Unassigned 9 USD",
            "4 2026-01-05 Media 9 USD",
        ];
        let session = money_sql::session(2, std::sync::Arc::default());
        let batch = schemas::to_batch(&rows.map(cost)).unwrap();
        let frame = session.read_batch(batch).unwrap();
        let likely = likely_nodes(frame, &["1", "2", "3", "5"].map(Text::new)).await.unwrap();
        let mut told: Vec<String> =
            likely.iter().map(|((account, currency), node)| format!("{account} {currency} {node}")).collect();
        told.sort();
        let expected = ["1 EUR Media", "1 USD Retail/Online", "2 USD Retail/Online"];
        assert_eq!(told, expected, "of equal ones the first, and what is unassigned says nothing");
    }
}

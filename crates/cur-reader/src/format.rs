//! Formats of billing exports, known by their columns.

/// A recognised format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Cost and Usage Report 1.0: `lineItem/UnblendedCost`, or `line_item_unblended_cost` in Parquet.
    Cur1,
    /// Cost and Usage Report 2.0: `line_item_unblended_cost`, tags and products as maps.
    Cur2,
    /// FinOps Open Cost and Usage Specification.
    Focus,
}

impl Format {
    /// What people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cur1 => "CUR 1.0",
            Self::Cur2 => "CUR 2.0",
            Self::Focus => "FOCUS",
        }
    }
}

/// Recognises a file by the names of its columns; none of another kind.
#[must_use]
pub fn recognise(names: &[String]) -> Option<Format> {
    let lower: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let has = |name: &str| lower.iter().any(|column| column == name);
    let focus = ["billedcost", "chargecategory", "chargeperiodstart", "billingaccountid"];
    if focus.iter().filter(|name| has(name)).count() >= 2 {
        return Some(Format::Focus);
    }
    if lower.iter().any(|column| column.starts_with("lineitem/") || column.starts_with("bill/")) {
        return Some(Format::Cur1);
    }
    if lower.iter().any(|column| column.starts_with("line_item_"))
        && lower.iter().any(|column| column.starts_with("bill_"))
    {
        let cur2 = ["bill_payer_account_name", "resource_tags", "cost_category", "product", "tags", "discount"];
        return Some(if cur2.iter().any(|name| has(name)) { Format::Cur2 } else { Format::Cur1 });
    }
    None
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn format_of(columns: &str) -> Option<Format> {
        let names: Vec<String> = columns.split(',').map(str::to_owned).collect();
        recognise(&names)
    }

    #[test]
    fn exports_are_known_by_the_columns_that_people_chose_and_that_a_month_has() {
        for (columns, expected) in [
            // For Athena: a column per attribute of a product, per tag and per cost category.
            (
                "identity_line_item_id,bill_payer_account_id,line_item_unblended_cost,product_region,\
                 product_product_name,resource_tags_user_cost_center,cost_category_team",
                Format::Cur1,
            ),
            ("identity/LineItemId,bill/PayerAccountId,lineItem/UnblendedCost,resourceTags/user:Team", Format::Cur1),
            // Of CUR 2.0 people choose columns: any that CUR 1.0 does not have tells.
            ("bill_payer_account_id,bill_payer_account_name,line_item_unblended_cost", Format::Cur2),
            ("bill_payer_account_id,line_item_unblended_cost,discount", Format::Cur2),
            ("bill_payer_account_id,line_item_unblended_cost,product,product_region_code", Format::Cur2),
            ("bill_payer_account_id,line_item_unblended_cost,tags", Format::Cur2),
            (
                "BilledCost,BillingAccountId,ChargeCategory,ChargePeriodStart,x_CostCategories,x_UsageType",
                Format::Focus,
            ),
            ("BilledCost,ChargeCategory,InvoiceId,SkuMeter,SubAccountType,x_ServiceCode", Format::Focus),
            ("billingaccountid,chargeperiodstart,effectivecost", Format::Focus),
        ] {
            assert_eq!(format_of(columns), Some(expected), "{columns}");
        }
    }

    #[test]
    fn tables_of_other_tools_are_no_exports() {
        for columns in [
            // What came before the CUR, a bill of Azure, a file of rules, a table of net cost, half a CUR.
            "InvoiceID,PayerAccountId,LinkedAccountId,RecordType,ProductName,UnBlendedCost",
            "SubscriptionId,Date,BillingAccountId,CostInBillingCurrency",
            "rule_id,priority,payer_account_id,account_id,service,business_unit,share",
            "billing_period,usage_date,payer_account_id,account_id,service,charges,net_cost",
            "line_item_line_item_type,line_item_unblended_cost",
        ] {
            assert_eq!(format_of(columns), None, "{columns}");
        }
    }
}

//! Published: costs.

use chrono::NaiveDate;
use credit_ledger::{Money, Text};

table! {
    /// Both books per cell: what AWS invoiced and what the node pays net of its credits. A row for every cell with a
    /// line, zero sums too.
    Published "net_cost" version 1 by ["billing_period", "usage_date", "payer_account_id", "account_id", "service", "currency", "business_unit", "department", "portfolio", "product"] partitioned;
    pub struct NetCost {
        /// UTC day of the usage
        usage_date: NaiveDate,
        /// Payer account
        payer_account_id: Text,
        /// Usage account
        account_id: Text,
        /// Service code
        service: Option<Text>,
        /// ISO 4217 code
        currency: Text,
        /// Node, level 1
        business_unit: Option<Text>,
        /// Node, level 2
        department: Option<Text>,
        /// Node, level 3
        portfolio: Option<Text>,
        /// Node, level 4
        product: Option<Text>,
        /// Everything but tax, refunds and credits, in the configured cost column
        charges: Money,
        /// Tax
        tax: Money,
        /// `charges + tax`
        gross_cost: Money,
        /// Negative
        refunds: Money,
        /// Credits AWS applied, negative
        aws_credits: Money,
        /// What AWS invoiced (unblended): equals the export's own total
        invoice_net: Money,
        /// Credits of the internal book, negative
        credits_applied: Money,
        /// `gross_cost + refunds + credits_applied`
        net_cost: Money,
        /// `invoice_net - net_cost`
        clearing: Money,
        /// The part of `charges` that a credit may offset
        eligible_charges: Money,
    }
}

table! {
    /// Net cost rolled up the hierarchy: one row per node with cost at or below it, or a budget.
    Published "net_cost_summary" version 1 by ["billing_period", "currency", "level", "business_unit", "department", "portfolio", "product"] partitioned;
    pub struct NetCostSummary {
        /// 1 business unit to 4 product; 0: everything
        level: i32,
        /// Node, level 1
        business_unit: Option<Text>,
        /// Node, level 2
        department: Option<Text>,
        /// Node, level 3
        portfolio: Option<Text>,
        /// Node, level 4
        product: Option<Text>,
        /// ISO 4217 code
        currency: Text,
        /// Charges and tax
        gross_cost: Money,
        /// Negative
        refunds: Money,
        /// Credits AWS applied, negative
        aws_credits: Money,
        /// What AWS invoiced
        invoice_net: Money,
        /// Credits of the internal book, negative
        credits_applied: Money,
        /// `gross_cost + refunds + credits_applied`
        net_cost: Money,
        /// `invoice_net - net_cost`
        clearing: Money,
        /// The node's own budget row; null if none, never summed
        budget_amount: Option<Money>,
        /// `budget_amount - net_cost`
        budget_remaining: Option<Money>,
    }
}

table! {
    /// The tie-out to the export.
    Published "reconciliation" version 1 by ["billing_period", "currency"] partitioned;
    pub struct Reconciliation {
        /// ISO 4217 code
        currency: Text,
        /// Sum of the unblended cost of every line, straight from the export
        export_total: Money,
        /// Sum over net_cost
        invoice_net: Money,
        /// Sum over net_cost
        net_cost: Money,
        /// `invoice_net - net_cost`
        clearing: Money,
        /// Part of aws_credits whose credit waits for allocation, negative
        unallocated_aws_credits: Money,
        /// `export_total - invoice_net`: zero
        difference: Money,
        /// Lines read
        rows_read: i64,
        /// The invoices that lines say they are on, in order, separated by commas; null where none does
        invoice_ids: Option<Text>,
        /// Lines that say none
        lines_without_invoice: i64,
    }
}

table! {
    /// The nodes of the hierarchy, ancestors included.
    Published "hierarchy" version 1 by ["business_unit", "department", "portfolio", "product"];
    pub struct HierarchyRow {
        /// Node, level 1
        business_unit: Option<Text>,
        /// Node, level 2
        department: Option<Text>,
        /// Node, level 3
        portfolio: Option<Text>,
        /// Node, level 4
        product: Option<Text>,
        /// 1 business unit to 4 product
        level: i32,
        /// Whom to ask
        owner_email: Option<Text>,
        /// Cost centre
        cost_center: Option<Text>,
    }
}
node_columns!(NetCost, NetCostSummary, HierarchyRow);

//! What the jobs of one run hand each other.

use chrono::{NaiveDate, NaiveDateTime};
use credit_ledger::{BillingPeriod, Money, Text};

table! {
    /// The credit register as of the run.
    Intermediate "credit_register" version 1 by ["credit_key"];
    pub struct RegisteredCredit {
        /// The credit
        credit_key: Text,
        /// Its name
        promotion_code: Text,
        /// Its account
        account_id: Text,
        /// Stated owner
        owner_account_id: Option<Text>,
        /// Stated id
        credit_id: Option<Text>,
        /// Payer of its earliest line
        payer_account_id: Text,
        /// ISO 4217 code
        currency: Text,
        /// Description of its earliest line
        description: Option<Text>,
        /// Class
        credit_class: Text,
        /// Earliest usage date among its lines
        first_cur_date: NaiveDate,
        /// Inferred or set by hand
        issue_date: NaiveDate,
        /// `cur_inferred` or `manual`
        issue_date_source: Text,
        /// Latest usage date among its lines; null where all have gone
        last_cur_date: Option<NaiveDate>,
        /// Taken off the invoice to date
        aws_applied: Money,
    }
}

table! {
    /// The AWS book by credit.
    Intermediate "applied_by_aws" version 1 by ["billing_period", "credit_key"];
    pub struct AppliedByAws {
        /// Period of the bill
        billing_period: BillingPeriod,
        /// The credit
        credit_key: Text,
        /// Taken off the invoice in the period
        aws_applied: Money,
    }
}

table! {
    /// What the export itself adds up to, counted and summed apart from everything else.
    Intermediate "export_totals" version 1 by ["billing_period", "currency"];
    pub struct ExportTotal {
        /// Period of the bill
        billing_period: BillingPeriod,
        /// ISO 4217 code
        currency: Text,
        /// Sum of the unblended cost of every line
        export_total: Money,
        /// Lines
        rows_read: i64,
        /// The invoices that lines say they are on, in order, separated by commas; null where none does
        invoice_ids: Option<Text>,
        /// Lines that say none
        lines_without_invoice: i64,
    }
}

table! {
    /// How each registered credit stands with the allocations log.
    Intermediate "allocated_credits" version 1 by ["credit_key"];
    pub struct AllocatedCredit {
        /// The credit
        credit_key: Text,
        /// Why it waits: `never_allocated`, `revoked`, `allocation_invalid`; null where it is allocated
        waiting: Option<Text>,
        /// Sum of its lots
        allocated_amount: Option<Money>,
        /// Who
        recorded_by: Option<Text>,
        /// When
        recorded_at: Option<NaiveDateTime>,
    }
}

table! {
    /// The lots of all valid allocations.
    Intermediate "lots" version 2 by ["credit_key", "lot"];
    pub struct LotRow {
        /// The credit
        credit_key: Text,
        /// From 1
        lot: i32,
        /// The credit's name
        promotion_code: Text,
        /// The credit's account
        account_id: Text,
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
        /// Above zero; zero for a lot that continues another
        amount: Money,
        /// Of the credit
        issue_date: NaiveDate,
        /// Of the credit
        first_cur_date: NaiveDate,
        /// Last day; null: open-ended
        end_date: Option<NaiveDate>,
        /// As recorded
        reference: Option<Text>,
        /// Of a lot that continues another: the first period in which it sits here
        from_period: Option<BillingPeriod>,
        /// The lot that it continues
        continues_lot: Option<i32>,
    }
}

table! {
    /// Spend on nodes: cost lines with their rule's nodes, shared ones split.
    Intermediate "cells" version 1 by ["billing_period", "usage_date", "payer_account_id", "account_id", "service", "currency", "business_unit", "department", "portfolio", "product"] partitioned;
    pub struct Cell {
        /// UTC day
        usage_date: NaiveDate,
        /// Payer account
        payer_account_id: Text,
        /// Usage account
        account_id: Text,
        /// Service
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
        /// As in cost_lines
        charges: Money,
        /// As in cost_lines
        tax: Money,
        /// As in cost_lines
        refunds: Money,
        /// As in cost_lines
        aws_credits: Money,
        /// As in cost_lines
        eligible_charges: Money,
        /// As in cost_lines
        unblended_charges: Money,
    }
}

table! {
    /// What the rules took of the spend, without its days; what none took too.
    Intermediate "rule_spend" version 1 by ["billing_period", "payer_account_id", "account_id", "service", "currency", "rule_id"] partitioned;
    pub struct RuleSpend {
        /// Payer account
        payer_account_id: Text,
        /// Usage account
        account_id: Text,
        /// Service
        service: Option<Text>,
        /// ISO 4217 code
        currency: Text,
        /// The rule that took it; null: none did
        rule_id: Option<Text>,
        /// Charges and tax
        gross_cost: Money,
    }
}

table! {
    /// The rules that the spend was read with.
    Intermediate "rules_read" version 1 by ["rule_id"];
    pub struct RuleRead {
        /// The rule
        rule_id: Text,
        /// Digest of its priority and conditions
        conditions: Text,
    }
}

table! {
    /// What each node itself costs in a period, its descendants left out.
    Intermediate "node_costs" version 1 by ["billing_period", "currency", "business_unit", "department", "portfolio", "product"] partitioned;
    pub struct NodeCost {
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
        /// As in net_cost
        gross_cost: Money,
        /// As in net_cost
        refunds: Money,
        /// As in net_cost
        aws_credits: Money,
        /// As in net_cost
        invoice_net: Money,
        /// As in net_cost
        credits_applied: Money,
        /// As in net_cost
        net_cost: Money,
        /// As in net_cost
        clearing: Money,
        /// Cells that break their bounds; zero
        overdrawn_cells: i64,
    }
}
node_columns!(LotRow, Cell, NodeCost);

//! The Iceberg logs.

use chrono::{NaiveDate, NaiveDateTime};
use credit_ledger::{BillingPeriod, Money, Text};

table! {
    /// The journal of the credit register: one row where a credit is new or changed.
    Log "credits_log" version 1 by ["credit_key", "revision"];
    pub struct CreditLogRow {
        /// `id:<credit id>`, or `code:<promotion code>@<account>` where the export states no id
        credit_key: Text,
        /// From 1, one more with each change
        revision: i32,
        /// The credit's name: its description without suffixes
        promotion_code: Text,
        /// The owner account where stated, else the account of its earliest line
        account_id: Text,
        /// Account after `credit from account:`
        owner_account_id: Option<Text>,
        /// Digits after `credit id:`
        credit_id: Option<Text>,
        /// Payer of its earliest line
        payer_account_id: Text,
        /// ISO 4217 code
        currency: Text,
        /// Description of its earliest line, untouched
        description: Option<Text>,
        /// `promotion`, `goodwill`, `contractual`, or as configured
        credit_class: Text,
        /// Earliest usage date among its lines
        first_cur_date: NaiveDate,
        /// `first_cur_date` minus one day, or as set by hand
        issue_date: NaiveDate,
        /// `cur_inferred` or `manual`
        issue_date_source: Text,
        /// Start of the run that found it so, UTC
        detected_at: NaiveDateTime,
        /// That run
        run_id: Text,
    }
}

table! {
    /// What people recorded about credits: one revision per allocation id, one row per lot. A revocation is one row
    /// without node and amount.
    Log "allocations_log" version 2 by ["allocation_id", "lot"];
    pub struct AllocationLogRow {
        /// The revision
        allocation_id: Text,
        /// From 1 as recorded
        lot: i32,
        /// The credit
        credit_key: Text,
        /// `allocate` (also replaces) or `revoke`
        action: Text,
        /// Node, level 1
        business_unit: Option<Text>,
        /// Node, level 2
        department: Option<Text>,
        /// Node, level 3
        portfolio: Option<Text>,
        /// Node, level 4
        product: Option<Text>,
        /// Amount of the lot, above zero; null on `revoke`, and on a lot that continues another: it is what is left of that
        amount: Option<Money>,
        /// ISO 4217 code, the credit's
        currency: Option<Text>,
        /// Last day on which the lot may be used; null: open-ended
        end_date: Option<NaiveDate>,
        /// Contract, ticket or programme, as recorded
        reference: Option<Text>,
        /// Who recorded it
        recorded_by: Option<Text>,
        /// When, UTC; the newest revision of a credit counts
        recorded_at: NaiveDateTime,
        /// Free text
        note: Option<Text>,
        /// On a lot that continues another: `YYYY-MM` from which on what is left of that one sits here
        from_period: Option<Text>,
        /// The lot that it continues
        continues_lot: Option<i32>,
    }
}

table! {
    /// Published runs: one row per billing period in the run.
    Log "runs_log" version 1 by ["run_id", "billing_period"];
    pub struct RunLogRow {
        /// The run
        run_id: Text,
        /// `YYYY-MM`
        billing_period: BillingPeriod,
        /// The run's as-of date
        as_of: NaiveDate,
        /// Digest of the export files and settings the period was read with
        source_fingerprint: Text,
        /// Lines of the export in the period
        rows_read: i64,
        /// FIFO policy
        policy: Text,
        /// `published`
        outcome: Text,
        /// UTC
        started_at: NaiveDateTime,
        /// UTC
        finished_at: NaiveDateTime,
        /// Exclusions that could not be applied, separated by commas: there all charges count as eligible; null: none
        exclusions_not_applied: Option<Text>,
    }
}
node_columns!(AllocationLogRow);

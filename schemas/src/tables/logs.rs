//! The Iceberg logs.

use chrono::{NaiveDate, NaiveDateTime};
use credit_ledger::{BillingPeriod, Money};

table! {
    /// The journal of the credit register: one row where a credit is new or changed.
    Log "credits_log" by ["credit_key", "revision"];
    pub struct CreditLogRow {
        /// `id:<credit id>`, or `code:<promotion code>@<account>` where the export states no id
        credit_key: String,
        /// From 1, one more with each change
        revision: i32,
        /// The credit's name: its description without suffixes
        promotion_code: String,
        /// The owner account where stated, else the account of its earliest line
        account_id: String,
        /// Account after `credit from account:`
        owner_account_id: Option<String>,
        /// Digits after `credit id:`
        credit_id: Option<String>,
        /// Payer of its earliest line
        payer_account_id: String,
        /// ISO 4217 code
        currency: String,
        /// Description of its earliest line, untouched
        description: Option<String>,
        /// `promotion`, `goodwill`, `contractual`, or as configured
        credit_class: String,
        /// Earliest usage date among its lines
        first_cur_date: NaiveDate,
        /// `first_cur_date` minus one day, or as set by hand
        issue_date: NaiveDate,
        /// `cur_inferred` or `manual`
        issue_date_source: String,
        /// Start of the run that found it so, UTC
        detected_at: NaiveDateTime,
        /// That run
        run_id: String,
    }
}

table! {
    /// What people recorded about credits: one revision per allocation id, one row per lot. A revocation is one row
    /// without node and amount.
    Log "allocations_log" by ["allocation_id", "lot"];
    pub struct AllocationLogRow {
        /// The revision
        allocation_id: String,
        /// From 1 as recorded
        lot: i32,
        /// The credit
        credit_key: String,
        /// `allocate` (also replaces) or `revoke`
        action: String,
        /// Node, level 1
        business_unit: Option<String>,
        /// Node, level 2
        department: Option<String>,
        /// Node, level 3
        portfolio: Option<String>,
        /// Node, level 4
        product: Option<String>,
        /// Amount of the lot, above zero; null on `revoke`
        amount: Option<Money>,
        /// ISO 4217 code, the credit's
        currency: Option<String>,
        /// Last day on which the credit may be used; null: open-ended
        end_date: Option<NaiveDate>,
        /// Contract, ticket or programme, as recorded
        reference: Option<String>,
        /// Who recorded it
        recorded_by: Option<String>,
        /// When, UTC; the newest revision of a credit counts
        recorded_at: NaiveDateTime,
        /// Free text
        note: Option<String>,
    }
}

table! {
    /// Published runs: one row per billing period in the run.
    Log "runs_log" by ["run_id", "billing_period"];
    pub struct RunLogRow {
        /// The run
        run_id: String,
        /// `YYYY-MM`
        billing_period: BillingPeriod,
        /// The run's as-of date
        as_of: NaiveDate,
        /// Digest of the export files and settings the period was read with
        source_fingerprint: String,
        /// Lines of the export in the period
        rows_read: i64,
        /// FIFO policy
        policy: String,
        /// `published`
        outcome: String,
        /// UTC
        started_at: NaiveDateTime,
        /// UTC
        finished_at: NaiveDateTime,
    }
}
node_columns!(AllocationLogRow);

//! Published: credits.

use chrono::{NaiveDate, NaiveDateTime};
use credit_ledger::{Money, Text};

table! {
    /// What each lot took of each cell.
    Published "credit_consumption" version 2 by ["billing_period", "credit_key", "lot", "usage_date", "payer_account_id", "account_id", "service", "currency", "business_unit", "department", "portfolio", "product"] partitioned;
    pub struct CreditConsumption {
        /// The credit
        credit_key: Text,
        /// The lot
        lot: i32,
        /// Node of the lot, level 1
        credit_business_unit: Option<Text>,
        /// Node of the lot, level 2
        credit_department: Option<Text>,
        /// Node of the lot, level 3
        credit_portfolio: Option<Text>,
        /// Node of the lot, level 4
        credit_product: Option<Text>,
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
        /// Node of the spend, level 1
        business_unit: Option<Text>,
        /// Node of the spend, level 2
        department: Option<Text>,
        /// Node of the spend, level 3
        portfolio: Option<Text>,
        /// Node of the spend, level 4
        product: Option<Text>,
        /// Above zero
        used: Money,
        /// From 1: position, in FIFO order, among the lots that drew in this period
        fifo_rank: i32,
        /// FIFO policy
        policy: Text,
    }
}

table! {
    /// Each lot over each month from its issue period, or from the month in which it was moved to its node, to the as-of
    /// period, without gaps: `opening + issued + moved = used + expired + remaining`.
    Published "credit_balances" version 3 by ["billing_period", "credit_key", "lot"] partitioned;
    pub struct CreditBalance {
        /// The credit
        credit_key: Text,
        /// The lot
        lot: i32,
        /// The credit's name
        promotion_code: Text,
        /// The credit's account
        account_id: Text,
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
        /// Issue date of the credit
        issue_date: NaiveDate,
        /// Last day; null: open-ended
        end_date: Option<NaiveDate>,
        /// Left at the end of the month before
        opening: Money,
        /// The amount, in the issue period
        issued: Money,
        /// What came from the lot that it continues; negative: what went to the lot that continues it. Zero over a credit
        moved: Money,
        /// Drawn in the month
        used: Money,
        /// Lost in the month
        expired: Money,
        /// Left at the end of the month
        remaining: Money,
        /// Taken off the invoice in the month, on lot 1 only: a credit has one AWS book
        aws_applied: Money,
    }
}

table! {
    /// Every registered credit with its allocation and position.
    Published "credits" version 1 by ["credit_key"];
    pub struct Credit {
        /// `id:<credit id>`, or `code:<promotion code>@<account>`
        credit_key: Text,
        /// The credit's name
        promotion_code: Text,
        /// The owner account where stated, else the account of its earliest line
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
        /// Class by the configured patterns
        credit_class: Text,
        /// Earliest usage date among its lines
        first_cur_date: NaiveDate,
        /// The day before, or as set by hand
        issue_date: NaiveDate,
        /// `cur_inferred` or `manual`
        issue_date_source: Text,
        /// Month of the issue date, `YYYY-MM`
        issue_period: Text,
        /// `unallocated`, `invalid`, `active`, `expiring_soon`, `exhausted` or `expired`
        status: Text,
        /// Sum of its lots; null where unallocated or invalid
        allocated_amount: Option<Money>,
        /// Drawn to date
        used: Option<Money>,
        /// Lost to date
        expired: Option<Money>,
        /// `allocated_amount - used - expired`
        remaining: Option<Money>,
        /// Last day of the lot that ends next among those with something left, else of the one that ends last; null:
        /// open-ended, unallocated or invalid
        end_date: Option<NaiveDate>,
        /// Of that lot, as recorded
        reference: Option<Text>,
        /// Who recorded the allocation
        recorded_by: Option<Text>,
        /// When, UTC
        recorded_at: Option<NaiveDateTime>,
        /// Taken off the invoice to date
        aws_applied: Money,
        /// Latest usage date among its lines; null where all have gone
        last_cur_date: Option<NaiveDate>,
        /// End date minus as-of date, negative once past
        days_left: Option<i32>,
        /// As-of date of the run
        as_of: NaiveDate,
        /// Days before its end from which a credit or lot expires soon, as set
        expiring_soon_days: i32,
    }
}

table! {
    /// Credits that wait for somebody to say whose they are.
    Published "credit_queue" version 1 by ["credit_key"];
    pub struct CreditQueue {
        /// The credit
        credit_key: Text,
        /// Its name
        promotion_code: Text,
        /// Its account
        account_id: Text,
        /// Class by the configured patterns
        credit_class: Text,
        /// ISO 4217 code
        currency: Text,
        /// Earliest usage date among its lines
        first_cur_date: NaiveDate,
        /// The day before, or as set by hand
        issue_date: NaiveDate,
        /// Month of the issue date, `YYYY-MM`
        issue_period: Text,
        /// Taken off the invoice to date
        aws_applied: Money,
        /// As-of date minus `first_cur_date`
        days_waiting: i32,
        /// `never_allocated`, `revoked` or `allocation_invalid`
        reason: Text,
    }
}

table! {
    /// What each credit with a line or a draw in the period did to it in both books.
    Published "credit_impact" version 1 by ["billing_period", "credit_key"] partitioned;
    pub struct CreditImpact {
        /// The credit
        credit_key: Text,
        /// ISO 4217 code
        currency: Text,
        /// Month of the issue date, `YYYY-MM`
        issue_period: Text,
        /// AWS book: taken off the invoice in the period
        aws_applied: Money,
        /// Internal book: drawn in the period
        used: Money,
    }
}

table! {
    /// Newest revisions of the allocations log that cannot be used, with the reason. Their credits wait.
    Published "allocation_issues" version 1 by ["allocation_id", "lot"];
    pub struct AllocationIssue {
        /// The revision
        allocation_id: Text,
        /// The lot
        lot: i32,
        /// The credit it names
        credit_key: Text,
        /// Who recorded it
        recorded_by: Option<Text>,
        /// When, UTC
        recorded_at: NaiveDateTime,
        /// What is wrong
        problem: Text,
    }
}
node_columns!(CreditBalance, CreditConsumption);

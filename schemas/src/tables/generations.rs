//! What one scan of the export leaves per billing period.

use chrono::NaiveDate;
use credit_ledger::Money;

table! {
    /// The lines of one billing period, summed by day, payer, account, service, currency and cost rule.
    Generation "cost_lines" by ["billing_period", "usage_date", "payer_account_id", "account_id", "service", "currency", "rule_id"] partitioned;
    pub struct CostLine {
        /// UTC date of the lines' start
        usage_date: NaiveDate,
        /// Payer account
        payer_account_id: String,
        /// Usage account; the payer where the export leaves it blank
        account_id: String,
        /// `line_item_product_code`, in FOCUS `x_ServiceCode` or else `ServiceName`
        service: Option<String>,
        /// ISO 4217 code
        currency: String,
        /// The rule that took the lines; null: none did
        rule_id: Option<String>,
        /// Everything but tax, refunds and credits, in the configured cost column
        charges: Money,
        /// `Tax` lines, unblended
        tax: Money,
        /// `Refund` lines and credits treated as refunds, unblended, negative
        refunds: Money,
        /// `Credit` lines, unblended, negative
        aws_credits: Money,
        /// The part of `charges` that a credit may offset
        eligible_charges: Money,
        /// `charges` on the unblended cost column
        unblended_charges: Money,
    }
}

table! {
    /// The credit lines of one billing period, summed by credit, day, payer, account, service and description.
    Generation "credit_lines" by ["billing_period", "credit_key", "usage_date", "payer_account_id", "account_id", "service", "currency", "description"] partitioned;
    pub struct CreditLine {
        /// The credit
        credit_key: String,
        /// UTC date of the lines' start
        usage_date: NaiveDate,
        /// Payer account
        payer_account_id: String,
        /// Account the lines are on: the recipient
        account_id: String,
        /// Service whose charge was offset
        service: Option<String>,
        /// ISO 4217 code
        currency: String,
        /// Untouched; null where blank
        description: Option<String>,
        /// The credit's name
        promotion_code: String,
        /// The credit's account: the stated owner, else the account of the line
        credit_account_id: String,
        /// Account after `credit from account:`
        owner_account_id: Option<String>,
        /// Digits after `credit id:`
        credit_id: Option<String>,
        /// Class by the configured patterns
        credit_class: String,
        /// Unblended, negative where AWS gave, positive where it took back
        amount: Money,
    }
}

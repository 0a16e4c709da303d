//! What one scan of the export leaves per billing period.

use chrono::NaiveDate;
use credit_ledger::{Money, Text};

table! {
    /// The lines of one billing period, summed by day, payer, account, service, currency and cost rule.
    Generation "cost_lines" version 2 by ["billing_period", "usage_date", "payer_account_id", "account_id", "service", "currency", "rule_id"] partitioned;
    pub struct CostLine {
        /// UTC date of the lines' start
        usage_date: NaiveDate,
        /// Payer account
        payer_account_id: Text,
        /// Usage account; the payer where the export leaves it blank
        account_id: Text,
        /// `line_item_product_code`, in FOCUS `x_ServiceCode` or else `ServiceName`
        service: Option<Text>,
        /// ISO 4217 code
        currency: Text,
        /// The rule that took the lines; null: none did
        rule_id: Option<Text>,
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
    Generation "credit_lines" version 1 by ["billing_period", "credit_key", "usage_date", "payer_account_id", "account_id", "service", "currency", "description"] partitioned;
    pub struct CreditLine {
        /// The credit
        credit_key: Text,
        /// UTC date of the lines' start
        usage_date: NaiveDate,
        /// Payer account
        payer_account_id: Text,
        /// Account the lines are on: the recipient
        account_id: Text,
        /// Service whose charge was offset
        service: Option<Text>,
        /// ISO 4217 code
        currency: Text,
        /// Untouched; null where blank
        description: Option<Text>,
        /// The credit's name
        promotion_code: Text,
        /// The credit's account: the stated owner, else the account of the line
        credit_account_id: Text,
        /// Account after `credit from account:`
        owner_account_id: Option<Text>,
        /// Digits after `credit id:`
        credit_id: Option<Text>,
        /// Class by the configured patterns
        credit_class: Text,
        /// Unblended, negative where AWS gave, positive where it took back
        amount: Money,
    }
}

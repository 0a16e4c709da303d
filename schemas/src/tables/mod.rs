//! All tables.

mod generations;
mod intermediate;
mod logs;
mod published_costs;
mod published_credits;

pub use generations::{CostLine, CreditLine};
pub use intermediate::{
    AllocatedCredit, AppliedByAws, Cell, ExportTotal, LotRow, NodeCost, RegisteredCredit, RuleRead, RuleSpend,
};
pub use logs::{AllocationLogRow, CreditLogRow, RunLogRow};
pub use published_costs::{HierarchyRow, NetCost, NetCostSummary, Reconciliation};
pub use published_credits::{AllocationIssue, Credit, CreditBalance, CreditConsumption, CreditImpact, CreditQueue};

use crate::{Table, TableRow};

/// Every table, published ones first.
pub const ALL: [Table; 24] = [
    NetCost::TABLE,
    NetCostSummary::TABLE,
    CreditConsumption::TABLE,
    CreditBalance::TABLE,
    Credit::TABLE,
    CreditQueue::TABLE,
    CreditImpact::TABLE,
    AllocationIssue::TABLE,
    HierarchyRow::TABLE,
    Reconciliation::TABLE,
    CreditLogRow::TABLE,
    AllocationLogRow::TABLE,
    RunLogRow::TABLE,
    CostLine::TABLE,
    CreditLine::TABLE,
    RegisteredCredit::TABLE,
    AppliedByAws::TABLE,
    ExportTotal::TABLE,
    AllocatedCredit::TABLE,
    LotRow::TABLE,
    Cell::TABLE,
    RuleSpend::TABLE,
    RuleRead::TABLE,
    NodeCost::TABLE,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ColumnType, Place};

    const NODE: [&str; 4] = ["business_unit", "department", "portfolio", "product"];

    /// Table, grain and columns that people build on; `node` stands for its four levels.
    const CONTRACT: [(&str, &str, &str); 13] = [
        (
            "net_cost",
            "usage_date payer_account_id account_id service currency node",
            "usage_date payer_account_id account_id service currency node charges tax gross_cost refunds aws_credits \
             invoice_net credits_applied net_cost clearing eligible_charges",
        ),
        (
            "net_cost_summary",
            "currency level node",
            "level node currency gross_cost refunds aws_credits invoice_net credits_applied net_cost clearing \
             budget_amount budget_remaining",
        ),
        (
            "credit_consumption",
            "credit_key lot usage_date payer_account_id account_id service currency node",
            "credit_key lot credit_business_unit credit_department credit_portfolio credit_product usage_date \
             payer_account_id account_id service currency node used fifo_rank policy",
        ),
        (
            "credit_balances",
            "credit_key lot",
            "credit_key lot promotion_code account_id currency node issue_date end_date opening issued moved used expired \
             remaining aws_applied",
        ),
        (
            "credits",
            "credit_key",
            "promotion_code account_id owner_account_id credit_id payer_account_id currency description credit_class \
             first_cur_date issue_date issue_date_source issue_period status allocated_amount used expired remaining \
             end_date reference recorded_by recorded_at aws_applied last_cur_date days_left",
        ),
        (
            "credit_queue",
            "credit_key",
            "credit_key promotion_code account_id credit_class currency first_cur_date issue_date issue_period \
             aws_applied days_waiting reason",
        ),
        ("credit_impact", "credit_key", "credit_key currency issue_period aws_applied used"),
        ("allocation_issues", "allocation_id lot", "allocation_id lot credit_key recorded_by recorded_at problem"),
        ("hierarchy", "node", "node level owner_email cost_center"),
        (
            "reconciliation",
            "currency",
            "currency export_total invoice_net net_cost clearing unallocated_aws_credits difference rows_read",
        ),
        (
            "credits_log",
            "credit_key revision",
            "credit_key revision promotion_code account_id owner_account_id credit_id payer_account_id currency \
             description credit_class first_cur_date issue_date issue_date_source detected_at run_id",
        ),
        (
            "allocations_log",
            "allocation_id lot",
            "allocation_id lot credit_key action node amount currency end_date reference recorded_by recorded_at note \
             from_period continues_lot",
        ),
        (
            "runs_log",
            "run_id billing_period",
            "run_id billing_period as_of source_fingerprint rows_read policy outcome started_at finished_at",
        ),
    ];

    /// Split by month; the rest are whole.
    const BY_MONTH: [&str; 6] =
        ["net_cost", "net_cost_summary", "credit_consumption", "credit_balances", "credit_impact", "reconciliation"];

    fn names(text: &'static str) -> Vec<&'static str> {
        let of = |name: &'static str| if name == "node" { NODE.to_vec() } else { vec![name] };
        text.split_whitespace().flat_map(of).collect()
    }

    /// Money unless its name says otherwise.
    fn type_of(column: &str) -> ColumnType {
        match column {
            "as_of" => ColumnType::Date,
            name if name.ends_with("_date") => ColumnType::Date,
            name if name.ends_with("_at") => ColumnType::Instant,
            "lot" | "continues_lot" | "level" | "revision" | "fifo_rank" | "days_left" | "days_waiting" => {
                ColumnType::Int
            }
            "rows_read" => ColumnType::Long,
            "charges"
            | "tax"
            | "gross_cost"
            | "refunds"
            | "aws_credits"
            | "invoice_net"
            | "credits_applied"
            | "net_cost"
            | "clearing"
            | "eligible_charges"
            | "budget_amount"
            | "budget_remaining"
            | "used"
            | "opening"
            | "issued"
            | "moved"
            | "expired"
            | "remaining"
            | "aws_applied"
            | "allocated_amount"
            | "amount"
            | "export_total"
            | "unallocated_aws_credits"
            | "difference" => ColumnType::Money,
            _ => ColumnType::Text,
        }
    }

    #[test]
    fn tables_have_the_columns_that_people_build_on_in_their_order_and_types() {
        for (name, _, columns) in CONTRACT {
            let table = ALL.into_iter().find(|table| table.name == name).unwrap();
            let promised = names(columns);
            let found: Vec<&str> = table.column_names().filter(|column| promised.contains(column)).collect();
            assert_eq!(found, promised, "{name}");
            for column in table.columns.iter().filter(|column| promised.contains(&column.name)) {
                assert_eq!(column.column_type, type_of(column.name), "{name}.{}", column.name);
                assert!(
                    column.nullable || !NODE.contains(&column.name),
                    "{name}.{}: levels may be missing",
                    column.name
                );
            }
        }
    }

    #[test]
    fn rows_of_tables_are_known_by_the_keys_that_people_join_on() {
        for (name, grain, _) in CONTRACT {
            let table = ALL.into_iter().find(|table| table.name == name).unwrap();
            assert_eq!(table.keys(), names(grain), "{name}");
            assert_eq!(table.partitioned, BY_MONTH.contains(&name), "{name}");
            let is_log = name.ends_with("_log");
            assert_eq!(table.place, if is_log { Place::Log } else { Place::Published }, "{name}");
            // A key that stands for a row by itself must be there.
            let sole = table.sole_key().and_then(|key| table.columns.iter().find(|column| column.name == key));
            assert!(sole.is_none_or(|column| !column.nullable), "{name}");
        }
        let promised = CONTRACT.map(|(name, ..)| name);
        let others = ALL.iter().filter(|table| matches!(table.place, Place::Published | Place::Log));
        assert_eq!(others.filter(|table| !promised.contains(&table.name)).count(), 0);
    }

    #[test]
    fn files_of_an_older_version_may_lack_what_moved_and_nothing_else() {
        let table = CreditBalance::TABLE;
        let nullable = |schema: arrow::datatypes::SchemaRef| -> Vec<String> {
            let fields = schema.fields().iter().filter(|field| field.is_nullable());
            fields.map(|field| field.name().clone()).collect()
        };
        let (now, of_files) = (nullable(table.schema()), nullable(table.schema_of_files()));
        assert!(!now.contains(&"moved".to_owned()));
        let more: Vec<&String> = of_files.iter().filter(|name| !now.contains(name)).collect();
        assert_eq!(more, ["moved"]);
        assert_eq!(NetCost::TABLE.schema_of_files(), NetCost::TABLE.schema());
    }
}

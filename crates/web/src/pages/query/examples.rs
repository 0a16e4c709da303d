//! What finance people ask, as statements to begin with.

/// A question, and the statement that answers it.
pub(super) const EXAMPLES: [(&str, &str); 6] = [
    (
        "Net cost by business unit and month",
        "SELECT billing_period, business_unit, currency, gross_cost, refunds, credits_applied, net_cost
FROM net_cost_summary
WHERE level = 1
ORDER BY billing_period DESC, net_cost DESC",
    ),
    (
        "Credits that end within 60 days, and whom to tell",
        "SELECT promotion_code, account_id, node, owner_email, currency, remaining, end_date, days_left
FROM expiring_credits_view
WHERE days_left <= 60
ORDER BY end_date, remaining DESC",
    ),
    (
        "Where did a credit go",
        "SELECT promotion_code, account_id, node, currency, sum(used) AS used,
    min(first_usage_date) AS first_day, max(last_usage_date) AS last_day
FROM credit_ledger_view
WHERE promotion_code LIKE '%MAP%'
GROUP BY promotion_code, account_id, node, currency
ORDER BY promotion_code, account_id, used DESC",
    ),
    (
        "What waits for allocation, largest first",
        "SELECT promotion_code, account_id, credit_class, currency, aws_applied, first_cur_date, days_waiting, reason
FROM credit_queue
ORDER BY aws_applied DESC",
    ),
    (
        "Clearing by month, and carried forward",
        "SELECT billing_period, currency, invoice_net, net_cost, clearing,
    sum(clearing) OVER (PARTITION BY currency ORDER BY billing_period) AS carried_forward
FROM reconciliation
ORDER BY currency, billing_period",
    ),
    (
        "Services whose charges credits may not offset",
        "SELECT service, currency, sum(charges) AS charges, sum(charges - eligible_charges) AS not_eligible
FROM net_cost
GROUP BY service, currency
HAVING sum(charges - eligible_charges) > 0
ORDER BY not_eligible DESC
LIMIT 20",
    ),
];

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
    use datafusion::datasource::MemTable;
    use datafusion::prelude::SessionContext;
    use schemas::athena::{VIEWS, View};
    use schemas::tables::ALL;
    use schemas::{Table, money_type};

    use super::*;

    fn with_partition(table: &Table) -> SchemaRef {
        let partition = table.partitioned.then(|| Arc::new(Field::new(Table::PARTITION, DataType::Utf8, false)));
        let schema = table.schema();
        Arc::new(Schema::new(partition.into_iter().chain(schema.fields().iter().cloned()).collect::<Vec<_>>()))
    }

    fn declared(view: &View) -> SchemaRef {
        let field = |(name, trino_type): (&str, &str)| {
            let data_type = match trino_type {
                "decimal(38,10)" => money_type(),
                "date" => DataType::Date32,
                "integer" => DataType::Int32,
                "bigint" => DataType::Int64,
                _ => DataType::Utf8,
            };
            Field::new(name, data_type, true)
        };
        let columns = view.columns();
        Arc::new(Schema::new(columns.iter().map(|column| field((column.name, column.trino_type))).collect::<Vec<_>>()))
    }

    #[tokio::test]
    async fn examples_ask_for_what_there_is() {
        let context = SessionContext::new();
        let tables = ALL.iter().map(|table| (table.name, with_partition(table)));
        for (name, schema) in tables.chain(VIEWS.iter().map(|view| (view.name, declared(view)))) {
            let table = MemTable::try_new(schema, vec![vec![]]).unwrap();
            context.register_table(name, Arc::new(table)).unwrap();
        }
        for (question, sql) in EXAMPLES {
            let planned = context.sql(sql).await;
            assert!(planned.is_ok(), "{question}: {:?}", planned.err());
        }
    }
}

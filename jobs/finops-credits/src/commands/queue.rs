//! `queue`: credits that wait for allocation, as the log stands now; of a run that somebody asks for, as it was then.

use application::{Waiting, waiting};
use arrow::array::new_null_array;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use credit_ledger::Node;
use datafusion::error::DataFusionError;

use super::note;
use crate::Failure;
use crate::app::App;
use crate::cli::{Format, Queue};
use crate::files;
use crate::output::{List, print_list, with_texts};

/// The last seven are those of an allocation, in CSV: somebody fills them in.
const ALL: [&str; 20] = [
    "credit_key",
    "promotion_code",
    "account_id",
    "credit_class",
    "currency",
    "first_cur_date",
    "issue_date",
    "issue_period",
    "aws_applied",
    "days_waiting",
    "reason",
    "likely_node",
    "likely_owner_email",
    "amount",
    "end_date",
    "reference",
    "business_unit",
    "department",
    "portfolio",
    "product",
];

const SHOWN: [&str; 9] = [
    "credit_key",
    "likely_node",
    "likely_owner_email",
    "credit_class",
    "currency",
    "issue_date",
    "aws_applied",
    "days_waiting",
    "reason",
];

const EXPENDABLE: [&str; 5] = ["credit_class", "issue_date", "likely_owner_email", "days_waiting", "reason"];

pub(crate) async fn queue(app: &App, arguments: &Queue) -> Result<(), Failure> {
    let Waiting { rows, likely, issues } = waiting(&app.context).await?;
    let names = likely.iter().map(|likely| likely.node.as_ref().map(|node| node.to_string().into())).collect();
    let emails = likely.iter().map(|likely| likely.owner_email.clone()).collect();
    let batch = with_texts(&schemas::to_batch(&rows)?, [("likely_node", names), ("likely_owner_email", emails)])?;
    if let Some(file) = &arguments.out {
        files::write_table(app, file, "queue", &to_fill_in(&batch)?)?;
        note(&format!("{} credits written to {}", rows.len(), file.display()));
        return Ok(());
    }
    let is_filled_in = app.format == Format::Csv;
    let list = List {
        batch: if is_filled_in { to_fill_in(&batch)? } else { batch },
        arguments: &arguments.list,
        all: if is_filled_in { &ALL } else { ALL.get(..13).unwrap_or_default() },
        shown: &SHOWN,
        expendable: &EXPENDABLE,
        summed: &["aws_applied"],
        empty: "No credit waits for allocation.",
    };
    let notes = issues.iter().map(|issue| {
        format!("note: allocation {} lot {} cannot be used: {}", issue.allocation_id, issue.lot, issue.problem)
    });
    print_list(app, &list, &notes.collect::<Vec<_>>())
}

/// The queue with the empty columns of an allocation: `allocations import` takes what is filled in.
fn to_fill_in(queue: &RecordBatch) -> Result<RecordBatch, Failure> {
    let empty = [&["amount", "end_date", "reference"], &Node::LEVELS[..]].concat();
    let blank = new_null_array(&DataType::Utf8, queue.num_rows());
    let schema = queue.schema();
    let known = schema.fields().iter().zip(queue.columns());
    let known = known.map(|(field, column)| (field.name().as_str(), column.clone(), true));
    let columns = known.chain(empty.into_iter().map(|name| (name, blank.clone(), true)));
    Ok(RecordBatch::try_from_iter_with_nullable(columns).map_err(DataFusionError::from)?)
}

#[cfg(test)]
mod tests {
    use schemas::reference::read_allocations;

    use super::*;
    use crate::output::csv_text;
    use crate::testing::{AS_OF, Shop};

    /// Somebody fills in one row of two, and imports the file.
    #[tokio::test(flavor = "multi_thread")]
    async fn queue_has_the_columns_of_an_allocation_and_rows_left_empty_are_skipped() {
        let shop = Shop::new();
        let lines = shop.read("cur/january.csv");
        shop.write(
            "cur/january.csv",
            &(lines + "2026-01-01,999999999999,111111111111,2026-01-20,Credit,AmazonEC2,USD,-1,MAP\n"),
        );
        shop.night("night-1", AS_OF).await;
        let app = shop.app("asking", AS_OF).await;
        let Waiting { rows, .. } = waiting(&app.context).await.unwrap();
        let text = csv_text(&[to_fill_in(&schemas::to_batch(&rows).unwrap()).unwrap()], false).unwrap();
        let [header, activate, map]: [&str; 3] = text.lines().collect::<Vec<_>>().try_into().unwrap();
        assert!(
            header.ends_with("reason,amount,end_date,reference,business_unit,department,portfolio,product"),
            "{header}"
        );
        assert!(map.starts_with("code:MAP@111111111111,") && map.ends_with(",never_allocated,,,,,,,"), "{map}");
        let filled_in = activate.replace(",never_allocated,,,,,,,", ",never_allocated,20,2026-12-31,,Media,,,");
        let entered = read_allocations("queue.csv", format!("{header}\n{filled_in}\n{map}\n").as_bytes());
        assert!(entered.problems.0.is_empty(), "{}", entered.problems);
        assert_eq!((entered.rows.len(), entered.left_empty.len()), (1, 1));
        assert_eq!(entered.rows[0].node.as_ref().unwrap().to_string(), "Media");
    }
}

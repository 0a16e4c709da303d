//! `queue`: credits that wait for allocation, as the log stands now.

use schemas::tables::CreditQueue;
use write_net_cost::standing::queue as queue_rows;

use super::{CreditSnapshot, note};
use crate::Failure;
use crate::app::App;
use crate::output::{Shown, print};

pub(crate) async fn queue(app: &App) -> Result<(), Failure> {
    let standing = CreditSnapshot::of(app).await?;
    let joined = standing.joined();
    let mut rows: Vec<CreditQueue> = queue_rows(&standing.register.credits, &joined.credits, app.as_of);
    rows.sort_by(|left, right| (left.first_cur_date, &left.credit_key).cmp(&(right.first_cur_date, &right.credit_key)));
    print(app, &[schemas::to_batch(&rows)?], Shown::Cents, "No credit waits for allocation.")?;
    for issue in &joined.issues {
        note(&format!("note: allocation {} lot {} cannot be used: {}", issue.allocation_id, issue.lot, issue.problem));
    }
    Ok(())
}

//! `run`: all jobs in order, and a summary a person reads.

use super::summary::Summary;
use crate::Failure;
use crate::jobs::{detect, fifo, join, net_cost, publish};
use crate::run::App;

pub(crate) async fn run(app: &App) -> Result<(), Failure> {
    let lock = app.lake.lock()?;
    let detected = detect::detect_credits(app, &lock).await?;
    join::join_allocations(app, &lock).await?;
    fifo::apply_fifo(app, &lock).await?;
    net_cost::write_net_cost(app, &lock).await?;
    publish::publish(app, &lock).await?;
    drop(lock);
    Summary::of(app, detected).await?.print(app)
}

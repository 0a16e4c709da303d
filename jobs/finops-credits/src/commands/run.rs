//! `run`: all jobs in order, and a summary a person reads.

use super::summary::Summary;
use crate::Failure;
use crate::jobs::{detect, fifo, join, net_cost, publish};
use crate::run::App;

pub(crate) async fn run(app: &App) -> Result<(), Failure> {
    let detected = detect::detect_credits(app).await?;
    join::join_allocations(app).await?;
    fifo::apply_fifo(app).await?;
    net_cost::write_net_cost(app).await?;
    publish::publish(app).await?;
    Summary::of(app, detected).await?.print(app)
}

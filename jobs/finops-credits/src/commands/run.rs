//! `run`: all jobs in order, and a summary a person reads.

use crate::Failure;
use crate::jobs::{detect, fifo, join, net_cost, publish};
use crate::run::{App, locked};

pub(crate) async fn run(app: &App) -> Result<(), Failure> {
    let summary = locked(app, async |lock| {
        let read = detect::read(app, lock).await?;
        // Cells are made on other threads while credits are registered on this one.
        let cells = join::cells_ahead(app, lock, read.changed.clone());
        let (cells, registered) = futures::join!(cells, detect::register(app, lock, read));
        registered?;
        cells?;
        join::join_allocations(app, lock).await?;
        fifo::apply_fifo(app, lock).await?;
        let summary = net_cost::write_net_cost(app, lock).await?;
        publish::publish(app, lock).await?;
        Ok(summary)
    });
    summary.await?.print(app)
}

//! `run`: all jobs in order, and a summary a person reads.

use futures::FutureExt;

use crate::Failure;
use crate::cli::Run;
use crate::jobs::{detect, fifo, join, net_cost, publish};
use crate::run::{App, locked};

pub(crate) async fn run(app: &App, arguments: Run) -> Result<(), Failure> {
    let summary = locked(app, async |lock| {
        let read = detect::read(app, lock).await?;
        // Cells are made on other threads while credits are registered and allocations joined on this one.
        let (making, cells) = join::cells_ahead(app, lock, read.changed.clone()).remote_handle();
        let joined = async {
            detect::register(app, lock, read).await?;
            join::join_beside(app, lock, arguments.join, cells).await
        };
        let ((), joined) = futures::join!(making, joined);
        joined?;
        fifo::apply_fifo(app, lock).await?;
        let mut summary = net_cost::write_net_cost(app, lock).await?;
        summary.not_published = if arguments.publish {
            publish::publish(app, lock).await?;
            None
        } else {
            publish::publish_unless_shorter(app, lock).await?
        };
        summary.published = summary.not_published.is_none();
        Ok(summary)
    });
    summary.await?.print(app)
}

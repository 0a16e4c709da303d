//! `run`: all jobs in order, and a summary a person reads.

use crate::Failure;
use crate::app::App;
use crate::cli::Run;
use crate::jobs::{detect, fifo, join, net_cost, publish};
use crate::notify;
use crate::report::Report;

/// Does all jobs; `told` is the command that is told of what the run has found.
pub(crate) async fn run(app: &App, arguments: Run, told: Option<&str>) -> Result<(), Failure> {
    let report = app.locked(async |lock| {
        detect::detect_credits(app, lock).await?;
        join::join_allocations(app, lock, arguments.join).await?;
        fifo::apply_fifo(app, lock).await?;
        let report = net_cost::write_net_cost(app, lock).await?;
        let not_published = match arguments.publish {
            true => publish::publish(app, lock).await.map(|()| None)?,
            false => publish::publish_unless_shorter(app, lock).await?,
        };
        Ok(Report { published: not_published.is_none(), not_published, ..report })
    });
    let report = report.await?;
    // First, as stdout may be closed.
    if let Some(command) = told {
        notify::found(command, &report, &app.context.settings.lake.database);
    }
    report.print(app)
}

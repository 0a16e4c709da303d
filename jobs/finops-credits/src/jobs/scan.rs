//! The shells of `detect-credits --plan` and `--period`: several processes share the reading of a large export.

use credit_ledger::BillingPeriod;

use crate::Failure;
use crate::app::App;
use crate::clusters::ended;
use crate::output::print_json;
use crate::progress::ScanBar;

/// Says what must be read, so that several processes can share it.
pub(crate) async fn plan(app: &App) -> Result<(), Failure> {
    let (context, reference) = (app.job_context()?, app.context.reference_files().await?);
    let plan = detect_credits::plan_reading(&context, app.export_source().await?, &reference).await?;
    context.run.finish_job("scan-plan", &plan).await?;
    print_json(serde_json::to_string(&plan))
}

/// Reads one billing period, if it changed.
pub(crate) async fn read_period(app: &App, period: BillingPeriod) -> Result<(), Failure> {
    let (context, reference, bar) =
        (app.job_context()?, app.context.reference_files().await?, ScanBar::new(app.watched));
    let source = app.export_on_engine().await?;
    let engine = source.engine.clone();
    let reading = detect_credits::read_period(&context, source, &reference, period, bar.progress());
    Ok(ended(engine, bar.watch(reading)).await?)
}

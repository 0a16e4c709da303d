//! The cluster as the engine of a scan.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_stream::try_stream;
use async_trait::async_trait;
use cur_reader::lock;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionContext;
use datafusion_proto::physical_plan::PhysicalExtensionCodec;
use detect_credits::{Cut, EngineLost, ScanEngine, ScanProgress};
use futures::TryStreamExt;
use lake::{EngineSettings, SchedulerAddress};
use tokio::sync::OnceCell;

use crate::client::{Client, connect};
use crate::codec::codec_without_export;
use crate::error::ClusterError;
use crate::job::{self, Job, lost};
use crate::plan::Shipped;
use crate::signals::Signals;

/// A cluster that scans are given to.
#[derive(Debug)]
pub struct Cluster(Arc<Members>);

#[derive(Debug)]
struct Members {
    scheduler: SchedulerAddress,
    settings: EngineSettings,
    codec: Arc<dyn PhysicalExtensionCodec>,
    client: OnceCell<Client>,
    /// Jobs of ours that may be at work, or have files there.
    jobs: Mutex<BTreeSet<String>>,
    /// Why it is lost: then nothing more is tried there.
    lost: Mutex<Option<EngineLost>>,
}

/// A scheduler that is about to start is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Whoever ends this process waits so long for the cluster.
const LAST_WORDS: Duration = Duration::from_secs(3);
const MOST_PARTITIONS: usize = 1024;
const MOST_SUMS: usize = 16;

impl Cluster {
    /// The cluster of the settings. From now on a signal that ends the process ends its jobs there first.
    ///
    /// # Errors
    /// [`ClusterError::Lost`] where signals cannot be handled.
    pub fn new(scheduler: SchedulerAddress, settings: EngineSettings) -> Result<Self, ClusterError> {
        let members = Arc::new(Members {
            scheduler,
            settings,
            codec: codec_without_export(),
            client: OnceCell::new(),
            jobs: Mutex::default(),
            lost: Mutex::default(),
        });
        let (mut signals, watched) = (Signals::new()?, Arc::downgrade(&members));
        tokio::spawn(async move {
            let signal = signals.next().await;
            if let Some(members) = watched.upgrade() {
                members.end().await;
            }
            let _ended = signal_hook::low_level::emulate_default_handler(signal);
        });
        Ok(Self(members))
    }
}

impl Members {
    fn longest(&self) -> Duration {
        Duration::from_secs(self.settings.deadline_seconds)
    }

    async fn client(&self) -> Result<Client> {
        let connecting = connect(&self.scheduler, PATIENCE.min(self.longest()));
        let client = self.client.get_or_try_init(|| connecting).await;
        client.cloned().map_err(|error| lost(error.to_string()))
    }

    /// Runs a plan up to its rows.
    async fn streams(
        &self,
        shipped: &Shipped,
        session: &SessionContext,
        progress: &ScanProgress,
    ) -> Result<(String, Vec<SendableRecordBatchStream>)> {
        let client = self.client().await?;
        let mut job = Job::submit(client, shipped, &*self.codec, session.copied_config(), self.longest()).await?;
        lock(&self.jobs).insert(job.id.clone());
        tracing::info!(job = %job.id, "submitted");
        let locations = job.done(progress).await?;
        Ok((job.id, locations.into_iter().map(|location| spawn_buffered(job::rows(location, shipped), 2)).collect()))
    }

    /// What is known of a failure from now on.
    fn noted(&self, failure: DataFusionError) -> DataFusionError {
        if EngineLost::is_cause_of(&failure) {
            lock(&self.lost).get_or_insert_with(|| EngineLost(cause(&failure)));
        }
        failure
    }

    async fn end(&self) {
        let jobs = std::mem::take(&mut *lock(&self.jobs));
        let Some(client) = self.client.get() else { return };
        let ending = jobs.into_iter().map(|id| job::cancel(client.clone(), id));
        if tokio::time::timeout(LAST_WORDS, futures::future::join_all(ending)).await.is_err() {
            tracing::warn!("jobs of the cluster may go on until its scheduler is back or ends them");
        }
    }
}

/// Where all is one piece there is no exchange: rows cross once less.
fn cut(bytes: u64, settings: &EngineSettings) -> Cut {
    let scan = bytes.div_ceil(settings.partition_size.as_u64().max(1));
    let scan = usize::try_from(scan).unwrap_or(MOST_PARTITIONS).clamp(1, MOST_PARTITIONS);
    Cut { scan, sums: scan.min(MOST_SUMS) }
}

fn cause(failure: &DataFusionError) -> String {
    match failure {
        DataFusionError::External(lost) => lost.to_string(),
        other => other.strip_backtrace(),
    }
}

#[async_trait]
impl ScanEngine for Cluster {
    fn cut(&self, bytes: u64) -> Cut {
        cut(bytes, &self.0.settings)
    }

    async fn run(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        session: &SessionContext,
        progress: &Arc<ScanProgress>,
    ) -> Result<SendableRecordBatchStream> {
        if let Some(lost) = lock(&self.0.lost).clone() {
            return Err(DataFusionError::External(Box::new(lost)));
        }
        let shipped = Shipped::of(&plan)?;
        let (id, streams) = match self.0.streams(&shipped, session, progress).await {
            Ok(found) => found,
            Err(failure) => {
                progress.set([0; 2]);
                let failure = self.0.noted(failure);
                self.0.end().await;
                return Err(failure);
            }
        };
        let mut rows = shipped.merged(streams, &session.task_ctx())?;
        let (members, schema) = (Arc::clone(&self.0), rows.schema());
        let rows = try_stream! {
            while let Some(batch) = rows.try_next().await.map_err(|failure| members.noted(failure))? {
                yield batch;
            }
            lock(&members.jobs).remove(&id);
            if let Some(client) = members.client.get() {
                job::remove(client.clone(), id).await;
            }
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    fn falls_back(&self) -> bool {
        self.0.settings.fallback.is_some()
    }

    async fn end(&self) {
        self.0.end().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scan_is_one_piece_up_to_the_size_of_a_partition_and_has_bounds() {
        const MIB: u64 = 1 << 20;
        let settings = EngineSettings::default();
        for (bytes, scan, sums) in [
            (0, 1, 1),
            (128 * MIB, 1, 1),
            (128 * MIB + 1, 2, 2),
            (460 * MIB, 4, 4),
            (u64::MAX, MOST_PARTITIONS, MOST_SUMS),
        ] {
            assert_eq!(cut(bytes, &settings), Cut { scan, sums }, "{bytes}");
        }
    }
}

//! SIGTERM, SIGINT, SIGHUP.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::ClusterError;

/// Waits for one of them.
pub(crate) struct Signals([Signal; 3]);

impl Signals {
    /// From now on they no longer end the process.
    ///
    /// # Errors
    /// [`ClusterError::Lost`] where the system refuses.
    pub(crate) fn new() -> Result<Self, ClusterError> {
        let listen =
            |kind| signal(kind).map_err(|error| ClusterError::Lost(format!("signals cannot be handled: {error}")));
        Ok(Self([listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?, listen(SignalKind::hangup())?]))
    }

    /// The number of the next one.
    pub(crate) async fn next(&mut self) -> i32 {
        let [terminate, interrupt, hangup] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => SIGTERM,
            _ = interrupt.recv() => SIGINT,
            _ = hangup.recv() => SIGHUP,
        }
    }
}

//! SIGTERM, SIGINT, SIGHUP.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::ClusterError;

/// Waits for one of them.
pub(crate) struct Signals {
    streams: [Signal; 3],
    came: Arc<AtomicBool>,
}

impl Signals {
    /// From now on they no longer end the process.
    ///
    /// # Errors
    /// [`ClusterError::Lost`] where the system refuses.
    pub(crate) fn new() -> Result<Self, ClusterError> {
        let refused = |error| ClusterError::Lost(format!("signals cannot be handled: {error}"));
        let came = Arc::new(AtomicBool::new(false));
        // Noted before tokio's own handler: who else waits for the signal may be woken, and done, before `next` is.
        for kind in [SIGTERM, SIGINT, SIGHUP] {
            flag::register(kind, came.clone()).map_err(refused)?;
        }
        let listen = |kind| signal(kind).map_err(refused);
        let streams =
            [listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?, listen(SignalKind::hangup())?];
        Ok(Self { streams, came })
    }

    /// Whether one came, waited for or not.
    pub(crate) fn came(&self) -> bool {
        self.came.load(Ordering::SeqCst)
    }

    /// The number of the next one.
    pub(crate) async fn next(&mut self) -> i32 {
        let [terminate, interrupt, hangup] = &mut self.streams;
        tokio::select! {
            _ = terminate.recv() => SIGTERM,
            _ = interrupt.recv() => SIGINT,
            _ = hangup.recv() => SIGHUP,
        }
    }
}

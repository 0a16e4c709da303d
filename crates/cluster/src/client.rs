//! Connections to a scheduler.

use std::time::{Duration, Instant};

use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use lake::SchedulerAddress;
use tonic::transport::{Channel, Endpoint};

use crate::codec::LARGEST_MESSAGE;
use crate::error::ClusterError;
use crate::version;

pub(crate) type Client = SchedulerGrpcClient<Channel>;

const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(500);
/// A call without an answer, and a connection without a sign of life, are given up.
const NO_ANSWER: Duration = Duration::from_secs(20);
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// How every member reaches the scheduler.
///
/// # Errors
/// [`ClusterError::BadInput`] for an address that is none.
pub(crate) fn endpoint(scheduler: &SchedulerAddress) -> Result<Endpoint, ClusterError> {
    let SchedulerAddress { host, port } = scheduler;
    let wrong = |error| ClusterError::BadInput(format!("{scheduler}: {error}"));
    let endpoint = Endpoint::from_shared(format!("http://{host}:{port}")).map_err(wrong)?;
    let endpoint = endpoint.user_agent(version::own()).map_err(wrong)?;
    Ok(endpoint
        .connect_timeout(NO_ANSWER)
        .timeout(NO_ANSWER)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(SIGN_OF_LIFE)
        .keep_alive_timeout(SIGN_OF_LIFE)
        .keep_alive_while_idle(true))
}

/// Connects to a scheduler that may be about to start.
///
/// # Errors
/// [`ClusterError::Lost`] where it does not listen in time.
pub(crate) async fn connect(scheduler: &SchedulerAddress, patience: Duration) -> Result<Client, ClusterError> {
    let (endpoint, begun) = (endpoint(scheduler)?, Instant::now());
    loop {
        match endpoint.connect().await {
            Ok(channel) => {
                let limit = LARGEST_MESSAGE as usize;
                let client = Client::new(channel);
                return Ok(client.max_decoding_message_size(limit).max_encoding_message_size(limit));
            }
            Err(error) if begun.elapsed() >= patience => {
                let message = format!("no scheduler answers at {scheduler}: {}", innermost(&error));
                return Err(ClusterError::Lost(message));
            }
            Err(_) => tokio::time::sleep(BETWEEN_ATTEMPTS.min(patience)).await,
        }
    }
}

/// What an error comes from: transport errors say nothing themselves.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

//! Why a process of a cluster ends.

/// The variants differ in what a caller can do about them.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// An argument is wrong, or members are of different versions.
    #[error("{0}")]
    BadInput(String),
    /// Something is not there, or gone: a retry may help.
    #[error("{0}")]
    Lost(String),
}

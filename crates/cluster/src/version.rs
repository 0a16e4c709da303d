//! Members of a cluster are of one version: each says its own with every call, as the user agent.

use detect_credits::CostScanCodec;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

/// This version, and the format of its plans.
pub(crate) fn own() -> String {
    format!("finops-credits/{}-plan.{}", env!("CARGO_PKG_VERSION"), CostScanCodec::FORMAT)
}

/// What a caller is, where it is not of this version; `who` names it.
///
/// # Errors
/// [`Code::FailedPrecondition`], told to the caller and the log.
pub(crate) fn check(metadata: &MetadataMap, who: impl FnOnce() -> String) -> Result<(), Status> {
    let agent = metadata.get("user-agent").and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let theirs = agent.split(' ').next().unwrap_or_default();
    if theirs == own() {
        return Ok(());
    }
    let theirs = if theirs.starts_with("finops-credits/") { theirs } else { "another program" };
    let message = format!("{} is {theirs}, the scheduler {}: run the same version everywhere", who(), own());
    tracing::warn!("refused: {message}");
    Err(Status::new(Code::FailedPrecondition, message))
}

/// The message of a refusal.
pub(crate) fn refusal(status: &Status) -> Option<String> {
    (status.code() == Code::FailedPrecondition).then(|| status.message().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_of_another_version_or_plan_format_are_refused_by_name() {
        let refused = |agent: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("user-agent", agent.parse().unwrap());
            check(&metadata, || "executor 10.0.0.7:50051".to_owned()).map_err(|status| status.message().to_owned())
        };
        assert_eq!(refused(&format!("{} tonic/0.14.2", own())), Ok(()));
        assert_eq!(
            refused("finops-credits/0.0.9-plan.2 tonic/0.14.2").unwrap_err(),
            format!(
                "executor 10.0.0.7:50051 is finops-credits/0.0.9-plan.2, the scheduler {}: run the same version everywhere",
                own()
            )
        );
        assert!(refused("tonic/0.14.2").unwrap_err().contains("is another program, "));
        assert!(check(&MetadataMap::new(), String::new).is_err());
    }
}

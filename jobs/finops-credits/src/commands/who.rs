//! Who records something, where the person does not say.

use application::CreditSnapshot;
use join_allocations::record::Recording;
use lake::{Settings, is_s3};

use crate::app::App;
use crate::cli::RecordArgs;

/// Who and when: as stated, else the login name and now.
pub(crate) fn recording(app: &App, snapshot: &CreditSnapshot, stamp: &RecordArgs) -> Recording {
    let by = stamp.by.clone().or_else(|| login(&app.context.settings));
    snapshot.recording(&app.context, by.as_deref(), stamp.recorded_at)
}

/// The login name, else the number of the user; never nothing, but in the cloud, where no person is at work.
#[expect(clippy::disallowed_methods, reason = "the login name says who recorded it")]
pub(crate) fn login(settings: &Settings) -> Option<String> {
    let named = |name: &str| std::env::var(name).ok().filter(|name| !name.trim().is_empty());
    let name = ["USER", "LOGNAME"].into_iter().find_map(named);
    if is_s3(&settings.lake.location) {
        return name;
    }
    name.or_else(number).or_else(|| Some("unknown user".to_owned()))
}

/// `uid 1000`: the user whose process this is.
#[cfg(target_os = "linux")]
fn number() -> Option<String> {
    use std::os::unix::fs::MetadataExt;

    std::fs::metadata("/proc/self").ok().map(|process| format!("uid {}", process.uid()))
}

#[cfg(not(target_os = "linux"))]
const fn number() -> Option<String> {
    None
}

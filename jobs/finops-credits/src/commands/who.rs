//! Who records something.

use application::CreditSnapshot;
use join_allocations::record::Recording;
use lake::{Settings, is_s3};

use crate::Failure;
use crate::app::App;
use crate::cli::RecordArgs;
use crate::locations::Locations;

/// Who and when: as stated, else the login name and now. On AWS whom AWS names, and beside that only what is stated.
///
/// # Errors
/// [`Failure`] where AWS names nobody.
pub(crate) async fn recording(app: &App, snapshot: &CreditSnapshot, stamp: &RecordArgs) -> Result<Recording, Failure> {
    let caller = caller(&app.locations, &app.context.settings).await?;
    let by = stamp.by.clone().or_else(|| caller.is_none().then(login));
    Ok(snapshot.recording(&app.context, (caller.as_deref(), by.as_deref()), stamp.recorded_at))
}

/// The name that stands for the person, as in [`recording`].
///
/// # Errors
/// [`Failure`] where AWS names nobody.
pub(crate) async fn name(locations: &Locations, settings: &Settings, by: Option<String>) -> Result<String, Failure> {
    Ok(match (caller(locations, settings).await?, by) {
        (Some(caller), Some(by)) => format!("{caller} ({by})"),
        (Some(caller), None) => caller,
        (None, by) => by.unwrap_or_else(login),
    })
}

/// What the person's folder of the inbox is called: as AWS tells people apart, else the login name.
///
/// # Errors
/// [`Failure`] where AWS names nobody.
pub(crate) async fn folder(app: &App) -> Result<String, Failure> {
    match is_s3(&app.context.settings.lake.location) {
        true => Ok(app.locations.aws()?.user_id().await?),
        false => Ok(login()),
    }
}

/// Whom AWS names, where the lake is there.
async fn caller(locations: &Locations, settings: &Settings) -> Result<Option<String>, Failure> {
    match is_s3(&settings.lake.location) {
        true => Ok(Some(locations.aws()?.caller().await?)),
        false => Ok(None),
    }
}

/// The login name, else the number of the user; never nothing.
#[expect(clippy::disallowed_methods, reason = "the login name says who recorded it")]
fn login() -> String {
    let named = |name: &str| std::env::var(name).ok().filter(|name| !name.trim().is_empty());
    let name = ["USER", "LOGNAME"].into_iter().find_map(named);
    name.or_else(number).unwrap_or_else(|| "unknown user".to_owned())
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

#[cfg(test)]
mod tests {
    use join_allocations::record::Stamp;

    use super::*;
    use crate::testing::{AS_OF, Shop, instant};

    #[tokio::test(flavor = "multi_thread")]
    async fn whoever_is_stated_records_else_the_login_name_which_is_never_nothing() {
        let shop = Shop::new();
        shop.night("night-1", AS_OF).await;
        let app = shop.app("asking", AS_OF).await;
        let snapshot = CreditSnapshot::of(&app.context).await.unwrap();
        let by =
            |by: Option<&str>, at: Option<&str>| RecordArgs { by: by.map(str::to_owned), recorded_at: at.map(instant) };
        let stated = by(Some("jane@example.com"), Some("2026-01-25T08:00:00"));
        let stated = recording(&app, &snapshot, &stated).await.unwrap();
        assert_eq!((stated.caller, stated.recorded_by.as_deref()), (None, Some("jane@example.com")));
        assert_eq!((stated.recorded_at, stated.stamp), (instant("2026-01-25T08:00:00"), Stamp::Stated));
        let own = recording(&app, &snapshot, &by(None, None)).await.unwrap();
        assert_eq!((own.recorded_at, own.stamp), (app.context.now, Stamp::Clock));
        let own_name = name(&app.locations, &app.context.settings, None).await.unwrap();
        assert_eq!(own.recorded_by.as_deref(), Some(own_name.as_str()));
        assert!(!own_name.trim().is_empty());
        let stated = name(&app.locations, &app.context.settings, Some("jane".to_owned())).await.unwrap();
        assert_eq!(stated, "jane");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn user_without_a_name_is_known_by_number() {
        let number = number().unwrap();
        assert!(number.strip_prefix("uid ").is_some_and(|uid| uid.parse::<u32>().is_ok()), "{number}");
    }
}

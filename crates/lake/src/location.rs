//! Locations as settings spell them: folders and addresses on S3.

use std::path::Path;

const S3: &str = "s3://";

/// True for `s3://…`.
#[must_use]
pub fn is_s3(location: &str) -> bool {
    location.starts_with(S3)
}

/// A relative location below a folder or an `s3://` address, whose `..` are resolved: S3 knows no folders.
pub(crate) fn below(base: &str, location: &str) -> String {
    if !is_s3(base) {
        return Path::new(base).join(location).to_string_lossy().into_owned();
    }
    let mut parts: Vec<&str> = base.trim_end_matches('/').split('/').collect();
    let bucket = 3;
    for part in location.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part != ".." {
            parts.push(part);
        } else if parts.len() > bucket {
            parts.pop();
        }
    }
    parts.join("/")
}

/// What is wrong with a location.
pub(crate) fn check_location(section: &str, location: &str) -> Result<(), String> {
    if location.trim().is_empty() {
        return Err(format!("{section} location is empty"));
    }
    if location.chars().any(char::is_control) {
        return Err(format!("{section} location {location:?} holds a control character"));
    }
    let bucket = location.strip_prefix(S3).map(|path| path.split('/').next().unwrap_or_default());
    if bucket == Some("") || (bucket.is_none() && location.contains("://")) {
        return Err(format!("{section} location {location:?} is neither a folder nor s3://bucket/prefix"));
    }
    Ok(())
}

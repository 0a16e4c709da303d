//! Places on S3.

use lake::LakeError;
use object_store::path::Path;

/// `s3://bucket/prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct S3Location {
    pub(crate) bucket: String,
    /// Without slashes at its ends; empty for a whole bucket.
    pub(crate) prefix: Path,
}

impl S3Location {
    pub(crate) fn parse(text: &str) -> Result<Self, LakeError> {
        let bad = || LakeError::BadInput(format!("{text:?} is no place on S3 (s3://bucket/prefix)"));
        let path = text.strip_prefix("s3://").ok_or_else(bad)?;
        let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
        if bucket.is_empty() {
            return Err(bad());
        }
        let prefix = Path::parse(prefix.trim_matches('/')).map_err(|_error| bad())?;
        Ok(Self { bucket: bucket.to_owned(), prefix })
    }

    /// `s3://bucket/prefix`, without a closing slash.
    pub(crate) fn url(&self) -> String {
        let url = format!("s3://{}/{}", self.bucket, self.prefix);
        url.trim_end_matches('/').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_at_the_ends_do_not_matter() {
        for text in ["s3://bucket/a/b", "s3://bucket/a/b/", "s3://bucket//a/b"] {
            assert_eq!(S3Location::parse(text).unwrap().url(), "s3://bucket/a/b");
        }
        for text in ["s3://bucket", "s3://bucket/"] {
            assert_eq!(S3Location::parse(text).unwrap().url(), "s3://bucket");
        }
    }

    #[test]
    fn a_place_without_a_bucket_is_refused() {
        for text in ["s3://", "s3:///prefix", "bucket/prefix"] {
            assert!(S3Location::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn prefix_is_a_plain_path_as_s3_keeps_it() {
        let location = S3Location::parse("s3://bucket/größe/a b/c=d/").unwrap();
        assert_eq!((location.bucket.as_str(), location.prefix.as_ref()), ("bucket", "größe/a b/c=d"));
        for text in ["s3://bucket/a//b", "s3://bucket/a/../b", "s3://bucket/./a", "S3://bucket/a", "s3:/bucket/a", ""] {
            let refused = S3Location::parse(text).unwrap_err().to_string();
            assert_eq!(refused, format!("{text:?} is no place on S3 (s3://bucket/prefix)"));
        }
    }
}

//! Several exports as one place, each below a folder of its name.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::{Path, PathPart};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// Several exports as one place, each below a folder of its name. It is only read.
#[derive(Debug)]
pub struct NamedExports(Vec<(String, Arc<dyn ObjectStore>)>);

impl NamedExports {
    /// Exports by name.
    #[must_use]
    pub const fn new(exports: Vec<(String, Arc<dyn ObjectStore>)>) -> Self {
        Self(exports)
    }

    /// The export that a path is of, and the path in it.
    fn find(&self, path: &Path) -> Result<(&str, &Arc<dyn ObjectStore>, Path)> {
        let mut parts = path.parts();
        let first = parts.next();
        let first = first.as_ref().map_or("", AsRef::as_ref);
        let found = self.0.iter().find(|(name, _)| name == first);
        let (name, store) = found
            .ok_or_else(|| Error::NotFound { path: path.to_string(), source: "no export has this name".into() })?;
        Ok((name, store, parts.collect()))
    }
}

/// A path below the folder of an export.
fn below(name: &str, path: &Path) -> Path {
    std::iter::once(PathPart::from(name)).chain(path.parts()).collect()
}

/// An error about a file, which it names as the other files are named.
fn of_export(name: &str, error: Error) -> Error {
    match error {
        Error::NotFound { path, source } => Error::NotFound { path: format!("{name}/{path}"), source },
        other => other,
    }
}

fn only_read<T>(operation: &str) -> Result<T> {
    Err(Error::NotImplemented { operation: operation.to_owned(), implementer: "an export".to_owned() })
}

impl fmt::Display for NamedExports {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        write!(formatter, "exports {}", names.join(", "))
    }
}

#[async_trait]
impl ObjectStore for NamedExports {
    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let (name, store, inner) = self.find(path)?;
        let mut found = store.get_opts(&inner, options).await.map_err(|error| of_export(name, error))?;
        found.meta.location = path.clone();
        Ok(found)
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let (name, store, inner) = self.find(path)?;
        store.get_ranges(&inner, ranges).await.map_err(|error| of_export(name, error))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let exports = match prefix.filter(|prefix| prefix.parts().next().is_some()) {
            None => self.0.iter().map(|(name, store)| (name.clone(), store.list(None))).collect(),
            Some(prefix) => match self.find(prefix) {
                Ok((name, store, inner)) => vec![(name.to_owned(), store.list(Some(&inner)))],
                Err(_) => Vec::new(),
            },
        };
        let listed = exports.into_iter().map(|(name, objects)| {
            objects.map_ok(move |object| ObjectMeta { location: below(&name, &object.location), ..object })
        });
        futures::stream::iter(listed.collect::<Vec<_>>()).flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let Some(prefix) = prefix.filter(|prefix| prefix.parts().next().is_some()) else {
            let folders = self.0.iter().map(|(name, _)| Path::from(name.as_str()));
            return Ok(ListResult { common_prefixes: folders.collect(), objects: Vec::new() });
        };
        let (name, store, inner) = self.find(prefix)?;
        let mut listed = store.list_with_delimiter(Some(&inner)).await?;
        for folder in &mut listed.common_prefixes {
            *folder = below(name, folder);
        }
        for object in &mut listed.objects {
            object.location = below(name, &object.location);
        }
        Ok(listed)
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        only_read("put")
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        only_read("put_multipart")
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        futures::stream::once(async { only_read("delete") }).boxed()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        only_read("copy")
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;

    async fn two_exports() -> NamedExports {
        let mut exports = Vec::new();
        for (name, files) in [("emea", ["data/a 1%.csv", "data/b.csv"]), ("apac", ["data/a 1%.csv", "c.csv"])] {
            let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            for file in files {
                store.put(&Path::from(file), format!("{name} {file}").into()).await.unwrap();
            }
            exports.push((name.to_owned(), store));
        }
        NamedExports::new(exports)
    }

    async fn listed(exports: &NamedExports, prefix: Option<&str>) -> Vec<String> {
        let prefix = prefix.map(Path::from);
        let objects: Vec<ObjectMeta> = exports.list(prefix.as_ref()).try_collect().await.unwrap();
        objects.into_iter().map(|object| object.location.to_string()).collect()
    }

    #[tokio::test]
    async fn files_of_each_export_lie_below_its_name_and_are_read_by_the_path_they_are_listed_with() {
        let exports = two_exports().await;
        let paths = listed(&exports, None).await;
        assert_eq!(paths, ["emea/data/a 1%25.csv", "emea/data/b.csv", "apac/c.csv", "apac/data/a 1%25.csv"]);
        for path in paths {
            let path = Path::parse(&path).unwrap();
            let found = exports.get(&path).await.unwrap();
            assert_eq!(found.meta.location, path);
            let text = String::from_utf8(found.bytes().await.unwrap().to_vec()).unwrap();
            assert_eq!(text.replacen(' ', "/", 1), path.to_string().replace("%25", "%"));
            let name = path.parts().next().unwrap().as_ref().to_owned();
            let halves = exports.get_ranges(&path, &[0..2, 2..4]).await.unwrap();
            assert_eq!(halves.concat(), name.into_bytes());
        }
        assert_eq!(listed(&exports, Some("apac/data")).await, ["apac/data/a 1%25.csv"]);
        assert!(listed(&exports, Some("other")).await.is_empty());
        let folders = exports.list_with_delimiter(Some(&Path::from("apac"))).await.unwrap();
        assert_eq!(folders.common_prefixes, [Path::from("apac/data")]);
        assert_eq!(folders.objects[0].location, Path::from("apac/c.csv"));
    }

    #[tokio::test]
    async fn missing_file_is_named_with_its_export_and_nothing_is_written() {
        let exports = two_exports().await;
        let missing = exports.get(&Path::from("apac/d.csv")).await.unwrap_err().to_string();
        assert!(missing.starts_with("Object at location apac/d.csv not found"), "{missing}");
        let missing = exports.get(&Path::from("latam/d.csv")).await.unwrap_err().to_string();
        assert_eq!(missing, "Object at location latam/d.csv not found: no export has this name");
        let refused = exports.put(&Path::from("apac/d.csv"), "x".into()).await.unwrap_err();
        assert!(matches!(refused, Error::NotImplemented { .. }));
        let to_be_removed = futures::stream::iter([Ok(Path::from("apac/c.csv"))]).boxed();
        assert!(exports.delete_stream(to_be_removed).try_collect::<Vec<_>>().await.is_err());
        assert_eq!(listed(&exports, Some("apac")).await.len(), 2);
    }
}

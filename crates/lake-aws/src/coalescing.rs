//! Fetching many ranges of one object with few requests and few bytes that nobody wanted.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backon::{ConstantBuilder, Retryable};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, coalesce_ranges,
};

/// Ranges with no more bytes between them are one request. The library itself would fetch a megabyte more to save one.
const WIDEST_GAP: u64 = 16 << 10;

/// A store that joins ranges that lie close to each other.
#[derive(Debug)]
pub(crate) struct CoalescingStore(pub(crate) Arc<dyn ObjectStore>);

impl fmt::Display for CoalescingStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The client does not ask again for a listing that breaks off in the middle.
fn once_more() -> ConstantBuilder {
    ConstantBuilder::default().with_delay(Duration::from_millis(500)).with_max_times(1)
}

const fn is_broken_off(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::Generic { .. })
}

#[async_trait]
impl ObjectStore for CoalescingStore {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.0.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let fetch = |range: Range<u64>| async move {
            if range.is_empty() {
                return Ok(Bytes::new());
            }
            let bytes = self.0.get_range(path, range.clone()).await?;
            // Ranges cannot be cut from what is not there.
            if bytes.len() as u64 == range.end - range.start {
                return Ok(bytes);
            }
            let source = format!("{path} ends before byte {}, which it had when it was listed", range.end).into();
            Err(object_store::Error::Generic { store: "S3", source })
        };
        coalesce_ranges(ranges, fetch, WIDEST_GAP).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (objects, prefix) = (Arc::clone(&self.0), prefix.cloned());
        let listing = async move {
            let list = || objects.list(prefix.as_ref()).try_collect::<Vec<_>>();
            let listed = list.retry(once_more()).when(is_broken_off).await?;
            Ok::<_, object_store::Error>(futures::stream::iter(listed.into_iter().map(Ok)))
        };
        futures::stream::once(listing).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let list = || self.0.list_with_delimiter(prefix);
        list.retry(once_more()).when(is_broken_off).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use object_store::GetRange;
    use object_store::memory::InMemory;

    use super::*;
    use crate::testing::Losing;

    #[tokio::test]
    async fn ranges_that_lie_close_to_each_other_are_one_request() {
        let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        objects.put(&Path::from("x"), vec![0_u8; 50_000].into()).await.unwrap();
        let store = Losing::new(objects, 0, 0);
        let next = 100 + WIDEST_GAP;
        let far = next + 100 + WIDEST_GAP + 1;
        let wanted = [far..far + 5, 0..80, next..next + 100, 40..100];
        let got = CoalescingStore(store.clone()).get_ranges(&Path::from("x"), &wanted).await.unwrap();
        assert_eq!(got.iter().map(Bytes::len).collect::<Vec<_>>(), [5, 80, 100, 60]);
        let asked = store.ranges.lock().unwrap();
        assert_eq!(*asked, [GetRange::Bounded(0..next + 100), GetRange::Bounded(far..far + 5)]);
    }

    #[tokio::test]
    async fn every_range_comes_back_as_it_was_asked_for() {
        let bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        store.put(&Path::from("x"), bytes.clone().into()).await.unwrap();
        let wanted = [4000..4100, 10..20, 20..300, 310..1000, 50..60, 4990..5000];
        let got = CoalescingStore(store).get_ranges(&Path::from("x"), &wanted).await.unwrap();
        for (range, got) in wanted.iter().zip(got) {
            let (start, end) = (usize::try_from(range.start).unwrap(), usize::try_from(range.end).unwrap());
            assert_eq!(got, bytes[start..end], "{range:?}");
        }
    }

    #[tokio::test]
    async fn listing_that_breaks_off_is_asked_for_once_more_and_no_more_often() {
        let path = Path::from("cur/a.csv");
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        store.put(&path, "x".into()).await.unwrap();
        for (breaks_off, is_answered) in [(1, true), (2, false)] {
            let coalescing = |listings| CoalescingStore(Losing::new(Arc::clone(&store), 0, listings));
            let listed: Result<Vec<ObjectMeta>> = coalescing(breaks_off).list(None).try_collect().await;
            assert_eq!(listed.is_ok(), is_answered, "{breaks_off}");
            assert!(listed.is_err() || listed.is_ok_and(|files| files.len() == 1 && files[0].location == path));
            let listed = coalescing(breaks_off).list_with_delimiter(Some(&Path::from("cur"))).await;
            assert_eq!(listed.map(|listed| listed.objects.len()).ok(), is_answered.then_some(1));
        }
    }

    #[tokio::test]
    async fn range_beyond_the_end_of_an_object_is_an_error_and_never_other_bytes() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        store.put(&Path::from("x"), "0123456789".into()).await.unwrap();
        let store = CoalescingStore(store);
        let whole = store.get_ranges(&Path::from("x"), &[8..10, 0..2, 5..5]).await.unwrap();
        assert_eq!(whole, ["89", "01", ""]);
        for beyond in [[20..30, 40..50], [0..2, 30..40], [0..2, 5..11]] {
            assert!(store.get_ranges(&Path::from("x"), &beyond).await.is_err(), "{beyond:?}");
        }
        assert!(store.get_ranges(&Path::from("none"), &[0..1, 2..3]).await.is_err());
    }
}

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
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// Of the wanted bytes, what may be fetched beside them to save requests.
const WASTE_PERCENT: u64 = 10;
/// A larger gap is never worth it: in that time a request is answered.
const WIDEST_GAP: u64 = 1 << 20;
/// Requests for one object at once.
const AT_ONCE: usize = 8;

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

/// Ranges to fetch, in order, that hold all wanted ones. The smallest gaps are closed first, until what they add up to
/// is [`WASTE_PERCENT`] of what is wanted.
fn joined(wanted: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted: Vec<Range<u64>> = wanted.iter().filter(|range| range.start < range.end).cloned().collect();
    sorted.sort_by_key(|range| range.start);
    let mut apart: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match apart.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => apart.push(range),
        }
    }
    let bytes: u64 = apart.iter().map(|range| range.end - range.start).sum();
    let mut gaps: Vec<u64> = apart.windows(2).map(|pair| gap(&pair[0], &pair[1])).collect();
    gaps.sort_unstable();
    let mut left = bytes * WASTE_PERCENT / 100;
    let mut widest = None;
    for gap in gaps {
        if gap > left || gap > WIDEST_GAP {
            break;
        }
        left -= gap;
        widest = Some(gap);
    }
    close_gaps(apart, widest, bytes * WASTE_PERCENT / 100)
}

fn gap(left: &Range<u64>, right: &Range<u64>) -> u64 {
    right.start.saturating_sub(left.end)
}

/// Of several gaps of the widest size, the first ones are closed, as many as `budget` allows.
fn close_gaps(apart: Vec<Range<u64>>, widest: Option<u64>, budget: u64) -> Vec<Range<u64>> {
    let Some(widest) = widest else { return apart };
    let narrow: u64 = apart.windows(2).map(|pair| gap(&pair[0], &pair[1])).filter(|gap| *gap < widest).sum();
    let mut left = budget - narrow;
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in apart {
        match joined.last_mut() {
            Some(last) if gap(last, &range) < widest => last.end = range.end,
            Some(last) if gap(last, &range) == widest && widest <= left => {
                left -= widest;
                last.end = range.end;
            }
            _ => joined.push(range),
        }
    }
    joined
}

/// The wanted ranges cut from what was fetched.
fn cut(wanted: &[Range<u64>], fetched: &[(Range<u64>, Bytes)]) -> Vec<Bytes> {
    let piece = |range: &Range<u64>| {
        let at = fetched.partition_point(|(held, _)| held.end < range.end);
        let (held, bytes) = fetched.get(at)?;
        let start = usize::try_from(range.start.checked_sub(held.start)?).ok()?;
        let end = usize::try_from(range.end.checked_sub(held.start)?).ok()?;
        (start <= end && end <= bytes.len()).then(|| bytes.slice(start..end))
    };
    wanted.iter().map(|range| piece(range).unwrap_or_default()).collect()
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
            Ok::<_, object_store::Error>((range.clone(), self.0.get_range(path, range).await?))
        };
        let fetched: Vec<(Range<u64>, Bytes)> =
            futures::stream::iter(joined(ranges)).map(fetch).buffered(AT_ONCE).try_collect().await?;
        Ok(cut(ranges, &fetched))
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
    use object_store::memory::InMemory;

    use super::*;

    #[test]
    fn neighbours_are_one_request() {
        assert_eq!(joined(&[100..200, 0..100, 200..201]), vec![0..201]);
    }

    #[test]
    fn the_smallest_gaps_are_closed_until_a_tenth_is_wasted() {
        assert_eq!(joined(&[0..500, 560..700, 740..1000]), vec![0..500, 560..1000]);
        assert_eq!(joined(&[0..500, 530..700, 740..1000]), vec![0..1000]);
    }

    #[test]
    fn of_gaps_of_one_size_no_more_are_closed_than_may_be_wasted() {
        let wanted: Vec<Range<u64>> = (0..10).map(|index| index * 120..index * 120 + 100).collect();
        let fetched = joined(&wanted);
        let bytes: u64 = fetched.iter().map(|range| range.end - range.start).sum();
        assert!(bytes <= 1100, "{fetched:?}");
        assert_eq!(fetched.len(), 5);
    }

    #[test]
    fn nothing_wanted_is_no_request() {
        assert_eq!(joined(&[]), Vec::<Range<u64>>::new());
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

    #[test]
    fn gap_that_is_wider_than_a_request_is_worth_is_never_fetched() {
        let far = 100 * WIDEST_GAP;
        let (close, beyond) = (far + WIDEST_GAP, far + WIDEST_GAP + 1);
        assert_eq!(joined(&[0..far, close..close + 5]), vec![0..close + 5]);
        assert_eq!(joined(&[0..far, beyond..beyond + 5]), vec![0..far, beyond..beyond + 5]);
        assert_eq!(joined(&[10..10, 0..3]), vec![0..3], "what is empty is not wanted");
        assert_eq!(joined(&[0..100, 20..50, 90..120]), vec![0..120], "what overlaps is fetched once");
    }

    #[tokio::test]
    async fn listing_that_breaks_off_is_asked_for_once_more_and_no_more_often() {
        let path = Path::from("cur/a.csv");
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        store.put(&path, "x".into()).await.unwrap();
        for (breaks_off, is_answered) in [(1, true), (2, false)] {
            let coalescing = |listings| CoalescingStore(crate::testing::Losing::new(Arc::clone(&store), 0, listings));
            let listed: Result<Vec<ObjectMeta>> = coalescing(breaks_off).list(None).try_collect().await;
            assert_eq!(listed.is_ok(), is_answered, "{breaks_off}");
            assert!(listed.is_err() || listed.is_ok_and(|files| files.len() == 1 && files[0].location == path));
            let listed = coalescing(breaks_off).list_with_delimiter(Some(&Path::from("cur"))).await;
            assert_eq!(listed.map(|listed| listed.objects.len()).ok(), is_answered.then_some(1));
        }
    }

    #[tokio::test]
    async fn range_beyond_the_end_of_an_object_is_cut_or_an_error_and_never_other_bytes() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        store.put(&Path::from("x"), "0123456789".into()).await.unwrap();
        let store = CoalescingStore(store);
        let whole = store.get_ranges(&Path::from("x"), &[8..10, 0..2, 5..5]).await.unwrap();
        assert_eq!(whole, ["89", "01", ""]);
        assert!(store.get_ranges(&Path::from("x"), &[20..30, 40..50]).await.is_err());
        assert!(store.get_ranges(&Path::from("none"), &[0..1, 2..3]).await.is_err());
    }
}

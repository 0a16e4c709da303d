//! Where failures of libraries that decode files end, panics among them.
//!
//! Arrow, Parquet and the unpackers panic on some damage. Whatever calls them on bytes of the lake does so in here: what
//! they throw is then an error, and nothing is printed.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::pin::pin;
use std::sync::Once;
use std::task::Poll;

use futures::future::poll_fn;
use futures::{Stream, StreamExt};

thread_local! {
    /// True while this thread decodes bytes of a file.
    static IS_DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Runs what decodes bytes of a file. Of a panic it gives the first line of what it says.
pub(crate) fn decoding<T>(decode: impl FnOnce() -> T) -> Result<T, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let hook = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_DECODING.get() {
                hook(panic);
            }
        }));
    });
    let before = IS_DECODING.replace(true);
    let decoded = catch_unwind(AssertUnwindSafe(decode));
    IS_DECODING.set(before);
    decoded.map_err(|panic| said(panic.as_ref()))
}

/// Awaits what decodes bytes of a file.
pub async fn decoded<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let mut work = pin!(work);
    poll_fn(|context| match decoding(|| work.as_mut().poll(context)) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// What a stream decodes; after a panic there is nothing more.
pub(crate) fn decoded_items<T>(stream: impl Stream<Item = T> + Unpin) -> impl Stream<Item = Result<T, String>> {
    futures::stream::unfold(Some(stream), |stream| async {
        let mut stream = stream?;
        match decoded(stream.next()).await {
            Ok(item) => item.map(|item| (Ok(item), Some(stream))),
            Err(panic) => Some((Err(panic), None)),
        }
    })
}

/// The first line of what a panic says.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.and_then(|text| text.lines().next()).unwrap_or("it cannot be decoded").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_what_it_says_and_ends_the_stream() {
        let items = futures::stream::iter([1, 2, 3]).map(|item| {
            assert!(item < 2, "no such index\nat all");
            item
        });
        let items: Vec<_> = decoded_items(Box::pin(items)).collect().await;
        assert_eq!(items, [Ok(1), Err("no such index".to_owned())]);
        assert_eq!(decoded(async { 5 }).await, Ok(5));
        assert!(!IS_DECODING.get());
    }
}

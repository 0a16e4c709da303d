//! What decodes bytes of the lake, as futures and streams; see [`schemas::decoding`].

use std::pin::pin;
use std::task::Poll;

use futures::future::poll_fn;
use futures::{Stream, StreamExt};
use schemas::decoding;

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
    }
}

//! Work on several things at once.

use datafusion::common::runtime::SpawnedTask;
use futures::{StreamExt, TryStreamExt, stream};

/// Starts work on another thread. It is aborted where the returned future is dropped; its panic becomes one of ours.
pub fn spawn_abort_on_drop<R: Send + 'static>(
    work: impl Future<Output = R> + Send + 'static,
) -> impl Future<Output = R> {
    let task = SpawnedTask::spawn(work);
    async move {
        match task.join_unwind().await {
            Ok(done) => done,
            // The whole command is ending: nobody waits any more.
            Err(_cancelled) => std::future::pending().await,
        }
    }
}

/// Does work on items that do not depend on each other, `at_once` at a time. Results come in the order of the items; the
/// first failure in that order ends it.
///
/// # Errors
/// That of the work.
pub async fn map_concurrently<T, R, E, W>(
    at_once: usize,
    items: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> W,
) -> Result<Vec<R>, E>
where
    R: Send + 'static,
    E: Send + 'static,
    W: Future<Output = Result<R, E>> + Send + 'static,
{
    stream::iter(items.into_iter().map(work).map(spawn_abort_on_drop)).buffered(at_once).try_collect().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn results_and_the_first_failure_come_in_order_of_the_items() {
        let doubled = map_concurrently(3, 0..10, async |item: u64| {
            tokio::time::sleep(std::time::Duration::from_millis(10 - item)).await;
            if item % 4 == 3 { Err(item) } else { Ok(item * 2) }
        });
        assert_eq!(doubled.await, Err(3));
        let doubled = map_concurrently(3, [5, 1, 2], async |item: u64| Ok::<_, ()>(item * 2));
        assert_eq!(doubled.await, Ok(vec![10, 2, 4]));
    }
}

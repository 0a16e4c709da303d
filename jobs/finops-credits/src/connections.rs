//! The connections of `serve`. Each is answered on a task of its own; none is held open for nothing.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, watch};

/// How long the head of a request may take, and the next one on a connection may be waited for.
const HEAD: Duration = Duration::from_secs(15);
/// Connections at once; further ones wait.
const MOST: u32 = 256;
/// After a connection could not be taken, as there are too many open files.
const PAUSE: Duration = Duration::from_millis(500);

/// Answers until it is `ended`, and then the requests that are under way.
pub(crate) async fn answer(listener: TcpListener, pages: Router, ended: &Notify) {
    serve(listener, pages, ended, HEAD).await;
}

async fn serve(listener: TcpListener, pages: Router, ended: &Notify, head: Duration) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head);
    let places = Arc::new(Semaphore::new(MOST as usize));
    let (end, ending) = watch::channel(());
    let mut ended = pin!(ended.notified());
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut ended => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("a connection could not be taken: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(pages.clone());
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let mut ending = ending.clone();
        tokio::spawn(async move {
            let _until_it_is_closed = place;
            let mut connection = pin!(connection);
            // That somebody goes away in the middle, or is too slow, is nothing to be told.
            tokio::select! {
                _closed = connection.as_mut() => return,
                _asked_to_end = ending.changed() => connection.as_mut().graceful_shutdown(),
            }
            let _closed = connection.await;
        });
    }
    // Whoever comes now is refused, and does not wait.
    drop(listener);
    end.send_replace(());
    let _all_closed = places.acquire_many(MOST).await;
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    /// What comes on a connection until it is closed.
    async fn read(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        let _cut = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut text)).await.expect("closed");
        String::from_utf8_lossy(&text).into_owned()
    }

    #[tokio::test]
    async fn request_that_never_ends_is_given_up_and_one_under_way_is_answered_at_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let slow = get(|| async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            "slowly"
        });
        let ended = Arc::new(Notify::new());
        let until = Arc::clone(&ended);
        let pages = Router::new().route("/", slow);
        let serving = tokio::spawn(async move { serve(listener, pages, &until, Duration::from_millis(100)).await });
        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n").await.unwrap();
        read(&mut half).await;
        let mut whole = TcpStream::connect(address).await.unwrap();
        whole.write_all(REQUEST).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        ended.notify_waiters();
        let answer = read(&mut whole).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("slowly"), "{answer}");
        serving.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    }
}

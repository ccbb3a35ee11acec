//! Waiting for what the API server tells only who asks.

use std::time::{Duration, Instant};

/// How long it waits before it asks again.
const PAUSE: Duration = Duration::from_millis(20);

/// Asks until there is an answer, once at least; `None` if there is none within `patience`.
pub async fn poll<T>(patience: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + patience;
    loop {
        let answer = ask().await;
        if answer.is_some() || Instant::now() > end {
            return answer;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

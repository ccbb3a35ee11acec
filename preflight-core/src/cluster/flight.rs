//! Questions that are put once, whoever needs the answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use super::error::{ClusterError, ClusterErrorKind};

type Flight<T> = Shared<BoxFuture<'static, Result<T, ClusterError>>>;

/// Answers by question. The first to ask starts the flight, on a task of its own, so that a caller who is
/// cancelled does not cancel the others; who waits shares its answer or its error; who asks after an error
/// starts another, unless it was a cause that makes every question impossible.
pub(crate) struct Flights<T> {
    under_way: Arc<Mutex<HashMap<String, Flight<T>>>>,
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self { under_way: Arc::default() }
    }
}

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    pub(crate) async fn join(
        &self,
        question: String,
        ask: impl FnOnce() -> BoxFuture<'static, Result<T, ClusterError>>,
    ) -> Result<T, ClusterError> {
        let flight = {
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            under_way
                .entry(question.clone())
                .or_insert_with(|| {
                    let asking = ask();
                    let (all, key) = (Arc::clone(&self.under_way), question.clone());
                    let task = tokio::spawn(async move {
                        let answer = asking.await;
                        if answer.as_ref().is_err_and(|error: &ClusterError| error.cause().is_none()) {
                            all.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
                        }
                        answer
                    });
                    async move {
                        task.await.unwrap_or_else(|_| {
                            let why = "the question was cut short";
                            Err(ClusterError::new(ClusterErrorKind::Cancelled, question, why))
                        })
                    }
                    .boxed()
                    .shared()
                })
                .clone()
        };
        flight.await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn counted(
        asked: &Arc<AtomicUsize>,
        answer: Result<u8, ()>,
    ) -> BoxFuture<'static, Result<u8, ClusterError>> {
        let asked = Arc::clone(asked);
        async move {
            asked.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            answer.map_err(|()| ClusterError::new(ClusterErrorKind::Status(500), "get /x", "broken"))
        }
        .boxed()
    }

    #[tokio::test]
    async fn who_waits_shares_the_answer() {
        let (flights, asked) = (Flights::default(), Arc::new(AtomicUsize::new(0)));
        let ask = || flights.join("q".to_owned(), || counted(&asked, Ok(7)));
        let (a, b) = tokio::join!(ask(), ask());
        assert_eq!((a.unwrap(), b.unwrap(), ask().await.unwrap()), (7, 7, 7));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn an_error_is_shared_by_who_waits_and_not_kept() {
        let (flights, asked) = (Flights::<u8>::default(), Arc::new(AtomicUsize::new(0)));
        let ask = |answer| {
            let asked = Arc::clone(&asked);
            flights.join("q".to_owned(), move || counted(&asked, answer))
        };
        let (a, b) = tokio::join!(ask(Err(())), ask(Err(())));
        assert!(a.is_err() && b.is_err());
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert_eq!(ask(Ok(1)).await.unwrap(), 1);
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_cancelled_caller_does_not_cancel_the_others() {
        let (flights, asked) = (Arc::new(Flights::default()), Arc::new(AtomicUsize::new(0)));
        let first = {
            let (flights, asked) = (Arc::clone(&flights), Arc::clone(&asked));
            tokio::spawn(async move { flights.join("q".to_owned(), || counted(&asked, Ok(7))).await })
        };
        tokio::task::yield_now().await;
        first.abort();
        let answer = flights.join("q".to_owned(), || counted(&asked, Ok(8))).await;
        assert_eq!(answer.unwrap(), 7);
    }
}

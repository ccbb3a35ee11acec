//! What one check of a run works out for others.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;

/// A kind of result that a plugin hands over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Provided(TypeId);

impl Provided {
    pub(crate) fn of<T: Any + Send + Sync>() -> Self {
        Self(TypeId::of::<T>())
    }
}

#[derive(Clone)]
enum Slot {
    Awaited,
    Given(Arc<dyn Any + Send + Sync>),
    /// Who was to give it has ended without.
    Missing,
}

/// Where results are handed over: a slot for each kind that a check of the run provides.
#[derive(Default)]
pub(crate) struct Handover {
    slots: HashMap<Provided, watch::Sender<Slot>>,
}

impl Handover {
    pub(crate) fn of(provided: impl IntoIterator<Item = Provided>) -> Self {
        let slots = provided.into_iter().map(|kind| (kind, watch::Sender::new(Slot::Awaited)));
        Self { slots: slots.collect() }
    }

    /// Gives a result. The first one stands.
    pub(crate) fn give<T: Any + Send + Sync>(&self, value: T) {
        self.settle(Provided::of::<T>(), Slot::Given(Arc::new(value)));
    }

    /// Says that nothing will come any more.
    pub(crate) fn close(&self, kind: Provided) {
        self.settle(kind, Slot::Missing);
    }

    fn settle(&self, kind: Provided, with: Slot) {
        if let Some(slot) = self.slots.get(&kind) {
            slot.send_if_modified(|slot| {
                let open = matches!(slot, Slot::Awaited);
                if open {
                    *slot = with;
                }
                open
            });
        }
    }

    /// Waits for a result; `None` if no check of the run gives it, or if it ended without.
    pub(crate) async fn take<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let mut slot = self.slots.get(&Provided::of::<T>())?.subscribe();
        let settled = slot.wait_for(|slot| !matches!(slot, Slot::Awaited)).await.ok()?;
        match &*settled {
            Slot::Given(value) => Arc::clone(value).downcast().ok(),
            Slot::Awaited | Slot::Missing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn results_are_waited_for_until_who_gives_them_has_ended() {
        let handover = Arc::new(Handover::of([Provided::of::<u8>(), Provided::of::<u16>()]));
        let waiting = |handover: Arc<Handover>| tokio::spawn(async move { handover.take::<u8>().await });
        let early = waiting(Arc::clone(&handover));
        handover.give(7_u8);
        handover.give(8_u8);
        handover.close(Provided::of::<u8>());
        handover.close(Provided::of::<u16>());
        assert_eq!(early.await.ok().flatten().as_deref(), Some(&7));
        assert_eq!(waiting(Arc::clone(&handover)).await.ok().flatten().as_deref(), Some(&7));
        assert_eq!(handover.take::<u16>().await, None);
        // Nobody gives it.
        assert_eq!(handover.take::<u32>().await, None);
    }
}

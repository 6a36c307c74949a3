//! Panics of task functions: caught, and stored with message and place.

use std::{
    any::Any,
    cell::RefCell,
    future::Future,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

use futures::FutureExt as _;
use serde_json::Map;

use crate::error::Failure;

thread_local! {
    /// Where the last panic of this thread happened. A panic unwinds on the thread that
    /// raised it, so catching it there finds its own place.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs a future and turns a panic into a failure.
pub(super) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    note_places();
    let result = AssertUnwindSafe(work).catch_unwind().await;
    result.map_err(|payload| Failure {
        name: "Panic".to_owned(),
        message: format!("panic: {}", message(payload.as_ref())),
        stack: PLACE.with_borrow_mut(Option::take),
        more: Map::new(),
    })
}

/// The payload says what, only the hook knows where. The hook that was there still runs.
fn note_places() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let place = info.location().map(ToString::to_string);
            PLACE.with_borrow_mut(|last| *last = place);
            previous(info);
        }));
    });
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}

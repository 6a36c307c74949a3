//! When to look for work: woken by a signal for speed and by a clock for truth. The
//! signal carries no data, so a lost one costs latency, never work.

use std::{sync::Arc, time::Duration};

use rand::Rng as _;
use tokio::sync::broadcast;

use super::Shared;
use crate::db::Topic;

pub(super) struct Wakeup {
    queue: String,
    interval: Duration,
    news: Option<broadcast::Receiver<(Topic, Arc<str>)>>,
}

impl Wakeup {
    pub(super) fn of(shared: &Shared) -> Self {
        let news = shared
            .plan
            .listen
            .then(|| shared.client.listener().subscribe());
        let queue = shared.client.queue().to_string();
        Self {
            queue,
            interval: shared.plan.poll_interval,
            news,
        }
    }

    /// Waits for a notification of the queue, or for the poll interval with some jitter.
    /// What was notified since the last call counts: nothing falls in between.
    pub(super) async fn wait(&mut self) {
        let jittered = self.interval.mul_f64(rand::rng().random_range(0.9..1.1));
        let Some(news) = &mut self.news else {
            tokio::time::sleep(jittered).await;
            return;
        };
        let heard = async {
            loop {
                match news.recv().await {
                    Ok((Topic::Wake, queue)) if *queue == *self.queue => return,
                    Ok((Topic::Gap, _)) | Err(broadcast::error::RecvError::Lagged(_)) => return,
                    Ok(_) => {}
                    Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        // Either way it is time to look.
        let _ = tokio::time::timeout(jittered, heard).await;
    }

    /// Forgets what was notified so far: the claim that follows sees it anyway.
    pub(super) fn forget(&mut self) {
        if let Some(news) = &mut self.news {
            while !matches!(
                news.try_recv(),
                Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed)
            ) {}
        }
    }
}

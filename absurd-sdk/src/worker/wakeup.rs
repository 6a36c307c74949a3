//! When to look for work: woken by a signal for speed and by a clock for truth. The
//! signal carries no data, so a lost one costs latency, never work.

use std::{sync::Arc, time::Duration};

use rand::Rng as _;
use tokio::{sync::broadcast, time::Instant};

use super::Shared;
use crate::db::Topic;

pub(super) struct Wakeup {
    queue: String,
    interval: Duration,
    news: Option<broadcast::Receiver<(Topic, Arc<str>)>>,
    /// When to look without being told. It stands until the next look: whatever else happens in
    /// between does not put it off.
    look_at: Instant,
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
            look_at: Instant::now(),
        }
    }

    /// Waits for a notification of the queue, or until the poll interval is over. What was
    /// notified since the last look counts: nothing falls in between.
    pub(super) async fn wait(&mut self) {
        let Some(news) = &mut self.news else {
            tokio::time::sleep_until(self.look_at).await;
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
        let _ = tokio::time::timeout_at(self.look_at, heard).await;
    }

    /// Begins a look: forgets what was notified so far, which the claim that follows sees anyway,
    /// and plans the next look, with some jitter so that a fleet doesn't come in step.
    pub(super) fn begin_look(&mut self) {
        let jittered = self.interval.mul_f64(rand::rng().random_range(0.9..1.1));
        self.look_at = Instant::now() + jittered;
        if let Some(news) = &mut self.news {
            while !matches!(
                news.try_recv(),
                Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed)
            ) {}
        }
    }
}

/// Hears that tasks of the queue were cancelled while they ran.
pub(super) struct Cancels {
    queue: String,
    news: Option<broadcast::Receiver<(Topic, Arc<str>)>>,
}

impl Cancels {
    pub(super) fn of(shared: &Shared) -> Self {
        let listens = shared.plan.listen;
        Self {
            queue: shared.client.queue().to_string(),
            news: listens.then(|| shared.client.listener().subscribe()),
        }
    }

    /// Waits for the next one, or for a gap in which one may have been missed.
    pub(super) async fn heard(&mut self) {
        let Some(news) = &mut self.news else {
            return std::future::pending().await;
        };
        loop {
            match news.recv().await {
                Ok((Topic::Cancel, queue)) if *queue == *self.queue => return,
                Ok((Topic::Gap, _)) | Err(broadcast::error::RecvError::Lagged(_)) => return,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                Ok(_) => {}
            }
        }
    }
}

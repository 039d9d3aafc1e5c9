//! The wall clock, and one that tests move by hand.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
};

use engine::ports::Clock;
use jiff::Timestamp;
use tokio::sync::oneshot;

/// A clock one can wait on.
pub trait Timer: Clock {
    /// Resolves once [`Clock::now`] has reached `at`.
    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where time enters")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl Timer for SystemClock {
    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let wait = at.duration_since(self.now());
        Box::pin(async move {
            if let Ok(wait) = std::time::Duration::try_from(wait) {
                tokio::time::sleep(wait).await;
            }
        })
    }
}

/// A clock that stands still until it is told to [`advance`](ManualClock::advance_to).
#[derive(Debug)]
pub struct ManualClock {
    state: Mutex<Manual>,
}

#[derive(Debug)]
struct Manual {
    now: Timestamp,
    sleepers: BTreeMap<Timestamp, Vec<oneshot::Sender<()>>>,
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { state: Mutex::new(Manual { now, sleepers: BTreeMap::new() }) }
    }

    /// Moves the clock to `to` (never back) and wakes everyone whose time has come.
    pub fn advance_to(&self, to: Timestamp) {
        let due = {
            let mut state = self.lock();
            state.now = state.now.max(to);
            let later = state.sleepers.split_off(&to);
            let mut due = std::mem::replace(&mut state.sleepers, later);
            if let Some(exact) = state.sleepers.remove(&to) {
                due.insert(to, exact);
            }
            due
        };
        for sleeper in due.into_values().flatten() {
            // A dropped receiver stopped waiting; there is nobody to wake.
            let _ = sleeper.send(());
        }
    }

    /// When the earliest sleeper wants to wake, if anyone sleeps.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.lock().sleepers.keys().next().copied()
    }

    fn lock(&self) -> MutexGuard<'_, Manual> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.lock().now
    }
}

impl Timer for ManualClock {
    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut state = self.lock();
        if at <= state.now {
            return Box::pin(std::future::ready(()));
        }
        let (wake, woken) = oneshot::channel();
        state.sleepers.entry(at).or_default().push(wake);
        Box::pin(async move {
            // An error means the clock is gone, and with it everyone who could care.
            let _ = woken.await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleepers_wake_exactly_when_their_time_has_come() {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let at = |s| Timestamp::from_second(s).expect("small");
        let (five, nine) = (clock.sleep_until(at(5)), clock.sleep_until(at(9)));
        clock.advance_to(at(5));
        five.await;
        assert_eq!(clock.next_wake(), Some(at(9)));
        clock.advance_to(at(20));
        nine.await;
        assert_eq!(clock.now(), at(20));
    }
}

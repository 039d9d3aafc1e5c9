//! Whether Lastgood itself is well, by what the table says of work that is due.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The reconciler looks every minute and has a minute for it: what has been due for longer, nobody does.
const LATE: SignedDuration = SignedDuration::from_mins(5);

/// Work of one kind, as it waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// How much, as far as it was counted.
    pub count: usize,
    /// Since when the oldest of it is due; absent where nothing is.
    pub due: Option<Timestamp>,
}

impl Backlog {
    /// Of what is due at these times; what is due later waits, and is not late.
    pub fn of(due: impl IntoIterator<Item = Timestamp>) -> Self {
        due.into_iter().fold(Self::default(), |backlog, due| Self {
            count: backlog.count + 1,
            due: Some(backlog.due.map_or(due, |oldest| oldest.min(due))),
        })
    }

    /// Whether some of it should have been done by now.
    pub fn is_late(&self, now: Timestamp) -> bool {
        self.due.is_some_and(|due| now.duration_since(due) > LATE)
    }
}

/// Something that a person should look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum HealthConcern {
    /// Effects of decisions are not performed: state machines, functions, topics or the bus do not take them, or the
    /// reconciler does not run.
    EffectsLate,
    /// Watches should have ended: the reconciler does not run.
    WatchesLate,
    /// Stages should have been looked at: the reconciler does not run, or S3 does not answer.
    ArtifactChecksLate,
    /// A stage has lost artifacts that a rollback needs.
    ArtifactsLost,
    /// An alarm is red after a deploy, and what was tried about it is open.
    IncidentsOpen,
    /// A stage is closed until a person has looked.
    HoldsStand,
}

/// What is known of an installation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Health {
    /// Effects that were decided and not performed.
    pub effects: Backlog,
    /// Watches, due when they end.
    pub watches: Backlog,
    /// Looks at artifacts, each when it is due.
    pub artifact_checks: Backlog,
    /// Artifacts that are kept for rollbacks and are not there as they were.
    pub artifacts_lost: usize,
    /// Incidents that are open.
    pub incidents: usize,
    /// Holds that stand.
    pub holds: usize,
}

/// What a person should look at, worst first; nothing where all is well.
pub fn concerns(health: &Health, now: Timestamp) -> Vec<HealthConcern> {
    use HealthConcern as C;
    let found = [
        (health.effects.is_late(now), C::EffectsLate),
        (health.watches.is_late(now), C::WatchesLate),
        (health.artifact_checks.is_late(now), C::ArtifactChecksLate),
        (health.artifacts_lost > 0, C::ArtifactsLost),
        (health.incidents > 0, C::IncidentsOpen),
        (health.holds > 0, C::HoldsStand),
    ];
    found.into_iter().filter(|(is, _)| *is).map(|(_, concern)| concern).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
    }

    #[test]
    fn a_backlog_is_as_old_as_its_oldest() {
        assert_eq!(Backlog::of([]), Backlog { count: 0, due: None });
        let backlog = Backlog::of([minute(7), minute(3), minute(90)]);
        assert_eq!(backlog, Backlog { count: 3, due: Some(minute(3)) });
        assert!(!backlog.is_late(minute(8)) && backlog.is_late(minute(9)));
        assert!(!Backlog::of([minute(90)]).is_late(minute(9)), "what is not due is not late");
    }

    #[test]
    fn everything_that_is_wrong_is_named_and_nothing_else() {
        use HealthConcern as C;
        let now = minute(100);
        let late = Backlog::of([minute(10)]);
        assert_eq!(concerns(&Health::default(), now), []);
        assert_eq!(concerns(&Health { effects: Backlog::of([minute(98)]), ..Health::default() }, now), []);
        let all =
            Health { effects: late, watches: late, artifact_checks: late, artifacts_lost: 1, incidents: 2, holds: 3 };
        let named =
            [C::EffectsLate, C::WatchesLate, C::ArtifactChecksLate, C::ArtifactsLost, C::IncidentsOpen, C::HoldsStand];
        assert_eq!(concerns(&all, now), named);
    }
}

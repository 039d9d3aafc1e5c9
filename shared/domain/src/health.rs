//! Whether Lastgood itself is well, by what the table says of work that is due.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The reconciler looks every minute and has a minute for it: what has been due for longer, nobody does.
const LATE: SignedDuration = SignedDuration::from_mins(5);
/// So often the reconciler notes that it has looked at everything: a write a minute would cost more than all it reads.
const NOTED_EVERY: SignedDuration = SignedDuration::from_mins(5);
/// A note may be as old as [`NOTED_EVERY`] and a minute; twice that says that nobody makes one.
const STOPPED: SignedDuration = SignedDuration::from_mins(12);

/// When the reconciler had last looked at everything, to five minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastLook {
    /// When it was done.
    pub at: Timestamp,
}

impl LastLook {
    /// The note to make `now`, where the last one is `noted`; `None` where that will do. One from the future, which a clock that
    /// was wrong has left, will not.
    pub fn to_note(noted: Option<Self>, now: Timestamp) -> Option<Self> {
        let will_do = noted.is_some_and(|noted| noted.at <= now && now.duration_since(noted.at) < NOTED_EVERY);
        (!will_do).then_some(Self { at: now })
    }
}

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
    /// The reconciler has not looked at everything for longer than ten minutes: it is not called, or does not finish.
    ReconcilerStopped,
    /// Events that no function could handle wait in a queue for a person.
    DeadLetters,
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
    /// When the reconciler had last looked at everything; absent where it never has, as in a new installation.
    pub last_look: Option<Timestamp>,
    /// Events that no function could handle; absent where nobody knows.
    pub dead_letters: Option<u32>,
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
        (health.last_look.is_some_and(|at| now.duration_since(at) > STOPPED), C::ReconcilerStopped),
        (health.dead_letters.is_some_and(|count| count > 0), C::DeadLetters),
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
        let all = Health {
            last_look: Some(minute(80)),
            dead_letters: Some(1),
            effects: late,
            watches: late,
            artifact_checks: late,
            artifacts_lost: 1,
            incidents: 2,
            holds: 3,
        };
        let named = [
            C::ReconcilerStopped,
            C::DeadLetters,
            C::EffectsLate,
            C::WatchesLate,
            C::ArtifactChecksLate,
            C::ArtifactsLost,
            C::IncidentsOpen,
            C::HoldsStand,
        ];
        assert_eq!(concerns(&all, now), named);
        let well = Health { last_look: Some(minute(88)), dead_letters: Some(0), ..Health::default() };
        assert_eq!(concerns(&well, now), [], "a note may be some minutes old");
    }

    #[test]
    fn a_look_is_noted_once_in_five_minutes() {
        let note = |minute| LastLook { at: minute };
        assert_eq!(LastLook::to_note(None, minute(3)), Some(note(minute(3))));
        assert_eq!(LastLook::to_note(Some(note(minute(3))), minute(7)), None);
        assert_eq!(LastLook::to_note(Some(note(minute(3))), minute(8)), Some(note(minute(8))));
        assert_eq!(LastLook::to_note(Some(note(minute(9))), minute(8)), Some(note(minute(8))), "a clock was wrong");
    }
}

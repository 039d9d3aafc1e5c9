//! Whether Lastgood itself is well.

use domain::HealthConcern;

use super::{Epoch, described::Scalar};

extension! {
    /// Nothing more is asked.
    DescribeHealthInput {
        ;
    }

    /// How Lastgood itself is. That there is an answer says that the table answers.
    DescribeHealthOutput {
        /// When it was looked.
        checked_at: Epoch,
        /// What a person should look at, worst first; empty where all is well.
        concerns: Vec<HealthConcern>,
        /// Effects of decisions that are still to be performed.
        effects: HealthBacklog,
        /// Watches that observe deploys; each is due when it ends.
        watches: HealthBacklog,
        /// Stages whose artifacts are looked at, each when it is due.
        artifact_checks: HealthBacklog,
        /// Artifacts that are kept for rollbacks and are not there as they were, or cannot be read, in the pipelines that were
        /// looked at.
        artifacts_lost: u32 as HealthCount,
        /// Executions that have not ended.
        executions_open: u32 as HealthCount,
        /// Conditions that wait.
        conditions_open: u32 as HealthCount,
        /// Incidents that are open.
        incidents_open: u32 as HealthCount,
        /// Holds that stand.
        holds: u32 as HealthCount,
        /// Whether there is more of something than was counted: at most 100 of each, and artifacts of 25 pipelines.
        more: bool;
        /// When the reconciler had last looked at everything, to five minutes; absent where it has not noted that yet.
        reconciled_at: Epoch,
        /// Events that no function could handle, as CloudWatch last counted them; absent where it has counted none so far or does not
        /// answer, and in the local process, which has no such queue.
        dead_letters: u32 as HealthCount,
    }

    /// Work of one kind that waits.
    HealthBacklog {
        /// How much, as far as it was counted.
        count: u32 as HealthCount;
        /// When the oldest of it was due; in the future where nothing is due yet.
        oldest_due_at: Epoch,
    }
}

shapes! {
    /// The reconciler has not looked at everything for twelve minutes; events that no function could handle wait for a person;
    /// effects, ends of watches or looks at artifacts are later than five minutes; artifacts are lost; incidents are open;
    /// holds stand.
    HealthConcern for HealthConcern: Scalar::one_of(&[
        "ReconcilerStopped", "DeadLetters", "EffectsLate", "WatchesLate", "ArtifactChecksLate", "ArtifactsLost", "IncidentsOpen", "HoldsStand",
    ]);
    /// How many.
    HealthCount: Scalar { min: Some(0), ..Scalar::NUMBER };
}

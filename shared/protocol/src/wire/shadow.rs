//! How good the decisions of a stage in shadow mode were.

use domain::{ExecutionId, PipelineName, ShadowConfirmation, ShadowVerdict, StageName};

use super::{Epoch, decisions::DecisionId, described::Scalar};

extension! {
    /// Of which stage, and over how many releases.
    GetShadowScorecardInput {
        /// The pipeline.
        pipeline_name: PipelineName,
        /// The stage.
        stage_name: StageName;
        /// The newest releases to count, those that succeeded in the stage; 50 unless given, 1 to 200.
        releases: u32 as ReleaseCount,
    }

    /// What shadow mode would have done, and whether it would have been right.
    GetShadowScorecardOutput {
        /// Whether a rule of the stage is in shadow mode now.
        shadow: bool,
        /// Releases that were counted.
        releases: u32 as ScoreCount,
        /// Releases that it would have rolled back.
        would_have_rolled_back: u32 as ScoreCount,
        /// Those of them that were confirmed: a person went back from them, they failed in a later stage, or their alarm was
        /// still red at the end of the watch.
        confirmed: u32 as ScoreCount,
        /// Those that nothing confirmed: rolling them back would have been wrong, as far as is known.
        unconfirmed: u32 as ScoreCount,
        /// Those whose watch is not over, so that nobody knows.
        open: u32 as ScoreCount,
        /// Releases that a person went back from, and that it would have let be.
        missed: u32 as ScoreCount,
        /// Each release that is counted in one of these, newest first.
        entries: Vec<ShadowScore>;
        /// When the oldest release that was counted had succeeded; absent where none was.
        since: Epoch,
    }

    /// A release, and what is known of it.
    ShadowScore {
        /// The execution.
        pipeline_execution_id: ExecutionId,
        /// How the decision stands.
        verdict: ShadowVerdict,
        /// Decisions about it, newest first; `ReplayDecision` takes those of shadow mode again.
        decision_ids: Vec<String> as Vec<DecisionId>;
        /// What confirmed it, or what was missed.
        confirmation: ShadowConfirmation,
    }
}

shapes! {
    /// It was right, wrong as far as is known, nobody knows yet, or there was none where one was due.
    ShadowVerdict for ShadowVerdict: Scalar::one_of(&["Confirmed", "Unconfirmed", "Open", "Missed"]);
    /// A person went back, the release failed in a later stage, or the alarm was still red when the watch ended.
    ShadowConfirmation for ShadowConfirmation: Scalar::one_of(&[
        "RolledBackByPerson", "LaterStageFailed", "AlarmStayedRed",
    ]);
    /// Releases to count.
    ReleaseCount: Scalar { min: Some(1), max: Some(200), ..Scalar::NUMBER };
    /// How many releases.
    ScoreCount: Scalar { min: Some(0), ..Scalar::NUMBER };
}

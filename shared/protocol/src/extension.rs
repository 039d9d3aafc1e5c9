//! The operations Lastgood adds to CodePipeline's, as their service model tells them.
//!
//! `tests/it/service_model.rs` writes `model/lastgood-2026-12-01.json` and botocore's files from this list and the
//! types it names.

use crate::{
    ErrorCode,
    wire::{
        compatibility::{ReportCompatibilityInput, ReportCompatibilityOutput},
        decisions::{
            ListIncidentsInput, ListIncidentsOutput, ListRollbackDecisionsInput, ListRollbackDecisionsOutput,
            ReplayDecisionInput, ReplayDecisionOutput,
        },
        described::{Described, OperationDescription, doc},
        health::{DescribeHealthInput, DescribeHealthOutput},
        holds::{ListHoldsInput, ListHoldsOutput, ReleaseHoldInput, ReleaseHoldOutput},
        kept::{ListKeptArtifactsInput, ListKeptArtifactsOutput},
        preview::{PreviewRollbackInput, PreviewRollbackOutput},
        revoked::{
            ListRevokedRevisionsInput, ListRevokedRevisionsOutput, ReinstateRevisionInput, ReinstateRevisionOutput,
        },
        rollback::{
            ListRollbackCandidatesInput, ListRollbackCandidatesOutput, StartRollbackInput, StartRollbackOutput,
        },
        shadow::{GetShadowScorecardInput, GetShadowScorecardOutput},
    },
};

/// Version of the API, as its model files are named.
pub const API_VERSION: &str = "2026-12-01";

macro_rules! extensions {
    ($(
        $(#[doc = $doc:literal])*
        $name:ident: $input:ty => $output:ty, refuses with [$($error:ident),+ $(,)?] $(, pages $pages:ident)?;
    )+) => {
        /// Every operation of Lastgood's own, by name.
        pub fn extensions() -> Vec<OperationDescription> {
            vec![$(OperationDescription {
                name: stringify!($name),
                doc: doc(&[$($doc),*]),
                input: <$input as Described>::describe,
                output: <$output as Described>::describe,
                errors: &[$(ErrorCode::$error),+],
                pages: [$(stringify!($pages))?].first().copied(),
            }),+]
        }
    };
}

extensions! {
    /// Says whether Lastgood itself is well: what is decided and not done, what is due and not looked at, what was lost, and
    /// what waits for a person. It reads what the table says, in a bounded number of requests.
    ///
    /// Work that is late says that the reconciler does not run or that a service does not answer; its runbook says what to do.
    DescribeHealth: DescribeHealthInput => DescribeHealthOutput,
        refuses with [ValidationException];

    /// Says how good the decisions of a stage in shadow mode were: over its newest releases, how often it would have rolled
    /// back, how many of those were confirmed afterwards, and what it missed.
    ///
    /// A decision is confirmed by a person who went back from the release, by its failure in a later stage, or by an alarm that
    /// was still red when the watch ended. Decisions older than the newest 1000 of the stage are not counted.
    GetShadowScorecard: GetShadowScorecardInput => GetShadowScorecardOutput,
        refuses with [ValidationException, PipelineNotFoundException, StageNotFoundException];

    /// Lists the holds that stand: stages that a rollback closed for new executions until a person has looked, by
    /// pipeline and stage.
    ///
    /// A rollback by hand or because of an alarm holds its stage, so that what waits does not bring the bad revision back.
    ListHolds: ListHoldsInput => ListHoldsOutput,
        refuses with [ValidationException, PipelineNotFoundException, InvalidNextTokenException],
        pages holds;

    /// Lists the incidents that are open: alarms that turned red after a deploy, the rollbacks that were started by
    /// themselves, at most two for each, and whether they helped.
    ListIncidents: ListIncidentsInput => ListIncidentsOutput,
        refuses with [ValidationException, InvalidNextTokenException],
        pages incidents;

    /// Lists what is kept for the next rollbacks of each stage: the artifacts of what is live and of the one before it, and how
    /// they were found when they were looked at last, before a deploy or by day.
    ///
    /// They carry the tag `lastgood:keep` with the value `true`, by which the lifecycle of an artifact bucket spares them.
    ListKeptArtifacts: ListKeptArtifactsInput => ListKeptArtifactsOutput,
        refuses with [ValidationException, PipelineNotFoundException, StageNotFoundException];

    /// Lists the revisions that are revoked: content that a person or an alarm had a stage roll back from.
    ///
    /// It is recognised in every pipeline, also when the same content is uploaded anew, and stopped before every stage
    /// but the first, with the reason. Nothing else is: a fix passes. Where several sources differed, all of them
    /// together are revoked, since nobody knows which is bad. A stage that failed revokes nothing.
    ListRevokedRevisions: ListRevokedRevisionsInput => ListRevokedRevisionsOutput,
        refuses with [ValidationException, InvalidNextTokenException],
        pages revokedRevisions;

    /// Lists the past executions of a pipeline, newest first, and says of each whether a stage can go back to it or why
    /// not.
    ///
    /// `RollbackStage` accepts exactly those that are eligible. One that was rolled back from is marked as revoked: it
    /// can be named by hand, but is never chosen automatically.
    ListRollbackCandidates: ListRollbackCandidatesInput => ListRollbackCandidatesOutput,
        refuses with [
            ValidationException, PipelineNotFoundException, StageNotFoundException, InvalidNextTokenException,
        ],
        pages candidates;

    /// Tells what a pipeline of CodePipeline's would do otherwise here, and creates nothing.
    ///
    /// It names what `CreatePipeline` would refuse, actions and rules that are kept but not run, and what works in another
    /// way. A declaration that breaks a constraint is refused as `CreatePipeline` refuses it.
    ReportCompatibility: ReportCompatibilityInput => ReportCompatibilityOutput,
        refuses with [ValidationException];
    /// Lists what was decided about going back, newest first: rollbacks with their cause, those that were due but had
    /// nothing to go back to, and holds that a person lifted.
    ///
    /// Decisions that rest on an alarm carry the evidence they were judged by. Without a stage or an execution, those of
    /// the whole pipeline are listed.
    ListRollbackDecisions: ListRollbackDecisionsInput => ListRollbackDecisionsOutput,
        refuses with [
            ValidationException, PipelineNotFoundException, StageNotFoundException,
            PipelineExecutionNotFoundException, InvalidNextTokenException,
        ],
        pages decisions;

    /// Tells what `RollbackStage` would do, and starts nothing.
    ///
    /// The decision is the one that `RollbackStage` takes: called with the same target before anything else changes, it
    /// starts exactly this, or is refused for these reasons.
    PreviewRollback: PreviewRollbackInput => PreviewRollbackOutput,
        refuses with [
            ValidationException, PipelineNotFoundException, StageNotFoundException,
            PipelineExecutionNotFoundException,
        ];

    /// Lifts the hold of a rollback on a stage, and lets the first that waits in. The comment is kept with the decision.
    ///
    /// `EnableStageTransition` of CodePipeline's API lifts a hold as well, without a comment.
    ReleaseHold: ReleaseHoldInput => ReleaseHoldOutput,
        refuses with [
            ValidationException, PipelineNotFoundException, StageNotFoundException, ResourceNotFoundException,
            ConflictException,
        ];

    /// Takes back that a revision is revoked, because it was not to blame. The reason is kept with the decision.
    ///
    /// Executions that were stopped stay so: start one, or upload the revision again. What holds a stage still holds it.
    ReinstateRevision: ReinstateRevisionInput => ReinstateRevisionOutput,
        refuses with [ValidationException, ResourceNotFoundException, ConflictException];

    /// Takes an automatic decision again from what is stored with it, and says whether the answer is the same, byte for
    /// byte. Nothing is started.
    ///
    /// Decisions that rest on no alarm, and those of older versions, have nothing to be taken again from.
    ReplayDecision: ReplayDecisionInput => ReplayDecisionOutput,
        refuses with [
            ValidationException, PipelineNotFoundException, StageNotFoundException, ResourceNotFoundException,
        ];

    /// Starts a rollback as `RollbackStage` does, with a reason that is kept with the decision.
    ///
    /// With `force` the stage goes back although its actions were changed since the target ran, or the latest execution
    /// skipped it, which is kept as well. Whatever else speaks against the target still does.
    StartRollback: StartRollbackInput => StartRollbackOutput,
        refuses with [
            ValidationException, PipelineNotFoundException, StageNotFoundException,
            PipelineExecutionNotFoundException, PipelineExecutionOutdatedException, UnableToRollbackStageException,
            ConflictException,
        ];
}

/// What an error means, for those the operations above refuse with.
pub fn meaning(error: ErrorCode) -> Option<&'static str> {
    Some(match error {
        ErrorCode::ValidationException => "The input breaks a constraint; the message names every one.",
        ErrorCode::PipelineNotFoundException => "There is no such pipeline.",
        ErrorCode::PipelineExecutionNotFoundException => "The pipeline has no such execution.",
        ErrorCode::StageNotFoundException => "The pipeline has no such stage.",
        ErrorCode::InvalidNextTokenException => {
            "The token is not one that this operation gave out for the same parameters."
        }
        ErrorCode::ResourceNotFoundException => "What is named does not exist.",
        ErrorCode::PipelineExecutionOutdatedException => {
            "The stage's actions were changed since the execution ran; the message names what."
        }
        ErrorCode::UnableToRollbackStageException => "The stage cannot go back to the execution; the message says why.",
        ErrorCode::ConflictException => "The pipeline is busy with another change. Try again in a moment.",
        _ => return None,
    })
}

//! What a rollback would do.

use std::collections::BTreeMap;

use domain::{ActionName, ActionTypeId, ExecutionId, ExecutionType, PipelineName, StageName};

use super::{
    Epoch,
    borrowed::{
        ActionConfigurationMap, ActionRunOrder, ArtifactName, PipelineVersion, ResolvedActionConfigurationMap,
        S3BucketName, S3ObjectKey,
    },
    described::Scalar,
    executions::{ArtifactRevision, ResolvedPipelineVariable},
    rollback::IneligibleReason,
};

extension! {
    /// Which rollback to preview.
    PreviewRollbackInput {
        /// The pipeline.
        pipeline_name: PipelineName,
        /// The stage that would go back.
        stage_name: StageName;
        /// What to bring back; what the automatic choice would take unless given.
        target_pipeline_execution_id: ExecutionId,
        /// As `force` of `StartRollback`.
        force: bool,
    }

    /// What the rollback would do.
    PreviewRollbackOutput {
        /// Whether `RollbackStage` would start it; with `force`, whether `StartRollback` would.
        eligible: bool,
        /// Every reason why it would be refused; empty where it is eligible.
        reasons: Vec<String> as Vec<IneligibleReason>,
        /// Executions that wait before the stage, in order of arrival. They would go on waiting.
        waiting: Vec<WaitingExecution>;
        /// What would be brought back; absent where the automatic choice finds nothing.
        target: RollbackTarget,
        /// What else would happen; absent where it would be refused.
        plan: RollbackPlan,
        /// How long the stage is likely to take; absent where it never succeeded.
        expected_duration: ExpectedDuration,
    }

    /// An execution, and what it would bring back.
    RollbackTarget {
        /// The execution.
        pipeline_execution_id: ExecutionId,
        /// Version of the pipeline it started in.
        pipeline_version: u32 as PipelineVersion,
        /// Whether its success in the stage was taken back. A person may choose it all the same.
        revoked: bool,
        /// Its source revisions.
        artifact_revisions: Vec<ArtifactRevision>,
        /// Its pipeline-level variables.
        variables: Vec<ResolvedPipelineVariable>,
        /// Artifacts that the stage reads.
        artifacts: Vec<RollbackArtifact>,
        /// The stage's actions, in the order in which they would run.
        actions: Vec<RollbackAction>;
        /// When it started.
        start_time: Epoch,
    }

    /// An artifact that would be used.
    RollbackArtifact {
        /// Its name.
        name: String as ArtifactName,
        /// Whether it is still there, can be read, and is what the execution had.
        available: bool;
        /// Its bucket.
        bucket: String as S3BucketName,
        /// Its key.
        key: String as S3ObjectKey,
        /// The version that would be read.
        version_id: String as ObjectVersion,
        /// Its ETag.
        e_tag: String as ETag,
        /// Whether something else is there than the execution had.
        altered: bool,
        /// Its checksum when it was made; absent where the execution is older than checksums, or S3 knew none.
        checksum: ArtifactChecksum,
        /// The checksum of what is there.
        found_checksum: ArtifactChecksum,
    }

    /// A checksum of an artifact, as S3 keeps it.
    ArtifactChecksum {
        /// The algorithm: `SHA256` of what a source action took, and what the uploader chose of anything else.
        algorithm: String as ChecksumAlgorithm,
        /// The checksum, in base64; with the number of parts where it is of theirs.
        value: String as ChecksumValue;
    }

    /// An action that would run.
    RollbackAction {
        /// Its name.
        action_name: ActionName,
        /// Actions of one run order run side by side.
        run_order: u32 as ActionRunOrder,
        /// Its type.
        action_type_id: ActionTypeId,
        /// Its configuration as declared.
        configuration: BTreeMap<String, String> as ActionConfigurationMap,
        /// Keys whose resolved values are others than in what is live.
        differences: Vec<ConfigurationDifference>;
        /// Its configuration with the values of the target. The rollback's own id, which it does not have yet, stays a
        /// reference.
        resolved_configuration: BTreeMap<String, String> as ResolvedActionConfigurationMap,
        /// Why the action would fail: its configuration cannot be resolved.
        error: String as IneligibleReason,
        /// The execution whose run of the action is live; absent where there is none to compare with.
        live_pipeline_execution_id: ExecutionId,
    }

    /// A configuration value that would change.
    ConfigurationDifference {
        /// The key.
        key: String as ConfigurationKey;
        /// Its value in what is live; absent where it has none.
        live: String as ConfigurationValue,
        /// Its value in the rollback; absent where it would have none.
        planned: String as ConfigurationValue,
    }

    /// What would happen besides.
    RollbackPlan {
        /// Executions whose success in the stage would be taken back.
        revokes: Vec<ExecutionId>,
        /// Whether the way into the stage would be held until a person lifts the hold.
        holds: bool;
        /// The execution that would be undone; absent where nothing else is live.
        undone_pipeline_execution_id: ExecutionId,
        /// Who is inside the stage and would be cancelled.
        fences: FencedExecution,
    }

    /// An execution that would be cancelled.
    FencedExecution {
        /// The execution.
        pipeline_execution_id: ExecutionId,
        /// Its type.
        execution_type: ExecutionType,
        /// When it entered the stage.
        since: Epoch;
    }

    /// An execution that waits.
    WaitingExecution {
        /// The execution.
        pipeline_execution_id: ExecutionId,
        /// Since when.
        since: Epoch;
    }

    /// A time taken from the past.
    ExpectedDuration {
        /// The median, in seconds.
        seconds: u32 as Seconds,
        /// Successful runs of the stage it is taken from.
        runs: u32 as Count;
    }
}

shapes! {
    /// Version of an object in S3.
    ObjectVersion: Scalar::TEXT;
    /// S3's name of a checksum algorithm.
    ChecksumAlgorithm: Scalar::TEXT;
    /// A checksum in base64.
    ChecksumValue: Scalar::TEXT;
    /// ETag of an object in S3.
    ETag: Scalar::TEXT;
    /// Key of a configuration.
    ConfigurationKey: Scalar::TEXT;
    /// Value of a configuration.
    ConfigurationValue: Scalar::TEXT;
    /// A time in seconds.
    Seconds: Scalar { min: Some(0), ..Scalar::NUMBER };
    /// How many.
    Count: Scalar { min: Some(0), ..Scalar::NUMBER };
}

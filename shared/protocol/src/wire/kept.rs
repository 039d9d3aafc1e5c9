//! What is kept for the next rollbacks of a stage.

use domain::{ArtifactState, ExecutionId, PipelineName, StageName};

use super::{
    Epoch,
    borrowed::{ArtifactName, S3BucketName, S3ObjectKey},
    described::Scalar,
    preview::ArtifactChecksum,
};

extension! {
    /// Of which stages to list what is kept.
    ListKeptArtifactsInput {
        /// The pipeline.
        pipeline_name: PipelineName;
        /// Only of this stage.
        stage_name: StageName,
    }

    /// What is kept for each stage.
    ListKeptArtifactsOutput {
        /// Stages in which something succeeded that they can go back to.
        stages: Vec<KeptStage>;
    }

    /// What is kept for a stage.
    KeptStage {
        /// The stage.
        stage_name: StageName,
        /// Executions that the stage can go back to with all they need, of those below. Zero: it cannot go back at all.
        ready_targets: u32 as TargetCount,
        /// What is kept, the best to go back to first: what is live, and the one before it. Those that lost an artifact are
        /// listed too, with the next older ones in their place.
        targets: Vec<KeptTarget>,
        /// When a change was found last, or the day's look was taken.
        checked_at: Epoch,
        /// When they are looked at next, if nothing is deployed until then.
        next_check_at: Epoch;
    }

    /// An execution, and what a rollback to it would need.
    KeptTarget {
        /// The execution.
        pipeline_execution_id: ExecutionId,
        /// Whether everything is there as it was.
        ready: bool,
        /// The artifacts that the stage reads, and the functions that it invokes.
        artifacts: Vec<KeptArtifact>;
    }

    /// An artifact that is kept, or a Lambda function that has to be there.
    KeptArtifact {
        /// Its name; of a function, that of the action which invokes it.
        name: String as ArtifactName,
        /// How it was found.
        state: ArtifactState,
        /// Since when it is known to be so.
        since: Epoch;
        /// Its bucket.
        bucket: String as S3BucketName,
        /// Its key.
        key: String as S3ObjectKey,
        /// The function, with the version or alias that was invoked; absent of an artifact.
        function_name: String as FunctionName,
        /// Its checksum when it was made; absent where the execution is older than checksums, or S3 knew none.
        checksum: ArtifactChecksum,
    }
}

shapes! {
    /// The artifact is there as it was, is not there, something else is, or S3 refuses to show it.
    ArtifactState for ArtifactState: Scalar::one_of(&["PRESENT", "GONE", "ALTERED", "UNREADABLE"]);
    /// Name or ARN of a Lambda function, with a version or alias where there is one.
    FunctionName: Scalar::TEXT;
    /// How many targets.
    TargetCount: Scalar { min: Some(0), ..Scalar::NUMBER };
}

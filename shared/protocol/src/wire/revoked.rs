//! Revoked revisions: what was rolled back from and is stopped wherever it comes again.

use domain::{ExecutionId, PipelineName, StageName};

use super::{
    Epoch,
    borrowed::{MaxResults, NextToken},
    decisions::{Actor, AlarmArn, DecisionCause, DecisionReason},
    described::Scalar,
    executions::SourceRevision,
};

extension! {
    /// Which page to list.
    ListRevokedRevisionsInput {
        ;
        /// Most revoked revisions on a page; 100 unless given.
        max_results: u32 as MaxResults,
        /// The `nextToken` of the page before.
        next_token: String as NextToken,
    }

    /// A page of revoked revisions.
    ListRevokedRevisionsOutput {
        /// Revoked revisions, by what they are recognised by.
        revoked_revisions: Vec<RevokedRevision>;
        /// Absent on the last page.
        next_token: String as NextToken,
    }

    /// Content that was rolled back from. It is stopped before every stage but the first, in every pipeline.
    RevokedRevision {
        /// What it is recognised by: `sha256:` and the digest of an object, `etag:` and S3's ETag of one over 5 GB, `digest:` and a commit or image, `revision:` and a digest of its id and source, or `all:` and a digest of several together.
        content_id: String as ContentId,
        /// The pipeline it was rolled back from in.
        pipeline_name: PipelineName,
        /// The stage.
        stage_name: StageName,
        /// What led to the rollback.
        cause: DecisionCause,
        /// When.
        revoked_at: Epoch,
        /// The rollback.
        rollback_pipeline_execution_id: ExecutionId,
        /// The execution that was undone.
        undone_pipeline_execution_id: ExecutionId,
        /// The revisions as the undone execution had them.
        source_revisions: Vec<SourceRevision>;
        /// The person who started the rollback.
        decided_by: String as Actor,
        /// The alarm it was started for.
        alarm_arn: String as AlarmArn,
        /// What the alarm or the person said.
        reason: String as DecisionReason,
    }

    /// Which revision to reinstate, and why.
    ReinstateRevisionInput {
        /// What it is recognised by, from `ListRevokedRevisions`.
        content_id: String as ContentId,
        /// Why it was not to blame; kept with the decision.
        reason: String as ReinstateReason;
    }

    /// The revision that was reinstated.
    ReinstateRevisionOutput {
        /// As it was revoked.
        revoked_revision: RevokedRevision;
    }
}

shapes! {
    /// What content is recognised by.
    ContentId: Scalar::text(1, 200);
    /// A person's words about a revision.
    ReinstateReason: Scalar::text(1, 1024);
}

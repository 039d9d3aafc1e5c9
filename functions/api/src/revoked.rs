//! Revoked revisions: which there are, and taking a verdict back.

use domain::{ContentId, RevokedContent};
use engine::{HasMachines, HasStore, ports::Store};
use protocol::wire::{
    executions::SourceRevision,
    revoked::{ListRevokedRevisionsOutput, ReinstateRevisionInput, ReinstateRevisionOutput, RevokedRevision},
};

use crate::{failure::Failure, holds::Decided, paging::Listing};

/// ListRevokedRevisions.
pub(crate) async fn list<W: HasStore>(world: &W, listing: &Listing) -> Result<ListRevokedRevisionsOutput, Failure> {
    let page = world.store().list_revoked(listing.page()).await?;
    Ok(ListRevokedRevisionsOutput {
        revoked_revisions: page.items.into_iter().map(revision).collect(),
        next_token: listing.token(page.next)?,
    })
}

/// ReinstateRevision.
pub(crate) async fn reinstate<W: HasStore + HasMachines>(
    world: &W,
    input: ReinstateRevisionInput,
    caller: &str,
) -> Result<ReinstateRevisionOutput, Failure> {
    let content = ContentId::named(&input.content_id);
    let revoked = engine::reinstate(world, &content, &input.reason, caller).await?;
    Ok(ReinstateRevisionOutput { revoked_revision: revision(revoked) })
}

fn revision(revoked: RevokedContent) -> RevokedRevision {
    let Decided { cause, by, alarm_arn, reason, .. } = Decided::from(revoked.cause);
    let source_revisions = revoked.revisions.into_iter().map(|revision| SourceRevision {
        action_name: revision.action_name,
        revision_id: Some(revision.revision_id),
        revision_summary: revision.revision_summary,
        revision_url: None,
    });
    RevokedRevision {
        content_id: revoked.content.to_string(),
        pipeline_name: revoked.pipeline,
        stage_name: revoked.stage,
        cause,
        revoked_at: revoked.since.into(),
        rollback_pipeline_execution_id: revoked.rollback,
        undone_pipeline_execution_id: revoked.undone,
        source_revisions: source_revisions.collect(),
        decided_by: by,
        alarm_arn,
        reason,
    }
}

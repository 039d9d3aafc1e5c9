//! Takes from earlier deployments what they could still complete.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};

use super::{DeployFailed, UPLOADS_PARALLEL_MAX};
use crate::ports::objects::{ObjectAt, Objects, ObjectsError};

/// Gives up all uploads in parts to `keys` that are under way, which all begin with that of `prefix`.
///
/// They are of a deployment that lost the stage and stands still, or of one that is about to be repeated: each object is
/// written here next, and whoever began to write it before must not have the last word. Where the bucket lets nobody
/// look for uploads, the deployment goes on without.
///
/// # Errors
/// [`DeployFailed::Target`]; nothing was written.
pub(super) async fn give_up_earlier<O: Objects>(
    objects: &O,
    prefix: &ObjectAt,
    keys: &BTreeSet<String>,
) -> Result<(), DeployFailed> {
    let give_up = async {
        let mut uploads = objects.uploads_under(prefix).await?;
        uploads.retain(|upload| keys.contains(&upload.at.key));
        let given_up = uploads.iter().map(|upload| objects.abort_upload(upload));
        stream::iter(given_up.collect::<Vec<_>>()).buffer_unordered(UPLOADS_PARALLEL_MAX).try_collect().await
    };
    match give_up.await {
        Err(ObjectsError::AccessDenied { operation, at }) => {
            tracing::warn!(
                operation,
                bucket = at.bucket,
                "earlier uploads cannot be given up; allow it in the bucket's policy"
            );
            Ok(())
        }
        outcome => outcome.map_err(DeployFailed::Target),
    }
}

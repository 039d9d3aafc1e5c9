//! An upload to S3 starts the pipelines whose Source actions take that object.

use std::collections::{BTreeMap, BTreeSet};

use domain::{ActionName, PipelineName, SourcePin, Trigger, TriggerType};

use crate::{
    CauseOrder, EngineError, HasMachines, HasStore, Refusal, StartRequest, Started, error::FirstError, ports::Store,
    start::start_execution,
};

/// A new version of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Bucket.
    pub bucket: String,
    /// Key, not URL-encoded.
    pub key: String,
    /// Version; absent where the bucket keeps none, which the Source action then refuses with what to do.
    pub version_id: Option<String>,
    /// ETag.
    pub etag: Option<String>,
    /// Orders uploads of the same key.
    pub sequencer: Option<String>,
}

/// Starts every pipeline that takes the uploaded object, once per object version, however often and in whatever
/// order the notification arrives.
///
/// # Errors
/// [`EngineError::Contended`] and [`EngineError::Unavailable`]: deliver the notification again. What stands in the way of one
/// pipeline has not kept the others from starting.
pub async fn object_uploaded<W: HasStore + HasMachines>(
    world: &W,
    upload: &Upload,
) -> Result<Vec<(PipelineName, Result<Started, Refusal>)>, EngineError> {
    let mut takers: BTreeMap<PipelineName, BTreeSet<ActionName>> = BTreeMap::new();
    for source in world.store().sources_of(&upload.bucket, &upload.key).await? {
        takers.entry(source.pipeline).or_default().insert(source.action);
    }
    let (mut started, mut failures) = (Vec::new(), FirstError::default());
    for (pipeline, actions) in takers {
        let request = start_request(world.settings(), upload, pipeline.clone(), actions);
        match start_execution(world, &request).await {
            Ok(outcome) => started.push((pipeline, Ok(outcome))),
            // Deleted meanwhile. Others still may start.
            Err(EngineError::Refused(refusal)) => started.push((pipeline, Err(refusal))),
            // Told again, the others have started already.
            Err(error) => failures.note(error),
        }
    }
    failures.into_result().map(|()| started)
}

/// The trigger tells a rule's ARN, as CodePipeline's does (spec 2.2). It is a label: neither EventBridge's event nor S3's
/// notification says which rule brought it, and no account has one of this name.
fn start_request(
    settings: &crate::Settings,
    upload: &Upload,
    pipeline: PipelineName,
    actions: BTreeSet<ActionName>,
) -> StartRequest {
    let object = object(&upload.bucket, &upload.key);
    let version = upload.version_id.as_deref().or(upload.etag.as_deref()).unwrap_or_default();
    let pin = SourcePin { key: None, version_id: upload.version_id.clone() };
    let rule = format!("{}:rule/lastgood-s3-uploads", settings.arn_of("events"));
    StartRequest {
        pipeline,
        trigger: Trigger { trigger_type: TriggerType::CloudWatchEvent, trigger_detail: Some(rule), starter: None },
        cause: Some(upload_cause(&upload.bucket, &upload.key, version)),
        order: upload.sequencer.clone().map(|sequencer| CauseOrder { of: object, sequencer }),
        pins: actions.into_iter().map(|action| (action, pin.clone())).collect(),
        variables: BTreeMap::new(),
    }
}

/// Identity of an upload as a cause: whoever tells of the same version of an object tells of the same change.
pub(crate) fn upload_cause(bucket: &str, key: &str, version: &str) -> String {
    format!("{}?versionId={version}", object(bucket, key))
}

fn object(bucket: &str, key: &str) -> String {
    format!("s3://{bucket}/{key}")
}

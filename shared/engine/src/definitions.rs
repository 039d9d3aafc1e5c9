//! Pipeline declarations in S3: one object per version, checked against the digest in the pipeline's row.

use bytes::Bytes;
use domain::{PipelineDeclaration, PipelineIndex, PipelineName};
use sha2::{Digest, Sha256};

use crate::{
    EngineError, HasObjects,
    ports::{Definition, Missing, ObjectAt, Objects, ObjectsError, PutOptions},
};

/// Largest declaration, in bytes: 1000 actions with 1000-character values fit, and no request has half as much.
const DECLARATION_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// A stored declaration.
pub(crate) struct StoredDefinition {
    pub(crate) key: String,
    pub(crate) digest: String,
}

/// Stores a declaration. Its key holds its digest, so two writers of one version never overwrite each other.
pub(crate) async fn store<W: HasObjects>(
    world: &W,
    declaration: &PipelineDeclaration,
    version: u32,
) -> Result<StoredDefinition, EngineError> {
    let body = serde_json::to_vec(declaration).map_err(|error| EngineError::Broken(error.to_string()))?;
    let digest = hex::encode(Sha256::digest(&body));
    let key = format!("{}{}", prefix(&declaration.name, version), &digest[..16]);
    let options = PutOptions { content_type: Some("application/json".to_owned()), ..PutOptions::default() };
    let at = ObjectAt::new(&world.settings().bucket, &key);
    world.objects().put(&at, Bytes::from(body), &options).await?;
    Ok(StoredDefinition { key, digest })
}

fn prefix(pipeline: &PipelineName, version: u32) -> String {
    format!("definitions/{pipeline}/{version:06}-")
}

/// The declaration of the version of a pipeline that `index` is of.
///
/// # Errors
/// [`EngineError::Broken`] where the object is gone or was altered.
pub async fn load_declaration<W: HasObjects>(
    world: &W,
    index: &PipelineIndex,
) -> Result<PipelineDeclaration, EngineError> {
    load(world, &definition(index)).await
}

/// Where the declaration of a version of a pipeline is.
pub(crate) fn definition(index: &PipelineIndex) -> Definition {
    Definition {
        pipeline: index.name.clone(),
        pipeline_version: index.pipeline_version,
        key: index.definition_key.clone(),
        digest: index.definition_digest.clone(),
        created_at: index.created_at,
        stages: Vec::new(),
    }
}

/// The same of a version that another one takes the place of.
pub(crate) fn superseded(index: &PipelineIndex) -> Definition {
    Definition { stages: index.stages.clone(), ..definition(index) }
}

/// An earlier version of the pipeline whose `current` version this is; none where nothing is known of its stages.
pub(crate) fn earlier_index(stored: Definition, current: &PipelineIndex) -> Option<PipelineIndex> {
    let is_known = stored.created_at == current.created_at && !stored.stages.is_empty();
    is_known.then(|| PipelineIndex {
        pipeline_version: stored.pipeline_version,
        definition_key: stored.key,
        definition_digest: stored.digest,
        stages: stored.stages,
        ..current.clone()
    })
}

/// The declaration that is there.
pub(crate) async fn load<W: HasObjects>(world: &W, stored: &Definition) -> Result<PipelineDeclaration, EngineError> {
    let broken = |why: &str| EngineError::Broken(format!("the definition of pipeline '{}' {why}", stored.pipeline));
    let at = ObjectAt::new(&world.settings().bucket, &stored.key);
    let info = match world.objects().head(&at, None).await {
        Err(ObjectsError::NotFound(Missing::Object | Missing::Deleted, _)) => {
            return Err(broken("is gone"));
        }
        other => other?,
    };
    if info.size > DECLARATION_BYTES_MAX || info.size == 0 {
        return Err(broken("has an impossible size"));
    }
    let body = world.objects().read(&info.pin(&at), 0..info.size).await?;
    if hex::encode(Sha256::digest(&body)) != stored.digest {
        return Err(broken("was altered: its digest does not match"));
    }
    let mut declaration: PipelineDeclaration =
        serde_json::from_slice(&body).map_err(|_| broken("cannot be understood"))?;
    declaration.version = Some(stored.pipeline_version);
    Ok(declaration)
}

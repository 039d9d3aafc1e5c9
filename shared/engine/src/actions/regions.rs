//! Where the artifacts of an action are: in the store of the region it runs in. What was made in another region is copied
//! there before the action begins, as CodePipeline does, so nobody reads or writes across regions but Lastgood itself.

use std::collections::BTreeMap;

use domain::{ActionDeclaration, ActionExecutionId, ArtifactLocation, PipelineDeclaration, derived_uuid};

use super::{Finished, Underway};
use crate::{
    EngineError, HasObjects,
    ports::{ObjectAt, Objects, ObjectsError, PutOptions},
};

/// Longest part of the pipeline's name in a key, in characters (spec 1.5).
const PIPELINE_CHARS_MAX: usize = 20;
/// Longest part of the artifact's name in a key, in characters (spec 1.5).
const ARTIFACT_CHARS_MAX: usize = 10;
/// Characters that tell the objects of one artifact apart.
const UNIQUE_CHARS: usize = 12;

/// The artifact stores of a pipeline. A region is `None` where it is the installation's own.
pub(super) struct Places<'a> {
    pub(super) declaration: &'a PipelineDeclaration,
    /// The installation's region.
    pub(super) own: &'a str,
}

impl Places<'_> {
    /// Where the output artifacts of the run `id` go: `<pipeline, 20>/<artifact, 10>/<12 characters>`, much as
    /// CodePipeline does (spec 1.5). The last part follows from the run, so that running it again writes to the same place.
    pub(super) fn of_outputs(
        &self,
        id: ActionExecutionId,
        region: Option<&str>,
        action: &ActionDeclaration,
    ) -> BTreeMap<String, ArtifactLocation> {
        let place = |artifact: &String| {
            let at = self.place(region, artifact, &["artifact", &id.to_string(), artifact])?;
            Some((artifact.clone(), at))
        };
        action.output_artifacts.iter().filter_map(|artifact| place(&artifact.name)).collect()
    }

    /// Where an action in `region` reads `artifact`, which was made `at`: there, or where it is copied to. That place
    /// follows from the other, so actions of one region share it.
    ///
    /// # Errors
    /// The pipeline has no artifact store for the region, in words for people.
    pub(super) fn of_input(
        &self,
        artifact: &str,
        at: &ArtifactLocation,
        region: Option<&str>,
    ) -> Result<ArtifactLocation, String> {
        if at.region.as_deref() == region {
            return Ok(at.clone());
        }
        let named = region.unwrap_or(self.own);
        self.place(region, artifact, &["copy", &at.bucket, &at.key, named])
            .ok_or_else(|| format!("The pipeline has no artifact store for {named}, to copy artifact '{artifact}' to."))
    }

    fn place(&self, region: Option<&str>, artifact: &str, unique: &[&str]) -> Option<ArtifactLocation> {
        let store = self.declaration.artifact_store_for(region.unwrap_or(self.own))?;
        let cut = |text: &str, length: usize| text.chars().take(length).collect::<String>();
        let unique = derived_uuid(unique).simple().to_string();
        let key = format!(
            "{}/{}/{}",
            cut(self.declaration.name.as_str(), PIPELINE_CHARS_MAX),
            cut(artifact, ARTIFACT_CHARS_MAX),
            cut(&unique, UNIQUE_CHARS)
        );
        Some(ArtifactLocation { bucket: store.location.clone(), key, region: region.map(str::to_owned) })
    }
}

/// Copies those input artifacts to the store of the action's region that were made elsewhere, with its key; how the
/// action fails where that is refused. Done again, it writes the same content to the same place.
///
/// # Errors
/// [`EngineError::Unavailable`]: try again.
pub(super) async fn bring_inputs<W: HasObjects>(
    world: &W,
    Underway { run, execution, kms_key, .. }: &Underway,
) -> Result<Option<Finished>, EngineError> {
    // Whoever got the job has them already.
    if run.job.is_some() {
        return Ok(None);
    }
    for (name, to) in &run.inputs {
        let Some(from) = execution.artifacts.get(name).filter(|from| *from != to) else { continue };
        match copy(world.objects(), &from.into(), &to.into(), kms_key.clone()).await {
            Ok(()) => {}
            Err(error) if error.is_retryable() => {
                return Err(EngineError::Unavailable { what: "S3", source: Box::new(error) });
            }
            Err(error) => {
                let region = run.region.as_deref().unwrap_or(&world.settings().region);
                let why = format!("Artifact '{name}' cannot be copied to {region}, where the action runs: {error}");
                return Ok(Some(Finished::failed(failure_type(&error), why)));
            }
        }
    }
    Ok(None)
}

async fn copy(
    objects: &impl Objects,
    from: &ObjectAt,
    to: &ObjectAt,
    kms_key: Option<String>,
) -> Result<(), ObjectsError> {
    let info = objects.head(from, None).await?;
    let options = PutOptions { content_type: info.content_type.clone(), kms_key, ..PutOptions::default() };
    objects.copy(&info.pin(from), info.size, to, &options).await.map(drop)
}

/// CodePipeline's failure type of what S3 refused.
pub(super) fn failure_type(error: &ObjectsError) -> &'static str {
    match error {
        ObjectsError::AccessDenied { .. } | ObjectsError::Key { is_denied: true, .. } => "PermissionError",
        _ => "ConfigurationError",
    }
}

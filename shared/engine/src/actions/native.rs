//! Actions that run-action performs itself: S3 source, the source of a connection, and S3 deploy.

use std::collections::BTreeMap;

use contract::ActionInput;
use domain::{ActionStatus, ArtifactLocation, Changes, Execution, GIT_CONNECTION, SourceRevision, derived_uuid};

use super::{
    fence,
    fence::FencedObjects,
    finish::{Finished, RunKey, digests_of, finish_work_untold},
    start::Underway,
};
use crate::{
    EngineError, HasMachines, HasObjects, HasRepositories, HasStore, commit,
    git_source::{self, GitSource, GitSourceError},
    outbox::Untold,
    ports::{ObjectAt, Objects, Repositories},
    s3_deploy::{self, DeployRequest, Outcome, S3DeployConfiguration},
    s3_source,
};

/// Performs the action to its end; with it comes what is to be told of that.
pub(crate) async fn run<W: HasStore + HasObjects + HasMachines + HasRepositories>(
    world: &W,
    input: &ActionInput,
    underway: Underway,
    out_of_time: &(dyn Fn() -> bool + Send + Sync),
) -> Result<(ActionStatus, Untold), EngineError> {
    let run = &underway.run;
    let finished = match (run.action_type.category.as_str(), run.action_type.provider.as_str()) {
        ("Source", "S3") => source(world, &underway, input).await?,
        ("Source", GIT_CONNECTION) => git_source(world, &underway, input).await?,
        ("Deploy", "S3") => deploy(world, &underway, out_of_time).await?,
        (category, provider) => {
            Finished::failed("ConfigurationError", format!("{category} by {provider} is not performed here."))
        }
    };
    let (end, untold) = finish_work_untold(world, &RunKey::from(run), &finished).await?;
    Ok((end.status(), untold))
}

/// S3 source: copies exactly the pinned object version into the artifact store (spec 6.4).
async fn source<W: HasObjects>(world: &W, underway: &Underway, input: &ActionInput) -> Result<Finished, EngineError> {
    let Underway { run, execution, kms_key, .. } = underway;
    let setting = |key: &str| run.resolved_configuration.get(key).cloned().unwrap_or_default();
    let pin = execution.pins.get(&input.action);
    let key = pin.and_then(|pin| pin.key.clone()).unwrap_or_else(|| setting("S3ObjectKey"));
    let version = pin.and_then(|pin| pin.version_id.as_deref());
    let bucket = setting("S3Bucket");
    if let Some(refused) = refuse_definitions(world, &bucket, "Take from") {
        return Ok(refused);
    }
    let objects = world.objects();
    let fetched = async {
        let revision = s3_source::pin(objects, &bucket, &key, version).await?;
        let ObjectAt { bucket, key, .. } = &revision.object.at;
        let outputs = places_of(&run.outputs, &[bucket, key, revision.revision_id()]);
        let mut digests = BTreeMap::new();
        for (name, at) in &outputs {
            let at = at.into();
            let written = s3_source::fetch(objects, &revision, &at, kms_key.as_deref()).await?;
            // One that was copied in parts is told of by itself alone.
            let digest = match written.digest {
                Some(digest) => Some(digest),
                None => objects.head(&at, None).await?.digest,
            };
            digests.extend(digest.map(|digest| (name.clone(), digest)));
        }
        let info = objects.head(&revision.object.at, Some(revision.revision_id())).await?;
        Ok::<_, s3_source::SourceError>((revision, outputs, digests, info.last_modified))
    };
    match fetched.await {
        Ok((revision, outputs, digests, created)) => Ok(Finished {
            summary: Some(revision.external_execution_summary()),
            external_id: Some(revision.revision_id().to_owned()),
            variables: revision.output_variables(),
            revision: Some(SourceRevision {
                action_name: input.action.clone(),
                artifact_name: run.outputs.keys().next().cloned().unwrap_or_default(),
                more_artifacts: Vec::new(),
                revision_id: revision.revision_id().to_owned(),
                revision_change_identifier: Some(revision.change_identifier().to_owned()),
                revision_summary: Some(revision.summary.clone()),
                created,
            }),
            made_artifacts: true,
            outputs: Some(outputs),
            digests,
            ..Finished::default()
        }),
        Err(error) if error.is_retryable() => Err(EngineError::Unavailable { what: "S3", source: Box::new(error) }),
        Err(error) => Ok(Finished::failed(error.failure_type(), error.to_string())),
    }
}

/// The source of a connection: the files of the commit it is pinned to, else of its branch's newest (spec 6.5).
async fn git_source<W: HasObjects + HasRepositories>(
    world: &W,
    underway: &Underway,
    input: &ActionInput,
) -> Result<Finished, EngineError> {
    let Underway { run, execution, kms_key, .. } = underway;
    let pinned = execution.pins.get(&input.action).and_then(|pin| pin.version_id.as_deref());
    let fetched = async {
        let source = GitSource::parse(&run.resolved_configuration, pinned)?;
        let commit = world.repositories().commit(&source.repository, &source.revision).await?;
        let outputs = places_of(&run.outputs, &[&source.repository.to_string(), &commit.id]);
        for at in outputs.values() {
            let to = ObjectAt::from(at);
            // Of two calls that are at it, each has its own.
            let mut random = [0; PASSING_BYTES];
            world.entropy().fill(&mut random);
            let passing = ObjectAt { key: format!("{}-{}", to.key, hex::encode(random)), ..to.clone() };
            let (repositories, objects) = (world.repositories(), world.objects());
            git_source::fetch(repositories, objects, &source.repository, &commit, &passing, &to, kms_key.as_deref())
                .await?;
        }
        Ok::<_, GitSourceError>((source.repository, commit, outputs))
    };
    let (repository, commit, outputs) = match fetched.await {
        Ok(fetched) => fetched,
        Err(error) if error.is_retryable() => {
            return Err(EngineError::Unavailable { what: "what the source is fetched from", source: Box::new(error) });
        }
        Err(error) => return Ok(Finished::failed(error.failure_type(), error.to_string())),
    };
    let configuration = &run.resolved_configuration;
    let digests = digests_of(world, &outputs).await;
    let declared = || configuration.get("BranchName").cloned().unwrap_or_default();
    let branch = branch_of(execution, &commit.id).unwrap_or_else(declared);
    Ok(Finished {
        summary: Some(git_source::summary(&commit)),
        external_id: Some(commit.id.clone()),
        external_url: commit.url.clone(),
        variables: git_source::output_variables(configuration, &repository, &branch, &commit),
        revision: Some(SourceRevision {
            action_name: input.action.clone(),
            artifact_name: run.outputs.keys().next().cloned().unwrap_or_default(),
            more_artifacts: Vec::new(),
            revision_id: commit.id.clone(),
            revision_change_identifier: None,
            revision_summary: Some(git_source::summary(&commit)),
            created: commit.authored_at,
        }),
        made_artifacts: true,
        outputs: Some(outputs),
        digests,
        ..Finished::default()
    })
}

/// The branch that the push was to which started `execution`, if it was of this commit.
fn branch_of(execution: &Execution, commit: &str) -> Option<String> {
    let detail: serde_json::Value = serde_json::from_str(execution.trigger.trigger_detail.as_deref()?).ok()?;
    let branch = detail["branch-name"].as_str().filter(|_| detail["commit-id"] == commit)?;
    Some(branch.to_owned())
}

/// Random bytes in the name of what is only passing through.
const PASSING_BYTES: usize = 8;

/// Where the artifacts of one revision go. Of two calls that are at it, each may find another revision: neither may
/// overwrite what the other one's revision is recorded with.
fn places_of(outputs: &BTreeMap<String, ArtifactLocation>, revision: &[&str]) -> BTreeMap<String, ArtifactLocation> {
    let digest = derived_uuid(&[&["artifact"], revision].concat()).simple().to_string();
    let place = |at: &ArtifactLocation| ArtifactLocation {
        key: format!("{}-{}", at.key, &digest[..DIGEST_CHARS]),
        ..at.clone()
    };
    outputs.iter().map(|(name, at)| (name.clone(), place(at))).collect()
}

/// Enough to tell the few revisions apart that calls of one run can find.
const DIGEST_CHARS: usize = 8;

/// The bucket of definitions is nobody's to write, and every pipeline's definition is there to be read.
fn refuse_definitions<W: HasObjects>(world: &W, bucket: &str, instead: &str) -> Option<Finished> {
    let is_theirs = bucket == world.settings().bucket;
    let why = || format!("Bucket '{bucket}' holds Lastgood's own pipeline definitions. {instead} another.");
    is_theirs.then(|| Finished::failed("ConfigurationError", why()))
}

/// S3 deploy: puts the artifact, or what is in it, where the configuration says.
async fn deploy<W: HasStore + HasObjects + HasMachines>(
    world: &W,
    Underway { run, execution, .. }: &Underway,
    out_of_time: &(dyn Fn() -> bool + Send + Sync),
) -> Result<Finished, EngineError> {
    let Some((name, artifact)) = run.inputs.iter().next() else {
        return Ok(Finished::failed("ConfigurationError", "The action has no input artifact."));
    };
    let configuration = match S3DeployConfiguration::parse(&run.resolved_configuration) {
        Ok(configuration) => configuration,
        Err(error) => return Ok(Finished::failed("ConfigurationError", error.to_string())),
    };
    if let Some(refused) = refuse_definitions(world, &configuration.bucket, "Deploy to") {
        return Ok(refused);
    }
    let request = DeployRequest {
        artifact: artifact.into(),
        region: run.region.clone(),
        artifact_version: None,
        // A copy for another region may have been made in parts, whose checksum is another one.
        artifact_digest: execution
            .digests
            .get(name)
            .filter(|_| execution.artifacts.get(name) == Some(artifact))
            .cloned(),
        configuration,
        started_at: run.started_at,
        uuid: derived_uuid(&["deploy", &run.id.to_string()]),
        progress: run.progress.clone().and_then(|stored| serde_json::from_value(stored).ok()).unwrap_or_default(),
    };
    match s3_deploy::deploy(&FencedObjects::new(world, run), &request, out_of_time).await {
        Ok(Outcome::Done(summary)) => Ok(Finished { summary: Some(summary.to_string()), ..Finished::default() }),
        Ok(Outcome::Unfinished(progress)) => {
            let mut run = run.clone();
            run.progress = serde_json::to_value(progress).ok();
            run.updated_at = world.now();
            let mut changes = Changes::default();
            fence(&mut changes, execution, &run);
            let pipeline = run.pipeline.clone();
            changes.runs.push(run);
            commit(world, &pipeline, changes).await?;
            Err(EngineError::Unfinished)
        }
        Err(error) if error.is_retryable() => Err(EngineError::Unavailable { what: "S3", source: Box::new(error) }),
        Err(error) => Ok(Finished::failed(error.kind().as_str(), error.to_string())),
    }
}

//! The S3 deploy action: an artifact, whole or unpacked, becomes objects of a bucket.
//!
//! An archive is never held in memory: its directory is read and checked first, then each file is read by range,
//! inflated and uploaded, a few at a time. Nothing is uploaded from an archive whose directory is refused.
//!
//! A wrong checksum shows only after a file was inflated. Archives of up to [`VERIFY_BYTES_MAX`] are therefore inflated
//! once before the first upload, which takes a second or so; in larger ones the damaged file itself is still never
//! published (its upload is completed only after its checksum fitted), but files before it may have been. A cut-off
//! upload, by far the commonest damage, has no directory and is refused at any size.
//!
//! Deploying again is safe: keys depend on the request alone, and objects are overwritten with the same content.
//! Between runs [`Progress`] saves work that is done; without it a run begins at the first file.

mod archive;
mod configuration;
mod directory;
mod earlier;
mod entry;
mod read;
#[cfg(test)]
mod tests;
mod upload;
mod write;

use std::{collections::BTreeSet, fmt};

use domain::{ArtifactDigest, ArtifactState, artifact_state};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use archive::Archive;
pub use configuration::{CONFIGURATION_KEYS, ConfigurationError, KeyTemplate, S3DeployConfiguration, Target};
pub use directory::{ArchiveRefused, DIRECTORY_BYTES_MAX, FILES_MAX, RATIO_FREE_BYTES, RATIO_MAX, UNPACKED_BYTES_MAX};
use directory::{DirectoryError, Entry, read_directory};
use earlier::give_up_earlier;
pub use read::{FILE_BYTES_MAX, NotRead, read_file};
pub(crate) use write::{Writer, archive_of, repack};

use crate::ports::objects::{Missing, ObjectAt, Objects, ObjectsError, PARTS_MAX, PinnedObject};

/// Longest object key in bytes (S3's limit).
pub const KEY_BYTES_MAX: usize = 1024;
/// Files uploaded at the same time: enough to hide S3's latency behind each other, and with [`PART_BYTES`] and
/// [`READ_BYTES`] each, at most 128 MiB of memory.
pub const UPLOADS_PARALLEL_MAX: usize = 8;
/// Files up to this size go up as one body, larger ones in parts of it. An action's objects are fenced, so one body is an upload
/// in parts too: of one part, in three requests. Times 10,000 parts it exceeds [`UNPACKED_BYTES_MAX`], so every allowed file
/// fits.
pub const PART_BYTES: usize = 8 * 1024 * 1024;
/// Packed bytes read at a time.
pub const READ_BYTES: u64 = 4 * 1024 * 1024;
/// Archives up to this size are inflated once to check every checksum before the first upload.
pub const VERIFY_BYTES_MAX: u64 = 64 * 1024 * 1024;

const _: () = assert!(PART_BYTES as u64 * PARTS_MAX as u64 >= UNPACKED_BYTES_MAX);

/// One S3 deploy action to perform.
#[derive(Debug, Clone)]
pub struct DeployRequest {
    /// The input artifact.
    pub artifact: ObjectAt,
    /// Region of the bucket it deploys to; absent, the installation's own.
    pub region: Option<String>,
    /// The artifact's version, where the store keeps versions and one is known.
    pub artifact_version: Option<String>,
    /// The artifact's digest when it was made, where one is known. Anything else is not deployed.
    pub artifact_digest: Option<ArtifactDigest>,
    /// What to do with it.
    pub configuration: S3DeployConfiguration,
    /// Fills `{datetime}`: the start of the action execution, so that running it again writes the same keys.
    pub started_at: Timestamp,
    /// Fills `{uuid}`: derived from the action execution's id, for the same reason.
    pub uuid: Uuid,
    /// What an earlier run of the same request reached; the default begins at the first file.
    pub progress: Progress,
}

/// How far a deployment has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Files deployed, counted in the archive's order.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How a deployment that was not refused ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is deployed.
    Done(Summary),
    /// Time ran out; the same request with this progress goes on.
    Unfinished(Progress),
}

/// What was deployed. Displays as the action's `externalExecutionSummary`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Number of objects written.
    pub files: u64,
    /// Their size together, in bytes.
    pub bytes: u64,
    /// The object, or the prefix of the objects.
    pub target: ObjectAt,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = if self.files == 1 { "file" } else { "files" };
        write!(f, "Deployed {} {files} ({} bytes) to {}", self.files, self.bytes, self.target)
    }
}

/// CodePipeline's failure types, as far as this action has them (`FailureType` of the model).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The action's configuration needs a change.
    ConfigurationError,
    /// A role or policy needs a change.
    PermissionError,
    /// The artifact cannot be deployed.
    JobFailed,
    /// The storage does not work at the moment; the same again may.
    SystemUnavailable,
}

impl FailureKind {
    /// The name in CodePipeline's API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfigurationError => "ConfigurationError",
            Self::PermissionError => "PermissionError",
            Self::JobFailed => "JobFailed",
            Self::SystemUnavailable => "SystemUnavailable",
        }
    }
}

/// Why nothing, or not everything, was deployed.
#[derive(Debug, Clone, Error)]
pub enum DeployFailed {
    /// Correct the configuration.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// Build another artifact; nothing was uploaded if the directory was refused.
    #[error(transparent)]
    Archive(#[from] ArchiveRefused),
    /// The artifact could not be read.
    #[error("the input artifact could not be read: {0}")]
    Artifact(#[source] ObjectsError),
    /// Somebody wrote over the artifact. Release again; nothing was uploaded.
    #[error("the input artifact {0} is not what was made for this execution: its checksum is another; release again")]
    Altered(ObjectAt),
    /// The target could not be written.
    #[error("the target could not be written: {0}")]
    Target(#[source] ObjectsError),
}

impl DeployFailed {
    /// The failure type to report.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Configuration(_) => FailureKind::ConfigurationError,
            Self::Archive(_) | Self::Altered(_) => FailureKind::JobFailed,
            Self::Artifact(error) | Self::Target(error) => match error {
                ObjectsError::AccessDenied { .. } | ObjectsError::Key { is_denied: true, .. } => {
                    FailureKind::PermissionError
                }
                ObjectsError::Throttled { .. } | ObjectsError::Unavailable { .. } => FailureKind::SystemUnavailable,
                ObjectsError::NotFound(Missing::Bucket, _) | ObjectsError::Key { is_denied: false, .. } => {
                    FailureKind::ConfigurationError
                }
                _ => FailureKind::JobFailed,
            },
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.kind() == FailureKind::SystemUnavailable
    }
}

/// Performs the action. `out_of_time` says when to stop beginning new files and parts.
///
/// # Errors
/// [`DeployFailed`]; its [`kind`](DeployFailed::kind) is the failure type to report.
pub async fn deploy(
    objects: &impl Objects,
    request: &DeployRequest,
    out_of_time: impl Fn() -> bool + Send + Sync,
) -> Result<Outcome, DeployFailed> {
    let info =
        objects.head(&request.artifact, request.artifact_version.as_deref()).await.map_err(DeployFailed::Artifact)?;
    if artifact_state(request.artifact_digest.as_ref(), Some(info.digest.as_ref())) == ArtifactState::Altered {
        return Err(DeployFailed::Altered(request.artifact.clone()));
    }
    let artifact = info.pin(&request.artifact);
    match &request.configuration.target {
        Target::Object { key } => {
            let key = check_key(key, key.fill(request.started_at, request.uuid))?;
            copy_whole(objects, request, &artifact, info.size, key).await
        }
        Target::Files { prefix } => {
            let prefix = check_key(prefix, prefix.fill(request.started_at, request.uuid))?;
            deploy_files(objects, request, Archive::new(objects, artifact, info.size), prefix, &out_of_time).await
        }
    }
}

async fn copy_whole(
    objects: &impl Objects,
    request: &DeployRequest,
    artifact: &PinnedObject,
    size: u64,
    key: String,
) -> Result<Outcome, DeployFailed> {
    let options = request.configuration.put_options(&key);
    let target = ObjectAt::new(&request.configuration.bucket, key).in_region(request.region.as_deref());
    give_up_earlier(objects, &target, &BTreeSet::from([target.key.clone()])).await?;
    objects.copy(artifact, size, &target, &options).await.map_err(DeployFailed::Target)?;
    Ok(Outcome::Done(Summary { files: 1, bytes: size, target }))
}

async fn deploy_files<O: Objects>(
    objects: &O,
    request: &DeployRequest,
    archive: Archive<'_, O>,
    prefix: String,
    out_of_time: &(impl Fn() -> bool + Send + Sync),
) -> Result<Outcome, DeployFailed> {
    let entries = read_directory(&archive).await.map_err(not_read)?;
    for entry in &entries {
        check_key_bytes(&prefix, entry)?;
    }
    let done = usize::try_from(request.progress.files).unwrap_or(usize::MAX).min(entries.len());
    if done == 0 && archive.size() <= VERIFY_BYTES_MAX && !upload::verify(&archive, &entries, out_of_time).await? {
        return Ok(Outcome::Unfinished(Progress::default()));
    }
    let left = &entries[done..];
    let region = request.region.as_deref();
    let bucket = ObjectAt::new(&request.configuration.bucket, prefix.clone()).in_region(region);
    let keys = entries.iter().map(|entry| under(&prefix, &entry.name)).collect();
    give_up_earlier(objects, &bucket, &keys).await?;
    let target = upload::Target { objects, configuration: &request.configuration, region, prefix: &prefix };
    let reached = upload::upload_all(&target, &archive, left, request.progress, out_of_time).await?;
    if reached.files < entries.len() as u64 {
        return Ok(Outcome::Unfinished(reached));
    }
    Ok(Outcome::Done(Summary {
        files: reached.files,
        bytes: reached.bytes,
        target: ObjectAt::new(&request.configuration.bucket, prefix).in_region(request.region.as_deref()),
    }))
}

fn check_key(template: &KeyTemplate, key: String) -> Result<String, ConfigurationError> {
    if key.len() > KEY_BYTES_MAX {
        let reason = "is longer than 1024 bytes, S3's limit, when filled in; shorten it";
        return Err(ConfigurationError::ObjectKey { key: template.to_string(), reason });
    }
    Ok(key)
}

fn check_key_bytes(prefix: &str, entry: &Entry) -> Result<(), ArchiveRefused> {
    if under(prefix, &entry.name).len() <= KEY_BYTES_MAX {
        return Ok(());
    }
    Err(ArchiveRefused::Name {
        name: entry.name.chars().take(120).collect(),
        reason: "whose name with ObjectKey before it is longer than 1024 bytes, S3's limit for keys; shorten one",
    })
}

fn under(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") }
}

fn not_read(error: DirectoryError) -> DeployFailed {
    match error {
        DirectoryError::Refused(refused) => DeployFailed::Archive(refused),
        DirectoryError::Objects(error) => DeployFailed::Artifact(error),
    }
}

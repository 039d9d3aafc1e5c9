//! What makes two revisions the same content.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{ActionRun, ArtifactDigest, SourceRevision};

/// What a source took, by what can be recognised of it in any pipeline.
///
/// The first of these that there is:
///
/// | form | of | recognised |
/// | --- | --- | --- |
/// | `sha256:…` | an object in S3 | the same bytes, however they were uploaded and encrypted: the digest is that of the copy in the artifact store |
/// | `etag:…` | an object in S3 of more than 5 GB, or that an earlier version took | the same bytes in one part; what came in several parts only where they were cut alike, and what is encrypted with a KMS key only as that version |
/// | `digest:…` | a revision whose id is a digest: a commit, an image | the same revision, in any repository |
/// | `revision:…` | any other | the same id, by an action of the same type and configuration |
/// | `all:…` | all content of an execution | the same in all of it |
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentId(String);

impl ContentId {
    /// The bytes of which S3 says `digest`; `None` where that is not the digest of all of them.
    pub fn of_bytes(digest: &ArtifactDigest) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(&digest.value).ok().filter(|bytes| bytes.len() == 32)?;
        (digest.algorithm == "SHA256").then(|| Self(format!("sha256:{}", hex::encode(bytes))))
    }

    /// What `run`, of a Source action, took, by what the source says of it.
    pub fn of_source(run: &ActionRun, revision: &SourceRevision) -> Self {
        let etag = revision.revision_change_identifier.as_deref().filter(|_| run.action_type.provider == "S3");
        if let Some(etag) = etag.filter(|etag| is_etag(etag)) {
            return Self(format!("etag:{etag}"));
        }
        let id = &revision.revision_id;
        if is_digest(id.strip_prefix("sha256:").unwrap_or(id)) {
            return Self(format!("digest:{id}"));
        }
        let mut parts = vec![run.action_type.owner.as_str(), &run.action_type.provider, &run.action_type.version, id];
        let public = run.resolved_configuration.iter().filter(|(key, _)| !run.secret_keys.contains(key));
        parts.extend(public.flat_map(|(key, value)| [key.as_str(), value]));
        Self(format!("revision:{}", digest(&parts)))
    }

    /// All of `contents`, which are sorted.
    pub(crate) fn of_all(contents: &[Self]) -> Self {
        let parts: Vec<&str> = contents.iter().map(Self::as_str).collect();
        Self(format!("all:{}", digest(&parts)))
    }

    /// As a person names it; whether there is such content is for the table to say.
    pub fn named(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// As text: at most 100 ASCII characters, unless a person named it otherwise.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As S3 makes them: 32 hexadecimal digits, of several parts with their number.
fn is_etag(text: &str) -> bool {
    let (digits, parts) = text.split_once('-').unwrap_or((text, "1"));
    let is_number = (1..=5).contains(&parts.len()) && parts.bytes().all(|c| c.is_ascii_digit());
    digits.len() == 32 && is_hex(digits) && is_number
}

/// A SHA-1 or a SHA-256.
fn is_digest(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && is_hex(text)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
}

fn digest(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    hex::encode(digest.finalize())
}

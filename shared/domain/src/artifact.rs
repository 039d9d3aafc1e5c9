//! Whether an artifact is still what an execution had.

use serde::{Deserialize, Serialize};

use crate::status::wire_enum;

/// A checksum of an artifact's content as S3 keeps it, which S3 tells without the artifact being read.
///
/// What Lastgood itself puts there has a SHA-256. What a provider or a job worker put there has the checksum it was
/// uploaded with; S3 gives `CRC64NVME` where the uploader named none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactDigest {
    /// S3's name of the algorithm, such as `SHA256`.
    pub algorithm: String,
    /// The checksum as S3 writes it: base64, with `-` and the number of parts where it is of their checksums.
    pub value: String,
}

impl std::fmt::Display for ArtifactDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.algorithm, self.value)
    }
}

wire_enum! {
    /// How an artifact stands.
    ArtifactState {
        /// It is there, and is what the execution had as far as anybody can tell.
        Present = "PRESENT",
        /// It is not there any more.
        Gone = "GONE",
        /// Something else is there.
        Altered = "ALTERED",
        /// S3 refuses to show it, so nobody knows what is there.
        Unreadable = "UNREADABLE",
    }
}

/// How an artifact stands whose digest was `recorded`, where S3 says `found` of what is there now.
///
/// | recorded | there | state |
/// | --- | --- | --- |
/// | any | nothing | `Gone` |
/// | no (the execution is older than digests, or S3 knew none) | something | `Present`: only that it is there is known |
/// | yes | the same digest | `Present` |
/// | yes | another digest, another algorithm's, or none | `Altered` |
///
/// S3 never changes the checksum of a version that is stored, so another algorithm's means that somebody wrote the object anew.
/// Where S3 refuses to say what is there, it is `Unreadable`, whatever was recorded.
pub fn artifact_state(recorded: Option<&ArtifactDigest>, found: Option<Option<&ArtifactDigest>>) -> ArtifactState {
    match (recorded, found) {
        (_, None) => ArtifactState::Gone,
        (None, Some(_)) => ArtifactState::Present,
        (Some(recorded), Some(Some(found))) if recorded == found => ArtifactState::Present,
        (Some(_), Some(_)) => ArtifactState::Altered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_is_what_its_digest_says() {
        let digest = |algorithm: &str, value: &str| ArtifactDigest { algorithm: algorithm.into(), value: value.into() };
        let (sha, other, crc) = (digest("SHA256", "a"), digest("SHA256", "b"), digest("CRC64NVME", "a"));
        for (recorded, found, state) in [
            (None, None, ArtifactState::Gone),
            (Some(&sha), None, ArtifactState::Gone),
            (None, Some(None), ArtifactState::Present),
            (None, Some(Some(&sha)), ArtifactState::Present),
            (Some(&sha), Some(Some(&sha)), ArtifactState::Present),
            (Some(&sha), Some(Some(&other)), ArtifactState::Altered),
            (Some(&sha), Some(Some(&crc)), ArtifactState::Altered),
            (Some(&sha), Some(None), ArtifactState::Altered),
        ] {
            assert_eq!(artifact_state(recorded, found), state, "{recorded:?} {found:?}");
        }
    }
}

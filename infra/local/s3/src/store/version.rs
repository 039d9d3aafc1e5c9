//! A version as it is stored.

use std::collections::BTreeMap;

use rusqlite::Row;
use serde::{Deserialize, Serialize};

use crate::{digests::Checksum, fault::Fault};

/// The columns [`read_version`] reads.
pub(crate) const VERSION_COLUMNS: &str = "seq, key, version_id, latest, marker, size, etag, modified_ms, attributes";

/// What a client says about an object beside its bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Attributes {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cache_control: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_disposition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) website_redirect_location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) storage_class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) encryption: Option<Encryption>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<(String, String)>,
    /// An `AccessControlPolicy` document; absent means private.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) acl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) checksum: Option<Checksum>,
}

/// How a client asked for the object to be encrypted. It is kept and told, never done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "EncryptionRead")]
pub(crate) struct Encryption {
    /// Such as `aws:kms`.
    pub(crate) algorithm: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kms_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) context: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bucket_key: Option<bool>,
}

/// As stored now, or by versions that kept the algorithm's name alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum EncryptionRead {
    Name(String),
    Whole {
        algorithm: String,
        #[serde(default)]
        kms_key: Option<String>,
        #[serde(default)]
        context: Option<String>,
        #[serde(default)]
        bucket_key: Option<bool>,
    },
}

impl From<EncryptionRead> for Encryption {
    fn from(read: EncryptionRead) -> Self {
        match read {
            EncryptionRead::Name(algorithm) => Self { algorithm, kms_key: None, context: None, bucket_key: None },
            EncryptionRead::Whole { algorithm, kms_key, context, bucket_key } => {
                Self { algorithm, kms_key, context, bucket_key }
            }
        }
    }
}

/// A stored version or delete marker.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) seq: i64,
    pub(crate) key: String,
    pub(crate) version_id: String,
    pub(crate) latest: bool,
    pub(crate) marker: bool,
    /// Bytes.
    pub(crate) size: u64,
    /// Without quotes.
    pub(crate) etag: String,
    pub(crate) modified_ms: i64,
    pub(crate) attributes: Attributes,
}

/// Reads a row of [`VERSION_COLUMNS`]; the inner result is about its stored document.
pub(crate) fn read_version(row: &Row<'_>) -> rusqlite::Result<Result<Version, Fault>> {
    let attributes: String = row.get(8)?;
    let attributes = match serde_json::from_str(&attributes) {
        Ok(attributes) => attributes,
        Err(error) => return Ok(Err(error.into())),
    };
    Ok(Ok(Version {
        seq: row.get(0)?,
        key: row.get(1)?,
        version_id: row.get(2)?,
        latest: row.get(3)?,
        marker: row.get(4)?,
        size: row.get::<_, i64>(5)?.unsigned_abs(),
        etag: row.get(6)?,
        modified_ms: row.get(7)?,
        attributes,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_kept_the_algorithm_alone_are_read() {
        let named = |text: &str| serde_json::from_str::<Attributes>(text).unwrap().encryption.unwrap();
        let old = named(r#"{"encryption": "aws:kms"}"#);
        assert_eq!((old.algorithm.as_str(), &old.kms_key), ("aws:kms", &None));
        let now = Encryption { kms_key: Some("k".to_owned()), bucket_key: Some(true), ..old };
        let stored = Attributes { encryption: Some(now.clone()), ..Attributes::default() };
        assert_eq!(named(&serde_json::to_string(&stored).unwrap()), now);
    }
}

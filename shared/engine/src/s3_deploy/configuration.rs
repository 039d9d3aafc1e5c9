//! What an S3 deploy action is told to do: its configuration map, checked, and the keys that follow from it.

use std::{collections::BTreeMap, fmt};

use domain::CANNED_ACLS;
use jiff::{Timestamp, tz::TimeZone};
use thiserror::Error;
use uuid::Uuid;

use super::KEY_BYTES_MAX;
use crate::ports::objects::PutOptions;

/// The keys an S3 deploy action's configuration may have.
pub const CONFIGURATION_KEYS: [&str; 6] =
    ["BucketName", "Extract", "ObjectKey", "CannedACL", "CacheControl", "KMSEncryptionKeyARN"];

/// Longest `Cache-Control` value; S3 takes 2 KB of request headers of this kind altogether.
const CACHE_CONTROL_BYTES_MAX: usize = 1024;

/// The checked configuration of an S3 deploy action (spec 1.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3DeployConfiguration {
    /// Bucket to deploy to.
    pub bucket: String,
    /// Whether the artifact is unpacked, and where to.
    pub target: Target,
    /// Canned access control list, one of [`CANNED_ACLS`].
    pub canned_acl: Option<String>,
    /// `Cache-Control` of every deployed object.
    pub cache_control: Option<String>,
    /// KMS key that encrypts every deployed object.
    pub kms_key: Option<String>,
}

/// Where the deployed objects go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `Extract` is `true`: every file of the artifact, under this prefix (without slashes around it; may be empty).
    Files {
        /// Template of the prefix.
        prefix: KeyTemplate,
    },
    /// `Extract` is `false`: the artifact itself becomes this object.
    Object {
        /// Template of the key.
        key: KeyTemplate,
    },
}

/// An `ObjectKey` that may contain `{datetime}` and `{uuid}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTemplate(String);

impl KeyTemplate {
    /// Fills the template in: `{datetime}` becomes `YYYY-MM-DD_HH-MM-SS` in UTC, `{uuid}` the given one.
    pub fn fill(&self, at: Timestamp, uuid: Uuid) -> String {
        let at = at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d_%H-%M-%S").to_string();
        self.0.replace("{datetime}", &at).replace("{uuid}", &uuid.to_string())
    }
}

impl fmt::Display for KeyTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One thing that is wrong with a configuration; says what to write.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigurationError {
    /// A required key is missing.
    #[error("the S3 deploy action needs the configuration key {0}")]
    Missing(&'static str),
    /// A key nobody knows.
    #[error("the S3 deploy action has no configuration key {0:?}; it knows {keys}", keys = CONFIGURATION_KEYS.join(", "))]
    Unknown(String),
    /// The name cannot be a bucket's.
    #[error(
        "BucketName {0:?} is no bucket name; use 3 to 63 lower-case letters, digits, dots and hyphens, \
         beginning and ending with a letter or digit"
    )]
    BucketName(String),
    /// Neither true nor false.
    #[error("Extract is {0:?}; write \"true\" or \"false\"")]
    Extract(String),
    /// The artifact needs a name.
    #[error("with Extract \"false\" the configuration key ObjectKey is needed: it names the deployed object")]
    ObjectKeyNeeded,
    /// The key cannot be an object's.
    #[error("ObjectKey {key:?} {reason}")]
    ObjectKey {
        /// The key as written.
        key: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not a canned ACL.
    #[error("CannedACL {0:?} is unknown; use one of {acls}", acls = CANNED_ACLS.join(", "))]
    CannedAcl(String),
    /// Not a header value.
    #[error(
        "CacheControl has control characters, is empty or is longer than {CACHE_CONTROL_BYTES_MAX} bytes; write a value such as \"max-age=300\""
    )]
    CacheControl,
    /// Not a key ARN.
    #[error(
        "KMSEncryptionKeyARN {0:?} is no key ARN; write one such as arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    )]
    KmsKey(String),
}

impl S3DeployConfiguration {
    /// Reads an action's resolved configuration.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(configuration: &BTreeMap<String, String>) -> Result<Self, ConfigurationError> {
        if let Some(key) = configuration.keys().find(|key| !CONFIGURATION_KEYS.contains(&key.as_str())) {
            return Err(ConfigurationError::Unknown(key.clone()));
        }
        let get = |key: &'static str| configuration.get(key).map(String::as_str);
        let bucket = get("BucketName").ok_or(ConfigurationError::Missing("BucketName"))?;
        let extract = get("Extract").ok_or(ConfigurationError::Missing("Extract"))?;
        Ok(Self {
            bucket: parse_bucket(bucket)?,
            target: parse_target(extract, get("ObjectKey"))?,
            canned_acl: get("CannedACL").map(parse_acl).transpose()?,
            cache_control: get("CacheControl").map(parse_cache_control).transpose()?,
            kms_key: get("KMSEncryptionKeyARN").map(parse_kms_key).transpose()?,
        })
    }

    /// How to store the deployed object `key`: the configuration's settings and a content type by file extension.
    pub fn put_options(&self, key: &str) -> PutOptions {
        PutOptions {
            content_type: Some(mime_guess::from_path(key).first_or_octet_stream().to_string()),
            cache_control: self.cache_control.clone(),
            acl: self.canned_acl.clone(),
            kms_key: self.kms_key.clone(),
            ..PutOptions::default()
        }
    }
}

fn parse_bucket(name: &str) -> Result<String, ConfigurationError> {
    let edge = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = name.as_bytes();
    let ok = (3..=63).contains(&bytes.len())
        && bytes.iter().all(|&c| edge(c) || c == b'.' || c == b'-')
        && bytes.first().copied().is_some_and(edge)
        && bytes.last().copied().is_some_and(edge)
        && !name.contains("..");
    if ok { Ok(name.to_owned()) } else { Err(ConfigurationError::BucketName(name.to_owned())) }
}

fn parse_target(extract: &str, object_key: Option<&str>) -> Result<Target, ConfigurationError> {
    let object_key = object_key.filter(|key| !key.is_empty());
    match (extract, object_key) {
        ("false", None) => Err(ConfigurationError::ObjectKeyNeeded),
        ("false", Some(key)) => Ok(Target::Object { key: parse_key(key, key)? }),
        ("true", key) => {
            let key = key.unwrap_or_default();
            Ok(Target::Files { prefix: parse_key(key, key.trim_matches('/'))? })
        }
        _ => Err(ConfigurationError::Extract(extract.to_owned())),
    }
}

fn parse_key(written: &str, key: &str) -> Result<KeyTemplate, ConfigurationError> {
    let rest = key.replace("{datetime}", "").replace("{uuid}", "");
    let reason = if key.len() > KEY_BYTES_MAX {
        "is longer than 1024 bytes, S3's limit; shorten it"
    } else if rest.contains("#{") {
        "has a variable that was not resolved; check its namespace and name"
    } else if key.split('/').any(|segment| segment == "." || segment == "..") {
        "has a path segment . or ..; write the full key"
    } else if key.chars().any(char::is_control) {
        "has control characters; remove them"
    } else {
        return Ok(KeyTemplate(key.to_owned()));
    };
    Err(ConfigurationError::ObjectKey { key: written.to_owned(), reason })
}

fn parse_acl(acl: &str) -> Result<String, ConfigurationError> {
    if CANNED_ACLS.contains(&acl) { Ok(acl.to_owned()) } else { Err(ConfigurationError::CannedAcl(acl.to_owned())) }
}

fn parse_cache_control(value: &str) -> Result<String, ConfigurationError> {
    let ok = !value.trim().is_empty()
        && value.len() <= CACHE_CONTROL_BYTES_MAX
        && value.bytes().all(|c| (0x20..0x7f).contains(&c));
    if ok { Ok(value.to_owned()) } else { Err(ConfigurationError::CacheControl) }
}

fn parse_kms_key(arn: &str) -> Result<String, ConfigurationError> {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    let ok = next() == "arn"
        && next().starts_with("aws")
        && next() == "kms"
        && !next().is_empty()
        && {
            let account = next();
            account.len() == 12 && account.bytes().all(|c| c.is_ascii_digit())
        }
        && {
            let key = next();
            key.starts_with("key/") || key.starts_with("alias/")
        };
    if ok { Ok(arn.to_owned()) } else { Err(ConfigurationError::KmsKey(arn.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<S3DeployConfiguration, ConfigurationError> {
        let map = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        S3DeployConfiguration::parse(&map)
    }

    fn with(key: &str, value: &str) -> Result<S3DeployConfiguration, ConfigurationError> {
        parse(&[("BucketName", "site"), ("Extract", "true"), (key, value)])
    }

    #[test]
    fn a_full_configuration_becomes_put_options() {
        let arn = "arn:aws:kms:eu-west-1:111122223333:key/k";
        let parsed = parse(&[
            ("BucketName", "my.site-1"),
            ("Extract", "true"),
            ("ObjectKey", "/releases/{datetime}/"),
            ("CannedACL", "public-read"),
            ("CacheControl", "max-age=60"),
            ("KMSEncryptionKeyARN", arn),
        ])
        .unwrap();
        let options = parsed.put_options("a/index.html");
        assert_eq!(options.content_type.as_deref(), Some("text/html"));
        assert_eq!(options.acl.as_deref(), Some("public-read"));
        assert_eq!(options.cache_control.as_deref(), Some("max-age=60"));
        assert_eq!(options.kms_key.as_deref(), Some(arn));
        assert_eq!(parsed.put_options("LICENSE").content_type.as_deref(), Some("application/octet-stream"));
        let Target::Files { prefix } = parsed.target else { panic!("extracts") };
        assert_eq!(prefix.to_string(), "releases/{datetime}");
    }

    #[test]
    fn what_is_accepted_of_a_pipeline_is_deployed_with() {
        for acl in CANNED_ACLS {
            let parsed = with("CannedACL", acl).unwrap();
            assert_eq!(parsed.put_options("a").acl.as_deref(), Some(*acl));
        }
    }

    #[test]
    fn keys_are_filled_in_from_given_values_only() {
        let at: Timestamp = "2026-03-04T05:06:07.9Z".parse().unwrap();
        let uuid = Uuid::from_u128(0x1234);
        let template = KeyTemplate("r/{datetime}-{uuid}/{datetime}.zip".to_owned());
        assert_eq!(
            template.fill(at, uuid),
            "r/2026-03-04_05-06-07-00000000-0000-0000-0000-000000001234/2026-03-04_05-06-07.zip"
        );
    }

    #[test]
    fn every_violation_says_what_to_write() {
        let cases = [
            (parse(&[("Extract", "true")]), "BucketName"),
            (parse(&[("BucketName", "site")]), "Extract"),
            (parse(&[("BucketName", "site"), ("Extract", "True")]), "\"true\" or \"false\""),
            (parse(&[("BucketName", "site"), ("Extract", "false")]), "ObjectKey is needed"),
            (parse(&[("BucketName", "site"), ("Extract", "false"), ("ObjectKey", "")]), "ObjectKey is needed"),
            (parse(&[("BucketName", "My_Site"), ("Extract", "true")]), "lower-case"),
            (with("CannedACL", "public"), "bucket-owner-full-control"),
            (with("CannedACL", "log-delivery-write"), "is unknown"),
            (with("CacheControl", "max-age=1\r\nx: y"), "max-age=300"),
            (with("KMSEncryptionKeyARN", "my-key"), "arn:aws:kms"),
            (with("ObjectKey", "a/../b"), "full key"),
            (with("ObjectKey", "a/#{ns.V}"), "not resolved"),
            (with("ObjectKey", &"x".repeat(1025)), "1024"),
            (with("Bucketname", "x"), "it knows BucketName"),
        ];
        for (outcome, expected) in cases {
            let message = outcome.expect_err(expected).to_string();
            assert!(message.contains(expected), "{message} lacks {expected}");
        }
    }
}

//! What the world is told about a new object: EventBridge's "Object Created" event and S3's notification records.

use jiff::Timestamp;
use s3s::dto::{FilterRuleName, LambdaFunctionConfiguration, NotificationConfiguration};
use serde_json::{Value, json};
use uuid::Builder;

/// The account everything local belongs to.
pub(crate) const ACCOUNT: &str = "000000000000";
/// The region everything local is in.
pub(crate) const REGION: &str = "us-east-1";
/// Where requests come from; the stand-in serves one machine.
const SOURCE_IP: &str = "127.0.0.1";

/// Which operation created an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Put,
    Copy,
    CompleteMultipartUpload,
}

impl Reason {
    /// EventBridge's word.
    fn word(self) -> &'static str {
        match self {
            Self::Put => "PutObject",
            Self::Copy => "CopyObject",
            Self::CompleteMultipartUpload => "CompleteMultipartUpload",
        }
    }

    /// The notification's event name, without the `s3:` of configurations.
    fn event_name(self) -> &'static str {
        match self {
            Self::Put => "ObjectCreated:Put",
            Self::Copy => "ObjectCreated:Copy",
            Self::CompleteMultipartUpload => "ObjectCreated:CompleteMultipartUpload",
        }
    }
}

/// The request that created an object.
#[derive(Debug, Clone)]
pub(crate) struct Cause {
    pub(crate) reason: Reason,
    pub(crate) request_id: String,
}

/// A version that has just become visible.
pub(crate) struct Created<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) etag: &'a str,
    /// Absent unless the bucket's versioning is enabled.
    pub(crate) version_id: Option<&'a str>,
    pub(crate) seq: i64,
    pub(crate) cause: &'a Cause,
}

impl Created<'_> {
    /// Rises with every version of every key; all have one length, so they compare as strings.
    fn sequencer(&self) -> String {
        format!("{:018X}", self.seq)
    }

    /// The complete EventBridge event (spec 10.2); the key is as it is, not URL-encoded.
    pub(crate) fn event(&self, now: Timestamp, id: [u8; 16]) -> Value {
        let mut object = json!({
            "key": self.key,
            "size": self.size,
            "etag": self.etag,
            "sequencer": self.sequencer(),
        });
        if let Some(id) = self.version_id {
            object["version-id"] = id.into();
        }
        json!({
            "version": "0",
            "id": Builder::from_random_bytes(id).into_uuid().to_string(),
            "detail-type": "Object Created",
            "source": "aws.s3",
            "account": ACCOUNT,
            "time": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "region": REGION,
            "resources": [format!("arn:aws:s3:::{}", self.bucket)],
            "detail": {
                "version": "0",
                "bucket": { "name": self.bucket },
                "object": object,
                "request-id": self.cause.request_id,
                "requester": ACCOUNT,
                "source-ip-address": SOURCE_IP,
                "reason": self.cause.reason.word(),
            },
        })
    }

    /// The notification (spec 10.2) for a function that `configuration` names.
    pub(crate) fn records(&self, now: Timestamp, configuration: &LambdaFunctionConfiguration) -> Value {
        let mut object = json!({
            "key": percent_encode(self.key).replace("%20", "+"),
            "size": self.size,
            "eTag": self.etag,
            "sequencer": self.sequencer(),
        });
        if let Some(id) = self.version_id {
            object["versionId"] = id.into();
        }
        json!({ "Records": [{
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": REGION,
            "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            "eventName": self.cause.reason.event_name(),
            "userIdentity": { "principalId": ACCOUNT },
            "requestParameters": { "sourceIPAddress": SOURCE_IP },
            "responseElements": { "x-amz-request-id": self.cause.request_id, "x-amz-id-2": self.cause.request_id },
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": configuration.id,
                "bucket": {
                    "name": self.bucket,
                    "ownerIdentity": { "principalId": ACCOUNT },
                    "arn": format!("arn:aws:s3:::{}", self.bucket),
                },
                "object": object,
            },
        }]})
    }

    /// The functions to notify.
    pub(crate) fn receivers<'c>(
        &self,
        configuration: &'c NotificationConfiguration,
    ) -> impl Iterator<Item = &'c LambdaFunctionConfiguration> {
        configuration.lambda_function_configurations.iter().flatten().filter(|lambda| self.concerns(lambda))
    }

    fn concerns(&self, lambda: &LambdaFunctionConfiguration) -> bool {
        let name = self.cause.reason.event_name();
        let event = lambda.events.iter().any(|event| {
            let event = event.as_ref().trim_start_matches("s3:");
            event == name || event == "ObjectCreated:*"
        });
        let rules = lambda.filter.iter().flat_map(|filter| &filter.key).flat_map(|key| &key.filter_rules);
        event
            && rules.flatten().all(|rule| {
                let value = rule.value.as_deref().unwrap_or_default();
                match rule.name.as_ref().map(FilterRuleName::as_str) {
                    Some(name) if name.eq_ignore_ascii_case(FilterRuleName::PREFIX) => self.key.starts_with(value),
                    Some(name) if name.eq_ignore_ascii_case(FilterRuleName::SUFFIX) => self.key.ends_with(value),
                    _ => true,
                }
            })
    }
}

/// A key as S3 puts it into URLs: everything but unreserved characters and `/` escaped.
pub(crate) fn percent_encode(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => out.push(char::from(byte)),
            _ => {
                out.push('%');
                out.push_str(&hex::encode_upper([byte]));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_encoded_in_records_and_plain_in_events() {
        let cause = Cause { reason: Reason::Copy, request_id: "R".into() };
        let created = Created {
            bucket: "b",
            key: "a b/ü+.zip",
            size: 3,
            etag: "e",
            version_id: Some("v"),
            seq: 255,
            cause: &cause,
        };
        let now = Timestamp::UNIX_EPOCH;
        let event = created.event(now, [7; 16]);
        assert_eq!(event["time"], "1970-01-01T00:00:00Z");
        assert_eq!(event["detail"]["object"]["key"], "a b/ü+.zip");
        assert_eq!(event["detail"]["object"]["sequencer"], "0000000000000000FF");
        let records = created.records(now, &LambdaFunctionConfiguration::default());
        assert_eq!(records["Records"][0]["eventTime"], "1970-01-01T00:00:00.000Z");
        assert_eq!(records["Records"][0]["s3"]["object"]["key"], "a+b/%C3%BC%2B.zip");
        assert_eq!(records["Records"][0]["eventName"], "ObjectCreated:Copy");
    }
}

//! The two shapes in which S3 tells of an upload (spec 10.2).

use engine::Upload;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::Value;

/// Most records read from one notification; S3 sends one, and no more fit an invocation's time.
const RECORDS_MAX: usize = 100;

/// The event cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an S3 event: {0}. Send EventBridge's \"Object Created\" or an S3 notification with \"Records\" to this function"
)]
pub struct InvalidEvent(String);

#[derive(Deserialize)]
struct ObjectCreated {
    bucket: Named,
    object: EventObject,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct EventObject {
    key: String,
    #[serde(rename = "version-id")]
    version_id: Option<String>,
    etag: Option<String>,
    sequencer: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordEvent {
    event_name: String,
    s3: RecordS3,
}

#[derive(Deserialize)]
struct RecordS3 {
    bucket: Named,
    object: RecordObject,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordObject {
    key: String,
    version_id: Option<String>,
    e_tag: Option<String>,
    sequencer: Option<String>,
}

/// The uploads an event tells of. Deletions, restores and S3's test message tell of none.
///
/// # Errors
/// [`InvalidEvent`] for anything that is not from S3.
pub fn uploads(event: &Value) -> Result<Vec<Upload>, InvalidEvent> {
    if event["source"] == "aws.s3" {
        if event["detail-type"] != "Object Created" {
            return Ok(Vec::new());
        }
        let created = ObjectCreated::deserialize(&event["detail"]).map_err(invalid)?;
        return Ok(vec![Upload {
            bucket: created.bucket.name,
            key: created.object.key,
            version_id: created.object.version_id.filter(|id| is_version(id)),
            etag: created.object.etag,
            sequencer: created.object.sequencer,
        }]);
    }
    if event["Event"] == "s3:TestEvent" {
        return Ok(Vec::new());
    }
    let Some(records) = event["Records"].as_array() else {
        return Err(InvalidEvent("it has no \"Records\"".to_owned()));
    };
    if records.len() > RECORDS_MAX {
        return Err(InvalidEvent(format!("it has more than {RECORDS_MAX} records")));
    }
    let mut uploads = Vec::new();
    for record in records {
        let record = RecordEvent::deserialize(record).map_err(invalid)?;
        if record.event_name.starts_with("ObjectCreated:") {
            let object = record.s3.object;
            uploads.push(Upload {
                bucket: record.s3.bucket.name,
                key: decode_key(&object.key).ok_or_else(|| InvalidEvent("a key is not UTF-8".to_owned()))?,
                version_id: object.version_id.filter(|id| is_version(id)),
                etag: object.e_tag,
                sequencer: object.sequencer,
            });
        }
    }
    Ok(uploads)
}

fn invalid(error: serde_json::Error) -> InvalidEvent {
    // serde's text may quote the value; the category and the place do not.
    InvalidEvent(format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column()))
}

/// `null` is what S3 calls the version of an object in a bucket that keeps none.
fn is_version(id: &str) -> bool {
    !id.is_empty() && id != "null"
}

/// Keys in notifications are URL-encoded, with `+` for a space.
fn decode_key(key: &str) -> Option<String> {
    let spaced = key.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(|key| key.into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn upload(key: &str) -> Upload {
        Upload {
            bucket: "releases".into(),
            key: key.into(),
            version_id: Some("v1".into()),
            etag: Some("e".into()),
            sequencer: Some("00".into()),
        }
    }

    #[test]
    fn both_shapes_tell_of_the_same_upload() {
        let bridge = json!({"source": "aws.s3", "detail-type": "Object Created", "detail": {
            "bucket": {"name": "releases"},
            "object": {"key": "my app.zip", "version-id": "v1", "etag": "e", "sequencer": "00"}}});
        let notification = json!({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {
            "bucket": {"name": "releases"},
            "object": {"key": "my+app.zip", "versionId": "v1", "eTag": "e", "sequencer": "00"}}}]});
        assert_eq!(uploads(&bridge).unwrap(), [upload("my app.zip")]);
        assert_eq!(uploads(&notification).unwrap(), [upload("my app.zip")]);
    }

    #[test]
    fn what_is_no_upload_starts_nothing() {
        let removed =
            json!({"eventName": "ObjectRemoved:Delete", "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}});
        for event in [
            json!({"source": "aws.s3", "detail-type": "Object Deleted", "detail": {}}),
            json!({"Event": "s3:TestEvent"}),
            json!({"Records": []}),
            json!({"Records": [removed]}),
        ] {
            assert_eq!(uploads(&event).unwrap(), [], "{event}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_to_send() {
        for event in [
            json!(null),
            json!({}),
            json!({"Records": [{}]}),
            json!({"source": "aws.s3", "detail-type": "Object Created"}),
            json!({"source": "aws.cloudwatch"}),
        ] {
            assert!(uploads(&event).unwrap_err().to_string().contains("Object Created"), "{event}");
        }
    }

    #[test]
    fn what_is_refused_is_not_quoted() {
        const SECRET: &str = "hunter2";
        for event in [
            json!({"source": "aws.s3", "detail-type": "Object Created", "detail": SECRET}),
            json!({"source": "aws.s3", "detail-type": "Object Created", "detail": {
                "bucket": {"name": "releases"}, "object": SECRET}}),
            json!({"Records": [SECRET]}),
            json!({"Records": [{"eventName": "ObjectCreated:Put", "s3": SECRET}]}),
        ] {
            let refused = uploads(&event).unwrap_err().to_string();
            assert!(refused.contains("Data error") && !refused.contains(SECRET), "{refused}");
        }
    }
}

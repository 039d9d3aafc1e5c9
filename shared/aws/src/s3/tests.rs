//! The requests that leave, and what answers become. Below the SDK, recorded answers are replayed.

use aws_sdk_s3::{
    config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider, retry::RetryConfig},
    primitives::SdkBody,
};
use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
use engine::ports::objects::Missing;

use super::*;

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> ReplayEvent {
    let request = http::Request::builder().body(SdkBody::empty()).expect("a request");
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    ReplayEvent::new(request, response.body(SdkBody::from(body)).expect("a response"))
}

fn objects(answers: Vec<ReplayEvent>) -> (S3Objects, StaticReplayClient) {
    let http = StaticReplayClient::new(answers);
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("id", "secret", None, None, "tests")))
        .endpoint_url("http://127.0.0.1:4180")
        .retry_config(RetryConfig::disabled())
        .http_client(http.clone())
        .build();
    (S3Objects::new(client(&config)), http)
}

fn at() -> ObjectAt {
    ObjectAt::new("source", "a b/ü.zip")
}

fn pinned(version_id: Option<&str>) -> PinnedObject {
    PinnedObject { at: at(), version_id: version_id.map(str::to_owned), etag: "abc".to_owned() }
}

fn error_body(code: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>why</Message></Error>")
}

type Expected = fn(&ObjectsError) -> bool;

#[track_caller]
fn assert_header(http: &StaticReplayClient, number: usize, name: &str, expected: &str) {
    let request = http.actual_requests().nth(number).expect("the request was sent");
    assert_eq!(request.headers().get(name), Some(expected), "{name}");
}

#[tokio::test]
async fn head_tells_what_the_source_action_needs() {
    let headers = [
        ("content-length", "12"),
        ("etag", "\"abc\""),
        ("x-amz-version-id", "v1"),
        ("content-type", "application/zip"),
        ("last-modified", "Wed, 04 Mar 2026 05:06:07 GMT"),
        ("x-amz-meta-codepipeline-artifact-revision-summary", "fix"),
    ];
    let (objects, http) = objects(vec![answer(200, &headers, "")]);
    let info = objects.head(&at(), Some("v1")).await.expect("found");
    assert_eq!((info.version_id.as_deref(), info.etag.as_str(), info.size), (Some("v1"), "abc", 12));
    assert_eq!(info.metadata["codepipeline-artifact-revision-summary"], "fix");
    assert_eq!(info.last_modified.map(|at| at.to_string()).as_deref(), Some("2026-03-04T05:06:07Z"));
    let uri = http.actual_requests().next().expect("sent").uri().to_owned();
    assert_eq!(uri, "http://127.0.0.1:4180/source/a%20b/%C3%BC.zip?versionId=v1");
}

#[tokio::test]
async fn ranges_are_read_of_the_version_or_under_the_etag() {
    let (objects, http) = objects(vec![
        answer(206, &[], "cde"),
        answer(206, &[], "cde"),
        answer(412, &[], &error_body("PreconditionFailed")),
    ]);
    assert_eq!(objects.read(&pinned(Some("v1")), 2..5).await.expect("read"), "cde");
    assert_header(&http, 0, "range", "bytes=2-4");
    assert_eq!(objects.read(&pinned(None), 2..5).await.expect("read"), "cde");
    assert_header(&http, 1, "if-match", "\"abc\"");
    assert!(matches!(objects.read(&pinned(None), 2..5).await, Err(ObjectsError::Changed(_))));
}

#[tokio::test]
async fn a_put_carries_its_options_and_a_checksum() {
    let (objects, http) = objects(vec![answer(200, &[("etag", "\"e\""), ("x-amz-version-id", "v2")], "")]);
    let options = PutOptions {
        content_type: Some("text/html".to_owned()),
        cache_control: Some("no-cache".to_owned()),
        acl: Some("public-read".to_owned()),
        kms_key: Some("arn:k".to_owned()),
        sha256: false,
        tags: [("a b".to_owned(), "c&d".to_owned())].into(),
        if_none_match: true,
    };
    let written = objects.put(&at(), Bytes::from("body"), &options).await.expect("written");
    assert_eq!(written, Written { version_id: Some("v2".to_owned()), etag: "e".to_owned(), digest: None });
    for (name, value) in [
        ("content-type", "text/html"),
        ("cache-control", "no-cache"),
        ("x-amz-acl", "public-read"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "arn:k"),
        ("x-amz-tagging", "a%20b=c%26d"),
        ("if-none-match", "*"),
    ] {
        assert_header(&http, 0, name, value);
    }
    let request = http.actual_requests().next().expect("sent");
    let has_checksum = request.headers().iter().any(|(name, value)| {
        name.starts_with("x-amz-checksum-") || (name == "x-amz-trailer" && value.starts_with("x-amz-checksum-"))
    });
    assert!(has_checksum, "the SDK sends a checksum by default: {:?}", request.headers());
}

#[tokio::test]
async fn copies_name_the_version_and_replace_metadata() {
    let body = "<CopyObjectResult><ETag>\"n\"</ETag></CopyObjectResult>";
    let (objects, http) = objects(vec![answer(200, &[], body), answer(200, &[], body)]);
    let to = ObjectAt::new("artifacts", "k");
    let written = objects.copy(&pinned(Some("v/1")), 5, &to, &PutOptions::default()).await.expect("copied");
    assert_eq!(written.etag, "n");
    assert_header(&http, 0, "x-amz-copy-source", "source/a%20b/%C3%BC.zip?versionId=v%2F1");
    assert_header(&http, 0, "x-amz-metadata-directive", "REPLACE");
    objects.copy(&pinned(None), 5, &to, &PutOptions::default()).await.expect("copied");
    assert_header(&http, 1, "x-amz-copy-source-if-match", "\"abc\"");
}

#[tokio::test]
async fn objects_over_five_gigabytes_are_copied_in_parts() {
    let begun = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
    let part = "<CopyPartResult><ETag>\"p\"</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></CopyPartResult>";
    let done = "<CompleteMultipartUploadResult><ETag>\"n-6\"</ETag></CompleteMultipartUploadResult>";
    let mut answers = vec![answer(200, &[], begun)];
    answers.extend((0..6).map(|_| answer(200, &[], part)));
    answers.push(answer(200, &[], done));
    let (objects, http) = objects(answers);
    let to = ObjectAt::new("artifacts", "k");
    let size = COPY_BYTES_MAX + 1;
    let written = objects.copy(&pinned(Some("v1")), size, &to, &PutOptions::default()).await.expect("copied");
    assert_eq!(written.etag, "n-6");
    assert_header(&http, 0, "x-amz-checksum-algorithm", "CRC32");
    let mut ranges: Vec<_> =
        http.actual_requests().filter_map(|request| request.headers().get("x-amz-copy-source-range")).collect();
    ranges.sort_unstable();
    assert_eq!(ranges.len(), 6);
    assert_eq!(ranges[0], "bytes=0-1073741823");
    assert!(ranges.contains(&"bytes=5368709120-5368709120"), "{ranges:?}");
    let last = http.actual_requests().last().expect("sent");
    let body = std::str::from_utf8(last.body().bytes().expect("in memory")).expect("XML");
    assert_eq!(body.matches("<ChecksumCRC32>").count(), 6, "{body}");
}

#[tokio::test]
async fn a_failed_copy_in_parts_is_given_up() {
    let begun = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
    let mut answers = vec![answer(200, &[], begun)];
    answers.extend((0..4).map(|_| answer(403, &[], &error_body("AccessDenied"))));
    answers.push(answer(204, &[], ""));
    let (objects, http) = objects(answers);
    let outcome = objects.copy(&pinned(None), COPY_BYTES_MAX * 2, &at(), &PutOptions::default()).await;
    assert!(matches!(outcome, Err(ObjectsError::AccessDenied { .. })), "{outcome:?}");
    assert_eq!(http.actual_requests().last().map(|request| request.method()), Some("DELETE"));
}

#[tokio::test]
async fn answers_become_errors_by_what_the_caller_can_do() {
    let marker = [("x-amz-delete-marker", "true")];
    let denied: Expected = |error| matches!(error, ObjectsError::AccessDenied { .. });
    let cases: [(ReplayEvent, bool, Expected); 8] = [
        (answer(404, &[], ""), false, |error| matches!(error, ObjectsError::NotFound(Missing::Object, _))),
        (answer(404, &[], ""), true, |error| matches!(error, ObjectsError::NotFound(Missing::Version, _))),
        (answer(404, &marker, ""), false, |error| matches!(error, ObjectsError::NotFound(Missing::Deleted, _))),
        (answer(405, &marker, ""), true, |error| matches!(error, ObjectsError::NotFound(Missing::Deleted, _))),
        (answer(403, &[], ""), false, denied),
        (answer(503, &[], ""), false, |error| error.is_retryable()),
        (answer(429, &[], ""), false, |error| matches!(error, ObjectsError::Throttled { .. })),
        (answer(301, &[], ""), false, |error| matches!(error, ObjectsError::Other { .. })),
    ];
    for (number, (event, version, expected)) in cases.into_iter().enumerate() {
        let (objects, _) = objects(vec![event]);
        let error = objects.head(&at(), version.then_some("v1")).await.expect_err("an error");
        assert!(expected(&error), "case {number}: {error:?}");
    }
    let writes: [(u16, &str, Expected); 8] = [
        (404, "NoSuchBucket", |error| matches!(error, ObjectsError::NotFound(Missing::Bucket, _))),
        (412, "PreconditionFailed", |error| matches!(error, ObjectsError::AlreadyExists(_))),
        (409, "ConditionalRequestConflict", |error| error.is_retryable()),
        (503, "SlowDown", |error| matches!(error, ObjectsError::Throttled { .. })),
        (400, "AccessControlListNotSupported", denied),
        (400, "ExpiredToken", ObjectsError::is_retryable),
        (403, "InvalidAccessKeyId", |error| matches!(error, ObjectsError::Other { .. })),
        (400, "EntityTooLarge", |error| error.to_string().contains("EntityTooLarge: why")),
    ];
    for (status, code, expected) in writes {
        let (objects, _) = objects(vec![answer(status, &[], &error_body(code))]);
        let error = objects.put(&at(), Bytes::new(), &PutOptions::default()).await.expect_err(code);
        assert!(expected(&error), "{code}: {error:?}");
    }
}

#[tokio::test]
async fn what_head_does_not_say_is_asked_of_get() {
    let no_version: Expected = |error| matches!(error, ObjectsError::NotFound(Missing::Version, _));
    let cases: [(bool, ReplayEvent, Expected); 6] = [
        (false, answer(400, &[], &error_body("ExpiredToken")), ObjectsError::is_retryable),
        (true, answer(400, &[], &error_body("ExpiredToken")), ObjectsError::is_retryable),
        (false, answer(400, &[], &error_body("KMS.DisabledException")), |error| {
            matches!(error, ObjectsError::Key { is_denied: false, .. })
        }),
        (true, answer(400, &[], &error_body("InvalidArgument")), no_version),
        (true, answer(400, &[], ""), no_version),
        (false, answer(206, &[], "x"), |error| matches!(error, ObjectsError::Other { .. })),
    ];
    for (number, (version, event, expected)) in cases.into_iter().enumerate() {
        let (objects, http) = objects(vec![answer(400, &[], ""), event]);
        let error = objects.head(&at(), version.then_some("v1")).await.expect_err("an error");
        assert!(expected(&error), "case {number}: {error:?}");
        assert_header(&http, 1, "range", "bytes=0-0");
    }
}

#[tokio::test]
async fn what_kms_answers_is_about_the_key() {
    let denied =
        "User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: kms:GenerateDataKey on resource: k";
    let cases: [(u16, &str, &str, Expected); 6] = [
        (403, "AccessDenied", denied, |error| matches!(error, ObjectsError::Key { is_denied: true, .. })),
        (400, "KMS.NotFoundException", "no k", |error| matches!(error, ObjectsError::Key { is_denied: false, .. })),
        (400, "KMS.DisabledException", "k is disabled", |error| error.to_string().contains("k is disabled")),
        (403, "AccessDenied", "Access Denied", |error| matches!(error, ObjectsError::AccessDenied { .. })),
        (400, "KMS.ThrottlingException", "slowly", ObjectsError::is_retryable),
        (500, "KMS.KMSInternalException", "again", ObjectsError::is_retryable),
    ];
    for (status, code, message, expected) in cases {
        let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>");
        let to = ObjectAt::new("artifacts", "k");
        let (objects, _) = objects(vec![answer(status, &[], &body)]);
        let error = objects.copy(&pinned(Some("v1")), 5, &to, &PutOptions::default()).await.expect_err(code);
        assert!(expected(&error), "{code}: {error:?}");
        if let ObjectsError::Key { at, .. } = &error {
            assert_eq!(at, &to, "what was to be encrypted");
        }
    }
}

#[tokio::test]
async fn only_enabled_versioning_counts() {
    for (status, expected) in [("<Status>Enabled</Status>", true), ("<Status>Suspended</Status>", false), ("", false)] {
        let body = format!("<VersioningConfiguration>{status}</VersioningConfiguration>");
        let (objects, _) = objects(vec![answer(200, &[], &body)]);
        assert_eq!(objects.is_versioned("source").await.expect("answered"), expected);
    }
}

#[tokio::test]
async fn a_copy_to_keep_has_a_sha256_and_head_tells_it() {
    let copied = "<CopyObjectResult><ETag>\"e\"</ETag><ChecksumSHA256>c2hh</ChecksumSHA256></CopyObjectResult>";
    let head = [("content-length", "12"), ("x-amz-checksum-crc64nvme", "Y3Jj"), ("x-amz-checksum-sha256", "c2hh")];
    let other = [("content-length", "12"), ("x-amz-checksum-crc64nvme", "Y3Jj")];
    let (objects, http) = objects(vec![
        answer(200, &[], copied),
        answer(200, &head, ""),
        answer(200, &other, ""),
        answer(200, &[("content-length", "12")], ""),
    ]);
    let options = PutOptions { sha256: true, ..PutOptions::default() };
    let written = objects.copy(&pinned(Some("v1")), 12, &ObjectAt::new("artifacts", "k"), &options).await;
    let digest = |algorithm: &str, value: &str| ArtifactDigest { algorithm: algorithm.into(), value: value.into() };
    assert_eq!(written.expect("copied").digest, Some(digest("SHA256", "c2hh")));
    assert_header(&http, 0, "x-amz-checksum-algorithm", "SHA256");
    let mut found = Vec::new();
    for _ in 0..3 {
        found.push(objects.head(&at(), None).await.expect("found").digest);
    }
    assert_eq!(found, [Some(digest("SHA256", "c2hh")), Some(digest("CRC64NVME", "Y3Jj")), None]);
    assert_header(&http, 1, "x-amz-checksum-mode", "ENABLED");
}

#[tokio::test]
async fn a_tag_is_set_beside_the_others_and_only_where_it_is_otherwise() {
    let tagging = |tags: &[(&str, &str)]| {
        let tags = tags.iter().map(|(name, value)| format!("<Tag><Key>{name}</Key><Value>{value}</Value></Tag>"));
        format!("<Tagging><TagSet>{}</TagSet></Tagging>", tags.collect::<String>())
    };
    let (objects, http) = objects(vec![
        answer(200, &[], &tagging(&[("team", "shop"), ("lastgood:keep", "false")])),
        answer(200, &[], ""),
        answer(200, &[], &tagging(&[("lastgood:keep", "true")])),
        answer(404, &[], &error_body("NoSuchKey")),
    ]);
    objects.set_tag(&at(), "lastgood:keep", "true").await.expect("set");
    let request = http.actual_requests().nth(1).expect("it was written");
    let body = std::str::from_utf8(request.body().bytes().expect("in memory")).expect("XML");
    for part in ["<Key>team</Key><Value>shop</Value>", "<Key>lastgood:keep</Key><Value>true</Value>"] {
        assert!(body.contains(part), "{body}");
    }
    assert!(!body.contains("false"), "{body}");
    objects.set_tag(&at(), "lastgood:keep", "true").await.expect("it is so already");
    let gone = objects.set_tag(&at(), "lastgood:keep", "true").await;
    assert!(matches!(gone, Err(ObjectsError::NotFound(Missing::Object, _))), "{gone:?}");
    assert_eq!(http.actual_requests().count(), 4, "what is so already is not written");
}

#[tokio::test]
async fn each_region_is_asked_for_its_own_buckets_and_copies_are_asked_of_where_they_go() {
    let body = "<CopyObjectResult><ETag>\"n\"</ETag></CopyObjectResult>";
    let (objects, http) = objects(vec![
        answer(200, &[("content-length", "1")], ""),
        answer(200, &[], body),
        answer(200, &[], ""),
        answer(200, &[], "<Tagging><TagSet></TagSet></Tagging>"),
        answer(200, &[], ""),
    ]);
    let there = ObjectAt::new("artifacts-2", "k").in_region(Some("us-west-2"));
    objects.head(&there, None).await.expect("found");
    objects.copy(&pinned(None), 5, &there, &PutOptions::default()).await.expect("copied");
    objects.put(&at(), Bytes::new(), &PutOptions::default()).await.expect("written");
    objects.set_tag(&there, "lastgood:keep", "true").await.expect("set");
    for (number, region) in [(0, "us-west-2"), (1, "us-west-2"), (2, "eu-west-1"), (3, "us-west-2"), (4, "us-west-2")] {
        let request = http.actual_requests().nth(number).expect("sent");
        let signed = request.headers().get("authorization").unwrap_or_default();
        assert!(signed.contains(&format!("/{region}/s3/")), "{number}: {signed}");
    }
}

#[tokio::test]
async fn a_bucket_of_another_region_is_said_to_be_there() {
    let header = [("x-amz-bucket-region", "us-west-2")];
    let (objects, _) =
        objects(vec![answer(301, &header, ""), answer(400, &header, &error_body("AuthorizationHeaderMalformed"))]);
    for _ in 0..2 {
        let told = objects.head(&at(), Some("v1")).await.expect_err("it is elsewhere").to_string();
        assert!(told.contains("the bucket is in region us-west-2"), "{told}");
    }
}

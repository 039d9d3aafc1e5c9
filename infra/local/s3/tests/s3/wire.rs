//! What lies beneath the SDKs: signatures, transfer codings, damaged bodies, damaged directories.

use std::sync::Arc;

use local_s3::{OpenError, S3};
use runtime::{ManualClock, SeededEntropy};

use crate::server::Server;

const CHUNKED: [(&str, &str); 3] = [
    ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
    ("x-amz-trailer", "x-amz-checksum-crc32"),
    ("content-encoding", "aws-chunked"),
];

fn body(crc: &str) -> Vec<u8> {
    format!("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:{crc}\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn trailing_checksums_are_compared() {
    let server = Server::start().await;
    server.bucket("data").await;
    let headers = |length: &'static str| [&CHUNKED[..], &[("x-amz-decoded-content-length", length)]].concat();
    let good = server.raw("PUT", "/data/k", &headers("5"), &body("NhCmhg==")).await;
    assert_eq!(good.status().as_u16(), 200, "{good:?}");
    assert_eq!(good.headers()["x-amz-checksum-crc32"], "NhCmhg==");
    let got = server.raw("GET", "/data/k", &[], b"").await;
    assert_eq!(&got.body()[..], b"hello");
    assert!(!got.headers().contains_key("content-encoding"));
    let bad = server.raw("PUT", "/data/k", &headers("5"), &body("AAAAAA==")).await;
    assert!(String::from_utf8_lossy(bad.body()).contains("<Code>BadDigest</Code>"), "{bad:?}");
    let short = server.raw("PUT", "/data/k", &headers("6"), &body("NhCmhg==")).await;
    assert!(String::from_utf8_lossy(short.body()).contains("<Code>IncompleteBody</Code>"), "{short:?}");
    let broken = server.raw("PUT", "/data/k", &headers("5"), b"5\r\nhel").await;
    assert!(String::from_utf8_lossy(broken.body()).contains("<Code>IncompleteBody</Code>"), "{broken:?}");
    let md5 = server.raw("PUT", "/data/k", &[("content-md5", "XUFAKrxLKna5cZ2REBfFkg==")], b"other").await;
    assert!(String::from_utf8_lossy(md5.body()).contains("<Code>BadDigest</Code>"), "{md5:?}");
    assert_eq!(server.get("data", "k").await, "hello");
    assert_eq!(server.body_files().len(), 1, "refused bodies leave no files");
}

#[tokio::test]
async fn a_body_must_be_what_its_signature_covers() {
    const OF_V: &str = "4c94485e0c21ae6c41ce1dfe7b6bfaceea5ab68e40a2476f50208e526f506080";
    const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let server = Server::start().await;
    server.versioned_bucket("data").await;
    let claims = |claim: &'static str| [("x-amz-content-sha256", claim)];
    for claim in [OF_V, "UNSIGNED-PAYLOAD"] {
        let good = server.raw("PUT", "/data/k", &claims(claim), b"v").await;
        assert_eq!(good.status().as_u16(), 200, "{good:?}");
    }
    for (claim, body) in [(OF_V, &b"w"[..]), (OF_V, b""), (OF_NOTHING, b"w")] {
        let bad = server.raw("PUT", "/data/k", &claims(claim), body).await;
        assert_eq!(bad.status().as_u16(), 400, "{bad:?}");
        assert!(String::from_utf8_lossy(bad.body()).contains("<Code>XAmzContentSHA256Mismatch</Code>"), "{bad:?}");
    }
    let document = b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
    let bad = server.raw("PUT", "/data?versioning", &claims(OF_NOTHING), document).await;
    assert!(String::from_utf8_lossy(bad.body()).contains("<Code>XAmzContentSHA256Mismatch</Code>"), "{bad:?}");
    let state = server.raw("GET", "/data?versioning", &claims(OF_NOTHING), b"").await;
    assert!(String::from_utf8_lossy(state.body()).contains("Enabled"), "{state:?}");
    let wrong = server.raw("PUT", "/data/k", &claims("v"), b"v").await;
    assert!(String::from_utf8_lossy(wrong.body()).contains("<Code>InvalidArgument</Code>"), "{wrong:?}");
    assert_eq!(server.get("data", "k").await, "v");
}

#[tokio::test]
async fn any_signature_will_do() {
    let server = Server::start().await;
    server.bucket("data").await;
    server.put("data", "k", "v").await;
    let signed = "AWS4-HMAC-SHA256 Credential=AK/20200101/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=00";
    let header = server.raw("GET", "/data/k", &[("authorization", signed)], b"").await;
    assert_eq!(header.status().as_u16(), 200);
    let query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20200101%2Feu-west-1%2Fs3%2Faws4_request\
                 &X-Amz-Date=20200101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00";
    let presigned = server.raw("GET", &format!("/data/k?{query}"), &[], b"").await;
    assert_eq!((presigned.status().as_u16(), &presigned.body()[..]), (200, &b"v"[..]));
    let owner = server.raw("GET", "/data/k", &[("x-amz-expected-bucket-owner", "111122223333")], b"").await;
    assert_eq!(owner.status().as_u16(), 403);
    assert!(owner.headers().contains_key("x-amz-request-id"));
}

#[tokio::test]
async fn what_a_killed_process_left_is_swept_and_the_rest_kept() {
    let server = Server::start().await;
    server.versioned_bucket("data").await;
    let version = server.put("data", "k", "kept").await;
    let bodies = server.dir.path().join("bodies");
    std::fs::write(bodies.join("00ff.part"), "unfinished").expect("written");
    std::fs::write(bodies.join("00ff"), "finished, never committed").expect("written");
    let server = server.restart(2).await;
    assert_eq!(server.get("data", "k").await, "kept");
    assert_eq!(server.body_files().len(), 1);
    assert_ne!(server.put("data", "k", "next").await, version);
}

#[tokio::test]
async fn a_directory_is_served_once_and_only_in_a_known_layout() {
    let server = Server::start().await;
    let open = |dir: &std::path::Path| {
        let clock = Arc::new(ManualClock::new(jiff::Timestamp::UNIX_EPOCH));
        S3::open(dir, clock, Arc::new(SeededEntropy::new(3))).map(drop)
    };
    assert!(matches!(open(server.dir.path()), Err(OpenError::InUse)));
    let dir = tempfile::TempDir::new().expect("a temporary directory");
    open(dir.path()).expect("a new directory");
    let db = rusqlite::Connection::open(dir.path().join("metadata.sqlite")).expect("a database");
    db.pragma_update(None, "user_version", 99).expect("written");
    drop(db);
    let refused = open(dir.path()).expect_err("a later layout");
    assert!(matches!(refused, OpenError::OtherLayout { found: 99, .. }), "{refused}");
}

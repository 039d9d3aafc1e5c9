//! Versions and delete markers.

use aws_sdk_s3::{
    primitives::ByteStream,
    types::{Delete, ObjectIdentifier},
};

use crate::server::{Server, code, text};

/// The versions of a bucket as `key=version` and markers as `key-version`, with `*` for the latest.
async fn listed(server: &Server, bucket: &str) -> Vec<String> {
    let found = server.client.list_object_versions().bucket(bucket).send().await.expect("listed");
    let mut all: Vec<String> = Vec::new();
    for version in found.versions() {
        let star = if version.is_latest() == Some(true) { "*" } else { "" };
        all.push(format!("{}={}{star}", version.key().unwrap_or_default(), version.version_id().unwrap_or_default()));
    }
    for marker in found.delete_markers() {
        let star = if marker.is_latest() == Some(true) { "*" } else { "" };
        all.push(format!("{}-{}{star}", marker.key().unwrap_or_default(), marker.version_id().unwrap_or_default()));
    }
    all
}

#[tokio::test]
async fn old_versions_outlive_puts_and_deletes() {
    let server = Server::start().await;
    server.versioned_bucket("data").await;
    let one = server.put("data", "k", "one").await.expect("versioned");
    let two = server.put("data", "k", "two").await.expect("versioned");
    assert_ne!(one, two);
    let gone = server.client.delete_object().bucket("data").key("k").send().await.expect("deleted");
    let marker = gone.version_id().expect("a marker").to_owned();
    assert_eq!(gone.delete_marker(), Some(true));
    assert_eq!(listed(&server, "data").await, [format!("k={two}"), format!("k={one}"), format!("k-{marker}*")]);
    let read = server.raw("GET", "/data/k", &[], b"").await;
    assert_eq!(read.status().as_u16(), 404);
    assert_eq!(read.headers()["x-amz-delete-marker"], "true");
    assert_eq!(read.headers()["x-amz-version-id"], marker.as_str());
    let read = server.raw("GET", &format!("/data/k?versionId={marker}"), &[], b"").await;
    assert_eq!(read.status().as_u16(), 405);
    let old = server.client.get_object().bucket("data").key("k").version_id(&one).send().await.expect("kept");
    assert_eq!(old.version_id(), Some(one.as_str()));
    assert_eq!(text(old.body).await, "one");
    let unknown = server.client.get_object().bucket("data").key("k").version_id("nope").send().await;
    assert_eq!(code(&unknown.expect_err("no such version")), "NoSuchVersion");

    let undone =
        server.client.delete_object().bucket("data").key("k").version_id(&marker).send().await.expect("undone");
    assert_eq!(undone.delete_marker(), Some(true));
    assert_eq!(server.get("data", "k").await, "two");
    server.client.delete_object().bucket("data").key("k").version_id(&two).send().await.expect("deleted");
    assert_eq!(server.get("data", "k").await, "one");
    assert_eq!(listed(&server, "data").await, [format!("k={one}*")]);
    assert_eq!(server.body_files().len(), 1);
}

#[tokio::test]
async fn the_null_version_is_replaced_while_versioning_is_suspended() {
    let server = Server::start().await;
    server.bucket("data").await;
    assert_eq!(server.put("data", "k", "before").await, None);
    server.set_versioning("data", "Enabled").await;
    let kept = server.put("data", "k", "kept").await.expect("versioned");
    server.set_versioning("data", "Suspended").await;
    assert_eq!(server.put("data", "k", "replaces").await.as_deref(), Some("null"));
    assert_eq!(listed(&server, "data").await, ["k=null*".to_owned(), format!("k={kept}")]);
    assert_eq!(server.get("data", "k").await, "replaces");
    let gone = server.client.delete_object().bucket("data").key("k").send().await.expect("deleted");
    assert_eq!((gone.version_id(), gone.delete_marker()), (Some("null"), Some(true)));
    assert_eq!(listed(&server, "data").await, [format!("k={kept}"), "k-null*".to_owned()]);
    server.client.delete_object().bucket("data").key("k").version_id("null").send().await.expect("deleted");
    assert_eq!(server.get("data", "k").await, "kept");
}

#[tokio::test]
async fn many_are_deleted_at_once() {
    let server = Server::start().await;
    server.versioned_bucket("data").await;
    let version = server.put("data", "a", "1").await;
    server.put("data", "b", "1").await;
    let object =
        |key: &str, version| ObjectIdentifier::builder().key(key).set_version_id(version).build().expect("complete");
    let delete = Delete::builder().objects(object("a", version)).objects(object("b", None)).objects(object("c", None));
    let done = server.client.delete_objects().bucket("data").delete(delete.build().expect("complete")).send().await;
    let done = done.expect("deleted");
    assert_eq!(done.deleted().len(), 3);
    assert!(done.errors().is_empty());
    let markers: Vec<_> = done.deleted().iter().map(|it| it.delete_marker()).collect();
    assert_eq!(markers, [None, Some(true), Some(true)]);
    assert_eq!(listed(&server, "data").await.len(), 3, "b, its marker, and the marker of c");
}

#[tokio::test]
async fn reads_under_way_survive_the_object() {
    let server = Server::start().await;
    server.bucket("data").await;
    let big = vec![7_u8; 4 << 20];
    let put = server.client.put_object().bucket("data").key("k").body(ByteStream::from(big.clone()));
    put.send().await.expect("stored");
    let reading = server.client.get_object().bucket("data").key("k").send().await.expect("there");
    server.client.delete_object().bucket("data").key("k").send().await.expect("deleted");
    let read = reading.body.collect().await.expect("the whole body").into_bytes();
    assert!(read[..] == big[..]);
    let gone = server.client.get_object().bucket("data").key("k").send().await;
    assert_eq!(code(&gone.expect_err("deleted")), "NoSuchKey");
}

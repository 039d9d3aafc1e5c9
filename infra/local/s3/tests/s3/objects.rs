//! Objects: what is put is what is got.

use aws_sdk_s3::{
    primitives::ByteStream,
    types::{
        CompletedMultipartUpload, CompletedPart, MetadataDirective, ObjectCannedAcl, ServerSideEncryption, Tag, Tagging,
    },
};

use crate::server::{Server, code, text};

#[tokio::test]
async fn an_object_comes_back_as_it_was_put() {
    let server = Server::start().await;
    server.bucket("site").await;
    let put = server
        .client
        .put_object()
        .bucket("site")
        .key("a b/ü+.html")
        .body(ByteStream::from_static(b"<h1>one</h1>"))
        .content_type("text/html; charset=utf-8")
        .cache_control("max-age=60")
        .content_disposition("inline")
        .content_language("en")
        .content_encoding("identity")
        .metadata("owner", "me")
        .tagging("team=shop&stage=a%20b")
        .acl(ObjectCannedAcl::PublicRead)
        .send()
        .await
        .expect("stored");
    assert_eq!(put.version_id(), None);
    let got = server.client.get_object().bucket("site").key("a b/ü+.html").send().await.expect("there");
    assert_eq!(got.content_type(), Some("text/html; charset=utf-8"));
    assert_eq!(got.cache_control(), Some("max-age=60"));
    assert_eq!(got.content_disposition(), Some("inline"));
    assert_eq!(got.content_language(), Some("en"));
    assert_eq!(got.content_encoding(), Some("identity"));
    assert_eq!(got.metadata().and_then(|all| all.get("owner")).map(String::as_str), Some("me"));
    assert_eq!(got.tag_count(), Some(2));
    assert_eq!(got.e_tag(), put.e_tag());
    assert_eq!(text(got.body).await, "<h1>one</h1>");
    let acl = server.client.get_object_acl().bucket("site").key("a b/ü+.html").send().await.expect("there");
    assert_eq!(acl.grants().len(), 2);
    let head = server.client.head_object().bucket("site").key("a b/ü+.html").send().await.expect("there");
    assert_eq!(head.content_length(), Some(12));
}

#[tokio::test]
async fn a_browser_gets_the_page_with_its_stored_type() {
    let server = Server::start().await;
    server.bucket("site").await;
    let put = server.client.put_object().bucket("site").key("index.html").content_type("text/html");
    put.body(ByteStream::from_static(b"hi")).send().await.expect("stored");
    server.put("site", "untyped.html", "hi").await;
    let page = server.raw("GET", "/site/index.html", &[], b"").await;
    assert_eq!((page.status().as_u16(), &page.body()[..]), (200, &b"hi"[..]));
    assert_eq!(page.headers()["content-type"], "text/html");
    assert_eq!(page.headers()["etag"], "\"49f68a5c8493ec2c0bf489821c21fc3b\"");
    let untyped = server.raw("GET", "/site/untyped.html", &[], b"").await;
    assert_ne!(untyped.headers()["content-type"], "text/html");
    let known =
        server.raw("GET", "/site/index.html", &[("if-none-match", "\"49f68a5c8493ec2c0bf489821c21fc3b\"")], b"");
    let known = known.await;
    assert_eq!((known.status().as_u16(), known.body().len()), (304, 0));
    let missing = server.raw("GET", "/site/nothing.html", &[], b"").await;
    assert_eq!(missing.status().as_u16(), 404);
}

#[tokio::test]
async fn ranges_are_parts_of_the_object() {
    let server = Server::start().await;
    server.bucket("data").await;
    server.put("data", "digits", "0123456789").await;
    for (range, expected, shown) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=8-99", "89", "bytes 8-9/10"),
    ] {
        let got = server.client.get_object().bucket("data").key("digits").range(range).send().await.expect("in range");
        assert_eq!(got.content_range(), Some(shown));
        assert_eq!(text(got.body).await, expected, "{range}");
    }
    let beyond = server.client.get_object().bucket("data").key("digits").range("bytes=10-").send().await;
    assert_eq!(code(&beyond.expect_err("beyond the end")), "InvalidRange");
}

#[tokio::test]
async fn writes_can_be_made_conditional() {
    let server = Server::start().await;
    server.bucket("data").await;
    let put =
        |body: &'static [u8]| server.client.put_object().bucket("data").key("k").body(ByteStream::from_static(body));
    let absent = put(b"x").if_match("\"0\"").send().await;
    assert_eq!(code(&absent.expect_err("nothing to match")), "NoSuchKey");
    let first = put(b"1").if_none_match("*").send().await.expect("nothing there yet");
    let second = put(b"2").if_none_match("*").send().await;
    assert_eq!(code(&second.expect_err("something there")), "PreconditionFailed");
    put(b"3").if_match(first.e_tag().expect("an etag")).send().await.expect("unchanged since");
    let stale = put(b"4").if_match(first.e_tag().expect("an etag")).send().await;
    assert_eq!(code(&stale.expect_err("changed since")), "PreconditionFailed");
    assert_eq!(server.get("data", "k").await, "3");
    assert_eq!(server.body_files().len(), 1, "refused and replaced bodies leave no files");
}

#[tokio::test]
async fn copies_keep_or_replace_what_was_said() {
    let server = Server::start().await;
    server.versioned_bucket("data").await;
    let put = server.client.put_object().bucket("data").key("from ü").content_type("text/plain").metadata("a", "1");
    let first = put.body(ByteStream::from_static(b"one")).send().await.expect("stored");
    server.put("data", "from ü", "two").await;
    let source = format!("data/from%20%C3%BC?versionId={}", first.version_id().expect("versioned"));
    let copy = || server.client.copy_object().bucket("data").copy_source(&source);
    let copied = copy().key("kept").send().await.expect("copied");
    assert_eq!(copied.copy_source_version_id(), first.version_id());
    assert_eq!(copied.copy_object_result().and_then(|result| result.e_tag()), first.e_tag());
    let kept = server.client.get_object().bucket("data").key("kept").send().await.expect("there");
    assert_eq!(kept.content_type(), Some("text/plain"));
    assert_eq!(kept.metadata().and_then(|all| all.get("a")).map(String::as_str), Some("1"));
    assert_eq!(text(kept.body).await, "one");
    let replaced = copy().key("replaced").metadata_directive(MetadataDirective::Replace).content_type("image/png");
    replaced.send().await.expect("copied");
    let replaced = server.client.head_object().bucket("data").key("replaced").send().await.expect("there");
    assert_eq!(replaced.content_type(), Some("image/png"));
    let itself = server.client.copy_object().bucket("data").key("kept").copy_source("data/kept").send().await;
    assert_eq!(code(&itself.expect_err("nothing would change")), "InvalidRequest");
    let absent = server.client.copy_object().bucket("data").key("x").copy_source("data/absent").send().await;
    assert_eq!(code(&absent.expect_err("no source")), "NoSuchKey");
}

#[tokio::test]
async fn keys_are_names_and_never_paths() {
    let server = Server::start().await;
    server.bucket("data").await;
    let keys = ["../../escape", "a//b", "./x", "a/../b", "/lead", "q?x=1&y#z", "100%", "sp ace", "\u{1f600}", "a/"];
    for key in keys {
        server.put("data", key, key).await;
    }
    for key in keys {
        assert_eq!(server.get("data", key).await, key);
    }
    assert_eq!(server.body_files().len(), keys.len());
    let long = "k".repeat(1025);
    let refused = server.client.put_object().bucket("data").key(long).send().await;
    assert_eq!(code(&refused.expect_err("longer than 1024 bytes")), "KeyTooLongError");
}

#[tokio::test]
async fn tags_and_buckets_have_the_errors_of_s3() {
    let server = Server::start().await;
    server.bucket("data").await;
    let again = server.client.create_bucket().bucket("data").send().await;
    assert_eq!(code(&again.expect_err("exists")), "BucketAlreadyOwnedByYou");
    let nameless = server.client.create_bucket().bucket("No_Good").send().await;
    assert_eq!(code(&nameless.expect_err("upper case")), "InvalidBucketName");
    let nowhere = server.client.put_object().bucket("nowhere").key("k").send().await;
    assert_eq!(code(&nowhere.expect_err("no bucket")), "NoSuchBucket");
    server.put("data", "k", "v").await;
    let full = server.client.delete_bucket().bucket("data").send().await;
    assert_eq!(code(&full.expect_err("has an object")), "BucketNotEmpty");
    let tag = |key: &str| Tag::builder().key(key).value("v").build().expect("complete");
    let tagging = |tags| Tagging::builder().set_tag_set(Some(tags)).build().expect("complete");
    let request = || server.client.put_object_tagging().bucket("data").key("k");
    request().tagging(tagging(vec![tag("a"), tag("b")])).send().await.expect("two tags");
    let twice = request().tagging(tagging(vec![tag("a"), tag("a")])).send().await;
    assert_eq!(code(&twice.expect_err("the same key twice")), "InvalidTag");
    let found = server.client.get_object_tagging().bucket("data").key("k").send().await.expect("there");
    assert_eq!(found.tag_set(), [tag("a"), tag("b")]);
    server.client.delete_object().bucket("data").key("k").send().await.expect("deleted");
    server.client.delete_bucket().bucket("data").send().await.expect("empty");
    assert!(server.body_files().is_empty());
}

#[tokio::test]
async fn how_an_object_is_encrypted_is_kept_and_told_on_every_way() {
    const KEY: &str = "arn:aws:kms:us-east-1:111122223333:key/k";
    let server = Server::start().await;
    server.versioned_bucket("data").await;
    let client = &server.client;
    let kms = || Some(ServerSideEncryption::AwsKms);
    let told = |kind: Option<&ServerSideEncryption>, key: Option<&str>| (kind.cloned(), key.map(str::to_owned));
    let expected = (kms(), Some(KEY.to_owned()));

    let put = client.put_object().bucket("data").key("put").body(ByteStream::from_static(b"x"));
    let put = put.set_server_side_encryption(kms()).ssekms_key_id(KEY).bucket_key_enabled(true);
    let put = put.send().await.expect("stored");
    assert_eq!(told(put.server_side_encryption(), put.ssekms_key_id()), expected);
    assert_eq!(put.bucket_key_enabled(), Some(true));

    let begun = client.create_multipart_upload().bucket("data").key("parts");
    let begun = begun.set_server_side_encryption(kms()).ssekms_key_id(KEY).send().await.expect("begun");
    assert_eq!(told(begun.server_side_encryption(), begun.ssekms_key_id()), expected);
    let id = begun.upload_id().expect("an id");
    let part = client.upload_part().bucket("data").key("parts").upload_id(id).part_number(1);
    let part = part.body(ByteStream::from_static(b"x")).send().await.expect("stored");
    let part = CompletedPart::builder().part_number(1).set_e_tag(part.e_tag).build();
    let whole = CompletedMultipartUpload::builder().parts(part).build();
    let done = client.complete_multipart_upload().bucket("data").key("parts").upload_id(id).multipart_upload(whole);
    let done = done.send().await.expect("completed");
    assert_eq!(told(done.server_side_encryption(), done.ssekms_key_id()), expected);

    let copied = client.copy_object().bucket("data").key("copied").copy_source("data/plain");
    server.put("data", "plain", "x").await;
    let copied = copied.set_server_side_encryption(kms()).ssekms_key_id(KEY).send().await.expect("copied");
    assert_eq!(told(copied.server_side_encryption(), copied.ssekms_key_id()), expected);
    // A copy is encrypted as it asks, not as its source is.
    let bare = client.copy_object().bucket("data").key("bare").copy_source("data/put").send().await.expect("copied");
    assert_eq!(told(bare.server_side_encryption(), bare.ssekms_key_id()), (None, None));

    let server = server.restart(2).await;
    for (key, expected) in [
        ("put", &expected),
        ("parts", &expected),
        ("copied", &expected),
        ("bare", &(None, None)),
        ("plain", &(None, None)),
    ] {
        let head = server.client.head_object().bucket("data").key(key).send().await.expect("there");
        assert_eq!(&told(head.server_side_encryption(), head.ssekms_key_id()), expected, "{key}");
        let got = server.client.get_object().bucket("data").key(key).send().await.expect("there");
        assert_eq!(&told(got.server_side_encryption(), got.ssekms_key_id()), expected, "{key}");
    }
}

#[tokio::test]
async fn a_key_without_its_algorithm_is_refused() {
    let server = Server::start().await;
    server.bucket("data").await;
    for kind in [None, Some(ServerSideEncryption::Aes256), Some(ServerSideEncryption::from("rot13"))] {
        let put = server.client.put_object().bucket("data").key("k").body(ByteStream::from_static(b"x"));
        let put = put.set_server_side_encryption(kind.clone()).ssekms_key_id("k").send().await;
        assert_eq!(code(&put.expect_err("refused")), "InvalidArgument", "{kind:?}");
    }
    let head = server.client.head_object().bucket("data").key("k").send().await;
    assert!(head.is_err(), "nothing was stored");
}

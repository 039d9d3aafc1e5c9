//! Multipart uploads.

use aws_sdk_s3::{
    primitives::ByteStream,
    types::{ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart, ObjectAttributes},
};

use crate::server::{Server, code};

const PART: usize = 5 << 20;

fn completed(parts: &[(i32, Option<String>, Option<String>)]) -> CompletedMultipartUpload {
    let parts = parts.iter().map(|(number, etag, crc)| {
        CompletedPart::builder().part_number(*number).set_e_tag(etag.clone()).set_checksum_crc32(crc.clone()).build()
    });
    CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build()
}

#[tokio::test]
async fn parts_become_one_object() {
    for kind in [ChecksumType::Composite, ChecksumType::FullObject] {
        let server = Server::start().await;
        server.versioned_bucket("data").await;
        let bodies = [vec![1_u8; PART], vec![2_u8; PART], vec![3_u8; 10]];
        let create = server.client.create_multipart_upload().bucket("data").key("big").content_type("x/y");
        let create = create.checksum_algorithm(ChecksumAlgorithm::Crc32).checksum_type(kind.clone());
        let id = create.send().await.expect("started").upload_id.expect("an id");
        let mut parts = Vec::new();
        for (number, body) in (1..).zip(&bodies) {
            let part = server.client.upload_part().bucket("data").key("big").upload_id(&id).part_number(number);
            let part = part.body(ByteStream::from(body.clone())).send().await.expect("stored");
            assert!(part.checksum_crc32().is_some());
            parts.push((number, part.e_tag, part.checksum_crc32));
        }
        let listed = server.client.list_parts().bucket("data").key("big").upload_id(&id).send().await.expect("listed");
        assert_eq!(listed.parts().len(), 3);
        let uploads = server.client.list_multipart_uploads().bucket("data").send().await.expect("listed");
        assert_eq!(uploads.uploads().len(), 1);
        let complete = server.client.complete_multipart_upload().bucket("data").key("big").upload_id(&id);
        let done = complete.multipart_upload(completed(&parts)).send().await.expect("completed");
        assert!(done.e_tag().is_some_and(|etag| etag.ends_with("-3\"")));
        assert!(done.version_id().is_some());
        let got = server.client.get_object().bucket("data").key("big").checksum_mode(ChecksumMode::Enabled);
        let got = got.send().await.expect("there");
        assert_eq!(got.content_type(), Some("x/y"));
        assert_eq!(got.checksum_type(), Some(&kind));
        // The SDK itself compares a full-object checksum with what it reads.
        assert!(got.body.collect().await.expect("intact").into_bytes()[..] == bodies.concat()[..]);
        let seam = format!("bytes={}-{}", PART - 2, PART + 1);
        let seam = server.client.get_object().bucket("data").key("big").range(seam).send().await.expect("in range");
        assert_eq!(seam.body.collect().await.expect("read").into_bytes()[..], [1, 1, 2, 2]);
        let part = server.client.get_object().bucket("data").key("big").part_number(3).send().await.expect("a part");
        assert_eq!((part.parts_count(), part.content_length()), (Some(3), Some(10)));
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_the_upload_stays() {
    let server = Server::start().await;
    server.bucket("data").await;
    let create = server.client.create_multipart_upload().bucket("data").key("k").send().await.expect("started");
    let id = create.upload_id.expect("an id");
    let upload = |number: i32| {
        let part = server.client.upload_part().bucket("data").key("k").upload_id(&id).part_number(number);
        part.body(ByteStream::from_static(b"small"))
    };
    let first = upload(1).send().await.expect("stored").e_tag;
    let second = upload(2).send().await.expect("stored").e_tag;
    assert_eq!(code(&upload(0).send().await.expect_err("numbers start at 1")), "InvalidArgument");
    let complete = |parts: Vec<(i32, Option<String>, Option<String>)>| {
        let request = server.client.complete_multipart_upload().bucket("data").key("k").upload_id(&id);
        request.multipart_upload(completed(&parts)).send()
    };
    for (parts, expected) in [
        (vec![], "MalformedXML"),
        (vec![(2, second.clone(), None), (1, first.clone(), None)], "InvalidPartOrder"),
        (vec![(1, first.clone(), None), (3, second.clone(), None)], "InvalidPart"),
        (vec![(1, first.clone(), None), (2, second.clone(), None)], "EntityTooSmall"),
    ] {
        assert_eq!(code(&complete(parts).await.expect_err(expected)), expected);
    }
    complete(vec![(1, first, None)]).await.expect("one small part is the last part");
    assert_eq!(server.get("data", "k").await, "small");
    assert_eq!(server.body_files().len(), 1, "the part left out is gone");
    let again = complete(vec![(1, second, None)]).await;
    assert_eq!(code(&again.expect_err("finished")), "NoSuchUpload");
}

#[tokio::test]
async fn parts_can_be_copied_and_uploads_given_up() {
    let server = Server::start().await;
    server.bucket("data").await;
    server.put("data", "source", "0123456789").await;
    let create = server.client.create_multipart_upload().bucket("data").key("k").send().await.expect("started");
    let id = create.upload_id.expect("an id");
    let copy = server.client.upload_part_copy().bucket("data").key("k").upload_id(&id).part_number(1);
    let copy = copy.copy_source("data/source").copy_source_range("bytes=2-5").send().await.expect("copied");
    let etag = copy.copy_part_result.and_then(|result| result.e_tag);
    let complete = server.client.complete_multipart_upload().bucket("data").key("k").upload_id(&id);
    complete.multipart_upload(completed(&[(1, etag, None)])).send().await.expect("completed");
    assert_eq!(server.get("data", "k").await, "2345");

    let create = server.client.create_multipart_upload().bucket("data").key("k").send().await.expect("started");
    let id = create.upload_id.expect("an id");
    let part = server.client.upload_part().bucket("data").key("k").upload_id(&id).part_number(1);
    part.body(ByteStream::from_static(b"x")).send().await.expect("stored");
    server.client.abort_multipart_upload().bucket("data").key("k").upload_id(&id).send().await.expect("aborted");
    assert_eq!(server.body_files().len(), 2);
    let part = server.client.upload_part().bucket("data").key("k").upload_id(&id).part_number(1);
    let part = part.body(ByteStream::from_static(b"x")).send().await;
    assert_eq!(code(&part.expect_err("aborted")), "NoSuchUpload");
}

#[tokio::test]
async fn attributes_describe_the_parts() {
    let server = Server::start().await;
    server.bucket("data").await;
    let create = server.client.create_multipart_upload().bucket("data").key("k").send().await.expect("started");
    let id = create.upload_id.expect("an id");
    let part = server.client.upload_part().bucket("data").key("k").upload_id(&id).part_number(4);
    let etag = part.body(ByteStream::from_static(b"x")).send().await.expect("stored").e_tag;
    let complete = server.client.complete_multipart_upload().bucket("data").key("k").upload_id(&id);
    complete.multipart_upload(completed(&[(4, etag, None)])).send().await.expect("completed");
    let found = server.client.get_object_attributes().bucket("data").key("k");
    let found = found
        .object_attributes(ObjectAttributes::ObjectSize)
        .object_attributes(ObjectAttributes::ObjectParts)
        .send()
        .await
        .expect("there");
    assert_eq!((found.object_size(), found.e_tag()), (Some(1), None));
    assert_eq!(found.object_parts().and_then(|parts| parts.total_parts_count()), Some(1));
}

//! Tags, ACL and attributes of objects.

use std::sync::Arc;

use s3s::{S3Request, dto::*};

use super::{objects::shown_id, timestamp};
use crate::{
    acl::{self, Stated},
    bodies::Segment,
    fault::Fault,
    store::{
        Store,
        tags::{self, OBJECT_TAGS_MAX},
        version::{Attributes, Version},
    },
};

type Done<T> = Result<T, Fault>;

/// Most parts shown by GetObjectAttributes unless asked otherwise, as S3.
const PARTS_MAX: usize = 1000;

/// The version a sub-resource belongs to, and its id as responses show it.
async fn find(
    store: &Arc<Store>,
    bucket: String,
    key: String,
    version_id: Option<String>,
) -> Done<(Version, Option<String>)> {
    store
        .run(move |change| {
            let version = change.find(&bucket, &key, version_id.as_deref())?;
            let id = shown_id(change, &bucket, &version)?;
            Ok((version, id))
        })
        .await
}

async fn edit(
    store: &Arc<Store>,
    bucket: String,
    key: String,
    version_id: Option<String>,
    edit: impl FnOnce(&mut Attributes) + Send + 'static,
) -> Done<Option<String>> {
    store
        .run(move |change| {
            let version = change.find(&bucket, &key, version_id.as_deref())?;
            let mut attributes = version.attributes.clone();
            edit(&mut attributes);
            change.set_attributes(&version, &attributes)?;
            shown_id(change, &bucket, &version)
        })
        .await
}

pub(super) async fn get_tagging(
    store: &Arc<Store>,
    request: S3Request<GetObjectTaggingInput>,
) -> Done<GetObjectTaggingOutput> {
    let input = request.input;
    let (version, version_id) = find(store, input.bucket, input.key, input.version_id).await?;
    Ok(GetObjectTaggingOutput { tag_set: tags::to_set(&version.attributes.tags), version_id })
}

pub(super) async fn put_tagging(
    store: &Arc<Store>,
    request: S3Request<PutObjectTaggingInput>,
) -> Done<PutObjectTaggingOutput> {
    let input = request.input;
    let tags = tags::from_set(input.tagging.tag_set, OBJECT_TAGS_MAX)?;
    let version_id = edit(store, input.bucket, input.key, input.version_id, |it| it.tags = tags).await?;
    Ok(PutObjectTaggingOutput { version_id })
}

pub(super) async fn delete_tagging(
    store: &Arc<Store>,
    request: S3Request<DeleteObjectTaggingInput>,
) -> Done<DeleteObjectTaggingOutput> {
    let input = request.input;
    let version_id = edit(store, input.bucket, input.key, input.version_id, |it| it.tags.clear()).await?;
    Ok(DeleteObjectTaggingOutput { version_id })
}

pub(super) async fn get_acl(store: &Arc<Store>, request: S3Request<GetObjectAclInput>) -> Done<GetObjectAclOutput> {
    let input = request.input;
    let (version, _) = find(store, input.bucket, input.key, input.version_id).await?;
    let policy = acl::read(version.attributes.acl.as_deref())?;
    Ok(GetObjectAclOutput { grants: policy.grants, owner: policy.owner, request_charged: None })
}

pub(super) async fn put_acl(store: &Arc<Store>, request: S3Request<PutObjectAclInput>) -> Done<PutObjectAclOutput> {
    let input = request.input;
    let acl = Stated {
        canned: input.acl.map(|acl| acl.as_str().to_owned()),
        full_control: input.grant_full_control,
        read: input.grant_read,
        read_acp: input.grant_read_acp,
        write: input.grant_write,
        write_acp: input.grant_write_acp,
        document: input.access_control_policy,
    }
    .to_document()?;
    edit(store, input.bucket, input.key, input.version_id, |it| it.acl = acl).await?;
    Ok(PutObjectAclOutput::default())
}

pub(super) async fn attributes(
    store: &Arc<Store>,
    request: S3Request<GetObjectAttributesInput>,
) -> Done<GetObjectAttributesOutput> {
    let input = request.input;
    // Clients send one header with commas as well as one header per attribute.
    let asked = |name: &str| {
        let mut all = input.object_attributes.iter().flat_map(|attribute| attribute.as_str().split(','));
        all.any(|attribute| attribute.trim() == name)
    };
    let (bucket, key, id) = (input.bucket.clone(), input.key.clone(), input.version_id.clone());
    let (version, segments, version_id) = store
        .run(move |change| {
            let version = change.find(&bucket, &key, id.as_deref())?;
            let segments = change.segments(&version)?;
            let id = shown_id(change, &bucket, &version)?;
            Ok((version, segments, id))
        })
        .await?;
    let in_parts = version.etag.contains('-') && asked(ObjectAttributes::OBJECT_PARTS);
    let object_parts = in_parts.then(|| described_parts(&segments, input.part_number_marker, input.max_parts));
    let stored = &version.attributes;
    Ok(GetObjectAttributesOutput {
        checksum: stored.checksum.as_ref().filter(|_| asked(ObjectAttributes::CHECKSUM)).map(|sum| sum.to_dto()),
        e_tag: asked(ObjectAttributes::ETAG).then(|| ETag::Strong(version.etag.clone())),
        last_modified: Some(timestamp(version.modified_ms)),
        object_parts,
        object_size: i64::try_from(version.size).ok().filter(|_| asked(ObjectAttributes::OBJECT_SIZE)),
        storage_class: asked(ObjectAttributes::STORAGE_CLASS)
            .then(|| StorageClass::from(stored.storage_class.clone().unwrap_or_else(|| "STANDARD".to_owned()))),
        version_id,
        ..Default::default()
    })
}

fn described_parts(segments: &[Segment], marker: Option<i32>, max: Option<i32>) -> GetObjectAttributesParts {
    let skip = marker.and_then(|marker| usize::try_from(marker).ok()).unwrap_or(0);
    let limit = max.and_then(|max| usize::try_from(max).ok()).unwrap_or(PARTS_MAX);
    let parts: Vec<ObjectPart> = segments
        .iter()
        .zip(1..)
        .skip(skip)
        .take(limit)
        .map(|(segment, number)| ObjectPart {
            part_number: Some(number),
            size: i64::try_from(segment.size).ok(),
            ..Default::default()
        })
        .collect();
    GetObjectAttributesParts {
        is_truncated: Some(skip + parts.len() < segments.len()),
        max_parts: i32::try_from(limit).ok(),
        next_part_number_marker: parts.last().and_then(|part| part.part_number),
        part_number_marker: Some(marker.unwrap_or(0)),
        parts: Some(parts),
        total_parts_count: i32::try_from(segments.len()).ok(),
    }
}

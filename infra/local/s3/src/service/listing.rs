//! Listings.

use std::sync::Arc;

use s3s::{S3ErrorCode, S3Request, dto::*};

use super::{timestamp, with_checksum};
use crate::{
    acl,
    events::percent_encode,
    fault::Fault,
    store::{
        Store,
        listing::{PAGE_MAX, Query},
        version::Version,
    },
};

type Done<T> = Result<T, Fault>;

const STANDARD: &str = "STANDARD";

/// Text of a listing, URL-encoded if the client asked for it.
struct Encoding(bool);

impl Encoding {
    fn asked(encoding: Option<&EncodingType>) -> Done<Self> {
        match encoding.map(EncodingType::as_str) {
            None => Ok(Self(false)),
            Some(EncodingType::URL) => Ok(Self(true)),
            Some(_) => {
                Err(Fault::refused(S3ErrorCode::InvalidArgument, "Invalid Encoding Method specified in Request"))
            }
        }
    }

    fn text(&self, text: String) -> String {
        if self.0 { percent_encode(&text) } else { text }
    }

    fn optional(&self, text: Option<String>) -> Option<String> {
        text.map(|text| self.text(text))
    }

    fn shown(&self) -> Option<EncodingType> {
        self.0.then(|| EncodingType::from_static(EncodingType::URL))
    }

    fn groups(&self, prefixes: Vec<String>) -> Option<Vec<CommonPrefix>> {
        (!prefixes.is_empty())
            .then(|| prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(self.text(prefix)) }).collect())
    }

    fn object(&self, version: Version, with_owner: bool) -> Object {
        let checksum = version.attributes.checksum;
        Object {
            checksum_algorithm: checksum.as_ref().map(|sum| vec![ChecksumAlgorithm::from_static(sum.algorithm.name())]),
            checksum_type: checksum.and_then(|sum| sum.to_dto().checksum_type),
            e_tag: Some(ETag::Strong(version.etag)),
            key: Some(self.text(version.key)),
            last_modified: Some(timestamp(version.modified_ms)),
            owner: with_owner.then(acl::owner),
            restore_status: None,
            size: i64::try_from(version.size).ok(),
            storage_class: Some(ObjectStorageClass::from(
                version.attributes.storage_class.unwrap_or_else(|| STANDARD.to_owned()),
            )),
        }
    }
}

pub(super) async fn objects(store: &Arc<Store>, request: S3Request<ListObjectsInput>) -> Done<ListObjectsOutput> {
    let input = request.input;
    let encoding = Encoding::asked(input.encoding_type.as_ref())?;
    let query = Query {
        bucket: input.bucket.clone(),
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone(),
        after: input.marker.clone().filter(|marker| !marker.is_empty()),
        after_version: None,
        limit: limit(input.max_keys)?,
    };
    let max_keys = i32::try_from(query.limit).ok();
    let page = store.run(move |change| change.list_objects(&query)).await?;
    Ok(ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(encoding.text(input.prefix.unwrap_or_default())),
        marker: Some(encoding.text(input.marker.unwrap_or_default())),
        max_keys,
        is_truncated: Some(page.next.is_some()),
        next_marker: encoding.optional(page.next),
        contents: Some(page.items.into_iter().map(|version| encoding.object(version, true)).collect()),
        common_prefixes: encoding.groups(page.prefixes),
        delimiter: encoding.optional(input.delimiter),
        encoding_type: encoding.shown(),
        request_charged: None,
    })
}

pub(super) async fn objects_v2(
    store: &Arc<Store>,
    request: S3Request<ListObjectsV2Input>,
) -> Done<ListObjectsV2Output> {
    let input = request.input;
    let encoding = Encoding::asked(input.encoding_type.as_ref())?;
    let after = match &input.continuation_token {
        Some(token) => Some(read_token(token)?),
        None => input.start_after.clone().filter(|after| !after.is_empty()),
    };
    let query = Query {
        bucket: input.bucket.clone(),
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone(),
        after,
        after_version: None,
        limit: limit(input.max_keys)?,
    };
    let max_keys = i32::try_from(query.limit).ok();
    let page = store.run(move |change| change.list_objects(&query)).await?;
    let with_owner = input.fetch_owner.unwrap_or(false);
    Ok(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(encoding.text(input.prefix.unwrap_or_default())),
        max_keys,
        key_count: i32::try_from(page.items.len() + page.prefixes.len()).ok(),
        continuation_token: input.continuation_token,
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.map(hex::encode),
        contents: Some(page.items.into_iter().map(|version| encoding.object(version, with_owner)).collect()),
        common_prefixes: encoding.groups(page.prefixes),
        delimiter: encoding.optional(input.delimiter),
        encoding_type: encoding.shown(),
        start_after: encoding.optional(input.start_after),
        request_charged: None,
    })
}

pub(super) async fn versions(
    store: &Arc<Store>,
    request: S3Request<ListObjectVersionsInput>,
) -> Done<ListObjectVersionsOutput> {
    let input = request.input;
    let encoding = Encoding::asked(input.encoding_type.as_ref())?;
    let key_marker = input.key_marker.clone().filter(|marker| !marker.is_empty());
    let version_marker = input.version_id_marker.clone().filter(|marker| !marker.is_empty());
    if version_marker.is_some() && key_marker.is_none() {
        return Err(Fault::refused(
            S3ErrorCode::InvalidArgument,
            "A version-id marker cannot be specified without a key marker.",
        ));
    }
    let query = Query {
        bucket: input.bucket.clone(),
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone(),
        after: key_marker,
        after_version: version_marker,
        limit: limit(input.max_keys)?,
    };
    let max_keys = i32::try_from(query.limit).ok();
    let page = store.run(move |change| change.list_versions(&query)).await?;
    let last = page.items.last();
    let next_version = last.filter(|last| page.next.as_ref() == Some(&last.key)).map(|last| last.version_id.clone());
    let (markers, versions): (Vec<_>, Vec<_>) = page.items.into_iter().partition(|version| version.marker);
    Ok(ListObjectVersionsOutput {
        name: Some(input.bucket),
        prefix: Some(encoding.text(input.prefix.unwrap_or_default())),
        key_marker: Some(encoding.text(input.key_marker.unwrap_or_default())),
        version_id_marker: Some(input.version_id_marker.unwrap_or_default()),
        max_keys,
        is_truncated: Some(page.next.is_some()),
        next_version_id_marker: next_version,
        next_key_marker: encoding.optional(page.next),
        versions: Some(versions.into_iter().map(|version| entry(&encoding, version)).collect()),
        delete_markers: Some(markers.into_iter().map(|marker| marker_entry(&encoding, marker)).collect()),
        common_prefixes: encoding.groups(page.prefixes),
        delimiter: encoding.optional(input.delimiter),
        encoding_type: encoding.shown(),
        request_charged: None,
    })
}

fn entry(encoding: &Encoding, version: Version) -> ObjectVersion {
    let (latest, version_id) = (version.latest, version.version_id.clone());
    let object = encoding.object(version, true);
    ObjectVersion {
        checksum_algorithm: object.checksum_algorithm,
        checksum_type: object.checksum_type,
        e_tag: object.e_tag,
        is_latest: Some(latest),
        key: object.key,
        last_modified: object.last_modified,
        owner: object.owner,
        restore_status: None,
        size: object.size,
        storage_class: Some(ObjectVersionStorageClass::from_static(STANDARD)),
        version_id: Some(version_id),
    }
}

fn marker_entry(encoding: &Encoding, marker: Version) -> DeleteMarkerEntry {
    DeleteMarkerEntry {
        is_latest: Some(marker.latest),
        key: Some(encoding.text(marker.key)),
        last_modified: Some(timestamp(marker.modified_ms)),
        owner: Some(acl::owner()),
        version_id: Some(marker.version_id),
    }
}

pub(super) async fn uploads(
    store: &Arc<Store>,
    request: S3Request<ListMultipartUploadsInput>,
) -> Done<ListMultipartUploadsOutput> {
    let input = request.input;
    let encoding = Encoding::asked(input.encoding_type.as_ref())?;
    let query = Query {
        bucket: input.bucket.clone(),
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: None,
        after: input.key_marker.clone().filter(|marker| !marker.is_empty()),
        after_version: input.upload_id_marker.clone().filter(|marker| !marker.is_empty()),
        limit: limit(input.max_uploads)?,
    };
    let max_uploads = i32::try_from(query.limit).ok();
    let page = store.run(move |change| change.list_uploads(&query)).await?;
    let truncated = page.next.is_some();
    Ok(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        prefix: Some(encoding.text(input.prefix.unwrap_or_default())),
        key_marker: Some(encoding.text(input.key_marker.unwrap_or_default())),
        upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
        max_uploads,
        is_truncated: Some(truncated),
        next_upload_id_marker: page.items.last().filter(|_| truncated).map(|last| last.id.clone()),
        next_key_marker: encoding.optional(page.next),
        uploads: Some(
            page.items
                .into_iter()
                .map(|upload| MultipartUpload {
                    initiated: Some(timestamp(upload.initiated_ms)),
                    key: Some(encoding.text(upload.key)),
                    owner: Some(acl::owner()),
                    storage_class: Some(StorageClass::from_static(STANDARD)),
                    upload_id: Some(upload.id),
                    ..Default::default()
                })
                .collect(),
        ),
        encoding_type: encoding.shown(),
        ..Default::default()
    })
}

pub(super) async fn parts(store: &Arc<Store>, request: S3Request<ListPartsInput>) -> Done<ListPartsOutput> {
    let input = request.input;
    let limit = limit(input.max_parts)?;
    let after = input.part_number_marker.unwrap_or(0);
    let (bucket, key, id) = (input.bucket.clone(), input.key.clone(), input.upload_id.clone());
    let mut parts = store
        .run(move |change| {
            change.versioning(&bucket)?;
            let upload = change.upload(&bucket, &key, &id)?;
            change.parts(&upload.id, after, limit + 1)
        })
        .await?;
    let truncated = parts.len() > limit;
    parts.truncate(limit);
    Ok(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        is_truncated: Some(truncated),
        max_parts: i32::try_from(limit).ok(),
        part_number_marker: Some(after),
        next_part_number_marker: parts.last().filter(|_| truncated).map(|last| last.number),
        owner: Some(acl::owner()),
        parts: Some(
            parts
                .into_iter()
                .map(|part| {
                    with_checksum!(
                        Part {
                            e_tag: Some(ETag::Strong(hex::encode(part.md5))),
                            last_modified: Some(timestamp(part.modified_ms)),
                            part_number: Some(part.number),
                            size: i64::try_from(part.segment.size).ok(),
                        },
                        part.checksum.as_ref()
                    )
                })
                .collect(),
        ),
        storage_class: Some(StorageClass::from_static(STANDARD)),
        ..Default::default()
    })
}

fn limit(asked: Option<i32>) -> Done<usize> {
    let Some(asked) = asked else {
        return Ok(PAGE_MAX);
    };
    usize::try_from(asked)
        .map(|asked| asked.min(PAGE_MAX))
        .map_err(|_| Fault::refused(S3ErrorCode::InvalidArgument, "the page size must not be negative"))
}

fn read_token(token: &str) -> Done<String> {
    hex::decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| Fault::refused(S3ErrorCode::InvalidArgument, "The continuation token provided is incorrect"))
}

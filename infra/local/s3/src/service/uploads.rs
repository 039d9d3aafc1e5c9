//! Multipart uploads.

use std::sync::Arc;

use futures::StreamExt;
use s3s::{S3Error, S3ErrorCode, S3Request, dto::*};

use super::{
    cause, copy::open_source, encryption::told, objects::attributes, receive::Arriving, sent_checksum, timestamp,
    with_checksum,
};
use crate::{
    digests::{Algorithm, Digests},
    events::Reason,
    fault::Fault,
    store::{
        Store,
        objects::Precondition,
        uploads::{Checking, NamedPart},
    },
};

type Done<T> = Result<T, Fault>;

/// Part numbers S3 allows.
const PART_NUMBERS: std::ops::RangeInclusive<i32> = 1..=10_000;

pub(super) async fn create(
    store: &Arc<Store>,
    request: S3Request<CreateMultipartUploadInput>,
) -> Done<CreateMultipartUploadOutput> {
    let input = request.input;
    let attributes = attributes!(input);
    let algorithm = input.checksum_algorithm.as_ref().map(|name| Algorithm::parse(name.as_str())).transpose()?;
    let checking = algorithm.map(|algorithm| Checking {
        algorithm,
        // S3 knows CRC64NVME over whole objects only; the others cover the parts unless asked otherwise.
        composite: match input.checksum_type.as_ref().map(ChecksumType::as_str) {
            Some(kind) => kind == ChecksumType::COMPOSITE,
            None => algorithm != Algorithm::Crc64nvme,
        },
    });
    let (bucket, key) = (input.bucket.clone(), input.key.clone());
    let encryption = attributes.encryption.clone();
    let id = store.run(move |change| change.start_upload(&bucket, &key, &attributes, checking)).await?;
    let mut output = CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(id),
        checksum_algorithm: input.checksum_algorithm,
        checksum_type: checking.map(|checking| {
            ChecksumType::from_static(if checking.composite {
                ChecksumType::COMPOSITE
            } else {
                ChecksumType::FULL_OBJECT
            })
        }),
        ..Default::default()
    };
    told!(output, encryption);
    output.ssekms_encryption_context = encryption.and_then(|encryption| encryption.context);
    Ok(output)
}

pub(super) async fn put_part(store: &Arc<Store>, mut request: S3Request<UploadPartInput>) -> Done<UploadPartOutput> {
    let input = &mut request.input;
    let arriving = Arriving::new(
        input.body.take(),
        input.content_length,
        input.content_md5.take(),
        sent_checksum!(input),
        &request.headers,
        &request.extensions,
    )?;
    let UploadPartInput { bucket, key, upload_id, part_number, .. } = request.input;
    check_number(part_number)?;
    let otherwise = checking(store, &bucket, &key, &upload_id).await?;
    let (draft, measured) = arriving.store(store, otherwise).await?;
    let stored = measured.clone();
    store.run(move |change| change.put_part(&bucket, &key, &upload_id, part_number, &stored, draft)).await?;
    Ok(with_checksum!(
        UploadPartOutput { e_tag: Some(ETag::Strong(measured.etag())), ..Default::default() },
        measured.checksum.as_ref()
    ))
}

pub(super) async fn copy_part(
    store: &Arc<Store>,
    request: S3Request<UploadPartCopyInput>,
) -> Done<UploadPartCopyOutput> {
    let input = request.input;
    check_number(input.part_number)?;
    let algorithm = checking(store, &input.bucket, &input.key, &input.upload_id).await?;
    let source =
        open_source(store, input.copy_source, input.copy_source_if_match, input.copy_source_if_none_match).await?;
    let size = source.version.size;
    let bytes = match &input.copy_source_range {
        None => 0..size,
        Some(text) => Range::parse(text)
            .map_err(|_| {
                Fault::refused(
                    S3ErrorCode::InvalidArgument,
                    "The x-amz-copy-source-range value must be of the form bytes=first-last",
                )
            })?
            .check(size)
            .map_err(S3Error::from)?,
    };
    let body = source.lease.stream(bytes).fuse();
    let (draft, measured) = store.bodies.receive(body, Digests::new(algorithm)).await?;
    let stored = measured.clone();
    let modified_ms = store.timer.now().as_millisecond();
    store
        .run(move |change| {
            change.put_part(&input.bucket, &input.key, &input.upload_id, input.part_number, &stored, draft)
        })
        .await?;
    Ok(UploadPartCopyOutput {
        copy_part_result: Some(with_checksum!(
            CopyPartResult { e_tag: Some(ETag::Strong(measured.etag())), last_modified: Some(timestamp(modified_ms)) },
            measured.checksum.as_ref()
        )),
        copy_source_version_id: source.version_id,
        ..Default::default()
    })
}

pub(super) async fn complete(
    store: &Arc<Store>,
    request: S3Request<CompleteMultipartUploadInput>,
) -> Done<CompleteMultipartUploadOutput> {
    let cause = cause(&request, Reason::CompleteMultipartUpload);
    let input = request.input;
    let sent = sent_checksum!(input);
    let named: Vec<NamedPart> = input
        .multipart_upload
        .and_then(|upload| upload.parts)
        .unwrap_or_default()
        .into_iter()
        .map(|part| NamedPart {
            number: part.part_number.unwrap_or_default(),
            etag: part.e_tag.map(ETag::into_value).unwrap_or_default(),
        })
        .collect();
    let precondition = Precondition { if_match: input.if_match, if_none_match: input.if_none_match };
    let (bucket, key, id) = (input.bucket.clone(), input.key.clone(), input.upload_id);
    let completed = store
        .run(move |change| {
            let upload = change.upload(&bucket, &key, &id)?;
            let completed = change.complete_upload(upload, &named, precondition, cause)?;
            let differs = |ours: &crate::digests::Checksum| sent.as_ref().is_some_and(|sent| sent.value != ours.value);
            if completed.checksum.as_ref().is_some_and(differs) {
                return Err(Fault::refused(
                    S3ErrorCode::BadDigest,
                    "The checksum you specified did not match the calculated checksum.",
                ));
            }
            Ok(completed)
        })
        .await?;
    let mut output = with_checksum!(
        CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, crate::events::percent_encode(&input.key))),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(ETag::Strong(completed.etag)),
            version_id: completed.written.version_id,
            ..Default::default()
        },
        completed.checksum.as_ref()
    );
    told!(output, completed.encryption);
    Ok(output)
}

pub(super) async fn abort(
    store: &Arc<Store>,
    request: S3Request<AbortMultipartUploadInput>,
) -> Done<AbortMultipartUploadOutput> {
    let input = request.input;
    store
        .run(move |change| {
            change.versioning(&input.bucket)?;
            let upload = change.upload(&input.bucket, &input.key, &input.upload_id)?;
            change.drop_upload(&upload.id, true)
        })
        .await?;
    Ok(AbortMultipartUploadOutput::default())
}

fn check_number(number: i32) -> Done<()> {
    if PART_NUMBERS.contains(&number) {
        return Ok(());
    }
    Err(Fault::refused(S3ErrorCode::InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"))
}

/// The algorithm an upload is checked with; also finds out early whether it exists.
async fn checking(store: &Arc<Store>, bucket: &str, key: &str, id: &str) -> Done<Option<Algorithm>> {
    let (bucket, key, id) = (bucket.to_owned(), key.to_owned(), id.to_owned());
    let upload = store
        .run(move |change| {
            change.versioning(&bucket)?;
            change.upload(&bucket, &key, &id)
        })
        .await?;
    Ok(upload.checking.map(|checking| checking.algorithm))
}

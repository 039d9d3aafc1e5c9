//! Deletion of objects, versions and delete markers.

use std::sync::Arc;

use s3s::{S3ErrorCode, S3Request, dto::*};

use crate::{fault::Fault, store::Store};

type Done<T> = Result<T, Fault>;

/// Most objects of one DeleteObjects request, as S3.
const DELETE_MAX: usize = 1000;

pub(super) async fn one(store: &Arc<Store>, request: S3Request<DeleteObjectInput>) -> Done<DeleteObjectOutput> {
    let input = request.input;
    let deleted = store
        .run(move |change| {
            change.delete(&input.bucket, &input.key, input.version_id.as_deref(), input.if_match.as_ref())
        })
        .await?;
    Ok(DeleteObjectOutput {
        delete_marker: deleted.marker.then_some(true),
        version_id: deleted.version_id,
        ..Default::default()
    })
}

pub(super) async fn many(store: &Arc<Store>, request: S3Request<DeleteObjectsInput>) -> Done<DeleteObjectsOutput> {
    let DeleteObjectsInput { bucket, delete, .. } = request.input;
    if delete.objects.is_empty() || delete.objects.len() > DELETE_MAX {
        return Err(Fault::refused(
            S3ErrorCode::MalformedXML,
            format!("A request deletes at least one and at most {DELETE_MAX} objects."),
        ));
    }
    let quiet = delete.quiet.unwrap_or(false);
    store
        .run(move |change| {
            change.versioning(&bucket)?;
            let (mut done, mut errors) = (Vec::new(), Vec::new());
            for object in delete.objects {
                let condition = object.e_tag.map(ETagCondition::ETag);
                match change.delete(&bucket, &object.key, object.version_id.as_deref(), condition.as_ref()) {
                    Ok(deleted) => done.push(DeletedObject {
                        delete_marker: deleted.marker.then_some(true),
                        delete_marker_version_id: deleted.version_id.filter(|_| deleted.marker),
                        key: Some(object.key),
                        version_id: object.version_id,
                    }),
                    Err(Fault::Refused(error)) => errors.push(Error {
                        code: Some(error.code().as_str().to_owned()),
                        key: Some(object.key),
                        message: error.message().map(str::to_owned),
                        version_id: object.version_id,
                    }),
                    Err(fault) => return Err(fault),
                }
            }
            Ok(DeleteObjectsOutput {
                deleted: (!quiet).then_some(done),
                errors: (!errors.is_empty()).then_some(errors),
                ..Default::default()
            })
        })
        .await
}

//! Buckets themselves.

use std::sync::Arc;

use s3s::{S3Request, dto::*};

use super::timestamp;
use crate::{
    acl::{self, Stated},
    events::REGION,
    fault::Fault,
    front::SignedRegion,
    store::{
        Store,
        buckets::{Document, Versioning},
    },
};

type Done<T> = Result<T, Fault>;

pub(super) async fn create(store: &Arc<Store>, request: S3Request<CreateBucketInput>) -> Done<CreateBucketOutput> {
    let input = request.input;
    let acl = Stated {
        canned: input.acl.map(|acl| acl.as_str().to_owned()),
        full_control: input.grant_full_control,
        read: input.grant_read,
        read_acp: input.grant_read_acp,
        write: input.grant_write,
        write_acp: input.grant_write_acp,
        document: None,
    }
    .to_document()?;
    let location = Some(format!("/{}", input.bucket));
    let region = request.extensions.get().map(|SignedRegion(region)| region.clone()).filter(|region| region != REGION);
    store
        .run(move |change| {
            change.create_bucket(&input.bucket)?;
            if let Some(region) = region {
                change.set_document_text(&input.bucket, Document::Region, Some(&region))?;
            }
            if let Some(acl) = acl {
                change.set_document_text(&input.bucket, Document::Acl, Some(&acl))?;
            }
            Ok(())
        })
        .await?;
    Ok(CreateBucketOutput { location })
}

pub(super) async fn delete(store: &Arc<Store>, request: S3Request<DeleteBucketInput>) -> Done<DeleteBucketOutput> {
    store.run(move |change| change.delete_bucket(&request.input.bucket)).await?;
    Ok(DeleteBucketOutput {})
}

pub(super) async fn head(store: &Arc<Store>, request: S3Request<HeadBucketInput>) -> Done<HeadBucketOutput> {
    let region = store.run(move |change| change.document_text(&request.input.bucket, Document::Region)).await?;
    Ok(HeadBucketOutput { bucket_region: Some(region.unwrap_or_else(|| REGION.to_owned())), ..Default::default() })
}

pub(super) async fn list(store: &Arc<Store>, request: S3Request<ListBucketsInput>) -> Done<ListBucketsOutput> {
    let input = request.input;
    let all = store.run(|change| change.list_buckets()).await?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let limit = input.max_buckets.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
    let mut matching = all
        .into_iter()
        .filter(|bucket| bucket.name.starts_with(&prefix))
        .filter(|bucket| input.continuation_token.as_ref().is_none_or(|token| bucket.name > *token));
    let page: Vec<_> = matching.by_ref().take(limit).collect();
    let more = matching.next().is_some();
    Ok(ListBucketsOutput {
        continuation_token: page.last().filter(|_| more).map(|bucket| bucket.name.clone()),
        buckets: Some(
            page.into_iter()
                .map(|bucket| Bucket {
                    bucket_region: Some(bucket.region.unwrap_or_else(|| REGION.to_owned())),
                    creation_date: Some(timestamp(bucket.created_ms)),
                    name: Some(bucket.name),
                })
                .collect(),
        ),
        owner: Some(acl::owner()),
        prefix: input.prefix,
    })
}

pub(super) async fn location(
    store: &Arc<Store>,
    request: S3Request<GetBucketLocationInput>,
) -> Done<GetBucketLocationOutput> {
    let region = store.run(move |change| change.document_text(&request.input.bucket, Document::Region)).await?;
    // S3 names us-east-1 by leaving the constraint out.
    Ok(GetBucketLocationOutput { location_constraint: region.map(BucketLocationConstraint::from) })
}

pub(super) async fn get_versioning(
    store: &Arc<Store>,
    request: S3Request<GetBucketVersioningInput>,
) -> Done<GetBucketVersioningOutput> {
    let found = store.run(move |change| change.versioning(&request.input.bucket)).await?;
    Ok(GetBucketVersioningOutput {
        status: (found != Versioning::Never).then(|| BucketVersioningStatus::from_static(found.word())),
        ..Default::default()
    })
}

pub(super) async fn put_versioning(
    store: &Arc<Store>,
    request: S3Request<PutBucketVersioningInput>,
) -> Done<PutBucketVersioningOutput> {
    let input = request.input;
    let status = input.versioning_configuration.status;
    let wanted = Versioning::parse(status.as_ref().map_or("", |status| status.as_str()))?;
    store.run(move |change| change.set_versioning(&input.bucket, wanted)).await?;
    Ok(PutBucketVersioningOutput {})
}

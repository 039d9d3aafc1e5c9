//! The operations of S3's API, each a translation between the wire's structures and the store.

mod buckets;
mod copy;
mod delete;
mod documents;
mod encryption;
mod listing;
mod objects;
mod receive;
mod subresources;
mod uploads;

use std::sync::Arc;

use jiff::Timestamp;
use s3s::{S3Request, S3Response, S3Result, dto};

use crate::{
    events::{Cause, Reason},
    front::RequestId,
    store::Store,
};

/// The stand-in as the protocol layer sees it.
pub(crate) struct Service(pub(crate) Arc<Store>);

macro_rules! operations {
    ($($name:ident($input:ident) -> $output:ident = $handler:path;)*) => {
        #[async_trait::async_trait]
        impl s3s::S3 for Service {
            $(async fn $name(&self, request: S3Request<dto::$input>) -> S3Result<S3Response<dto::$output>> {
                Ok(S3Response::new($handler(&self.0, request).await?))
            })*
        }
    };
}

operations! {
    create_bucket(CreateBucketInput) -> CreateBucketOutput = buckets::create;
    delete_bucket(DeleteBucketInput) -> DeleteBucketOutput = buckets::delete;
    head_bucket(HeadBucketInput) -> HeadBucketOutput = buckets::head;
    list_buckets(ListBucketsInput) -> ListBucketsOutput = buckets::list;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput = buckets::location;
    get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput = buckets::get_versioning;
    put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput = buckets::put_versioning;
    get_bucket_notification_configuration(GetBucketNotificationConfigurationInput)
        -> GetBucketNotificationConfigurationOutput = documents::get_notification;
    put_bucket_notification_configuration(PutBucketNotificationConfigurationInput)
        -> PutBucketNotificationConfigurationOutput = documents::put_notification;
    get_bucket_policy(GetBucketPolicyInput) -> GetBucketPolicyOutput = documents::get_policy;
    put_bucket_policy(PutBucketPolicyInput) -> PutBucketPolicyOutput = documents::put_policy;
    delete_bucket_policy(DeleteBucketPolicyInput) -> DeleteBucketPolicyOutput = documents::delete_policy;
    get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput = documents::get_tagging;
    put_bucket_tagging(PutBucketTaggingInput) -> PutBucketTaggingOutput = documents::put_tagging;
    delete_bucket_tagging(DeleteBucketTaggingInput) -> DeleteBucketTaggingOutput = documents::delete_tagging;
    get_public_access_block(GetPublicAccessBlockInput) -> GetPublicAccessBlockOutput = documents::get_public_access;
    put_public_access_block(PutPublicAccessBlockInput) -> PutPublicAccessBlockOutput = documents::put_public_access;
    delete_public_access_block(DeletePublicAccessBlockInput)
        -> DeletePublicAccessBlockOutput = documents::delete_public_access;
    get_bucket_encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput = documents::get_encryption;
    put_bucket_encryption(PutBucketEncryptionInput) -> PutBucketEncryptionOutput = documents::put_encryption;
    delete_bucket_encryption(DeleteBucketEncryptionInput)
        -> DeleteBucketEncryptionOutput = documents::delete_encryption;
    get_bucket_ownership_controls(GetBucketOwnershipControlsInput)
        -> GetBucketOwnershipControlsOutput = documents::get_ownership;
    put_bucket_ownership_controls(PutBucketOwnershipControlsInput)
        -> PutBucketOwnershipControlsOutput = documents::put_ownership;
    delete_bucket_ownership_controls(DeleteBucketOwnershipControlsInput)
        -> DeleteBucketOwnershipControlsOutput = documents::delete_ownership;
    get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput = documents::get_cors;
    put_bucket_cors(PutBucketCorsInput) -> PutBucketCorsOutput = documents::put_cors;
    delete_bucket_cors(DeleteBucketCorsInput) -> DeleteBucketCorsOutput = documents::delete_cors;
    get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput)
        -> GetBucketLifecycleConfigurationOutput = documents::get_lifecycle;
    put_bucket_lifecycle_configuration(PutBucketLifecycleConfigurationInput)
        -> PutBucketLifecycleConfigurationOutput = documents::put_lifecycle;
    delete_bucket_lifecycle(DeleteBucketLifecycleInput) -> DeleteBucketLifecycleOutput = documents::delete_lifecycle;
    get_bucket_acl(GetBucketAclInput) -> GetBucketAclOutput = documents::get_acl;
    put_bucket_acl(PutBucketAclInput) -> PutBucketAclOutput = documents::put_acl;
    put_object(PutObjectInput) -> PutObjectOutput = objects::put;
    get_object(GetObjectInput) -> GetObjectOutput = objects::get;
    head_object(HeadObjectInput) -> HeadObjectOutput = objects::head;
    copy_object(CopyObjectInput) -> CopyObjectOutput = copy::copy;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput = delete::one;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput = delete::many;
    list_objects(ListObjectsInput) -> ListObjectsOutput = listing::objects;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output = listing::objects_v2;
    list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput = listing::versions;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput = listing::uploads;
    list_parts(ListPartsInput) -> ListPartsOutput = listing::parts;
    get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput = subresources::get_tagging;
    put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput = subresources::put_tagging;
    delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput = subresources::delete_tagging;
    get_object_acl(GetObjectAclInput) -> GetObjectAclOutput = subresources::get_acl;
    put_object_acl(PutObjectAclInput) -> PutObjectAclOutput = subresources::put_acl;
    get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput = subresources::attributes;
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput = uploads::create;
    upload_part(UploadPartInput) -> UploadPartOutput = uploads::put_part;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput = uploads::copy_part;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput = uploads::complete;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput = uploads::abort;
}

/// Collects the five checksum fields of an input.
macro_rules! sent_checksum {
    ($input:expr) => {
        crate::digests::Checksum::from_dto(s3s::dto::Checksum {
            checksum_crc32: $input.checksum_crc32.clone(),
            checksum_crc32c: $input.checksum_crc32c.clone(),
            checksum_crc64nvme: $input.checksum_crc64nvme.clone(),
            checksum_sha1: $input.checksum_sha1.clone(),
            checksum_sha256: $input.checksum_sha256.clone(),
            checksum_type: None,
        })
    };
}

/// Builds an output with the five checksum fields set from an optional stored checksum.
macro_rules! with_checksum {
    ($output:ident { $($fields:tt)* }, $checksum:expr) => {{
        let sum = $checksum.map(|sum: &crate::digests::Checksum| sum.to_dto()).unwrap_or_default();
        s3s::dto::$output {
            checksum_crc32: sum.checksum_crc32,
            checksum_crc32c: sum.checksum_crc32c,
            checksum_crc64nvme: sum.checksum_crc64nvme,
            checksum_sha1: sum.checksum_sha1,
            checksum_sha256: sum.checksum_sha256,
            $($fields)*
        }
    }};
}

pub(crate) use {sent_checksum, with_checksum};

/// A stored instant as the wire shows it: whole seconds, as S3.
fn timestamp(ms: i64) -> dto::Timestamp {
    let instant = Timestamp::from_second(ms.div_euclid(1000)).unwrap_or_default();
    dto::Timestamp::from(std::time::SystemTime::from(instant))
}

fn cause<T>(request: &S3Request<T>, reason: Reason) -> Cause {
    let request_id = request.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    Cause { reason, request_id }
}

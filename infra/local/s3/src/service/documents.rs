//! Bucket sub-resources that are stored and returned. Only the notification configuration has an effect here.

use std::sync::Arc;

use http::StatusCode;
use s3s::{S3Error, S3ErrorCode, S3Request, dto::*};

use crate::{
    acl::{self, Stated},
    fault::Fault,
    store::{
        Store,
        buckets::Document,
        tags::{self, BUCKET_TAGS_MAX},
    },
};

type Done<T> = Result<T, Fault>;

/// The three operations on a sub-resource whose wire structure is stored as it is.
macro_rules! document {
    ($document:ident, $missing:expr,
     get $get:ident($get_in:ident) -> $get_out:ident, |$stored:ident: $stored_type:ident| $fields:expr,
     put $put:ident($put_in:ident) -> $put_out:ident, |$input:ident| $value:expr,
     delete $delete:ident($delete_in:ident) -> $delete_out:ident) => {
        pub(super) async fn $get(store: &Arc<Store>, request: S3Request<$get_in>) -> Done<$get_out> {
            let found = store
                .run(move |change| change.document::<$stored_type>(&request.input.bucket, Document::$document))
                .await?;
            let $stored = found.ok_or_else(|| missing($missing))?;
            Ok($fields)
        }

        pub(super) async fn $put(store: &Arc<Store>, request: S3Request<$put_in>) -> Done<$put_out> {
            let $input = request.input;
            store.run(move |change| change.set_document(&$input.bucket, Document::$document, &$value)).await?;
            Ok($put_out::default())
        }

        pub(super) async fn $delete(store: &Arc<Store>, request: S3Request<$delete_in>) -> Done<$delete_out> {
            remove(store, request.input.bucket, Document::$document).await?;
            Ok($delete_out::default())
        }
    };
}

document!(PublicAccessBlock, "NoSuchPublicAccessBlockConfiguration",
    get get_public_access(GetPublicAccessBlockInput) -> GetPublicAccessBlockOutput,
        |stored: PublicAccessBlockConfiguration| GetPublicAccessBlockOutput {
            public_access_block_configuration: Some(stored),
        },
    put put_public_access(PutPublicAccessBlockInput) -> PutPublicAccessBlockOutput,
        |input| input.public_access_block_configuration,
    delete delete_public_access(DeletePublicAccessBlockInput) -> DeletePublicAccessBlockOutput);

document!(Encryption, "ServerSideEncryptionConfigurationNotFoundError",
    get get_encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput,
        |stored: ServerSideEncryptionConfiguration| GetBucketEncryptionOutput {
            server_side_encryption_configuration: Some(stored),
        },
    put put_encryption(PutBucketEncryptionInput) -> PutBucketEncryptionOutput,
        |input| input.server_side_encryption_configuration,
    delete delete_encryption(DeleteBucketEncryptionInput) -> DeleteBucketEncryptionOutput);

document!(Ownership, "OwnershipControlsNotFoundError",
    get get_ownership(GetBucketOwnershipControlsInput) -> GetBucketOwnershipControlsOutput,
        |stored: OwnershipControls| GetBucketOwnershipControlsOutput { ownership_controls: Some(stored) },
    put put_ownership(PutBucketOwnershipControlsInput) -> PutBucketOwnershipControlsOutput,
        |input| input.ownership_controls,
    delete delete_ownership(DeleteBucketOwnershipControlsInput) -> DeleteBucketOwnershipControlsOutput);

document!(Cors, "NoSuchCORSConfiguration",
    get get_cors(GetBucketCorsInput) -> GetBucketCorsOutput,
        |stored: CORSConfiguration| GetBucketCorsOutput { cors_rules: Some(stored.cors_rules) },
    put put_cors(PutBucketCorsInput) -> PutBucketCorsOutput,
        |input| input.cors_configuration,
    delete delete_cors(DeleteBucketCorsInput) -> DeleteBucketCorsOutput);

document!(Lifecycle, "NoSuchLifecycleConfiguration",
    get get_lifecycle(GetBucketLifecycleConfigurationInput) -> GetBucketLifecycleConfigurationOutput,
        |stored: BucketLifecycleConfiguration| GetBucketLifecycleConfigurationOutput {
            rules: Some(stored.rules),
            ..Default::default()
        },
    put put_lifecycle(PutBucketLifecycleConfigurationInput) -> PutBucketLifecycleConfigurationOutput,
        |input| input.lifecycle_configuration.unwrap_or_default(),
    delete delete_lifecycle(DeleteBucketLifecycleInput) -> DeleteBucketLifecycleOutput);

pub(super) async fn get_tagging(
    store: &Arc<Store>,
    request: S3Request<GetBucketTaggingInput>,
) -> Done<GetBucketTaggingOutput> {
    let found = store.run(move |change| change.document::<Tagging>(&request.input.bucket, Document::Tagging)).await?;
    let tag_set = found.ok_or_else(|| missing("NoSuchTagSet"))?.tag_set;
    Ok(GetBucketTaggingOutput { tag_set })
}

pub(super) async fn put_tagging(
    store: &Arc<Store>,
    request: S3Request<PutBucketTaggingInput>,
) -> Done<PutBucketTaggingOutput> {
    let input = request.input;
    let tags = tags::from_set(input.tagging.tag_set, BUCKET_TAGS_MAX)?;
    let tagging = Tagging { tag_set: tags::to_set(&tags) };
    store.run(move |change| change.set_document(&input.bucket, Document::Tagging, &tagging)).await?;
    Ok(PutBucketTaggingOutput {})
}

pub(super) async fn delete_tagging(
    store: &Arc<Store>,
    request: S3Request<DeleteBucketTaggingInput>,
) -> Done<DeleteBucketTaggingOutput> {
    remove(store, request.input.bucket, Document::Tagging).await?;
    Ok(DeleteBucketTaggingOutput {})
}

pub(super) async fn get_policy(
    store: &Arc<Store>,
    request: S3Request<GetBucketPolicyInput>,
) -> Done<GetBucketPolicyOutput> {
    let policy = store.run(move |change| change.document_text(&request.input.bucket, Document::Policy)).await?;
    match policy {
        Some(policy) => Ok(GetBucketPolicyOutput { policy: Some(policy) }),
        None => Err(missing("NoSuchBucketPolicy")),
    }
}

pub(super) async fn put_policy(
    store: &Arc<Store>,
    request: S3Request<PutBucketPolicyInput>,
) -> Done<PutBucketPolicyOutput> {
    let input = request.input;
    let parsed: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_str(&input.policy);
    if !parsed.is_ok_and(|policy| policy.contains_key("Statement")) {
        return Err(Fault::refused(
            S3ErrorCode::MalformedPolicy,
            "Policies must be valid JSON objects with a Statement.",
        ));
    }
    store.run(move |change| change.set_document_text(&input.bucket, Document::Policy, Some(&input.policy))).await?;
    Ok(PutBucketPolicyOutput {})
}

pub(super) async fn delete_policy(
    store: &Arc<Store>,
    request: S3Request<DeleteBucketPolicyInput>,
) -> Done<DeleteBucketPolicyOutput> {
    remove(store, request.input.bucket, Document::Policy).await?;
    Ok(DeleteBucketPolicyOutput {})
}

pub(super) async fn get_notification(
    store: &Arc<Store>,
    request: S3Request<GetBucketNotificationConfigurationInput>,
) -> Done<GetBucketNotificationConfigurationOutput> {
    let found = store
        .run(move |change| change.document::<NotificationConfiguration>(&request.input.bucket, Document::Notification))
        .await?
        .unwrap_or_default();
    Ok(GetBucketNotificationConfigurationOutput {
        event_bridge_configuration: found.event_bridge_configuration,
        lambda_function_configurations: found.lambda_function_configurations,
        queue_configurations: found.queue_configurations,
        topic_configurations: found.topic_configurations,
    })
}

pub(super) async fn put_notification(
    store: &Arc<Store>,
    request: S3Request<PutBucketNotificationConfigurationInput>,
) -> Done<PutBucketNotificationConfigurationOutput> {
    let PutBucketNotificationConfigurationInput { bucket, notification_configuration: mut configuration, .. } =
        request.input;
    for lambda in configuration.lambda_function_configurations.iter_mut().flatten() {
        if !lambda.lambda_function_arn.starts_with("arn:") || lambda.events.is_empty() {
            return Err(Fault::refused(
                S3ErrorCode::InvalidArgument,
                "Unable to validate the destination configurations: a function needs its ARN and at least one event.",
            ));
        }
    }
    store
        .run(move |change| {
            for lambda in configuration.lambda_function_configurations.iter_mut().flatten() {
                if lambda.id.is_none() {
                    lambda.id = Some(change.fresh_id());
                }
            }
            change.set_document(&bucket, Document::Notification, &configuration)
        })
        .await?;
    Ok(PutBucketNotificationConfigurationOutput {})
}

pub(super) async fn get_acl(store: &Arc<Store>, request: S3Request<GetBucketAclInput>) -> Done<GetBucketAclOutput> {
    let stored = store.run(move |change| change.document_text(&request.input.bucket, Document::Acl)).await?;
    let policy = acl::read(stored.as_deref())?;
    Ok(GetBucketAclOutput { grants: policy.grants, owner: policy.owner })
}

pub(super) async fn put_acl(store: &Arc<Store>, request: S3Request<PutBucketAclInput>) -> Done<PutBucketAclOutput> {
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
    store.run(move |change| change.set_document_text(&input.bucket, Document::Acl, acl.as_deref())).await?;
    Ok(PutBucketAclOutput {})
}

async fn remove(store: &Arc<Store>, bucket: String, document: Document) -> Done<()> {
    store.run(move |change| change.set_document_text(&bucket, document, None)).await
}

fn missing(code: &'static str) -> Fault {
    let code = S3ErrorCode::from_bytes(code.as_bytes()).unwrap_or(S3ErrorCode::NoSuchResource);
    let mut error = S3Error::with_message(code, "The bucket has no such configuration.");
    error.set_status_code(StatusCode::NOT_FOUND);
    Fault::Refused(error)
}

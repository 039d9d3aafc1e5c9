//! What requests say of encryption. The stand-in has no keys and encrypts nothing: it refuses what S3 refuses by the
//! headers alone, keeps the rest with the object, and tells it.

use s3s::{
    S3ErrorCode,
    dto::{BucketKeyEnabled, SSEKMSEncryptionContext, SSEKMSKeyId, ServerSideEncryption},
};

use crate::{fault::Fault, store::version::Encryption};

/// What the headers of a write ask for.
///
/// # Errors
/// `InvalidArgument` for an algorithm S3 does not know, and for a key without the algorithm that uses it.
pub(super) fn asked(
    algorithm: Option<&ServerSideEncryption>,
    kms_key: Option<&SSEKMSKeyId>,
    context: Option<&SSEKMSEncryptionContext>,
    bucket_key: Option<BucketKeyEnabled>,
) -> Result<Option<Encryption>, Fault> {
    let name = algorithm.map(ServerSideEncryption::as_str);
    let uses_key =
        name.is_some_and(|name| [ServerSideEncryption::AWS_KMS, ServerSideEncryption::AWS_KMS_DSSE].contains(&name));
    let refuse = |message: &str| Err(Fault::refused(S3ErrorCode::InvalidArgument, message));
    if !uses_key && (kms_key.is_some() || context.is_some()) {
        return refuse(
            "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms",
        );
    }
    match name {
        None => Ok(None),
        Some(name) if uses_key || name == ServerSideEncryption::AES256 => Ok(Some(Encryption {
            algorithm: name.to_owned(),
            kms_key: kms_key.cloned(),
            context: context.cloned(),
            bucket_key,
        })),
        Some(_) => refuse("The encryption method specified is not supported"),
    }
}

/// Tells in an output what is kept of an object's encryption.
macro_rules! told {
    ($output:ident, $encryption:expr) => {
        if let Some(kept) = &$encryption {
            $output.server_side_encryption = Some(s3s::dto::ServerSideEncryption::from(kept.algorithm.clone()));
            $output.ssekms_key_id = kept.kms_key.clone();
            $output.bucket_key_enabled = kept.bucket_key;
        }
    };
}
pub(super) use told;

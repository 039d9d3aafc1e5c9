//! Why a signature is not accepted.

use crate::{ApiError, ErrorCode};

/// What is wrong with a signature, or with its absence. The texts are AWS's where AWS's are known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The request is not signed.
    #[error("Missing Authentication Token")]
    Missing,
    /// Parts of the signature are missing or malformed.
    #[error("{0}")]
    Incomplete(String),
    /// Nobody holds the key.
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    /// The session's token is missing or another, or there is one although the key is no session's.
    #[error("The security token included in the request is invalid.")]
    WrongToken,
    /// The session is over.
    #[error("The security token included in the request is expired")]
    ExpiredToken,
    /// The signature is for another day, region or service.
    #[error("{0}")]
    Scope(String),
    /// The request has headers that its signature must cover and does not.
    #[error("There were headers present in the request which were not signed: {}", .0.join(", "))]
    UnsignedHeaders(Vec<String>),
    /// The signature is for a time too far from now.
    #[error("{0}")]
    Skewed(String),
    /// The request is not the one that was signed, or was signed with another secret.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method. Consult the service documentation for details."
    )]
    Mismatch,
}

impl SignatureError {
    /// The error's kind in AWS's JSON and CBOR protocols (spec 9.2).
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Missing => ErrorCode::MissingAuthenticationTokenException,
            Self::Incomplete(_) => ErrorCode::IncompleteSignatureException,
            Self::UnknownKey | Self::WrongToken => ErrorCode::UnrecognizedClientException,
            Self::ExpiredToken => ErrorCode::ExpiredTokenException,
            Self::Scope(_) | Self::UnsignedHeaders(_) | Self::Skewed(_) | Self::Mismatch => {
                ErrorCode::InvalidSignatureException
            }
        }
    }
}

impl From<SignatureError> for ApiError {
    fn from(error: SignatureError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

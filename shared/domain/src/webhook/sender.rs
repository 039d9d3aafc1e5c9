//! Where a delivery comes from.

use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use ipnet::IpNet;
use sha1::Sha1;
use sha2::Sha256;

use super::{WebhookAuthentication, WebhookDefinition};

/// What a delivery says of its sender.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sender<'a> {
    /// Address it came from.
    pub address: Option<IpAddr>,
    /// Header `X-Hub-Signature-256`.
    pub signature_sha256: Option<&'a str>,
    /// Header `X-Hub-Signature`, by SHA-1, which GitHub sends beside the other and older senders alone.
    pub signature_sha1: Option<&'a str>,
}

/// A delivery does not come from where the webhook's should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unauthentic {
    /// Nobody signed it.
    #[error(
        "The delivery is not signed: it has no X-Hub-Signature-256. Set the webhook's SecretToken as the secret at GitHub."
    )]
    Unsigned,
    /// Somebody else signed it, or it was altered.
    #[error(
        "The signature does not fit: the secret at GitHub is not the webhook's SecretToken, or the body was altered."
    )]
    WrongSignature,
    /// It comes from elsewhere.
    #[error("The delivery does not come from the webhook's AllowedIPRange.")]
    WrongAddress,
}

/// Checks that a delivery comes from where `definition` demands. Of two signatures the stronger one counts.
///
/// # Errors
/// [`Unauthentic`].
pub fn authenticate(definition: &WebhookDefinition, sender: &Sender<'_>, body: &[u8]) -> Result<(), Unauthentic> {
    let configuration = &definition.authentication_configuration;
    match definition.authentication {
        WebhookAuthentication::Unauthenticated => Ok(()),
        WebhookAuthentication::Ip => {
            let range = configuration.allowed_ip_range.as_ref().and_then(|range| range.parse::<IpNet>().ok());
            match (range, sender.address) {
                // An IPv4 address may come as one of IPv6.
                (Some(range), Some(address)) if range.contains(&address.to_canonical()) => Ok(()),
                _ => Err(Unauthentic::WrongAddress),
            }
        }
        WebhookAuthentication::GithubHmac => {
            let secret = configuration.secret_token.as_ref().map(|secret| secret.expose().as_bytes());
            let secret = secret.ok_or(Unauthentic::WrongSignature)?;
            let signed = match (sender.signature_sha256, sender.signature_sha1) {
                (Some(signature), _) => fits::<Hmac<Sha256>>(secret, body, signature, "sha256="),
                (None, Some(signature)) => fits::<Hmac<Sha1>>(secret, body, signature, "sha1="),
                (None, None) => return Err(Unauthentic::Unsigned),
            };
            if signed { Ok(()) } else { Err(Unauthentic::WrongSignature) }
        }
    }
}

/// Whether `signature` is that of `body`, compared in constant time.
fn fits<M: Mac + KeyInit>(secret: &[u8], body: &[u8], signature: &str, prefix: &str) -> bool {
    let bytes = signature.strip_prefix(prefix).and_then(|digits| hex::decode(digits).ok());
    // A key of HMAC may have any length.
    let (Some(bytes), Ok(mut mac)) = (bytes, <M as KeyInit>::new_from_slice(secret)) else {
        return false;
    };
    mac.update(body);
    mac.verify_slice(&bytes).is_ok()
}

//! Identifiers made from the injected entropy, in AWS's forms.

use engine::ports::Entropy;
use jiff::Timestamp;

/// The alphabet of AWS's access key ids and principal ids: base 32.
const BASE_32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// An unsampled X-Ray trace header for an invocation at `now`.
pub(crate) fn trace_id(entropy: &dyn Entropy, now: Timestamp) -> String {
    let mut bytes = [0; 20];
    entropy.fill(&mut bytes);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let (root, parent) = hex.split_at(24);
    format!("Root=1-{:08x}-{root};Parent={parent};Sampled=0", now.as_second())
}

/// `bytes`, five bits of each, in base 32.
pub(crate) fn base_32(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(BASE_32[usize::from(byte % 32)])).collect()
}

//! The one form of a request that both sides digest.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::claim::parameters;
use super::{Claim, SignedRequest};

/// All but what RFC 3986 leaves unreserved.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same in a path.
const PATH: &AsciiSet = &PART.remove(b'/');
/// What the wire has, with everything encoded that clients encode before they sign; escapes stay as they are.
const PART_ONCE: &AsciiSet = &PART.remove(b'%');
/// The same in a path.
const PATH_ONCE: &AsciiSet = &PATH.remove(b'%');

/// The canonical request: method, path, query, signed headers, payload digest.
pub(super) fn request(claim: &Claim, request: &SignedRequest<'_>, payload_digest: &str) -> Vec<u8> {
    let start = format!("{}\n{}\n{}\n", request.method, path(claim, request), query(claim, request));
    let mut canonical = start.into_bytes();
    for name in claim.signed_headers() {
        canonical.extend_from_slice(name.as_bytes());
        canonical.push(b':');
        canonical.extend_from_slice(&header(request, name));
        canonical.push(b'\n');
    }
    canonical.extend_from_slice(format!("\n{}\n{payload_digest}", claim.signed_headers_text).as_bytes());
    canonical
}

/// S3's keys may hold anything, so its paths are taken as they are, and encoded once; all others are encoded again.
fn path(claim: &Claim, request: &SignedRequest<'_>) -> String {
    let path = if request.path.is_empty() { "/" } else { request.path };
    match claim.service.as_str() {
        "s3" => utf8_percent_encode(path, PATH_ONCE).to_string(),
        _ => utf8_percent_encode(&normalized(path), PATH).to_string(),
    }
}

/// Pairs in order of their names and values, encoded, without the signature itself.
fn query(claim: &Claim, request: &SignedRequest<'_>) -> String {
    let encode = |part: &str| utf8_percent_encode(part, PART_ONCE).to_string();
    let mut pairs: Vec<(String, String)> = parameters(request.query)
        .filter(|(name, _)| !(claim.is_presigned() && *name == "X-Amz-Signature"))
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// Every value of a header, spaces trimmed and runs of them made one.
fn header(request: &SignedRequest<'_>, name: &str) -> Vec<u8> {
    let values: Vec<Vec<u8>> = request
        .headers
        .iter()
        .filter(|(header, _)| *header == name)
        .map(|(_, value)| {
            let words = value.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
            words.collect::<Vec<_>>().join(&b' ')
        })
        .collect();
    values.join(&b',')
}

/// Without empty and dot segments (RFC 3986, section 5.2.4).
fn normalized(path: &str) -> Cow<'_, str> {
    if !path.contains("//") && !path.contains("/.") {
        return Cow::Borrowed(path);
    }
    let mut kept = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    let slash = if !kept.is_empty() && ["", ".", ".."].contains(&last) { "/" } else { "" };
    Cow::Owned(format!("/{}{slash}", kept.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lose_their_dots_and_doubled_slashes_and_keep_their_last_one() {
        for (path, expected) in [
            ("/", "/"),
            ("//", "/"),
            ("/a/./b//c", "/a/b/c"),
            ("/a/b/../../c/", "/c/"),
            ("/a/..", "/"),
            ("/../a", "/a"),
            ("/a/.b", "/a/.b"),
        ] {
            assert_eq!(normalized(path), expected, "{path}");
        }
    }
}

//! Tags of objects and buckets: the rules, and the form they have in headers.

use s3s::{S3ErrorCode, dto::Tag};

use crate::fault::Fault;

/// Most tags of an object, as S3.
pub(crate) const OBJECT_TAGS_MAX: usize = 10;
/// Most tags of a bucket, as S3.
pub(crate) const BUCKET_TAGS_MAX: usize = 50;
/// Longest key of a tag in characters, as S3.
const KEY_CHARS_MAX: usize = 128;
/// Longest value of a tag in characters, as S3.
const VALUE_CHARS_MAX: usize = 256;

/// The tags of a request body.
///
/// # Errors
/// `InvalidTag`.
pub(crate) fn from_set(set: Vec<Tag>, max: usize) -> Result<Vec<(String, String)>, Fault> {
    let tags = set.into_iter().map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())).collect();
    checked(tags, max)
}

/// The tags of an `x-amz-tagging` header, which has the form of a query string.
///
/// # Errors
/// `InvalidArgument` or `InvalidTag`.
pub(crate) fn from_header(header: &str) -> Result<Vec<(String, String)>, Fault> {
    let tags = header
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(key)?, decode(value)?))
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| {
            Fault::refused(
                S3ErrorCode::InvalidArgument,
                "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.",
            )
        })?;
    checked(tags, OBJECT_TAGS_MAX)
}

/// Stored tags as a response carries them.
pub(crate) fn to_set(tags: &[(String, String)]) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag { key: Some(key.clone()), value: Some(value.clone()) }).collect()
}

fn checked(tags: Vec<(String, String)>, max: usize) -> Result<Vec<(String, String)>, Fault> {
    let invalid = |message: String| Err(Fault::refused(S3ErrorCode::InvalidTag, message));
    if tags.len() > max {
        return invalid(format!("Tags cannot be greater than {max}"));
    }
    for (index, (key, value)) in tags.iter().enumerate() {
        if key.is_empty() || key.chars().count() > KEY_CHARS_MAX {
            return invalid(format!("A tag key must have 1 to {KEY_CHARS_MAX} characters"));
        }
        if value.chars().count() > VALUE_CHARS_MAX {
            return invalid(format!("A tag value must not have more than {VALUE_CHARS_MAX} characters"));
        }
        if tags[..index].iter().any(|(earlier, _)| earlier == key) {
            return invalid("Cannot provide multiple Tags with the same key".to_owned());
        }
    }
    Ok(tags)
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let pair = [rest.next()?, rest.next()?];
                let mut decoded = [0];
                hex::decode_to_slice(pair, &mut decoded).ok()?;
                decoded[0]
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_tags_are_decoded_and_checked() {
        assert_eq!(
            from_header("a=1+2&b=%C3%BC&c").expect("valid"),
            [("a", "1 2"), ("b", "ü"), ("c", "")].map(|(k, v)| (k.to_owned(), v.to_owned()))
        );
        for bad in ["a=%zz", "a=1&a=2", "=1", "a=%"] {
            assert!(from_header(bad).is_err(), "{bad}");
        }
    }
}

//! When a request was signed, and whether that is near enough.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Claim, SignatureError};

/// How far a signature's date may lie from now, either way, as at AWS.
pub const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// `20261126T111503Z`
pub(super) fn parse_compact(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    if date.len() != 8 || time.len() != 6 {
        return None;
    }
    let number = |digits: &str| match digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true => digits.parse::<i16>().ok(),
        false => None,
    };
    let small = |digits: &str| number(digits).and_then(|number| i8::try_from(number).ok());
    let date = Date::new(number(date.get(..4)?)?, small(date.get(4..6)?)?, small(date.get(6..)?)?).ok()?;
    let time = jiff::civil::Time::new(small(time.get(..2)?)?, small(time.get(2..4)?)?, small(time.get(4..)?)?, 0);
    DateTime::from_parts(date, time.ok()?).to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// `Thu, 26 Nov 2026 11:15:03 GMT`, as the header `Date` has it.
pub(super) fn parse_http(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

/// The inverse of [`parse_compact`].
pub(super) fn compact(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Whether the claim is of now: its date within [`SKEW`], or for a presigned URL not before it and not after it expires.
pub(super) fn check(claim: &Claim, now: Timestamp) -> Result<(), SignatureError> {
    let signed_at = claim.signed_at();
    if signed_at > now + SKEW {
        return Err(SignatureError::Skewed(format!(
            "Signature not yet current: {} is still later than {} ({} + 5 min.)",
            compact(signed_at),
            compact(now + SKEW),
            compact(now)
        )));
    }
    let (lifetime, name) = match claim.expires() {
        Some(expires) => (expires, format!("{} s", expires.as_secs())),
        None => (SKEW, "5 min".to_owned()),
    };
    if signed_at < now - lifetime {
        return Err(SignatureError::Skewed(format!(
            "Signature expired: {} is now earlier than {} ({} - {name}.)",
            compact(signed_at),
            compact(now - lifetime),
            compact(now)
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_both_forms_and_nothing_else_is() {
        let at: Timestamp = "2026-11-26T11:15:03Z".parse().unwrap();
        assert_eq!(parse_compact("20261126T111503Z"), Some(at));
        assert_eq!(parse_http("Thu, 26 Nov 2026 11:15:03 GMT"), Some(at));
        assert_eq!(compact(at), "20261126T111503Z");
        for wrong in ["", "20261126", "20261126T111503", "2026-11-26T11:15:03Z", "20261326T111503Z", "+0261126T111503Z"]
        {
            assert_eq!(parse_compact(wrong), None, "{wrong}");
        }
        for wrong in ["ä0261126T111503Z", "2026112äT11150Z", "20261126T-11503Z"] {
            assert_eq!(parse_compact(wrong), None, "{wrong}");
        }
    }
}

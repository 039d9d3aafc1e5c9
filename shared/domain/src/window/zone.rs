//! The time zone of a window.

use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

/// Abbreviations of one place each, whose clocks they stand for all year: who writes PST in June means the clocks of
/// Los Angeles. Those that mean several places (IST, BST) are refused.
const ABBREVIATIONS: [(&str, &str); 22] = [
    ("AEDT", "Australia/Sydney"),
    ("AEST", "Australia/Sydney"),
    ("AKDT", "America/Anchorage"),
    ("AKST", "America/Anchorage"),
    ("CDT", "America/Chicago"),
    ("CEST", "Europe/Paris"),
    ("CET", "Europe/Paris"),
    ("CST", "America/Chicago"),
    ("EDT", "America/New_York"),
    ("EEST", "Europe/Helsinki"),
    ("EET", "Europe/Helsinki"),
    ("EST", "America/New_York"),
    ("GMT", "Etc/GMT"),
    ("HST", "Pacific/Honolulu"),
    ("JST", "Asia/Tokyo"),
    ("KST", "Asia/Seoul"),
    ("MDT", "America/Denver"),
    ("MSK", "Europe/Moscow"),
    ("MST", "America/Denver"),
    ("NZST", "Pacific/Auckland"),
    ("PDT", "America/Los_Angeles"),
    ("PST", "America/Los_Angeles"),
];

/// Farthest offset from UTC, in hours; zones in use stay well below.
const OFFSET_HOURS_MAX: i32 = 18;

/// `Region/City`, `UTC`, `UTC+05:30`, or an abbreviation; empty for UTC.
pub(super) fn parse(text: &str) -> Result<TimeZone, String> {
    let wrong = || {
        format!(
            "'{text}' for 'TimeZone'. Write a zone of the time zone database such as Europe/Paris, UTC, or UTC+05:30; \
             of abbreviations only those of one place, such as PST"
        )
    };
    let upper = text.to_ascii_uppercase();
    if text.is_empty() || upper == "UTC" {
        return Ok(TimeZone::UTC);
    }
    if let Some(offset) = upper.strip_prefix("UTC") {
        return parse_offset(offset).map(TimeZone::fixed).ok_or_else(wrong);
    }
    let name = match ABBREVIATIONS.iter().find(|(short, _)| *short == upper) {
        Some((_, name)) => name,
        // The database has names without a region too, such as EST5EDT, which CodePipeline does not know.
        None if text.contains('/') => text,
        None => return Err(wrong()),
    };
    TimeZoneDatabase::bundled().get(name).map_err(|_| wrong())
}

/// `+05:30`, or `+5`.
fn parse_offset(text: &str) -> Option<Offset> {
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text[1..].split_once(':').unwrap_or((&text[1..], "00"));
    let number = |text: &str| {
        let is_short = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i32>().ok().filter(|_| is_short)
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let is_offset = minutes < 60 && hours * 60 + minutes <= OFFSET_HOURS_MAX * 60;
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok().filter(|_| is_offset)
}

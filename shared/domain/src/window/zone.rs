//! The time zone of a window.

use std::ops::RangeInclusive;

use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

/// Abbreviations of one place each, whose clocks they stand for all year: who writes PST in June means the clocks of
/// Los Angeles. Where places of one clock share one (CAT, WET), any of them does.
const ABBREVIATIONS: [(&str, &str); 51] = [
    ("ACDT", "Australia/Adelaide"),
    ("ACST", "Australia/Adelaide"),
    ("AEDT", "Australia/Sydney"),
    ("AEST", "Australia/Sydney"),
    ("AKDT", "America/Anchorage"),
    ("AKST", "America/Anchorage"),
    ("AWST", "Australia/Perth"),
    ("BRT", "America/Sao_Paulo"),
    ("CAT", "Africa/Maputo"),
    ("CDT", "America/Chicago"),
    ("CEST", "Europe/Paris"),
    ("CET", "Europe/Paris"),
    ("CHST", "Pacific/Guam"),
    ("CLST", "America/Santiago"),
    ("CLT", "America/Santiago"),
    ("COT", "America/Bogota"),
    ("CST", "America/Chicago"),
    ("EAT", "Africa/Nairobi"),
    ("EDT", "America/New_York"),
    ("EEST", "Europe/Helsinki"),
    ("EET", "Europe/Helsinki"),
    ("EST", "America/New_York"),
    ("GMT", "Etc/GMT"),
    ("HKT", "Asia/Hong_Kong"),
    ("HST", "Pacific/Honolulu"),
    ("ICT", "Asia/Bangkok"),
    ("IDT", "Asia/Jerusalem"),
    ("IRST", "Asia/Tehran"),
    ("JST", "Asia/Tokyo"),
    ("KST", "Asia/Seoul"),
    ("MDT", "America/Denver"),
    ("MSK", "Europe/Moscow"),
    ("MST", "America/Denver"),
    ("MYT", "Asia/Kuala_Lumpur"),
    ("NDT", "America/St_Johns"),
    ("NPT", "Asia/Kathmandu"),
    ("NZDT", "Pacific/Auckland"),
    ("NZST", "Pacific/Auckland"),
    ("PDT", "America/Los_Angeles"),
    ("PET", "America/Lima"),
    ("PHT", "Asia/Manila"),
    ("PKT", "Asia/Karachi"),
    ("PST", "America/Los_Angeles"),
    ("SAST", "Africa/Johannesburg"),
    ("SGT", "Asia/Singapore"),
    ("TRT", "Europe/Istanbul"),
    ("WAT", "Africa/Lagos"),
    ("WEST", "Europe/Lisbon"),
    ("WET", "Europe/Lisbon"),
    ("WIB", "Asia/Jakarta"),
    ("WITA", "Asia/Makassar"),
];

/// Abbreviations that mean the clocks of several places: Irish, Israeli and Indian time are all IST.
const AMBIGUOUS: [&str; 15] =
    ["ACT", "ADT", "AMT", "ART", "AST", "BDT", "BST", "CCT", "ECT", "GST", "IST", "NST", "SST", "WIT", "WST"];

/// How long the abbreviations are that CodePipeline takes (spec 4.3).
const ABBREVIATION_CHARS: RangeInclusive<usize> = 3..=5;

/// Farthest offset from UTC, in hours; zones in use stay well below.
const OFFSET_HOURS_MAX: i32 = 18;

/// `Region/City`, `UTC`, `UTC+05:30`, or an abbreviation; empty for UTC.
pub(super) fn parse(text: &str) -> Result<TimeZone, String> {
    let write = "Write a zone of the time zone database such as Europe/Paris, UTC, or UTC+05:30; of abbreviations only \
                 those of one place, such as PST";
    let wrong = || format!("'{text}' for 'TimeZone'. {write}");
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
        None if AMBIGUOUS.contains(&upper.as_str()) => {
            return Err(format!("'{text}' for 'TimeZone', which stands for the clocks of several places. {write}"));
        }
        None if is_abbreviation(text) => {
            return Err(format!("'{text}' for 'TimeZone', an abbreviation that is not known. {write}"));
        }
        None => return Err(wrong()),
    };
    TimeZoneDatabase::bundled().get(name).map_err(|_| wrong())
}

fn is_abbreviation(text: &str) -> bool {
    ABBREVIATION_CHARS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphabetic())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_abbreviation_is_in_the_database_and_means_one_place() {
        for (short, name) in ABBREVIATIONS {
            assert_eq!(parse(short), TimeZoneDatabase::bundled().get(name).map_err(|why| why.to_string()), "{short}");
            assert!(is_abbreviation(short) && !AMBIGUOUS.contains(&short), "{short}");
        }
        assert!(ABBREVIATIONS.is_sorted() && AMBIGUOUS.is_sorted(), "each is found where it is looked for");
    }

    #[test]
    fn what_means_several_places_is_told_from_what_nobody_knows() {
        for short in AMBIGUOUS {
            assert!(parse(short).unwrap_err().contains("clocks of several places"), "{short}");
        }
        for (text, says) in [("QXT", "is not known"), ("bst", "several places"), ("Mars", "is not known")] {
            assert!(parse(text).unwrap_err().contains(says), "{text}");
        }
        for text in ["EST5EDT", "UTC5", "Europe/Atlantis", "PACIFIC"] {
            let refused = parse(text).unwrap_err();
            assert!(refused.starts_with(&format!("'{text}' for 'TimeZone'. Write a zone")), "{refused}");
        }
    }
}

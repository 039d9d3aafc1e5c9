use std::collections::BTreeSet;

use jiff::{SignedDuration, tz::TimeZoneDatabase};
use proptest::{prelude::*, sample::select};

use super::*;

fn window(cron: &str, zone: &str) -> DeploymentWindow {
    DeploymentWindow::parse(cron, zone).unwrap_or_else(|why| panic!("{cron} {zone}: has {why}"))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_window_is_open_when_every_field_matches() {
    for (cron, zone, instant, open) in [
        // 2026-11-23 is a Monday.
        ("0 0 9-17 ? * MON-FRI *", "", "2026-11-23T09:00:00Z", true),
        ("0 0 9-17 ? * MON-FRI *", "", "2026-11-23T17:59:59Z", true),
        ("0 0 9-17 ? * MON-FRI *", "", "2026-11-23T18:00:00Z", false),
        ("0 0 9-17 ? * MON-FRI *", "", "2026-11-22T09:00:00Z", false),
        ("0 0 9-17 ? * mon-fri", "PST", "2026-11-23T16:59:59Z", false),
        ("0 0 9-17 ? * mon-fri", "PST", "2026-11-23T17:00:00Z", true),
        ("0 0 9-17 ? * MON-FRI", "pst", "2026-07-20T16:00:00Z", true), // nine o'clock in summer
        ("0 0 9 ? * *", "UTC+05:30", "2026-11-23T03:30:00Z", true),
        ("0 0 9 ? * *", "UTC+05:30", "2026-11-23T03:29:59Z", false),
        ("0 0 9 ? * *", "UTC-5", "2026-11-23T14:00:00Z", true),
        ("0 0 9 ? * *", "utc", "2026-11-23T09:00:00.5Z", true),
        ("00 00 9 ? * *", "", "2026-11-23T09:59:59Z", true),
        ("00 30 9 ? * *", "", "2026-11-23T09:30:59Z", true),
        ("* 0 9 ? * *", "", "2026-11-23T09:00:59Z", true),
        ("* 0 9 ? * *", "", "2026-11-23T09:01:00Z", false),
        ("0 30 9 ? * *", "", "2026-11-23T09:30:59Z", true),
        ("0 30 9 ? * *", "", "2026-11-23T09:31:00Z", false),
        ("0 0-29 9 ? * *", "", "2026-11-23T09:29:59Z", true),
        ("0 0-29 9 ? * *", "", "2026-11-23T09:30:00Z", false),
        ("0 */15 * * * ?", "", "2026-11-23T09:45:30Z", true),
        ("0 */15 * * * ?", "", "2026-11-23T09:46:00Z", false),
        ("0 /15 * * * ?", "", "2026-11-23T09:45:30Z", true),
        ("0 5/20 * * * ?", "", "2026-11-23T09:45:30Z", true),
        ("0 5/20 * * * ?", "", "2026-11-23T09:20:30Z", false),
        ("0-9 * * * * ?", "", "2026-11-23T09:46:09Z", true),
        ("0-9 * * * * ?", "", "2026-11-23T09:46:10Z", false),
        ("0 0 22-2 ? * *", "", "2026-11-23T01:00:00Z", true),
        ("0 0 22-2 ? * *", "", "2026-11-23T03:00:00Z", false),
        ("0 0 0 ? * FRI-MON", "", "2026-11-23T00:10:00Z", true),
        ("0 0 0 ? * FRI-MON", "", "2026-11-24T00:10:00Z", false),
        ("0 0 * 1,15 NOV ?", "", "2026-11-15T12:00:00Z", true),
        ("0 0 * 1,15 11 ?", "", "2026-12-15T12:00:00Z", false),
        ("0 0 * L * ?", "", "2026-11-30T12:00:00Z", true),
        ("0 0 * L-2 * ?", "", "2026-11-28T12:00:00Z", true),
        // The first of November 2026 is a Sunday; the last of October and of February are Saturdays.
        ("0 0 * 1W * ?", "", "2026-11-02T12:00:00Z", true),
        ("0 0 * 1W * ?", "", "2026-08-03T12:00:00Z", true), // the first is a Saturday, and July is not touched
        ("0 0 * LW * ?", "", "2026-10-30T12:00:00Z", true),
        ("0 0 * LW * ?", "", "2026-05-29T12:00:00Z", true), // the last is a Sunday
        ("0 0 * L-1W * ?", "", "2026-10-30T12:00:00Z", true),
        ("0 0 * 31W * ?", "", "2026-11-30T12:00:00Z", false), // November has no 31st
        ("0 0 * 15W,20 * ?", "", "2026-11-16T12:00:00Z", true),
        ("0 0 * ? * 6L", "", "2026-11-27T12:00:00Z", true),
        ("0 0 * ? * 6L", "", "2026-11-20T12:00:00Z", false),
        ("0 0 * ? * FRIL", "", "2026-11-27T12:00:00Z", true),
        ("0 0 * ? * L", "", "2026-11-28T12:00:00Z", true),
        ("0 0 * ? * MON#4", "", "2026-11-23T12:00:00Z", true),
        ("0 0 * ? * 2#3", "", "2026-11-23T12:00:00Z", false),
        ("0 0 * * * *", "", "2026-11-23T12:00:00Z", true),
        ("0 0 * ? * * 2026", "", "2026-11-23T12:00:00Z", true),
        ("0 0 * ? * * 2027-2030", "", "2026-11-23T12:00:00Z", false),
        ("0 0 * ? * * 2024/2", "", "2026-11-23T12:00:00Z", true),
        ("0 0 * ? * * 2025/2,2028", "", "2026-11-23T12:00:00Z", false),
        // Half past two comes twice when the clocks are put back, and is open both times.
        ("0 30 2 ? * *", "Europe/Paris", "2026-10-25T00:30:00Z", true),
        ("0 30 2 ? * *", "Europe/Paris", "2026-10-25T01:30:00Z", true),
    ] {
        assert_eq!(window(cron, zone).is_open(at(instant)), open, "{cron} {zone} {instant}");
    }
}

#[test]
fn a_window_opens_at_its_first_instant_to_come() {
    for (cron, zone, instant, opens) in [
        ("0 0 9-17 ? * MON-FRI *", "", "2026-11-23T08:59:30Z", Some("2026-11-23T09:00:00Z")),
        ("0 0 9-17 ? * MON-FRI *", "", "2026-11-23T08:59:59.9Z", Some("2026-11-23T09:00:00Z")),
        ("0 0 9-17 ? * MON-FRI *", "", "2026-11-23T12:34:56.7Z", Some("2026-11-23T12:34:56.7Z")),
        ("0 0 9-17 ? * MON-FRI *", "", "2026-11-23T18:00:00Z", Some("2026-11-24T09:00:00Z")),
        // From Friday evening over the weekend.
        ("0 0 9-17 ? * MON-FRI *", "PST", "2026-11-28T02:00:00Z", Some("2026-11-30T17:00:00Z")),
        ("0 30 12 ? * *", "", "2026-11-23T12:31:00Z", Some("2026-11-24T12:30:00Z")),
        ("15,45 * * ? * *", "", "2026-11-23T12:31:20Z", Some("2026-11-23T12:31:45Z")),
        ("15,45 * * ? * *", "", "2026-11-23T23:59:50Z", Some("2026-11-24T00:00:15Z")),
        ("0 0 * 29 FEB ?", "", "2026-11-23T00:00:00Z", Some("2028-02-29T00:00:00Z")),
        // 2100 is no leap year.
        ("0 0 * 29 FEB ?", "", "2096-03-01T00:00:00Z", Some("2104-02-29T00:00:00Z")),
        ("0 0 0 1 1 ? 2150", "America/New_York", "2026-11-23T00:00:00Z", Some("2150-01-01T05:00:00Z")),
        ("0 0 * ? * * 2025", "", "2026-11-23T00:00:00Z", None),
        ("0 0 * 31 FEB ?", "", "2026-11-23T00:00:00Z", None),
        ("0 0 * 31 FEB ?", "Europe/Paris", "2026-11-23T00:00:00Z", None),
        // The hour is left out when summer time begins.
        ("0 0 2 ? * *", "Europe/Paris", "2026-03-28T12:00:00Z", Some("2026-03-30T00:00:00Z")),
        ("0 0 2,3 ? * *", "Europe/Paris", "2026-03-28T12:00:00Z", Some("2026-03-29T01:00:00Z")),
        // It comes twice when summer time ends.
        ("0 30 2 ? * *", "Europe/Paris", "2026-10-25T00:00:00Z", Some("2026-10-25T00:30:00Z")),
        ("0 30 2 ? * *", "Europe/Paris", "2026-10-25T00:31:00Z", Some("2026-10-25T01:30:00Z")),
        ("0 30 2 ? * *", "Europe/Paris", "2026-10-25T01:31:00Z", Some("2026-10-26T01:30:00Z")),
        // Samoa left out a whole day.
        ("0 0 0 30 DEC ?", "Pacific/Apia", "2011-12-29T12:00:00Z", Some("2012-12-29T10:00:00Z")),
    ] {
        let found = window(cron, zone).next_opening(at(instant));
        assert_eq!(found, opens.map(at), "{cron} {zone} {instant}");
        assert!(found.is_none_or(|found| window(cron, zone).is_open(found)));
    }
}

#[test]
fn what_is_no_window_is_refused_with_what_to_write() {
    for (cron, zone, word) in [
        ("", "", "0 fields"),
        ("0 0 9 ? *", "", "5 fields"),
        ("0 0 9 ? * * * *", "", "8 fields"),
        ("60 0 9 ? * *", "", "'60'"),
        ("0 60 9 ? * *", "", "Write 0 to 59"),
        ("0 0 24 ? * *", "", "field for hours"),
        ("0 ? 9 ? * *", "", "'?'"),
        ("0 0 +9 ? * *", "", "'+9'"),
        ("0 0 9- ? * *", "", "'9-'"),
        ("0 0 9,, ? * *", "", "''"),
        ("0 0 9 32 * ?", "", "'32'"),
        ("0 0 9 0W * ?", "", "'0W'"),
        ("0 0 9 L-31 * ?", "", "'L-31'"),
        ("0 0 9 LX * ?", "", "'LX'"),
        ("0 0 9 ? FOO *", "", "JAN to DEC"),
        ("0 0 9 ? 13 *", "", "'13'"),
        ("0 0 9 ? * MON#6", "", "'MON#6'"),
        ("0 0 9 ? * MON-FRIL", "", "'MON-FRIL'"),
        ("0 0 9 ? * 8", "", "'8'"),
        ("0 */0 9 ? * *", "", "'*/0'"),
        ("0 */60 9 ? * *", "", "'*/60'"),
        ("0 0 9 13 * FRI", "", "Write ? for one of them"),
        ("0 0 9 ? * * 1969", "", "'1969'"),
        ("0 0 9 ? * * 2030-2026", "", "'2030-2026'"),
        ("0 0 9 ? * *", "Europe/Atlantis", "Europe/Atlantis"),
        ("0 0 9 ? * *", "EST5EDT", "EST5EDT"),
        ("0 0 9 ? * *", "UTC+25:00", "UTC+25:00"),
        ("0 0 9 ? * *", "UTC+05:60", "UTC+05:60"),
        ("0 0 9 ? * *", "UTC++5", "UTC++5"),
        ("0 0 9 ? * *", "UTC5", "UTC5"),
        ("0 0 9 ? * *", "UTC+é", "UTC+é"),
        ("0 0 9 ? * *", "IST", "the clocks of several places"),
    ] {
        let refused = DeploymentWindow::parse(cron, zone).expect_err(cron);
        assert!(refused.contains(word), "{cron} {zone}: {refused}");
    }
}

/// A window as sets of numbers, which an oracle compares with a clock.
#[derive(Debug, Clone)]
struct Plain {
    seconds: Option<BTreeSet<i8>>,
    minutes: BTreeSet<i8>,
    hours: BTreeSet<i8>,
    days: Option<BTreeSet<i8>>,
    weekdays: Option<BTreeSet<i8>>,
}

impl Plain {
    fn cron(&self) -> String {
        let list = |set: &BTreeSet<i8>| set.iter().map(i8::to_string).collect::<Vec<_>>().join(",");
        let or = |set: &Option<BTreeSet<i8>>, any: &str| set.as_ref().map_or(any.to_owned(), list);
        let (minutes, hours) = (list(&self.minutes), list(&self.hours));
        format!("{} {minutes} {hours} {} * {}", or(&self.seconds, "*"), or(&self.days, "?"), or(&self.weekdays, "?"))
    }

    fn is_open(&self, zone: &TimeZone, at: Timestamp) -> bool {
        let local = at.to_zoned(zone.clone());
        let has = |set: &Option<BTreeSet<i8>>, number| set.as_ref().is_none_or(|set| set.contains(&number));
        let is_day = has(&self.days, local.day()) && has(&self.weekdays, local.weekday().to_sunday_one_offset());
        let is_minute = self.hours.contains(&local.hour()) && self.minutes.contains(&local.minute());
        is_day && is_minute && has(&self.seconds, local.second())
    }
}

fn some(numbers: std::ops::RangeInclusive<i8>, count: usize) -> impl Strategy<Value = BTreeSet<i8>> {
    prop::collection::btree_set(numbers, 1..=count)
}

fn days() -> impl Strategy<Value = (Option<BTreeSet<i8>>, Option<BTreeSet<i8>>)> {
    prop_oneof![
        Just((None, None)),
        some(1..=31, 12).prop_map(|days| (Some(days), None)),
        some(1..=7, 4).prop_map(|weekdays| (None, Some(weekdays))),
    ]
}

/// An instant near a change of the zone's clocks, among them one of half an hour and one of a whole day.
fn places() -> impl Strategy<Value = (&'static str, Timestamp)> {
    let changes = [
        ("UTC", "2026-11-23T10:00:00Z"),
        ("America/New_York", "2026-03-08T07:00:00Z"),
        ("America/New_York", "2026-11-01T06:00:00Z"),
        ("Europe/Paris", "2026-03-29T01:00:00Z"),
        ("Europe/Paris", "2026-10-25T01:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
        ("Asia/Kathmandu", "2026-06-01T00:00:00Z"),
        ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    ];
    (select(changes.to_vec()), -180_000_i64..60_000)
        .prop_map(|((zone, change), seconds)| (zone, at(change) + SignedDuration::from_secs(seconds)))
}

/// Looks at every `step`, from whole ones, as far as `far`.
fn oracle(plain: &Plain, zone: &TimeZone, from: Timestamp, step: i64, far: i64) -> Option<Timestamp> {
    if plain.is_open(zone, from) {
        return Some(from);
    }
    let first = (from.as_second() / step + 1) * step;
    let looks = (first..from.as_second() + far).step_by(usize::try_from(step).unwrap());
    looks.map(|second| Timestamp::from_second(second).unwrap()).find(|at| plain.is_open(zone, *at))
}

fn compare(plain: &Plain, name: &str, from: Timestamp, step: i64, far: i64) -> Result<(), TestCaseError> {
    let zone = TimeZoneDatabase::bundled().get(name).unwrap_or(TimeZone::UTC);
    let window = window(&plain.cron(), name);
    let found = window.next_opening(from);
    match oracle(plain, &zone, from, step, far) {
        Some(opens) => prop_assert_eq!(found, Some(opens), "{} {} from {}", plain.cron(), name, from),
        None => {
            let later = from + SignedDuration::from_secs(far - step);
            prop_assert!(found.is_none_or(|found| found >= later && window.is_open(found)), "{:?}", found);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn whole_minutes_open_when_a_walk_by_minutes_finds_them_open(
        (place, from) in places(), minutes in some(1..=59, 4), hours in some(0..=23, 4), (days, weekdays) in days(),
    ) {
        let plain = Plain { seconds: None, minutes, hours, days, weekdays };
        compare(&plain, place, from, 60, 4 * 86_400)?;
    }

    #[test]
    fn seconds_open_when_a_walk_by_seconds_finds_them_open(
        (place, from) in places(), seconds in some(1..=59, 3), minutes in some(1..=59, 6), hours in some(0..=23, 20),
    ) {
        let plain = Plain { seconds: Some(seconds), minutes, hours, days: None, weekdays: None };
        compare(&plain, place, from, 1, 2 * 3_600)?;
    }
}

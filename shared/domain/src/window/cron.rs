//! Quartz's cron fields.

use jiff::civil::{Date, DateTime, Time};

/// First and last year that can be named.
const YEAR_MIN: i16 = 1970;
pub(super) const YEAR_MAX: i16 = 2199;

/// What the seven fields let through, each by itself.
#[derive(Debug, Clone)]
pub(super) struct Cron {
    seconds: Set,
    minutes: Set,
    hours: Set,
    days: Vec<Day>,
    months: Set,
    weekdays: Vec<Weekday>,
    years: Vec<Years>,
}

/// Numbers below 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Set(u64);

/// What a part of the field for days of the month can demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Day {
    Any,
    On(Set),
    /// So many days before the last of the month.
    BeforeLast(i8),
    /// The workday nearest to the day so many before the last of the month.
    WorkdayBeforeLast(i8),
    /// The workday nearest to this day, in months that have it.
    WorkdayNear(i8),
}

/// What a part of the field for days of the week can demand; Sunday is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weekday {
    Any,
    On(Set),
    /// The last of the month.
    Last(i8),
    /// The so many-th of the month.
    Nth(i8, i8),
}

/// Every so many years.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Years {
    from: i16,
    to: i16,
    step: i16,
}

impl Cron {
    /// # Errors
    /// What is wrong and what to write, as it follows "has ".
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let upper = text.to_ascii_uppercase();
        let fields: Vec<&str> = upper.split_whitespace().collect();
        let ([seconds, minutes, hours, days, months, weekdays] | [seconds, minutes, hours, days, months, weekdays, _]) =
            fields.as_slice()
        else {
            return Err(format!(
                "'{text}' for 'Cron', which has {} fields. Write seconds, minutes, hours, day of month, month, day of \
                 week and, if you like, the year",
                fields.len()
            ));
        };
        let in_field =
            |field: &str, why: String| format!("'{text}' for 'Cron', whose field for {field} is wrong: {why}");
        let set = |field: &str, text: &str, least: i8, most: i8, names: &[&str]| {
            Set::parse(text, least, most, names).map_err(|why| in_field(field, why))
        };
        let is_zero = |field: &str| digits::<i8>(field) == Some(0);
        let whole_minute = is_zero(seconds);
        let cron = Self {
            seconds: if whole_minute { Set::ALL } else { set("seconds", seconds, 0, 59, &[])? },
            minutes: if whole_minute && is_zero(minutes) { Set::ALL } else { set("minutes", minutes, 0, 59, &[])? },
            hours: set("hours", hours, 0, 23, &[])?,
            days: parse_parts(days, Day::parse).map_err(|why| in_field("days of the month", why))?,
            months: set("months", months, 1, 12, &MONTHS)?,
            weekdays: parse_parts(weekdays, Weekday::parse).map_err(|why| in_field("days of the week", why))?,
            years: parse_parts(fields.get(6).unwrap_or(&"*"), Years::parse).map_err(|why| in_field("years", why))?,
        };
        // Some take days that are both, some days that are either: nobody can tell what is meant.
        if !cron.days.contains(&Day::Any) && !cron.weekdays.contains(&Weekday::Any) {
            return Err(format!(
                "'{text}' for 'Cron', which names days of the month and days of the week. Write ? for one of them"
            ));
        }
        Ok(cron)
    }

    pub(super) fn matches(&self, at: DateTime) -> bool {
        self.has_year(at.year())
            && self.months.has(at.month())
            && self.has_day(at.date())
            && self.hours.has(at.hour())
            && self.minutes.has(at.minute())
            && self.seconds.has(at.second())
    }

    /// The first match that is not before `from`, in whole seconds, and that is before `end`.
    pub(super) fn first_match(&self, from: DateTime, end: Option<DateTime>) -> Option<DateTime> {
        let (mut date, mut time) = (from.date(), from.time());
        while date.year() <= YEAR_MAX && end.is_none_or(|end| date <= end.date()) {
            let next = if !self.has_year(date.year()) {
                date.last_of_year()
            } else if !self.months.has(date.month()) {
                date.last_of_month()
            } else {
                if self.has_day(date)
                    && let Some(time) = self.first_time(time)
                {
                    let found = date.to_datetime(time);
                    return end.is_none_or(|end| found < end).then_some(found);
                }
                date
            };
            (date, time) = (next.tomorrow().ok()?, Time::midnight());
        }
        None
    }

    /// The first match of a day that is not before `from`.
    fn first_time(&self, from: Time) -> Option<Time> {
        for hour in self.hours.from(from.hour()) {
            let least = if hour == from.hour() { from.minute() } else { 0 };
            for minute in self.minutes.from(least) {
                let is_first = (hour, minute) == (from.hour(), from.minute());
                let second = self.seconds.from(if is_first { from.second() } else { 0 }).next();
                if let Some(second) = second {
                    return Time::new(hour, minute, second, 0).ok();
                }
            }
        }
        None
    }

    fn has_year(&self, year: i16) -> bool {
        self.years.iter().any(|years| years.has(year))
    }

    fn has_day(&self, date: Date) -> bool {
        self.days.iter().any(|day| day.is(date)) && self.weekdays.iter().any(|weekday| weekday.is(date))
    }
}

impl Set {
    /// Every second, or every minute.
    const ALL: Self = Self((1 << 60) - 1);

    /// Reads a list of numbers, names, ranges and steps between `least` and `most`. The first name is `least`.
    fn parse(field: &str, least: i8, most: i8, names: &[&str]) -> Result<Self, String> {
        let mut set = 0;
        for part in field.split(',') {
            let wrong = || {
                let names = match names {
                    [first, .., last] => format!(", or {first} to {last}"),
                    _ => String::new(),
                };
                format!("'{part}' is none of its values. Write {least} to {most}{names}, as in 1-5 or */2")
            };
            let number = |text: &str| {
                let named = names.iter().position(|name| *name == text).and_then(|at| i8::try_from(at).ok());
                let number = named.map(|at| least + at).or_else(|| digits(text));
                number.filter(|number| (least..=most).contains(number)).ok_or_else(wrong)
            };
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => {
                    (range, digits(step).filter(|step| (1..=most).contains(step)).ok_or_else(wrong)?)
                }
                None => (part, 1),
            };
            let is_stepped = part.contains('/');
            let (from, to) = match range.split_once('-') {
                None if range == "*" || (range.is_empty() && is_stepped) => (least, most),
                None if is_stepped => (number(range)?, most),
                None => (number(range)?, number(range)?),
                Some((from, to)) => (number(from)?, number(to)?),
            };
            // A range may pass the end, as FRI-MON.
            let count = most - least + 1;
            let length = if to < from { to - from + count } else { to - from };
            for at in (0..=length).step_by(usize::from(step.unsigned_abs())) {
                set |= 1 << ((from - least + at) % count + least);
            }
        }
        Ok(Self(set))
    }

    fn has(self, number: i8) -> bool {
        u32::try_from(number).is_ok_and(|number| number < 64 && self.0 >> number & 1 == 1)
    }

    /// Its numbers from `least` on.
    fn from(self, least: i8) -> impl Iterator<Item = i8> {
        (least..64).filter(move |number| self.has(*number))
    }
}

/// A number without a sign, which `parse` alone would take.
fn digits<N: std::str::FromStr>(text: &str) -> Option<N> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn parse_parts<T>(field: &str, parse: fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    field.split(',').map(parse).collect()
}

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl Day {
    fn parse(part: &str) -> Result<Self, String> {
        let wrong = || format!("'{part}' is no day of the month. Write 1 to 31, L, L-3, LW or 15W");
        let day = |text: &str, least: i8| digits(text).filter(|day| (least..=31).contains(day)).ok_or_else(wrong);
        if matches!(part, "*" | "?") {
            return Ok(Self::Any);
        }
        if let Some(rest) = part.strip_prefix('L') {
            let (rest, is_workday) = rest.strip_suffix('W').map_or((rest, false), |rest| (rest, true));
            let before = match rest.strip_prefix('-') {
                Some(days) => day(days, 0).ok().filter(|days| *days <= 30).ok_or_else(wrong)?,
                None if rest.is_empty() => 0,
                None => return Err(wrong()),
            };
            return Ok(if is_workday { Self::WorkdayBeforeLast(before) } else { Self::BeforeLast(before) });
        }
        match part.strip_suffix('W') {
            Some(near) => Ok(Self::WorkdayNear(day(near, 1)?)),
            None => Set::parse(part, 1, 31, &[]).map(Self::On).map_err(|_| wrong()),
        }
    }

    fn is(self, date: Date) -> bool {
        let last = date.days_in_month();
        match self {
            Self::Any => true,
            Self::On(days) => days.has(date.day()),
            Self::BeforeLast(days) => date.day() == last - days,
            Self::WorkdayBeforeLast(days) => nearest_workday(date, last - days) == Some(date.day()),
            Self::WorkdayNear(day) => nearest_workday(date, day) == Some(date.day()),
        }
    }
}

/// The workday nearest to the `day`th in the month of `date`, without leaving the month.
fn nearest_workday(date: Date, day: i8) -> Option<i8> {
    let weekday = date.with().day(day).build().ok()?.weekday().to_sunday_one_offset();
    Some(match weekday {
        1 if day == date.days_in_month() => day - 2,
        1 => day + 1,
        7 if day == 1 => day + 2,
        7 => day - 1,
        _ => day,
    })
}

impl Weekday {
    fn parse(part: &str) -> Result<Self, String> {
        let wrong = || format!("'{part}' is no day of the week. Write 1 (Sunday) to 7, SUN to SAT, 6L or 2#1");
        let weekday = |text: &str| match Set::parse(text, 1, 7, &WEEKDAYS) {
            Ok(Set(set)) if set.is_power_of_two() => i8::try_from(set.trailing_zeros()).map_err(|_| wrong()),
            _ => Err(wrong()),
        };
        if matches!(part, "*" | "?") {
            return Ok(Self::Any);
        }
        if part == "L" {
            return Ok(Self::On(Set(1 << 7)));
        }
        if let Some((day, nth)) = part.split_once('#') {
            let nth = digits(nth).filter(|nth| (1..=5).contains(nth)).ok_or_else(wrong)?;
            return Ok(Self::Nth(weekday(day)?, nth));
        }
        match part.strip_suffix('L') {
            Some(day) => Ok(Self::Last(weekday(day)?)),
            None => Set::parse(part, 1, 7, &WEEKDAYS).map(Self::On).map_err(|_| wrong()),
        }
    }

    fn is(self, date: Date) -> bool {
        let weekday = date.weekday().to_sunday_one_offset();
        match self {
            Self::Any => true,
            Self::On(weekdays) => weekdays.has(weekday),
            Self::Last(last) => weekday == last && date.day() + 7 > date.days_in_month(),
            Self::Nth(nth, which) => weekday == nth && (date.day() - 1) / 7 + 1 == which,
        }
    }
}

impl Years {
    fn parse(part: &str) -> Result<Self, String> {
        let wrong = || format!("'{part}' is no year. Write years from {YEAR_MIN} to {YEAR_MAX}, as in 2026-2030");
        let year = |text: &str| digits(text).filter(|year| (YEAR_MIN..=YEAR_MAX).contains(year)).ok_or_else(wrong);
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                let step = digits(step).filter(|step| (1..=YEAR_MAX - YEAR_MIN).contains(step)).ok_or_else(wrong)?;
                (range, Some(step))
            }
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            None if range == "*" => (YEAR_MIN, YEAR_MAX),
            None if step.is_some() => (year(range)?, YEAR_MAX),
            None => (year(range)?, year(range)?),
            Some((from, to)) => (year(from)?, year(to)?),
        };
        if to < from { Err(wrong()) } else { Ok(Self { from, to, step: step.unwrap_or(1) }) }
    }

    fn has(self, year: i16) -> bool {
        (self.from..=self.to).contains(&year) && (year - self.from) % self.step == 0
    }
}

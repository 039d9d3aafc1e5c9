//! Deployment windows (spec 4.3): Quartz's cron fields on the clocks of a time zone.
//!
//! A window is open in every second that its fields match, by one addition: a `0` for the seconds stands for the whole
//! minute, and a `0` for the minutes with it for the whole hour. CodePipeline's own sample `0 0 9-17 ? * MON-FRI *` is
//! a working day in that reading; to the letter it would be open for nine single seconds. Who means the minute alone
//! writes `* 0 9-17 ? * MON-FRI`.

mod cron;
#[cfg(test)]
mod tests;
mod zone;

use jiff::{Timestamp, tz::TimeZone};

use cron::Cron;

/// When deployments are let in.
#[derive(Debug, Clone)]
pub struct DeploymentWindow {
    cron: Cron,
    zone: TimeZone,
}

impl DeploymentWindow {
    /// Reads `Cron` (`seconds minutes hours day-of-month month day-of-week [year]`) and `TimeZone`: `Region/City`, `UTC`
    /// with or without an offset, or an abbreviation; empty for UTC.
    ///
    /// # Errors
    /// What is wrong with them and what to write, for people, as it follows "has ".
    pub fn parse(cron: &str, zone: &str) -> Result<Self, String> {
        Ok(Self { cron: Cron::parse(cron)?, zone: zone::parse(zone)? })
    }

    /// Whether deployments are let in at this instant.
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.cron.matches(self.zone.to_datetime(at))
    }

    /// The first instant from `at` on at which they are: `at` itself where the window is open. An hour that is left out
    /// when clocks are put forward has no openings, one that comes twice has them twice. `None` where the window does
    /// not open again before the year 2200.
    pub fn next_opening(&self, at: Timestamp) -> Option<Timestamp> {
        if self.is_open(at) {
            return Some(at);
        }
        // Windows open with a whole second. Between two changes of its offset a zone's clocks run evenly, so there the
        // fields alone say when.
        let mut from = Timestamp::from_second(at.as_second() + 1).ok()?;
        loop {
            let offset = self.zone.to_offset(from);
            let change = self.zone.following(from).map(|change| change.timestamp()).find(|change| *change > from);
            let end = change.map(|change| offset.to_datetime(change));
            if let Some(opens) = self.cron.first_match(offset.to_datetime(from), end) {
                return offset.to_timestamp(opens).ok();
            }
            from = change?;
            if offset.to_datetime(from).year() > cron::YEAR_MAX {
                return None;
            }
        }
    }
}

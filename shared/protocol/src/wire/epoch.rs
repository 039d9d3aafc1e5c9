//! Points in time on the wire.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A point in time, on the wire as epoch seconds with a millisecond fraction (spec 0.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub Timestamp);

impl From<Timestamp> for Epoch {
    fn from(timestamp: Timestamp) -> Self {
        Self(timestamp)
    }
}

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Exact: milliseconds of the years -9999 to 9999 need 49 bits, and a double holds 53.
        serializer.serialize_f64(self.0.as_millisecond() as f64 / 1000.0)
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        // A float too large for the calendar saturates here and is refused by the calendar.
        Timestamp::from_millisecond((seconds * 1000.0).round() as i64).map(Self).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn travels_as_seconds_with_milliseconds() {
        let epoch = Epoch("2015-03-25T01:11:51.525987Z".parse().unwrap());
        let value = serde_json::to_value(epoch).unwrap();
        assert_eq!(value, json!(1_427_245_911.525));
        let back: Epoch = serde_json::from_value(value).unwrap();
        assert_eq!(back.0.to_string(), "2015-03-25T01:11:51.525Z");
    }

    #[test]
    fn whole_numbers_are_read_and_impossible_times_refused() {
        let back: Epoch = serde_json::from_value(json!(1_780_000_000)).unwrap();
        assert_eq!(back.0.as_second(), 1_780_000_000);
        assert!(serde_json::from_value::<Epoch>(json!(1e300)).is_err());
    }
}

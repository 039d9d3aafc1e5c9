//! Rollbacks by week, as columns: how many there were, and whether they helped.

use jiff::{SignedDuration, Timestamp};

/// Weeks that are drawn, the last of which ends now.
const WEEKS: usize = 12;
/// Width of a week, and of its column, of 720 units.
const STEP: i64 = 60;
const COLUMN: i64 = 34;
/// Where columns stand, and how high the highest is.
const FLOOR: f64 = 132.0;
const HEIGHT: f64 = 108.0;

/// Columns; positions in the picture's own units.
pub(super) struct Weeks {
    pub(super) columns: Vec<Column>,
    /// The same in words.
    pub(super) told: String,
}

/// One week.
pub(super) struct Column {
    /// Its first day.
    pub(super) from: String,
    pub(super) x: i64,
    pub(super) middle: i64,
    pub(super) helped: usize,
    pub(super) did_not_help: usize,
    pub(super) unmeasured: usize,
    /// From the floor up: look, top and height.
    pub(super) parts: Vec<(&'static str, f64, f64)>,
    /// Above which the number stands.
    pub(super) top: f64,
}

impl Column {
    pub(super) fn all(&self) -> usize {
        self.helped + self.did_not_help + self.unmeasured
    }
}

impl Weeks {
    /// Of rollbacks, each with its moment and whether it helped, where that is known. Older ones are left out.
    pub(super) fn of(rollbacks: impl Iterator<Item = (Timestamp, Option<bool>)>, now: Timestamp) -> Self {
        let week = SignedDuration::from_hours(7 * 24);
        let mut columns: Vec<Column> = (0..WEEKS).map(|place| Column::empty(place, now, week)).collect();
        for (at, proof) in rollbacks {
            let ago = now.duration_since(at).max(SignedDuration::ZERO).as_secs() / week.as_secs();
            let place = usize::try_from(ago).ok().and_then(|ago| (WEEKS - 1).checked_sub(ago));
            let Some(column) = place.and_then(|place| columns.get_mut(place)) else { continue };
            match proof {
                Some(true) => column.helped += 1,
                Some(false) => column.did_not_help += 1,
                None => column.unmeasured += 1,
            }
        }
        let most = columns.iter().map(Column::all).max().unwrap_or_default().max(1);
        for column in &mut columns {
            column.stack(most);
        }
        let sum = |part: fn(&Column) -> usize| columns.iter().map(part).sum::<usize>();
        let told = format!(
            "Rollbacks of the last {WEEKS} weeks: {} helped, {} did not, of {} it was not measured.",
            sum(|one| one.helped),
            sum(|one| one.did_not_help),
            sum(|one| one.unmeasured)
        );
        Self { columns, told }
    }
}

impl Column {
    fn empty(place: usize, now: Timestamp, week: SignedDuration) -> Self {
        let back = i32::try_from(WEEKS - place).unwrap_or_default();
        let x = i64::try_from(place).unwrap_or_default() * STEP + (STEP - COLUMN) / 2;
        Self {
            from: now.checked_sub(week * back).unwrap_or(now).strftime("%-d %b").to_string(),
            x,
            middle: x + COLUMN / 2,
            helped: 0,
            did_not_help: 0,
            unmeasured: 0,
            parts: Vec::new(),
            top: FLOOR,
        }
    }

    fn stack(&mut self, most: usize) {
        let mut top = FLOOR;
        for (look, count) in [("good", self.helped), ("bad", self.did_not_help), ("off", self.unmeasured)] {
            let height = count as f64 / most as f64 * HEIGHT;
            top -= height;
            if count > 0 {
                self.parts.push((look, top, height));
            }
        }
        self.top = top;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rollbacks_are_in_the_week_they_were_in() {
        let now: Timestamp = "2026-11-27T12:00:00Z".parse().unwrap();
        let ago = |hours: i64| now - SignedDuration::from_hours(hours);
        let rollbacks = [
            (ago(-1), Some(true)),
            (ago(1), Some(false)),
            (ago(7 * 24), None),
            (ago(12 * 7 * 24 - 1), Some(true)),
            (ago(12 * 7 * 24), Some(true)),
        ];
        let weeks = Weeks::of(rollbacks.into_iter(), now);
        let counts: Vec<_> = weeks.columns.iter().map(Column::all).collect();
        assert_eq!(counts, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        let last = &weeks.columns[WEEKS - 1];
        assert_eq!((last.from.as_str(), last.helped, last.did_not_help), ("20 Nov", 1, 1));
        assert_eq!(last.parts, [("good", FLOOR - HEIGHT / 2.0, HEIGHT / 2.0), ("bad", FLOOR - HEIGHT, HEIGHT / 2.0)]);
        assert!(last.x + COLUMN < 720 && weeks.told.contains("2 helped, 1 did not, of 1"), "{}", weeks.told);
        assert!(Weeks::of(std::iter::empty(), now).columns.iter().all(|one| one.parts.is_empty()));
    }
}

//! Whose turn it is to be looked at, where too many executions are open to look at all of them every minute.

use jiff::Timestamp;

use crate::ExecutionId;

/// Most open executions that are looked at in one minute, each by a request to Step Functions. As many are all looked at.
pub const LOOKS_MAX: usize = 100;
/// So many of more are looked at in a minute at the most, on average: turns go by ids, which are random, and are not all of
/// one size.
const TURN: usize = 64;

/// Whether the minute of `now` is one in which `execution` is looked at, where so many are `open`.
///
/// Each has its turn by its id, and turns go round by the clock. Where there are twice as many, each is half of one before: so
/// nobody is passed over because others come and go, and who is not looked at among some is not looked at among more.
pub fn is_turn_of(execution: ExecutionId, open: usize, now: Timestamp) -> bool {
    if open <= LOOKS_MAX {
        return true;
    }
    let turns = open.div_ceil(TURN).next_power_of_two() as u128;
    let minute = u128::from(now.as_second().unsigned_abs() / 60);
    // The last bits of an id are random.
    execution.0.as_u128() % turns == minute % turns
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn at_minute(minute: i64) -> Timestamp {
        Timestamp::from_second(1_796_083_200 + 60 * minute).unwrap()
    }

    /// Ids whose last bits are spread as those of real ones.
    fn ids(count: u64) -> impl Iterator<Item = ExecutionId> {
        (0..count).map(|n| ExecutionId(Uuid::from_u64_pair(n, n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7)))
    }

    #[test]
    fn few_are_all_looked_at_every_minute() {
        for minute in 0..10 {
            assert!(ids(100).all(|id| is_turn_of(id, 100, at_minute(minute))));
        }
    }

    #[test]
    fn of_many_each_is_looked_at_once_in_a_round_and_never_too_many_at_once() {
        for (open, round) in [(101, 2), (128, 2), (129, 4), (600, 16), (10_000, 256)] {
            let mut looks = 0;
            for minute in 0..round {
                let now = ids(open).filter(|id| is_turn_of(*id, open as usize, at_minute(minute))).count();
                assert!(now <= LOOKS_MAX, "{now} of {open} in minute {minute}");
                looks += now;
            }
            assert_eq!(looks, open as usize, "{open} in {round} minutes");
            let one = ids(open).next().unwrap();
            let turns = (0..round).filter(|minute| is_turn_of(one, open as usize, at_minute(*minute)));
            assert_eq!(turns.count(), 1, "of {open}");
        }
    }

    #[test]
    fn who_is_not_looked_at_among_some_is_not_looked_at_among_more() {
        for minute in 0..64 {
            for id in ids(200) {
                let looked_at = [1, 100, 101, 150, 600, 5000].map(|open| is_turn_of(id, open, at_minute(minute)));
                let never_again = looked_at.windows(2).all(|pair| pair[0] || !pair[1]);
                assert!(never_again, "{id} in minute {minute}: {looked_at:?}");
            }
        }
    }
}

//! Signatures that were used, so that whoever overhears a request cannot send it again later.
//!
//! SDKs sign every attempt anew, but with dates of whole seconds: an attempt repeated at once, or two equal calls within a
//! second, have one signature. So a repeat is welcome for a few seconds, and refused from then on.

use std::{
    collections::HashMap,
    mem,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use protocol::signature::SKEW;

/// How long after its first arrival an equal request may arrive: a second of equal dates, and time to travel.
const GRACE: SignedDuration = SignedDuration::from_secs(5);
/// Most signatures remembered in each half: far more requests than people and their scripts send in ten minutes. Only
/// holders of a key can add any.
const SIGNATURES_MAX: usize = 100_000;

/// Signatures of the last ten minutes, which is how long one can be valid: from five minutes before its date to five after.
#[derive(Default)]
pub(crate) struct Replays(Mutex<Halves>);

#[derive(Default)]
struct Halves {
    began: Timestamp,
    newer: HashMap<[u8; 32], Timestamp>,
    older: HashMap<[u8; 32], Timestamp>,
}

impl Replays {
    /// Remembers `signature`. Returns when it was first used, if that was too long ago for a client's own repeat.
    pub(crate) fn first_use(&self, signature: &[u8; 32], now: Timestamp) -> Option<Timestamp> {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now > halves.began + SKEW * 2 || halves.newer.len() >= SIGNATURES_MAX {
            halves.older = mem::take(&mut halves.newer);
            halves.began = now;
        }
        if let Some(first) = halves.newer.get(signature).or_else(|| halves.older.get(signature)) {
            return Some(*first).filter(|first| now > *first + GRACE);
        }
        halves.newer.insert(*signature, now);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_used_once_give_or_take_a_clients_own_repeat() {
        let replays = Replays::default();
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        assert_eq!(replays.first_use(&[1; 32], at(0)), None);
        assert_eq!(replays.first_use(&[1; 32], at(5)), None);
        assert_eq!(replays.first_use(&[1; 32], at(6)), Some(at(0)));
        assert_eq!(replays.first_use(&[2; 32], at(599)), None);
        // The halves change places; what was used is still known for as long as it is valid.
        assert_eq!(replays.first_use(&[3; 32], at(601)), None);
        assert_eq!(replays.first_use(&[1; 32], at(601)), Some(at(0)));
        assert_eq!(replays.first_use(&[2; 32], at(1100)), Some(at(599)));
    }
}

//! Places of the executions that are under way in QUEUED or PARALLEL mode, of which a pipeline has a fixed number.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Execution, ExecutionId, ExecutionMode, ExecutionType, PipelineIndex, PipelineName};

/// Most executions of a pipeline in QUEUED or PARALLEL mode that are under way at the same time (spec 1.10).
pub const CONCURRENT_EXECUTIONS_MAX: u8 = 50;

/// A place that is taken. Each is a row of its own, made in the transaction that starts its execution and removed in
/// the one that ends it: rows cannot be miscounted, and of two starts that choose the same place one is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// When that was created: one made anew under the name begins with all places free.
    pub pipeline_created_at: Timestamp,
    /// Which place, less than [`CONCURRENT_EXECUTIONS_MAX`].
    pub number: u8,
    /// Who has it.
    pub execution: ExecutionId,
    /// Since when.
    pub taken_at: Timestamp,
}

/// Whether `execution` needs a place while it is under way: a rollback never has to wait for one (spec 7, notes).
pub fn needs_slot(index: &PipelineIndex, execution: &Execution) -> bool {
    execution.execution_type == ExecutionType::Standard && index.mode != ExecutionMode::Superseded
}

/// A place beside `taken`, or none. `choice` picks one, so that those who start at the same time rarely collide.
pub fn free_slot(taken: &[Slot], choice: u8) -> Option<u8> {
    let is_free = |number: &u8| taken.iter().all(|slot| slot.number != *number);
    let free: Vec<u8> = (0..CONCURRENT_EXECUTIONS_MAX).filter(is_free).collect();
    free.get(usize::from(choice) % free.len().max(1)).copied()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use uuid::Uuid;

    use super::*;

    fn slot(number: u8) -> Slot {
        Slot {
            pipeline: "shop".parse().unwrap(),
            pipeline_created_at: Timestamp::UNIX_EPOCH,
            number,
            execution: ExecutionId(Uuid::nil()),
            taken_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn whatever_is_chosen_is_free_until_all_are_taken() {
        for choice in 0..=u8::MAX {
            let mut taken = Vec::new();
            while let Some(number) = free_slot(&taken, choice) {
                taken.push(slot(number));
            }
            let numbers: BTreeSet<u8> = taken.iter().map(|slot| slot.number).collect();
            assert_eq!(numbers, (0..CONCURRENT_EXECUTIONS_MAX).collect(), "{choice}");
            assert_eq!(taken.len(), numbers.len(), "{choice}");
        }
    }

    #[test]
    fn every_free_place_can_be_chosen() {
        let taken: Vec<Slot> = (0..CONCURRENT_EXECUTIONS_MAX).filter(|number| number % 7 != 0).map(slot).collect();
        let chosen: BTreeSet<u8> = (0..=u8::MAX).filter_map(|choice| free_slot(&taken, choice)).collect();
        assert_eq!(chosen, (0..CONCURRENT_EXECUTIONS_MAX).filter(|number| number % 7 == 0).collect());
    }
}

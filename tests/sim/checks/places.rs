//! Where executions are: each at one place, and one inside a stage.

use domain::{
    Execution, ExecutionId, ExecutionMode, Generation, Phase, PipelineIndex, PipelineName, Slot, StageName, StageStatus,
};

use super::{Broken, Checker, holds};

impl Checker {
    /// Where the executions of a pipeline are.
    pub(super) fn check_places(&self, index: &PipelineIndex) -> Result<(), Broken> {
        for execution in self.executions.values().filter(|execution| self.is_of(index, execution)) {
            self.check_place(execution)?;
        }
        self.check_stages(&index.name)?;
        self.check_waiting(index)?;
        self.check_slots(index)
    }

    /// Whether `execution` has the stage, and the right to act there that this generation is.
    pub(super) fn has_stage(
        &self,
        pipeline: &PipelineName,
        stage: &StageName,
        execution: ExecutionId,
        generation: Generation,
    ) -> bool {
        self.stages.get(&(pipeline.clone(), stage.clone())).is_some_and(|stage| {
            let inside = stage.occupant.as_ref().map(|inside| inside.execution);
            stage.generation == generation && inside == Some(execution)
        })
    }

    /// No execution is lost, or in two places.
    fn check_place(&self, execution: &Execution) -> Result<(), Broken> {
        let Execution { id, pipeline, phase, .. } = execution;
        let locks = execution.mode != ExecutionMode::Parallel;
        let inside: Vec<_> = self
            .stages
            .values()
            .filter(|stage| stage.pipeline == *pipeline)
            .filter(|stage| stage.occupant.as_ref().is_some_and(|inside| inside.execution == *id))
            .map(|stage| &stage.name)
            .collect();
        let waits: Vec<_> =
            self.waiting.values().filter(|row| row.pipeline == *pipeline && row.execution == *id).collect();
        let in_place = match phase {
            // A rollback holds its stage before its state machine has asked.
            Phase::Starting => inside.len() == usize::from(execution.rollback.is_some()) && waits.is_empty(),
            Phase::Waiting { stage } => inside.is_empty() && waits.len() == 1 && waits[0].stage == *stage,
            Phase::Running { stage } | Phase::Stopping { stage } => {
                let outcome = execution.stages.get(stage);
                (if locks { inside == [stage] } else { inside.is_empty() })
                    && waits.is_empty()
                    && outcome.is_some_and(|outcome| outcome.status == StageStatus::InProgress)
            }
            _ => inside.is_empty() && waits.is_empty(),
        };
        holds(in_place, || format!("execution {id} ({phase:?}) is inside {inside:?} and waits {} times", waits.len()))?;
        let has_ended = phase.is_ended();
        holds(!has_ended || execution.stages.values().all(|of| of.status != StageStatus::InProgress), || {
            format!("execution {id} has ended inside a stage")
        })?;
        holds(has_ended != self.open.contains_key(id), || {
            format!("execution {id} ({phase:?}) is {} for the reconciler", if has_ended { "left" } else { "lost" })
        })
    }

    /// Who is inside a stage, is there by its own row as well.
    fn check_stages(&self, pipeline: &PipelineName) -> Result<(), Broken> {
        for stage in self.stages.values().filter(|stage| stage.pipeline == *pipeline) {
            let Some(inside) = &stage.occupant else { continue };
            let Some(execution) = self.executions.get(&inside.execution) else {
                return Err(format!("nobody knows execution {} inside {}", inside.execution, stage.name));
            };
            let is_reserved = execution.phase == Phase::Starting && execution.rollback.is_some();
            let is_here = match &execution.phase {
                Phase::Running { stage: at } | Phase::Stopping { stage: at } => *at == stage.name,
                _ => is_reserved,
            };
            holds(is_here, || format!("execution {} ({:?}) holds {}", execution.id, execution.phase, stage.name))?;
        }
        Ok(())
    }

    /// Everybody who waits can be reached.
    fn check_waiting(&self, index: &PipelineIndex) -> Result<(), Broken> {
        let rows = || self.waiting.values().filter(|row| row.pipeline == index.name);
        for row in rows() {
            let execution = self.executions.get(&row.execution);
            let waits =
                execution.is_some_and(|execution| execution.phase == Phase::Waiting { stage: row.stage.clone() });
            holds(waits, || format!("execution {} does not know that it waits for {}", row.execution, row.stage))?;
            let stage = self.stages.get(&(row.pipeline.clone(), row.stage.clone()));
            // One whose stage is gone is outdated, and will be cancelled.
            holds(stage.is_none_or(|stage| row.arrival <= stage.arrivals), || {
                format!("{} arrived before {} as number {}", row.execution, row.stage, row.arrival)
            })?;
            let rivals = rows().filter(|other| other.stage == row.stage && self.may_supersede(other.execution, index));
            let one_place = !self.may_supersede(row.execution, index) || rivals.count() <= 1;
            holds(one_place, || format!("several wait before {}", row.stage))?;
        }
        Ok(())
    }

    /// Whether an execution has to leave its waiting place to a newer one.
    fn may_supersede(&self, id: ExecutionId, index: &PipelineIndex) -> bool {
        self.executions.get(&id).is_some_and(|execution| {
            execution.mode == ExecutionMode::Superseded && execution.pipeline_version == index.pipeline_version
        })
    }

    /// The places that are taken are those of the executions under way.
    fn check_slots(&self, index: &PipelineIndex) -> Result<(), Broken> {
        let ours = |slot: &&Slot| slot.pipeline == index.name && slot.pipeline_created_at == index.created_at;
        let taken = self.slots.values().filter(ours);
        let mut count = 0;
        for slot in taken {
            count += 1;
            let execution = self.executions.get(&slot.execution);
            let is_under_way = execution.is_some_and(|execution| !execution.phase.is_ended());
            holds(is_under_way, || format!("execution {} has ended and keeps place {}", slot.execution, slot.number))?;
        }
        let under_way = self.executions.values().filter(|execution| {
            self.is_of(index, execution) && !execution.phase.is_ended() && execution.slot.is_some()
        });
        holds(under_way.count() == count, || format!("{count} places of {} are taken", index.name))
    }
}

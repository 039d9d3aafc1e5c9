//! What is true when everything is over.

use domain::{ActionStatus, EventState, Execution, ExecutionStatus, StageStatus, StateChange};
use engine::ports::ObjectAt;

use super::{Broken, Checker, holds};
use crate::{cloud::Cloud, people, pipelines::PROD};

impl Checker {
    /// Whether nobody is under way, nothing is pending and nothing is watched.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.open.is_empty()
            && self.waiting.is_empty()
            && self.effects.is_empty()
            && self.open_conditions.is_empty()
            && self.watches.is_empty()
    }

    /// What keeps everything from being over, in words.
    pub(crate) fn what_is_left(&self) -> String {
        let phase = |id| self.executions.get(id).map(|execution| &execution.phase);
        let open: Vec<_> = self.open.iter().map(|id| format!("{id} {:?}", phase(id))).collect();
        let waiting: Vec<_> = self.waiting.values().map(|row| format!("{} for {}", row.execution, row.stage)).collect();
        let effects: Vec<_> = self.effects.values().collect();
        let conditions: Vec<_> = self.open_conditions.keys().collect();
        let watches = self.watches.len();
        format!("open {open:?}, waiting {waiting:?}, effects {effects:?}, conditions {conditions:?}, {watches} watches")
    }

    /// Checks a table in which [`Self::is_at_rest`] holds.
    pub(crate) fn check_rest(&self, cloud: &Cloud) -> Result<(), Broken> {
        for execution in self.executions.values() {
            let Execution { id, phase, .. } = execution;
            holds(phase.is_ended(), || format!("execution {id} has not ended: {phase:?}"))?;
        }
        for stage in self.stages.values() {
            holds(stage.occupant.is_none(), || format!("somebody is still inside {}", stage.name))?;
        }
        for run in self.runs.values() {
            holds(run.status != ActionStatus::InProgress, || {
                format!("action {} of {} still runs", run.action, run.execution)
            })?;
        }
        holds(self.slots.is_empty(), || "places are taken by nobody".to_owned())?;
        self.check_told(cloud)?;
        self.pipelines.keys().try_for_each(|pipeline| self.check_site(pipeline.as_str(), cloud))
    }

    /// Whoever listens to the bus knows how everything ended, whatever was lost on the way.
    fn check_told(&self, cloud: &Cloud) -> Result<(), Broken> {
        let state = cloud.state();
        let told = |is: &dyn Fn(&StateChange) -> bool| state.published.values().any(|(event, _)| is(&event.change));
        for execution in self.executions.values() {
            let Execution { id, phase, attempt, .. } = execution;
            let end = match phase.status() {
                ExecutionStatus::Succeeded => EventState::Succeeded,
                ExecutionStatus::Failed => EventState::Failed,
                ExecutionStatus::Stopped => EventState::Stopped,
                ExecutionStatus::Superseded => EventState::Superseded,
                ExecutionStatus::Cancelled => EventState::Canceled,
                ExecutionStatus::InProgress | ExecutionStatus::Stopping => continue,
            };
            let is = |change: &StateChange| {
                matches!(change, StateChange::Pipeline(of)
                    if of.execution_id == *id && of.state == end && of.pipeline_execution_attempt == *attempt)
            };
            holds(told(&is), || format!("nobody was told that execution {id} is {phase:?}"))?;
        }
        for run in self.runs.values() {
            let end = match run.status {
                ActionStatus::Succeeded => EventState::Succeeded,
                ActionStatus::Failed => EventState::Failed,
                ActionStatus::Abandoned => EventState::Abandoned,
                ActionStatus::InProgress => continue,
            };
            let is = |change: &StateChange| matches!(change, StateChange::Action(of) if of.action_execution_id == run.id && of.state == end);
            holds(told(&is), || format!("nobody was told that run {} of {} is {end}", run.id, run.action))?;
        }
        Ok(())
    }

    /// What is deployed is what the stage says is live: whoever lost the right to deploy had not the last word.
    fn check_site(&self, pipeline: &str, cloud: &Cloud) -> Result<(), Broken> {
        let mut stages = self.stages.values();
        let Some(stage) = stages.find(|stage| stage.pipeline.as_str() == pipeline && stage.name.as_str() == PROD)
        else {
            return Ok(());
        };
        let (Some(latest), Some(live)) = (&stage.latest, &stage.live) else { return Ok(()) };
        if latest.status != StageStatus::Succeeded || latest.execution != live.deployed_by {
            // A deploy that failed halfway may have left anything.
            return Ok(());
        }
        let Some(release) = self.executions.get(&live.revision_of) else {
            return Err(format!("what is live in {pipeline} comes from nobody knows where"));
        };
        let artifact = release.artifacts.get("App").map(|at| ObjectAt::new(&at.bucket, &at.key));
        let expected = artifact.and_then(|at| cloud.objects.newest(&at));
        let found = cloud.objects.newest(&people::site(pipeline));
        holds(expected == found, || format!("{pipeline} serves {found:?}, live is {expected:?}"))
    }
}

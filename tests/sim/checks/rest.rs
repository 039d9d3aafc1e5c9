//! What is true when everything is over.

use std::collections::BTreeSet;

use domain::{ActionRun, ActionStatus, Execution, ExecutionMode, Kept, Slot, StageStatus};
use engine::{KEEP_TAG, KEEP_YES, ports::ObjectAt};

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
        let open: Vec<_> = self.open.keys().map(|id| format!("{id} {:?}", phase(id))).collect();
        let waiting: Vec<_> = self.waiting.values().map(|row| format!("{} for {}", row.execution, row.stage)).collect();
        let effects: Vec<_> = self.effects.values().collect();
        let conditions: Vec<_> = self.open_conditions.keys().collect();
        let watches = self.watches.len();
        format!("open {open:?}, waiting {waiting:?}, effects {effects:?}, conditions {conditions:?}, {watches} watches")
    }

    /// Checks a table in which [`Self::is_at_rest`] holds. Gives how many pages were compared with what is to be live.
    pub(crate) fn check_rest(&self, cloud: &Cloud) -> Result<usize, Broken> {
        let is_left = |execution: &Execution| {
            self.pipelines.get(&execution.pipeline).is_none_or(|index| !self.is_of(index, execution))
        };
        for execution in self.executions.values() {
            let Execution { id, phase, pipeline, .. } = execution;
            if is_left(execution) {
                return Err(format!("execution {id} is left of pipeline {pipeline}, which was deleted"));
            }
            holds(phase.is_ended(), || format!("execution {id} has not ended: {phase:?}"))?;
        }
        for stage in self.stages.values() {
            holds(stage.occupant.is_none(), || format!("somebody is still inside {}", stage.name))?;
        }
        let is_of_left = |run: &&ActionRun| self.executions.get(&run.execution).is_none_or(is_left);
        for run in self.runs.values().filter(|run| !is_of_left(run)) {
            holds(run.status != ActionStatus::InProgress, || {
                format!("action {} of {} still runs", run.action, run.execution)
            })?;
        }
        let of_left = |slot: &Slot| self.executions.get(&slot.execution).is_none_or(is_left);
        holds(self.slots.values().all(of_left), || "places are taken by nobody".to_owned())?;
        for run in self.conditions.values() {
            holds(!run.is_open(), || format!("the {} condition of {} is open", run.kind.as_str(), run.execution))?;
        }
        let stages = self.stages.keys().map(|(pipeline, _)| pipeline);
        let runs = self.latest_runs.keys().map(|(pipeline, ..)| pipeline);
        let waiting = self.waiting.keys().map(|(pipeline, ..)| pipeline);
        let held = self.holds.keys().map(|(pipeline, _)| pipeline);
        let conditions = self.conditions.values().map(|run| &run.pipeline);
        let mut left = stages.chain(runs).chain(waiting).chain(held).chain(conditions);
        let left = left.find(|name| !self.pipelines.contains_key(*name));
        holds(left.is_none(), || format!("rows are left of {left:?}, which was deleted"))?;
        self.check_decisions()?;
        self.told.check_published(&cloud.state())?;
        self.check_kept(cloud)?;
        let mut compared = 0;
        for pipeline in self.pipelines.keys() {
            compared += usize::from(self.check_site(pipeline.as_str(), cloud)?);
        }
        Ok(compared)
    }

    /// What the rows say is kept is marked, nothing else is, and every stage that can go back has such a row.
    fn check_kept(&self, cloud: &Cloud) -> Result<(), Broken> {
        let places: BTreeSet<ObjectAt> =
            self.kept.values().flat_map(Kept::places).map(|at| ObjectAt::new(&at.bucket, &at.key)).collect();
        let marked: BTreeSet<ObjectAt> = cloud.objects.tagged(KEEP_TAG, KEEP_YES).into_iter().collect();
        holds(places == marked, || {
            let (unmarked, leaked): (Vec<_>, Vec<_>) =
                (places.difference(&marked).collect(), marked.difference(&places).collect());
            format!("not marked, though they are kept: {unmarked:?}; marked, though nobody keeps them: {leaked:?}")
        })?;
        for (key, stage) in self.stages.iter().filter(|(_, stage)| stage.live.is_some()) {
            let Some(index) = self.pipelines.get(&key.0) else { continue };
            let reads = index.stage(&key.1).is_some_and(|(_, stage)| !stage.inputs().is_empty());
            let is_locked =
                self.executions.values().all(|one| one.pipeline != key.0 || one.mode != ExecutionMode::Parallel);
            let can_go_back = reads && is_locked && index.mode != ExecutionMode::Parallel;
            holds(!can_go_back || self.kept.contains_key(key), || format!("nothing is kept for {}", stage.name))?;
        }
        Ok(())
    }

    /// What is deployed is what the stage says is live: whoever lost the right to deploy had not the last word.
    /// Whether there was something to compare.
    fn check_site(&self, pipeline: &str, cloud: &Cloud) -> Result<bool, Broken> {
        let mut stages = self.stages.values();
        let Some(stage) = stages.find(|stage| stage.pipeline.as_str() == pipeline && stage.name.as_str() == PROD)
        else {
            return Ok(false);
        };
        let (Some(latest), Some(live)) = (&stage.latest, &stage.live) else { return Ok(false) };
        let side_by_side = self.executions.values().any(|one| {
            let entered = one.stages.contains_key(&stage.name);
            entered && one.pipeline == stage.pipeline && one.mode == ExecutionMode::Parallel
        });
        if side_by_side {
            // Whoever deployed last need not be who succeeded last.
            return Ok(false);
        }
        if latest.status != StageStatus::Succeeded || latest.execution != live.deployed_by {
            // A deploy that failed halfway may have left anything.
            return Ok(false);
        }
        let Some(release) = self.executions.get(&live.revision_of) else {
            return Err(format!("what is live in {pipeline} comes from nobody knows where"));
        };
        let artifact = release.artifacts.get("App").map(ObjectAt::from);
        let Some(expected) = artifact.and_then(|at| cloud.objects.newest(&at)) else {
            return Err(format!("what is live in {pipeline} has no artifact"));
        };
        let found = cloud.objects.newest(&people::site(pipeline));
        holds(found.as_ref() == Some(&expected), || format!("{pipeline} serves {found:?}, live is {expected:?}"))?;
        Ok(true)
    }
}

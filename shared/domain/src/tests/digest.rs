//! What tells two states of the world apart.

use std::{
    hash::{Hash, Hasher},
    mem::discriminant,
};

use super::world::{Driver, Request, World};
use crate::{ExecutionId, Generation, Phase, StageName};

impl World {
    /// All that matters of the state; row versions and times do not, and of a generation only whether it is the one
    /// that lets its holder act: one that has passed never comes back.
    pub(super) fn digest(&self, to: &mut impl Hasher) {
        (&self.budget, self.table.index.pipeline_version).hash(to);
        for (name, row) in self.table.stages.iter() {
            let inside = row.occupant.as_ref().map(|inside| inside.execution);
            let live = row.live.as_ref().map(|live| (live.deployed_by, live.revision_of));
            let inbound = (row.inbound.enabled, row.inbound.hold.as_ref().map(|hold| hold.rollback));
            let latest = row.latest.as_ref().map(|latest| latest.execution);
            (name, inside, latest, live, inbound).hash(to);
        }
        for (id, row) in self.table.executions.iter() {
            (id, discriminant(&row.phase), row.attempt).hash(to);
            if let Phase::Waiting { stage }
            | Phase::Running { stage }
            | Phase::Stopping { stage }
            | Phase::Failed { stage: Some(stage) } = &row.phase
            {
                stage.hash(to);
            }
            for (name, outcome) in &row.stages {
                (name, outcome.status, outcome.revoked_by, outcome.attempt, outcome.auto_retried).hash(to);
            }
            row.rollback.as_ref().map(|of| (of.target, of.undone, discriminant(&of.cause))).hash(to);
        }
        for row in self.table.waiting.values() {
            (&row.stage, row.execution, &row.token).hash(to);
        }
        for row in self.table.successes.values() {
            (&row.stage, row.execution, row.revoked_by).hash(to);
        }
        for row in self.table.watches.values() {
            (&row.stage, row.execution).hash(to);
        }
        for (id, driver) in &self.drivers {
            (id, discriminant(driver)).hash(to);
            match driver {
                Driver::Asking(request) => self.digest_request(id.0, request, to),
                Driver::Inside { stage, generation, attempt } | Driver::Failing { stage, generation, attempt } => {
                    (stage, self.is_current(id.0, stage, *generation), attempt).hash(to);
                }
                Driver::Dead | Driver::Done => {}
            }
        }
        for (id, requests) in &self.answered {
            id.hash(to);
            requests.iter().for_each(|request| self.digest_request(id.0, request, to));
        }
    }

    fn digest_request(&self, id: ExecutionId, request: &Request, to: &mut impl Hasher) {
        request.token.hash(to);
        if let Some(report) = &request.finished {
            let is_current = self.is_current(id, &report.stage, report.generation);
            (&report.stage, is_current, discriminant(&report.status)).hash(to);
        }
    }

    fn is_current(&self, id: ExecutionId, stage: &StageName, generation: Generation) -> bool {
        self.table.executions[&id].generation_in(&self.table.stage(stage.as_str())) == generation
    }
}

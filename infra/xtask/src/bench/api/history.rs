//! A long history, made of copies of one release.

use std::cell::Cell;

use anyhow::{Context, ensure};
use domain::{ActionRun, Execution, ExecutionId, PipelineName, StageName, Success};
use engine::ports::{PageRequest, Precondition, Row, Store, WRITES_MAX, Write};
use jiff::SignedDuration;
use runtime::SystemClock;
use store::Table;
use uuid::Builder;

use super::super::{
    measure::{Bench, progress, sdk_config},
    reference::{DEPLOY, PIPELINE},
};

/// One execution, its success in the stage that deploys, and one run of an action. The others would only make the table
/// larger, not what is read.
const ROWS_PER_EXECUTION: usize = 3;

/// The history and what it is made of.
pub(super) struct History {
    table: Table,
    execution: Execution,
    success: Success,
    run: ActionRun,
    /// Executions there are.
    length: Cell<u32>,
}

impl History {
    /// The history after the first release.
    pub(super) async fn of_the_release(bench: &Bench) -> anyhow::Result<Self> {
        let table = Table::connect(&sdk_config(&bench.system.endpoint())?, local::TABLE, SystemClock);
        let (pipeline, stage): (PipelineName, StageName) = (PIPELINE.parse()?, DEPLOY.parse()?);
        let page = |limit| PageRequest { limit, after: None };
        let executions = table.list_executions(&pipeline, page(2)).await?.items;
        ensure!(executions.len() == 1, "there should be one execution");
        let execution = executions.into_iter().next().context("there is no execution")?;
        let success = table.list_successes(&pipeline, &stage, page(1)).await?.items.into_iter().next();
        let run = table.list_action_runs(&pipeline, None, page(1)).await?.items.into_iter().next();
        let (success, run) = (success.context("nothing succeeded")?, run.context("nothing ran")?);
        Ok(Self { table, execution, success, run, length: Cell::new(1) })
    }

    /// Adds executions, each older than all before, until there are `length`.
    pub(super) async fn grow(&self, length: u32) -> anyhow::Result<()> {
        while self.length.get() < length {
            let more = (length - self.length.get()).min(u32::try_from(WRITES_MAX / ROWS_PER_EXECUTION)?);
            let writes = (0..more).flat_map(|ahead| self.copy(self.length.get() + ahead)).collect();
            self.table.commit(writes).await?;
            self.length.set(self.length.get() + more);
            progress("execution of the history", self.length.get(), length);
        }
        Ok(())
    }

    /// The release again, `age` seconds earlier.
    fn copy(&self, age: u32) -> [Write; ROWS_PER_EXECUTION] {
        let earlier = SignedDuration::from_secs(i64::from(age));
        let at = self.execution.started_at - earlier;
        let mut random = [0; 10];
        random[..4].copy_from_slice(&age.to_be_bytes());
        let millis = u64::try_from(at.as_millisecond()).unwrap_or(0);
        let id = ExecutionId(Builder::from_unix_timestamp_millis(millis, &random).into_uuid());
        let execution = Execution { id, started_at: at, version: 0, ..self.execution.clone() };
        let success = Success { execution: id, at: self.success.at - earlier, version: 0, ..self.success.clone() };
        let run = ActionRun { execution: id, started_at: at, version: 0, ..self.run.clone() };
        [Row::Execution(execution), Row::Success(success), Row::ActionRun(run)]
            .map(|row| Write::Put(row, Precondition::None))
    }
}

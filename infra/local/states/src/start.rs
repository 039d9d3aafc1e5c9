//! Starting an execution, once per name.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{
    arn, names,
    refusal::Refusal,
    run::{Event, PAYLOAD_BYTES_MAX, Run, Status, advance},
    service::States,
    store::{MachineRow, Origin},
};

/// How long the name of an ended execution stays taken, an AWS quota.
const NAME_TAKEN: SignedDuration = SignedDuration::from_hours(90 * 24);

impl States {
    /// Starts an execution, or finds the one that an equal request has started.
    pub(crate) fn start(
        &self,
        machine_arn: &str,
        name: &str,
        input: &str,
        origin: Option<&Origin>,
    ) -> Result<(String, Timestamp), Refusal> {
        names::check(name).map_err(|message| Refusal::new("InvalidName", message))?;
        let parsed = check_input(input)?;
        let mut store = self.store();
        let Some(machine_row) = store.machine(machine_arn)? else {
            return Err(Refusal::new(
                "StateMachineDoesNotExist",
                format!("State Machine Does Not Exist: '{machine_arn}'"),
            ));
        };
        let now = self.now();
        let arn = arn::execution_arn(&machine_row.name, name);
        if let Some(existing) = store.execution(&arn)? {
            let same = serde_json::from_str::<Value>(&existing.input).is_ok_and(|input| input == parsed);
            let ours = origin.is_some() && store.origin(&arn)?.as_ref() == origin;
            if ours || (existing.status == Status::Running && same) {
                return Ok((arn, existing.started));
            }
            if existing.stopped.is_none_or(|stopped| now.duration_since(stopped) < NAME_TAKEN) {
                return Err(Refusal::new("ExecutionAlreadyExists", format!("Execution Already Exists: '{arn}'")));
            }
        }
        let mut run = new_run(&machine_row, arn.clone(), name, input, now);
        let machine = self.machine(&store, &run)?;
        let changes = advance(&machine, &mut run, Event::Start, &self.env(now));
        let detached = store.insert(&run, origin, &changes)?;
        self.committed(&store);
        drop(store);
        self.publish(&arn, changes, detached);
        Ok((arn, now))
    }
}

/// An input within the limits.
fn check_input(input: &str) -> Result<Value, Refusal> {
    if input.len() > PAYLOAD_BYTES_MAX {
        let message = format!("the input is longer than {PAYLOAD_BYTES_MAX} bytes");
        return Err(Refusal::new("ValidationException", message));
    }
    serde_json::from_str(input).map_err(|error| {
        Refusal::new("InvalidExecutionInput", format!("Invalid State Machine Execution Input: '{error}'"))
    })
}

fn new_run(machine: &MachineRow, arn: String, name: &str, input: &str, now: Timestamp) -> Run {
    Run {
        arn,
        name: name.to_owned(),
        machine_arn: machine.arn.clone(),
        machine_name: machine.name.clone(),
        role_arn: machine.role_arn.clone(),
        revision: machine.revision,
        input: input.to_owned(),
        started: now,
        status: Status::Running,
        output: None,
        error: None,
        cause: None,
        stopped: None,
        deadline: None,
        events: 0,
        numbers: 0,
        frames: BTreeMap::new(),
    }
}

//! What a process that starts has to do first: whatever its predecessor stored but may not have performed.

use std::collections::VecDeque;

use crate::{
    run::{At, Command, Phase, open_command},
    service::Job,
    store::{Store, StoreError},
};

/// Whatever was stored but perhaps not performed when the last process ended.
pub(crate) fn in_flight(store: &Store) -> Result<VecDeque<Job>, StoreError> {
    let mut queue = VecDeque::new();
    for execution in store.running()? {
        let Some(run) = store.load(&execution)? else {
            continue;
        };
        let job = |command| Job::Step { execution: execution.clone(), command };
        for frame in run.frames.values() {
            match &frame.at {
                At::Ready => queue.push_back(job(Command::Continue)),
                At::Calling(call) => match &call.phase {
                    Phase::Open => queue.push_back(job(open_command(call.attempt, call.target.clone()))),
                    // Harmless while the child still runs.
                    Phase::Child(arn) => queue.push_back(Job::Step { execution: arn.clone(), command: Command::Ended }),
                    Phase::Submitted => {}
                },
                At::Backoff { .. } | At::Waiting { .. } | At::Forked(_) => {}
            }
        }
    }
    for arn in store.orphans()? {
        queue.push_back(Job::Step { execution: arn.clone(), command: Command::StopChild { arn } });
    }
    for (id, function, payload) in store.detached()? {
        queue.push_back(Job::Detached { id, function, payload });
    }
    Ok(queue)
}

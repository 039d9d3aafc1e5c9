//! The interpreter: one execution's state plus one event gives the next state, history and commands. Pure.

mod advance;
mod context;
mod failure;
mod fork;
mod frame;
mod history;
mod leave;
mod states;
mod task;

pub(crate) use advance::{Changes, Command, Env, Event, advance};
pub(crate) use failure::Failure;
pub use frame::ServiceCall;
pub(crate) use frame::{At, ChildReport, Phase, Run, Status};
pub(crate) use history::HistoryEvent;
pub(crate) use task::command as open_command;

/// Most history events of one execution, an AWS quota: the execution fails at it.
pub(crate) const HISTORY_EVENTS_MAX: u64 = 25_000;
/// Most bytes of one payload (input, output, result, arguments, variables), an AWS quota.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 262_144;
/// Most states entered in one stored step, so that a step stays short; the rest follows in the next.
pub(crate) const STATES_PER_STEP_MAX: usize = 32;
/// Most concurrent iterations of an inline Map, an AWS quota.
const MAP_CONCURRENCY_MAX: usize = 40;

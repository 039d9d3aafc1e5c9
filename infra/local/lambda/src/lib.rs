//! AWS Lambda and STS on one machine: our handlers in-process, other people's bootstraps as processes.
//!
//! **May touch**: one SQLite file in its directory, child processes, loopback sockets.
//!
//! **Architecture invariants**: an asynchronous invocation is stored before it is acknowledged and forgotten only after
//! it succeeded or used up its retries; a bootstrap process serves one invocation at a time and never outlives the
//! registry; payloads never reach the logs.

mod delivery;
mod error;
mod functions;
mod handler;
mod http;
mod identity;
mod limits;
mod name;
mod process;
mod queue;
mod sts;

pub use error::{FunctionError, OpenError, RegisterError};
pub use functions::{Functions, Owner};
pub use handler::{Handler, InvocationContext};
pub use limits::{
    ASYNC_DELIVERIES_MAX, ASYNC_PAYLOAD_BYTES_MAX, PROCESSES_PER_FUNCTION_MAX, RETRY_DELAYS, SYNC_PAYLOAD_BYTES_MAX,
    TIMEOUT_MAX,
};
pub use process::Process;
pub use sts::{CallerArn, SessionKey};

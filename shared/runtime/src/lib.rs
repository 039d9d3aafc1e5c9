//! Where time, randomness, environment, logs and the Lambda runtime enter the program.
//!
//! **May touch**: environment variables, stdout, the wall clock, the system's entropy.
//!
//! **Architecture invariants**: no release logic; nothing here knows a pipeline.

mod clock;
mod config;
mod diagnostic;
mod entropy;
mod lambda;
mod logs;

pub use clock::{ManualClock, SystemClock, Timer};
pub use config::{Config, ConfigError};
pub use diagnostic::{INVALID_INPUT, NamedError, diagnostic, parse_event};
pub use entropy::{SeededEntropy, SystemEntropy};
pub use lambda::serve;
pub use logs::{init_logs, log_to};

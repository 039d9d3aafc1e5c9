//! Where time, randomness, environment, logs and the Lambda runtime enter the program.
//!
//! **May touch**: environment variables, stdout, the wall clock, the system's entropy.
//!
//! **Architecture invariants**: no release logic; nothing here knows a pipeline.

mod clock;
mod entropy;

pub use clock::{ManualClock, SystemClock, Timer};
pub use entropy::{SeededEntropy, SystemEntropy};

//! The whole system in a world that fails whenever a seed says so.
//!
//! The shipped state machines and the real handlers run over services in memory, on a clock that is moved by hand. One
//! seed decides everything: who goes next, what fails, who dies at which await, what people do. After every step a
//! checker looks at what was committed; in the end the faults stop, and everything has to reach its end.
//!
//! **May touch**: nothing outside the process.
//!
//! **Architecture invariants**: no choice but by the seed, so that a seed is a story that can be told again; the
//! checker shares no decision with what it checks.

mod chance;
mod checks;
mod cloud;
mod faults;
mod functions;
mod machines;
mod mutants;
mod people;
mod pipelines;
pub mod reference;
mod release;
mod run;
mod shrink;
mod story;

pub use faults::Dial;
pub use mutants::Mutant;
pub use people::api_event;
pub use release::{Counts, Release, count_release};
pub use run::{Options, Outcome, simulate};
pub use shrink::{Small, shrink};

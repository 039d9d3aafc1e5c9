//! Use cases of the release pipeline: load, decide (in `domain`), commit, then perform.
//!
//! **May touch**: only the traits in [`ports`].
//!
//! **Architecture invariants**: no AWS types, no environment, no wall clock, no randomness of its own; every decision
//! it makes durable goes through one conditional [`ports::Store::commit`].

pub mod ports;
pub mod s3_deploy;
pub mod s3_source;

//! The protocol against its own service models: every constraint, both codecs, every operation.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod botocore;
mod errors;
mod fuzz;
mod round_trip;
mod samples;
mod send;
mod service_model;
mod signature;
mod table;
mod variants;
mod wire_types;

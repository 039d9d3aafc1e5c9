//! A stand-in for CloudWatch in one process: metrics, metric and composite alarms, their history, and the events of their
//! state changes.
//!
//! **May touch**: one SQLite file below the directory it is given, and the clock and entropy it is given. It opens no socket:
//! it hands out a router, and reports state changes to a [`Notify`].
//!
//! **Architecture invariants**: knows no pipeline. The decisions (`evaluate`, `rule`, `statistics`, `math`, `reason`,
//! `event`) are pure. Operations see canonical values only; what differs between protocols stays in `wire`. A state change, its history
//! item and its event are one transaction.

mod alarm;
mod error;
mod evaluate;
mod event;
mod math;
mod operations;
mod reason;
mod rule;
mod schema;
mod service;
mod shapes;
mod statistics;
mod store;
mod transition;
mod wire;

pub use service::{CloudWatch, Notify};
pub use store::OpenError;

//! The whole system in one process: Lastgood's functions and state machines over local stand-ins for the AWS services
//! they use, at one address.
//!
//! **May touch**: one data directory, one port, the user's function processes.
//!
//! **Architecture invariants**: the functions are those that are deployed, reached by the same events and reaching
//! their stores through the AWS SDK; nothing here decides anything about a release.

mod access;
mod data_dir;
pub mod demo;
mod dynamodb;
mod event_bus;
mod front;
mod handlers;
mod machines;
mod regions;
mod services;
mod system;
mod topics;

pub use access::{Access, Keys, KeysError};
pub use data_dir::DataDirError;
pub use event_bus::EventOptions;
pub use services::Endpoint;
pub use system::{Options, System, UserFunction};

/// The account everything local belongs to.
pub const ACCOUNT: &str = "000000000000";
/// The region everything local is in.
pub const REGION: &str = "us-east-1";
/// Name of the DynamoDB table.
pub const TABLE: &str = "lastgood";
/// Bucket of pipeline definitions.
pub const BUCKET: &str = "lastgood-definitions";
/// The port that `cargo local` listens on unless told otherwise.
pub const PORT: u16 = 4180;

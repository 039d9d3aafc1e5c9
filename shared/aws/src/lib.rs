//! Adapters: the engine's ports over the AWS SDK, one module per service, each behind the feature of its SDK.
//!
//! **May touch**: AWS, through SDK clients that the caller built.
//!
//! **Architecture invariants**: no decisions and no state, only translation between a port and a service; every SDK
//! error leaves as the port's error, named by what the caller can do; no environment, no credentials, no clock; the
//! same code talks to AWS and to a local endpoint, told apart by the client's configuration alone.

#[cfg(feature = "s3")]
pub mod s3;

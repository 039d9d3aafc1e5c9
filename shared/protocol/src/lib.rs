//! The CodePipeline wire protocol: what a request may be, and what an answer looks like, in both of AWS's codecs.
//!
//! **May touch**: its arguments.
//!
//! **Architecture invariants**: no I/O, no async, no AWS SDK, no clock, no randomness. Knows no operation's meaning:
//! constraints come from the model tables, never from code. A value inside is a `serde_json::Value` whatever codec it
//! came by, so nothing after [`decode`] can tell the codecs apart.

mod admit;
mod codec;
mod constraint;
mod error;
pub mod extension;
mod model;
mod operation;
mod page_token;
mod pattern;
mod request;
pub mod signature;
mod validate;
pub mod wire;

pub use codec::{Codec, HttpReply, NESTING_MAX};
pub use error::{ApiError, ErrorCode};
pub use operation::{Operation, Service};
pub use page_token::{PAGE_KEY_BYTES_MAX, PageToken};
pub use request::{BODY_BYTES_MAX, Call, HttpRequest, decode, is_protocol_request};
pub use validate::{QUOTED_CHARS_MAX, VIOLATION_BYTES_MAX};

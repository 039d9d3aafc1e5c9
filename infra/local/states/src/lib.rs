//! A local stand-in for AWS Step Functions: a durable interpreter of the ASL subset that is shipped, and its API.
//!
//! **May touch**: one directory (SQLite), the [`Functions`] it is given, the clock and entropy it is given.
//!
//! **Architecture invariants**: the interpreter (`run`) is pure and knows neither SQLite nor HTTP nor time of its own;
//! every step is stored in one transaction before anything is done about it; performing a stored command twice does no
//! harm; definitions outside the subset are refused when they are put, never when they run.

mod api;
mod arn;
mod definition;
mod driver;
mod expression;
mod names;
mod recovery;
mod refusal;
mod report;
mod run;
mod service;
mod start;
mod stepping;
mod store;
#[cfg(test)]
mod tests;

pub use definition::{DefinitionError, check_definition};
pub use run::ServiceCall;
pub use service::{Arn, Definitions, FunctionError, Functions, PutError, States};
pub use stepping::{Call, Driven};
pub use store::{OpenError, StoreError};

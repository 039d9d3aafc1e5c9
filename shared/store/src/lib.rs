//! Keeps every row of the system in one DynamoDB table, one request per question.
//!
//! **May touch**: the DynamoDB table it is given, through the AWS SDK.
//!
//! **Architecture invariants**: every read is strongly consistent; only `keys` builds a key, only `precondition` builds
//! a condition, only `items` knows how a row becomes an item. No environment, no release logic: what a row means is the
//! caller's business. The clock it is given tells one thing, what has expired: DynamoDB's TTL removes that late, and nobody
//! is shown it meanwhile.

mod backend;
mod commit;
mod dynamodb;
mod errors;
mod items;
mod keys;
#[cfg(feature = "memory")]
mod memory;
#[cfg(feature = "memory")]
mod metered;
mod precondition;
mod purge;
mod query;
mod schema;
mod table;
mod usage;

pub use dynamodb::DynamoDb;
#[cfg(feature = "memory")]
pub use memory::{Change, Memory};
pub use schema::{TableError, create_table};
pub use table::Table;
pub use usage::{Operation, OperationUsage, Usage};

//! The store suite: the real SDK client over HTTP against a DynamoDB stand-in in this process.

mod expiry;
mod lists;
mod metered;
mod preconditions;
mod purge;
mod rows;
mod samples;
mod world;

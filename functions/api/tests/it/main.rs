//! Requests in, replies out, over the real table in DynamoDB's stand-in and small fakes of everything else.

mod actions;
mod cloud;
mod executions;
mod jobs;
mod objects;
mod pipelines;
mod protocol;
mod rollback;
mod state;
mod transitions;
mod world;

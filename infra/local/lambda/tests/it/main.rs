//! The local Lambda and STS as their callers see them.

mod api;
mod asynchronous;
mod bench;
mod processes;
mod sts;

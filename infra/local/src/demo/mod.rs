//! The demonstration: a release goes out, breaks, and comes back. Every step is observed by reading the deployed site
//! and the API, as a user would; a call that returned proves nothing.

mod client;
mod raw_metrics;
mod release;
pub mod smoke_check;
mod story;
mod timeline;

pub use client::{ApiError, Client};
pub use release::{Guard, Release, pipeline_declaration};
pub use story::{Narrator, PIPELINE, SITE, Story};
pub use timeline::{Ending, ending, timeline, with_short_ids};

/// Name of the function that checks a deployed release.
pub const SMOKE_CHECK: &str = "smoke-check";

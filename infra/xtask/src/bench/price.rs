//! What AWS asks, in US dollars, us-east-1, as of 2026-11.

use super::measure::Counts;

/// Step Functions, Standard: per state transition ($0.025 per thousand).
const TRANSITION: f64 = 0.025 / 1e3;
/// Lambda: per request ($0.20 per million).
const INVOCATION: f64 = 0.20 / 1e6;
/// Lambda, arm64: per GB and second.
const GB_SECOND: f64 = 0.000_013_333_4;
/// DynamoDB, on demand: per write request unit ($0.625 per million).
const WRITE_UNIT: f64 = 0.625 / 1e6;
/// DynamoDB, on demand: per read request unit ($0.125 per million).
const READ_UNIT: f64 = 0.125 / 1e6;
/// API Gateway, HTTP API: per request ($1.00 per million).
const API_REQUEST: f64 = 1.0 / 1e6;
/// EventBridge: per event put on a bus, none of which has more than 64 KB ($1.00 per million).
const EVENT: f64 = 1.0 / 1e6;
/// CodePipeline V2: per started minute of an action execution, every action for itself.
const CODEPIPELINE_ACTION_MINUTE: f64 = 0.002;

/// Time billed per invocation. A stand-in cannot measure it; our functions wait for a few requests within AWS.
pub(super) const BILLED_S: f64 = 0.1;
/// Memory of the functions in the template, in GB.
pub(super) const MEMORY_GB: f64 = 0.25;
/// Memory of run-action in the template, in GB.
pub(super) const RUN_ACTION_MEMORY_GB: f64 = 1.0;

/// What one release costs.
pub(super) struct Price {
    pub(super) transitions: f64,
    pub(super) invocations: f64,
    pub(super) gb_seconds: f64,
    pub(super) compute: f64,
    pub(super) reads: f64,
    pub(super) writes: f64,
    pub(super) api_requests: f64,
    pub(super) events: f64,
}

impl Price {
    /// Of the average of `releases` that took `counts` together.
    pub(super) fn per_release(counts: &Counts, releases: f64) -> Self {
        let invocations: u64 = counts.invocations.values().sum();
        let of = |name: &str| counts.invocations.get(name).copied().unwrap_or(0) as f64;
        let run_action = of("lastgood-run-action");
        let gb = (invocations as f64 - run_action) * MEMORY_GB + run_action * RUN_ACTION_MEMORY_GB;
        let gb_seconds = gb / releases * BILLED_S;
        Self {
            transitions: counts.transitions as f64 / releases * TRANSITION,
            invocations: invocations as f64 / releases * INVOCATION,
            gb_seconds,
            compute: gb_seconds * GB_SECOND,
            reads: counts.read_units / releases * READ_UNIT,
            writes: counts.write_units / releases * WRITE_UNIT,
            api_requests: of("lastgood-api") / releases * API_REQUEST,
            events: counts.events as f64 / releases * EVENT,
        }
    }

    pub(super) fn total(&self) -> f64 {
        self.transitions + self.invocations + self.compute + self.reads + self.writes + self.api_requests + self.events
    }
}

/// What CodePipeline V2 asks for the same release, where every action ends within its first minute.
pub(super) fn codepipeline(actions: u32) -> f64 {
    f64::from(actions) * CODEPIPELINE_ACTION_MINUTE
}

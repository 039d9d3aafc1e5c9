//! Did this deploy make things worse?
//!
//! Two judges share the words of [`Verdict`]: [`judge`] reads one alarm, [`judge_metrics`] reads the metrics themselves
//! after every new point, and [`rank_suspects`] says which of several deploys did it. How and why is in this folder's
//! README.

mod alarm;
mod attribution;
mod events;
mod input;
mod level;
mod metric;
mod model;
mod noise;
mod policy;
mod silence;
#[cfg(test)]
mod tests;
mod verdict;
mod wager;
mod words;

pub use alarm::{AlarmChange, AlarmSnapshot, AlarmState, Evidence, Verdict, judge};
pub use attribution::{Attribution, RankedSuspect, Suspect, rank_suspects};
pub use input::{Direction, InvalidMetric, Metric, MetricKind, MetricScope, MetricSeries, RequestSeries};
pub use policy::{InvalidPolicy, JudgePolicy};
pub use verdict::{MetricEvidence, MetricFinding, Missing, Standing, judge_metrics, watch_metrics};

//! What was measured, for people.

use super::{
    measure::Measured,
    price::{BILLED_S, MEMORY_GB, Price, RUN_ACTION_MEMORY_GB, codepipeline},
    reference,
};

/// Target of the design (section 10): our price, of CodePipeline's.
const PRICE_RATIO_MAX: f64 = 0.1;
/// Target of the design: own work until the rollback's first action, in milliseconds.
const ROLLBACK_MS_MAX: i64 = 1000;

/// Prints everything.
pub(super) fn print(measured: &Measured) {
    let releases = f64::from(measured.releases);
    let counts = &measured.counts;
    let price = Price::per_release(counts, releases);
    let invocations: u64 = counts.invocations.values().sum();
    let api = counts.invocations.get("lastgood-api").copied().unwrap_or(0);
    let per = |count: u64| count as f64 / releases;

    println!(
        "Reference pipeline: 3 stages, {} actions; mean of {} releases\n",
        reference::actions(),
        measured.releases
    );
    println!("{:<34} {:>12} {:>14}", "per release", "count", "US dollars");
    line("state transitions", per(counts.transitions), Some(price.transitions));
    line("Lambda invocations", per(invocations), Some(price.invocations));
    for (name, count) in &counts.invocations {
        if *count > 0 {
            line(&format!("  {}", name.trim_start_matches("lastgood-")), per(*count), None);
        }
    }
    line("Lambda GB-seconds (assumed)", price.gb_seconds, Some(price.compute));
    line("DynamoDB requests", per(counts.requests), None);
    line("  read units", counts.read_units / releases, Some(price.reads));
    line("  write units", counts.write_units / releases, Some(price.writes));
    line("EventBridge events", per(counts.events), Some(price.events));
    line("API Gateway requests", per(api), Some(price.api_requests));
    println!("{:<34} {:>12} {:>14.6}", "Lastgood", "", price.total());
    let theirs = codepipeline(reference::actions());
    println!("{:<34} {:>12} {:>14.6}", "CodePipeline V2", "", theirs);
    println!("{:<34} {:>12} {:>14.3}  (target {PRICE_RATIO_MAX})\n", "ratio", "", price.total() / theirs);

    println!("{:<34} {:>12} {:>14}", "milliseconds, on this machine", "median", "95 of 100");
    times("from one action to the next", &measured.between_actions, "");
    times("failing result to rollback", &measured.after_failure, &format!("  (target {ROLLBACK_MS_MAX})"));
    times("alarm to rollback", &measured.after_alarm, &format!("  (target {ROLLBACK_MS_MAX})"));

    println!("\nPrices of us-east-1, 2026-11. CodePipeline: every action ends within its first minute.");
    println!("Assumed: {BILLED_S} s billed per invocation at {MEMORY_GB} GB, run-action {RUN_ACTION_MEMORY_GB} GB.");
    println!("Not counted: S3 requests, the user's own functions, logs, and the reconciler, which runs once a minute.");
    println!("The local S3 announces objects of every bucket; in AWS, source-trigger is called for uploads alone.");
    if cfg!(debug_assertions) {
        println!("This is a build for development; `cargo run --release -p xtask -- bench release` is faster.");
    }
}

fn line(what: &str, count: f64, dollars: Option<f64>) {
    match dollars {
        Some(dollars) => println!("{what:<34} {count:>12.1} {dollars:>14.6}"),
        None => println!("{what:<34} {count:>12.1}"),
    }
}

fn times(what: &str, times: &[i64], note: &str) {
    println!("{what:<34} {:>12} {:>14}{note}", percentile(times, 50), percentile(times, 95));
}

/// The smallest of `times` that `percent` of them do not exceed; zero where there are none.
fn percentile(times: &[i64], percent: usize) -> i64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        assert_eq!(percentile(&[], 50), 0);
        assert_eq!(percentile(&[7], 95), 7);
        assert_eq!(percentile(&[4, 1, 3, 2], 50), 2);
        assert_eq!(percentile(&(1..=100).collect::<Vec<_>>(), 95), 95);
    }
}

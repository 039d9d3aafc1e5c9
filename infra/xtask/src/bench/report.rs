//! What was measured, for people.

use super::{
    measure::Measured,
    price::{BILLED_S, LIST, MEMORY_GB, RUN_ACTION_MEMORY_GB, Taken, codepipeline},
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
    let per = |count: u64| count as f64 / releases;
    let taken = Taken {
        transitions: per(counts.transitions),
        read_units: counts.read_units / releases,
        write_units: counts.write_units / releases,
        events: per(counts.events),
        ..Taken::default()
    };
    let taken = taken.invoked(counts.invocations.iter().map(|(name, count)| (name.as_str(), per(*count))));

    println!(
        "Reference pipeline: 3 stages, {} actions; mean of {} releases\n",
        reference::actions(),
        measured.releases
    );
    println!("{:<34} {:>12} {:>14}", "per release", "count", "US dollars");
    for one in taken.lines().iter().filter(|line| line.quantity > 0.0) {
        line(&format!("{}: {}", one.service, one.what), one.quantity, Some(one.dollars()));
        if one.what == "invocations" {
            for (name, count) in counts.invocations.iter().filter(|(_, count)| **count > 0) {
                line(&format!("  {}", name.trim_start_matches("lastgood-")), per(*count), None);
            }
        }
    }
    line("DynamoDB: requests", per(counts.requests), None);
    println!("{:<34} {:>12} {:>14.6}", "Lastgood", "", taken.dollars());
    let theirs = codepipeline(reference::actions());
    println!("{:<34} {:>12} {:>14.6}", "CodePipeline V2", "", theirs);
    println!("{:<34} {:>12} {:>14.3}  (target {PRICE_RATIO_MAX})\n", "ratio", "", taken.dollars() / theirs);

    println!("{:<34} {:>12} {:>14}", "milliseconds, on this machine", "median", "95 of 100");
    times("from one action to the next", &measured.between_actions, "");
    times("failing result to rollback", &measured.after_failure, &format!("  (target {ROLLBACK_MS_MAX})"));
    times("alarm to rollback", &measured.after_alarm, &format!("  (target {ROLLBACK_MS_MAX})"));

    println!("\nList prices of {}, {} (infra/prices.json).", LIST.region, LIST.as_of);
    println!("CodePipeline: every action ends within its first minute.");
    println!("Assumed: {BILLED_S} s billed per invocation at {MEMORY_GB} GB, run-action {RUN_ACTION_MEMORY_GB} GB.");
    println!(
        "Not counted: S3 requests, logs, the reconciler, which runs once a minute: see `cargo xtask bench cost`; the user's own functions."
    );
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

//! What was measured, for people.

use super::{Measured, Options, Row};

/// Operations of which a call is one request to the table, however long the history (design section 5).
const ONE_REQUEST: [&str; 3] = ["GetPipelineState", "ListPipelineExecutions", "ListRollbackCandidates"];

/// Prints everything.
pub(super) fn print(options: &Options, rows: &[Row]) {
    let Options { short, long, calls, clients, .. } = options;
    println!("{calls} calls of each operation by {clients} clients at a time, with {short} and {long} executions.\n");
    let title = |history: u32| format!("{history} executions");
    println!("{:<24} {:>34}   {:>34}   {:>6}", "", title(*short), title(*long), "");
    let half = format!("{:>8} {:>8} {:>8} {:>7}", "requests", "p50 ms", "p99 ms", "per s");
    println!("{:<24} {half}   {half}   {:>6}", "operation", "ratio");
    for row in rows {
        let ratio = p50(&row.long) / p50(&row.short);
        println!("{:<24} {}   {}   {ratio:>6.2}", row.call.name(), line(&row.short), line(&row.long));
    }
    println!("\nratio: the median with {long} executions, of that with {short}. requests: to the table, of one call.");
    for row in rows.iter().filter(|row| ONE_REQUEST.contains(&row.call.name())) {
        let flat = row.short.requests == Some(1) && row.long.requests == Some(1);
        println!("{:<24} {}", row.call.name(), if flat { "one request, as it should be" } else { "NOT ONE REQUEST" });
    }
    print_moto(rows);
    if cfg!(debug_assertions) {
        println!("\nThis is a build for development; `cargo run --release -p xtask -- bench api` is faster.");
    }
}

fn print_moto(rows: &[Row]) {
    let served: Vec<_> = rows.iter().filter_map(|row| row.moto.as_ref().map(|moto| (row, moto))).collect();
    if served.is_empty() {
        return;
    }
    println!("\n{:<24} {:>8} {:>8} {:>7}   {:>6}", "the same with moto", "p50 ms", "p99 ms", "per s", "ratio");
    for (row, moto) in served {
        let ratio = p50(&row.long) / p50(moto);
        println!(
            "{:<24} {:>8.2} {:>8.2} {:>7.0}   {ratio:>6.2}",
            row.call.name(),
            p50(moto),
            at(moto, 99),
            moto.per_second
        );
    }
    println!("\nratio: our median with the long history, of moto's. moto keeps everything in memory and runs nothing.");
}

fn line(measured: &Measured) -> String {
    let requests = measured.requests.map_or_else(String::new, |requests| requests.to_string());
    format!("{requests:>8} {:>8.2} {:>8.2} {:>7.0}", p50(measured), at(measured, 99), measured.per_second)
}

fn p50(measured: &Measured) -> f64 {
    at(measured, 50)
}

/// Milliseconds that `percent` of the calls did not exceed.
fn at(measured: &Measured, percent: usize) -> f64 {
    let rank = (measured.micros.len() * percent).div_ceil(100).max(1);
    measured.micros.get(rank - 1).map_or(0.0, |micros| *micros as f64 / 1e3)
}

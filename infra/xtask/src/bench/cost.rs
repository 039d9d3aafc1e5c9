//! `cargo xtask bench cost`: what a month costs, for so many releases of the reference pipeline a day.
//!
//! What a release takes is counted exactly by the simulator, in a world where nothing fails; `infra/release.json` has the
//! counts that `tests/sim` holds every change to.

use std::collections::BTreeMap;

use anyhow::Context;
use domain::{MetricQuery, MetricRule};
use sim::{Counts, count_release};
use yaml_rust2::{Yaml, YamlLoader};

use super::{
    price::{BILLED_S, LIST, MEMORY_GB, Price, RUN_ACTION_MEMORY_GB, Taken},
    reference,
};
use crate::workspace;

/// Columns of the table.
const RELEASES_A_DAY: [f64; 6] = [1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0];
/// A month of AWS's bills is 730 hours.
const MINUTES_A_MONTH: f64 = 730.0 * 60.0;
const DAYS_A_MONTH: f64 = 730.0 / 24.0;
const GB: f64 = 1_073_741_824.0;
/// Lambda's own lines about an invocation, and some of ours: one for each decision and effect. Assumed.
const LOG_BYTES_AN_INVOCATION: f64 = 2_000.0;
/// DynamoDB asks for the table's key once in five minutes for whoever reads or writes.
const KEY_REQUESTS_A_MINUTE: f64 = 0.2;
/// The reconciler notes that it has looked once in five minutes; the minute that is counted is one of the others.
const NOTES_A_MINUTE: f64 = 0.2;
/// Requests to S3 of the dearer kind.
const WRITING: [&str; 8] = [
    "PutObject",
    "CopyObject",
    "PutObjectTagging",
    "CreateMultipartUpload",
    "UploadPart",
    "UploadPartCopy",
    "CompleteMultipartUpload",
    "ListMultipartUploads",
];

/// Counts and prints.
///
/// # Errors
/// A release that does not succeed, or a template that cannot be read.
pub(crate) fn run() -> anyhow::Result<()> {
    let counted = count_release()?;
    let (release, minute) = (taken(&counted.release), taken(&counted.idle_minute));
    let now_and_then = Taken { key_requests: KEY_REQUESTS_A_MINUTE, write_units: NOTES_A_MINUTE, ..Taken::default() };
    let idle = minute.plus(now_and_then).times(MINUTES_A_MONTH);
    println!("A release of the reference pipeline: 3 stages, {} actions\n", reference::actions());
    println!("{:<42} {:>12} {:>14}", "per release", "count", "US dollars");
    for line in release.lines().iter().filter(|line| line.quantity > 0.0) {
        let what = format!("{}: {}", line.service, line.what);
        println!("{what:<42} {:>12} {:>14.7}", quantity(line.quantity), line.dollars());
    }
    println!("{:<42} {:>12} {:>14.7}\n", "together", "", release.dollars());

    let columns =
        RELEASES_A_DAY.map(|releases| Month::of(releases, release, idle, counted.release.stored_byte_days as f64));
    header("US dollars a month, releases a day:", RELEASES_A_DAY.map(|releases| format!("{releases}")));
    for service in columns[0].services.keys() {
        row(service, columns.each_ref().map(|month| month.services.get(service).copied().unwrap_or(0.0)));
    }
    row("Lastgood", columns.each_ref().map(Month::total));
    row("  beyond what is free each month", columns.each_ref().map(|month| month.beyond_free));
    let theirs = RELEASES_A_DAY.map(|releases| releases * DAYS_A_MONTH * f64::from(reference::actions()));
    let minute_price = &LIST.prices.codepipeline_action_minute;
    row("CodePipeline V2", theirs.map(|minutes| minute_price.of(minutes)));
    row("  beyond what is free each month", theirs.map(|minutes| minute_price.beyond_free(minutes)));
    let mut ratios = columns.each_ref().map(Month::total);
    for (ratio, minutes) in ratios.iter_mut().zip(theirs) {
        *ratio /= minute_price.of(minutes);
    }
    header("Lastgood's price, of CodePipeline's", ratios.map(|ratio| format!("{ratio:.3}")));
    println!();
    standing(idle)?;
    judging()?;
    println!(
        "\nList prices of {}, {} (infra/prices.json). Free: what every account has each month, for ever,",
        LIST.region, LIST.as_of
    );
    println!("if nothing else uses it. CodePipeline: every action ends within its first minute.");
    println!(
        "Assumed: {BILLED_S} s billed per invocation at {MEMORY_GB} GB, run-action {RUN_ACTION_MEMORY_GB} GB; {LOG_BYTES_AN_INVOCATION} bytes of logs per invocation."
    );
    let Counts { stored_bytes, stored_byte_days, .. } = counted.release;
    let days = stored_byte_days as f64 / stored_bytes as f64;
    println!("Stored: {stored_bytes} bytes a release, on average for {days:.0} days; after the first year.");
    println!("Not counted, there and here: the user's own functions, builds and artifacts; people who look.");
    Ok(())
}

/// A month with so many releases a day.
struct Month {
    services: BTreeMap<&'static str, f64>,
    beyond_free: f64,
}

impl Month {
    /// `stored_byte_days` are what a release leaves, each byte times the days it is kept: so much lies there for each release a day.
    fn of(releases_a_day: f64, release: Taken, idle: Taken, stored_byte_days: f64) -> Self {
        let all = release.times(releases_a_day * DAYS_A_MONTH).plus(idle);
        let stored_gb = releases_a_day * stored_byte_days / GB;
        let prices = &LIST.prices;
        let mut services = BTreeMap::new();
        for line in all.lines() {
            *services.entry(line.service).or_default() += line.dollars();
        }
        let stored = |price: fn(&Price, f64) -> f64| {
            price(&prices.table_gb_month, stored_gb) + price(&prices.backup_gb_month, stored_gb)
        };
        services.insert("DynamoDB, stored", stored(Price::of));
        let beyond_free = all.lines().iter().map(|line| line.price.beyond_free(line.quantity)).sum::<f64>();
        Self { services, beyond_free: beyond_free + stored(Price::beyond_free) }
    }

    fn total(&self) -> f64 {
        self.services.values().sum()
    }
}

/// What it costs that nothing happens.
fn standing(idle: Taken) -> anyhow::Result<()> {
    println!("{:<52} {:>14} {:>14}", "A month in which nothing happens", "US dollars", "beyond free");
    let mut beyond_free = 0.0;
    for line in idle.lines().iter().filter(|line| line.quantity > 0.0) {
        let what = format!("{}: {} {}", line.service, quantity(line.quantity), line.what);
        let beyond = line.price.beyond_free(line.quantity);
        beyond_free += beyond;
        println!("{what:<52} {:>14.3} {beyond:>14.3}", line.dollars());
    }
    println!("{:<52} {:>14.3} {beyond_free:>14.3}", "the reconciler, 43,800 times", idle.dollars());
    let prices = &LIST.prices;
    let (metrics, dashboards) = alarms()?;
    let asked = [
        (format!("with AlarmTopicArn: {metrics} metrics of alarms"), &prices.alarm_metric, metrics),
        (format!("with AlarmTopicArn: {dashboards} dashboard"), &prices.dashboard, dashboards),
        ("with KeyArn: a key of your own".to_owned(), &prices.key_month, 1),
    ];
    for (what, price, count) in asked {
        let count = f64::from(count);
        println!("{what:<52} {:>14.3} {:>14.3}", price.of(count), price.beyond_free(count));
    }
    println!(
        "What failed or was lost is also a metric, for the hours in which it happens: {:.2} a metric and month.",
        prices.custom_metric.of(1.0)
    );
    Ok(())
}

/// What the judge's looks at a deploy cost, which a rule MetricDegradation adds.
fn judging() -> anyhow::Result<()> {
    println!("\n{:<52} {:>14} {:>14}", "A deploy judged by \"Metrics\": \"lambda:FUNCTION\"", "looks", "US dollars");
    for minutes in [15, 30, 60, 240] {
        let declared = [("Metrics", "lambda:shop".to_owned()), ("WaitTime", minutes.to_string())];
        let declared = declared.map(|(key, value)| (key.to_owned(), value)).into();
        let rule = MetricRule::declared(&declared).map_err(anyhow::Error::msg)?;
        let metrics = MetricQuery::billed(rule.queries().iter().map(|(_, query)| query));
        let looks = rule.looks();
        let dollars = LIST.prices.metric_requested.of(f64::from(looks) * metrics as f64);
        println!("{:<52} {looks:>14} {dollars:>14.5}", format!("for {minutes} minutes: {metrics} metrics a look"));
    }
    Ok(())
}

fn taken(counts: &Counts) -> Taken {
    let objects = |writing: bool| {
        let of_kind = counts.objects.iter().filter(|(name, _)| WRITING.contains(&name.as_str()) == writing);
        of_kind.map(|(_, count)| *count as f64).sum::<f64>()
    };
    let invocations: u64 = counts.invocations.values().sum();
    let taken = Taken {
        transitions: counts.transitions as f64,
        read_units: counts.read_units,
        write_units: counts.write_units,
        events: counts.events as f64,
        object_writes: objects(true),
        object_reads: objects(false),
        log_gb: invocations as f64 * LOG_BYTES_AN_INVOCATION / GB,
        ..Taken::default()
    };
    taken.invoked(counts.invocations.iter().map(|(name, count)| (name.as_str(), *count as f64)))
}

/// Metrics that the template's alarms look at, and its dashboards.
fn alarms() -> anyhow::Result<(u32, u32)> {
    let text = std::fs::read_to_string(workspace::root().join("infra/template.yaml")).context("read the template")?;
    let documents = YamlLoader::load_from_str(&text).context("the template is no YAML")?;
    let resources = documents.first().and_then(|template| template["Resources"].as_hash());
    let resources = resources.context("the template has no resources")?;
    let (mut metrics, mut dashboards) = (0, 0);
    for resource in resources.values() {
        match resource["Type"].as_str() {
            Some("AWS::CloudWatch::Alarm") => metrics += metrics_of(&resource["Properties"]),
            Some("AWS::CloudWatch::Dashboard") => dashboards += 1,
            _ => {}
        }
    }
    Ok((metrics, dashboards))
}

/// An alarm on an expression is billed by the metrics in it.
fn metrics_of(alarm: &Yaml) -> u32 {
    let queried = alarm["Metrics"].as_vec();
    queried
        .map_or(1, |queries| queries.iter().fold(0, |sum, query| sum + u32::from(!query["MetricStat"].is_badvalue())))
}

/// With as many digits as it takes.
fn quantity(quantity: f64) -> String {
    if quantity >= 1.0 || quantity == 0.0 { format!("{quantity:.1}") } else { format!("{quantity:.6}") }
}

fn header(what: &str, columns: [String; 6]) {
    print!("{what:<36}");
    columns.iter().for_each(|column| print!(" {column:>11}"));
    println!();
}

fn row(what: &str, dollars: [f64; 6]) {
    header(what, dollars.map(|dollars| format!("{dollars:.2}")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_alarms_are_billed_by_their_metrics() {
        let alarm = |yaml: &str| metrics_of(&YamlLoader::load_from_str(yaml).expect("YAML")[0]);
        assert_eq!(alarm("MetricName: 5xx"), 1);
        assert_eq!(
            alarm("Metrics: [{Id: sum, Expression: a + b}, {Id: a, MetricStat: {}}, {Id: b, MetricStat: {}}]"),
            2
        );
        let (metrics, dashboards) = alarms().expect("the template");
        assert!(metrics >= 5 && dashboards == 1, "{metrics} {dashboards}");
    }

    #[test]
    fn a_month_is_its_releases_and_what_stands() {
        let release = Taken { transitions: 100.0, ..Taken::default() };
        let idle = Taken { invocations: 10_000.0, ..Taken::default() };
        let month = Month::of(10.0, release, idle, 366e6);
        let transitions = 10.0 * DAYS_A_MONTH * 100.0 * 0.025e-3;
        assert!((month.services["Step Functions"] - transitions).abs() < 1e-9);
        assert!((month.services["Lambda"] - 0.002).abs() < 1e-9);
        let stored = 10.0 * 366.0 * 1e6 / GB * 0.45;
        assert!((month.services["DynamoDB, stored"] - stored).abs() < 1e-9);
        assert!((month.total() - transitions - 0.002 - stored).abs() < 1e-9);
        let beyond = (10.0 * DAYS_A_MONTH * 100.0 - 4000.0) * 0.025e-3 + 10.0 * 366.0 * 1e6 / GB * 0.20;
        assert!((month.beyond_free - beyond).abs() < 1e-9, "{}", month.beyond_free);
    }
}

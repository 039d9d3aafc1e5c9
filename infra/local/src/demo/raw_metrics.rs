//! What the shop of the story tells CloudWatch, for the judge, which needs no alarm.

use std::fmt::Write;

use aws_sdk_cloudwatch::{
    primitives::DateTime,
    types::{MetricDatum, StandardUnit},
};
use engine::ports::Clock;
use runtime::SystemClock;
use serde_json::{Value, json};

use super::{
    Client,
    story::{PIPELINE, text},
};

const NAMESPACE: &str = "Shop";
/// Time between points, in seconds: the shortest that a rule can have.
const PERIOD_S: u64 = 10;
/// So much is told of the time before the release.
const HISTORY_S: i64 = 11 * 60;
/// CloudWatch takes a thousand at a time.
const DATA_PER_CALL: usize = 500;
/// Bars of a drawn series, low to high.
const BARS: &[char] = &['\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}', '\u{2588}'];

/// The rule that judges them for ten minutes after a deploy.
pub(super) fn rule() -> Value {
    json!({
        "name": "Judge",
        "ruleTypeId": { "category": "Rule", "owner": "AWS", "provider": "MetricDegradation", "version": "1" },
        "configuration": {
            "Metrics": "emf:Shop:Failed/Requests emf:Shop:Latency",
            "Period": PERIOD_S.to_string(), "Baseline": "10", "WaitTime": "10", "Watch": "true",
        },
    })
}

/// Tells of the minutes before now, in which all was well.
pub(super) async fn tell_history(client: &Client) -> anyhow::Result<()> {
    let now = SystemClock.now().as_second();
    let times = (now - HISTORY_S..now).step_by(2);
    let data: Vec<MetricDatum> = times.flat_map(|at| data(at, false)).collect();
    for data in data.chunks(DATA_PER_CALL) {
        let put = client.cloudwatch.put_metric_data().namespace(NAMESPACE);
        put.set_metric_data(Some(data.to_vec())).send().await?;
    }
    Ok(())
}

/// Tells of now, in which the release does harm.
pub(super) async fn tell_harm(client: &Client) -> anyhow::Result<()> {
    let data = data(SystemClock.now().as_second(), true);
    client.cloudwatch.put_metric_data().namespace(NAMESPACE).set_metric_data(Some(data)).send().await?;
    Ok(())
}

/// Two seconds of the shop's work: some requests, now and then one that fails, and how long they took.
fn data(at: i64, harm: bool) -> Vec<MetricDatum> {
    let varies = (at / 2 * 7 % 13) as f64;
    let failed = if harm { 6.0 } else { f64::from(u8::from(at / 2 % 40 == 0)) };
    let latency = (80.0 + varies) * if harm { 2.5 } else { 1.0 };
    let datum = |name: &str, value: f64, unit: StandardUnit| {
        let datum = MetricDatum::builder().metric_name(name).value(value).unit(unit);
        datum.timestamp(DateTime::from_secs(at)).storage_resolution(1).build()
    };
    vec![
        datum("Requests", 30.0 + varies, StandardUnit::Count),
        datum("Failed", failed, StandardUnit::Count),
        datum("Latency", latency, StandardUnit::Milliseconds),
    ]
}

/// What the judge saw when it took the release back, a line for each metric, drawn.
///
/// # Errors
/// There is no such decision.
pub(super) async fn evidence(client: &Client) -> anyhow::Result<Vec<String>> {
    let listed =
        client.call("ListRollbackDecisions", &json!({ "pipelineName": PIPELINE, "stageName": "Deploy" })).await?;
    let decisions = listed["decisions"].as_array().cloned().unwrap_or_default();
    let decided = decisions.iter().find(|one| one["outcome"] == "RollbackStarted" && one["cause"] == "Alarm");
    let Some(decided) = decided else { anyhow::bail!("no decision of the judge is on record") };
    let id = &decided["decisionId"];
    let replay = json!({ "pipelineName": PIPELINE, "stageName": "Deploy", "decisionId": id });
    let replayed = client.call("ReplayDecision", &replay).await?;
    anyhow::ensure!(replayed["identical"] == true, "the decision is another one when it is taken again");
    let stored: Value = serde_json::from_str(text(&replayed["stored"]))?;
    let seen = &stored["case"]["suspects"][0]["sighted"]["evidence"];
    let mut lines = vec![format!("why: {}", text(&seen["why"]))];
    for (metric, found) in
        seen["metrics"].as_array().into_iter().flatten().zip(seen["findings"].as_array().into_iter().flatten())
    {
        let mut line = String::new();
        let name = text(&metric["name"]);
        let _ = write!(
            line,
            "{:<9} {}|{}",
            name.split(' ').next().unwrap_or(name),
            bars(metric, "before"),
            bars(metric, "after")
        );
        let _ = write!(line, "  {} times, {}", found["ratio"], text(&found["standing"]));
        lines.push(line);
    }
    lines.push("taken again from what is stored with it, the decision is the same, byte for byte".to_owned());
    Ok(lines)
}

/// The last points of one side of a deploy, drawn from zero to the highest of both.
fn bars(metric: &Value, side: &str) -> String {
    let points = |side: &str| metric["new"][side].as_array().cloned().unwrap_or_default();
    let all = points("before").into_iter().chain(points("after"));
    let highest = all.filter_map(|point| point.as_f64()).fold(f64::MIN_POSITIVE, f64::max);
    let shown = points(side);
    let shown = &shown[shown.len().saturating_sub(24)..];
    let bar = |point: &Value| {
        point.as_f64().map_or(' ', |value| {
            let step = (value / highest * (BARS.len() - 1) as f64).round();
            // From zero to seven.
            BARS[(step.max(0.0) as usize).min(BARS.len() - 1)]
        })
    };
    shown.iter().map(bar).collect()
}

//! `cargo xtask judge-export`: a past release through the judge, from an export of CloudWatch.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    path::PathBuf,
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use domain::{MetricData, MetricQuery, MetricRule, MetricSight, MetricSource, Points, Sighted, Verdict, sight};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

/// What to judge, and when it was deployed.
#[derive(Args)]
pub(crate) struct Options {
    /// The configuration of a rule MetricDegradation, or a pipeline that holds one, as JSON
    #[arg(long)]
    rule: PathBuf,
    /// Print the input of get-metric-data for a release that was deployed then, and judge nothing
    #[arg(long)]
    queries: bool,
    /// When the release went into its stage, such as 2026-11-27T08:00:00Z
    #[arg(long)]
    entered: Option<Timestamp>,
    /// When it had succeeded there; as --entered unless given
    #[arg(long)]
    succeeded: Option<Timestamp>,
    /// Write the whole evidence of each verdict
    #[arg(long)]
    evidence: bool,
    /// Exports of get-metric-data. Several releases: JSON lines of {"id", "entered", "succeeded", "data"}, from standard input
    exports: Vec<PathBuf>,
}

/// Judges each export as the running system would have.
///
/// # Errors
/// The rule or an export cannot be read, or a time is missing.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(&options.rule).with_context(|| options.rule.display().to_string())?;
    let rule = rule_in(&serde_json::from_str(&text).context("the rule is no JSON")?)?;
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    if options.queries {
        let (entered, succeeded) = options.times()?;
        writeln!(output, "{}", serde_json::to_string_pretty(&request(&rule, entered, succeeded)?)?)?;
        return Ok(output.flush()?);
    }
    if options.exports.is_empty() {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let release: Release = serde_json::from_str(line).with_context(|| format!("line {}", number + 1))?;
            let answer = release.judged(&rule).with_context(|| format!("line {}", number + 1))?;
            writeln!(output, "{}", told(&release.id, &answer, options.evidence))?;
        }
        return Ok(output.flush()?);
    }
    let (entered, succeeded) = options.times()?;
    for path in &options.exports {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| name.clone())?;
        let data = serde_json::from_str(&text).with_context(|| name.clone())?;
        let release = Release { id: name.clone(), entered, succeeded: Some(succeeded), data };
        let answer = release.judged(&rule).context(name.clone())?;
        writeln!(output, "{}", told(&name, &answer, options.evidence))?;
    }
    Ok(output.flush()?)
}

impl Options {
    fn times(&self) -> anyhow::Result<(Timestamp, Timestamp)> {
        let entered = self.entered.context("say with --entered when the release went into its stage")?;
        Ok((entered, self.succeeded.unwrap_or(entered)))
    }
}

/// A release and what CloudWatch has of it.
#[derive(Debug, Deserialize)]
struct Release {
    id: String,
    entered: Timestamp,
    succeeded: Option<Timestamp>,
    data: Export,
}

/// An answer of GetMetricData.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Export {
    metric_data_results: Vec<Series>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Series {
    id: String,
    timestamps: Vec<Instant>,
    values: Vec<f64>,
}

/// As the CLI writes it, or as the wire has it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Instant {
    Text(Timestamp),
    Seconds(f64),
}

impl Instant {
    fn second(&self) -> i64 {
        match self {
            Self::Text(at) => at.as_second(),
            // Periods begin at whole seconds.
            Self::Seconds(seconds) => seconds.round() as i64,
        }
    }
}

impl Release {
    fn judged(&self, rule: &MetricRule) -> anyhow::Result<Sighted> {
        let succeeded = self.succeeded.unwrap_or(self.entered);
        ensure!(succeeded >= self.entered, "it had succeeded before it entered its stage");
        let mut series: BTreeMap<&str, Points> = BTreeMap::new();
        for one in &self.data.metric_data_results {
            ensure!(one.timestamps.len() == one.values.len(), "series {:?} has other times than values", one.id);
            let points = one.timestamps.iter().map(Instant::second).zip(one.values.iter().copied());
            // Of a further page it is the rest.
            series.entry(&one.id).or_default().extend(points);
        }
        let mut data = MetricData::new();
        for (at, (region, query)) in rule.queries().into_iter().enumerate() {
            let id = id(at);
            let Some(points) = series.remove(id.as_str()) else {
                bail!("the export has no series {id:?}: ask for what --queries prints");
            };
            data.insert((region.map(str::to_owned), query), points);
        }
        let until = succeeded + SignedDuration::from_mins(i64::from(rule.minutes));
        // All that will ever be known of it.
        let now = until + rule.settled_after();
        Ok(sight(rule, &MetricSight::of_deploy(rule, self.entered, succeeded, until), &data, now))
    }
}

fn id(at: usize) -> String {
    format!("q{at}")
}

/// The input of GetMetricData that has everything the judge reads.
fn request(rule: &MetricRule, entered: Timestamp, succeeded: Timestamp) -> anyhow::Result<Value> {
    let until = succeeded + SignedDuration::from_mins(i64::from(rule.minutes));
    let since = MetricSight::of_deploy(rule, entered, succeeded, until).since(rule);
    let mut queries = Vec::new();
    for (at, (region, query)) in rule.queries().into_iter().enumerate() {
        if let Some(region) = region {
            bail!("the control group is in {region}: an export is of one region. Take ControlRegion out of the rule");
        }
        queries.extend(asked(&id(at), &query));
    }
    Ok(json!({ "StartTime": since.to_string(), "EndTime": until.to_string(), "MetricDataQueries": queries }))
}

fn asked(id: &str, query: &MetricQuery) -> Vec<Value> {
    let period = query.period_seconds;
    let of = |id: &str, metric: &domain::MetricStatistic, is_wanted: bool| {
        let dimensions = metric.dimensions.iter().map(|(name, value)| json!({ "Name": name, "Value": value }));
        let dimensions: Vec<Value> = dimensions.collect();
        json!({ "Id": id, "ReturnData": is_wanted, "MetricStat": {
            "Metric": { "Namespace": metric.namespace, "MetricName": metric.metric, "Dimensions": dimensions },
            "Period": period, "Stat": metric.statistic } })
    };
    match (&query.source, query.source.renamed(|name| format!("{id}_{name}"))) {
        (MetricSource::Statistic(metric), _) => vec![of(id, metric, true)],
        (_, Some((expression, metrics))) => {
            let result = json!({ "Id": id, "Expression": expression, "Period": period });
            std::iter::once(result).chain(metrics.iter().map(|(name, metric)| of(name, metric, false))).collect()
        }
        (_, None) => Vec::new(),
    }
}

/// The configuration itself, or that of the first such rule anywhere in a pipeline.
fn rule_in(value: &Value) -> anyhow::Result<MetricRule> {
    fn find(value: &Value) -> Option<&Value> {
        if value["ruleTypeId"]["provider"] == domain::METRIC_DEGRADATION {
            return value.get("configuration");
        }
        match value {
            Value::Object(members) => members.values().find_map(find),
            Value::Array(values) => values.iter().find_map(find),
            _ => None,
        }
    }
    let configuration: BTreeMap<String, String> =
        serde_json::from_value(find(value).unwrap_or(value).clone()).context("there is no rule MetricDegradation")?;
    MetricRule::declared(&configuration).map_err(|why| anyhow::anyhow!("the rule {why}"))
}

fn told(id: &str, seen: &Sighted, with_evidence: bool) -> Value {
    let evidence = &seen.evidence;
    let mut told = json!({
        "id": id, "verdict": evidence.verdict, "score": evidence.score, "why": evidence.why,
        "afterPoints": (evidence.verdict == Verdict::Degraded).then_some(evidence.after_points),
        "worseSince": seen.worse_since,
    });
    if with_evidence {
        told["evidence"] = json!(evidence);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = r#"{"Metrics": "emf:Shop:Latency?Service=cart", "WaitTime": "15"}"#;

    fn rule() -> MetricRule {
        rule_in(&serde_json::from_str(RULE).expect("JSON")).expect("a rule")
    }

    fn release(worse: bool, times_as_text: bool) -> Release {
        let minutes = 1_000_i64..1_100;
        let value = |minute: i64| (100 + minute * 7 % 5) as f64 * if worse && minute >= 1_071 { 2.0 } else { 1.0 };
        let time = |minute: i64| match times_as_text {
            true => json!(Timestamp::from_second(minute * 60).expect("in range").to_string()),
            false => json!(minute * 60),
        };
        let (times, values): (Vec<Value>, Vec<f64>) = minutes.map(|minute| (time(minute), value(minute))).unzip();
        let entered = Timestamp::from_second(1_070 * 60).expect("in range");
        let release = json!({ "id": "a", "entered": entered,
            "data": { "MetricDataResults": [{ "Id": "q0", "Label": "x", "Timestamps": times, "Values": values }] } });
        serde_json::from_value(release).expect("a release")
    }

    #[test]
    fn an_export_is_judged_however_its_times_are_written() {
        for times_as_text in [true, false] {
            let bad = release(true, times_as_text).judged(&rule()).expect("judged");
            assert_eq!(bad.evidence.verdict, Verdict::Degraded, "{}", bad.evidence.why);
            assert_eq!(bad.worse_since.map(Timestamp::as_second), Some(1_071 * 60));
            let good = release(false, times_as_text).judged(&rule()).expect("judged");
            assert_eq!((good.evidence.verdict, good.worse_since), (Verdict::Healthy, None));
        }
    }

    #[test]
    fn what_is_asked_for_is_what_is_read() {
        let at = Timestamp::from_second(1_070 * 60).expect("in range");
        let asked = request(&rule(), at, at).expect("a request");
        assert_eq!(asked["MetricDataQueries"][0]["Id"], "q0");
        assert_eq!(asked["MetricDataQueries"][0]["MetricStat"]["Metric"]["Dimensions"][0]["Value"], "cart");
        assert_eq!(asked["StartTime"], Timestamp::from_second((1_070 - 61) * 60).expect("in range").to_string());
    }

    #[test]
    fn the_rule_is_found_in_a_pipeline_and_a_series_that_is_missing_is_named() {
        let pipeline = json!({ "pipeline": { "stages": [{ "onSuccess": { "conditions": [{ "rules": [
            { "name": "judge", "ruleTypeId": { "provider": "MetricDegradation" },
              "configuration": { "Metrics": "lambda:shop", "WaitTime": "15" } }] }] } }] } });
        let rule = rule_in(&pipeline).expect("a rule");
        assert_eq!(rule.metrics.len(), 3);
        let why = release(true, true).judged(&rule).expect_err("other series");
        assert!(why.to_string().contains("the export has no series \"q1\""), "{why}");
        assert!(rule_in(&json!({ "pipeline": {} })).is_err());
    }
}

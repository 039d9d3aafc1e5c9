//! `cargo xtask judge-export`: a past release through the judge, from an export of CloudWatch.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    path::PathBuf,
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use domain::{MetricAsked, MetricData, MetricQuery, MetricRule, MetricSight, Points, Sighted, Verdict, sight};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

/// The status of a series of which CloudWatch has said all; also of one that comes without.
const COMPLETE: &str = "Complete";

/// What to judge, and when it was deployed.
#[derive(Args)]
pub(crate) struct Options {
    /// The configuration of a rule MetricDegradation, or a pipeline that holds one, as JSON
    #[arg(long)]
    rule: PathBuf,
    /// Print the input of get-metric-data for a release that was deployed then, and judge nothing
    #[arg(long)]
    queries: bool,
    /// With --queries: for this region of a control group; the rule's own unless given
    #[arg(long, requires = "queries")]
    region: Option<String>,
    /// When the release went into its stage, such as 2026-11-27T08:00:00Z
    #[arg(long)]
    entered: Option<Timestamp>,
    /// When it had succeeded there; as --entered unless given
    #[arg(long)]
    succeeded: Option<Timestamp>,
    /// Write the whole evidence of each verdict
    #[arg(long)]
    evidence: bool,
    /// Exports of get-metric-data, each of a release; of one release in all where a control group is in another region.
    /// Several releases: JSON lines of {"id", "entered", "succeeded", "data"}, from standard input
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
        let request = request(&rule, options.region.as_deref(), entered, succeeded)?;
        writeln!(output, "{}", serde_json::to_string_pretty(&request)?)?;
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
    let are_of_one = rule.queries().iter().any(|(region, _)| region.is_some());
    for paths in options.exports.chunks(if are_of_one { options.exports.len() } else { 1 }) {
        let release = Release::read(paths, entered, succeeded)?;
        let answer = release.judged(&rule).with_context(|| release.id.clone())?;
        writeln!(output, "{}", told(&release.id, &answer, options.evidence))?;
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
    status_code: Option<String>,
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

impl Export {
    /// Points by series.
    fn series(&self) -> anyhow::Result<BTreeMap<&str, Points>> {
        let mut series: BTreeMap<&str, (Points, &str)> = BTreeMap::new();
        for one in &self.metric_data_results {
            ensure!(one.timestamps.len() == one.values.len(), "series {:?} has other times than values", one.id);
            // Of a further page it is the rest.
            let (points, status) = series.entry(&one.id).or_default();
            for (at, value) in one.timestamps.iter().map(Instant::second).zip(&one.values) {
                let is_new = points.insert(at, *value).is_none();
                ensure!(
                    is_new,
                    "series {:?} has two values for one time: is it of an expression that comes to several?",
                    one.id
                );
            }
            *status = one.status_code.as_deref().unwrap_or(COMPLETE);
        }
        if let Some((id, (_, status))) = series.iter().find(|(_, (_, status))| *status != COMPLETE) {
            bail!("CloudWatch says of series {id:?} that it is {status}: export it again, with all pages");
        }
        Ok(series.into_iter().map(|(id, (points, _))| (id, points)).collect())
    }
}

impl Release {
    fn read(paths: &[PathBuf], entered: Timestamp, succeeded: Timestamp) -> anyhow::Result<Self> {
        let mut metric_data_results = Vec::new();
        for path in paths {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            let export: Export = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
            metric_data_results.extend(export.metric_data_results);
        }
        let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        Ok(Self { id: names.join(" "), entered, succeeded: Some(succeeded), data: Export { metric_data_results } })
    }

    fn judged(&self, rule: &MetricRule) -> anyhow::Result<Sighted> {
        let succeeded = self.succeeded.unwrap_or(self.entered);
        ensure!(succeeded >= self.entered, "it had succeeded before it entered its stage");
        let mut series = self.data.series()?;
        let mut data = MetricData::new();
        for (at, (region, query)) in rule.queries().into_iter().enumerate() {
            let id = MetricQuery::id(at);
            let Some(points) = series.remove(id.as_str()) else {
                let of = region.map(|region| format!(" --region {region}")).unwrap_or_default();
                bail!("the export has no series {id:?}: ask for what --queries{of} prints");
            };
            data.insert((region.map(str::to_owned), query), points);
        }
        let until = succeeded + SignedDuration::from_mins(i64::from(rule.minutes));
        // All that will ever be known of it.
        let now = until + rule.settled_after();
        Ok(sight(rule, &MetricSight::of_deploy(rule, self.entered, succeeded, until), &data, now))
    }
}

/// The input of GetMetricData that has everything the judge reads in `region`.
fn request(rule: &MetricRule, region: Option<&str>, entered: Timestamp, succeeded: Timestamp) -> anyhow::Result<Value> {
    let until = succeeded + SignedDuration::from_mins(i64::from(rule.minutes));
    let since = MetricSight::of_deploy(rule, entered, succeeded, until).since(rule);
    // Each has the name of its place among those of all regions.
    let all = rule.queries();
    let placed: Vec<(usize, &MetricQuery)> =
        all.iter().enumerate().filter(|(_, (of, _))| *of == region).map(|(at, (_, query))| (at, query)).collect();
    ensure!(!placed.is_empty(), "the rule reads nothing in region {}", region.unwrap_or_default());
    let queries = asked(&placed, rule.period_seconds);
    Ok(json!({ "StartTime": since.to_string(), "EndTime": until.to_string(), "MetricDataQueries": queries }))
}

fn asked(queries: &[(usize, &MetricQuery)], period: u32) -> Vec<Value> {
    let entry = |asked| match asked {
        MetricAsked::Metric { id, metric, is_wanted } => {
            let dimensions = metric.dimensions.iter().map(|(name, value)| json!({ "Name": name, "Value": value }));
            let dimensions: Vec<Value> = dimensions.collect();
            json!({ "Id": id, "ReturnData": is_wanted, "MetricStat": {
                "Metric": { "Namespace": metric.namespace, "MetricName": metric.metric, "Dimensions": dimensions },
                "Period": period, "Stat": metric.statistic } })
        }
        MetricAsked::Expression { id, expression } => json!({ "Id": id, "Expression": expression, "Period": period }),
    };
    MetricAsked::together(queries).into_iter().map(entry).collect()
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
        let asked = request(&rule(), None, at, at).expect("a request");
        assert_eq!(asked["MetricDataQueries"][0]["Id"], "q0");
        assert_eq!(asked["MetricDataQueries"][0]["MetricStat"]["Metric"]["Dimensions"][0]["Value"], "cart");
        assert_eq!(asked["StartTime"], Timestamp::from_second((1_070 - 60) * 60).expect("in range").to_string());
    }

    #[test]
    fn each_region_is_an_export_of_its_own_and_all_are_one_release() {
        let rule = rule_in(&json!({ "Metrics": "emf:Shop:Latency", "ControlRegion": "eu-west-1", "WaitTime": "15" }));
        let rule = rule.expect("a rule");
        let at = Timestamp::from_second(1_070 * 60).expect("in range");
        let ids = |region| {
            let asked = request(&rule, region, at, at).expect("a request");
            asked["MetricDataQueries"].as_array().expect("queries").iter().map(|one| one["Id"].to_string()).collect()
        };
        let (own, control): (Vec<String>, Vec<String>) = (ids(None), ids(Some("eu-west-1")));
        assert_eq!((own, control), (vec!["\"q0\"".to_owned()], vec!["\"q1\"".to_owned()]));
        assert!(request(&rule, Some("eu-west-2"), at, at).is_err());
        let mut release = release(true, true);
        let why = release.judged(&rule).expect_err("half of it");
        assert!(why.to_string().contains("--queries --region eu-west-1 prints"), "{why}");
        let mut control = self::release(false, true).data.metric_data_results;
        control[0].id = "q1".to_owned();
        release.data.metric_data_results.extend(control);
        let seen = release.judged(&rule).expect("judged");
        assert_eq!(seen.evidence.verdict, Verdict::Degraded, "{}", seen.evidence.why);
    }

    #[test]
    fn what_cloudwatch_does_not_know_is_not_taken_for_silence() {
        for (statuses, expected) in [
            (vec![Some("Complete")], None),
            (vec![Some("PartialData"), Some("Complete")], None),
            (vec![Some("Complete"), Some("PartialData")], Some("that it is PartialData")),
            (vec![Some("InternalError")], Some("that it is InternalError")),
        ] {
            let mut release = release(false, true);
            let whole = release.data.metric_data_results.remove(0);
            let size = whole.values.len().div_ceil(statuses.len());
            let points: Vec<_> = whole.timestamps.into_iter().zip(whole.values).collect();
            let mut points = points.into_iter();
            for status in &statuses {
                let (timestamps, values) = points.by_ref().take(size).unzip();
                let part = Series { id: "q0".to_owned(), status_code: status.map(str::to_owned), timestamps, values };
                release.data.metric_data_results.push(part);
            }
            let why = release.judged(&rule()).err().map(|why| why.to_string()).unwrap_or_default();
            assert!(expected.map_or(why.is_empty(), |expected| why.contains(expected)), "{statuses:?}: {why}");
        }
        let mut twice = release(false, true);
        twice.data.metric_data_results.extend(release(false, true).data.metric_data_results);
        let why = twice.judged(&rule()).expect_err("two series in one");
        assert!(why.to_string().contains("two values for one time"), "{why}");
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

//! What a user writes, read key by key.

use std::{collections::BTreeMap, ops::RangeInclusive};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{
    DeclaredMetrics, Group, MetricRule, MetricSource, MetricStatistic, MissingPoint, WatchedMetric, presets,
    query::{unbound_function, used_names},
};
use crate::{Direction, JudgePolicy, MetricKind, MetricScope, wait_minutes};

const PERIODS: RangeInclusive<u32> = 10..=3_600;
/// Periods of less than a minute that CloudWatch keeps metrics of high resolution by.
const SHORT_PERIODS: &[u32] = &[10, 30];
/// Points before the deploy that are read, unless `Baseline` says otherwise.
const BASELINE_POINTS: u32 = 60;
const PERCENT: RangeInclusive<u32> = 5..=1_000;
const POINTS_MIN: RangeInclusive<u32> = 3..=1_440;
/// CloudWatch's limits.
const DIMENSIONS_MAX: usize = 30;
const NAME_CHARS_MAX: usize = 255;
const EXPRESSION_CHARS_MAX: usize = 1_024;
/// Characters of what a rule watches that become part of its ARN.
const SLUG_CHARS_MAX: usize = 80;

impl DeclaredMetrics {
    /// The rule, with every preset written out.
    ///
    /// # Errors
    /// What is wrong and what to write, as it follows "the rule ".
    pub fn rule(&self) -> Result<MetricRule, String> {
        MetricRule::declared(&self.configuration)
    }

    /// What stands for an alarm's name in the ARN of what is watched: the same for all who watch the same metrics in the
    /// same way, so that they are suspects of one incident.
    pub fn id(&self) -> String {
        const IDENTITY: &[&str] = &["Baseline", "ControlGroup", "ControlRegion", "Metrics", "MissingData", "Period"];
        let told = self.configuration.iter().filter(|(key, _)| IDENTITY.contains(&key.as_str()));
        let mut digest = Sha256::new();
        for (key, value) in told {
            digest.update(format!("{key}={}:{value};", value.len()));
        }
        let name = self.rule().map(|rule| rule.name).unwrap_or_default();
        let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_.$/+".contains(char);
        let slug: String =
            name.chars().map(|char| if is_plain(char) { char } else { '/' }).take(SLUG_CHARS_MAX).collect();
        format!("{slug}/{}", &hex::encode(digest.finalize())[..8])
    }
}

impl MetricRule {
    /// Reads a rule's configuration.
    ///
    /// # Errors
    /// What is wrong and what to write, as it follows "the rule ".
    pub fn declared(configuration: &BTreeMap<String, String>) -> Result<Self, String> {
        let setting = |key: &str| configuration.get(key).map(|value| value.trim()).filter(|value| !value.is_empty());
        let missing = choice(setting("MissingData"), "MissingData", &["Ignore", "Zero"])?;
        let missing = missing.map(|missing| if missing == "Zero" { MissingPoint::Zero } else { MissingPoint::Ignore });
        let declared = setting("Metrics").ok_or("has no Metrics. Name a preset, or metrics as a JSON array")?;
        let mut metrics = read(declared, missing)?;
        if let Some(control) = setting("ControlGroup") {
            join(&mut metrics, read(control, missing)?)?;
        }
        if let Some(region) = setting("ControlRegion") {
            in_region(&mut metrics, region)?;
        }
        let number = |key: &str, range: RangeInclusive<u32>, unit: &str| number(setting(key), key, range, unit);
        let period_seconds = number("Period", PERIODS, "seconds")?.unwrap_or(60);
        if period_seconds % 60 != 0 && !SHORT_PERIODS.contains(&period_seconds) {
            return Err(format!("has '{period_seconds}' for 'Period'. Use 10, 30 or whole minutes, in seconds"));
        }
        let baseline = number("Baseline", 10..=10_080, "minutes")?;
        let minutes = wait_minutes(setting("WaitTime").unwrap_or_default())?;
        let defaults = JudgePolicy::default();
        let floor =
            number("EffectFloor", PERCENT, "percent")?.map_or(defaults.effect_floor, |floor| f64::from(floor) / 100.0);
        let least = number("MinimumDataPoints", POINTS_MIN, "points")?;
        let healthy_points = least.map_or(defaults.healthy_points, |least| least as usize);
        let unseen = choice(setting("TooLittleData"), "TooLittleData", &["Fail", "Succeed"])?;
        let rule = Self {
            name: name_of(declared, &metrics),
            metrics,
            period_seconds,
            baseline_points: baseline.map_or(BASELINE_POINTS, |minutes| (minutes * 60).div_ceil(period_seconds)),
            minutes,
            policy: JudgePolicy { effect_floor: floor, healthy_points, ..defaults },
            fails_unseen: unseen == Some("Fail"),
        };
        rule.check()?;
        Ok(rule)
    }
}

fn presets_in(declared: &str) -> impl Iterator<Item = &str> {
    declared.split([',', ' ', '\n']).filter(|preset| !preset.is_empty())
}

/// A JSON array of metrics, or presets with commas or blanks between them.
fn read(declared: &str, missing: Option<MissingPoint>) -> Result<Vec<WatchedMetric>, String> {
    if !declared.starts_with('[') {
        let mut metrics: Vec<(&str, WatchedMetric)> = Vec::new();
        for preset in presets_in(declared) {
            metrics.extend(presets::expand(preset)?.into_iter().map(|metric| (preset, metric)));
        }
        let names: Vec<String> = metrics.iter().map(|(_, metric)| metric.name.clone()).collect();
        let told_apart = |(preset, mut metric): (&str, WatchedMetric)| {
            metric.missing = missing.unwrap_or(metric.missing);
            if names.iter().filter(|name| **name == metric.name).count() > 1 {
                metric.name = format!("{} of {preset}", metric.name);
            }
            metric
        };
        return Ok(metrics.into_iter().map(told_apart).collect());
    }
    let declared: Vec<Declared> =
        serde_json::from_str(declared).map_err(|error| format!("has Metrics that cannot be read: {error}"))?;
    if declared.is_empty() {
        return Err("has no metrics. Declare one at least".to_owned());
    }
    declared.into_iter().map(|metric| metric.written_out(missing)).collect()
}

/// Gives every metric the one in its place of the control group.
fn join(metrics: &mut [WatchedMetric], control: Vec<WatchedMetric>) -> Result<(), String> {
    let kinds = |metrics: &[WatchedMetric]| -> Vec<_> {
        metrics.iter().map(|metric| (metric.kind, metric.own.requests.is_some())).collect()
    };
    if kinds(metrics) != kinds(&control) {
        return Err(
            "has a ControlGroup with other metrics than Metrics. Use the same presets in the same order".to_owned()
        );
    }
    for (metric, control) in metrics.iter_mut().zip(control) {
        metric.control = Some(control.own);
    }
    Ok(())
}

/// Reads the control group in another region: that of the metrics, unless one was declared.
fn in_region(metrics: &mut [WatchedMetric], region: &str) -> Result<(), String> {
    let region = region_name(region).map_err(|why| format!("{why} for 'ControlRegion'"))?;
    for metric in metrics.iter_mut().filter(|metric| metric.scope == MetricScope::Own) {
        let control = metric.control.take().unwrap_or_else(|| metric.own.clone());
        metric.control = Some(Group { region: Some(region.clone()), ..control });
    }
    Ok(())
}

fn region_name(region: &str) -> Result<String, String> {
    let is_name = region.len() <= 30
        && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if is_name && region.contains('-') {
        Ok(region.to_owned())
    } else {
        Err(format!("has the unknown region '{region}'"))
    }
}

fn number(value: Option<&str>, key: &str, range: RangeInclusive<u32>, unit: &str) -> Result<Option<u32>, String> {
    let Some(value) = value else { return Ok(None) };
    let number: Option<u32> = value.parse().ok().filter(|_| value.bytes().all(|byte| byte.is_ascii_digit()));
    match number.filter(|number| range.contains(number)) {
        Some(number) => Ok(Some(number)),
        None => Err(format!("has '{value}' for '{key}'. Use {} to {} ({unit})", range.start(), range.end())),
    }
}

fn choice<'v>(value: Option<&'v str>, key: &str, known: &[&str]) -> Result<Option<&'v str>, String> {
    match value {
        Some(value) if !known.contains(&value) => Err(format!("has '{value}' for '{key}'. Use {}", known.join(", "))),
        value => Ok(value),
    }
}

/// Presets as they are, or what the metrics are called.
fn name_of(declared: &str, metrics: &[WatchedMetric]) -> String {
    if !declared.starts_with('[') {
        return presets_in(declared).collect::<Vec<_>>().join("+");
    }
    metrics.iter().map(|metric| metric.name.as_str()).collect::<Vec<_>>().join("+")
}

/// One metric of the JSON array.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Declared {
    name: Option<String>,
    namespace: Option<String>,
    metric: Option<String>,
    dimensions: Option<BTreeMap<String, String>>,
    statistic: Option<String>,
    expression: Option<String>,
    metrics: Option<BTreeMap<String, DeclaredSource>>,
    kind: Option<MetricKind>,
    direction: Option<Direction>,
    scope: Option<MetricScope>,
    missing: Option<MissingPoint>,
    requests: Option<DeclaredSource>,
    control: Option<DeclaredControl>,
}

/// A metric, or an expression over `metrics`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct DeclaredSource {
    namespace: Option<String>,
    metric: Option<String>,
    dimensions: Option<BTreeMap<String, String>>,
    statistic: Option<String>,
    expression: Option<String>,
    metrics: Option<BTreeMap<String, DeclaredSource>>,
}

/// What differs in the control group: dimensions and region.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct DeclaredControl {
    region: Option<String>,
    dimensions: Option<BTreeMap<String, String>>,
}

impl Declared {
    fn written_out(self, missing: Option<MissingPoint>) -> Result<WatchedMetric, String> {
        let own = DeclaredSource {
            namespace: self.namespace,
            metric: self.metric,
            dimensions: self.dimensions,
            statistic: self.statistic,
            expression: self.expression,
            metrics: self.metrics,
        };
        let name = self.name.unwrap_or_else(|| own.name());
        let problem = |why: String| format!("has a metric '{name}' that {why}");
        let value = own.source(&DeclaredSource::default(), "Average").map_err(problem)?;
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
            return Err(format!(
                "has a metric with a name of {} characters. Use 1 to {NAME_CHARS_MAX}",
                name.chars().count()
            ));
        }
        let requests = self.requests.map(|requests| requests.source(&own, "Sum")).transpose().map_err(problem)?;
        let statistic = match &value {
            MetricSource::Statistic(of) => of.statistic.as_str(),
            MetricSource::Math { .. } => "",
        };
        let kind = self.kind.unwrap_or(if is_count(statistic) { MetricKind::Count } else { MetricKind::Gauge });
        if requests.is_some() && kind == MetricKind::Gauge {
            return Err(problem("has requests and is a gauge. Declare it as count or rate".to_owned()));
        }
        let control = match &self.control {
            Some(control) => Some(control.group(&value, requests.as_ref()).map_err(problem)?),
            None => None,
        };
        Ok(WatchedMetric {
            kind,
            direction: self.direction.unwrap_or(Direction::Increase),
            scope: self.scope.unwrap_or_default(),
            missing: self.missing.or(missing).unwrap_or(MissingPoint::Ignore),
            own: Group { region: None, value, requests },
            control,
            name,
        })
    }
}

impl DeclaredSource {
    fn name(&self) -> String {
        self.metric.clone().or_else(|| self.expression.clone()).unwrap_or_default()
    }

    /// What is left out is as in `like`.
    fn source(&self, like: &Self, statistic: &str) -> Result<MetricSource, String> {
        let Some(expression) = &self.expression else {
            return Ok(MetricSource::Statistic(self.statistic(like, statistic)?));
        };
        if self.metric.is_some() || self.statistic.is_some() {
            return Err("has an expression beside a metric. Declare one of them".to_owned());
        }
        if expression.chars().count() > EXPRESSION_CHARS_MAX {
            return Err(format!("has an expression of more than {EXPRESSION_CHARS_MAX} characters"));
        }
        let metrics = self.metrics.as_ref().or(like.metrics.as_ref()).ok_or("has an expression without metrics")?;
        let metrics: BTreeMap<String, MetricStatistic> = metrics
            .iter()
            .map(|(name, metric)| Ok((name.clone(), metric.statistic(self, "Average")?)))
            .collect::<Result<_, String>>()?;
        let is_id = |name: &String| {
            name.len() <= 64
                && name.starts_with(|first: char| first.is_ascii_lowercase())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if let Some(name) = metrics.keys().find(|name| !is_id(name)) {
            return Err(format!("names a metric '{name}'. Begin with a small letter, then letters, digits and _"));
        }
        if let Some(unknown) = used_names(expression).into_iter().find(|name| !metrics.contains_key(*name)) {
            return Err(format!("has an expression with '{unknown}', which is not among its metrics"));
        }
        if let Some(function) = unbound_function(expression) {
            return Err(format!(
                "has an expression with {function}, which reads what is not among its metrics or comes to several \
                 series. Use functions of the metrics that it names"
            ));
        }
        if metrics.is_empty() || metrics.len() > 10 {
            return Err("has an expression over no metric, or over more than 10".to_owned());
        }
        Ok(MetricSource::Math { expression: expression.clone(), metrics })
    }

    fn statistic(&self, like: &Self, unless_given: &str) -> Result<MetricStatistic, String> {
        let named = |own: &Option<String>, like: &Option<String>, what: &str| {
            let text = own.clone().or_else(|| like.clone()).unwrap_or_default();
            let is_fine = !text.is_empty() && text.chars().count() <= NAME_CHARS_MAX;
            if is_fine {
                Ok(text)
            } else {
                Err(format!("has no {what}, or one of more than {NAME_CHARS_MAX} characters"))
            }
        };
        let dimensions = self.dimensions.clone().or_else(|| like.dimensions.clone()).unwrap_or_default();
        if dimensions.len() > DIMENSIONS_MAX
            || dimensions.iter().any(|(name, value)| name.is_empty() || value.is_empty())
        {
            return Err(format!("has more than {DIMENSIONS_MAX} dimensions, or an empty one"));
        }
        let statistic = self.statistic.clone().unwrap_or_else(|| unless_given.to_owned());
        if !is_statistic(&statistic) {
            return Err(format!("has the unknown statistic '{statistic}'. Use such as Average, Sum, Maximum, p90"));
        }
        Ok(MetricStatistic {
            namespace: named(&self.namespace, &like.namespace, "namespace")?,
            metric: named(&self.metric, &None, "metric")?,
            dimensions,
            statistic,
        })
    }
}

impl DeclaredControl {
    fn group(&self, value: &MetricSource, requests: Option<&MetricSource>) -> Result<Group, String> {
        if self.region.is_none() && self.dimensions.is_none() {
            return Err("has a control without a region or dimensions. Say in what it differs".to_owned());
        }
        let region = self.region.as_deref().map(region_name).transpose()?;
        Ok(Group { region, value: self.of(value), requests: requests.map(|requests| self.of(requests)) })
    }

    /// The same metric of the control group.
    fn of(&self, source: &MetricSource) -> MetricSource {
        let mut source = source.clone();
        let metrics: Vec<&mut MetricStatistic> = match &mut source {
            MetricSource::Statistic(metric) => vec![metric],
            MetricSource::Math { metrics, .. } => metrics.values_mut().collect(),
        };
        for metric in metrics {
            metric.dimensions.extend(self.dimensions.clone().unwrap_or_default());
        }
        source
    }
}

/// Whether the statistic counts events.
pub(super) fn is_count(statistic: &str) -> bool {
    matches!(statistic, "Sum" | "SampleCount")
}

/// Whether CloudWatch has such a statistic.
pub(super) fn is_statistic(text: &str) -> bool {
    let is_percentile = |rest: &str| rest.parse::<f64>().is_ok_and(|percent| (0.0..=100.0).contains(&percent));
    let with_percentile = ["tm", "wm", "tc", "ts", "p"].iter().find_map(|of| text.strip_prefix(of));
    matches!(text, "Average" | "Maximum" | "Minimum" | "SampleCount" | "Sum" | "IQM")
        || with_percentile.is_some_and(is_percentile)
}

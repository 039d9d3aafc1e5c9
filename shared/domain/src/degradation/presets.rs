//! Presets: what to watch of a service of AWS, in one word.

use std::collections::BTreeMap;

use super::{Group, MetricSource, MetricStatistic, MissingPoint, WatchedMetric};
use crate::{Direction, MetricKind, MetricScope};

/// The presets as they are written, for messages and documents.
pub const PRESETS: &[&str] = &[
    "lambda:FUNCTION[:ALIAS-OR-VERSION]",
    "alb:app/NAME/ID/targetgroup/NAME/ID",
    "apigateway:API-ID[/STAGE]",
    "apigateway:rest:NAME[/STAGE]",
    "ecs:CLUSTER/SERVICE",
    "sqs:QUEUE",
    "dynamodb:TABLE",
    "emf:NAMESPACE:METRIC[/REQUESTS][:STATISTIC][?DIMENSION=VALUE&...]",
];

/// Writes a preset out.
///
/// # Errors
/// What is wrong with it.
pub(super) fn expand(preset: &str) -> Result<Vec<WatchedMetric>, String> {
    let unknown = || format!("has the unknown preset '{preset}'. Use {}, or a JSON array", PRESETS.join(", "));
    let (service, of) = preset.split_once(':').ok_or_else(unknown)?;
    let metrics = match service {
        "lambda" => lambda(of),
        "alb" => target_group(of),
        "apigateway" => api_gateway(of),
        "ecs" => ecs(of),
        "sqs" => queue(of),
        "dynamodb" => table(of),
        "emf" => embedded(of),
        _ => return Err(unknown()),
    };
    metrics.ok_or_else(|| {
        let known: Vec<&str> =
            PRESETS.iter().copied().filter(|known| known.split(':').next() == Some(service)).collect();
        format!("has the preset '{preset}', which has to be like {}", known.join(" or "))
    })
}

/// Of an alias, what its traffic does, whichever version it goes to; of a version, its own.
fn lambda(of: &str) -> Option<Vec<WatchedMetric>> {
    let (function, qualifier) = of.split_once(':').map_or((of, None), |(function, of)| (function, Some(of)));
    let mut dimensions = vec![("FunctionName", function.to_owned())];
    if let Some(qualifier) = qualifier.filter(|of| is_name(of)) {
        dimensions.push(("Resource", format!("{function}:{qualifier}")));
    }
    let all = Service::new("AWS/Lambda", &dimensions);
    let invocations = all.metric("Invocations", "Sum");
    // What was throttled is no invocation, as Lambda documents: where all of it was, there is none.
    let attempts = all.sum(&[("invocations", "Invocations"), ("throttles", "Throttles")]);
    (is_name(function) && qualifier.is_none_or(is_name)).then(|| {
        vec![
            all.count("Errors", Some(&invocations), MissingPoint::Ignore),
            all.count("Throttles", Some(&attempts), MissingPoint::Zero),
            all.gauge("Duration", "p90"),
        ]
    })
}

/// `app/NAME/ID/targetgroup/NAME/ID`, the tails of the ARNs of both.
fn target_group(of: &str) -> Option<Vec<WatchedMetric>> {
    let parts: Vec<&str> = of.split('/').collect();
    let ["app", balancer, id, "targetgroup", group, group_id] = parts.as_slice() else { return None };
    let all = Service::new(
        "AWS/ApplicationELB",
        &[("LoadBalancer", format!("app/{balancer}/{id}")), ("TargetGroup", format!("targetgroup/{group}/{group_id}"))],
    );
    let requests = all.metric("RequestCount", "Sum");
    parts.iter().all(|part| is_name(part)).then(|| {
        vec![
            all.count("HTTPCode_Target_5XX_Count", Some(&requests), MissingPoint::Zero),
            all.count("TargetConnectionErrorCount", Some(&requests), MissingPoint::Zero),
            all.gauge("TargetResponseTime", "p90"),
        ]
    })
}

/// An HTTP API by its id, or a REST API by its name: either tells in words of its own.
fn api_gateway(of: &str) -> Option<Vec<WatchedMetric>> {
    // API Gateway documents the requests of a REST API as SampleCount.
    let (of, dimension, [ours, theirs], requests) = match of.strip_prefix("rest:") {
        Some(of) => (of, "ApiName", ["5XXError", "4XXError"], "SampleCount"),
        None => (of, "ApiId", ["5xx", "4xx"], "Sum"),
    };
    let (api, stage) = of.split_once('/').map_or((of, None), |(api, stage)| (api, Some(stage)));
    let mut dimensions = vec![(dimension, api.to_owned())];
    dimensions.extend(stage.map(|stage| ("Stage", stage.to_owned())));
    let all = Service::new("AWS/ApiGateway", &dimensions);
    let requests = all.metric("Count", requests);
    (is_name(api) && stage.is_none_or(|stage| is_name(stage) || stage == "$default")).then(|| {
        vec![
            all.count(ours, Some(&requests), MissingPoint::Ignore),
            all.count(theirs, Some(&requests), MissingPoint::Ignore),
            all.gauge("Latency", "p90"),
        ]
    })
}

fn ecs(of: &str) -> Option<Vec<WatchedMetric>> {
    let (cluster, service) = of.split_once('/').filter(|(cluster, service)| is_name(cluster) && is_name(service))?;
    let dimensions = [("ClusterName", cluster.to_owned()), ("ServiceName", service.to_owned())];
    let all = Service::new("AWS/ECS", &dimensions);
    Some(vec![all.gauge("CPUUtilization", "Average"), all.gauge("MemoryUtilization", "Average")])
}

/// What waits longer, and what is worked off less.
fn queue(of: &str) -> Option<Vec<WatchedMetric>> {
    let all = Service::new("AWS/SQS", &[("QueueName", of.to_owned())]);
    let mut deleted = all.count("NumberOfMessagesDeleted", None, MissingPoint::Ignore);
    deleted.direction = Direction::Decrease;
    is_name(of).then(|| vec![all.gauge("ApproximateAgeOfOldestMessage", "Maximum"), deleted])
}

fn table(of: &str) -> Option<Vec<WatchedMetric>> {
    let all = Service::new("AWS/DynamoDB", &[("TableName", of.to_owned())]);
    let operation = |operation: &str| {
        let dimensions = [("TableName", of.to_owned()), ("Operation", operation.to_owned())];
        let mut latency = Service::new("AWS/DynamoDB", &dimensions).gauge("SuccessfulRequestLatency", "Average");
        latency.name = format!("{} of {operation}", latency.name);
        latency
    };
    is_name(of).then(|| {
        vec![
            all.count("ReadThrottleEvents", None, MissingPoint::Zero),
            all.count("WriteThrottleEvents", None, MissingPoint::Zero),
            operation("GetItem"),
            operation("Query"),
            operation("PutItem"),
            operation("UpdateItem"),
        ]
    })
}

/// `NAMESPACE:METRIC[/REQUESTS][:STATISTIC][?DIMENSION=VALUE&...]`. Sums are counts, everything else is a level.
fn embedded(of: &str) -> Option<Vec<WatchedMetric>> {
    let (of, dimensions) = of.split_once('?').map_or((of, ""), |(of, dimensions)| (of, dimensions));
    let pairs = dimensions.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('='));
    let dimensions: Vec<(&str, String)> =
        pairs.map(|pair| pair.map(|(name, value)| (name, value.to_owned()))).collect::<Option<_>>()?;
    let parts: Vec<&str> = of.split(':').collect();
    let (namespace, metric, statistic) = match parts.as_slice() {
        [namespace, metric] => (*namespace, *metric, None),
        [namespace, metric, statistic] => (*namespace, *metric, Some(*statistic)),
        _ => return None,
    };
    let (metric, requests) = metric.split_once('/').map_or((metric, None), |(metric, of)| (metric, Some(of)));
    let is_empty = namespace.is_empty()
        || metric.is_empty()
        || requests.is_some_and(str::is_empty)
        || dimensions.iter().any(|(name, value)| name.is_empty() || value.is_empty());
    let statistic = statistic.unwrap_or(if requests.is_some() { "Sum" } else { "Average" });
    if is_empty || !super::declared::is_statistic(statistic) {
        return None;
    }
    let all = Service::new(namespace, &dimensions);
    let requests = requests.map(|requests| all.metric(requests, "Sum"));
    let counts = requests.is_some() || super::declared::is_count(statistic);
    let mut found =
        if counts { all.count(metric, requests.as_ref(), MissingPoint::Ignore) } else { all.gauge(metric, statistic) };
    if let MetricSource::Statistic(value) = &mut found.own.value {
        statistic.clone_into(&mut value.statistic);
    }
    Some(vec![found])
}

/// What names of resources are made of, and nothing that a preset is put together with.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|char| char.is_ascii_alphanumeric() || "-_.$".contains(char))
}

/// Metrics that share a namespace and dimensions.
struct Service {
    namespace: String,
    dimensions: BTreeMap<String, String>,
}

impl Service {
    fn new(namespace: &str, dimensions: &[(&str, String)]) -> Self {
        let dimensions = dimensions.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        Self { namespace: namespace.to_owned(), dimensions: dimensions.collect() }
    }

    fn metric(&self, metric: &str, statistic: &str) -> MetricSource {
        MetricSource::Statistic(self.statistic(metric, statistic))
    }

    fn statistic(&self, metric: &str, statistic: &str) -> MetricStatistic {
        MetricStatistic {
            namespace: self.namespace.clone(),
            metric: metric.to_owned(),
            dimensions: self.dimensions.clone(),
            statistic: statistic.to_owned(),
        }
    }

    /// The sum of metrics, each by a name in the expression: a point where one of them has one.
    fn sum(&self, metrics: &[(&str, &str)]) -> MetricSource {
        let names: Vec<&str> = metrics.iter().map(|(name, _)| *name).collect();
        let metrics = metrics.iter().map(|(name, metric)| ((*name).to_owned(), self.statistic(metric, "Sum")));
        MetricSource::Math { expression: format!("SUM([{}])", names.join(", ")), metrics: metrics.collect() }
    }

    fn count(&self, metric: &str, requests: Option<&MetricSource>, missing: MissingPoint) -> WatchedMetric {
        let own = Group { region: None, value: self.metric(metric, "Sum"), requests: requests.cloned() };
        WatchedMetric { kind: MetricKind::Count, missing, own, ..self.gauge(metric, "Sum") }
    }

    fn gauge(&self, metric: &str, statistic: &str) -> WatchedMetric {
        WatchedMetric {
            name: metric.to_owned(),
            kind: MetricKind::Gauge,
            direction: Direction::Increase,
            scope: MetricScope::Own,
            missing: MissingPoint::Ignore,
            own: Group { region: None, value: self.metric(metric, statistic), requests: None },
            control: None,
        }
    }
}

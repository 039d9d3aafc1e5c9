//! One sentence for the person on call.

use super::input::{Metric, MetricKind, MetricScope};
use super::verdict::{Look, Missing, Part, Standing};
use super::{JudgePolicy, Verdict};

/// Why this is the verdict.
pub(super) fn why(metrics: &[Metric], look: &Look, verdict: Verdict, policy: &JudgePolicy) -> String {
    let strongest = |wanted: &[Standing]| {
        metrics
            .iter()
            .zip(&look.parts)
            .filter(|(_, part)| wanted.contains(&part.standing))
            .max_by(|a, b| a.1.assessment.own.fortune.total_cmp(&b.1.assessment.own.fortune))
    };
    match verdict {
        Verdict::Degraded => match (strongest(&[Standing::Worse]), &look.silence) {
            (Some((metric, part)), silence)
                if silence.as_ref().is_none_or(|s| s.fortune <= part.assessment.fortune) =>
            {
                format!(
                    "{}; a harmless deploy looks like this less than once in {}",
                    moved(metric, part),
                    once_in(policy)
                )
            }
            (_, Some(silence)) => {
                format!("the new version has said nothing for {} points while the old one speaks", silence.points)
            }
            _ => String::new(),
        },
        Verdict::NotThisDeploy => match strongest(&[Standing::BeganBefore, Standing::Shared, Standing::ByDependency]) {
            Some((metric, part)) => not_this_deploy(metrics, look, metric, part),
            None => String::new(),
        },
        Verdict::NotEnoughData => needed(look.missing(policy)),
        Verdict::Healthy => {
            let own = metrics.iter().filter(|m| m.scope() == MetricScope::Own).count();
            let points = metrics.iter().map(|m| m.new.after.len()).max().unwrap_or(0);
            format!(
                "{} as before over {}",
                counted(own, "metric is", "metrics are"),
                counted(points, "point", "points")
            )
        }
    }
}

fn not_this_deploy(metrics: &[Metric], look: &Look, metric: &Metric, part: &Part) -> String {
    let moved = moved(metric, part);
    match part.standing {
        Standing::BeganBefore => {
            format!(
                "{moved}, but that began {} before the deploy",
                counted(part.assessment.own.began_before, "point", "points")
            )
        }
        Standing::Shared => format!("{moved}, but the control group moved with it"),
        _ => {
            let worst = metrics
                .iter()
                .zip(&look.parts)
                .filter(|(m, _)| m.scope() == MetricScope::Dependency)
                .max_by(|a, b| a.1.assessment.own.fortune.total_cmp(&b.1.assessment.own.fortune));
            let name = worst.map_or("a dependency", |(m, _)| m.name.as_str());
            format!("{moved}, but {name}, which it calls, is worse too")
        }
    }
}

/// What moved, by how much, since when.
fn moved(metric: &Metric, part: &Part) -> String {
    let a = &part.assessment;
    let since = match a.own.onset {
        0 => "since the deploy".to_owned(),
        n => format!("from point {} after the deploy", n + 1),
    };
    let ratio = match (&a.against, a.control_moved) {
        (Some(against), true) => {
            return format!("{} is {} what the control group shows, {since}", metric.name, times(against.ratio));
        }
        _ => a.own.ratio,
    };
    let is_share = metric.kind != MetricKind::Gauge && metric.requests.is_some();
    if is_share {
        return format!(
            "{} went from {} to {} of requests, {since}",
            metric.name,
            percent(a.own.from),
            percent(a.own.to)
        );
    }
    format!("{} is {} the level before, {since}", metric.name, times(ratio))
}

fn times(ratio: f64) -> String {
    if ratio >= 1000.0 { "over 1000 times".to_owned() } else { format!("{ratio:.2} times") }
}

fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 10.0 { format!("{percent:.0} %") } else { format!("{percent:.2} %") }
}

fn once_in(policy: &JudgePolicy) -> u64 {
    (1.0 / policy.alpha).round() as u64
}

fn needed(missing: Missing) -> String {
    let parts = [
        (missing.points_before, "point before the deploy", "points before the deploy"),
        (missing.points_after, "point since the deploy", "points since the deploy"),
        (missing.requests, "request", "requests"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(n, ..)| *n > 0).map(|(n, one, many)| counted(*n as usize, one, many)).collect();
    format!("too little is known: {} more needed", parts.join(" and "))
}

fn counted(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

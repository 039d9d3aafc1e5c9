//! State reasons in CloudWatch's form, for people and as JSON documents. Pure.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    alarm::{Alarm, Watched, arn},
    evaluate::{Datapoint, Evaluation, MissingData, State, breaches},
    event::event_time,
    transition::NewState,
};

/// How many datapoints a reason names; a reason holds 1,023 characters, its document 4,000.
const DATAPOINTS_SHOWN: usize = 10;

/// The reason for a metric alarm's new state.
pub(crate) fn of_metric_alarm(watched: &Watched, evaluation: &Evaluation, state: State, now: Timestamp) -> NewState {
    NewState {
        state,
        reason: metric_text(watched, evaluation, state),
        reason_data: Some(metric_document(watched, evaluation, now).to_string()),
    }
}

/// The reason for a composite alarm's new state: the alarm whose change caused it, or its own creation.
pub(crate) fn of_composite_alarm(alarm: &Alarm, state: State, trigger: Option<&Alarm>) -> NewState {
    let Some(trigger) = trigger else {
        return NewState {
            state,
            reason: format!(
                "{} was created or updated and its alarm rule evaluates to {}",
                arn(&alarm.name),
                state.as_str()
            ),
            reason_data: None,
        };
    };
    let at = trigger.transitioned.strftime("%A %d %B, %Y %H:%M:%S UTC");
    let arn = arn(&trigger.name);
    let document = json!({"triggeringAlarms": [{
        "arn": arn,
        "state": {"value": trigger.state.as_str(), "timestamp": event_time(trigger.transitioned)},
    }]});
    NewState {
        state,
        reason: format!("{arn} transitioned to {} at {at}", trigger.state.as_str()),
        reason_data: Some(document.to_string()),
    }
}

fn metric_text(watched: &Watched, evaluation: &Evaluation, state: State) -> String {
    let condition = &watched.condition;
    let (n, m) = (condition.evaluation_periods, condition.datapoints_to_alarm);
    let filled = evaluation.filled;
    if evaluation.datapoints.is_empty() {
        let treated = match condition.missing {
            MissingData::Breaching => "[Breaching]",
            MissingData::NotBreaching => "[NonBreaching]",
            MissingData::Missing | MissingData::Ignore => {
                return format!("Insufficient Data: {} unknown.", counted(n, "datapoint was", "datapoints were"));
            }
        };
        return format!(
            "Threshold Crossed: no datapoints were received for {} and {} treated as {treated}.",
            counted(n, "period", "periods"),
            counted(filled, "missing datapoint was", "missing datapoints were"),
        );
    }
    let to_alarm = state == State::Alarm;
    let named: Vec<&Datapoint> =
        evaluation.datapoints.iter().rev().filter(|point| breaches(condition, point) == to_alarm).collect();
    let list: Vec<String> = named
        .iter()
        .take(DATAPOINTS_SHOWN)
        .map(|point| format!("{:?} ({})", point.value, point.at.strftime("%d/%m/%y %H:%M:%S")))
        .collect();
    let verb = if named.len() == 1 { "was" } else { "were" };
    let not = if to_alarm { "" } else { "not " };
    let missing = match (filled, condition.missing) {
        (0, _) => String::new(),
        (_, MissingData::Breaching) => {
            format!(", {} treated as [Breaching]", counted(filled, "missing datapoint was", "missing datapoints were"))
        }
        (_, MissingData::NotBreaching) => format!(
            ", {} treated as [NonBreaching]",
            counted(filled, "missing datapoint was", "missing datapoints were")
        ),
        (_, MissingData::Missing | MissingData::Ignore) => {
            format!(", {} unknown", counted(filled, "datapoint was", "datapoints were"))
        }
    };
    let (minimum, way) = if to_alarm { (m, "OK -> ALARM") } else { (n - m + 1, "ALARM -> OK") };
    format!(
        "Threshold Crossed: {} out of the last {n} datapoints [{}] {verb} {not}{} the threshold ({:?}){missing} (minimum {} \
         for {way} transition).",
        named.len(),
        list.join(", "),
        condition.comparison.words(),
        condition.threshold,
        counted(minimum, "datapoint", "datapoints"),
    )
}

fn metric_document(watched: &Watched, evaluation: &Evaluation, now: Timestamp) -> Value {
    let points = &evaluation.datapoints;
    let shown = &points[points.len().saturating_sub(DATAPOINTS_SHOWN)..];
    let mut document = json!({
        "version": "1.0",
        "queryDate": event_time(now),
        "statistic": watched.stat,
        "period": watched.period_s,
        "recentDatapoints": shown.iter().map(|point| point.value).collect::<Vec<_>>(),
        "threshold": watched.condition.threshold,
        "evaluatedDatapoints": shown
            .iter()
            .map(|point| json!({"timestamp": event_time(point.at), "sampleCount": point.samples, "value": point.value}))
            .collect::<Vec<_>>(),
    });
    if let Some(oldest) = points.first() {
        document["startDate"] = event_time(oldest.at).into();
    }
    if let Some(unit) = &watched.unit {
        document["unit"] = unit.as_str().into();
    }
    document
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(m: usize, n: usize, missing: &str) -> Watched {
        Watched::of(&json!({
            "Namespace": "Shop", "MetricName": "Errors", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": n,
            "DatapointsToAlarm": m, "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": missing,
        }))
        .expect("a valid alarm")
    }

    fn evaluation(n: usize, values: &[f64]) -> Evaluation {
        let start: Timestamp = "2026-11-23T10:14:00Z".parse().expect("a time");
        Evaluation {
            state: None,
            datapoints: (0..)
                .zip(values)
                .map(|(minute, value)| Datapoint {
                    at: crate::transition::seconds_after(start, minute * 60),
                    value: *value,
                    samples: 1.0,
                })
                .collect(),
            filled: n - values.len(),
        }
    }

    #[test]
    fn texts() {
        type Row<'a> = (usize, usize, &'a str, &'a [f64], State, &'a str);
        let rows: [Row<'_>; 6] = [
            (
                1,
                1,
                "missing",
                &[5.0],
                State::Alarm,
                "Threshold Crossed: 1 out of the last 1 datapoints [5.0 (23/11/26 10:14:00)] was greater than the threshold \
                 (1.0) (minimum 1 datapoint for OK -> ALARM transition).",
            ),
            (
                2,
                3,
                "missing",
                &[5.0, 0.0, 6.5],
                State::Alarm,
                "Threshold Crossed: 2 out of the last 3 datapoints [6.5 (23/11/26 10:16:00), 5.0 (23/11/26 10:14:00)] were \
                 greater than the threshold (1.0) (minimum 2 datapoints for OK -> ALARM transition).",
            ),
            (
                1,
                1,
                "missing",
                &[0.0],
                State::Ok,
                "Threshold Crossed: 1 out of the last 1 datapoints [0.0 (23/11/26 10:14:00)] was not greater than the \
                 threshold (1.0) (minimum 1 datapoint for ALARM -> OK transition).",
            ),
            (1, 1, "missing", &[], State::InsufficientData, "Insufficient Data: 1 datapoint was unknown."),
            (
                2,
                2,
                "notBreaching",
                &[],
                State::Ok,
                "Threshold Crossed: no datapoints were received for 2 periods and 2 missing datapoints were treated as \
                 [NonBreaching].",
            ),
            (
                2,
                2,
                "breaching",
                &[7.0],
                State::Alarm,
                "Threshold Crossed: 1 out of the last 2 datapoints [7.0 (23/11/26 10:14:00)] was greater than the threshold \
                 (1.0), 1 missing datapoint was treated as [Breaching] (minimum 2 datapoints for OK -> ALARM transition).",
            ),
        ];
        for (m, n, missing, values, state, expected) in rows {
            assert_eq!(metric_text(&watched(m, n, missing), &evaluation(n, values), state), expected);
        }
    }
}

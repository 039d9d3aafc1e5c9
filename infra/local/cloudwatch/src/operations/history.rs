//! The history of alarms as readers see it.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{parse, position, token};
use crate::{
    error::ApiError,
    store::{HistoryItem, Work},
};

/// How many items a page holds when the caller does not say: CloudWatch's default.
const PAGE: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeAlarmHistory {
    alarm_name: Option<String>,
    alarm_types: Option<Vec<String>>,
    history_item_type: Option<String>,
    start_date: Option<Timestamp>,
    end_date: Option<Timestamp>,
    max_records: Option<usize>,
    next_token: Option<String>,
    scan_by: Option<String>,
}

pub(super) fn describe_alarm_history(work: &Work<'_>, input: Value) -> Result<Value, ApiError> {
    let request: DescribeAlarmHistory = parse(input)?;
    let after = position(request.next_token.as_deref())?;
    let after = match after.as_str() {
        "" => None,
        id => Some(id.parse().map_err(|_| ApiError::next_token())?),
    };
    let limit = request.max_records.unwrap_or(PAGE);
    let descending = request.scan_by.as_deref() != Some("TimestampAscending");
    let mut items =
        work.history(request.alarm_name.as_deref(), descending, after, &|item| request.wants(item), limit + 1)?;
    let more = items.len() > limit;
    items.truncate(limit);
    let mut output = json!({"AlarmHistoryItems": items.iter().map(described).collect::<Vec<_>>()});
    if let (true, Some(last)) = (more, items.last()) {
        output["NextToken"] = token(&last.id.to_string()).into();
    }
    Ok(output)
}

impl DescribeAlarmHistory {
    fn wants(&self, item: &HistoryItem) -> bool {
        let kind = self
            .alarm_types
            .as_ref()
            .is_none_or(|types| types.is_empty() || types.iter().any(|kind| kind == item.kind.as_str()));
        kind && self.history_item_type.as_ref().is_none_or(|wanted| *wanted == item.item_type)
            && self.start_date.is_none_or(|start| start <= item.at)
            && self.end_date.is_none_or(|end| item.at <= end)
    }
}

fn described(item: &HistoryItem) -> Value {
    json!({
        "AlarmName": item.alarm,
        "AlarmType": item.kind.as_str(),
        "Timestamp": item.at.to_string(),
        "HistoryItemType": item.item_type,
        "HistorySummary": item.summary,
        "HistoryData": item.data,
    })
}

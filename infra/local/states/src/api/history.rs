//! GetExecutionHistory.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answer, executions,
    wire::{cut, page, present, seconds},
};
use crate::{run::HistoryEvent, service::States};

/// Members of event details that hold payloads; left out on request.
const PAYLOADS: [&str; 7] =
    ["input", "inputDetails", "output", "outputDetails", "parameters", "assignedVariables", "assignedVariablesDetails"];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GetHistory {
    execution_arn: String,
    max_results: Option<u32>,
    next_token: Option<String>,
    #[serde(default)]
    reverse_order: bool,
    include_execution_data: Option<bool>,
}

impl States {
    pub(super) fn get_history(&self, request: &GetHistory) -> Answer {
        let first = if request.reverse_order { i64::MAX } else { 0 };
        let page = page(request.next_token.as_deref(), request.max_results, first)?;
        let store = self.store();
        executions::execution(&store, &request.execution_arn)?;
        let mut events = store.history(&request.execution_arn, request.reverse_order, page)?;
        let next = cut(&mut events, page, |event| i64::try_from(event.id).unwrap_or(i64::MAX));
        let payloads = request.include_execution_data.unwrap_or(true);
        let events: Vec<Value> = events.into_iter().map(|event| wire(event, payloads)).collect();
        Ok(present(json!({"events": events, "nextToken": next})))
    }
}

fn wire(event: HistoryEvent, payloads: bool) -> Value {
    let mut body = event.body;
    if !payloads {
        let details = body.values_mut().filter_map(Value::as_object_mut);
        details.for_each(|details| details.retain(|key, _| !PAYLOADS.contains(&key.as_str())));
    }
    body.insert("id".to_owned(), json!(event.id));
    body.insert("previousEventId".to_owned(), json!(event.previous));
    body.insert("timestamp".to_owned(), seconds(event.at));
    Value::Object(body)
}

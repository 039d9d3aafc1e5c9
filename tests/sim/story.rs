//! What happened, for people.

use jiff::Timestamp;
use local_states::FunctionError;
use serde_json::Value;

/// Lines of a story, each with its time; none where nobody listens.
pub(crate) struct Story {
    lines: Option<Vec<String>>,
    begin: Timestamp,
}

impl Story {
    pub(crate) fn new(tell: bool, begin: Timestamp) -> Self {
        Self { lines: tell.then(Vec::new), begin }
    }

    /// Tells a line, made only where somebody listens.
    pub(crate) fn tell(&mut self, now: Timestamp, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            let seconds = now.duration_since(self.begin).as_millis() as f64 / 1e3;
            lines.push(format!("{seconds:>11.3}s  {}", line()));
        }
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}

/// What an event is about, without what does not matter.
pub(crate) fn short(function: &str, event: &Value) -> String {
    if function == "api" {
        let target = event["headers"]["x-amz-target"].as_str().unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        return cut(&format!("{operation} {}", event["body"].as_str().unwrap_or_default()));
    }
    let mut event = event.clone();
    if let Some(members) = event.as_object_mut() {
        members.retain(|_, value| !value.is_null());
        if let Some(token) = members.get_mut("token") {
            *token = cut_to(token.as_str().unwrap_or_default(), 6).into();
        }
    }
    cut(&event.to_string())
}

/// How a function ended.
pub(crate) fn outcome(outcome: &Result<Value, FunctionError>) -> String {
    match outcome {
        Ok(Value::Null) => "done".to_owned(),
        Ok(reply) if reply["statusCode"].is_u64() => {
            cut(&format!("{} {}", reply["statusCode"], reply["body"].as_str().unwrap_or_default()))
        }
        Ok(value) => cut(&value.to_string()),
        Err(error) => cut(&format!("{}: {}", error.error, error.cause)),
    }
}

fn cut(text: &str) -> String {
    cut_to(text, 260)
}

fn cut_to(text: &str, most: usize) -> String {
    if text.chars().count() <= most { text.to_owned() } else { text.chars().take(most).chain(['…']).collect() }
}

//! From our errors to what Lambda reports and Step Functions matches.

use std::fmt::Display;

use lambda_runtime::Diagnostic;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The name reported when an event is not what the function takes. Retrying cannot help.
pub const INVALID_INPUT: &str = "InvalidInput";

/// An error with a name that is part of the interface: `Retry` and `Catch` in the state machines match it.
///
/// `Display` never shows payloads or secrets: it ends up in execution histories and logs.
pub trait NamedError: Display {
    /// The name, stable across releases, such as `ExecutionSuperseded`.
    fn name(&self) -> &'static str;
}

impl NamedError for engine::EngineError {
    fn name(&self) -> &'static str {
        engine::EngineError::name(self).as_str()
    }
}

/// What Lambda reports for `error`. Without it, Step Functions would see the path of a Rust type.
pub fn diagnostic(error: &impl NamedError) -> Diagnostic {
    Diagnostic { error_type: error.name().to_owned(), error_message: error.to_string() }
}

/// Reads a function's input from its event.
///
/// # Errors
/// [`INVALID_INPUT`], naming the member at fault and what was expected there, never the value found.
pub fn parse_event<In: DeserializeOwned>(event: Value) -> Result<In, Diagnostic> {
    serde_path_to_error::deserialize(event).map_err(|error| Diagnostic {
        error_type: INVALID_INPUT.to_owned(),
        error_message: format!(
            "the event is not valid at `{}`: {}",
            error.path(),
            without_value(&error.inner().to_string())
        ),
    })
}

/// Keeps the part of serde's message that speaks of the type, not of the data.
fn without_value(message: &str) -> &str {
    if message.starts_with("missing field") || message.starts_with("duplicate field") {
        return message;
    }
    // "invalid type: string \"...\", expected u32": the data may itself contain the word, the type comes last.
    match message.rfind("expected ") {
        Some(start) => &message[start..],
        None => "a value that is not accepted",
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("stage {stage} is held by generation {holder}")]
    struct Superseded {
        stage: &'static str,
        holder: u64,
    }

    impl NamedError for Superseded {
        fn name(&self) -> &'static str {
            "ExecutionSuperseded"
        }
    }

    #[derive(Debug, Deserialize)]
    struct Input {
        #[serde(rename = "stage")]
        _stage: Inner,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        #[serde(rename = "generation")]
        _generation: u64,
    }

    #[test]
    fn the_name_is_what_a_catch_matches() {
        let reported = diagnostic(&Superseded { stage: "Deploy", holder: 7 });
        assert_eq!(reported.error_type, "ExecutionSuperseded");
        assert_eq!(reported.error_message, "stage Deploy is held by generation 7");
    }

    #[test]
    fn bad_input_is_located_but_never_quoted() {
        let error = parse_event::<Input>(json!({"stage": {"generation": "hunter2 expected"}})).expect_err("text");
        assert_eq!(error.error_type, INVALID_INPUT);
        assert_eq!(error.error_message, "the event is not valid at `stage.generation`: expected u64");
        let error = parse_event::<Input>(json!({"stage": {}})).expect_err("absent");
        assert_eq!(error.error_message, "the event is not valid at `stage`: missing field `generation`");
        assert!(parse_event::<Input>(json!({"stage": {"generation": 3}, "more": 1})).is_ok());
    }
}

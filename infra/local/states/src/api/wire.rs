//! Reading requests, and the shapes that several answers share.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{refusal::Refusal, store::Page};

/// Most rows one page of a listing holds, an AWS limit.
const PAGE_ROWS_MAX: u32 = 1_000;
/// Rows of a page when the caller names no number.
const PAGE_ROWS_DEFAULT: u32 = 100;

/// Reads a request body. An empty body is an empty request, and unknown members are ignored, as AWS does.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let body = if body.is_empty() { b"{}" } else { body };
    let refused = |error: serde_json::Error| match error.classify() {
        serde_json::error::Category::Data if error.to_string().starts_with("missing field") => {
            Refusal::new("ValidationException", format!("1 validation error detected: {error}"))
        }
        _ => Refusal::new("SerializationException", error.to_string()),
    };
    serde_json::from_slice(body).map_err(refused)
}

/// Seconds since 1970 as a JSON number with milliseconds.
pub(super) fn seconds(at: Timestamp) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds stay below 2^53 for 285,000 years")]
    let seconds = at.as_millisecond() as f64 / 1000.0;
    json!(seconds)
}

/// Longest token a continuation may be: 16 hex digits.
const CONTINUATION_CHARS: usize = 16;

/// The page a request asks for; `first` is where a listing begins.
pub(super) fn page(token: Option<&str>, rows: Option<u32>, first: i64) -> Result<Page, Refusal> {
    let rows = rows.filter(|rows| *rows > 0).unwrap_or(PAGE_ROWS_DEFAULT);
    if rows > PAGE_ROWS_MAX {
        return Err(Refusal::new("ValidationException", format!("maxResults must be at most {PAGE_ROWS_MAX}")));
    }
    let from = match token {
        None => first,
        Some(token) => {
            let parsed = (token.len() == CONTINUATION_CHARS).then(|| i64::from_str_radix(token, 16).ok()).flatten();
            parsed
                .ok_or_else(|| Refusal::new("InvalidToken", "Invalid Token: nextToken is not one this service gave"))?
        }
    };
    Ok(Page { from, limit: rows + 1 })
}

/// Cuts `rows`, one more than asked for when there are more, and adds the continuation to `answer`.
pub(super) fn cut<T>(rows: &mut Vec<T>, page: Page, place: impl Fn(&T) -> i64) -> Option<String> {
    let wanted = usize::try_from(page.limit - 1).unwrap_or(usize::MAX);
    let next = rows.get(wanted).map(|row| format!("{:016x}", place(row)));
    rows.truncate(wanted);
    next
}

/// `object` without its null members.
pub(super) fn present(object: Value) -> Value {
    match object {
        Value::Object(members) => Value::Object(members.into_iter().filter(|(_, value)| !value.is_null()).collect()),
        other => other,
    }
}

//! Pages of listings: `maxResults` and `nextToken`, and how long an answer may be.

use engine::ports::PageRequest;
use protocol::{ApiError, Operation, PageToken};
use serde_json::Value;

/// Most bytes of a page's items. Lambda answers with 6 MB at most (spec 10.4), of which base64 leaves 4.5 to CBOR.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Which page of which listing is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    token: PageToken,
    /// At most so many items.
    pub(crate) limit: u32,
    /// Where the page begins; absent for the first.
    pub(crate) after: Option<String>,
}

impl Listing {
    /// Reads `operation`'s checked `input`; `limit` holds where it names none.
    ///
    /// # Errors
    /// InvalidNextTokenException for a token that is not of this listing.
    pub(crate) fn of(operation: Operation, input: &Value, limit: u32) -> Result<Self, ApiError> {
        let token = PageToken::of(operation, input);
        // ListWebhooks spells them with capitals.
        let member = |name: &str, capital: &str| input.get(name).or_else(|| input.get(capital));
        let next = member("nextToken", "NextToken").and_then(Value::as_str);
        let after = next.map(|next| token.redeem(next)).transpose()?;
        let limit = member("maxResults", "MaxResults")
            .and_then(Value::as_u64)
            .and_then(|limit| u32::try_from(limit).ok())
            .unwrap_or(limit);
        Ok(Self { token, limit, after })
    }

    /// The page to read of a list in the store.
    pub(crate) fn page(&self) -> PageRequest {
        PageRequest { limit: self.limit, after: self.after.clone() }
    }

    /// The same page with as many items as an answer can carry; none where it can carry `output`, the page as it was read.
    /// It has to be read again, since only the list's reader knows where a shorter page ends. One item is a page in any
    /// case: a row has 400 KB at most.
    pub(crate) fn shorter(&self, output: &Value) -> Option<Self> {
        let items = output.as_object()?.values().find_map(Value::as_array)?;
        let mut bytes = 0;
        let fitting = (1_u32..).zip(items).take_while(|(_, item)| {
            bytes += bytes_in_answer(item);
            bytes <= PAGE_BYTES_MAX
        });
        let limit = fitting.last().map_or(1, |(count, _)| count);
        ((limit as usize) < items.len()).then(|| Self { limit, ..self.clone() })
    }

    /// The token of the next page, which begins after `next`.
    ///
    /// # Errors
    /// As [`PageToken::issue`].
    pub(crate) fn token(&self, next: Option<String>) -> Result<Option<String>, ApiError> {
        next.map(|next| self.token.issue(&next)).transpose()
    }
}

/// Bytes of an item in what Lambda answers, which holds the body as a string in JSON: there quotes and backslashes are
/// escaped once more. In CBOR it has no more bytes than in JSON, and four thirds of those in base64.
fn bytes_in_answer(item: &Value) -> usize {
    let text = item.to_string();
    text.len() + text.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// How many items the page is left with that holds `items`.
    fn left(items: &[Value]) -> Option<u32> {
        let listing = Listing::of(Operation::ListActionExecutions, &json!({}), 100).unwrap();
        let output = json!({"nextToken": "next", "actionExecutionDetails": items});
        listing.shorter(&output).map(|shorter| shorter.limit)
    }

    #[test]
    fn a_page_has_no_more_items_than_an_answer_carries() {
        let of = |text: &str, count: usize| Value::from(text.repeat(count));
        let megabyte = 1024 * 1024;
        assert_eq!(left(&[]), None);
        assert_eq!(left(&vec![of("x", 1000); 100]), None);
        assert_eq!(left(&vec![of("x", megabyte); 6]), Some(3));
        assert_eq!(left(&[of("x", 10), of("x", 3 * megabyte), of("x", megabyte)]), Some(2));
        // A quote is escaped in the body, and the escape and the quote in the answer.
        assert_eq!(left(&vec![of("\"", megabyte / 4); 6]), Some(3));
        assert_eq!(left(&vec![of("\n", megabyte / 3); 6]), Some(3));
        // One is a page, whatever its length.
        assert_eq!(left(&[of("x", 5 * megabyte)]), None);
        assert_eq!(left(&[of("x", 5 * megabyte), of("x", 1)]), Some(1));
    }

    #[test]
    fn a_shorter_page_begins_where_the_page_did() {
        let token = PageToken::of(Operation::ListActionExecutions, &json!({})).issue("place").unwrap();
        let listing = Listing::of(Operation::ListActionExecutions, &json!({ "nextToken": token }), 100).unwrap();
        let output = json!({"actionExecutionDetails": vec!["x".repeat(PAGE_BYTES_MAX / 2); 3]});
        let shorter = listing.shorter(&output).unwrap();
        assert_eq!(shorter.page(), PageRequest { limit: 1, after: Some("place".to_owned()) });
        assert_eq!(shorter.token(Some("further".to_owned())), listing.token(Some("further".to_owned())));
    }
}

//! Pages of listings: `maxResults` and `nextToken`.

use engine::ports::PageRequest;
use protocol::{ApiError, Operation, PageToken};
use serde_json::Value;

/// Which page of which listing is asked for.
#[derive(Debug)]
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

    /// The token of the next page, which begins after `next`.
    ///
    /// # Errors
    /// As [`PageToken::issue`].
    pub(crate) fn token(&self, next: Option<String>) -> Result<Option<String>, ApiError> {
        next.map(|next| self.token.issue(&next)).transpose()
    }
}

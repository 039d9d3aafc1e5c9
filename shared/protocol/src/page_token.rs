//! Opaque pagination tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{ApiError, ErrorCode, Operation};

/// Bytes of a store key a token can carry: the model allows 2048 characters, which are 1536 bytes, less the checksum.
pub const PAGE_KEY_BYTES_MAX: usize = 2048 / 4 * 3 - CHECKSUM_BYTES;

/// Enough that a random change is never taken for a token.
const CHECKSUM_BYTES: usize = 16;

/// Members that may differ from page to page of one listing. (ListWebhooks spells them with capitals.)
const PAGING_MEMBERS: [&str; 4] = ["nextToken", "NextToken", "maxResults", "MaxResults"];

/// Makes and reads the `nextToken` of one listing: an operation with its parameters.
///
/// A token carries the store's last key and a checksum over key, operation and parameters, so one that was altered, or
/// that belongs to another listing, is refused. It is no secret and grants nothing: whoever holds it may name any key
/// that the listing would show anyway, so readers still bind a key to the listing's own partition.
#[derive(Debug, Clone)]
pub struct PageToken {
    listing: Sha256,
}

impl PageToken {
    /// Tokens for `operation` called with `input`; the page size may change between pages, and a member that says nothing
    /// may come and go: a filter without anything in it, which some clients send and others leave out.
    pub fn of(operation: Operation, input: &Value) -> Self {
        let mut listing = Sha256::new();
        add(&mut listing, operation.service().target().as_bytes());
        add(&mut listing, operation.name().as_bytes());
        if let Value::Object(members) = input {
            let mut members: Vec<_> =
                members.iter().filter(|(name, _)| !PAGING_MEMBERS.contains(&name.as_str())).collect();
            members.sort_by_key(|(name, _)| name.as_str());
            for (name, value) in members {
                if let Some(value) = said(value) {
                    add(&mut listing, name.as_bytes());
                    add(&mut listing, value.to_string().as_bytes());
                }
            }
        }
        Self { listing }
    }

    /// The token that continues after `last_key`.
    ///
    /// # Errors
    /// InternalFailure when the key is longer than [`PAGE_KEY_BYTES_MAX`].
    pub fn issue(&self, last_key: &str) -> Result<String, ApiError> {
        if last_key.len() > PAGE_KEY_BYTES_MAX {
            let message =
                format!("A page ends at a key of {} bytes; a token holds {PAGE_KEY_BYTES_MAX}", last_key.len());
            return Err(ApiError::new(ErrorCode::InternalFailure, message));
        }
        let mut bytes = self.checksum(last_key.as_bytes()).to_vec();
        bytes.extend_from_slice(last_key.as_bytes());
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The last key that `token` carries.
    ///
    /// # Errors
    /// InvalidNextTokenException unless this listing issued exactly this token.
    pub fn redeem(&self, token: &str) -> Result<String, ApiError> {
        let key = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| {
            let (checksum, key) = bytes.split_at_checked(CHECKSUM_BYTES)?;
            (checksum == self.checksum(key)).then(|| String::from_utf8(key.to_vec()).ok())?
        });
        key.ok_or_else(|| {
            let message = "The next token is invalid: pass on the nextToken of the previous answer unchanged, \
                           with the same operation and parameters";
            ApiError::new(ErrorCode::InvalidNextTokenException, message)
        })
    }

    fn checksum(&self, key: &[u8]) -> [u8; CHECKSUM_BYTES] {
        let mut digest = self.listing.clone();
        add(&mut digest, key);
        let digest = digest.finalize();
        let mut checksum = [0; CHECKSUM_BYTES];
        checksum.copy_from_slice(&digest[..CHECKSUM_BYTES]);
        checksum
    }
}

/// What `value` says: nothing where it is null, or a structure of which nothing is left without members of that kind.
fn said(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(members) => {
            let members: Map<String, Value> =
                members.iter().filter_map(|(name, value)| Some((name.clone(), said(value)?))).collect();
            (!members.is_empty()).then_some(Value::Object(members))
        }
        other => Some(other.clone()),
    }
}

/// Adds one part; its length keeps ("ab", "c") and ("a", "bc") apart.
fn add(digest: &mut Sha256, part: &[u8]) {
    digest.update((part.len() as u64).to_be_bytes());
    digest.update(part);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(token: &str, listing: &PageToken) {
        assert_eq!(listing.redeem(token).unwrap_err().code, ErrorCode::InvalidNextTokenException, "{token}");
    }

    #[test]
    fn a_token_works_for_its_listing_only() {
        let shop = PageToken::of(Operation::ListPipelineExecutions, &json!({"pipelineName": "shop", "maxResults": 5}));
        let token = shop.issue("EXECUTION#0e7f").unwrap();
        assert_eq!(shop.redeem(&token).unwrap(), "EXECUTION#0e7f");
        let next_page = json!({"pipelineName": "shop", "maxResults": 50, "nextToken": token});
        assert_eq!(
            PageToken::of(Operation::ListPipelineExecutions, &next_page).redeem(&token).unwrap(),
            "EXECUTION#0e7f"
        );
        refused(&token, &PageToken::of(Operation::ListPipelineExecutions, &json!({"pipelineName": "blog"})));
        refused(&token, &PageToken::of(Operation::ListActionExecutions, &json!({"pipelineName": "shop"})));
        let filtered = json!({"pipelineName": "shop", "filter": {"succeededInStage": {"stageName": "Prod"}}});
        refused(&token, &PageToken::of(Operation::ListPipelineExecutions, &filtered));
    }

    #[test]
    fn a_filter_that_says_nothing_is_as_good_as_none() {
        let listing = |filter: Option<Value>| {
            let mut input = json!({"pipelineName": "shop"});
            if let Some(filter) = filter {
                input["filter"] = filter;
            }
            PageToken::of(Operation::ListPipelineExecutions, &input)
        };
        let same = [
            listing(None),
            listing(Some(Value::Null)),
            listing(Some(json!({}))),
            listing(Some(json!({"succeededInStage": {}}))),
            listing(Some(json!({"succeededInStage": {"stageName": null}}))),
        ];
        let filtered = listing(Some(json!({"succeededInStage": {"stageName": "Prod"}})));
        for issuing in &same {
            let token = issuing.issue("EXECUTION#0e7f").unwrap();
            for redeeming in &same {
                assert_eq!(redeeming.redeem(&token).unwrap(), "EXECUTION#0e7f");
            }
            refused(&token, &filtered);
            refused(&filtered.issue("EXECUTION#0e7f").unwrap(), issuing);
        }
        // Of lists, an empty item is one.
        let targets =
            |filters: Value| PageToken::of(Operation::ListDeployActionExecutionTargets, &json!({ "filters": filters }));
        refused(&targets(json!([{}])).issue("x").unwrap(), &targets(json!([])));
    }

    #[test]
    fn an_altered_token_is_refused() {
        let listing = PageToken::of(Operation::ListPipelines, &json!({}));
        let token = listing.issue("PIPELINE#shop").unwrap();
        for place in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
            refused(&String::from_utf8(altered).unwrap(), &listing);
            refused(&token[..place], &listing);
        }
        for foreign in ["", "x", "????", "ü", &"A".repeat(2048), &format!("{token}="), &format!("{token}A")] {
            refused(foreign, &listing);
        }
    }

    #[test]
    fn the_longest_key_fits_the_models_length() {
        let listing = PageToken::of(Operation::ListPipelines, &json!({}));
        let token = listing.issue(&"k".repeat(PAGE_KEY_BYTES_MAX)).unwrap();
        assert_eq!(token.len(), 2048);
        let error = listing.issue(&"k".repeat(PAGE_KEY_BYTES_MAX + 1)).unwrap_err();
        assert_eq!(error.code, ErrorCode::InternalFailure);
    }
}

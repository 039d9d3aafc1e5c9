//! Task tokens that wait for one answer.

use serde::{Deserialize, Serialize};

/// Most tokens remembered: a state machine asks again 20 times at most (`Retry` of the shipped machines).
const TOKENS_MAX: usize = 21;

/// Tokens under which Step Functions asked for the same thing, the latest request last.
///
/// Only one of them is waited for, but nothing tells which: a request that was given up and asked anew may be handled
/// after the new one, and then the token that arrived last is over while an earlier one waits. So each is answered; to
/// answer one that is over changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Tokens(Vec<String>);

/// One token is stored as text, as it was before there could be more.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    One(String),
    Several(Vec<String>),
}

impl Tokens {
    /// Nobody waits.
    pub fn none() -> Self {
        Self::default()
    }

    /// One token.
    pub fn of(token: impl Into<String>) -> Self {
        Self(vec![token.into()])
    }

    /// Remembers `token` too; whether it is new. Where there are too many, the oldest is forgotten.
    pub fn add(&mut self, token: &str) -> bool {
        if self.0.iter().any(|known| known == token) {
            return false;
        }
        self.0.push(token.to_owned());
        if self.0.len() > TOKENS_MAX {
            self.0.remove(0);
        }
        true
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Stored> for Tokens {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::One(token) if token.is_empty() => Self::none(),
            Stored::One(token) => Self(vec![token]),
            Stored::Several(tokens) => Self(tokens),
        }
    }
}

impl From<Tokens> for Stored {
    fn from(Tokens(mut tokens): Tokens) -> Self {
        match tokens.len() {
            0 => Self::One(String::new()),
            1 => Self::One(tokens.remove(0)),
            _ => Self::Several(tokens),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn one_token_is_stored_as_before_and_several_come_back() {
        let mut tokens = Tokens::of("a");
        let stored = |tokens: &Tokens| serde_json::to_value(tokens).unwrap();
        assert_eq!(stored(&Tokens::none()), json!(""));
        assert_eq!(stored(&tokens), json!("a"));
        assert!(tokens.add("b") && !tokens.add("a"), "a token is remembered once");
        assert_eq!(stored(&tokens), json!(["a", "b"]));
        for tokens in [Tokens::none(), Tokens::of("a"), tokens] {
            let stored: Value = stored(&tokens);
            assert_eq!(serde_json::from_value::<Tokens>(stored).unwrap(), tokens);
        }
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut tokens = Tokens::none();
        for number in 0..30 {
            assert!(tokens.add(&number.to_string()));
        }
        let kept: Vec<&str> = tokens.iter().collect();
        assert_eq!((kept.len(), kept[0], kept[20]), (21, "9", "29"));
    }
}

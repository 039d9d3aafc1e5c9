//! A JSON value together with where it stands, so that every complaint can say where.

use serde_json::{Map, Value};

use super::DefinitionError;
use crate::expression::{Expr, Template};

pub(super) type Read<T> = Result<T, DefinitionError>;

/// An object inside the definition.
pub(super) struct Node<'a> {
    members: &'a Map<String, Value>,
    path: String,
}

impl<'a> Node<'a> {
    /// Reads `value` as an object that stands at `path`.
    pub(super) fn new(value: &'a Value, path: impl Into<String>) -> Read<Self> {
        let path = path.into();
        match value {
            Value::Object(members) => Ok(Self { members, path }),
            _ => Err(DefinitionError::new(path, "expected an object")),
        }
    }

    /// An error about this object.
    pub(super) fn error(&self, message: impl Into<String>) -> DefinitionError {
        DefinitionError::new(&self.path, message)
    }

    /// An error about the member `key`.
    pub(super) fn error_at(&self, key: &str, message: impl Into<String>) -> DefinitionError {
        DefinitionError::new(self.at(key), message)
    }

    /// The path of the member `key`.
    pub(super) fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    /// Refuses every member that is in none of `allowed`.
    pub(super) fn only(&self, allowed: &[&[&str]]) -> Read<()> {
        match self.members.keys().find(|key| !allowed.iter().any(|list| list.contains(&key.as_str()))) {
            Some(key) => Err(self.error_at(key, format!("{key} is not supported here"))),
            None => Ok(()),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.members.get(key)
    }

    pub(super) fn required(&self, key: &str) -> Read<&'a Value> {
        self.get(key).ok_or_else(|| self.error(format!("{key} is required")))
    }

    pub(super) fn text(&self, key: &str) -> Read<Option<&'a str>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        value.as_str().map(Some).ok_or_else(|| self.error_at(key, "expected a string"))
    }

    pub(super) fn required_text(&self, key: &str) -> Read<&'a str> {
        self.text(key)?.ok_or_else(|| self.error(format!("{key} is required")))
    }

    /// A whole number from `min` to `max`.
    pub(super) fn number(&self, key: &str, min: u64, max: u64) -> Read<Option<u64>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let number = value.as_u64().filter(|n| (min..=max).contains(n));
        number.map(Some).ok_or_else(|| self.error_at(key, format!("expected a whole number from {min} to {max}")))
    }

    pub(super) fn list(&self, key: &str) -> Read<&'a [Value]> {
        match self.get(key) {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(self.error_at(key, "expected an array")),
        }
    }

    pub(super) fn object(&self, key: &str) -> Read<Node<'a>> {
        Node::new(self.required(key)?, self.at(key))
    }

    /// Members of this object, each with its path.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
        self.members.iter()
    }

    /// Any JSON with expressions inside.
    pub(super) fn template(&self, key: &str) -> Read<Option<Template>> {
        let parsed = self.get(key).map(|value| Template::parse(value, &self.at(key))).transpose();
        parsed.map_err(|(path, message)| DefinitionError::new(path, message))
    }

    /// An expression, or a literal that `accepts` takes; `what` completes "expected ... or an expression".
    pub(super) fn template_of(&self, key: &str, what: &str, accepts: fn(&Value) -> bool) -> Read<Option<Template>> {
        match self.get(key) {
            Some(value) if !accepts(value) && !value.as_str().is_some_and(Expr::is_expression) => {
                Err(self.error_at(key, format!("expected {what} or an expression")))
            }
            _ => self.template(key),
        }
    }

    /// An expression.
    pub(super) fn expression(&self, key: &str) -> Read<Expr> {
        Expr::parse(self.required_text(key)?).map_err(|message| self.error_at(key, message))
    }
}

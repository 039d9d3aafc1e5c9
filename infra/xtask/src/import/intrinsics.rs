//! CloudFormation's functions, resolved from what the caller says they stand for.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use serde_json::{Map, Value, json};

/// Resolves references, and remembers those it cannot.
pub(super) struct Resolver {
    parameters: BTreeMap<String, String>,
    problems: BTreeSet<String>,
}

impl Resolver {
    /// With the `parameters` given, and for the others the defaults that `template` declares.
    pub(super) fn new(mut parameters: BTreeMap<String, String>, template: &Value) -> Self {
        let declared = template.get("Parameters").and_then(Value::as_object);
        for (name, parameter) in declared.into_iter().flatten() {
            if let Some(default) = parameter.get("Default").and_then(text) {
                parameters.entry(name.clone()).or_insert(default);
            }
        }
        for (name, value) in [("AWS::Partition", "aws"), ("AWS::URLSuffix", "amazonaws.com")] {
            parameters.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        Self { parameters, problems: BTreeSet::new() }
    }

    /// # Errors
    /// When something could not be resolved: all of it, and what to give.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        if self.problems.is_empty() {
            return Ok(());
        }
        bail!(
            "the template refers to what it does not say:\n  {}",
            self.problems.into_iter().collect::<Vec<_>>().join("\n  ")
        )
    }

    /// `value` without functions; nothing where it is `AWS::NoValue`.
    pub(super) fn resolve(&mut self, value: &Value, path: &str) -> Option<Value> {
        match value {
            Value::Object(members) => match function(members) {
                Some((name, argument)) => self.call(name, argument, path),
                None => Some(Value::Object(self.members(members, path))),
            },
            Value::Array(items) => {
                let items = items.iter().enumerate();
                Some(items.filter_map(|(index, item)| self.resolve(item, &format!("{path}[{index}]"))).collect())
            }
            scalar => Some(scalar.clone()),
        }
    }

    fn members(&mut self, members: &Map<String, Value>, path: &str) -> Map<String, Value> {
        let resolve =
            |(name, value): (&String, &Value)| Some((name.clone(), self.resolve(value, &format!("{path}.{name}"))?));
        members.iter().filter_map(resolve).collect()
    }

    fn call(&mut self, name: &str, argument: &Value, path: &str) -> Option<Value> {
        match (name, argument) {
            ("Ref", Value::String(name)) if name == "AWS::NoValue" => None,
            ("Ref", Value::String(name)) => Some(self.look_up(name, path)),
            ("Fn::GetAtt", Value::String(attribute)) => Some(self.look_up(attribute, path)),
            ("Fn::GetAtt", Value::Array(parts)) => {
                let parts: Vec<_> = parts.iter().filter_map(Value::as_str).collect();
                Some(self.look_up(&parts.join("."), path))
            }
            ("Fn::Sub", Value::String(template)) => Some(self.substitute(template, &BTreeMap::new(), path)),
            ("Fn::Sub", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(template), Value::Object(own)] => {
                    let own = self.members(own, path);
                    let own = own.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect();
                    Some(self.substitute(template, &own, path))
                }
                _ => self.give_up(name, path),
            },
            ("Fn::Join", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(between), Value::Array(items)] => {
                    let items = items.iter().filter_map(|item| self.resolve(item, path)).filter_map(|item| text(&item));
                    Some(json!(items.collect::<Vec<_>>().join(between)))
                }
                _ => self.give_up(name, path),
            },
            ("Fn::ImportValue", export) => match self.resolve(export, path).as_ref().and_then(text) {
                Some(export) => Some(self.look_up(&export, path)),
                None => self.give_up(name, path),
            },
            _ => self.give_up(name, path),
        }
    }

    fn look_up(&mut self, name: &str, path: &str) -> Value {
        match self.parameters.get(name) {
            Some(value) => json!(value),
            None => {
                self.problems.insert(format!("{path}: pass --parameter '{name}=VALUE'"));
                Value::Null
            }
        }
    }

    /// `${Name}` by its value, and `${!Name}` by `${Name}`.
    fn substitute(&mut self, template: &str, own: &BTreeMap<String, String>, path: &str) -> Value {
        let (mut done, mut rest) = (String::new(), template);
        while let Some(start) = rest.find("${") {
            let Some(length) = rest[start..].find('}') else { break };
            let name = &rest[start + 2..start + length];
            done.push_str(&rest[..start]);
            match (name.strip_prefix('!'), own.get(name.trim())) {
                (Some(literal), _) => done.push_str(&format!("${{{literal}}}")),
                (None, Some(value)) => done.push_str(value),
                (None, None) => done.push_str(self.look_up(name.trim(), path).as_str().unwrap_or_default()),
            }
            rest = &rest[start + length + 1..];
        }
        json!(done + rest)
    }

    fn give_up(&mut self, name: &str, path: &str) -> Option<Value> {
        self.problems.insert(format!("{path}: {name} is not resolved here; write the value in its place"));
        None
    }
}

/// The function that `members` call, if they do.
fn function(members: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (name, argument) = members.iter().next().filter(|_| members.len() == 1)?;
    (name == "Ref" || name.starts_with("Fn::")).then_some((name.as_str(), argument))
}

/// A scalar as text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

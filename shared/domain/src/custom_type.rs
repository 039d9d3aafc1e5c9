//! Action types that an account declares itself: which are accepted, and what becomes of them (spec 1.9, 1.10, 6.3).

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ActionProperty, ActionTypeId, ActionTypeInfo, links};

/// Most custom action types in use at a time (spec 1.10).
pub const CUSTOM_TYPES_MAX: u32 = 50;
/// Most characters of a queryable property's value (spec 6.3).
const QUERYABLE_CHARS_MAX: usize = 20;

/// A custom action type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomType {
    /// As declared.
    pub info: ActionTypeInfo,
    /// When it was declared.
    pub created_at: Timestamp,
    /// When it was deleted. It is kept, since its version cannot mean something else later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// Row version, for conditional writes.
    #[serde(default)]
    pub version: u64,
}

/// How many custom action types are in use. Whoever adds or removes one writes it, so that the limit holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomTypeCount {
    /// Declared and not deleted.
    pub in_use: u32,
    /// Row version, for conditional writes.
    #[serde(default)]
    pub version: u64,
}

/// Why a custom action type is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CustomTypeError {
    /// It breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// There are [`CUSTOM_TYPES_MAX`] already.
    #[error("There are {CUSTOM_TYPES_MAX} custom action types, the most there can be. Delete one that is not used.")]
    TooMany,
}

impl CustomTypeError {
    /// Name of the exception in CodePipeline's API.
    pub fn exception(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "ValidationException",
            Self::TooMany => "LimitExceededException",
        }
    }
}

/// The type as stored when it is declared. A deleted one comes back only as it was (spec 6.3).
///
/// # Errors
/// [`CustomTypeError::Invalid`].
pub fn declare_custom_type(
    before: Option<&CustomType>,
    info: ActionTypeInfo,
    now: Timestamp,
) -> Result<CustomType, CustomTypeError> {
    check(&info).map_err(CustomTypeError::Invalid)?;
    let Some(before) = before else {
        return Ok(CustomType { info, created_at: now, deleted_at: None, version: 0 });
    };
    let name = info.id.describe();
    if before.deleted_at.is_none() {
        return Err(CustomTypeError::Invalid(format!("{name} already exists. Declare a change as a new version.")));
    }
    if before.info != info {
        return Err(CustomTypeError::Invalid(format!(
            "{name} was deleted. Restore it by its identical definition, or declare this one as a new version."
        )));
    }
    Ok(CustomType { deleted_at: None, ..before.clone() })
}

impl CustomTypeCount {
    /// The count with one more.
    ///
    /// # Errors
    /// [`CustomTypeError::TooMany`].
    pub fn one_more(&self) -> Result<Self, CustomTypeError> {
        if self.in_use >= CUSTOM_TYPES_MAX {
            return Err(CustomTypeError::TooMany);
        }
        Ok(Self { in_use: self.in_use + 1, ..self.clone() })
    }

    /// The count with one less.
    pub fn one_less(&self) -> Self {
        Self { in_use: self.in_use.saturating_sub(1), ..self.clone() }
    }
}

impl ActionTypeInfo {
    /// The key whose values tell this type's jobs apart for workers.
    pub fn queryable_key(&self) -> Option<&str> {
        self.properties.iter().find(|property| property.queryable).map(|property| property.name.as_str())
    }
}

impl ActionTypeId {
    /// As CodePipeline names it in texts.
    pub fn describe(&self) -> String {
        format!(
            "ActionType (Category: '{}', Provider: '{}', Owner: '{}', Version: '{}')",
            self.category, self.provider, self.owner, self.version
        )
    }
}

/// Checks the value of a queryable property.
///
/// # Errors
/// What is wrong with it.
pub fn check_queryable_value(key: &str, value: &str) -> Result<(), String> {
    let fits = (1..=QUERYABLE_CHARS_MAX).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if fits {
        return Ok(());
    }
    Err(format!(
        "has '{value}' for '{key}', which job workers ask by. Use 1 to {QUERYABLE_CHARS_MAX} letters, digits, - and _"
    ))
}

/// Texts but the first are our wording.
fn check(info: &ActionTypeInfo) -> Result<(), String> {
    for count in [&info.inputs, &info.outputs] {
        let (min, max) = (count.start(), count.end());
        if max < min {
            return Err(format!(
                "Maximum Number of Artifacts ({max}) has to be greater than or equal to minimum ({min})."
            ));
        }
    }
    let mut names = BTreeSet::new();
    if let Some(twice) = info.properties.iter().find(|property| !names.insert(&property.name)) {
        return Err(format!("Configuration property '{}' is declared more than once.", twice.name));
    }
    check_queryable(&info.properties)?;
    check_templates(info)
}

fn check_queryable(properties: &[ActionProperty]) -> Result<(), String> {
    let queryable: Vec<&ActionProperty> = properties.iter().filter(|property| property.queryable).collect();
    match queryable.as_slice() {
        [] => Ok(()),
        [one] if one.required && !one.secret => Ok(()),
        [one] => {
            Err(format!("Configuration property '{}' is queryable, so it has to be required and not secret.", one.name))
        }
        [one, other, ..] => Err(format!(
            "Configuration properties '{}' and '{}' are both queryable. At most one can be.",
            one.name, other.name
        )),
    }
}

/// A URL is shown to everybody, and has to be whole for every action of the type.
fn check_templates(info: &ActionTypeInfo) -> Result<(), String> {
    let urls = &info.urls;
    let templates = [&urls.entity_url_template, &urls.execution_url_template, &urls.revision_url_template];
    for key in templates.into_iter().flatten().flat_map(|template| links::configuration_keys(template)) {
        let property = info.properties.iter().find(|property| property.name == key);
        if !property.is_some_and(|property| property.required && !property.secret) {
            return Err(format!(
                "A URL template refers to {{Config:{key}}}. It can refer to configuration properties that are declared, \
                 required and not secret."
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ActionKind, ActionTypeUrls};

    fn property(name: &str) -> ActionProperty {
        ActionProperty { name: name.into(), required: true, ..ActionProperty::default() }
    }

    fn make(properties: Vec<ActionProperty>) -> ActionTypeInfo {
        ActionTypeInfo {
            id: ActionTypeId {
                category: "Build".into(),
                owner: "Custom".into(),
                provider: "Make".into(),
                version: "1".into(),
            },
            kind: Some(ActionKind::Job),
            inputs: 0..=1,
            outputs: 0..=1,
            properties,
            urls: ActionTypeUrls::default(),
            v2_only: false,
            timeout_s: 86_400,
            heartbeat_s: None,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_breaks_a_rule_is_refused() {
        let queryable = |name| ActionProperty { queryable: true, ..property(name) };
        let linked = |template: &str, property: ActionProperty| {
            let urls = ActionTypeUrls { entity_url_template: Some(template.into()), ..ActionTypeUrls::default() };
            ActionTypeInfo { urls, ..make(vec![property]) }
        };
        #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
        let few = ActionTypeInfo { inputs: 3..=2, ..make(Vec::new()) };
        let cases = [
            (make(vec![property("A"), queryable("B")]), None),
            (linked("https://x/{Config:A}/{ExternalExecutionId}", property("A")), None),
            (few, Some("Maximum Number of Artifacts (2) has to be greater than or equal to minimum (3).")),
            (make(vec![property("A"), property("A")]), Some("'A' is declared more than once")),
            (make(vec![queryable("A"), queryable("B")]), Some("'A' and 'B' are both queryable")),
            (make(vec![ActionProperty { required: false, ..queryable("A") }]), Some("required and not secret")),
            (make(vec![ActionProperty { secret: true, ..queryable("A") }]), Some("required and not secret")),
            (linked("https://x/{Config:B}", property("A")), Some("{Config:B}")),
            (linked("https://x/{Config:A}", ActionProperty { secret: true, ..property("A") }), Some("{Config:A}")),
            (linked("https://x/{Config:A}", ActionProperty { required: false, ..property("A") }), Some("{Config:A}")),
        ];
        for (info, expected) in cases {
            let found = declare_custom_type(None, info.clone(), at(0)).map(|_| ()).map_err(|error| error.to_string());
            match expected {
                None => assert_eq!(found, Ok(()), "{info:?}"),
                Some(part) => assert!(found.as_ref().is_err_and(|text| text.contains(part)), "{found:?} {info:?}"),
            }
        }
    }

    #[test]
    fn a_deleted_type_comes_back_as_it_was_or_as_a_new_version() {
        let first = declare_custom_type(None, make(Vec::new()), at(0)).unwrap();
        let again = declare_custom_type(Some(&first), make(Vec::new()), at(1)).unwrap_err();
        assert!(again.to_string().contains("already exists"), "{again}");
        let deleted = CustomType { deleted_at: Some(at(1)), version: 2, ..first.clone() };
        let restored = declare_custom_type(Some(&deleted), make(Vec::new()), at(2)).unwrap();
        assert_eq!(restored, CustomType { version: 2, ..first });
        let other = declare_custom_type(Some(&deleted), make(vec![property("A")]), at(2)).unwrap_err();
        assert!(other.to_string().contains("new version"), "{other}");
    }

    #[test]
    fn fifty_are_in_use_at_most() {
        let mut count = CustomTypeCount::default();
        for _ in 0..CUSTOM_TYPES_MAX {
            count = count.one_more().unwrap();
        }
        assert_eq!(count.one_more(), Err(CustomTypeError::TooMany));
        assert!(count.one_less().one_more().is_ok());
        assert_eq!(CustomTypeCount::default().one_less().in_use, 0);
    }

    #[test]
    fn queryable_values_are_short_words() {
        for (value, fits) in [
            ("a", true),
            ("A-b_9", true),
            (&"x".repeat(20), true),
            ("", false),
            ("a b", false),
            (&"x".repeat(21), false),
        ] {
            assert_eq!(check_queryable_value("Project", value).is_ok(), fits, "{value}");
        }
    }
}

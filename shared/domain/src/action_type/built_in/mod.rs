//! Action types that every account has: AWS's, and those of third parties that CodePipeline offers.
//!
//! Required keys are those without which CodePipeline refuses a pipeline. The others are what its users' guide names;
//! a type that is not run takes any (see [`super::ActionTypeInfo::kind`]).

mod builds;
mod deploys;
mod invokes;
mod sources;

use std::{ops::RangeInclusive, sync::LazyLock};

use super::{ActionKind, ActionProperty, ActionTypeInfo, ActionTypeUrls};
use crate::ActionTypeId;

const MINUTE_S: u32 = 60;
const HOUR_S: u32 = 60 * MINUTE_S;
const DAY_S: u32 = 24 * HOUR_S;

/// Every one of them.
pub(super) static TYPES: LazyLock<Vec<ActionTypeInfo>> =
    LazyLock::new(|| [sources::types(), builds::types(), deploys::types(), invokes::types()].concat());

/// A type of AWS's that is not run, takes no configuration and may take an hour, unless said otherwise.
fn aws(
    category: &str,
    provider: &str,
    inputs: RangeInclusive<usize>,
    outputs: RangeInclusive<usize>,
) -> ActionTypeInfo {
    ActionTypeInfo {
        id: ActionTypeId {
            category: category.into(),
            owner: "AWS".into(),
            provider: provider.into(),
            version: "1".into(),
        },
        kind: None,
        inputs,
        outputs,
        properties: Vec::new(),
        urls: ActionTypeUrls::default(),
        v2_only: false,
        timeout_s: HOUR_S,
        heartbeat_s: None,
    }
}

impl ActionTypeInfo {
    fn of_third_party(mut self) -> Self {
        self.id.owner = "ThirdParty".into();
        self
    }

    fn run_as(self, kind: ActionKind) -> Self {
        Self { kind: Some(kind), ..self }
    }

    fn v2(self) -> Self {
        Self { v2_only: true, ..self }
    }

    fn required(self, names: &[&str]) -> Self {
        self.with(names, |name| ActionProperty { name, required: true, key: true, ..ActionProperty::default() })
    }

    fn secret(self, names: &[&str]) -> Self {
        self.with(names, |name| ActionProperty { name, required: true, secret: true, ..ActionProperty::default() })
    }

    fn optional(self, names: &[&str]) -> Self {
        self.with(names, |name| ActionProperty { name, ..ActionProperty::default() })
    }

    fn with(mut self, names: &[&str], property: impl Fn(String) -> ActionProperty) -> Self {
        self.properties.extend(names.iter().map(|name| property((*name).to_owned())));
        self
    }

    fn within(self, timeout_s: u32) -> Self {
        Self { timeout_s, ..self }
    }

    fn heard_every(self, heartbeat_s: u32) -> Self {
        Self { heartbeat_s: Some(heartbeat_s), ..self }
    }

    fn seen_at(mut self, entity_url_template: &str) -> Self {
        self.urls.entity_url_template = Some(entity_url_template.to_owned());
        self
    }
}

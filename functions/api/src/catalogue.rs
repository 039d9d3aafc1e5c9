//! What pipelines can be made of: the types of actions and of rules.

use std::ops::RangeInclusive;

use domain::{ActionProperty, ActionTypeInfo, Catalogue, RULE_TYPES, RuleTypeId, RuleTypeInfo};
use engine::{HasBasics, HasStore};
use protocol::wire::{
    actions::{
        ActionConfigurationProperty, ActionType, ActionTypeSettings, ArtifactDetails, ListActionTypesInput,
        ListActionTypesOutput,
    },
    rules::{ListRuleTypesInput, ListRuleTypesOutput, RuleType},
};

use crate::{failure::Failure, paging::Listing};

/// ListActionTypes: every type that a pipeline may hold, whether or not it is run, in the order of [`place`].
pub(crate) async fn list_action_types<W: HasStore>(
    world: &W,
    listing: &Listing,
    input: ListActionTypesInput,
) -> Result<ListActionTypesOutput, Failure> {
    let is_here = input.region_filter.is_none_or(|region| region == world.settings().region);
    let owner = input.action_owner_filter;
    let catalogue = if owner.as_ref().is_none_or(|owner| owner == "Custom") {
        engine::catalogue(world).await?
    } else {
        Catalogue::default()
    };
    let mut types: Vec<_> = catalogue
        .all()
        .filter(|info| is_here && owner.as_ref().is_none_or(|owner| *owner == info.id.owner))
        // By place, since the last type shown may have been deleted meanwhile.
        .filter(|info| listing.after.as_ref().is_none_or(|after| place(info) > *after))
        .collect();
    types.sort_by_cached_key(|info| place(info));
    let limit = listing.limit as usize;
    let next = (types.len() > limit).then(|| place(types[limit - 1]));
    types.truncate(limit);
    Ok(ListActionTypesOutput {
        action_types: types.into_iter().map(action_type).collect(),
        next_token: listing.token(next)?,
    })
}

/// ListRuleTypes: every rule that a condition may hold, whether or not it is evaluated. All are AWS's.
pub(crate) fn list_rule_types<W: HasBasics>(world: &W, input: ListRuleTypesInput) -> ListRuleTypesOutput {
    let is_here = input.region_filter.is_none_or(|region| region == world.settings().region);
    ListRuleTypesOutput { rule_types: RULE_TYPES.iter().filter(|_| is_here).map(rule_type).collect() }
}

fn rule_type(info: &RuleTypeInfo) -> RuleType {
    let key = |required: bool| {
        move |name: &&str| ActionProperty {
            name: (*name).to_owned(),
            required,
            key: required,
            ..ActionProperty::default()
        }
    };
    let required = info.required_keys.iter().map(key(true));
    let optional = info.optional_keys.iter().map(key(false));
    RuleType {
        id: RuleTypeId {
            category: "Rule".to_owned(),
            owner: Some("AWS".to_owned()),
            provider: info.provider.to_owned(),
            version: Some("1".to_owned()),
        },
        input_artifact_details: artifact_details(&info.inputs),
        settings: Some(ActionTypeSettings::default()),
        rule_configuration_properties: Some(required.chain(optional).map(property).collect()),
    }
}

/// Where a type is in the list; a page goes on behind the last one shown.
fn place(info: &ActionTypeInfo) -> String {
    let id = &info.id;
    [&id.category, &id.owner, &id.provider, &id.version].map(String::as_str).join("/")
}

/// An action type as clients see it.
pub(crate) fn action_type(info: &ActionTypeInfo) -> ActionType {
    let urls = info.urls.clone();
    ActionType {
        id: info.id.clone(),
        input_artifact_details: artifact_details(&info.inputs),
        output_artifact_details: artifact_details(&info.outputs),
        settings: Some(ActionTypeSettings {
            third_party_configuration_url: urls.third_party_configuration_url,
            entity_url_template: urls.entity_url_template,
            execution_url_template: urls.execution_url_template,
            revision_url_template: urls.revision_url_template,
        }),
        action_configuration_properties: Some(info.properties.iter().cloned().map(property).collect()),
    }
}

pub(crate) fn artifact_details(count: &RangeInclusive<usize>) -> ArtifactDetails {
    let of = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
    ArtifactDetails { minimum_count: of(*count.start()), maximum_count: of(*count.end()) }
}

fn property(property: ActionProperty) -> ActionConfigurationProperty {
    ActionConfigurationProperty {
        name: property.name,
        required: property.required,
        key: property.key,
        secret: property.secret,
        queryable: property.queryable.then_some(true),
        description: property.description,
        property_type: property.value_type,
    }
}

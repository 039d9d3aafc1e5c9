//! When two versions of a stage do the same.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{ActionDeclaration, StageDeclaration};

/// Keeps these digests apart from all others, and from those of a later format.
///
/// Raising the number makes every stored success ineligible as a rollback target, until the next success.
const DOMAIN: &str = "lastgood stage fingerprint 1\n";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Behaviour<'a> {
    pipeline_role: &'a str,
    actions: Vec<&'a ActionDeclaration>,
}

/// Digest of what `stage` does (design section 1): its actions with every setting, and the roles they run as.
///
/// A success under one declaration may be the target of a rollback under another when the two fingerprints are equal,
/// so what decides *whether* or *when* the actions run is left out: the stage's name, its conditions and its
/// transitions. The order of actions in the list is left out too, since only run order has a meaning. The order of an
/// action's artifacts is kept: providers treat the first one specially.
pub fn fingerprint(stage: &StageDeclaration, pipeline_role: &str) -> String {
    let mut actions: Vec<_> = stage.actions.iter().collect();
    actions.sort_by(|a, b| (a.run_order, &a.name).cmp(&(b.run_order, &b.name)));
    // Structs serialise their members in declared order, and maps here are sorted: equal values give equal bytes.
    let canonical = serde_json::to_vec(&Behaviour { pipeline_role, actions })
        .expect("declarations hold strings, numbers, lists and string-keyed maps, all of which JSON can express");
    hex::encode(Sha256::new().chain_update(DOMAIN).chain_update(canonical).finalize())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::{Condition, FailureConditions, StageConditions};

    const ROLE: &str = "arn:aws:iam::111122223333:role/pipeline";

    fn stage() -> StageDeclaration {
        serde_json::from_value(serde_json::json!({
            "name": "Deploy",
            "actions": [
                {"name": "Site", "actionTypeId": {"category": "Deploy", "owner": "AWS", "provider": "S3", "version": "1"},
                 "configuration": {"BucketName": "site", "Extract": "true"},
                 "inputArtifacts": [{"name": "App"}, {"name": "Extra"}]},
                {"name": "Docs", "actionTypeId": {"category": "Deploy", "owner": "AWS", "provider": "S3", "version": "1"},
                 "configuration": {"BucketName": "docs", "Extract": "true"}, "inputArtifacts": [{"name": "App"}]},
                {"name": "Check", "runOrder": 2,
                 "actionTypeId": {"category": "Invoke", "owner": "AWS", "provider": "Lambda", "version": "1"},
                 "configuration": {"FunctionName": "smoke"}},
            ],
        }))
        .unwrap()
    }

    #[test]
    fn the_format_is_pinned() {
        // A different value here means that deployments in use lose their rollback targets: raise the number in DOMAIN.
        let mut stage = stage();
        EDITS.iter().for_each(|(_, edit)| edit(&mut stage.actions[0], "x".into()));
        assert_eq!(fingerprint(&stage, ROLE), "2b39890e8e16a2972b36437dda4bf8664781f28b5bc89c7b7d6f91406cae9308");
    }

    type Edit = (&'static str, fn(&mut ActionDeclaration, String));

    const EDITS: &[Edit] = &[
        ("name", |action, text| action.name = format!("{}-{}", action.name, text.len()).parse().unwrap()),
        ("category", |action, text| action.action_type_id.category += &text),
        ("owner", |action, text| action.action_type_id.owner += &text),
        ("provider", |action, text| action.action_type_id.provider += &text),
        ("version", |action, text| action.action_type_id.version += &text),
        ("run order", |action, _| action.run_order += 7),
        ("configuration key", |action, text| drop(action.configuration.insert(format!("New{text}"), String::new()))),
        ("configuration value", |action, text| {
            action.configuration.values_mut().for_each(|value| value.push_str(&text));
        }),
        ("commands", |action, text| action.commands.push(text)),
        ("outputs", |action, text| {
            action.output_artifacts.push(crate::OutputArtifact { name: text, files: Vec::new() });
        }),
        ("output files", |action, text| {
            action.output_artifacts.push(crate::OutputArtifact { name: String::new(), files: vec![text] });
        }),
        ("inputs", |action, text| action.input_artifacts.push(crate::InputArtifact { name: text })),
        ("output variables", |action, text| action.output_variables.push(text)),
        ("environment name", |action, text| {
            action.environment_variables.push(crate::EnvironmentVariable {
                name: text,
                value: String::new(),
                kind: None,
            });
        }),
        ("environment value", |action, text| {
            action.environment_variables.push(crate::EnvironmentVariable {
                name: String::new(),
                value: text,
                kind: None,
            });
        }),
        ("role", |action, text| action.role_arn = Some(text)),
        ("region", |action, text| action.region = Some(text)),
        ("namespace", |action, text| action.namespace = Some(text)),
        ("timeout", |action, text| action.timeout_in_minutes = Some(text.len() as u32)),
    ];

    proptest! {
        #[test]
        fn every_edit_of_an_action_is_noticed_and_no_two_edits_look_alike(text in ".{1,40}", which in 0..3_usize) {
            let mut seen = BTreeSet::from([fingerprint(&stage(), ROLE)]);
            seen.insert(fingerprint(&stage(), &text));
            for (name, edit) in EDITS {
                let mut edited = stage();
                edit(&mut edited.actions[which], text.clone());
                prop_assert!(seen.insert(fingerprint(&edited, ROLE)), "{}", name);
            }
        }

        #[test]
        fn conditions_and_the_name_are_not_part_of_it(name in "[a-z]{1,20}", result in proptest::option::of(".{0,20}")) {
            let condition = Condition { result: result.clone(), rules: Vec::new() };
            let conditions = Some(StageConditions { conditions: vec![condition.clone()] });
            let edited = StageDeclaration {
                name: name.parse().unwrap(),
                before_entry: conditions.clone(),
                on_success: conditions,
                on_failure: Some(FailureConditions { result, retry_configuration: None, conditions: vec![condition] }),
                ..stage()
            };
            prop_assert_eq!(fingerprint(&edited, ROLE), fingerprint(&stage(), ROLE));
        }

        #[test]
        fn the_order_of_the_list_has_no_meaning(order in Just(vec![0, 1, 2]).prop_shuffle()) {
            let mut shuffled = stage();
            shuffled.actions = order.into_iter().map(|index: usize| stage().actions[index].clone()).collect();
            prop_assert_eq!(fingerprint(&shuffled, ROLE), fingerprint(&stage(), ROLE));
        }
    }

    #[test]
    fn the_order_of_artifacts_has_a_meaning() {
        let mut swapped = stage();
        swapped.actions[0].input_artifacts.reverse();
        assert_ne!(fingerprint(&swapped, ROLE), fingerprint(&stage(), ROLE));
    }
}

//! When two versions of a stage do the same.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{ActionDeclaration, ActionName, StageDeclaration};

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

/// A version of a stage: its declaration and the role of its pipeline.
pub type StageVersion<'a> = (&'a StageDeclaration, &'a str);

/// What makes the fingerprints of two versions of a stage differ, as paths such as `Site.configuration.BucketName`;
/// empty where they are equal. Values are left out: configurations hold secrets.
pub fn changed_fields((then, then_role): StageVersion<'_>, (now, now_role): StageVersion<'_>) -> Vec<String> {
    let role = (then_role != now_role).then(|| "the pipeline's roleArn".to_owned());
    let (then, now) = (settings(then), settings(now));
    let names: BTreeSet<&ActionName> = then.keys().chain(now.keys()).copied().collect();
    let actions = names.into_iter().flat_map(|name| match (then.get(name), now.get(name)) {
        (Some(then), Some(now)) => {
            let paths: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
            let changed = paths.into_iter().filter(|path| then.get(*path) != now.get(*path));
            changed.map(|path| format!("{name}.{path}")).collect()
        }
        (Some(_), None) => vec![format!("{name} (removed)")],
        (None, _) => vec![format!("{name} (added)")],
    });
    role.into_iter().chain(actions).collect()
}

/// Every setting of each action, by its path in the declaration.
fn settings(stage: &StageDeclaration) -> BTreeMap<&ActionName, BTreeMap<String, Value>> {
    let of = |action: &ActionDeclaration| {
        let mut settings = BTreeMap::new();
        if let Ok(Value::Object(members)) = serde_json::to_value(action) {
            for (name, value) in members {
                match value {
                    Value::Object(parts) => {
                        settings.extend(parts.into_iter().map(|(key, value)| (format!("{name}.{key}"), value)));
                    }
                    value => drop(settings.insert(name, value)),
                }
            }
        }
        settings
    };
    stage.actions.iter().map(|action| (&action.name, of(action))).collect()
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

    /// Whether two versions of a stage do the same, found without digests and without paths: the same actions, whatever
    /// the order they are listed in, in every detail, under the same role.
    fn do_the_same(then: StageVersion<'_>, now: StageVersion<'_>) -> bool {
        let within = |one: StageVersion<'_>, other: StageVersion<'_>| {
            one.0.actions.iter().all(|action| other.0.actions.contains(action))
        };
        then.1 == now.1 && then.0.actions.len() == now.0.actions.len() && within(then, now) && within(now, then)
    }

    /// An edit of a pipeline: of one of the stage's actions, or of something else.
    #[derive(Debug, Clone)]
    enum PipelineEdit {
        Action { which: usize, edit: usize, text: String },
        Remove(usize),
        Add(String),
        Shuffle(usize),
        Role(String),
        Rename(String),
        Result(String),
        Undo,
    }

    fn edits() -> impl Strategy<Value = Vec<PipelineEdit>> {
        // Few texts, so that edits take each other back now and then.
        let text = || "[ab]{1,2}";
        let edit = prop_oneof![
            4 => (0..4_usize, 0..EDITS.len(), text()).prop_map(|(which, edit, text)| PipelineEdit::Action { which, edit, text }),
            1 => (0..4_usize).prop_map(PipelineEdit::Remove),
            1 => text().prop_map(PipelineEdit::Add),
            2 => (0..4_usize).prop_map(PipelineEdit::Shuffle),
            1 => prop_oneof![Just(ROLE.to_owned()), text().prop_map(String::from)].prop_map(PipelineEdit::Role),
            2 => text().prop_map(PipelineEdit::Rename),
            2 => text().prop_map(PipelineEdit::Result),
            3 => Just(PipelineEdit::Undo),
        ];
        proptest::collection::vec(edit, 0..5)
    }

    fn apply(edits: &[PipelineEdit]) -> (StageDeclaration, String) {
        let mut versions = vec![(stage(), ROLE.to_owned())];
        for edit in edits {
            let (mut stage, mut role) = versions.last().cloned().expect("one to begin with");
            let count = stage.actions.len();
            match edit {
                PipelineEdit::Action { which, edit, text } if *which < count => {
                    EDITS[*edit].1(&mut stage.actions[*which], text.clone());
                }
                PipelineEdit::Remove(which) if *which < count => drop(stage.actions.remove(*which)),
                PipelineEdit::Add(name) if stage.actions.iter().all(|action| action.name.as_str() != name) => {
                    let added = ActionDeclaration { name: name.parse().expect("a name"), ..stage.actions[0].clone() };
                    stage.actions.push(added);
                }
                PipelineEdit::Shuffle(which) if *which < count => stage.actions.swap(0, *which),
                PipelineEdit::Role(text) => role.clone_from(text),
                PipelineEdit::Rename(text) => stage.name = text.parse().expect("a name"),
                PipelineEdit::Result(text) => {
                    let conditions = vec![Condition { result: Some(text.clone()), rules: Vec::new() }];
                    stage.on_success = Some(StageConditions { conditions });
                }
                PipelineEdit::Undo if versions.len() > 1 => drop(versions.pop()),
                _ => {}
            }
            if !matches!(edit, PipelineEdit::Undo) && !stage.actions.is_empty() {
                versions.push((stage, role));
            }
        }
        versions.pop().expect("one to begin with")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn edits_matter_exactly_where_the_stage_does_something_else_and_are_named(edits in edits()) {
            let (then, (now, role)) = (stage(), apply(&edits));
            let same = do_the_same((&then, ROLE), (&now, &role));
            prop_assert_eq!(fingerprint(&then, ROLE) == fingerprint(&now, &role), same);
            let named = changed_fields((&then, ROLE), (&now, &role));
            prop_assert_eq!(named.is_empty(), same, "{:?}", named);
        }
    }

    #[test]
    fn each_edit_is_named_by_the_field_it_changes() {
        let expected = [
            "Docs (removed),Docs-1 (added)",
            "Docs.actionTypeId.category",
            "Docs.actionTypeId.owner",
            "Docs.actionTypeId.provider",
            "Docs.actionTypeId.version",
            "Docs.runOrder",
            "Docs.configuration.Newx",
            "Docs.configuration.BucketName,Docs.configuration.Extract",
            "Docs.commands",
            "Docs.outputArtifacts",
            "Docs.outputArtifacts",
            "Docs.inputArtifacts",
            "Docs.outputVariables",
            "Docs.environmentVariables",
            "Docs.environmentVariables",
            "Docs.roleArn",
            "Docs.region",
            "Docs.namespace",
            "Docs.timeoutInMinutes",
        ];
        for ((name, edit), expected) in EDITS.iter().zip(expected) {
            let mut edited = stage();
            edit(&mut edited.actions[1], "x".into());
            assert_eq!(changed_fields((&stage(), ROLE), (&edited, ROLE)).join(","), expected, "{name}");
        }
        assert_eq!(EDITS.len(), expected.len());
        assert_eq!(changed_fields((&stage(), ROLE), (&stage(), "other")), ["the pipeline's roleArn"]);
    }

    #[test]
    fn the_order_of_artifacts_has_a_meaning() {
        let mut swapped = stage();
        swapped.actions[0].input_artifacts.reverse();
        assert_ne!(fingerprint(&swapped, ROLE), fingerprint(&stage(), ROLE));
    }
}

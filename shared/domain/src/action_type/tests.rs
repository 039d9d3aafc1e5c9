//! What the catalogue answers.

use std::collections::BTreeSet;

use super::*;

fn id(category: &str, owner: &str, provider: &str, version: &str) -> ActionTypeId {
    ActionTypeId { category: category.into(), owner: owner.into(), provider: provider.into(), version: version.into() }
}

#[test]
fn types_are_found_by_all_four_parts() {
    let cases = [
        (id("Source", "AWS", "S3", "1"), Some((Some(ActionKind::Native), 3_600, None))),
        (id("Deploy", "AWS", "S3", "1"), Some((Some(ActionKind::Native), 5_400, None))),
        (id("Invoke", "AWS", "Lambda", "1"), Some((Some(ActionKind::Job), 86_400, Some(1_200)))),
        (id("Invoke", "AWS", "StepFunctions", "1"), Some((Some(ActionKind::Machine), 604_800, None))),
        (id("Build", "AWS", "CodeBuild", "1"), Some((Some(ActionKind::Machine), 129_600, None))),
        (id("Test", "AWS", "CodeBuild", "1"), Some((Some(ActionKind::Machine), 28_800, None))),
        (id("Deploy", "AWS", "CodeDeploy", "1"), Some((Some(ActionKind::Machine), 432_000, None))),
        (id("Invoke", "AWS", "CodePipeline", "1"), Some((Some(ActionKind::Machine), 3_600, None))),
        (id("Approval", "AWS", "Manual", "1"), Some((Some(ActionKind::Job), 604_800, None))),
        (id("Source", "Custom", "S3", "1"), None),
        (id("Source", "AWS", "s3", "1"), None),
        (id("Source", "AWS", "S3", "2"), None),
    ];
    let catalogue = Catalogue::default();
    for (id, expected) in cases {
        let found = catalogue.find(&id).map(|info| (info.kind, info.timeout_s, info.heartbeat_s));
        assert_eq!(found, expected, "{id:?}");
    }
}

#[test]
fn an_accounts_own_types_are_found_too() {
    let mine = ActionTypeInfo {
        id: id("Build", "Custom", "Make", "7"),
        kind: Some(ActionKind::Job),
        inputs: 0..=1,
        outputs: 0..=5,
        properties: Vec::new(),
        urls: ActionTypeUrls::default(),
        v2_only: false,
        timeout_s: 86_400,
        heartbeat_s: None,
    };
    let catalogue = Catalogue::new(vec![mine.clone()]);
    assert_eq!(catalogue.find(&mine.id), Some(&mine));
    assert_eq!(catalogue.find(&id("Build", "Custom", "Make", "6")), None);
    assert_eq!(catalogue.all().last(), Some(&mine));
    assert_eq!(catalogue.all().count(), Catalogue::default().all().count() + 1);
}

#[test]
fn whoever_runs_a_type_is_known_without_its_declaration() {
    assert_eq!(action_kind(&id("Source", "AWS", "S3", "1")), Some(ActionKind::Native));
    assert_eq!(action_kind(&id("Build", "Custom", "Make", "7")), Some(ActionKind::Job));
    assert_eq!(action_kind(&id("Build", "AWS", "Make", "7")), None);
}

#[test]
fn the_catalogue_names_nothing_twice() {
    let mut types = BTreeSet::new();
    for info in Catalogue::default().all() {
        let id = &info.id;
        assert!(types.insert((&id.category, &id.owner, &id.provider, &id.version)), "{info:?}");
        let keys: BTreeSet<_> = info.properties.iter().map(|property| &property.name).collect();
        assert_eq!(keys.len(), info.properties.len(), "{info:?}");
    }
}

#[test]
fn kinds_are_spelled_as_the_state_machines_spell_them() {
    for (kind, text) in
        [(ActionKind::Native, "\"Native\""), (ActionKind::Job, "\"Job\""), (ActionKind::Machine, "\"Machine\"")]
    {
        assert_eq!(serde_json::to_string(&kind).unwrap(), text);
    }
}

//! What is seen of a stack: its alarms and what to do about them, its logs, its parameters and outputs.

use std::collections::BTreeSet;

use crate::{
    template::{resources, template},
    workspace,
};

const RUNBOOK: &str = "infra/runbook.md";

#[test]
fn the_runbook_knows_every_alarm() {
    let template = template();
    let alarms = resources(&template, "AWS::CloudWatch::Alarm");
    let runbook = workspace::read(RUNBOOK);
    let sections: BTreeSet<&str> =
        runbook.lines().filter_map(|line| line.strip_prefix("### ")).filter(|title| title.ends_with("Alarm")).collect();
    assert!(!alarms.is_empty());
    assert_eq!(alarms.keys().copied().collect::<BTreeSet<_>>(), sections);
    for (id, properties) in alarms {
        let description = properties["AlarmDescription"].as_str().unwrap_or_default();
        assert!(description.ends_with(&format!("See {id} in {RUNBOOK}.")), "{id}: {description}");
        assert_eq!(properties["AlarmActions"][0].as_str(), Some("AlarmTopicArn"), "{id}");
        assert!(!properties["TreatMissingData"].is_badvalue(), "{id}: what does silence mean?");
    }
}

#[test]
fn idle_alarms_cost_nobody_who_did_not_ask() {
    let template = template();
    for (id, resource) in template["Resources"].as_hash().into_iter().flatten() {
        let kind = resource["Type"].as_str().unwrap_or_default();
        if kind.starts_with("AWS::CloudWatch::") {
            assert_eq!(resource["Condition"].as_str(), Some("HasAlarmTopic"), "{id:?}");
        }
    }
}

#[test]
fn logs_end_and_are_encrypted_as_the_rest() {
    let template = template();
    let groups = resources(&template, "AWS::Logs::LogGroup");
    for (id, properties) in &groups {
        assert_eq!(properties["RetentionInDays"].as_str(), Some("LogRetentionDays"), "{id}");
        assert_eq!(properties["KmsKeyId"][1].as_str(), Some("KeyArn"), "{id}");
    }
    let mut used = BTreeSet::new();
    for (id, properties) in resources(&template, "AWS::Serverless::Function") {
        let group = properties["LoggingConfig"]["LogGroup"].as_str().unwrap_or_default();
        assert!(groups.contains_key(group), "{id}: a log group that the stack does not keep in order");
        assert!(used.insert(group), "{id}: the log group of another function");
    }
}

#[test]
fn parameters_and_outputs_are_explained() {
    let template = template();
    for part in ["Parameters", "Outputs"] {
        for (name, one) in template[part].as_hash().into_iter().flatten() {
            assert!(one["Description"].as_str().is_some_and(|text| text.len() > 20), "{part} {name:?}: Description");
        }
    }
    let architecture = &template["Parameters"]["Architecture"];
    assert_eq!(architecture["Default"].as_str(), Some("arm64"));
    assert_eq!(template["Globals"]["Function"]["Architectures"][0].as_str(), Some("Architecture"));
}

#[test]
fn every_check_that_is_not_followed_has_a_reason() {
    let checks = workspace::read("infra/checkov.yaml");
    let mut explained = false;
    let mut skipped = 0;
    for line in checks.lines().skip_while(|line| !line.starts_with("skip-check")).skip(1) {
        let line = line.trim();
        if line.starts_with("- ") {
            assert!(explained, "{line}: say why, in a comment above it");
            (explained, skipped) = (false, skipped + 1);
        } else {
            explained = line.starts_with('#');
        }
    }
    assert!(skipped > 0);
}

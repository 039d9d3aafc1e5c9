//! What is seen of a stack: its alarms and what to do about them, its logs, its parameters and outputs.

use std::collections::BTreeSet;

use crate::{
    template::{resources, role_of, template, texts},
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
fn dead_letters_keep_their_alarm_when_the_queue_falls_silent() {
    let template = template();
    let alarm = &template["Resources"]["DeadLettersAlarm"]["Properties"];
    assert_eq!(alarm["TreatMissingData"].as_str(), Some("ignore"), "SQS tells nothing of a queue that nobody uses");
}

#[test]
fn every_machine_and_function_has_an_alarm_and_no_alarm_more_metrics_than_one_may() {
    let template = template();
    let alarms = resources(&template, "AWS::CloudWatch::Alarm");
    let mut seen = BTreeSet::new();
    for (id, properties) in &alarms {
        let metrics = properties["Metrics"].as_vec().into_iter().flatten();
        let metrics: Vec<_> =
            metrics.map(|one| &one["MetricStat"]["Metric"]).filter(|one| !one.is_badvalue()).collect();
        assert!(metrics.len() <= 10, "{id}: CloudWatch takes ten metrics in an expression of an alarm");
        let failures = metrics
            .iter()
            .filter(|one| ["Errors", "ExecutionsFailed"].contains(&one["MetricName"].as_str().unwrap_or_default()));
        seen.extend(failures.filter_map(|one| one["Dimensions"][0]["Value"].as_str()));
    }
    for kind in ["AWS::Serverless::Function", "AWS::Serverless::StateMachine"] {
        for id in resources(&template, kind).into_keys() {
            assert!(seen.contains(id), "{id}: nobody is told that it fails");
        }
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
fn the_data_is_kept_as_the_runbook_says() {
    let template = template();
    let runbook = workspace::read(RUNBOOK);
    let says = |words: &str| assert!(runbook.contains(words), "{RUNBOOK} does not say '{words}'");
    let table = &template["Resources"]["Table"]["Properties"];
    says("Point-in-time recovery of 35 days is on, and it refuses to be deleted");
    assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"].as_bool(), Some(true));
    assert!(table["PointInTimeRecoverySpecification"]["RecoveryPeriodInDays"].is_badvalue(), "35 days unless said");
    assert_eq!(table["DeletionProtectionEnabled"].as_bool(), Some(true));
    let expires = table["TimeToLiveSpecification"]["AttributeName"].as_str().unwrap_or_default();
    says(&format!("Enabled=true,AttributeName={expires}"));
    let bucket = &template["Resources"]["Bucket"]["Properties"];
    assert_eq!(bucket["VersioningConfiguration"]["Status"].as_str(), Some("Enabled"));
    let undone = bucket["LifecycleConfiguration"]["Rules"][0]["NoncurrentVersionExpiration"]["NoncurrentDays"].as_i64();
    says("can be undone for thirty days");
    assert_eq!(undone, Some(30));
    let kept = template["Resources"]["DeadLetters"]["Properties"]["MessageRetentionPeriod"].as_i64();
    says("for fourteen days");
    assert_eq!(kept, Some(14 * 86_400));
    let outputs = template["Outputs"].as_hash().into_iter().flatten().filter_map(|(name, _)| name.as_str());
    let outputs: BTreeSet<&str> = outputs.collect();
    for named in ["TableName", "BucketName", "DeadLettersUrl"] {
        says(&format!("output `{named}`"));
        assert!(outputs.contains(named), "{named}");
    }
}

#[test]
fn everything_is_traced_where_it_is_asked_for_and_nothing_else() {
    let template = template();
    assert_eq!(template["Parameters"]["Tracing"]["Default"].as_str(), Some("Disabled"));
    assert_eq!(template["Globals"]["Function"]["Tracing"].as_str(), Some("Tracing"));
    assert_eq!(template["Resources"]["TracesPolicy"]["Condition"].as_str(), Some("HasTracing"));
    for (id, properties) in resources(&template, "AWS::Serverless::StateMachine") {
        assert_eq!(properties["Tracing"]["Enabled"][0].as_str(), Some("HasTracing"), "{id}");
        let policies = properties["Policies"].as_vec().into_iter().flatten();
        let traces = policies
            .filter(|policy| policy[0].as_str() == Some("HasTracing") && policy[1].as_str() == Some("TracesPolicy"));
        assert_eq!(traces.count(), 1, "{id}");
    }
    for (id, properties) in resources(&template, "AWS::Serverless::Function") {
        let statements = role_of(&template, properties)["Policies"][0]["PolicyDocument"]["Statement"].as_vec();
        let traces = statements.into_iter().flatten().filter(|one| one[0].as_str() == Some("HasTracing"));
        let actions: Vec<_> = traces.map(|one| texts(&one[1]["Action"])).collect();
        assert_eq!(actions, [BTreeSet::from(["xray:PutTelemetryRecords", "xray:PutTraceSegments"])], "{id}");
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
    // Where none is named, a group arises that nobody has in order.
    let projects = resources(&template, "AWS::CodeBuild::Project");
    assert!(!projects.is_empty());
    for (id, properties) in projects {
        let group = properties["LogsConfig"]["CloudWatchLogs"]["GroupName"].as_str().unwrap_or_default();
        assert!(groups.contains_key(group), "{id}: a log group that the stack does not keep in order");
        assert!(used.insert(group), "{id}: the log group of a function");
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

//! Rules of conditions.

use super::*;

const INVALID: &str = "InvalidStageDeclarationException";
const VALIDATION: &str = "ValidationException";

#[test]
fn rules_are_checked() {
    let subject = |problem: &str| format!("Rule 'R' in onSuccess of stage 'Deploy' {problem}");
    fn success(pipeline: &mut Value, rule: Value) {
        set(pipeline, "onSuccess", condition("FAIL", rule));
    }
    fn with(mut rule: Value, member: &str, value: Value) -> Value {
        rule[member] = value;
        rule
    }
    run(&[
        refused(
            "unavailable rule",
            |p| success(p, rule("Banana", json!({}))),
            INVALID,
            subject(
                "has the RuleType (Category: 'Rule', Provider: 'Banana', Owner: 'AWS', Version: '1'), which is not available. Use one of CloudWatchAlarm, CodeBuild, Commands, DeploymentWindow, LambdaInvoke, MetricDegradation, VariableCheck",
            ),
        ),
        refused(
            "unknown version",
            |p| {
                let mut rule = alarm(json!({}));
                rule["ruleTypeId"]["version"] = json!("2");
                success(p, rule);
            },
            INVALID,
            subject(
                "has the RuleType (Category: 'Rule', Provider: 'CloudWatchAlarm', Owner: 'AWS', Version: '2'), which is not available. Use one of CloudWatchAlarm, CodeBuild, Commands, DeploymentWindow, LambdaInvoke, MetricDegradation, VariableCheck",
            ),
        ),
        accepted("owner and version left out", |p| {
            success(p, with(alarm(json!({})), "ruleTypeId", json!({"category": "Rule", "provider": "CloudWatchAlarm"})))
        }),
        refused(
            "SKIP by alarm",
            |p| set(p, "beforeEntry", condition("SKIP", alarm(json!({})))),
            INVALID,
            "Rule 'R' in beforeEntry of stage 'Deploy' cannot be used with the result SKIP. Use LambdaInvoke or VariableCheck rules, or FAIL",
        ),
        refused(
            "commands",
            |p| success(p, with(alarm(json!({})), "commands", json!(["ls"]))),
            INVALID,
            subject("declares commands, which CloudWatchAlarm rules do not have. Remove them"),
        ),
        refused(
            "input artifacts",
            |p| success(p, with(alarm(json!({})), "inputArtifacts", json!([{"name": "Package"}]))),
            INVALID,
            subject("declares inputArtifacts, which CloudWatchAlarm rules do not have. Remove them"),
        ),
        accepted("timeout", |p| success(p, with(alarm(json!({})), "timeoutInMinutes", json!(5)))),
        refused(
            "short timeout",
            |p| success(p, with(alarm(json!({})), "timeoutInMinutes", json!(4))),
            VALIDATION,
            subject("has 4 for timeoutInMinutes. Use 5 to 86400"),
        ),
        refused(
            "no alarm",
            |p| success(p, rule("CloudWatchAlarm", json!({}))),
            INVALID,
            subject("is missing required configuration 'AlarmName'"),
        ),
        refused(
            "unknown key",
            |p| success(p, alarm(json!({"Alarm": "x"}))),
            INVALID,
            subject(
                "contains unknown configuration 'Alarm'. It can contain AlarmName, AlarmStates, HoldUntil, MinimumDataPoints, Shadow, WaitTime, Watch",
            ),
        ),
        accepted("longest wait", |p| {
            success(p, alarm(json!({"WaitTime": "86400", "AlarmStates": "ALARM, OK,INSUFFICIENT_DATA"})))
        }),
        refused(
            "no wait",
            |p| success(p, alarm(json!({"WaitTime": "0"}))),
            INVALID,
            subject("has '0' for 'WaitTime'. Use 1 to 86400 (minutes)"),
        ),
        refused(
            "long wait",
            |p| success(p, alarm(json!({"WaitTime": "86401"}))),
            INVALID,
            subject("has '86401' for 'WaitTime'. Use 1 to 86400 (minutes)"),
        ),
        refused(
            "signed wait",
            |p| success(p, alarm(json!({"WaitTime": "+5"}))),
            INVALID,
            subject("has '+5' for 'WaitTime'. Use 1 to 86400 (minutes)"),
        ),
        refused(
            "huge wait",
            |p| success(p, alarm(json!({"WaitTime": "99999999999"}))),
            INVALID,
            subject("has '99999999999' for 'WaitTime'. Use 1 to 86400 (minutes)"),
        ),
        accepted("wait not known yet", |p| success(p, alarm(json!({"WaitTime": "#{variables.Env}"})))),
        refused(
            "unknown state",
            |p| success(p, alarm(json!({"AlarmStates": "ALARM,RED"}))),
            INVALID,
            subject("has 'ALARM,RED' for 'AlarmStates'. Use one or more of ALARM, OK, INSUFFICIENT_DATA, with commas"),
        ),
        accepted("operators", |p| success(p, check("#{variables.Env}", "MATCHES"))),
        refused(
            "unknown operator",
            |p| success(p, check("#{variables.Env}", "LIKE")),
            INVALID,
            subject("has 'LIKE' for 'Operator'. Use EQ, NE, CONTAINS, MATCHES"),
        ),
        refused(
            "check without value",
            |p| success(p, rule("VariableCheck", json!({"Variable": "x", "Operator": "EQ"}))),
            INVALID,
            subject("is missing required configuration 'Value'"),
        ),
        refused(
            "no pattern",
            |p| success(p, rule("VariableCheck", json!({"Variable": "x", "Operator": "MATCHES", "Value": "v[0-9"}))),
            INVALID,
            subject("has a Value that MATCHES cannot use: 'v[0-9' is not a pattern: found unclosed character class"),
        ),
        accepted("no pattern, compared as text", |p| {
            success(p, rule("VariableCheck", json!({"Variable": "x", "Operator": "EQ", "Value": "v[0-9"})))
        }),
        accepted("a pattern that is known later", |p| {
            let value = "(#{variables.Env}";
            success(p, rule("VariableCheck", json!({"Variable": "x", "Operator": "MATCHES", "Value": value})))
        }),
        refused(
            "undeclared variable",
            |p| success(p, check("#{variables.X}", "EQ")),
            INVALID,
            subject(
                "has a configuration key 'Variable' that refers to #{variables.X}, but the pipeline declares no variable 'X'",
            ),
        ),
        accepted("namespace of the stage itself", |p| {
            action(p, 2)["namespace"] = json!("Smoke");
            success(p, check("#{Smoke.X}", "EQ"));
        }),
        refused(
            "namespace of the stage before it is entered",
            |p| {
                action(p, 2)["namespace"] = json!("Smoke");
                set(p, "beforeEntry", condition("SKIP", check("#{Smoke.X}", "EQ")));
            },
            INVALID,
            "Rule 'R' in beforeEntry of stage 'Deploy' has a configuration key 'Variable' that refers to #{Smoke.X}, but no action that runs earlier has the namespace 'Smoke'",
        ),
    ]);
}

#[test]
fn every_rule_type_has_its_own_demands() {
    fn success(pipeline: &mut Value, provider: &str, members: Value) {
        let mut declared = rule(provider, json!({}));
        declared.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        set(pipeline, "onSuccess", condition("FAIL", declared));
    }
    let subject = |problem: &str| format!("Rule 'R' in onSuccess of stage 'Deploy' {problem}");
    let missing = |key: &str| subject(&format!("is missing required configuration '{key}'"));
    run(&[
        accepted("window", |p| {
            let configuration = json!({"Cron": "0 0 9-17 ? * MON-FRI *", "TimeZone": "PST"});
            success(p, "DeploymentWindow", json!({"configuration": configuration}));
        }),
        accepted("window of references", |p| {
            let configuration = json!({"Cron": "#{variables.Env}", "TimeZone": "#{variables.Env}"});
            success(p, "DeploymentWindow", json!({"configuration": configuration}));
        }),
        refused(
            "window of no hours",
            |p| {
                success(p, "DeploymentWindow", json!({"configuration": {"Cron": "0 0 25 ? * *"}}));
            },
            INVALID,
            subject(
                "has '0 0 25 ? * *' for 'Cron', whose field for hours is wrong: '25' is none of its values. Write 0 to 23, as in 1-5 or */2",
            ),
        ),
        refused(
            "window nowhere",
            |p| {
                let configuration = json!({"Cron": "#{variables.Env}", "TimeZone": "IST"});
                success(p, "DeploymentWindow", json!({"configuration": configuration}));
            },
            INVALID,
            subject(
                "has 'IST' for 'TimeZone', which stands for the clocks of several places. Write a zone of the time zone database such as Europe/Paris, UTC, or UTC+05:30; of abbreviations only those of one place, such as PST",
            ),
        ),
        refused("window without times", |p| success(p, "DeploymentWindow", json!({})), INVALID, missing("Cron")),
        accepted("function", |p| {
            let configuration = json!({"FunctionName": "smoke", "UserParameters": "#{variables.Env}"});
            success(
                p,
                "LambdaInvoke",
                json!({"configuration": configuration, "inputArtifacts": [{"name": "Package"}]}),
            );
        }),
        refused("no function", |p| success(p, "LambdaInvoke", json!({})), INVALID, missing("FunctionName")),
        accepted("skip by a function", |p| {
            set(p, "beforeEntry", condition("SKIP", rule("LambdaInvoke", json!({"FunctionName": "smoke"}))));
        }),
        accepted("commands", |p| {
            success(p, "Commands", json!({"commands": ["make test"], "inputArtifacts": [{"name": "Package"}]}));
        }),
        refused(
            "no commands",
            |p| success(p, "Commands", json!({})),
            INVALID,
            subject("must have a non-empty commands field"),
        ),
        accepted("build", |p| {
            let configuration = json!({"ProjectName": "checks", "PrimarySource": "Package"});
            success(p, "CodeBuild", json!({"configuration": configuration, "inputArtifacts": [{"name": "Package"}]}));
        }),
        refused("no project", |p| success(p, "CodeBuild", json!({})), INVALID, missing("ProjectName")),
        refused(
            "artifact of nobody",
            |p| success(p, "Commands", json!({"commands": ["ls"], "inputArtifacts": [{"name": "Other"}]})),
            INVALID,
            subject("reads the artifact 'Other', which no action that runs earlier makes"),
        ),
        refused(
            "too many artifacts",
            |p| {
                let many = json!(vec![json!({"name": "Package"}); 6]);
                success(p, "LambdaInvoke", json!({"configuration": {"FunctionName": "x"}, "inputArtifacts": many}));
            },
            INVALID,
            subject("declares 6 input artifacts. Declare 0 to 5"),
        ),
    ]);
}

#[test]
fn watches_are_checked() {
    let subject = |problem: &str| format!("Rule 'R' in onSuccess of stage 'Deploy' {problem}");
    let misplaced =
        "has Watch, which observes a stage after it succeeded. Use it in onSuccess with the result ROLLBACK";
    fn watch(pipeline: &mut Value, extra: Value) {
        let mut rule = alarm(json!({"Watch": "true", "WaitTime": "30"}));
        rule["configuration"].as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        set(pipeline, "onSuccess", condition("ROLLBACK", rule));
    }
    run(&[
        accepted("watch", |p| watch(p, json!({}))),
        accepted("watch of ALARM", |p| watch(p, json!({"AlarmStates": "ALARM"}))),
        accepted("no watch", |p| set(p, "onSuccess", condition("FAIL", alarm(json!({"Watch": "false"}))))),
        refused(
            "watch maybe",
            |p| watch(p, json!({"Watch": "yes"})),
            INVALID,
            subject("has 'yes' for 'Watch'. Use true, false"),
        ),
        accepted("watch in shadow mode", |p| watch(p, json!({"Shadow": "true"}))),
        accepted("watch not in shadow mode", |p| watch(p, json!({"Shadow": "false"}))),
        refused(
            "shadow maybe",
            |p| watch(p, json!({"Shadow": "yes"})),
            INVALID,
            subject("has 'yes' for 'Shadow'. Use true, false"),
        ),
        refused(
            "shadow of nothing",
            |p| set(p, "onSuccess", condition("ROLLBACK", alarm(json!({"Shadow": "true"})))),
            INVALID,
            subject("has Shadow without Watch. Only what a watch leads to can be told without being done"),
        ),
        accepted("watch with data points", |p| watch(p, json!({"MinimumDataPoints": "1440"}))),
        refused(
            "watch with no data points",
            |p| watch(p, json!({"MinimumDataPoints": "0"})),
            INVALID,
            subject("has '0' for 'MinimumDataPoints'. Use 1 to 1440"),
        ),
        refused(
            "watch with too many data points",
            |p| watch(p, json!({"MinimumDataPoints": "1441"})),
            INVALID,
            subject("has '1441' for 'MinimumDataPoints'. Use 1 to 1440"),
        ),
        refused(
            "watch with signed data points",
            |p| watch(p, json!({"MinimumDataPoints": "+3"})),
            INVALID,
            subject("has '+3' for 'MinimumDataPoints'. Use 1 to 1440"),
        ),
        refused(
            "data points of no watch",
            |p| set(p, "onSuccess", condition("ROLLBACK", alarm(json!({"MinimumDataPoints": "3"})))),
            INVALID,
            subject("has MinimumDataPoints without Watch. It says what a watch waits for beside its time"),
        ),
        accepted("hold until a person", |p| watch(p, json!({"HoldUntil": "Person"}))),
        accepted("hold until other content", |p| watch(p, json!({"HoldUntil": "OtherRevision"}))),
        refused(
            "hold until nobody knows what",
            |p| watch(p, json!({"HoldUntil": "Tomorrow"})),
            INVALID,
            subject("has 'Tomorrow' for 'HoldUntil'. Use Person, OtherRevision"),
        ),
        refused(
            "hold of no watch",
            |p| set(p, "onSuccess", condition("ROLLBACK", alarm(json!({"HoldUntil": "Person"})))),
            INVALID,
            subject("has HoldUntil without Watch. It says what lifts the hold of a rollback that a watch can lead to"),
        ),
        refused(
            "watch of another region by name",
            |p| {
                watch(p, json!({}));
                p["stages"][1]["onSuccess"]["conditions"][0]["rules"][0]["region"] = json!("eu-west-2");
            },
            INVALID,
            subject("has Watch and a region. Name an alarm of another region by its ARN in AlarmName"),
        ),
        accepted("watch of another region", |p| {
            let arn = "arn:aws:cloudwatch:eu-west-2:111122223333:alarm:errors";
            watch(p, json!({"AlarmName": arn}));
            p["stages"][1]["onSuccess"]["conditions"][0]["rules"][0]["region"] = json!("eu-west-2");
        }),
        refused(
            "watch that fails",
            |p| {
                watch(p, json!({}));
                p["stages"][1]["onSuccess"]["conditions"][0]["result"] = json!("FAIL");
            },
            INVALID,
            subject(misplaced),
        ),
        refused(
            "watch at entry",
            |p| set(p, "beforeEntry", condition("FAIL", alarm(json!({"Watch": "true", "WaitTime": "30"})))),
            INVALID,
            format!("Rule 'R' in beforeEntry of stage 'Deploy' {misplaced}"),
        ),
        refused(
            "watch of a failure",
            |p| set(p, "onFailure", condition("ROLLBACK", alarm(json!({"Watch": "true", "WaitTime": "30"})))),
            INVALID,
            format!("Rule 'R' in onFailure of stage 'Deploy' {misplaced}"),
        ),
        refused(
            "watch without end",
            |p| set(p, "onSuccess", condition("ROLLBACK", alarm(json!({"Watch": "true"})))),
            INVALID,
            subject("has Watch but no WaitTime. Say for how many minutes the alarm is observed"),
        ),
        refused(
            "watch of a reference",
            |p| watch(p, json!({"AlarmName": "#{variables.Env}-errors"})),
            INVALID,
            subject("has Watch and a reference in 'AlarmName'. Write the value itself"),
        ),
        refused(
            "watch of OK",
            |p| watch(p, json!({"AlarmStates": "ALARM,OK"})),
            INVALID,
            subject("has Watch with AlarmStates other than ALARM. A watch acts on ALARM alone; remove AlarmStates"),
        ),
    ]);
}

//! Conditions of stages.

use super::*;

const INVALID: &str = "InvalidStageDeclarationException";
const VALIDATION: &str = "ValidationException";

fn named_rules(count: usize) -> Value {
    let rules = (0..count).map(|index| {
        let mut rule = alarm(json!({}));
        rule["name"] = json!(format!("R{index}"));
        rule
    });
    json!({"conditions": [{"result": "FAIL", "rules": rules.collect::<Vec<_>>()}]})
}

#[test]
fn results_fit_the_kind_of_condition() {
    run(&[
        accepted("failure ROLLBACK", |p| set(p, "onFailure", json!({"result": "ROLLBACK"}))),
        accepted("failure RETRY", |p| {
            set(p, "onFailure", json!({"result": "RETRY", "retryConfiguration": {"retryMode": "ALL_ACTIONS"}}))
        }),
        accepted("retry, then roll back", |p| {
            set(p, "onFailure", json!({"result": "ROLLBACK", "retryConfiguration": {"retryMode": "FAILED_ACTIONS"}}))
        }),
        accepted("failure FAIL", |p| set(p, "onFailure", json!({"result": "FAIL"}))),
        accepted("failure condition", |p| set(p, "onFailure", condition("ROLLBACK", alarm(json!({}))))),
        accepted("retry in the first stage", |p| p["stages"][0]["onFailure"] = json!({"result": "RETRY"})),
        accepted("entry FAIL", |p| set(p, "beforeEntry", condition("FAIL", alarm(json!({}))))),
        accepted("entry SKIP", |p| set(p, "beforeEntry", condition("SKIP", check("#{Src.ETag}", "NE")))),
        accepted("success ROLLBACK", |p| set(p, "onSuccess", condition("ROLLBACK", alarm(json!({}))))),
        refused(
            "failure SKIP",
            |p| set(p, "onFailure", json!({"result": "SKIP"})),
            INVALID,
            "Result 'SKIP' cannot be used in onFailure of stage 'Deploy'. Use ROLLBACK, RETRY, FAIL",
        ),
        refused(
            "entry ROLLBACK",
            |p| set(p, "beforeEntry", condition("ROLLBACK", alarm(json!({})))),
            INVALID,
            "Result 'ROLLBACK' cannot be used in beforeEntry of stage 'Deploy'. Use FAIL, SKIP",
        ),
        refused(
            "success RETRY",
            |p| set(p, "onSuccess", condition("RETRY", alarm(json!({})))),
            INVALID,
            "Result 'RETRY' cannot be used in onSuccess of stage 'Deploy'. Use ROLLBACK, FAIL",
        ),
        refused(
            "no result",
            |p| set(p, "onSuccess", json!({"conditions": [{"rules": [alarm(json!({}))]}]})),
            INVALID,
            "The condition in onSuccess of stage 'Deploy' has no result. Use ROLLBACK, FAIL",
        ),
        refused(
            "result and conditions",
            |p| {
                set(p, "onFailure", condition("FAIL", alarm(json!({}))));
                p["stages"][1]["onFailure"]["result"] = json!("FAIL");
            },
            INVALID,
            "The following stage cannot have a failure exit gate configured with both top level result and conditions: \
             'Deploy",
        ),
        refused(
            "neither",
            |p| set(p, "onFailure", json!({"retryConfiguration": {}})),
            INVALID,
            "onFailure of stage 'Deploy' has neither a result nor a condition. Declare one of them",
        ),
        refused(
            "retry configuration of FAIL",
            |p| set(p, "onFailure", json!({"result": "FAIL", "retryConfiguration": {}})),
            INVALID,
            "onFailure of stage 'Deploy' has a retryConfiguration, which only the results RETRY and ROLLBACK use. Remove \
             it or change the result",
        ),
    ]);
}

#[test]
fn rollback_is_refused_where_there_is_none() {
    let parallel = "Failure conditions with rollback result type cannot be added to a PARALLEL pipeline.";
    let first = |kind: &str| {
        format!(
            "Result 'ROLLBACK' cannot be used in {kind} of stage 'Source': the first stage only looks up revisions and cannot be rolled back"
        )
    };
    run(&[
        refused(
            "PARALLEL",
            |p| {
                p["executionMode"] = json!("PARALLEL");
                set(p, "onFailure", json!({"result": "ROLLBACK"}));
            },
            INVALID,
            parallel,
        ),
        refused(
            "PARALLEL condition",
            |p| {
                p["executionMode"] = json!("PARALLEL");
                set(p, "onFailure", condition("ROLLBACK", alarm(json!({}))));
            },
            INVALID,
            parallel,
        ),
        refused(
            "PARALLEL success",
            |p| {
                p["executionMode"] = json!("PARALLEL");
                set(p, "onSuccess", condition("ROLLBACK", alarm(json!({}))));
            },
            INVALID,
            parallel,
        ),
        accepted("PARALLEL retry", |p| {
            p["executionMode"] = json!("PARALLEL");
            set(p, "onFailure", json!({"result": "RETRY"}));
        }),
        accepted("QUEUED", |p| {
            p["executionMode"] = json!("QUEUED");
            set(p, "onFailure", json!({"result": "ROLLBACK"}));
        }),
        refused(
            "first stage",
            |p| p["stages"][0]["onFailure"] = json!({"result": "ROLLBACK"}),
            INVALID,
            first("onFailure"),
        ),
        refused(
            "first stage, success",
            |p| p["stages"][0]["onSuccess"] = condition("ROLLBACK", alarm(json!({}))),
            INVALID,
            first("onSuccess"),
        ),
    ]);
}

#[test]
fn conditions_and_rules_are_counted() {
    run(&[
        refused(
            "no conditions",
            |p| set(p, "onSuccess", json!({"conditions": []})),
            VALIDATION,
            "onSuccess of stage 'Deploy' has 0 conditions. Declare exactly 1",
        ),
        refused(
            "two conditions",
            |p| {
                set(p, "beforeEntry", named_rules(1));
                let one = named_rules(1)["conditions"][0].clone();
                push(&mut p["stages"][1]["beforeEntry"]["conditions"], one);
            },
            VALIDATION,
            "beforeEntry of stage 'Deploy' has 2 conditions. Declare exactly 1",
        ),
        refused(
            "two failure conditions",
            |p| {
                set(p, "onFailure", named_rules(1));
                let one = named_rules(1)["conditions"][0].clone();
                push(&mut p["stages"][1]["onFailure"]["conditions"], one);
            },
            VALIDATION,
            "onFailure of stage 'Deploy' has 2 conditions. Declare exactly 1",
        ),
        refused(
            "no rules",
            |p| set(p, "beforeEntry", named_rules(0)),
            VALIDATION,
            "The condition in beforeEntry of stage 'Deploy' has 0 rules. Declare 1 to 5",
        ),
        accepted("five rules", |p| set(p, "beforeEntry", named_rules(5))),
        refused(
            "six rules",
            |p| set(p, "beforeEntry", named_rules(6)),
            VALIDATION,
            "The condition in beforeEntry of stage 'Deploy' has 6 rules. Declare 1 to 5",
        ),
        refused(
            "duplicate rule",
            |p| {
                set(p, "beforeEntry", named_rules(2));
                p["stages"][1]["beforeEntry"]["conditions"][0]["rules"][1]["name"] = json!("R0");
            },
            INVALID,
            "Rule name 'R0' is used more than once in beforeEntry of stage 'Deploy'",
        ),
    ]);
}

//! When a stage goes back by itself: what is declared, and changing it.

use std::collections::BTreeMap;

use askama::Template;
use domain::{
    Condition, FailureConditions, PipelineDeclaration, PipelineName, RetryConfiguration, RetryMode, RuleDeclaration,
    RuleTypeId, StageConditions, StageDeclaration, StageName,
};
use engine::{HasObjects, HasStore};
use protocol::ErrorCode;

use super::{
    forms::Form,
    frame::{Frame, Visit, render},
    route::{ROOT, pipeline_path},
};
use crate::failure::Failure;

/// Name of the rule that is added for an alarm.
const RULE: &str = "Watch";

#[derive(Template)]
#[template(path = "configure.html")]
struct ConfigurePage {
    frame: Frame,
    path: String,
    version: u32,
    stages: Vec<StageForm>,
}

/// A stage's form.
struct StageForm {
    name: StageName,
    is_first: bool,
    is_parallel: bool,
    failure: Option<&'static str>,
    choices: Vec<(&'static str, &'static str)>,
    watch: WatchForm,
    /// Why the watch cannot be changed here.
    watch_locked: Option<&'static str>,
}

/// What a watch is declared as.
#[derive(Default)]
struct WatchForm {
    alarm: String,
    minutes: String,
    is_shadow: bool,
    lifts_for_other: bool,
}

/// What can be done when a stage fails.
const CHOICES: [(&str, &str); 4] = [
    ("none", "leave it failed"),
    ("rollback", "roll back to the last good release"),
    ("retry-rollback", "retry once, then roll back"),
    ("retry", "retry once, then leave it failed"),
];

/// The page.
pub(super) async fn show<W: HasStore + HasObjects>(
    world: &W,
    visit: &Visit,
    name: &PipelineName,
) -> Result<String, Failure> {
    let (declaration, index) = engine::get_pipeline(world, name, None).await?;
    let is_parallel = declaration.execution_mode == domain::ExecutionMode::Parallel;
    let forms = declaration.stages.iter().enumerate().map(|(at, stage)| StageForm {
        is_first: at == 0,
        failure: failure_of(stage),
        choices: CHOICES.to_vec(),
        watch: watch_of(stage),
        watch_locked: watch_lock(stage),
        name: stage.name.clone(),
        is_parallel,
    });
    render(&ConfigurePage {
        frame: visit.frame("Automatic rollback").under("Pipelines", ROOT).under(name.to_string(), pipeline_path(name)),
        path: format!("{}/configure", pipeline_path(name)),
        version: index.pipeline_version,
        stages: forms.collect(),
    })
}

/// The declaration with one stage as the form wants it.
///
/// # Errors
/// `ConflictException` where the pipeline was changed since the form was shown; `StageNotFoundException`.
pub(super) async fn changed<W: HasStore + HasObjects>(
    world: &W,
    name: &PipelineName,
    form: &Form,
) -> Result<PipelineDeclaration, Failure> {
    let (mut declaration, index) = engine::get_pipeline(world, name, None).await?;
    if form.text("version") != index.pipeline_version.to_string() {
        let why = "The pipeline was changed since this page was shown. This is how it stands now.";
        return Err(Failure::refused(ErrorCode::ConflictException, why));
    }
    let stage = declaration.stages.iter_mut().find(|stage| stage.name.as_str() == form.text("stage"));
    let Some(stage) = stage else {
        let why = format!("The pipeline has no stage '{}'.", form.text("stage"));
        return Err(Failure::refused(ErrorCode::StageNotFoundException, why));
    };
    apply(stage, form);
    Ok(declaration)
}

/// Which of the choices a stage has declared; none where it is something else.
fn failure_of(stage: &StageDeclaration) -> Option<&'static str> {
    let Some(declared) = &stage.on_failure else { return Some("none") };
    if !declared.conditions.is_empty() {
        return None;
    }
    match (declared.result.as_deref(), &declared.retry_configuration) {
        (Some("ROLLBACK"), None) => Some("rollback"),
        (Some("ROLLBACK"), Some(_)) => Some("retry-rollback"),
        (Some("RETRY"), _) => Some("retry"),
        (Some("FAIL"), _) => Some("none"),
        _ => None,
    }
}

fn watch_rule(stage: &StageDeclaration) -> Option<&RuleDeclaration> {
    let conditions = stage.on_success.iter().flat_map(|on_success| &on_success.conditions);
    conditions.flat_map(|condition| &condition.rules).find(|rule| rule.is_watch())
}

fn watch_of(stage: &StageDeclaration) -> WatchForm {
    let Some(rule) = watch_rule(stage) else { return WatchForm::default() };
    let text = |key: &str| rule.configuration.get(key).cloned().unwrap_or_default();
    WatchForm {
        alarm: text("AlarmName"),
        minutes: text("WaitTime"),
        is_shadow: rule.is_shadow(),
        lifts_for_other: rule.holds_until_other(),
    }
}

/// A watch needs a condition that rolls back; one that fails the stage means something else.
fn watch_lock(stage: &StageDeclaration) -> Option<&'static str> {
    let condition = stage.on_success.as_ref().and_then(|on_success| on_success.conditions.first())?;
    let watches = condition.rules.iter().filter(|rule| rule.is_watch()).count();
    if condition.result.as_deref() != Some("ROLLBACK") {
        return Some("Its success condition fails the stage and does not roll back, so a watch has no place in it.");
    }
    if condition.rules.iter().any(RuleDeclaration::is_metric_degradation) {
        return Some("It judges metrics. Change that in the pipeline's declaration.");
    }
    (watches > 1).then_some("It has several watches. Change them in the pipeline's declaration.")
}

fn apply(stage: &mut StageDeclaration, form: &Form) {
    let plain = |result: &str, mode: Option<RetryMode>| FailureConditions {
        result: Some(result.to_owned()),
        retry_configuration: mode.map(|mode| RetryConfiguration { retry_mode: Some(mode) }),
        conditions: Vec::new(),
    };
    match form.text("failure") {
        wanted if failure_of(stage) == Some(wanted) => {}
        "none" => stage.on_failure = None,
        "rollback" => stage.on_failure = Some(plain("ROLLBACK", None)),
        "retry-rollback" => stage.on_failure = Some(plain("ROLLBACK", Some(RetryMode::AllActions))),
        "retry" => stage.on_failure = Some(plain("RETRY", Some(RetryMode::FailedActions))),
        _ => {}
    }
    if watch_lock(stage).is_none() && form.text("watch") == "yes" {
        set_watch(stage, form);
    }
}

/// Puts the watch in, changes it, or takes it out where no alarm is named.
fn set_watch(stage: &mut StageDeclaration, form: &Form) {
    let old = watch_rule(stage).cloned();
    let rules = stage.on_success.take().into_iter().flat_map(|on| on.conditions).flat_map(|condition| condition.rules);
    let mut rules: Vec<RuleDeclaration> = rules.filter(|rule| !rule.is_watch()).collect();
    if let Some(alarm) = form.given("alarm") {
        let mut rule = old.unwrap_or_else(|| new_rule(&rules));
        let mut set = |key: &str, value: Option<&str>| match value {
            Some(value) => drop(rule.configuration.insert(key.to_owned(), value.to_owned())),
            None => drop(rule.configuration.remove(key)),
        };
        set("AlarmName", Some(alarm));
        set("WaitTime", Some(form.text("minutes")));
        set("Watch", Some("true"));
        set("Shadow", form.is_on("shadow").then_some("true"));
        set("HoldUntil", form.is_on("lifts").then_some("OtherRevision"));
        rules.push(rule);
    }
    stage.on_success = (!rules.is_empty())
        .then(|| StageConditions { conditions: vec![Condition { result: Some("ROLLBACK".to_owned()), rules }] });
}

fn new_rule(others: &[RuleDeclaration]) -> RuleDeclaration {
    let is_taken = others.iter().any(|rule| rule.name == RULE);
    RuleDeclaration {
        name: if is_taken { format!("{RULE}Alarm") } else { RULE.to_owned() },
        rule_type_id: RuleTypeId {
            category: "Rule".to_owned(),
            owner: Some("AWS".to_owned()),
            provider: "CloudWatchAlarm".to_owned(),
            version: Some("1".to_owned()),
        },
        configuration: BTreeMap::new(),
        commands: Vec::new(),
        input_artifacts: Vec::new(),
        role_arn: None,
        region: None,
        timeout_in_minutes: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(json: serde_json::Value) -> StageDeclaration {
        serde_json::from_value(json).unwrap()
    }

    fn form(text: &str) -> Form {
        Form::read(text.as_bytes())
    }

    #[test]
    fn a_watch_is_put_in_changed_and_taken_out() {
        let mut stage = stage(serde_json::json!({"name": "Prod", "actions": []}));
        apply(&mut stage, &form("failure=rollback&watch=yes&alarm=errors&minutes=30&shadow=yes"));
        assert_eq!(failure_of(&stage), Some("rollback"));
        let watch = watch_of(&stage);
        assert_eq!((watch.alarm.as_str(), watch.minutes.as_str(), watch.is_shadow), ("errors", "30", true));
        apply(&mut stage, &form("failure=retry-rollback&watch=yes&alarm=slow&minutes=5&lifts=yes"));
        let watch = watch_of(&stage);
        assert_eq!((watch.alarm.as_str(), watch.is_shadow, watch.lifts_for_other), ("slow", false, true));
        assert_eq!(stage.on_success.as_ref().unwrap().conditions[0].rules.len(), 1);
        apply(&mut stage, &form("failure=none&watch=yes&alarm="));
        assert_eq!((stage.on_failure, stage.on_success), (None, None));
    }

    #[test]
    fn what_the_form_cannot_say_stays() {
        let rule =
            serde_json::json!({"name": "Open", "ruleTypeId": {"category": "Rule", "provider": "DeploymentWindow"}});
        let condition = |result: &str| serde_json::json!({"conditions": [{"result": result, "rules": [rule]}]});
        let declared = serde_json::json!({
            "name": "Prod", "actions": [], "onSuccess": condition("FAIL"), "onFailure": condition("RETRY"),
        });
        let mut kept = stage(declared.clone());
        assert_eq!((failure_of(&kept), watch_lock(&kept).is_some()), (None, true));
        apply(&mut kept, &form("failure=&watch=yes&alarm=errors&minutes=30"));
        assert_eq!(kept, stage(declared));
        let mut beside = stage(serde_json::json!({"name": "Prod", "actions": [], "onSuccess": condition("ROLLBACK")}));
        apply(&mut beside, &form("failure=none&watch=yes&alarm=errors&minutes=30"));
        let rules = &beside.on_success.as_ref().unwrap().conditions[0].rules;
        assert_eq!(rules.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>(), ["Open", "Watch"]);
    }
}

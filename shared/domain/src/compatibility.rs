//! What a pipeline of CodePipeline's does otherwise in Lastgood, said before it is created.

use std::collections::BTreeMap;

use crate::secrets::MASK;
use crate::trigger::{GIT_CONNECTION, GitTrigger};
use crate::{
    ActionDeclaration, Catalogue, Condition, ExecutionMode, METRIC_DEGRADATION, PipelineDeclaration, RuleDeclaration,
    RuleTypeInfo, StageDeclaration, find_rule_type, runs_in_any_region, validate_structure, wait_minutes,
};

/// Actions of one `runOrder` that run at once: iterations of an inline Map that Step Functions starts side by side.
const AT_ONCE_MAX: usize = 40;

/// How much a difference matters, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The pipeline cannot be created.
    Refused,
    /// It can be created, and this part of it fails or starts nothing.
    Unsupported,
    /// This part works in another way.
    Different,
    /// This part is kept and has no effect.
    Ignored,
}

/// What a role does that nobody may assume.
const FAILS_LATER: &str = "what needs this one fails when its turn comes";

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deviation {
    /// How much it matters.
    pub severity: Severity,
    /// Where in the declaration, as CodePipeline's validation errors spell it: `pipeline.stages.1.member.name`.
    pub path: String,
    /// What is different, and what can be done about it.
    pub message: String,
}

/// Everything that `declaration` would do otherwise in `region` of `account`, in the order of the declaration.
pub fn differences(
    declaration: &PipelineDeclaration,
    catalogue: &Catalogue,
    region: &str,
    account: &str,
) -> Vec<Deviation> {
    let mut report = Report { findings: Vec::new(), catalogue, region, account };
    if let Err(error) = validate_structure(declaration, catalogue, region) {
        let message = format!("CreatePipeline would answer {}: {}", error.kind.exception(), error.message);
        report.add(Severity::Refused, "pipeline", message);
    }
    report.pipeline(declaration);
    for (index, stage) in declaration.stages.iter().enumerate() {
        let path = format!("pipeline.stages.{}.member", index + 1);
        report.stage(stage, &path);
        report.groups(stage, declaration.execution_mode, &path);
    }
    report.findings
}

fn is_true(setting: Option<&str>) -> bool {
    setting.is_some_and(|setting| setting.eq_ignore_ascii_case("true"))
}

struct Report<'a> {
    findings: Vec<Deviation>,
    catalogue: &'a Catalogue,
    region: &'a str,
    account: &'a str,
}

impl Report<'_> {
    fn add(&mut self, severity: Severity, path: impl Into<String>, message: impl Into<String>) {
        self.findings.push(Deviation { severity, path: path.into(), message: message.into() });
    }

    fn pipeline(&mut self, declaration: &PipelineDeclaration) {
        self.role(&declaration.role_arn, "CreatePipeline answers InvalidStructureException", "pipeline.roleArn");
        if declaration.version.is_some() {
            let message = "Versions are counted anew: the pipeline begins at version 1.";
            self.add(Severity::Ignored, "pipeline.version", message);
        }
        if declaration.execution_mode == ExecutionMode::Parallel {
            let message = "A PARALLEL pipeline has no stage that can be rolled back, neither by RollbackStage nor by an \
                           alarm. Use QUEUED or SUPERSEDED where a stage has to go back.";
            self.add(Severity::Different, "pipeline.executionMode", message);
        }
        self.stores(declaration);
        for (index, trigger) in declaration.triggers.iter().enumerate() {
            let path = format!("pipeline.triggers.{}.member", index + 1);
            let message = "Connections deliver nothing here. Put a webhook for the source action (PutWebhook) and enter its \
                           URL at GitHub, for pushes and pull requests: the trigger's filters decide which of them start \
                           the pipeline.";
            self.add(Severity::Different, &path, message);
            if GitTrigger::parse(trigger).is_ok_and(|trigger| trigger.looks_at_files_of_pull_requests()) {
                let message = "GitHub's payloads of pull requests do not name the changed files, so a pullRequest filter with \
                               filePaths lets none pass. Leave filePaths out.";
                self.add(Severity::Unsupported, format!("{path}.gitConfiguration.pullRequest"), message);
            }
        }
    }

    fn stores(&mut self, declaration: &PipelineDeclaration) {
        let one = declaration.artifact_store.iter().map(|store| ("pipeline.artifactStore".to_owned(), store));
        let many = declaration.artifact_stores.iter().flatten();
        let many = many.map(|(region, store)| (format!("pipeline.artifactStores.{region}.member"), store));
        for (path, _) in one.chain(many).filter(|(_, store)| store.encryption_key.is_some()) {
            let message = "Lastgood's functions use the key, through S3: let it have an alias that starts with the \
                           installation's PipelineKeyAliasPrefix.";
            self.add(Severity::Different, format!("{path}.encryptionKey"), message);
        }
        let is_used = |region: &String| {
            let mut actions = declaration.stages.iter().flat_map(|stage| &stage.actions);
            region == self.region || actions.any(|action| action.region.as_ref() == Some(region))
        };
        let stores = declaration.artifact_stores.iter().flatten();
        let unused: Vec<&String> = stores.map(|(region, _)| region).filter(|region| !is_used(region)).collect();
        for region in unused {
            let message = format!("The artifact store of {region} is not used: no action runs there.");
            self.add(Severity::Ignored, format!("pipeline.artifactStores.{region}.member"), message);
        }
    }

    fn stage(&mut self, stage: &StageDeclaration, path: &str) {
        for (index, action) in stage.actions.iter().enumerate() {
            self.action(action, &format!("{path}.actions.{}.member", index + 1));
        }
        let conditions = |conditions: &Option<crate::StageConditions>| {
            conditions.iter().flat_map(|declared| declared.conditions.clone()).collect::<Vec<_>>()
        };
        let of_failure = stage.on_failure.iter().flat_map(|declared| declared.conditions.clone()).collect();
        let kinds = [
            ("beforeEntry", conditions(&stage.before_entry)),
            ("onSuccess", conditions(&stage.on_success)),
            ("onFailure", of_failure),
        ];
        for (kind, conditions) in kinds {
            for (index, condition) in conditions.iter().enumerate() {
                self.condition(condition, &format!("{path}.{kind}.conditions.{}.member", index + 1));
            }
        }
    }

    fn action(&mut self, action: &ActionDeclaration, path: &str) {
        let id = &action.action_type_id;
        let (provider, owner) = (&id.provider, &id.owner);
        let Some(info) = self.catalogue.find(id) else {
            let message = match owner.as_str() {
                "Custom" => format!("There is no custom action type {provider}. Create it first."),
                _ => format!("{owner} has no {} action type {provider} of version {}.", id.category, id.version),
            };
            self.add(Severity::Refused, format!("{path}.actionTypeId"), message);
            return;
        };
        let (secrets, is_run): (Vec<_>, _) = (info.secret_keys().map(str::to_owned).collect(), info.kind.is_some());
        if !is_run {
            let instead = match id.category.as_str() {
                "Source" => "Take the source from S3, or by a custom action with a job worker of yours.",
                _ => "Put a Lambda function (Invoke) or a custom action with a job worker of yours in its place.",
            };
            let message = format!(
                "{} actions of {provider} are kept but not run yet: the action fails when its turn comes. {instead}",
                id.category
            );
            self.add(Severity::Unsupported, format!("{path}.actionTypeId"), message);
        }
        if let Some(elsewhere) = action.region.as_ref().filter(|own| *own != self.region) {
            let provider = provider.as_str();
            if is_run && !runs_in_any_region(id) {
                let message = format!(
                    "{provider} actions run in {} alone, since Step Functions reaches no service of another region: \
                     this one, of {elsewhere}, fails when its turn comes. Run it by a Lastgood in {elsewhere}, or by a \
                     Lambda function there.",
                    self.region
                );
                self.add(Severity::Unsupported, format!("{path}.region"), message);
            } else if provider == "Lambda" {
                self.add(Severity::Different, format!("{path}.region"), self.function_of(elsewhere));
            } else if is_run {
                let message = format!("The stack's ActionRegions has to name {elsewhere}.");
                self.add(Severity::Different, format!("{path}.region"), message);
            }
        }
        if let Some(role) = &action.role_arn {
            self.role(role, FAILS_LATER, &format!("{path}.roleArn"));
        }
        for key in secrets.iter().filter(|key| action.configuration.get(*key).is_some_and(|value| value == MASK)) {
            let message =
                format!("'{MASK}' stands for a value that CodePipeline does not tell. Write the value itself.");
            self.add(Severity::Different, format!("{path}.configuration.{key}.member"), message);
        }
        self.settings(action, path);
    }

    fn settings(&mut self, action: &ActionDeclaration, path: &str) {
        let setting = |key: &str| action.configuration.get(key).map(String::as_str);
        let id = &action.action_type_id;
        match (id.category.as_str(), id.provider.as_str()) {
            ("Source", "S3") if setting("PollForSourceChanges") != Some("false") => {
                let message = "Sources are not polled. Let the bucket send its events (EventBridge or an S3 \
                               notification), then each upload starts the pipeline.";
                self.add(Severity::Different, format!("{path}.configuration.PollForSourceChanges.member"), message);
            }
            ("Source", GIT_CONNECTION) => {
                let message = "The connection itself is not used: its repository has to be one of GitHub's that everybody \
                               sees, and a webhook (PutWebhook) tells of changes.";
                self.add(Severity::Different, format!("{path}.configuration.ConnectionArn.member"), message);
                if setting("OutputArtifactFormat") == Some("CODEBUILD_CLONE_REF") {
                    let message = "There is no connection for CodeBuild to clone by: the action fails when its turn comes. \
                                   Use CODE_ZIP.";
                    self.add(
                        Severity::Unsupported,
                        format!("{path}.configuration.OutputArtifactFormat.member"),
                        message,
                    );
                }
            }
            ("Approval", "Manual") if setting("NotificationArn").is_some() => {
                let message = "The message's consoleLink and approvalReviewLink lead to Lastgood's console, and are missing \
                               where its address (ConsoleAddress) is not set. It is published as the action's role.";
                self.add(Severity::Different, format!("{path}.configuration.NotificationArn.member"), message);
            }
            ("Build" | "Test", "CodeBuild") if is_true(setting("BatchEnabled")) => {
                let artifacts_max = usize::from(is_true(setting("CombineArtifacts")));
                if action.output_artifacts.len() > artifacts_max {
                    let message = "The builds of a batch would overwrite each other's output artifacts: the action fails \
                                   when its turn comes. Set CombineArtifacts to true with one output artifact, or remove \
                                   the output artifacts.";
                    self.add(Severity::Unsupported, format!("{path}.outputArtifacts"), message);
                }
            }
            ("Compute", "Commands") => self.commands(path),
            ("Invoke", "CodePipeline") => {
                let message = "It starts a pipeline of this installation of Lastgood, not one of CodePipeline's.";
                self.add(Severity::Different, format!("{path}.configuration.PipelineName.member"), message);
            }
            ("Invoke", "StepFunctions") if !action.output_artifacts.is_empty() => {
                let message = "The artifact is an archive of one file, output.json, with the output of the execution. \
                               CodePipeline does not document how it packs it.";
                self.add(Severity::Different, format!("{path}.outputArtifacts"), message);
            }
            _ => {}
        }
    }

    /// A role that nobody prepared; or one of another account, with which what needs it does as `elsewhere` says.
    fn role(&mut self, role_arn: &str, elsewhere: &str, path: &str) {
        let own = self.account;
        if role_arn.split(':').nth(4) == Some(own) {
            let message = "Lastgood's functions and the state machines of its actions assume the role, so its name has to begin \
                           with the installation's PipelineRolePrefix, and its trust policy has to name them. Actions on S3 \
                           use the permissions of those functions.";
            self.add(Severity::Different, path, message);
            return;
        }
        // Not refused: in one process on a laptop everybody may assume every role.
        let message = format!(
            "In an account, Lastgood assumes roles of that account alone: {elsewhere}. Name a role of {own}, or release into \
             the other account by a Lastgood there."
        );
        self.add(Severity::Unsupported, path, message);
    }

    /// Actions of one `runOrder` of which some wait for others. A PARALLEL execution runs five at once, as in CodePipeline.
    fn groups(&mut self, stage: &StageDeclaration, mode: ExecutionMode, path: &str) {
        let mut groups: BTreeMap<u16, usize> = BTreeMap::new();
        for action in stage.actions.iter().filter(|_| mode != ExecutionMode::Parallel) {
            *groups.entry(action.run_order).or_default() += 1;
        }
        for (order, count) in groups.into_iter().filter(|(_, count)| *count > AT_ONCE_MAX) {
            let message = format!(
                "Of the {count} actions of runOrder {order}, {AT_ONCE_MAX} run at once, which is as many as Step Functions \
                 starts. The others start as those end."
            );
            self.add(Severity::Different, format!("{path}.actions"), message);
        }
    }

    fn condition(&mut self, condition: &Condition, path: &str) {
        for (index, rule) in condition.rules.iter().enumerate() {
            self.rule(rule, &format!("{path}.rules.{}.member", index + 1));
        }
    }

    fn rule(&mut self, rule: &RuleDeclaration, path: &str) {
        let provider = &rule.rule_type_id.provider;
        match find_rule_type(&rule.rule_type_id) {
            None => {
                let message = format!("There is no rule type {provider} of that owner and version.");
                self.add(Severity::Refused, format!("{path}.ruleTypeId"), message);
            }
            Some(_) => self.rule_settings(rule, path),
        }
        if let Some(elsewhere) = rule.region.as_ref().filter(|own| *own != self.region) {
            self.rule_region(rule, elsewhere, &format!("{path}.region"));
        }
        match &rule.role_arn {
            // Its keys go to the function, or a provider's work is started with it.
            Some(role) if find_rule_type(&rule.rule_type_id).is_some_and(RuleTypeInfo::is_asked) => {
                self.role(role, FAILS_LATER, &format!("{path}.roleArn"));
            }
            Some(_) => {
                let message = "Rules use the permissions of Lastgood's functions.";
                self.add(Severity::Ignored, format!("{path}.roleArn"), message);
            }
            None => {}
        }
    }

    /// What an action or rule does otherwise that asks a function of another region.
    fn function_of(&self, elsewhere: &str) -> String {
        format!(
            "The function of {elsewhere} is invoked there, and answers its job to Lastgood in {}: its client needs that \
             endpoint, and that region to sign for. The stack's ActionRegions has to name {elsewhere}.",
            self.region
        )
    }

    /// A rule of another region. Alarms and metrics are read there as in CodePipeline.
    fn rule_region(&mut self, rule: &RuleDeclaration, elsewhere: &str, path: &str) {
        let (provider, own) = (rule.rule_type_id.provider.as_str(), self.region);
        let (severity, message) = match provider {
            "CloudWatchAlarm" | METRIC_DEGRADATION => return,
            "LambdaInvoke" => (Severity::Different, self.function_of(elsewhere)),
            _ if find_rule_type(&rule.rule_type_id).is_some_and(|info| info.machine().is_some()) => {
                let message = format!(
                    "{provider} rules run in {own} alone, since Step Functions reaches no service of another region: \
                     this one, of {elsewhere}, cannot tell when its turn comes. Remove its region, or ask a function \
                     there by a LambdaInvoke rule."
                );
                (Severity::Unsupported, message)
            }
            _ => (Severity::Ignored, format!("{provider} rules look at nothing in a region.")),
        };
        self.add(severity, path, message);
    }

    /// What an action or rule does otherwise that runs commands.
    fn commands(&mut self, path: &str) {
        let message = "The commands run in the CodeBuild project that Lastgood's template makes, as the role of the \
                       pipeline, the action or the rule: it has to trust codebuild.amazonaws.com, and to allow starting \
                       builds there and passing itself on.";
        self.add(Severity::Different, format!("{path}.commands"), message);
    }

    fn rule_settings(&mut self, rule: &RuleDeclaration, path: &str) {
        let setting = |key: &str| rule.configuration.get(key).map(String::as_str).unwrap_or_default();
        if !rule.commands.is_empty() {
            self.commands(path);
        }
        if rule.rule_type_id.provider == "DeploymentWindow"
            && setting("Cron").split_whitespace().next().is_some_and(|seconds| seconds.parse() == Ok(0_u8))
        {
            let message = "Seconds of 0 stand for the whole minute, and minutes of 0 with them for the whole hour: \
                           0 0 9-17 is open from nine to the end of the hour that begins at five. CodePipeline does not \
                           document what it takes them for. Write * for the seconds to mean the minute alone.";
            self.add(Severity::Different, format!("{path}.configuration.Cron.member"), message);
        }
        let is_alarm = rule.rule_type_id.provider == "CloudWatchAlarm";
        let long = wait_minutes(setting("WaitTime")).ok().filter(|minutes| is_alarm && *minutes > DAY_MINUTES);
        if let Some(minutes) = long {
            let message = format!(
                "WaitTime counts minutes, as in CodePipeline, though examples read as if it counted seconds: {minutes} \
                 of them are more than a day. Write {} if seconds are meant.",
                minutes.div_ceil(60)
            );
            self.add(Severity::Different, format!("{path}.configuration.WaitTime.member"), message);
        }
    }
}

/// From more minutes on, a WaitTime may be meant in seconds (spec 4.4).
const DAY_MINUTES: u32 = 1440;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The one thing that is said of `path`.
    fn at(pipeline: &Value, path: &str) -> Option<(Severity, String)> {
        let declaration = serde_json::from_value(pipeline.clone()).unwrap();
        let found = differences(&declaration, &Catalogue::default(), "eu-west-1", "111122223333");
        let mut there = found.into_iter().filter(|deviation| deviation.path == path);
        let first = there.next().map(|deviation| (deviation.severity, deviation.message));
        assert_eq!(there.next(), None, "{path}");
        first
    }

    fn action(name: &str, category: &str, provider: &str, configuration: &Value) -> Value {
        let id = json!({"category": category, "owner": "AWS", "provider": provider, "version": "1"});
        json!({"name": name, "actionTypeId": id, "configuration": configuration})
    }

    /// A pipeline with so many functions side by side, and a rule that asks another: all of them with the role.
    fn pipeline(functions: usize, role_arn: &str) -> Value {
        let mut fetch = action("Fetch", "Source", "S3", &json!({"S3Bucket": "uploads", "S3ObjectKey": "app.zip"}));
        fetch["outputArtifacts"] = json!([{"name": "App"}]);
        let functions = (0..functions).map(|number| {
            let mut check = action(&format!("Check-{number}"), "Invoke", "Lambda", &json!({"FunctionName": "check"}));
            check["runOrder"] = json!(2);
            check["roleArn"] = json!(role_arn);
            check
        });
        let rule_type = json!({"category": "Rule", "owner": "AWS", "provider": "LambdaInvoke", "version": "1"});
        let ask = json!({
            "name": "Ask", "ruleTypeId": rule_type, "configuration": {"FunctionName": "ask"}, "roleArn": role_arn,
        });
        json!({
            "name": "shop", "roleArn": role_arn, "artifactStore": {"type": "S3", "location": "artifacts"},
            "pipelineType": "V2", "executionMode": "QUEUED",
            "stages": [
                {"name": "Source", "actions": [fetch]},
                {"name": "Prod", "actions": functions.collect::<Vec<_>>(),
                 "onSuccess": {"conditions": [{"result": "FAIL", "rules": [ask]}]}},
            ],
        })
    }

    #[test]
    fn roles_are_of_the_own_account_and_have_its_prefix() {
        const OF_ACTION: &str = "pipeline.stages.2.member.actions.1.member.roleArn";
        const OF_RULE: &str = "pipeline.stages.2.member.onSuccess.conditions.1.member.rules.1.member.roleArn";
        let own = pipeline(1, "arn:aws:iam::111122223333:role/lastgood-shop");
        for path in ["pipeline.roleArn", OF_ACTION, OF_RULE] {
            let (severity, message) = at(&own, path).expect(path);
            assert!(severity == Severity::Different && message.contains("PipelineRolePrefix"), "{path}: {message}");
        }
        let other = pipeline(1, "arn:aws:iam::444455556666:role/lastgood-shop");
        for (path, words) in [
            ("pipeline.roleArn", "InvalidStructureException"),
            (OF_ACTION, "fails when its turn comes"),
            (OF_RULE, "fails when its turn comes"),
        ] {
            let (severity, message) = at(&other, path).expect(path);
            assert!(severity == Severity::Unsupported && message.contains(words), "{path}: {severity:?} {message}");
        }
    }

    #[test]
    fn a_wait_of_more_than_a_day_may_be_meant_in_seconds() {
        const RULE: &str = "pipeline.stages.2.member.onSuccess.conditions.1.member.rules.1.member";
        let path = format!("{RULE}.configuration.WaitTime.member");
        for (provider, time, is_told) in [
            ("CloudWatchAlarm", "1440", false),
            ("CloudWatchAlarm", "3600", true),
            ("CloudWatchAlarm", "#{variables.Time}", false),
            ("MetricDegradation", "3600", false),
        ] {
            let mut waiting = pipeline(1, "arn:aws:iam::111122223333:role/lastgood-shop");
            let rule = &mut waiting["stages"][1]["onSuccess"]["conditions"][0]["rules"][0];
            rule["ruleTypeId"]["provider"] = json!(provider);
            rule["configuration"] = json!({"AlarmName": "errors", "WaitTime": time});
            let told = at(&waiting, &path);
            assert_eq!(told.is_some(), is_told, "{provider} {time}: {told:?}");
            let is_so = |(severity, message): &(Severity, String)| {
                *severity == Severity::Different && message.contains("counts minutes") && message.contains("Write 60 ")
            };
            assert!(told.iter().all(is_so), "{told:?}");
        }
    }

    #[test]
    fn of_many_actions_of_one_order_some_wait() {
        const ACTIONS: &str = "pipeline.stages.2.member.actions";
        let role = "arn:aws:iam::111122223333:role/lastgood-shop";
        assert_eq!(at(&pipeline(40, role), ACTIONS), None);
        let mut many = pipeline(41, role);
        let (severity, message) = at(&many, ACTIONS).unwrap();
        assert_eq!(severity, Severity::Different);
        assert!(message.starts_with("Of the 41 actions of runOrder 2, 40 run at once"), "{message}");
        many["stages"][1]["actions"][0]["runOrder"] = json!(1);
        assert_eq!(at(&many, ACTIONS), None);
        let mut parallel = pipeline(41, role);
        parallel["executionMode"] = json!("PARALLEL");
        assert_eq!(at(&parallel, ACTIONS), None, "five run at once there, as in CodePipeline");
    }
}

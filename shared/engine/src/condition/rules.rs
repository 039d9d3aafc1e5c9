//! Looking at the rules of a condition: what they are about is read, what they say is `domain`'s.

use std::collections::BTreeMap;

use domain::{
    ActionStatus, AlarmChange, AlarmDemand, ArtifactLocation, ConditionKind, ConditionRun, Consulted, DeclaredMetrics,
    Evidence, Execution, Finding, Job, METRIC_DEGRADATION, MetricRule, PipelineDeclaration, RuleDeclaration, RuleRun,
    RuleState, RuleTypeInfo, RuleVerdict, Scope, Script, aws_console, check_alarm_states, check_variable,
    find_rule_type, is_current, is_look_due, judge_alarm, judge_answer, judge_unasked, judge_window,
    resolve_configuration, wait_minutes,
};
use jiff::Timestamp;

use crate::{
    EngineError, HasAlarms, HasBasics, HasStore,
    metrics::{Held, Unread, Wanted, data_of},
    ports::{Alarms, CloudError, Store},
};

/// One rule at one look.
pub(super) struct Examined<'a> {
    /// Absent where an update of the pipeline took it away.
    pub(super) rule: Option<&'a RuleDeclaration>,
    /// Its configuration with references resolved.
    pub(super) configuration: BTreeMap<String, String>,
    /// Where a person sees what it looks at.
    pub(super) entity_url: Option<String>,
    /// ARN of the alarm it looks at.
    pub(super) alarm: Option<String>,
    /// The same, where that alarm is not as it has to be.
    pub(super) failed_for: Option<String>,
    /// The metrics it judges.
    metrics: Option<Box<MetricRule>>,
    /// What speaks against the deploy, where they got worse.
    pub(super) evidence: Option<Box<Evidence>>,
    /// Whether it is a deployment window.
    is_window: bool,
    /// Who is asked for it.
    pub(super) consulted: Option<Consulted>,
    /// What they read.
    pub(super) inputs: BTreeMap<String, ArtifactLocation>,
    /// The commands they run, where these are their work.
    pub(super) script: Option<Script>,
    /// Whether they have to be asked now.
    pub(super) to_ask: bool,
    /// Id of their work.
    pub(super) external_id: Option<String>,
    /// Where a person sees their work.
    pub(super) external_url: Option<String>,
    /// What it found.
    pub(super) finding: Finding,
}

/// Looks at every rule of `run`, at all alarms with one request.
///
/// # Errors
/// [`EngineError::Unavailable`]: look again later.
pub(super) async fn examine<'a, W: HasAlarms + HasStore>(
    world: &W,
    run: &ConditionRun,
    declaration: &'a PipelineDeclaration,
    execution: &Execution,
    now: Timestamp,
) -> Result<Vec<Examined<'a>>, EngineError> {
    let declared = declaration.stage(&run.stage).and_then(|stage| stage.condition(run.kind));
    let find = |name: &str| declared.and_then(|condition| condition.rules.iter().find(|rule| rule.name == name));
    let mut examined: Vec<Examined<'a>> =
        run.rules.iter().map(|state| open(world, run.kind, find(&state.name), execution, now)).collect();
    judge_metrics(world, run, &mut examined, execution, now).await?;
    let arns: Vec<String> = examined.iter().filter_map(|rule| rule.alarm.clone()).collect();
    let alarms = if arns.is_empty() { Ok(Vec::new()) } else { world.alarms().describe(&arns).await };
    if let Err(CloudError::Unavailable(source)) = alarms {
        return Err(EngineError::Unavailable { what: "CloudWatch", source });
    }
    let (opens, opened) = (closed_until(&examined), open_since(run, &examined, now));
    // At an entry alarms are waited for from the first opening: a window that closes again gives a bad one no more time.
    let is_entry = run.kind == ConditionKind::BeforeEntry;
    let let_in = run.opened_at.or(opens.is_none().then_some(opened));
    let since = let_in.filter(|_| is_entry).unwrap_or(run.started_at);
    for (one, state) in examined.iter_mut().zip(&run.rules) {
        // A window has its time from the beginning. What an entry looks at beside it decides nothing before it opens, so
        // it loses no time either.
        let mut timed_from = if is_entry && !one.is_window { let_in } else { Some(run.started_at) };
        if let (Some(rule), Some(arn)) = (one.rule, &one.alarm) {
            one.finding = look_at_alarm(world, run.kind, since, rule, &one.configuration, arn, &alarms, now);
            one.failed_for = (one.finding.verdict == RuleVerdict::Failed).then(|| arn.clone());
            if let Some(opens) = opens.filter(|_| is_entry && run.opened_at.is_none()) {
                one.finding = one.finding.clone().deferred_to(opens);
            }
        }
        if let Some(who) = one.consulted.clone() {
            let job = match state.job {
                Some(job) => world.store().load_job(job).await?.filter(|job| is_current(job, opened, now)),
                None => None,
            };
            one.to_ask = job.is_none() && opens.is_none();
            one.take_links(job.as_ref());
            one.finding = match (&job, opens) {
                (Some(_), _) => judge_answer(&who, job.as_ref(), now),
                (None, None) => judge_unasked(&who, state.asked, now),
                (None, Some(opens)) => {
                    Finding::pending(opens, format!("{who} is asked when the deployment window opens."))
                }
            };
            timed_from = match &job {
                Some(job) => job.rule.as_ref().map(|rule| rule.asked_at),
                None => opens.is_none().then_some(opened),
            };
        }
        one.limit(timed_from, now);
    }
    Ok(examined)
}

/// Lets the judge look at the metrics of all rules that have some, with one request for each region and period, where it is
/// time for that.
async fn judge_metrics<W: HasAlarms>(
    world: &W,
    run: &ConditionRun,
    examined: &mut [Examined<'_>],
    execution: &Execution,
    now: Timestamp,
) -> Result<(), EngineError> {
    let mut wanted = Wanted::default();
    let mut looks = Vec::new();
    for (at, one) in examined.iter_mut().enumerate() {
        let (Some(declared), Some(rule)) = (one.rule, one.metrics.clone()) else { continue };
        let (region, configuration) = (region_of(world, declared).to_owned(), one.configuration.clone());
        let held = Held {
            pipeline: &run.pipeline,
            stage: &run.stage,
            execution,
            generation: run.generation,
            rule: &declared.name,
            arn: world.settings().metrics_arn(&DeclaredMetrics { region: Some(region.clone()), configuration }),
            since: run.started_at,
        };
        one.finding = held.waits(&rule);
        if is_look_due(held.since, held.until(&rule), now) {
            wanted.add(&region, &rule, held.sight(&rule).since(&rule));
            looks.push((at, rule, region, held));
        }
    }
    let read = wanted.read(world).await;
    for (at, rule, region, held) in looks {
        let one = &mut examined[at];
        (one.finding, one.evidence) = match data_of(&read, &region, &rule) {
            Ok(data) => held.finding(&rule, &data, now),
            Err(Unread::Denied(why)) => {
                (Finding::errored("PermissionError", format!("The metrics may not be read: {why}")), None)
            }
            Err(Unread::Refused(why)) => (Finding::errored("ConfigurationError", format!("The metrics: {why}")), None),
            Err(Unread::Unavailable) => {
                let source = format!("no answer from region {region}").into();
                return Err(EngineError::Unavailable { what: "CloudWatch", source });
            }
        };
    }
    Ok(())
}

impl Examined<'_> {
    /// The provider whose state machine is asked.
    pub(super) fn machine(&self) -> Option<&'static str> {
        match self.consulted {
            Some(Consulted::Machine(provider)) => Some(provider),
            _ => None,
        }
    }

    /// Takes the links to the work from the job that asks for it.
    pub(super) fn take_links(&mut self, job: Option<&Job>) {
        let rule = job.and_then(|job| job.rule.as_deref());
        self.external_id = rule.and_then(|rule| rule.external_id.clone());
        self.external_url = rule.and_then(|rule| rule.external_url.clone());
    }

    /// Holds its finding to the time the rule may take, which has begun at `since`, if it has.
    pub(super) fn limit(&mut self, since: Option<Timestamp>, now: Timestamp) {
        let Some(since) = since else { return };
        let timeout = self.rule.and_then(|rule| rule.timeout_in_minutes);
        self.finding = self.finding.clone().limited(since, timeout, now);
    }
}

/// Whether there are windows, and all of them are open.
pub(super) fn is_let_in(examined: &[Examined<'_>]) -> bool {
    closed_until(examined).is_none() && examined.iter().any(|one| one.is_window && one.finding.is_success())
}

/// When the first of the closed windows opens; `None` where none is closed.
pub(super) fn closed_until(examined: &[Examined<'_>]) -> Option<Timestamp> {
    examined.iter().filter(|one| one.is_window).filter_map(|one| one.finding.pending_until()).min()
}

/// When the last of the windows that are open was first seen open, which is now where this look is the first to see it;
/// the beginning of the evaluation where none is open. All rules have to hold at the same look, so what was found before
/// that is found out again.
fn open_since(run: &ConditionRun, examined: &[Examined<'_>], now: Timestamp) -> Timestamp {
    let windows = examined.iter().zip(&run.rules).filter(|(one, _)| one.is_window && one.finding.is_success());
    let opened = windows.map(|(_, state)| if state.status == ActionStatus::Succeeded { state.changed_at } else { now });
    opened.max().unwrap_or(run.started_at)
}

/// Resolves a rule's configuration, and says at once what needs no look at anything.
fn open<'a, W: HasBasics>(
    world: &W,
    kind: ConditionKind,
    rule: Option<&'a RuleDeclaration>,
    execution: &Execution,
    now: Timestamp,
) -> Examined<'a> {
    let found = |finding: Finding| Examined {
        rule,
        configuration: BTreeMap::new(),
        entity_url: None,
        alarm: None,
        failed_for: None,
        metrics: None,
        evidence: None,
        is_window: false,
        consulted: None,
        inputs: BTreeMap::new(),
        script: None,
        to_ask: false,
        external_id: None,
        external_url: None,
        finding,
    };
    let unusable = |why: String| found(Finding::errored("ConfigurationError", why));
    let Some(declared) = rule else {
        return unusable("The pipeline has no such rule any more.".to_owned());
    };
    let id = execution.id.to_string();
    let scope = Scope { execution_id: &id, variables: &execution.variables, outputs: &execution.outputs };
    let configuration = match resolve_configuration(&declared.configuration, &scope) {
        Ok(configuration) => configuration,
        Err(error) => return unusable(format!("{error}.")),
    };
    let setting = |key: &str| configuration.get(key).map(String::as_str).unwrap_or_default();
    let provider = declared.rule_type_id.provider.as_str();
    let Some(info) = find_rule_type(&declared.rule_type_id) else {
        return unusable(format!("This version of Lastgood has no rule type {provider}."));
    };
    if info.is_asked() {
        let who =
            info.machine().map_or_else(|| Consulted::Function(setting("FunctionName").to_owned()), Consulted::Machine);
        let entity_url = info.machine().and_then(|machine| entity_url(region_of(world, declared), machine, setting));
        return match question(declared, execution, &scope, &world.settings().region) {
            // What was found is set when its job was read.
            Ok((inputs, script)) => Examined {
                finding: judge_answer(&who, None, now),
                consulted: Some(who),
                entity_url,
                inputs,
                script,
                configuration,
                ..unusable(String::new())
            },
            Err(why) => Examined { configuration, ..unusable(why) },
        };
    }
    match provider {
        "CloudWatchAlarm" => {
            let (region, name) = (region_of(world, declared), setting("AlarmName").to_owned());
            let url = aws_console(region)
                .map(|console| format!("{console}/cloudwatch/home?region={region}#alarmsV2:alarm/{name}"));
            let arn = world.settings().alarm_arn_in(region, &name);
            // What was found is set when the alarm was read.
            Examined { entity_url: url, alarm: Some(arn), configuration, ..found(unread(&name)) }
        }
        METRIC_DEGRADATION => match judged(&configuration, region_of(world, declared)) {
            // What was found is set when the metrics were read.
            Ok(rule) => Examined { metrics: Some(Box::new(rule)), configuration, ..unusable(String::new()) },
            Err(why) => Examined { configuration, ..unusable(format!("The rule {why}.")) },
        },
        "DeploymentWindow" => {
            let finding = judge_window(kind, setting("Cron"), setting("TimeZone"), now);
            Examined { is_window: true, configuration, ..found(finding) }
        }
        _ => {
            let finding = check_variable(setting("Operator"), setting("Variable"), setting("Value"));
            Examined { configuration, ..found(finding) }
        }
    }
}

/// The rule that judges, with its references resolved.
fn judged(configuration: &BTreeMap<String, String>, region: &str) -> Result<MetricRule, String> {
    let rule = MetricRule::declared(configuration)?;
    rule.check_control(Some(region))?;
    Ok(rule)
}

/// What somebody who is asked reads, and the commands they run. `own` is the installation's region.
fn question(
    rule: &RuleDeclaration,
    execution: &Execution,
    scope: &Scope<'_>,
    own: &str,
) -> Result<(BTreeMap<String, ArtifactLocation>, Option<Script>), String> {
    let elsewhere = rule.region.as_deref().filter(|region| *region != own);
    let machine = find_rule_type(&rule.rule_type_id).and_then(RuleTypeInfo::machine);
    if let (Some(elsewhere), Some(machine)) = (elsewhere, machine) {
        return Err(format!(
            "The rule is to run in {elsewhere}, and {machine} is reached by Step Functions, in the region of the pipeline \
             alone, {own}. Remove the rule's region, or have a LambdaInvoke rule ask a function of {elsewhere}."
        ));
    }
    let find = |name: &String| match execution.artifacts.get(name) {
        Some(at) if at.region.as_deref() == elsewhere => Ok((name.clone(), at.clone())),
        // Only actions have their artifacts copied.
        Some(at) => Err(format!(
            "Input artifact '{name}' is in {}: rules read what was made in the region that they run in.",
            at.region.as_deref().unwrap_or(own)
        )),
        None => Err(format!("Input artifact '{name}' does not exist in this execution.")),
    };
    let inputs = rule.input_artifacts.iter().map(|artifact| find(&artifact.name)).collect::<Result<_, _>>()?;
    let script = Script::of_rule(rule, scope).map_err(|error| format!("{error}."))?;
    Ok((inputs, script))
}

/// Where a person sees the project that a build is of.
fn entity_url<'a>(region: &str, machine: &str, setting: impl Fn(&str) -> &'a str) -> Option<String> {
    let project = setting("ProjectName");
    let is_build = machine == "CodeBuild";
    let console = aws_console(region).filter(|_| is_build)?;
    Some(format!("{console}/codesuite/codebuild/projects/{project}"))
}

#[expect(clippy::too_many_arguments, reason = "one look, named once")]
fn look_at_alarm<W: HasBasics>(
    world: &W,
    kind: ConditionKind,
    since: Timestamp,
    rule: &RuleDeclaration,
    configuration: &BTreeMap<String, String>,
    arn: &str,
    alarms: &Result<Vec<AlarmChange>, CloudError>,
    now: Timestamp,
) -> Finding {
    let setting = |key: &str| configuration.get(key).map(String::as_str).unwrap_or_default();
    let name = setting("AlarmName");
    let alarms = match alarms {
        Ok(alarms) => alarms,
        Err(CloudError::Denied(why)) => {
            return Finding::errored("PermissionError", format!("Alarm {name} may not be read: {why}"));
        }
        Err(error) => return Finding::errored("ConfigurationError", format!("Alarm {name}: {error}")),
    };
    let Some(alarm) = alarms.iter().find(|alarm| alarm.arn == arn) else {
        let region = region_of(world, rule);
        return Finding::errored("ConfigurationError", format!("There is no alarm {name} in region {region}."));
    };
    // Both may have come from variables, which nobody has looked at before.
    let wait = configuration.get("WaitTime").map_or(Ok(0), |time| wait_minutes(time));
    let states = configuration.get("AlarmStates").map_or(Ok(""), |states| check_alarm_states(states));
    match (wait, states) {
        (Ok(wait_minutes), Ok(states)) => {
            judge_alarm(&AlarmDemand { kind, name, states, wait_minutes, since }, alarm, now)
        }
        (Err(why), _) | (_, Err(why)) => Finding::errored("ConfigurationError", format!("The rule {why}.")),
    }
}

fn unread(name: &str) -> Finding {
    Finding::errored("ConfigurationError", format!("Alarm {name} was not read."))
}

fn region_of<'a, W: HasBasics>(world: &'a W, rule: &'a RuleDeclaration) -> &'a str {
    rule.region.as_deref().unwrap_or(&world.settings().region)
}

/// Its own role, or the pipeline's.
pub(super) fn role_of<'a>(rule: &'a RuleDeclaration, declaration: &'a PipelineDeclaration) -> &'a str {
    rule.role_arn.as_deref().unwrap_or(&declaration.role_arn)
}

/// The history of those rules whose state has changed.
pub(super) fn rule_runs<W: HasBasics>(
    world: &W,
    execution: &Execution,
    declaration: &PipelineDeclaration,
    before: Option<&ConditionRun>,
    run: &ConditionRun,
    examined: &[Examined<'_>],
) -> Vec<RuleRun> {
    let changed = |at: usize| before.is_none_or(|before| before.rules.get(at) != run.rules.get(at));
    let mut runs = Vec::new();
    for (at, (state, examined)) in run.rules.iter().zip(examined).enumerate() {
        let Some(rule) = examined.rule.filter(|_| changed(at)) else { continue };
        runs.push(RuleRun {
            pipeline: run.pipeline.clone(),
            execution: run.execution,
            pipeline_version: execution.pipeline_version,
            stage: run.stage.clone(),
            kind: run.kind,
            rule_type: rule.rule_type_id.clone(),
            started_at: run.started_at,
            role_arn: role_of(rule, declaration).to_owned(),
            region: region_of(world, rule).to_owned(),
            configuration: rule.configuration.clone(),
            resolved_configuration: examined.configuration.clone(),
            inputs: examined.inputs.clone(),
            // What it rests on is kept with the condition and the decision.
            state: RuleState { evidence: None, ..state.clone() },
        });
    }
    runs
}

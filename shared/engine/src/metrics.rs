//! Metrics that are judged: read once for all who need them, and shown to the judge.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    AlarmChange, AlarmSnapshot, AlarmState, Case, DeclaredMetrics, Evidence, Execution, ExecutionId, Finding,
    Generation, MetricData, MetricQuery, MetricRule, MetricSight, PipelineName, Sighted, StageName, Verdict, Watch,
    WatchPurpose, WatchedDeploy, is_look_due, rule_on, sight, sight_watch,
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    HasAlarms, HasStore, Settings,
    ports::{Alarms, CloudError, Store},
};

impl Settings {
    /// What stands for metrics in the place of an alarm's ARN.
    pub(crate) fn metrics_arn(&self, declared: &DeclaredMetrics) -> String {
        let region = declared.region.as_deref().unwrap_or(&self.region);
        let partition = domain::partition_of(region);
        format!("arn:{partition}:lastgood:{region}:{}:metrics:{}", self.account, declared.id())
    }
}

/// Metrics as they stand when an execution enters a stage: nobody looks at them before it has deployed.
pub(crate) fn unseen(settings: &Settings, declared: &DeclaredMetrics) -> AlarmSnapshot {
    AlarmSnapshot { arn: settings.metrics_arn(declared), state: AlarmState::InsufficientData }
}

/// What is to be read, by region and period, and since when. CloudWatch counts periods from the start of a request, and of
/// a start that lies far back it has no short ones: what has another period is another request.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    requests: BTreeMap<(String, u32), (BTreeSet<MetricQuery>, Timestamp)>,
}

/// What was read, by region.
pub(crate) type Read = BTreeMap<String, BTreeMap<MetricQuery, Result<domain::Points, Unread>>>;

impl Wanted {
    /// Adds what a look of `rule` reads, whose metrics are in `region` unless it says otherwise.
    pub(crate) fn add(&mut self, region: &str, rule: &MetricRule, since: Timestamp) {
        for (other, query) in rule.queries() {
            let request = (other.unwrap_or(region).to_owned(), query.period_seconds);
            let (queries, first) = self.requests.entry(request).or_insert_with(|| (BTreeSet::new(), since));
            queries.insert(query);
            // Both are whole multiples of the period.
            *first = since.min(*first);
        }
    }

    /// Metrics that reading all this is billed as.
    fn metrics(&self) -> usize {
        self.requests.values().map(|(queries, _)| MetricQuery::billed(queries)).sum()
    }

    /// Reads everything, a region and period at a time: one that cannot be reached keeps nobody from reading others.
    pub(crate) async fn read<W: HasAlarms>(&self, world: &W) -> Read {
        let mut read = Read::new();
        let metrics = self.metrics() as u64;
        if metrics > 0 {
            tracing::info!(
                metric.MetricsAskedFor = metrics,
                "asked CloudWatch for metrics to judge, each of which is billed"
            );
        }
        for ((region, _), (queries, since)) in &self.requests {
            let queries: Vec<MetricQuery> = queries.iter().cloned().collect();
            let mut points = read_together(world, region, &queries, *since).await;
            if queries.len() > 1 && points.iter().any(|points| matches!(points, Err(Unread::Refused(_)))) {
                // What is wrong with one of them is nothing to the others.
                points.clear();
                for query in &queries {
                    points.extend(read_together(world, region, std::slice::from_ref(query), *since).await);
                }
            }
            read.entry(region.clone()).or_default().extend(queries.into_iter().zip(points));
        }
        read
    }
}

/// The points of each query, or the same reason for all.
async fn read_together<W: HasAlarms>(
    world: &W,
    region: &str,
    queries: &[MetricQuery],
    since: Timestamp,
) -> Vec<Result<domain::Points, Unread>> {
    match world.alarms().metric_data(region, queries, since, world.now()).await {
        Ok(points) => points.into_iter().map(Ok).collect(),
        Err(error) => {
            let why = match error {
                CloudError::Denied(why) => Unread::Denied(why),
                CloudError::Unavailable(_) => Unread::Unavailable,
                CloudError::NotFound(_) | CloudError::Refused(_) => Unread::Refused(error.to_string()),
            };
            vec![Err(why); queries.len()]
        }
    }
}

/// What was read for `rule`, by the region as it says it.
///
/// # Errors
/// Why the first that could not be read was not.
pub(crate) fn data_of(read: &Read, region: &str, rule: &MetricRule) -> Result<MetricData, Unread> {
    let mut data = MetricData::new();
    for (other, query) in rule.queries() {
        let points = read.get(other.unwrap_or(region)).and_then(|read| read.get(&query)).cloned();
        let points = points.unwrap_or(Err(Unread::Unavailable))?;
        data.insert((other.map(str::to_owned), query), points);
    }
    Ok(data)
}

/// Why metrics could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unread {
    /// No permission.
    Denied(String),
    /// CloudWatch does not take what is asked.
    Refused(String),
    /// No answer: look again.
    Unavailable,
}

impl Unread {
    /// Why nothing was judged, for people.
    fn told(&self) -> String {
        match self {
            Self::Denied(why) => format!("the metrics may not be read: {why}"),
            Self::Refused(why) => format!("CloudWatch does not take what is asked: {why}"),
            Self::Unavailable => "CloudWatch gave no answer".to_owned(),
        }
    }
}

/// A deploy whose stage waits for the judge.
pub(crate) struct Held<'a> {
    pub(crate) pipeline: &'a PipelineName,
    pub(crate) stage: &'a StageName,
    pub(crate) execution: &'a Execution,
    pub(crate) generation: Generation,
    pub(crate) rule: &'a str,
    pub(crate) arn: String,
    /// When its actions had succeeded.
    pub(crate) since: Timestamp,
}

impl Held<'_> {
    /// The times of a look.
    pub(crate) fn sight(&self, rule: &MetricRule) -> MetricSight {
        MetricSight::of_deploy(rule, self.entered(), self.since, self.until(rule))
    }

    fn entered(&self) -> Timestamp {
        self.execution.stages.get(self.stage).map_or(self.since, |outcome| outcome.entered_at)
    }

    /// The last point that counts is known a little later.
    pub(crate) fn until(&self, rule: &MetricRule) -> Timestamp {
        self.since + SignedDuration::from_mins(i64::from(rule.minutes))
    }

    /// What the rule finds, and the evidence where that speaks against the deploy.
    pub(crate) fn finding(
        &self,
        rule: &MetricRule,
        data: &MetricData,
        now: Timestamp,
    ) -> (Finding, Option<Box<Evidence>>) {
        let seen = sight(rule, &self.sight(rule), data, now);
        let (why, ends) = (seen.evidence.why.clone(), self.until(rule) + rule.settled_after());
        match seen.evidence.verdict {
            Verdict::Degraded => (Finding::failed(sentence(&why)), self.evidence(seen, now).map(Box::new)),
            _ if now < ends => (self.waits(rule), None),
            Verdict::NotEnoughData if rule.fails_unseen => (Finding::failed(format!("Not enough data: {why}.")), None),
            Verdict::NotEnoughData => {
                (Finding::succeeded(format!("Not enough data, which the rule lets pass: {why}.")), None)
            }
            Verdict::Healthy | Verdict::NotThisDeploy => (Finding::succeeded(sentence(&why)), None),
        }
    }

    /// What it says while its time is not over: the same words at every look, so that there is nothing to store.
    pub(crate) fn waits(&self, rule: &MetricRule) -> Finding {
        let ends = self.until(rule) + rule.settled_after();
        Finding::pending(ends, format!("Metrics {} are judged until {ends}.", rule.name))
    }

    fn evidence(&self, seen: Sighted, now: Timestamp) -> Option<Evidence> {
        let (state, since) = (seen.state(), seen.worse_since.unwrap_or(now));
        let watch = Watch {
            alarm_arn: self.arn.clone(),
            pipeline: self.pipeline.clone(),
            stage: self.stage.clone(),
            execution: self.execution.id,
            rule: self.rule.to_owned(),
            from: self.entered(),
            until: now,
            data_points: None,
            metrics: None,
            state_at_entry: AlarmState::InsufficientData,
            purpose: WatchPurpose::Deploy,
            shadow: false,
            told: false,
            inherited: Vec::new(),
            generation: self.generation,
            version: 0,
        };
        let alarm = AlarmChange { arn: self.arn.clone(), state, since, reason: seen.evidence.why.clone() };
        let suspect =
            WatchedDeploy { watch, live: Some(self.execution.id), inside: None, sighted: Some(Box::new(seen)) };
        rule_on(&Case::new(&alarm, vec![suspect], None, now)).evidence.pop()
    }
}

fn sentence(why: &str) -> String {
    let mut chars = why.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", chars.as_str().trim_end_matches('.'))
}

/// What the metrics of watched deploys did, by execution and rule.
pub(crate) type Sights = BTreeMap<(ExecutionId, String), Sighted>;

/// The metrics of one ARN as they stand, in the place of an alarm.
#[derive(Debug)]
pub(crate) struct SeenMetrics {
    pub(crate) alarm: AlarmChange,
    pub(crate) sights: Sights,
}

/// What a look at all watches found.
#[derive(Debug)]
pub(crate) struct Looked<'a> {
    /// By ARN.
    pub(crate) seen: Vec<SeenMetrics>,
    /// Deploys of which no more points will come, and why nothing could be said of each where that is so.
    pub(crate) ended: Vec<(&'a Watch, Option<String>)>,
}

/// A watch to look at.
struct Look<'a> {
    watch: &'a Watch,
    rule: MetricRule,
    region: String,
    since: Timestamp,
    /// The times, where it is whether a rollback helps.
    of_rollback: Option<MetricSight>,
}

/// Looks at the metrics of those of `open` that it is time for. Returns what was seen of each ARN.
///
/// # Errors
/// The store's. What CloudWatch does not say is looked for again at the next look.
pub(crate) async fn look_at_metrics<'a, W: HasAlarms + HasStore>(
    world: &W,
    open: &'a [Watch],
    now: Timestamp,
) -> Result<Looked<'a>, crate::EngineError> {
    let (mut looks, mut wanted) = (Vec::new(), Wanted::default());
    for watch in open.iter().filter(|watch| is_newest(watch, open)) {
        let Some(look) = due(world, watch, now).await? else { continue };
        wanted.add(&look.region, &look.rule, look.reads_since());
        looks.push(look);
    }
    let read = wanted.read(world).await;
    let mut seen: BTreeMap<&str, Vec<(&Watch, Sighted)>> = BTreeMap::new();
    let mut ended = Vec::new();
    for look in &looks {
        let found = data_of(&read, &look.region, &look.rule).map(|data| look.judged(&data, now));
        if look.is_last(now) {
            ended.push((look.watch, unjudged(&found)));
        }
        match found {
            Ok(found) => seen.entry(&look.watch.alarm_arn).or_default().push((look.watch, found)),
            Err(why) => tracing::warn!(
                pipeline.name = %look.watch.pipeline,
                stage.name = %look.watch.stage,
                rule = look.watch.rule,
                ?why,
                "the metrics of a watch could not be read"
            ),
        }
    }
    Ok(Looked { seen: seen.into_iter().map(|(arn, found)| stands(arn, found, now)).collect(), ended })
}

impl Look<'_> {
    fn judged(&self, data: &MetricData, now: Timestamp) -> Sighted {
        match &self.of_rollback {
            Some(times) => sight(&self.rule, times, data, now),
            None => sight_watch(&self.rule, self.watch, self.since, data, now),
        }
    }

    /// From when on it reads: from the first point of its own deploy, or of the first that this one superseded.
    fn reads_since(&self) -> Timestamp {
        let until = self.watch.until;
        let own = || MetricSight::of_deploy(&self.rule, self.watch.from, self.since, until);
        let own = self.of_rollback.unwrap_or_else(own).since(&self.rule);
        let earlier = self.watch.inherited.iter().filter(|_| self.of_rollback.is_none());
        let earlier = earlier.map(|one| MetricSight::of_superseded(&self.rule, one.from, one.until, until));
        earlier.map(|times| times.since(&self.rule)).fold(own, Timestamp::min)
    }

    /// Whether every point of a deploy is known that counts.
    fn is_last(&self, now: Timestamp) -> bool {
        self.of_rollback.is_none() && now >= self.watch.until + self.rule.settled_after()
    }
}

/// Why nothing can be said of a deploy, if that is so.
fn unjudged(found: &Result<Sighted, Unread>) -> Option<String> {
    match found {
        Ok(found) if found.evidence.verdict == Verdict::NotEnoughData => Some(found.evidence.why.clone()),
        Ok(_) => None,
        Err(why) => Some(why.told()),
    }
}

/// Whether no later deploy of its stage is watched by the same rule: then its row is that one's.
fn is_newest(watch: &Watch, open: &[Watch]) -> bool {
    let place =
        |watch: &Watch| (watch.alarm_arn.clone(), watch.pipeline.clone(), watch.stage.clone(), watch.rule.clone());
    open.iter().all(|other| other.from <= watch.from || place(other) != place(watch))
}

async fn due<'a, W: HasStore>(
    world: &W,
    watch: &'a Watch,
    now: Timestamp,
) -> Result<Option<Look<'a>>, crate::EngineError> {
    let Some(metrics) = watch.metrics.as_ref() else { return Ok(None) };
    // A pipeline's declaration was checked when it was stored.
    let Ok(rule) = metrics.declared.rule() else { return Ok(None) };
    if rule.is_over(watch.until, now) || !is_look_due(metrics.since, watch.until, now) {
        return Ok(None);
    }
    let of_rollback = match watch.proves() {
        true => Some(sight_of_rollback(world, watch, metrics.since).await?),
        false => None,
    };
    let region = metrics.declared.region.clone().unwrap_or_else(|| world.settings().region.clone());
    Ok(Some(Look { watch, rule, region, since: metrics.since, of_rollback }))
}

/// A rollback is compared with what was before the deploy that it takes back.
async fn sight_of_rollback<W: HasStore>(
    world: &W,
    watch: &Watch,
    succeeded: Timestamp,
) -> Result<MetricSight, crate::EngineError> {
    let rollback = world.store().load_execution(&watch.pipeline, watch.execution).await?;
    let undone = match rollback.and_then(|execution| execution.rollback?.undone) {
        Some(undone) => world.store().load_execution(&watch.pipeline, undone).await?,
        None => None,
    };
    let entered = undone.and_then(|execution| Some(execution.stages.get(&watch.stage)?.entered_at));
    Ok(MetricSight::of_rollback(entered.unwrap_or(watch.from), succeeded, watch.until))
}

/// What all deploys that are watched by the same metrics make of these.
fn stands(arn: &str, found: Vec<(&Watch, Sighted)>, now: Timestamp) -> SeenMetrics {
    let worst = found.iter().filter(|(watch, _)| !watch.proves());
    let worst = worst.min_by_key(|(_, seen)| (seen.worse_since.is_none(), seen.worse_since));
    let proof = found.iter().find(|(watch, _)| watch.proves());
    let chosen = worst.filter(|(_, seen)| seen.worse_since.is_some()).or(proof).or(worst);
    let (state, since, reason) = chosen.map_or((AlarmState::Unreadable, now, String::new()), |(_, seen)| {
        (seen.state(), seen.worse_since.unwrap_or(now), seen.evidence.why.clone())
    });
    let alarm = AlarmChange { arn: arn.to_owned(), state, since, reason };
    let sights = found.into_iter().map(|(watch, seen)| ((watch.execution, watch.rule.clone()), seen)).collect();
    SeenMetrics { alarm, sights }
}

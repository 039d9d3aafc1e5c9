//! Every pipeline with its stages: what is live, what is on its way, what is held.

use askama::Template;
use domain::PipelineName;
use engine::{
    HasStore,
    ports::{PageRequest, PipelineSummary, Store},
};
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    forms::query,
    frame::{Frame, Visit, render},
    parts::Age,
    route::{ROOT, pipeline_path},
    stage::{StageGlance, load_all, named_by},
};
use crate::failure::Failure;

/// Pipelines on a page: each costs a request or two, and a person sees no more at once.
const ON_PAGE: usize = 20;
/// All pipelines of an account (spec 1.10): their lines are one request.
const PIPELINES_MAX: u32 = 1000;
/// Pipelines read at the same time.
const READS_PARALLEL_MAX: usize = 10;
/// Holds and incidents counted for the line about them.
const COUNTED_MAX: u32 = 100;
/// Characters of a filter that are looked at: a name has no more.
const FILTER_CHARS_MAX: usize = 100;

#[derive(Template)]
#[template(path = "pipelines.html")]
struct PipelinesPage {
    frame: Frame,
    rows: Vec<PipelineRow>,
    filter: String,
    sort: Sort,
    shown: String,
    total: usize,
    matching: usize,
    before: Option<String>,
    after: Option<String>,
    held: usize,
    red: usize,
}

struct PipelineRow {
    name: PipelineName,
    path: String,
    mode: &'static str,
    changed: Age,
    stages: Vec<StageGlance>,
}

/// The order of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Name,
    Changed,
    Created,
}

impl Sort {
    fn named(name: &str) -> Self {
        match name {
            "changed" => Self::Changed,
            "created" => Self::Created,
            _ => Self::Name,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Name => "",
            Self::Changed => "changed",
            Self::Created => "created",
        }
    }
}

/// The list. Whatever the number of pipelines: one request for their names, and those of one page.
pub(super) async fn show<W: HasStore>(world: &W, visit: &Visit) -> Result<String, Failure> {
    let first = |limit| PageRequest { limit, after: None };
    let store = world.store();
    let (all, holds, red) = futures::try_join!(
        store.list_pipelines(first(PIPELINES_MAX)),
        store.list_holds(None, first(COUNTED_MAX)),
        store.open_incidents(first(COUNTED_MAX)),
    )?;
    let (all, holds, red) = (all.items, holds.items.len(), red.items.len());
    let filter: String = visit.query.text("q").chars().take(FILTER_CHARS_MAX).collect();
    let sort = Sort::named(visit.query.text("sort"));
    let total = all.len();
    let found = chosen(all, &filter, sort);
    let (matching, pages) = (found.len(), found.len().div_ceil(ON_PAGE).max(1));
    let page = visit.query.text("page").parse().unwrap_or(1).clamp(1, pages);
    let here: Vec<_> = found.into_iter().skip((page - 1) * ON_PAGE).take(ON_PAGE).collect();
    let rows: Vec<PipelineRow> = stream::iter(here)
        .map(async |summary| row(world, visit, summary).await)
        .buffered(READS_PARALLEL_MAX)
        .try_filter_map(async |row| Ok(row))
        .try_collect()
        .await?;
    let moves = rows.iter().flat_map(|row| &row.stages).any(|stage| stage.moves);
    let link = |page: usize| {
        let number = if page == 1 { String::new() } else { page.to_string() };
        format!("{ROOT}{}", query(&[("q", &filter), ("sort", sort.as_str()), ("page", &number)]))
    };
    let from = (page - 1) * ON_PAGE;
    render(&PipelinesPage {
        frame: visit.frame("Pipelines").moving(moves),
        shown: format!("{} to {} of {matching}", (from + 1).min(matching), (from + ON_PAGE).min(matching)),
        before: (page > 1).then(|| link(page - 1)),
        after: (page < pages).then(|| link(page + 1)),
        held: holds,
        rows,
        filter,
        sort,
        total,
        matching,
        red,
    })
}

fn chosen(all: Vec<PipelineSummary>, filter: &str, sort: Sort) -> Vec<PipelineSummary> {
    let wanted = filter.to_lowercase();
    let mut found: Vec<_> = all.into_iter().filter(|one| one.name.as_str().to_lowercase().contains(&wanted)).collect();
    match sort {
        Sort::Name => found.sort_by_key(|one| one.name.as_str().to_lowercase()),
        Sort::Changed => found.sort_by_key(|one| std::cmp::Reverse(one.updated_at)),
        Sort::Created => found.sort_by_key(|one| std::cmp::Reverse(one.created_at)),
    }
    found
}

/// None where the pipeline was deleted since the list was read.
async fn row<W: HasStore>(world: &W, visit: &Visit, summary: PipelineSummary) -> Result<Option<PipelineRow>, Failure> {
    let Some(view) = world.store().load_pipeline(&summary.name).await? else { return Ok(None) };
    let executions = load_all(world, &summary.name, named_by(&view)).await?;
    let stages = view.index.stages.iter().map(|index| StageGlance::of(&view, index, &executions, visit.now));
    Ok(Some(PipelineRow {
        path: pipeline_path(&summary.name),
        mode: view.index.mode.as_str(),
        changed: Age::of(summary.updated_at, visit.now),
        stages: stages.collect(),
        name: summary.name,
    }))
}

#[cfg(test)]
mod tests {
    use domain::{ExecutionMode, PipelineType};
    use jiff::Timestamp;

    use super::*;

    fn summary(name: &str, created: i64, changed: i64) -> PipelineSummary {
        PipelineSummary {
            name: name.parse().unwrap(),
            pipeline_version: 1,
            pipeline_type: PipelineType::V2,
            mode: ExecutionMode::Queued,
            created_at: Timestamp::from_second(created).unwrap(),
            updated_at: Timestamp::from_second(changed).unwrap(),
        }
    }

    #[test]
    fn the_list_is_filtered_by_name_and_sorted() {
        let all = || vec![summary("shop", 1, 9), summary("Audit", 2, 2), summary("webshop", 3, 3)];
        let names = |filter: &str, sort| {
            let found = chosen(all(), filter, sort);
            found.iter().map(|one| one.name.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names("", Sort::Name), "Audit shop webshop");
        assert_eq!(names("SHOP", Sort::Changed), "shop webshop");
        assert_eq!(names("", Sort::Created), "webshop Audit shop");
        assert_eq!(names("none", Sort::named("x")), "");
    }
}

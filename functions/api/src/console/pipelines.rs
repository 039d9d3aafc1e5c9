//! Every pipeline with its stages: what is live, what is on its way, what is held.

use askama::Template;
use domain::PipelineName;
use engine::{
    HasStore,
    ports::{Page, PageRequest, PipelineSummary, Store, StoreError},
};

use super::{
    forms::query,
    frame::{Frame, Visit, render},
    parts::Age,
    route::{ROOT, pipeline_path},
    stage::{StageGlance, load_all, named_by},
};
use crate::failure::Failure;

/// Pipelines on a page: a person sees no more at once.
const ON_PAGE: usize = 20;
/// All pipelines of an account (spec 1.10): their names and times are one request.
const PIPELINES_MAX: u32 = 1000;
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
    /// Whether all pipelines are listed by name.
    is_plain: bool,
    is_first: bool,
    shown: String,
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

/// What a page shows, and what is before and after it.
struct Found {
    here: Vec<PipelineName>,
    shown: String,
    before: Option<String>,
    after: Option<String>,
}

/// The list. Without a filter and by name, one page of names is read. Else the names and times of all pipelines are, in one
/// request (there are a thousand at most), filtered and sorted; of pipelines' states only those of the page. So requests
/// depend neither on the number of pipelines nor on their histories; what a filter or another order reads grows with the names.
pub(super) async fn show<W: HasStore>(world: &W, visit: &Visit) -> Result<String, Failure> {
    let first = |limit| PageRequest { limit, after: None };
    let store = world.store();
    let filter: String = visit.query.text("q").chars().take(FILTER_CHARS_MAX).collect();
    let sort = Sort::named(visit.query.text("sort"));
    let is_plain = filter.is_empty() && sort == Sort::Name;
    let found = async {
        if is_plain { Ok(by_name(world, visit).await?) } else { Ok(filtered(world, visit, &filter, sort).await?) }
    };
    let (found, holds, red) = futures::try_join!(
        found,
        store.list_holds(None, first(COUNTED_MAX)),
        store.open_incidents(first(COUNTED_MAX)),
    )?;
    let views = store.load_glances(&found.here).await?;
    let executions = load_all(world, named_by(&views)).await?;
    let rows = views.iter().map(|view| {
        let stages = view.index.stages.iter().map(|index| StageGlance::of(view, index, &executions, visit.now));
        PipelineRow {
            path: pipeline_path(&view.index.name),
            mode: view.index.mode.as_str(),
            changed: Age::of(view.index.updated_at, visit.now),
            stages: stages.collect(),
            name: view.index.name.clone(),
        }
    });
    let rows: Vec<PipelineRow> = rows.collect();
    let moves = rows.iter().flat_map(|row| &row.stages).any(|stage| stage.moves);
    render(&PipelinesPage {
        frame: visit.frame("Pipelines").moving(moves),
        is_first: visit.query.text("after").is_empty(),
        shown: found.shown,
        before: found.before,
        after: found.after,
        held: holds.items.len(),
        red: red.items.len(),
        rows,
        filter,
        sort,
        is_plain,
    })
}

/// A page in the order in which pipelines are kept, after the name that the address has.
async fn by_name<W: HasStore>(world: &W, visit: &Visit) -> Result<Found, StoreError> {
    // What is no name comes after none.
    let after = visit.query.given("after").and_then(|after| after.parse::<PipelineName>().ok());
    let page = PageRequest { limit: ON_PAGE as u32, after: after.as_ref().map(ToString::to_string) };
    let Page { items, next } = world.store().list_pipelines(page).await?;
    let shown = match (items.first(), items.last(), &after, &next) {
        (Some(_), Some(_), None, None) => format!("{} in all", items.len()),
        (Some(from), Some(to), ..) => format!("{} to {}", from.name, to.name),
        _ => String::new(),
    };
    Ok(Found {
        shown,
        before: after.map(|_| ROOT.to_owned()),
        after: next.map(|next| format!("{ROOT}{}", query(&[("after", &next)]))),
        here: items.into_iter().map(|one| one.name).collect(),
    })
}

/// A page of those that the filter leaves, in this order.
async fn filtered<W: HasStore>(world: &W, visit: &Visit, filter: &str, sort: Sort) -> Result<Found, StoreError> {
    let all = world.store().list_pipelines(PageRequest { limit: PIPELINES_MAX, after: None }).await?.items;
    let total = all.len();
    let found = chosen(all, filter, sort);
    let (matching, pages) = (found.len(), found.len().div_ceil(ON_PAGE).max(1));
    let page = visit.query.text("page").parse().unwrap_or(1).clamp(1, pages);
    let link = |page: usize| {
        let number = if page == 1 { String::new() } else { page.to_string() };
        format!("{ROOT}{}", query(&[("q", filter), ("sort", sort.as_str()), ("page", &number)]))
    };
    let from = (page - 1) * ON_PAGE;
    let of_all = if matching == total { String::new() } else { format!(" (of {total} in all)") };
    let here: Vec<_> = found.into_iter().skip(from).take(ON_PAGE).collect();
    Ok(Found {
        shown: format!("{} to {} of {matching}{of_all}", (from + 1).min(matching), from + here.len()),
        before: (page > 1).then(|| link(page - 1)),
        after: (page < pages).then(|| link(page + 1)),
        here: here.into_iter().map(|one| one.name).collect(),
    })
}

fn chosen(all: Vec<PipelineSummary>, filter: &str, sort: Sort) -> Vec<PipelineSummary> {
    let wanted = filter.to_lowercase();
    let mut found: Vec<_> = all.into_iter().filter(|one| one.name.as_str().to_lowercase().contains(&wanted)).collect();
    match sort {
        // As they are kept.
        Sort::Name => found.sort_by(|a, b| a.name.cmp(&b.name)),
        Sort::Changed => found.sort_by_key(|one| std::cmp::Reverse(one.updated_at)),
        Sort::Created => found.sort_by_key(|one| std::cmp::Reverse(one.created_at)),
    }
    found
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

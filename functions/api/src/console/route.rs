//! Which page or deed a request names. One total match.

pub(super) use domain::{CONSOLE as ROOT, execution_page as execution_path, pipeline_page as pipeline_path};
use domain::{ExecutionId, PipelineName, StageName, named_by_segment, stage_page};

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// A file that pages link to.
    Asset { digest: String, name: String },
    /// A page.
    Page(Page),
    /// Something to do.
    Deed(Deed),
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Page {
    Pipelines,
    Attention,
    AllRollbacks,
    Pipeline(PipelineName),
    Start(PipelineName),
    Configure(PipelineName),
    History(PipelineName),
    Rollbacks(PipelineName),
    Execution(PipelineName, ExecutionId),
    Rollback(PipelineName, StageName),
}

/// What a form does, in a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deed {
    pub(super) pipeline: PipelineName,
    pub(super) act: Act,
}

/// Which deed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    Start,
    Configure,
    Stop(ExecutionId),
    RollBack(StageName),
    Transition(StageName),
    Release(StageName),
    Retry(StageName),
    Override(StageName),
    Approve(StageName),
    /// Of a revision that was taken back in the pipeline, and stays away everywhere.
    Reinstate,
}

/// Why there is no route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoute {
    /// Nothing is there.
    NotFound,
    /// Something is, for these methods.
    NotAllowed(&'static str),
}

/// Whether `path` is the console's.
pub(crate) fn is_console(path: &str) -> bool {
    path.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Reads a method and a path under [`ROOT`]. A name that breaks the rule for names names nothing.
pub(super) fn route(method: &str, path: &str) -> Result<Route, NoRoute> {
    let Some(rest) = path.strip_prefix(ROOT).filter(|_| is_console(path)) else { return Err(NoRoute::NotFound) };
    let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
    let (page, act) = (page(&parts), act(&parts));
    match (method, page, act) {
        ("GET" | "HEAD", Some(page), _) => Ok(page),
        ("POST", _, Some(deed)) => Ok(Route::Deed(deed)),
        (_, Some(_), Some(_)) => Err(NoRoute::NotAllowed("GET, HEAD, POST")),
        (_, Some(_), None) => Err(NoRoute::NotAllowed("GET, HEAD")),
        (_, None, Some(_)) => Err(NoRoute::NotAllowed("POST")),
        (_, None, None) => Err(NoRoute::NotFound),
    }
}

fn page(parts: &[&str]) -> Option<Route> {
    let page = match *parts {
        [] | ["pipelines"] => Page::Pipelines,
        ["attention"] => Page::Attention,
        ["rollbacks"] => Page::AllRollbacks,
        ["assets", digest, name] => return Some(Route::Asset { digest: digest.to_owned(), name: name.to_owned() }),
        ["pipelines", pipeline] => Page::Pipeline(named_by_segment(pipeline)?),
        ["pipelines", pipeline, "start"] => Page::Start(named_by_segment(pipeline)?),
        ["pipelines", pipeline, "configure"] => Page::Configure(named_by_segment(pipeline)?),
        ["pipelines", pipeline, "history"] => Page::History(named_by_segment(pipeline)?),
        ["pipelines", pipeline, "rollbacks"] => Page::Rollbacks(named_by_segment(pipeline)?),
        ["pipelines", pipeline, "executions", id] => Page::Execution(named_by_segment(pipeline)?, id.parse().ok()?),
        ["pipelines", pipeline, "stages", stage, "rollback"] => {
            Page::Rollback(named_by_segment(pipeline)?, named_by_segment(stage)?)
        }
        _ => return None,
    };
    Some(Route::Page(page))
}

fn act(parts: &[&str]) -> Option<Deed> {
    let ["pipelines", pipeline, ref rest @ ..] = *parts else { return None };
    let act = match *rest {
        ["start"] => Act::Start,
        ["configure"] => Act::Configure,
        ["reinstate"] => Act::Reinstate,
        ["executions", id, "stop"] => Act::Stop(id.parse().ok()?),
        ["stages", stage, verb] => {
            let stage = named_by_segment(stage)?;
            match verb {
                "rollback" => Act::RollBack(stage),
                "transition" => Act::Transition(stage),
                "release" => Act::Release(stage),
                "retry" => Act::Retry(stage),
                "override" => Act::Override(stage),
                "approval" => Act::Approve(stage),
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(Deed { pipeline: named_by_segment(pipeline)?, act })
}

impl Page {
    /// Where it is.
    pub(super) fn path(&self) -> String {
        match self {
            Self::Pipelines => ROOT.to_owned(),
            Self::Attention => format!("{ROOT}/attention"),
            Self::AllRollbacks => format!("{ROOT}/rollbacks"),
            Self::Pipeline(pipeline) => pipeline_path(pipeline),
            Self::Start(pipeline) => format!("{}/start", pipeline_path(pipeline)),
            Self::Configure(pipeline) => format!("{}/configure", pipeline_path(pipeline)),
            Self::History(pipeline) => format!("{}/history", pipeline_path(pipeline)),
            Self::Rollbacks(pipeline) => format!("{}/rollbacks", pipeline_path(pipeline)),
            Self::Execution(pipeline, id) => execution_path(pipeline, *id),
            Self::Rollback(pipeline, stage) => format!("{}/rollback", stage_page(pipeline, stage)),
        }
    }
}

impl Deed {
    /// The page that shows what became of it, or why it was refused.
    pub(super) fn page(&self) -> Page {
        let pipeline = self.pipeline.clone();
        match &self.act {
            Act::Start => Page::Start(pipeline),
            Act::Configure => Page::Configure(pipeline),
            Act::Reinstate => Page::Attention,
            Act::Stop(id) => Page::Execution(pipeline, *id),
            Act::RollBack(stage) => Page::Rollback(pipeline, stage.clone()),
            Act::Transition(_) | Act::Release(_) | Act::Retry(_) | Act::Override(_) | Act::Approve(_) => {
                Page::Pipeline(pipeline)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_and_deed_has_one_address() {
        let id = "00000000-0000-7000-8000-000000000000";
        for (path, methods) in [
            ("", "GET"),
            ("/", "GET"),
            ("/pipelines", "GET"),
            ("/attention", "GET"),
            ("/rollbacks", "GET"),
            ("/assets/0/console.css", "GET"),
            ("/pipelines/shop", "GET"),
            ("/pipelines/~..", "GET"),
            ("/pipelines/~./stages/~../rollback", "GET POST"),
            ("/pipelines/shop/start", "GET POST"),
            ("/pipelines/shop/configure", "GET POST"),
            ("/pipelines/shop/reinstate", "POST"),
            ("/pipelines/shop/history", "GET"),
            ("/pipelines/shop/rollbacks", "GET"),
            (&format!("/pipelines/shop/executions/{id}"), "GET"),
            (&format!("/pipelines/shop/executions/{id}/stop"), "POST"),
            ("/pipelines/shop/stages/Prod/rollback", "GET POST"),
            ("/pipelines/shop/stages/Prod/transition", "POST"),
            ("/pipelines/shop/stages/Prod/release", "POST"),
            ("/pipelines/shop/stages/Prod/retry", "POST"),
            ("/pipelines/shop/stages/Prod/override", "POST"),
            ("/pipelines/shop/stages/Prod/approval", "POST"),
        ] {
            for method in ["GET", "POST", "DELETE"] {
                let found = route(method, &format!("{ROOT}{path}"));
                assert_eq!(found.is_ok(), methods.contains(method), "{method} {path}: {found:?}");
                assert_ne!(found, Err(NoRoute::NotFound), "{method} {path}");
                if let Ok(Route::Deed(deed)) = found {
                    assert_eq!(route("GET", &deed.page().path()), Ok(Route::Page(deed.page())));
                }
            }
        }
    }

    #[test]
    fn what_is_no_name_is_nowhere() {
        for path in [
            "/x",
            "/pipelines/a%20b",
            "/pipelines/shop/x",
            "/pipelines/shop/executions/1",
            "/pipelines//x/y/z",
            "/pipelines/..",
        ] {
            assert_eq!(route("GET", &format!("{ROOT}{path}")), Err(NoRoute::NotFound), "{path}");
        }
        assert_eq!(route("GET", "/elsewhere"), Err(NoRoute::NotFound));
        assert!(is_console("/console") && is_console("/console/x"));
        assert!(!is_console("/consoles") && !is_console("/"));
    }
}

//! Addresses of the console's pages, below the address where people reach it.

use std::{borrow::Cow, str::FromStr};

use crate::{ExecutionId, PipelineName, StageName};

/// Path that every page of the console is under.
pub const CONSOLE: &str = "/console";

/// What stands before a name that addresses cannot hold as it is; no name begins with it.
const MARK: char = '~';

/// Path of a pipeline's page.
pub fn pipeline_page(pipeline: &PipelineName) -> String {
    format!("{CONSOLE}/pipelines/{}", segment(pipeline.as_str()))
}

/// Path of an execution's page.
pub fn execution_page(pipeline: &PipelineName, id: ExecutionId) -> String {
    format!("{}/executions/{id}", pipeline_page(pipeline))
}

/// Path that pages and forms of a stage are under.
pub fn stage_page(pipeline: &PipelineName, stage: &StageName) -> String {
    format!("{}/stages/{}", pipeline_page(pipeline), segment(stage.as_str()))
}

/// The name that a part of a path stands for; none where it stands for no name.
pub fn named_by_segment<T: FromStr>(part: &str) -> Option<T> {
    let name = part.strip_prefix(MARK).unwrap_or(part);
    // Every page has one address.
    name.parse().ok().filter(|_| segment(name) == part)
}

/// A name as a part of a path. Names have no character that a path would have to escape, but whoever reads an address takes
/// `.` and `..` (also written as `%2E`) for the way up.
fn segment(name: &str) -> Cow<'_, str> {
    if matches!(name, "." | "..") { format!("{MARK}{name}").into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_one_address_that_no_reader_changes() {
        for (name, expected) in [
            ("shop", "shop"),
            (".", "~."),
            ("..", "~.."),
            ("...", "..."),
            (".well-known", ".well-known"),
            ("a@b_c-d.e", "a@b_c-d.e"),
        ] {
            assert_eq!(segment(name), expected);
            assert_eq!(named_by_segment::<PipelineName>(expected), Some(name.parse().unwrap()));
            let page = stage_page(&name.parse().unwrap(), &name.parse().unwrap());
            assert_eq!(page, format!("/console/pipelines/{expected}/stages/{expected}"));
            assert!(page.split('/').all(|part| part != "." && part != ".."));
        }
        for none in ["", "~", "~shop", "~~.", ".", "..", "~...", "a%20b"] {
            assert_eq!(named_by_segment::<PipelineName>(none), None, "{none}");
        }
    }
}

//! Starting an execution, with other revisions and variables than the newest and the usual.

use askama::Template;
use domain::{PipelineName, SourceRevisionType};
use engine::HasStore;
use serde_json::{Value, json};

use super::{
    forms::Form,
    frame::{Frame, Visit, render},
    route::{ROOT, pipeline_path},
};
use crate::failure::Failure;

#[derive(Template)]
#[template(path = "start.html")]
struct StartPage {
    frame: Frame,
    path: String,
    pipeline: PipelineName,
    once: String,
    variables: Vec<VariableField>,
    sources: Vec<SourceField>,
}

struct VariableField {
    name: String,
    description: String,
    usual: Option<String>,
    typed: String,
}

struct SourceField {
    action: String,
    provider: String,
    kinds: Vec<(&'static str, &'static str)>,
    typed: String,
    typed_kind: String,
}

/// The form.
pub(super) async fn show<W: HasStore>(world: &W, visit: &Visit, name: &PipelineName) -> Result<String, Failure> {
    let index = engine::load_view(world, name).await?.index;
    let variables = index.variables.iter().map(|variable| VariableField {
        description: variable.description.clone().unwrap_or_default(),
        usual: variable.default_value.clone(),
        typed: visit.typed(&format!("variable.{}", variable.name)).to_owned(),
        name: variable.name.clone(),
    });
    let sources = index.stages.first().into_iter().flat_map(|stage| &stage.actions).filter_map(|action| {
        let kinds = SourceRevisionType::of(&action.action_type);
        (!kinds.is_empty()).then(|| SourceField {
            provider: action.action_type.provider.clone(),
            kinds: kinds.iter().map(|kind| (kind.as_str(), words_of(*kind))).collect(),
            typed: visit.typed(&format!("revision.{}", action.name)).to_owned(),
            typed_kind: visit.typed(&format!("kind.{}", action.name)).to_owned(),
            action: action.name.to_string(),
        })
    });
    render(&StartPage {
        frame: visit.frame("Start").under("Pipelines", ROOT).under(name.to_string(), pipeline_path(name)),
        path: format!("{}/start", pipeline_path(name)),
        variables: variables.collect(),
        sources: sources.collect(),
        // Whoever sends a refused form again has started nothing yet.
        once: visit.once.clone(),
        pipeline: name.clone(),
    })
}

fn words_of(kind: SourceRevisionType) -> &'static str {
    match kind {
        SourceRevisionType::CommitId => "commit",
        SourceRevisionType::ImageDigest => "image digest",
        SourceRevisionType::S3ObjectVersionId => "version of the object",
        SourceRevisionType::S3ObjectKey => "key of another object",
    }
}

/// The form as StartPipelineExecution's input. What was left empty is what it usually is.
pub(super) fn input(pipeline: &PipelineName, form: &Form) -> Value {
    let given = |value: &&str| !value.trim().is_empty();
    let variables = form.under("variable.").filter(|(_, value)| given(value));
    let revisions = form.under("revision.").filter(|(_, value)| given(value)).map(|(action, value)| {
        let kind = form.text(&format!("kind.{action}"));
        json!({ "actionName": action, "revisionType": kind, "revisionValue": value.trim() })
    });
    let variables: Vec<Value> = variables.map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let revisions: Vec<Value> = revisions.collect();
    json!({
        "name": pipeline,
        "clientRequestToken": form.given("once"),
        "variables": Some(variables).filter(|all| !all.is_empty()),
        "sourceRevisions": Some(revisions).filter(|all| !all.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_filled_in_is_sent() {
        let form = Form::read(
            b"once=7&variable.Color=red&variable.Size=&revision.Fetch=+v2+&kind.Fetch=S3_OBJECT_VERSION_ID&revision.Other=",
        );
        let input = input(&"shop".parse().unwrap(), &form);
        assert_eq!(input["variables"], json!([{"name": "Color", "value": "red"}]));
        let revision = json!({"actionName": "Fetch", "revisionType": "S3_OBJECT_VERSION_ID", "revisionValue": "v2"});
        assert_eq!(input["sourceRevisions"], json!([revision]));
        assert_eq!(super::input(&"shop".parse().unwrap(), &Form::default())["variables"], Value::Null);
    }
}

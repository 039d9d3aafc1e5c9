//! `cargo xtask import <file>`: a pipeline as somebody has it, as the input of `create-pipeline`.
//!
//! Taken are what `aws codepipeline get-pipeline` prints, a bare declaration, and CloudFormation's form of it: a template
//! with `AWS::CodePipeline::Pipeline` resources, one such resource, or its properties; JSON or YAML.

mod document;
mod intrinsics;
mod recase;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use serde_json::{Map, Value, json};

use intrinsics::Resolver;

const RESOURCE_TYPE: &str = "AWS::CodePipeline::Pipeline";

/// What to import, and what its references stand for.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The output of get-pipeline, a declaration, or a CloudFormation template (JSON or YAML)
    file: PathBuf,
    /// What `Ref`, `Fn::GetAtt`, `Fn::Sub` and `Fn::ImportValue` stand for, such as Bucket=artifacts or Role.Arn=arn:aws:...
    #[arg(long = "parameter", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// Which pipeline of a template with several: its logical id
    #[arg(long)]
    resource: Option<String>,
    /// Name of a pipeline that has none in its template
    #[arg(long)]
    name: Option<String>,
}

/// Prints the input of `create-pipeline`, and on standard error what cannot be part of it.
///
/// # Errors
/// When the file holds no pipeline, or a reference in it that no parameter resolves.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(&options.file).with_context(|| format!("read {}", options.file.display()))?;
    let imported = import(&text, options)?;
    for note in &imported.notes {
        eprintln!("note: {note}");
    }
    println!("{}", serde_json::to_string_pretty(&imported.input)?);
    Ok(())
}

/// A pipeline, ready to be created.
struct Imported {
    /// CreatePipeline's input.
    input: Value,
    /// What it leaves out, for people.
    notes: Vec<String>,
}

fn import(text: &str, options: &Options) -> anyhow::Result<Imported> {
    let document = document::read(text)?;
    if let Some(declaration) = document.get("pipeline").or(document.get("stages").map(|_| &document)) {
        let mut declaration = declaration.clone();
        // The server counts versions itself.
        declaration.as_object_mut().context("the pipeline is no object")?.remove("version");
        return Ok(Imported { input: json!({"pipeline": declaration}), notes: Vec::new() });
    }
    let (place, properties) = find_properties(&document, options.resource.as_deref())?;
    let mut resolver = Resolver::new(parameters(options)?, &document);
    let resolved = resolver.resolve(properties, &place);
    resolver.finish()?;
    convert(resolved.unwrap_or_default(), options.name.as_deref())
}

fn parameters(options: &Options) -> anyhow::Result<BTreeMap<String, String>> {
    let pair = |text: &String| {
        let (name, value) = text.split_once('=').with_context(|| format!("--parameter {text}: write NAME=VALUE"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    options.parameters.iter().map(pair).collect()
}

/// The properties of the pipeline in `document`, and where they are.
fn find_properties<'d>(document: &'d Value, chosen: Option<&str>) -> anyhow::Result<(String, &'d Value)> {
    if document.get("Stages").is_some() {
        return Ok(("Properties".to_owned(), document));
    }
    if document["Type"] == RESOURCE_TYPE {
        return Ok(("Properties".to_owned(), &document["Properties"]));
    }
    let resources = document.get("Resources").and_then(Value::as_object);
    let Some(resources) = resources else {
        bail!("there is neither a pipeline nor a template in it: nothing called pipeline, stages, Stages or Resources");
    };
    let is_chosen = |id: &str| chosen.is_none_or(|chosen| chosen == id);
    let found: Vec<_> =
        resources.iter().filter(|(id, resource)| resource["Type"] == RESOURCE_TYPE && is_chosen(id)).collect();
    let ids: Vec<_> = found.iter().map(|(id, _)| id.as_str()).collect();
    match found.as_slice() {
        [(id, resource)] => Ok((format!("Resources.{id}.Properties"), &resource["Properties"])),
        [] => {
            bail!("the template has no {RESOURCE_TYPE}{}", chosen.map(|id| format!(" called {id}")).unwrap_or_default())
        }
        _ => bail!("the template has several pipelines: choose one by --resource, of {}", ids.join(", ")),
    }
}

/// CloudFormation's properties, resolved, as CreatePipeline's input.
fn convert(properties: Value, name: Option<&str>) -> anyhow::Result<Imported> {
    let Value::Object(mut properties) = properties else { bail!("the pipeline's Properties are no object") };
    let mut notes = Vec::new();
    if properties.remove("RestartExecutionOnUpdate").is_some() {
        notes.push(
            "RestartExecutionOnUpdate is CloudFormation's: start the pipeline after an update yourself".to_owned(),
        );
    }
    let closed = properties.remove("DisableInboundStageTransitions");
    let tags = properties.remove("Tags");
    if let Some(stores) = properties.remove("ArtifactStores") {
        properties.insert("ArtifactStores".to_owned(), stores_by_region(&stores)?);
    }
    let name = name.map(Value::from).or(properties.remove("Name"));
    let name = name.context("the pipeline has no Name, since CloudFormation would make one: give it by --name")?;
    let mut pipeline = recase::members(&Value::Object(properties))?;
    pipeline["name"] = name.clone();
    for stage in closed.as_ref().and_then(Value::as_array).into_iter().flatten() {
        let text = |member: &str| stage[member].as_str().unwrap_or_default();
        notes.push(format!(
            "DisableInboundStageTransitions: aws codepipeline disable-stage-transition --pipeline-name {} --stage-name {} \
             --transition-type Inbound --reason '{}'",
            name.as_str().unwrap_or_default(),
            text("StageName"),
            text("Reason"),
        ));
    }
    let mut input = json!({"pipeline": pipeline});
    if let Some(tags) = tags {
        input["tags"] = recase::members(&tags)?;
    }
    Ok(Imported { input, notes })
}

/// CloudFormation lists stores with their region; the API has a map of them.
fn stores_by_region(stores: &Value) -> anyhow::Result<Value> {
    let mut by_region = Map::new();
    for entry in stores.as_array().context("ArtifactStores is no list")? {
        let region = entry["Region"].as_str().context("an entry of ArtifactStores has no Region")?;
        ensure!(entry["ArtifactStore"].is_object(), "ArtifactStores has no ArtifactStore for {region}");
        by_region.insert(region.to_owned(), entry["ArtifactStore"].clone());
    }
    Ok(Value::Object(by_region))
}

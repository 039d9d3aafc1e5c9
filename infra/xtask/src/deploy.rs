//! `cargo xtask deploy`: everything into an account, by the AWS CLI, asking before anything is changed.

use std::{
    io::{self, BufRead, Write},
    process::Command,
};

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{package, workspace};

const TEMPLATE: &str = "infra/template.yaml";
/// Where the template goes whose zips are uploaded.
const PACKAGED: &str = "target/lambda/packaged.yaml";
/// CloudFormation names a function `<stack>-<logical id>-<up to 13 random characters>`, with 64 characters at most, and cuts both names where
/// that is too long. The template keeps actions from invoking the stack's own functions by these names, so they have to be whole.
const STACK_NAME_MAX: usize = 24;
/// The status of a stack that is nothing yet but a change set.
const UNMADE: &str = "REVIEW_IN_PROGRESS";

/// Whose account, and what of it.
#[derive(Args)]
pub(crate) struct Options {
    /// Profile of the AWS CLI's settings; it says which account
    #[arg(long)]
    profile: String,
    /// Region of the stack
    #[arg(long)]
    region: String,
    /// Name of the stack; one that is there is upgraded
    #[arg(long, default_value = "lastgood", value_parser = stack_name)]
    stack_name: String,
    /// What the functions run on
    #[arg(long, value_enum, default_value = "arm64")]
    architecture: Architecture,
    /// A parameter of the template, NAME=VALUE; may be given several times. What is not given stays as it is
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<String>,
    /// Bucket for the zips; one named after account and region unless given, which is made
    #[arg(long)]
    bucket: Option<String>,
    /// Deploys the zips that are in target/lambda
    #[arg(long)]
    packaged: bool,
    /// Asks nothing, for scripts
    #[arg(long)]
    yes: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Architecture {
    Arm64,
    #[value(name = "x86_64")]
    X86_64,
}

impl Architecture {
    fn parameter(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86_64 => "x86_64",
        }
    }

    /// Linked without a C library of the machine that builds it.
    fn target(self) -> &'static str {
        match self {
            Self::Arm64 => "aarch64-unknown-linux-musl",
            Self::X86_64 => "x86_64-unknown-linux-musl",
        }
    }
}

/// Deploys, after two questions: whether this is the account, and whether these are the changes.
///
/// # Errors
/// A command of the AWS CLI that failed, with what it said; an answer that was not yes.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let aws = Aws { profile: &options.profile, region: &options.region };
    let identity: Identity = aws.json(&["sts", "get-caller-identity"])?;
    let is_new = aws.is_new(&options.stack_name)?;
    // Not lastgood-...: pipelines may write to buckets of that name, and must not write functions.
    let bucket = options
        .bucket
        .clone()
        .unwrap_or_else(|| format!("packages-of-lastgood-{}-{}", identity.account, options.region));
    let owner = ["--bucket", bucket.as_str(), "--expected-bucket-owner", identity.account.as_str()];
    let has_bucket = aws.succeeds(&[&["s3api", "head-bucket"], &owner[..]].concat())?;

    println!("Account {}, as {}", identity.account, identity.arn);
    println!("Region  {}", options.region);
    println!("Stack   {}, {}", options.stack_name, if is_new { "new" } else { "to be upgraded" });
    println!("Zips to {bucket}{}", if has_bucket { "" } else { ", which is made" });
    if options.packaged {
        println!("Zips are those in target/lambda");
    }
    ask(options.yes, "Upload the functions there and have CloudFormation say what it would change?")?;

    if !options.packaged {
        package::run(&package::Options::for_target(Some(options.architecture.target().to_owned())))?;
    }
    if !has_bucket {
        let arguments = create_bucket(&bucket, &options.region);
        aws.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    let upload = ["--template-file", TEMPLATE, "--s3-bucket", &bucket, "--output-template-file", PACKAGED];
    aws.run(&[&["cloudformation", "package"], &upload[..]].concat())?;
    let Some(change_set) = aws.change_set(options, &bucket)? else {
        println!("Nothing to change.");
        return Ok(());
    };
    let described: ChangeSet =
        aws.json(&["cloudformation", "describe-change-set", "--change-set-name", &change_set])?;
    described.changes.iter().for_each(|change| println!("{}", change.resource.line()));
    if let Err(refusal) = ask(options.yes, &format!("Make these {} changes?", described.changes.len())) {
        aws.withdraw(&change_set, &options.stack_name, is_new)?;
        return Err(refusal);
    }
    aws.run(&["cloudformation", "execute-change-set", "--change-set-name", &change_set])?;
    let end = if is_new { "stack-create-complete" } else { "stack-update-complete" };
    aws.run(&["cloudformation", "wait", end, "--stack-name", &options.stack_name]).with_context(|| {
        format!("see the events of stack {} for what failed; it is rolled back", options.stack_name)
    })?;
    let stacks: Stacks = aws.json(&["cloudformation", "describe-stacks", "--stack-name", &options.stack_name])?;
    for output in stacks.stacks.iter().flat_map(|stack| &stack.outputs) {
        println!("{:<18} {}", output.output_key, output.output_value);
    }
    Ok(())
}

/// The AWS CLI, of whatever version is installed.
struct Aws<'a> {
    profile: &'a str,
    region: &'a str,
}

impl Aws<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("aws");
        command.args(arguments).args(["--profile", self.profile, "--region", self.region, "--output", "json"]);
        command.current_dir(workspace::root());
        command
    }

    fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.command(arguments).output().context("run the AWS CLI, `aws`")?;
        let said = String::from_utf8_lossy(&output.stderr);
        let what = arguments.iter().take(2).copied().collect::<Vec<_>>().join(" ");
        ensure!(output.status.success(), "aws {what}: {}", said.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Whether it ends well; that it does not is an answer as well.
    fn succeeds(&self, arguments: &[&str]) -> anyhow::Result<bool> {
        Ok(self.command(arguments).output().context("run the AWS CLI, `aws`")?.status.success())
    }

    fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> anyhow::Result<T> {
        serde_json::from_str(&self.run(arguments)?).with_context(|| format!("read what aws {} says", arguments[0]))
    }

    /// Whether the stack is still to be made.
    fn is_new(&self, stack: &str) -> anyhow::Result<bool> {
        let asked = ["cloudformation", "describe-stacks", "--stack-name", stack];
        Ok(!self.succeeds(&asked)? || self.json::<Stacks>(&asked)?.is_unmade())
    }

    /// Has CloudFormation work out what it would change; none if nothing.
    fn change_set(&self, options: &Options, bucket: &str) -> anyhow::Result<Option<String>> {
        let mut arguments = vec!["cloudformation", "deploy", "--template-file", PACKAGED];
        arguments.extend(["--stack-name", &options.stack_name, "--s3-bucket", bucket]);
        arguments.extend([
            "--capabilities",
            "CAPABILITY_IAM",
            "--no-execute-changeset",
            "--no-fail-on-empty-changeset",
        ]);
        let architecture = format!("Architecture={}", options.architecture.parameter());
        arguments.extend(["--parameter-overrides", &architecture]);
        arguments.extend(options.parameters.iter().map(String::as_str));
        let said = self.run(&arguments)?;
        let found = change_set_arn(&said);
        ensure!(found.is_some() || said.contains("No changes"), "aws cloudformation deploy said: {}", said.trim());
        Ok(found)
    }

    /// Nothing is left of what was not wanted: the change set, and the empty stack that it made.
    fn withdraw(&self, change_set: &str, stack: &str, is_new: bool) -> anyhow::Result<()> {
        self.run(&["cloudformation", "delete-change-set", "--change-set-name", change_set])?;
        if is_new {
            self.run(&["cloudformation", "delete-stack", "--stack-name", stack])?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Identity {
    account: String,
    arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ChangeSet {
    #[serde(default)]
    changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    #[serde(rename = "ResourceChange")]
    resource: ResourceChange,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResourceChange {
    action: String,
    logical_resource_id: String,
    resource_type: String,
    /// Whether an upgrade makes it anew.
    #[serde(default)]
    replacement: Option<String>,
}

impl ResourceChange {
    fn line(&self) -> String {
        let anew = self.replacement.as_deref().filter(|replacement| *replacement != "False");
        let anew = anew.map(|replacement| format!("  (replacement: {replacement})")).unwrap_or_default();
        format!("{:<8} {:<32} {}{anew}", self.action, self.logical_resource_id, self.resource_type)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stacks {
    stacks: Vec<Stack>,
}

impl Stacks {
    /// What a first run that was interrupted leaves behind is made, not upgraded.
    fn is_unmade(&self) -> bool {
        self.stacks.iter().all(|stack| stack.stack_status == UNMADE)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stack {
    stack_status: String,
    #[serde(default)]
    outputs: Vec<Output>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    output_key: String,
    output_value: String,
}

/// Every region but the first has to be named in the bucket's configuration.
fn create_bucket(bucket: &str, region: &str) -> Vec<String> {
    let mut arguments = ["s3api", "create-bucket", "--bucket", bucket].map(str::to_owned).to_vec();
    if region != "us-east-1" {
        arguments.extend(["--create-bucket-configuration".to_owned(), format!("LocationConstraint={region}")]);
    }
    arguments
}

/// The change set that `aws cloudformation deploy` names in what it prints.
fn change_set_arn(said: &str) -> Option<String> {
    said.split_whitespace().find(|word| word.starts_with("arn:") && word.contains(":changeSet/")).map(str::to_owned)
}

fn stack_name(name: &str) -> Result<String, String> {
    let is_valid = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !is_valid {
        return Err("letters, digits and '-', a letter first".to_owned());
    }
    if name.len() > STACK_NAME_MAX {
        return Err(format!(
            "at most {STACK_NAME_MAX} characters: CloudFormation shortens the names of functions of a stack with a longer \
             name, and the template knows them by their whole names"
        ));
    }
    Ok(name.to_owned())
}

fn parameter(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some(("Architecture", _)) => Err("use --architecture, which packages for it too".to_owned()),
        Some((name, _)) if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric()) => Ok(text.to_owned()),
        _ => Err("NAME=VALUE, with a name of the template's parameters".to_owned()),
    }
}

/// Goes on after "yes" alone.
fn ask(is_agreed: bool, question: &str) -> anyhow::Result<()> {
    if is_agreed {
        return Ok(());
    }
    print!("{question} [yes/no] ");
    io::stdout().flush().context("ask")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).context("read the answer")?;
    if answer.trim() != "yes" {
        bail!("nothing was changed in the stack: the answer was not yes");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_change_set_is_found_in_what_the_cli_prints() {
        let arn = "arn:aws:cloudformation:eu-central-1:123456789012:changeSet/awscli-1/2";
        let said = format!("Changeset created. Run:\naws cloudformation describe-change-set --change-set-name {arn}\n");
        assert_eq!(change_set_arn(&said).as_deref(), Some(arn));
        assert_eq!(change_set_arn("No changes to deploy. Stack lastgood is up to date"), None);
    }

    #[test]
    fn changes_say_what_is_made_anew() {
        let changes = r#"{"Changes": [
            {"ResourceChange": {"Action": "Add", "LogicalResourceId": "Table", "ResourceType": "AWS::DynamoDB::Table"}},
            {"ResourceChange": {"Action": "Modify", "LogicalResourceId": "Bucket", "ResourceType": "AWS::S3::Bucket", "Replacement": "True"}}]}"#;
        let set: ChangeSet = serde_json::from_str(changes).unwrap();
        let lines: Vec<String> = set.changes.iter().map(|change| change.resource.line()).collect();
        assert!(lines[0].starts_with("Add      Table ") && lines[0].ends_with("AWS::DynamoDB::Table"), "{lines:?}");
        assert!(lines[1].ends_with("AWS::S3::Bucket  (replacement: True)"), "{lines:?}");
    }

    #[test]
    fn names_and_parameters_are_checked_at_the_door() {
        assert!(stack_name("lastgood-eu").is_ok());
        for name in ["", "1st", "a b", &"x".repeat(STACK_NAME_MAX + 1)] {
            assert!(stack_name(name).is_err(), "{name}");
        }
        assert!(stack_name(&"x".repeat(STACK_NAME_MAX)).is_ok());
        assert!(parameter("EventBusName=releases").is_ok() && parameter("PipelineBuckets=a,b").is_ok());
        for text in ["EventBusName", "=x", "--yes=1", "Architecture=arm64"] {
            assert!(parameter(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_of_functions_stay_whole() {
        let template = std::fs::read_to_string(workspace::root().join(TEMPLATE)).unwrap();
        let lines = template.lines().zip(template.lines().skip(1));
        let functions = lines.filter(|(_, kind)| *kind == "    Type: AWS::Serverless::Function");
        let longest = functions.map(|(id, _)| id.trim().trim_end_matches(':').len()).max().unwrap();
        assert!(
            STACK_NAME_MAX + "-".len() + longest + "-".len() + 13 <= 64,
            "a function's id has {longest} characters"
        );
    }

    #[test]
    fn what_an_interrupted_first_run_left_is_new() {
        let is_unmade = |status: &str| {
            let said = format!(r#"{{"Stacks": [{{"StackName": "lastgood", "StackStatus": "{status}"}}]}}"#);
            serde_json::from_str::<Stacks>(&said).unwrap().is_unmade()
        };
        assert!(is_unmade("REVIEW_IN_PROGRESS"));
        for there in ["CREATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE", "ROLLBACK_COMPLETE"] {
            assert!(!is_unmade(there), "{there}");
        }
    }

    #[test]
    fn the_first_region_is_the_one_that_buckets_do_not_name() {
        assert_eq!(create_bucket("b", "us-east-1").len(), 4);
        assert_eq!(create_bucket("b", "eu-west-1")[5], "LocationConstraint=eu-west-1");
    }
}

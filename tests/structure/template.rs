//! The SAM template deploys what the code is: every function with the environment it reads and the permissions its
//! adapters need, every state machine with what it names.

use std::collections::{BTreeMap, BTreeSet};

use yaml_rust2::{Yaml, YamlLoader};

use crate::{
    machine::machines,
    workspace::{self, Member, assert_none},
};

const TEMPLATE: &str = "infra/template.yaml";

/// Which policies an adapter needs, by its feature of crate `aws`.
const POLICIES: [(&str, &str); 6] = [
    ("sfn", "MachinesPolicy"),
    ("eventbridge", "EventsPolicy"),
    ("cloudwatch", "AlarmsPolicy"),
    ("s3", "ReadObjectsPolicy"),
    ("lambda", "ActionFunctionsPolicy"),
    ("sts", "RolesPolicy"),
];

/// Needed by every function, whatever it links.
const POLICIES_OF_ALL: [&str; 1] = ["ReadTablePolicy"];

/// What more whoever writes needs, which no feature tells.
const POLICIES_OF_WRITERS: [(&str, &[&str]); 8] = [
    ("api", &["WriteTablePolicy", "WriteDefinitionsPolicy"]),
    ("source-trigger", &["WriteTablePolicy"]),
    // It looks at what stands in the way before a stage is entered, and what it finds is marked.
    ("stage-gate", &["WriteTablePolicy", "KeepArtifactsPolicy"]),
    ("run-action", &["WriteTablePolicy", "WriteObjectsPolicy"]),
    ("evaluate-condition", &["WriteTablePolicy"]),
    ("evaluate-rollback", &["WriteTablePolicy"]),
    ("alarm-handler", &["WriteTablePolicy"]),
    ("reconciler", &["WriteTablePolicy", "KeepArtifactsPolicy"]),
];

/// What ARNs begin with, and where AWS's console is, in one partition alone.
const PARTITIONS: [&str; 3] = ["arn:aws", ".console.aws.amazon.", ".console.amazonaws"];

/// Functions that are invoked asynchronously: what they cannot handle must not vanish.
const ASYNCHRONOUS: [&str; 3] = ["alarm-handler", "reconciler", "source-trigger"];

/// The template. Tags such as `!Ref` are gone: `!Ref Table` reads `Table`.
pub(crate) fn template() -> Yaml {
    let documents = YamlLoader::load_from_str(&workspace::read(TEMPLATE)).expect("the template is YAML");
    documents.into_iter().next().expect("the template is a document")
}

/// Resources of a type, by logical id.
pub(crate) fn resources<'a>(template: &'a Yaml, kind: &str) -> BTreeMap<&'a str, &'a Yaml> {
    let all = template["Resources"].as_hash().expect("a template has resources");
    let of_kind = all.iter().filter(|(_, resource)| resource["Type"].as_str() == Some(kind));
    of_kind.map(|(id, resource)| (id.as_str().expect("ids are text"), &resource["Properties"])).collect()
}

/// Deployed functions by their folder's name, with their properties.
fn functions(template: &Yaml) -> BTreeMap<String, &Yaml> {
    let functions = resources(template, "AWS::Serverless::Function");
    functions.into_values().map(|properties| (deployed_from(properties), properties)).collect()
}

fn deployed_from(properties: &Yaml) -> String {
    let zip = properties["CodeUri"].as_str().unwrap_or_default();
    let name = zip.strip_prefix("../target/lambda/").and_then(|zip| zip.strip_suffix(".zip"));
    name.unwrap_or_else(|| panic!("{zip}: cargo xtask package writes to target/lambda/<name>.zip")).to_owned()
}

fn function_members() -> Vec<Member> {
    workspace::members().into_iter().filter(|member| member.folder().starts_with("functions/")).collect()
}

fn keys(mapping: &Yaml) -> BTreeSet<String> {
    mapping.as_hash().into_iter().flatten().filter_map(|(key, _)| Some(key.as_str()?.to_owned())).collect()
}

pub(crate) fn texts(list: &Yaml) -> BTreeSet<&str> {
    list.as_vec().into_iter().flatten().filter_map(Yaml::as_str).collect()
}

#[test]
fn every_function_is_deployed() {
    let template = template();
    let deployed: BTreeSet<String> = functions(&template).into_keys().collect();
    let built: BTreeSet<String> = function_members().into_iter().map(|member| member.name).collect();
    assert_eq!(deployed, built);
}

#[test]
fn functions_are_told_what_their_configuration_reads() {
    let template = template();
    // AWS_REGION and its like are Lambda's to set.
    let read: BTreeSet<String> =
        runtime::Config::variables().filter(|name| !name.starts_with("AWS_")).map(str::to_owned).collect();
    assert_eq!(keys(&template["Globals"]["Function"]["Environment"]["Variables"]), read);
    for (name, properties) in functions(&template) {
        assert!(properties["Environment"].is_badvalue(), "{name}: runtime::Config knows no variables of one function");
    }
}

#[test]
fn machines_are_told_what_they_name() {
    let template = template();
    let deployed = resources(&template, "AWS::Serverless::StateMachine");
    let machines = machines();
    assert_eq!(deployed.len(), machines.len());
    for machine in machines {
        let uri = format!("../{}", machine.file);
        let properties = deployed.values().find(|properties| properties["DefinitionUri"].as_str() == Some(&uri));
        let properties = properties.unwrap_or_else(|| panic!("{TEMPLATE} deploys no {uri}"));
        let given: Vec<String> = keys(&properties["DefinitionSubstitutions"]).into_iter().collect();
        assert_eq!(given, machine.substitutions(), "{uri}");
    }
}

#[test]
fn every_machine_keeps_its_versions() {
    let template = template();
    let (all, versions) = (&template["Resources"], resources(&template, "AWS::StepFunctions::StateMachineVersion"));
    let aliases = resources(&template, "AWS::StepFunctions::StateMachineAlias");
    for id in versions.keys().chain(aliases.keys()) {
        assert_eq!(all[*id]["Condition"].as_str(), Some("HasMachineVersions"), "{id}");
    }
    // Executions run by old versions, and the alias may be set back to them.
    for id in versions.keys() {
        let kept = (all[*id]["DeletionPolicy"].as_str(), all[*id]["UpdateReplacePolicy"].as_str());
        assert_eq!(kept, (Some("Retain"), Some("Retain")), "{id}");
    }
    let mut started = BTreeSet::new();
    for (id, machine) in resources(&template, "AWS::Serverless::StateMachine") {
        let version = versions.iter().find(|(_, of)| of["StateMachineArn"].as_str() == Some(id));
        let (version, of) = version.unwrap_or_else(|| panic!("{id} has no version"));
        let revision = of["StateMachineRevisionId"].as_str();
        assert_eq!(revision, Some(format!("{id}.StateMachineRevisionId").as_str()), "{version}");
        let by_alias = aliases.values().filter(|alias| {
            let routes = &alias["RoutingConfiguration"];
            alias["Name"].as_str() == Some("live") && routes[0]["StateMachineVersionArn"].as_str() == Some(version)
        });
        started.extend((by_alias.count() == 1).then_some(id));
        // A version names the version of the machine that it starts, so that both are set back by one alias.
        let nested = &machine["DefinitionSubstitutions"]["StageRunMachineArn"];
        assert!(nested.is_badvalue() || nested[1].as_str() == Some("StageRunVersion"), "{id}");
    }
    let machines = resources(&template, "AWS::Serverless::StateMachine");
    let unnamed: Vec<&str> = machines.into_keys().filter(|id| !started.contains(id)).collect();
    assert_eq!(unnamed, ["StageRunMachine"], "started by an alias, all but the one that pipeline-execution starts");
    let arn = &template["Globals"]["Function"]["Environment"]["Variables"]["LASTGOOD_PIPELINE_MACHINE_ARN"];
    assert!(arn[1].as_str().is_some_and(|arn| arn.ends_with("-pipeline-execution:live")), "{arn:?}");
    let starts = statements(&template, "MachinesPolicy", "Allow");
    let starts = starts.iter().filter(|one| texts(&one["Action"]).contains("states:StartExecution"));
    let aliases: Vec<_> = starts
        .map(|one| one["Condition"][1]["ForAnyValue:StringEquals"]["states:StateMachineQualifier"].as_str())
        .collect();
    assert_eq!(aliases, [Some("live"), Some("live")], "nothing else may be started");
}

#[test]
fn functions_may_do_what_their_adapters_do() {
    let template = template();
    let deployed = functions(&template);
    let mut complaints = Vec::new();
    for member in function_members() {
        let given = texts(&role_of(&template, deployed[&member.name])["ManagedPolicyArns"]);
        let features = adapters(&member);
        let mut wanted: BTreeSet<&str> = POLICIES_OF_ALL.into();
        wanted.extend(POLICIES.iter().filter(|(feature, _)| features.contains(*feature)).map(|(_, policy)| policy));
        let writes = POLICIES_OF_WRITERS.iter().find(|(function, _)| *function == member.name);
        wanted.extend(writes.unwrap_or_else(|| panic!("say what {} writes", member.name)).1);
        complaints.extend(wanted.difference(&given).map(|policy| format!("{}: needs {policy}", member.name)));
        let surplus = given.difference(&wanted);
        complaints.extend(surplus.map(|policy| format!("{}: links nothing that needs {policy}", member.name)));
    }
    assert_none("permissions", &complaints);
}

/// The role that a function runs as.
pub(crate) fn role_of<'a>(template: &'a Yaml, function: &Yaml) -> &'a Yaml {
    let role = function["Role"].as_str().and_then(|role| role.strip_suffix(".Arn"));
    let role = role.unwrap_or_else(|| panic!("a function without a role that the template writes out: {function:?}"));
    resources(template, "AWS::IAM::Role")[role]
}

/// Features of crate `aws` that a function takes.
fn adapters(member: &Member) -> BTreeSet<&str> {
    let aws = member.dependencies.iter().find(|dependency| dependency.name == "aws");
    aws.into_iter().flat_map(|aws| aws.features.iter().map(String::as_str)).collect()
}

/// Statements of a policy with this effect.
pub(crate) fn statements<'a>(template: &'a Yaml, policy: &str, effect: &str) -> Vec<&'a Yaml> {
    let document = &resources(template, "AWS::IAM::ManagedPolicy")[policy]["PolicyDocument"];
    let all = document["Statement"].as_vec().into_iter().flatten();
    all.filter(|one| one["Effect"].as_str() == Some(effect)).collect()
}

#[test]
fn what_users_may_name_is_nothing_of_the_stacks_own() {
    let template = template();
    // Their Lambda actions invoke what a prefix covers, which may be the prefix of this stack's functions.
    let denied = statements(&template, "ActionFunctionsPolicy", "Deny");
    let denied = texts(&denied[0]["Resource"]);
    for id in resources(&template, "AWS::Serverless::Function").keys() {
        let name = format!(":function:${{AWS::StackName}}-{id}-*");
        assert!(denied.iter().any(|arn| arn.ends_with(&name)), "{id} may be invoked by actions");
    }
    // Their deploys write where a pattern says, which may be that of the definitions' bucket.
    let denied = statements(&template, "WriteObjectsPolicy", "Deny");
    assert_eq!(denied[0]["Resource"].as_str(), Some("${Bucket.Arn}/*"));
    let allowed = statements(&template, "WriteObjectsPolicy", "Allow");
    for action in allowed.iter().flat_map(|one| texts(&one["Action"])).filter(|action| action.starts_with("s3:Put")) {
        assert!(texts(&denied[0]["Action"]).contains(action), "{action} is not denied");
    }
}

#[test]
fn no_partition_is_written_out() {
    let mut files = workspace::files(&[".asl.json", ".md"]);
    files.retain(|file| file.starts_with("statemachine/"));
    assert!(files.len() > machines().len(), "machines and what is said of them: {files:?}");
    files.push(TEMPLATE.to_owned());
    let mut complaints = Vec::new();
    for file in files {
        let text = workspace::read(&file);
        let names = |line: &str| PARTITIONS.iter().any(|partition| line.contains(partition));
        let fixed = text.lines().enumerate().filter(|(_, line)| names(line));
        complaints.extend(fixed.map(|(at, line)| format!("{file}:{}: {}", at + 1, line.trim())));
    }
    assert_none("partitions", &complaints);
}

#[test]
fn only_webhooks_are_reached_unsigned() {
    let template = template();
    let routes = resources(&template, "AWS::ApiGatewayV2::Route");
    let open: Vec<&str> = routes
        .values()
        .filter(|route| !["AWS_IAM", "JWT"].contains(&route["AuthorizationType"].as_str().unwrap_or_default()))
        .filter_map(|route| route["RouteKey"].as_str())
        .collect();
    assert_eq!(open, [api::WEBHOOK_ROUTE]);
    let stages = resources(&template, "AWS::ApiGatewayV2::Stage");
    let limits: Vec<Option<i64>> = stages
        .values()
        .map(|stage| stage["RouteSettings"][api::WEBHOOK_ROUTE]["ThrottlingRateLimit"].as_i64())
        .collect();
    assert!(matches!(limits[..], [Some(_)]), "whoever is not authorised needs a limit: {limits:?}");
    for (id, properties) in resources(&template, "AWS::Serverless::Function") {
        assert!(properties["FunctionUrlConfig"].is_badvalue(), "{id}: an address of its own");
        let events = properties["Events"].as_hash().into_iter().flatten();
        let kinds: Vec<&str> = events.filter_map(|(_, event)| event["Type"].as_str()).collect();
        assert!(kinds.iter().all(|kind| ["EventBridgeRule", "Schedule"].contains(kind)), "{id}: {kinds:?}");
    }
    let callers = resources(&template, "AWS::Lambda::Permission");
    for (id, properties) in callers {
        assert_eq!(properties["FunctionName"].as_str(), Some("ApiFunction"), "{id}");
        assert!(properties["SourceArn"].as_str().is_some_and(|arn| arn.ends_with(":${Api}/*")), "{id}: of this API");
    }
}

#[test]
fn the_console_is_for_whom_its_issuer_knows_and_only_where_there_is_one() {
    let template = template();
    let routes = resources(&template, "AWS::ApiGatewayV2::Route");
    let with_token: BTreeMap<&str, &Yaml> =
        routes.into_iter().filter(|(_, route)| route["AuthorizationType"].as_str() == Some("JWT")).collect();
    let keys: Vec<&str> = with_token.values().filter_map(|route| route["RouteKey"].as_str()).collect();
    assert_eq!(keys, ["ANY /console/{proxy+}", "ANY /console"]);
    assert!(with_token.values().all(|route| route["AuthorizerId"].as_str() == Some("ConsoleAuthorizer")));
    for id in with_token.into_keys().chain(["ConsoleAuthorizer"]) {
        assert_eq!(template["Resources"][id]["Condition"].as_str(), Some("HasConsole"), "{id}");
    }
    assert_eq!(template["Parameters"]["ConsoleIssuer"]["Default"].as_str(), Some(""), "absent unless asked for");
    let authorizer = resources(&template, "AWS::ApiGatewayV2::Authorizer")["ConsoleAuthorizer"];
    assert_eq!(authorizer["AuthorizerType"].as_str(), Some("JWT"));
    assert_eq!(authorizer["JwtConfiguration"]["Issuer"].as_str(), Some("ConsoleIssuer"));
}

#[test]
fn no_permission_is_for_every_action() {
    let text = workspace::read(TEMPLATE);
    // What follows in the same line is on which resources.
    let actions = |line: &str| Some(line.split_once("Action:")?.1.split(']').next()?.contains('*'));
    let wild = text.lines().enumerate().filter(|(_, line)| actions(line) == Some(true));
    let complaints: Vec<String> =
        wild.map(|(number, line)| format!("{TEMPLATE}:{}: {}", number + 1, line.trim())).collect();
    assert_none("wildcards", &complaints);
}

#[test]
fn lost_events_are_kept() {
    let template = template();
    for (name, properties) in functions(&template) {
        let keeps = !properties["DeadLetterQueue"].is_badvalue();
        assert_eq!(keeps, ASYNCHRONOUS.contains(&name.as_str()), "{name}: DeadLetterQueue");
        let events = properties["Events"]
            .as_hash()
            .into_iter()
            .flatten()
            .filter(|(_, event)| event["Type"].as_str() != Some("HttpApi"));
        for (id, event) in events {
            assert!(!event["Properties"]["DeadLetterConfig"].is_badvalue(), "{name} {id:?}: DeadLetterConfig");
        }
    }
}

#[test]
fn the_death_of_what_drives_an_execution_is_told_at_once() {
    let template = template();
    let pattern = &functions(&template)["reconciler"]["Events"]["MachineDied"]["Properties"]["Pattern"];
    assert_eq!(texts(&pattern["source"]), ["aws.states"].into());
    assert_eq!(texts(&pattern["detail-type"]), ["Step Functions Execution Status Change"].into());
    assert_eq!(texts(&pattern["detail"]["status"]), ["ABORTED", "FAILED", "TIMED_OUT"].into());
    // Of the others somebody else is told, or has noted what they should have done.
    assert_eq!(texts(&pattern["detail"]["stateMachineArn"]), ["PipelineExecutionMachine"].into());
}

#[test]
fn state_outlives_the_stack() {
    let template = template();
    let all = template["Resources"].as_hash().expect("a template has resources");
    for (id, resource) in all {
        let kept = ["AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SQS::Queue"]
            .contains(&resource["Type"].as_str().unwrap_or_default());
        for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
            assert!(!kept || resource[policy].as_str() == Some("Retain"), "{id:?}: {policy}");
        }
    }
}

//! Policies and code say the same: an adapter may make every call that it makes, and nothing is allowed that none makes.

use std::collections::BTreeSet;

use yaml_rust2::Yaml;

use crate::{
    template::{resources, role_of, template, texts},
    workspace::{self, assert_none},
};

/// Sources of an adapter, and the policies that let it do its work.
const ADAPTERS: [(&[&str], &[Policy]); 7] = [
    (
        &["shared/store/src/dynamodb.rs"],
        &[
            Policy { id: "ReadTablePolicy", calls: &["get_item", "query", "batch_get_item"], elsewhere: &[] },
            Policy {
                id: "WriteTablePolicy",
                calls: &["put_item", "delete_item", "batch_write_item", "transact_write_items"],
                elsewhere: &[],
            },
        ],
    ),
    (&["shared/aws/src/sfn.rs"], &[Policy::of_all("MachinesPolicy")]),
    (&["shared/aws/src/eventbridge.rs"], &[Policy::of_all("EventsPolicy")]),
    (&["shared/aws/src/cloudwatch.rs", "shared/aws/src/data_points.rs"], &[Policy::of_all("AlarmsPolicy")]),
    (
        &["shared/aws/src/s3.rs"],
        &[
            Policy {
                id: "ReadObjectsPolicy",
                calls: &["get_bucket_versioning", "get_object", "head_object"],
                elsewhere: &[],
            },
            // A definition is put at once, and belongs to nobody else.
            Policy { id: "WriteDefinitionsPolicy", calls: &["put_object"], elsewhere: &["s3:PutObjectAcl"] },
            Policy {
                id: "WriteObjectsPolicy",
                calls: &[
                    "put_object",
                    "copy_object",
                    "create_multipart_upload",
                    "upload_part",
                    "upload_part_copy",
                    "complete_multipart_upload",
                    "list_multipart_uploads",
                    "abort_multipart_upload",
                ],
                // What is copied is read by ReadObjectsPolicy, which whoever writes objects has too.
                elsewhere: &["s3:GetObject", "s3:GetObjectVersion"],
            },
            Policy { id: "KeepArtifactsPolicy", calls: &["get_object_tagging", "put_object_tagging"], elsewhere: &[] },
        ],
    ),
    (&["shared/aws/src/lambda.rs"], &[Policy::of_all("ActionFunctionsPolicy")]),
    (&["shared/aws/src/sts.rs"], &[Policy::of_all("RolesPolicy")]),
];

/// A policy, and which of the adapter's calls it is for.
struct Policy {
    id: &'static str,
    /// None stands for all.
    calls: &'static [&'static str],
    /// What these calls ask for that another policy gives, or that they do not make use of here.
    elsewhere: &'static [&'static str],
}

impl Policy {
    const fn of_all(id: &'static str) -> Self {
        Self { id, calls: &[], elsewhere: &[] }
    }
}

/// What services need of keys for whoever calls them: DynamoDB for a table under a key of the customer, S3 to read an object, and to write one,
/// which it reads again where it came in parts.
const KEYS: [(&str, &[&str]); 5] = [
    ("ReadTablePolicy", &["kms:Decrypt", "kms:DescribeKey"]),
    ("WriteTablePolicy", &["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"]),
    ("ReadObjectsPolicy", &["kms:Decrypt"]),
    ("WriteDefinitionsPolicy", &["kms:Decrypt", "kms:GenerateDataKey"]),
    ("WriteObjectsPolicy", &["kms:Decrypt", "kms:GenerateDataKey"]),
];

/// What a function that is traced asks of X-Ray, which knows no resources.
const TRACES: [&str; 2] = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"];

/// Most managed policies that IAM attaches to a role.
const MANAGED_MAX: usize = 10;

/// What IAM asks for a call, as AWS's service authorization reference has it. Of one that is not here a test complains.
const CALLS: [(&str, &[&str]); 32] = [
    ("get_item", &["dynamodb:GetItem"]),
    ("query", &["dynamodb:Query"]),
    ("batch_get_item", &["dynamodb:BatchGetItem"]),
    ("put_item", &["dynamodb:PutItem"]),
    ("delete_item", &["dynamodb:DeleteItem"]),
    ("batch_write_item", &["dynamodb:BatchWriteItem"]),
    ("transact_write_items", &["dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:ConditionCheckItem"]),
    ("start_execution", &["states:StartExecution"]),
    ("stop_execution", &["states:StopExecution"]),
    ("describe_execution", &["states:DescribeExecution"]),
    ("send_task_success", &["states:SendTaskSuccess"]),
    ("send_task_heartbeat", &["states:SendTaskHeartbeat"]),
    ("put_events", &["events:PutEvents"]),
    ("describe_alarms", &["cloudwatch:DescribeAlarms"]),
    ("get_metric_data", &["cloudwatch:GetMetricData"]),
    ("invoke", &["lambda:InvokeFunction"]),
    ("get_function_configuration", &["lambda:GetFunctionConfiguration"]),
    ("assume_role", &["sts:AssumeRole"]),
    ("get_bucket_versioning", &["s3:GetBucketVersioning"]),
    ("get_object_tagging", &["s3:GetObjectTagging"]),
    ("put_object_tagging", &["s3:PutObjectTagging"]),
    // Without ListBucket, S3 answers 403 for what is not there.
    ("get_object", &["s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"]),
    ("head_object", &["s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"]),
    ("put_object", &["s3:PutObject", "s3:PutObjectAcl"]),
    (
        "copy_object",
        &["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:GetObjectTagging", "s3:PutObjectTagging"],
    ),
    ("create_multipart_upload", &["s3:PutObject", "s3:PutObjectAcl"]),
    ("upload_part", &["s3:PutObject"]),
    ("upload_part_copy", &["s3:PutObject", "s3:GetObject", "s3:GetObjectVersion"]),
    ("complete_multipart_upload", &["s3:PutObject"]),
    ("list_multipart_uploads", &["s3:ListBucketMultipartUploads"]),
    ("abort_multipart_upload", &["s3:AbortMultipartUpload"]),
    // SNS is told as a pipeline's role, which brings its own permission.
    ("publish", &[]),
];

/// The calls that a source makes on its SDK client, outside its tests.
fn calls(file: &str) -> BTreeSet<String> {
    let text = workspace::read(file);
    let shipped = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: String = shipped.split_whitespace().collect();
    // A client, or the one of a region that a method gives; an SDK's calls begin without arguments.
    let given = |rest: &'_ str| ["_in", "_of"].iter().find_map(|of| rest.strip_prefix(of)).unwrap_or(rest).len();
    let after = code.split("client").skip(1).map(|rest| &rest[rest.len() - given(rest)..]);
    let after = after.filter_map(|rest| after_arguments(rest).strip_prefix('.'));
    let calls = after.filter_map(|rest| Some(rest.split_once("()")?.0.to_owned()));
    calls
        .filter(|name| {
            !matches!(name.as_str(), "clone" | "config")
                && name.chars().all(|char| char.is_ascii_lowercase() || char == '_')
        })
        .collect()
}

/// `code` without the arguments that it begins with, if it does.
fn after_arguments(code: &str) -> &str {
    let mut depth = 0_u32;
    for (at, char) in code.char_indices() {
        match char {
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            _ => return &code[at..],
        }
    }
    code
}

/// What a policy allows: of keys, or of everything else.
fn actions(template: &Yaml, policy: &str, of_keys: bool) -> BTreeSet<String> {
    let mut found = Vec::new();
    collect(policy, &resources(template, "AWS::IAM::ManagedPolicy")[policy]["PolicyDocument"], &mut found);
    let allowed = found.iter().filter(|(_, one)| one["Effect"].as_str() == Some("Allow"));
    let all = allowed.flat_map(|(_, one)| texts(&one["Action"]));
    all.filter(|action| action.starts_with("kms:") == of_keys).map(str::to_owned).collect()
}

#[test]
fn policies_allow_what_adapters_call_and_nothing_else() {
    let template = template();
    let mut complaints = Vec::new();
    for (sources, policies) in ADAPTERS {
        let made: BTreeSet<String> = sources.iter().flat_map(|file| calls(file)).collect();
        assert!(!made.is_empty(), "{sources:?}: no call was found, so the test looks for the wrong thing");
        for call in &made {
            if !CALLS.iter().any(|(name, _)| name == call) {
                complaints.push(format!("{sources:?}: add what IAM asks for {call} to CALLS"));
            }
            if !policies.iter().any(|policy| policy.calls.is_empty() || policy.calls.contains(&call.as_str())) {
                complaints.push(format!("{sources:?}: say which policy {call} is for"));
            }
        }
        for Policy { id, calls, elsewhere } in policies {
            let own = made.iter().filter(|call| calls.is_empty() || calls.contains(&call.as_str()));
            assert!(calls.iter().all(|call| made.contains(*call)), "{id}: nobody makes one of {calls:?}");
            let asked = own.filter_map(|call| CALLS.iter().find(|(name, _)| name == call));
            let asked = asked.flat_map(|(_, actions)| *actions).filter(|action| !elsewhere.contains(action));
            let wanted: BTreeSet<String> = asked.map(|action| (*action).to_owned()).collect();
            let given = actions(&template, id, false);
            complaints.extend(wanted.difference(&given).map(|action| format!("{id}: {action} is not allowed")));
            complaints.extend(given.difference(&wanted).map(|action| format!("{id}: nobody calls {action}")));
        }
    }
    assert_none("permissions", &complaints);
}

#[test]
fn keys_are_used_as_their_services_need_them_and_no_further() {
    let template = template();
    for id in resources(&template, "AWS::IAM::ManagedPolicy").into_keys() {
        let known = KEYS.iter().find(|(policy, _)| *policy == id);
        let wanted = known.into_iter().flat_map(|(_, actions)| *actions).map(|action| (*action).to_owned());
        assert_eq!(actions(&template, id, true), wanted.collect(), "{id}");
    }
}

/// Every statement of the template, with what it is in.
fn all_statements(template: &Yaml) -> Vec<(String, Yaml)> {
    let mut found = Vec::new();
    for (id, resource) in template["Resources"].as_hash().into_iter().flatten() {
        collect(id.as_str().unwrap_or_default(), &resource["Properties"], &mut found);
    }
    found
}

fn collect(id: &str, value: &Yaml, found: &mut Vec<(String, Yaml)>) {
    match value {
        Yaml::Hash(hash) => {
            if !value["Effect"].is_badvalue() && !value["Action"].is_badvalue() {
                found.push((id.to_owned(), value.clone()));
            }
            hash.values().for_each(|value| collect(id, value, found));
        }
        Yaml::Array(values) => values.iter().for_each(|value| collect(id, value, found)),
        _ => {}
    }
}

#[test]
fn only_what_has_no_arn_is_allowed_on_everything() {
    let template = template();
    let mut everywhere = BTreeSet::new();
    for (id, statement) in all_statements(&template) {
        let resources = &statement["Resource"];
        let is_all = resources.as_str() == Some("*") || texts(resources).contains("*");
        if is_all && statement["Effect"].as_str() == Some("Allow") {
            everywhere.extend(texts(&statement["Action"]).into_iter().map(|action| format!("{id}: {action}")));
        }
    }
    let known = [
        // An alarm has an ARN, but CloudWatch tells of composite ones only whom this is allowed on everything.
        "AlarmsPolicy: cloudwatch:DescribeAlarms",
        // Metrics, task tokens and traces.
        "AlarmsPolicy: cloudwatch:GetMetricData",
        "MachinesPolicy: states:SendTaskHeartbeat",
        "MachinesPolicy: states:SendTaskSuccess",
        // Only with the parameter Tracing.
        "TracesPolicy: xray:GetSamplingRules",
        "TracesPolicy: xray:GetSamplingTargets",
        "TracesPolicy: xray:PutTelemetryRecords",
        "TracesPolicy: xray:PutTraceSegments",
    ];
    let mut known: BTreeSet<String> = known.map(str::to_owned).into();
    for id in resources(&template, "AWS::Serverless::Function").into_keys() {
        known.extend(TRACES.map(|action| format!("{id}Role: {action}")));
    }
    assert_eq!(everywhere, known);
}

#[test]
fn roles_and_keys_are_those_of_pipelines() {
    let template = template();
    let mut seen = (0, 0);
    for (id, statement) in all_statements(&template) {
        let actions = texts(&statement["Action"]);
        let condition = &statement["Condition"];
        if actions.contains("sts:AssumeRole") && statement["Principal"].is_badvalue() {
            seen.0 += 1;
            let roles = statement["Resource"].as_str().unwrap_or_default();
            assert!(roles.ends_with(":role/${PipelineRolePrefix}*"), "{id}: roles of pipelines alone, not {roles}");
        }
        if actions.iter().any(|action| action.starts_with("kms:")) {
            seen.1 += 1;
            let here = condition["StringEquals"]["kms:ViaService"].as_str();
            let elsewhere = condition["StringLike"]["kms:ViaService"].as_str();
            let is_bound = match (here, elsewhere) {
                (Some(service), None) => service.ends_with(".${AWS::Region}.amazonaws.com"),
                // In other regions, S3 in those that the stack names.
                (None, Some("s3.*.amazonaws.com")) => !condition["StringEquals"]["aws:RequestedRegion"].is_badvalue(),
                _ => false,
            };
            assert!(is_bound, "{id}: a key is used by a service alone");
        }
    }
    assert_eq!(seen.0, 1, "statements that assume roles");
    assert!(seen.1 >= 4, "statements about keys: {}", seen.1);
}

#[test]
fn everyone_has_a_role_of_its_own() {
    let template = template();
    let (functions, machines) =
        (resources(&template, "AWS::Serverless::Function"), resources(&template, "AWS::Serverless::StateMachine"));
    assert!(!functions.is_empty() && !machines.is_empty());
    for (id, properties) in functions {
        // One that the SAM transform makes may do more than stands here.
        assert_eq!(
            properties["Role"].as_str(),
            Some(format!("{id}Role.Arn").as_str()),
            "{id}: a role that others may share"
        );
        assert!(properties["Policies"].is_badvalue(), "{id}: the transform passes over Policies beside a Role");
        let trusted = &role_of(&template, properties)["AssumeRolePolicyDocument"]["Statement"];
        assert_eq!(trusted.as_vec().map(Vec::len), Some(1), "{id}");
        assert_eq!(trusted[0]["Principal"]["Service"].as_str(), Some("lambda.amazonaws.com"), "{id}");
    }
    for (id, properties) in machines {
        // Without Role, the transform makes one for it alone, with these and nothing else.
        assert!(properties["Role"].is_badvalue(), "{id}: a role that others may share");
        assert!(properties["Policies"].as_vec().is_some_and(|policies| !policies.is_empty()), "{id}: Policies");
    }
}

#[test]
fn no_role_has_more_policies_than_iam_attaches() {
    let template = template();
    let mut counted = Vec::new();
    for (id, properties) in resources(&template, "AWS::IAM::Role") {
        counted.push((id, properties["ManagedPolicyArns"].as_vec().map_or(0, Vec::len)));
    }
    for (id, properties) in resources(&template, "AWS::Serverless::StateMachine") {
        // A document goes into the role itself. One of a condition counts: Tracing may be Active.
        let policies = properties["Policies"].as_vec().into_iter().flatten();
        counted.push((id, policies.filter(|policy| policy.as_hash().is_none()).count()));
    }
    assert!(counted.iter().any(|(_, count)| *count > 0), "no policy was counted");
    for (id, count) in counted {
        assert!(count <= MANAGED_MAX, "{id}: {count} managed policies");
    }
}

#[test]
fn beside_its_policies_a_function_may_log_into_its_own_group_and_give_up_events() {
    let template = template();
    for (id, properties) in resources(&template, "AWS::Serverless::Function") {
        let mut own = Vec::new();
        collect(id, &role_of(&template, properties)["Policies"], &mut own);
        let mut may: Vec<(BTreeSet<&str>, &str)> =
            own.iter().map(|(_, one)| (texts(&one["Action"]), one["Resource"].as_str().unwrap_or_default())).collect();
        let group = format!("{}.Arn", properties["LoggingConfig"]["LogGroup"].as_str().unwrap_or_default());
        let mut expected: Vec<(BTreeSet<&str>, &str)> =
            vec![(["logs:CreateLogStream", "logs:PutLogEvents"].into(), group.as_str()), (TRACES.into(), "*")];
        if !properties["DeadLetterQueue"].is_badvalue() {
            expected.push((["sqs:SendMessage"].into(), "DeadLetters.Arn"));
        }
        may.sort();
        expected.sort();
        assert_eq!(may, expected, "{id}");
    }
    // Nobody else logs by a permission of the stack's.
    let logs = |one: &Yaml| texts(&one["Action"]).iter().any(|action| action.starts_with("logs:"));
    let elsewhere = all_statements(&template).into_iter().filter(|(_, one)| logs(one));
    let elsewhere: BTreeSet<String> = elsewhere.map(|(id, _)| id).collect();
    let functions = resources(&template, "AWS::Serverless::Function");
    assert_eq!(elsewhere, functions.into_keys().map(|id| format!("{id}Role")).collect());
}

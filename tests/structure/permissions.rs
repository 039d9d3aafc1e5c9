//! Policies and code say the same: an adapter may make every call that it makes, and nothing is allowed that none makes.

use std::collections::BTreeSet;

use yaml_rust2::Yaml;

use crate::{
    template::{resources, statements, template, texts},
    workspace::{self, assert_none},
};

/// Sources of an adapter, and the policies that let it do its work.
const ADAPTERS: [(&[&str], &[&str]); 7] = [
    (&["shared/store/src/dynamodb.rs"], &["ReadTablePolicy", "WriteTablePolicy"]),
    (&["shared/aws/src/sfn.rs"], &["MachinesPolicy"]),
    (&["shared/aws/src/eventbridge.rs"], &["EventsPolicy"]),
    (&["shared/aws/src/cloudwatch.rs", "shared/aws/src/data_points.rs"], &["AlarmsPolicy"]),
    (
        &["shared/aws/src/s3.rs"],
        &["ReadObjectsPolicy", "WriteDefinitionsPolicy", "WriteObjectsPolicy", "KeepArtifactsPolicy"],
    ),
    (&["shared/aws/src/lambda.rs"], &["ActionFunctionsPolicy"]),
    (&["shared/aws/src/sts.rs"], &["RolesPolicy"]),
];

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

fn actions(template: &Yaml, policy: &str) -> BTreeSet<String> {
    let allowed = statements(template, policy, "Allow");
    let all = allowed.iter().flat_map(|one| texts(&one["Action"]));
    // Of a key comes below.
    all.filter(|action| !action.starts_with("kms:")).map(str::to_owned).collect()
}

#[test]
fn policies_allow_what_adapters_call_and_nothing_else() {
    let template = template();
    let mut complaints = Vec::new();
    for (sources, policies) in ADAPTERS {
        let made: BTreeSet<String> = sources.iter().flat_map(|file| calls(file)).collect();
        assert!(!made.is_empty(), "{sources:?}: no call was found, so the test looks for the wrong thing");
        let mut wanted: BTreeSet<String> = BTreeSet::new();
        for call in &made {
            match CALLS.iter().find(|(name, _)| name == call) {
                Some((_, asked)) => wanted.extend(asked.iter().map(|action| (*action).to_owned())),
                None => complaints.push(format!("{sources:?}: add what IAM asks for {call} to CALLS")),
            }
        }
        let given: BTreeSet<String> = policies.iter().flat_map(|policy| actions(&template, policy)).collect();
        complaints.extend(wanted.difference(&given).map(|action| format!("{policies:?}: {action} is not allowed")));
        complaints.extend(given.difference(&wanted).map(|action| format!("{policies:?}: nobody calls {action}")));
    }
    assert_none("permissions", &complaints);
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
    assert_eq!(everywhere, known.map(str::to_owned).into());
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
    for kind in ["AWS::Serverless::Function", "AWS::Serverless::StateMachine"] {
        let of_kind = resources(&template, kind);
        assert!(!of_kind.is_empty());
        for (id, properties) in of_kind {
            // Without Role, the SAM transform makes one for it alone.
            assert!(properties["Role"].is_badvalue(), "{id}: a role that others may share");
            assert!(properties["Policies"].as_vec().is_some_and(|policies| !policies.is_empty()), "{id}: Policies");
        }
    }
}

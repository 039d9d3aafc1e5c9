//! What users get wrong: each is told what to do, and nothing is half done.

use std::io::{Cursor, Write};

use flate2::{Compression, FlushCompress, Status, write::DeflateEncoder};
use http::StatusCode;
use local::{Access, BUCKET, EventOptions, Options, System};
use serde_json::{Value, json};
use tempfile::tempdir;
use tokio::net::TcpListener;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::world::{World, approval, archive, check, eventually, pipeline, publish, release, text};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_none_are_refused_in_the_protocols_form() {
    let world = World::start().await;
    for (operation, body, exception) in [
        ("GetPipeline", "{", "SerializationException"),
        ("GetPipeline", "[]", "SerializationException"),
        ("GetPipeline", "\u{0}", "SerializationException"),
        ("GetPipeline", r#"{"name": 5}"#, "SerializationException"),
        ("GetPipeline", "{}", "ValidationException"),
        ("GetPipeline", r#"{"name": "a b"}"#, "ValidationException"),
        ("GetPipelines", "{}", "UnknownOperationException"),
        ("", "{}", "UnknownOperationException"),
    ] {
        let (status, answer) = world.send(operation, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{operation} {body}: {answer}");
        assert_eq!(answer["__type"], exception, "{operation} {body}: {answer}");
    }
    let unknown_member = r#"{"maxResults": null, "colour": {"hue": 7}}"#;
    let answer = world.send("ListPipelines", unknown_member).await;
    assert_eq!(answer, (StatusCode::OK, json!({ "pipelines": [] })));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_too_large_for_the_api_are_refused_by_it_and_for_its_event_by_the_gateway() {
    let world = World::start().await;
    let padded = |bytes: usize| "{}".to_owned() + &" ".repeat(bytes - 2);
    assert_eq!(world.send("ListPipelines", &padded(4 << 20)).await, (StatusCode::OK, json!({ "pipelines": [] })));
    for bytes in [(4 << 20) + 1, 4_600_000] {
        let (status, answer) = world.send("ListPipelines", &padded(bytes)).await;
        assert_eq!((status, text(&answer["__type"])), (StatusCode::BAD_REQUEST, "SerializationException".to_owned()));
    }
    let expected = json!({ "message": "Request Entity Too Large" });
    assert_eq!(world.send("ListPipelines", &padded(5_000_000)).await, (StatusCode::PAYLOAD_TOO_LARGE, expected));
}

/// A change of a good pipeline, the exception it leads to, and its exact text (spec 1.9).
type Breach = (fn(&mut Value), &'static str, &'static str);

const STRUCTURE: &str = "InvalidStructureException";
const STAGE: &str = "InvalidStageDeclarationException";
const ACTION: &str = "InvalidActionDeclarationException";

const BREACHES: [Breach; 18] = [
    (
        |p| drop(p["stages"].as_array_mut().map(Vec::pop)),
        STRUCTURE,
        "Pipeline has only 1 stage(s). There should be a minimum of 2 stages in a pipeline",
    ),
    (
        |p| {
            let stage = |number: usize| json!({ "name": format!("S{number}"), "actions": [approval(1)] });
            p["stages"].as_array_mut().expect("a list").extend((0..49).map(stage));
        },
        STRUCTURE,
        "Pipeline has too many stages. There can only be up to 50 stages in a pipeline",
    ),
    (
        |p| push(&mut p["stages"][0]["actions"], approval(1)),
        STRUCTURE,
        "Pipeline should start with a stage that only contains source actions",
    ),
    (
        |p| {
            let source = p["stages"][0]["actions"][0].clone();
            push(&mut p["stages"][1]["actions"], source);
        },
        STRUCTURE,
        "Source actions can only be included in the first stage of the pipeline",
    ),
    (|p| p["stages"][1]["name"] = json!("Source"), STAGE, "Stage name 'Source' is used more than once"),
    (
        |p| p["variables"] = json!([{ "name": "Env" }, { "name": "Env" }]),
        STRUCTURE,
        "Variable names must be unique. The following variable name is already in use: Env",
    ),
    (
        |p| p["stages"][1]["actions"][0]["inputArtifacts"][0]["name"] = json!("Nothing"),
        ACTION,
        "Input Artifact Bundle Nothing in action Publish is not declared as Output Artifact Bundle in any of the \
         preceding actions",
    ),
    (
        |p| p["stages"][1]["actions"][0]["inputArtifacts"] = json!([]),
        ACTION,
        "Action Publish declares 0 input artifacts which is less than the minimum count (1)",
    ),
    (
        |p| {
            let mut source = p["stages"][0]["actions"][0].clone();
            (source["name"], source["namespace"]) = (json!("Again"), json!("Again"));
            push(&mut p["stages"][0]["actions"], source);
        },
        STRUCTURE,
        "Output Artifact Bundle name must be unique within the pipeline. App has been used more than once.",
    ),
    (
        |p| drop(p["stages"][1]["actions"][0]["configuration"].as_object_mut().map(|keys| keys.remove("Extract"))),
        ACTION,
        "Action configuration for action 'Publish' is missing required configuration 'Extract'",
    ),
    (
        |p| p["stages"][1]["actions"][0]["actionTypeId"]["provider"] = json!("FTP"),
        ACTION,
        "ActionType (Category: 'Deploy', Provider: 'FTP', Owner: 'AWS', Version: '1') in action 'Publish' is not \
         available in region 'US_EAST_1'",
    ),
    (
        |p| {
            p["pipelineType"] = json!("V1");
            p["executionMode"] = json!("QUEUED");
        },
        STRUCTURE,
        "QUEUED or PARALLEL mode can only be used with V2 pipelines",
    ),
    (
        |p| {
            p["pipelineType"] = json!("V1");
            p["variables"] = json!([{ "name": "Env" }]);
        },
        STRUCTURE,
        "Pipeline variable can only be used with V2 pipelines",
    ),
    (
        |p| {
            p["pipelineType"] = json!("V1");
            p["triggers"] = connection_trigger();
        },
        STRUCTURE,
        "Triggers on tag can only be used with V2 pipelines",
    ),
    (
        |p| {
            p["pipelineType"] = json!("V1");
            p["stages"][1]["onFailure"] = json!({ "result": "FAIL" });
        },
        STAGE,
        "Stage level conditions can only be used with V2 pipelines.",
    ),
    (
        |p| {
            p["executionMode"] = json!("PARALLEL");
            p["stages"][1]["onFailure"] = json!({ "result": "ROLLBACK" });
        },
        STAGE,
        "Failure conditions with rollback result type cannot be added to a PARALLEL pipeline.",
    ),
    (
        |p| p["triggers"] = connection_trigger(),
        STRUCTURE,
        "Triggers for connections must reference a CodeStarSourceConnection action.",
    ),
    (
        |p| {
            let store = p.as_object_mut().and_then(|members| members.remove("artifactStore"));
            p["artifactStores"] = json!({ "eu-west-1": store });
        },
        STRUCTURE,
        "Your pipeline must have an artifact store, such as an artifact bucket, for each region where you have an \
         action. The following region is missing in 'pipeline.artifactStores': us-east-1.",
    ),
];

fn connection_trigger() -> Value {
    json!([{ "providerType": "CodeStarSourceConnection",
        "gitConfiguration": { "sourceActionName": "Upload", "push": [{ "tags": { "includes": ["v*"] } }] } }])
}

fn push(list: &mut Value, item: Value) {
    list.as_array_mut().expect("a list").push(item);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_breaks_a_rule_is_refused_and_creates_nothing() {
    let world = World::start().await;
    let good = pipeline("shop", &[publish("shop", 1)]);
    for (breach, exception, message) in BREACHES {
        let mut bad = good.clone();
        breach(&mut bad);
        let refused = world.refused("CreatePipeline", json!({ "pipeline": bad })).await;
        assert_eq!(refused, (exception.to_owned(), message.to_owned()));
    }
    assert_eq!(world.call("ListPipelines", json!({})).await, json!({ "pipelines": [] }));
    assert!(world.keys(BUCKET).await.is_empty(), "no definition is stored");
    for operation in ["GetPipeline", "GetPipelineState", "StartPipelineExecution"] {
        let (exception, _) = world.refused(operation, json!({ "name": "shop" })).await;
        assert_eq!(exception, "PipelineNotFoundException", "{operation}");
    }

    world.create(&good).await;
    let before = world.call("GetPipeline", json!({ "name": "shop" })).await;
    for (breach, exception, message) in BREACHES {
        let mut bad = good.clone();
        breach(&mut bad);
        let refused = world.refused("UpdatePipeline", json!({ "pipeline": bad })).await;
        assert_eq!(refused, (exception.to_owned(), message.to_owned()));
    }
    assert_eq!(world.call("GetPipeline", json!({ "name": "shop" })).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_in_use_is_refused_and_its_owner_stays_as_it_is() {
    let world = World::start().await;
    world.create(&pipeline("shop", &[publish("shop", 1)])).await;
    let before = world.call("GetPipeline", json!({ "name": "shop" })).await;
    let other = pipeline("shop", &[publish("other", 1), approval(2)]);
    let (exception, message) = world.refused("CreatePipeline", json!({ "pipeline": other })).await;
    assert_eq!(exception, "PipelineNameInUseException");
    assert_eq!(message, "A pipeline with the name 'shop' already exists in account '000000000000'");
    assert_eq!(world.call("GetPipeline", json!({ "name": "shop" })).await, before);
    assert_eq!(world.executions("shop").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_cannot_be_trusted_deploys_nothing() {
    let world = World::start().await;
    let good = archive(&[("index.html", "good"), ("more.txt", "content")]);
    let cases = [
        ("truncated", good[..good.len() - 30].to_vec(), "unzip -t"),
        ("cut-in-half", good[..good.len() / 2].to_vec(), "unzip -t"),
        ("no-zip", b"<html>not a zip</html>".to_vec(), "no complete zip archive"),
        ("empty-file", Vec::new(), "no complete zip archive"),
        ("nothing-inside", archive(&[]), "no files"),
        ("parent", archive(&[("index.html", "good"), ("../evil.html", "evil")]), "\"../evil.html\""),
        ("absolute", archive(&[("index.html", "good"), ("/etc/evil.html", "evil")]), "absolute"),
        ("symlink", symlink(), "symbolic link"),
        ("bomb", bomb(300 * 1024 * 1024), "zip bomb"),
        ("hidden-bomb", bomb(10), "longer than declared"),
    ];
    for (name, archive, expected) in cases {
        world.buckets(name).await;
        world.upload(name, archive).await;
        let failed = world.create(&pipeline(name, &[publish(name, 1)])).await;
        assert_eq!(failed["status"], "Failed", "{name}: {failed}");
        let (code, message) = world.failure(name, &failed, "Publish").await;
        assert_eq!(code, "JobFailed", "{name}: {message}");
        assert!(message.contains(expected), "{name}: {message}");
        assert!(text(&failed["statusSummary"]).contains(expected), "{name}: {failed}");
        assert_eq!(world.keys(&format!("{name}-site")).await, [""; 0], "{name}");
    }
}

fn symlink() -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(release("good")));
    zip.add_symlink("evil.html", "/etc/passwd", SimpleFileOptions::default()).expect("written to memory");
    zip.finish().expect("written to memory").into_inner()
}

/// A real bomb: some hundred kilobytes that inflate to 300 MiB, with a directory that declares `declared` bytes.
fn bomb(declared: u32) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    zip.start_file("zeros.bin", stored).expect("written to memory");
    zip.write_all(&deflated_zeros(300)).expect("written to memory");
    let mut zip = zip.finish().expect("written to memory").into_inner();
    // What was written as stored is made the deflate stream that it is, in the file's header and in the directory.
    let directory = zip.windows(4).position(|four| four == b"PK\x01\x02").expect("every zip has a directory");
    for (method, size) in [(8, 22), (directory + 10, directory + 24)] {
        zip[method] = 8;
        zip[size..size + 4].copy_from_slice(&declared.to_le_bytes());
    }
    zip
}

/// A deflate stream of that many megabytes of zeros, made of one megabyte's blocks again and again.
fn deflated_zeros(megabytes: usize) -> Vec<u8> {
    let mut compress = flate2::Compress::new(Compression::best(), false);
    let mut block = Vec::with_capacity(64 * 1024);
    let status = compress.compress_vec(&vec![0; 1024 * 1024], &mut block, FlushCompress::Full);
    assert!(matches!(status, Ok(Status::Ok)) && block.len() < block.capacity(), "the block is whole");
    let end = DeflateEncoder::new(Vec::new(), Compression::best()).finish().expect("written to memory");
    [block.repeat(megabytes), end].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_cannot_be_pinned_says_what_to_do() {
    let world = World::start().await;
    let name = "loose";
    for bucket in ["loose-releases", "loose-artifacts", "loose-site"] {
        world.client.s3.create_bucket().bucket(bucket).send().await.expect("it is new");
    }
    world.upload(name, release("one")).await;
    let failed = world.create(&pipeline(name, &[publish(name, 1)])).await;
    let (code, message) = world.failure(name, &failed, "Upload").await;
    assert_eq!(code, "RevisionUnavailable");
    assert!(message.contains("aws s3api put-bucket-versioning --bucket loose-releases"), "{message}");

    let name = "pinned";
    world.buckets(name).await;
    let versions = [world.upload(name, release("one")).await, world.upload(name, release("two")).await];
    world.create(&pipeline(name, &[publish(name, 1)])).await;
    let delete = world.client.s3.delete_object().bucket("pinned-releases").key("app.zip");
    delete.version_id(&versions[0]).send().await.expect("it is there");
    let pinned = |version: &str| {
        json!({ "name": name, "sourceRevisions": [
            { "actionName": "Upload", "revisionType": "S3_OBJECT_VERSION_ID", "revisionValue": version }] })
    };
    let failed = world.run(pinned(&versions[0])).await;
    let (code, message) = world.failure(name, &failed, "Upload").await;
    assert_eq!(code, "RevisionUnavailable");
    assert!(message.contains("version") && message.contains("pinned-releases/app.zip"), "{message}");
    assert_eq!(world.page(name).await, "two", "nothing else was taken instead");
    assert_eq!(world.run(pinned(&versions[1])).await["status"], "Succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_or_directory_that_cannot_be_used_is_refused_with_what_to_do() {
    let directory = tempdir().expect("a temporary directory");
    let options = |of: &str, port: u16| Options {
        data: directory.path().join(of),
        port,
        regions: Vec::new(),
        functions: Vec::new(),
        endpoints: Vec::new(),
        events: EventOptions::default(),
        access: Access::default(),
    };
    let refused = async |options: Options| match System::start(options).await {
        Ok(_) => panic!("it is not refused"),
        Err(error) => format!("{error:#}"),
    };

    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = taken.local_addr().expect("it is bound").port();
    let busy = refused(options("ours", port)).await;
    assert!(busy.contains(&format!("port {port}")) && busy.contains("--port"), "{busy}");

    let running = System::start(options("ours", 0)).await.expect("a refused start leaves nothing behind");
    let in_use = refused(options("ours", 0)).await;
    assert!(in_use.contains("in use by another process") && in_use.contains("--data"), "{in_use}");
    drop(running);

    std::fs::create_dir(directory.path().join("newer")).expect("it is new");
    std::fs::write(directory.path().join("newer/VERSION"), "999\n").expect("it is ours");
    let newer = refused(options("newer", 0)).await;
    assert!(newer.contains("newer version") && newer.contains("999") && newer.contains("--data"), "{newer}");

    std::fs::create_dir(directory.path().join("foreign")).expect("it is new");
    std::fs::write(directory.path().join("foreign/thesis.tex"), "precious").expect("it is ours");
    let foreign = refused(options("foreign", 0)).await;
    assert!(foreign.contains("other files") && foreign.contains("--data"), "{foreign}");
    for (of, expected) in [("newer", "VERSION"), ("foreign", "thesis.tex")] {
        let files = std::fs::read_dir(directory.path().join(of)).expect("it is there");
        let names: Vec<_> = files.map(|file| file.expect("it is readable").file_name()).collect();
        assert_eq!(names, [expected], "nothing was written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_not_there_fails_its_action() {
    let world = World::start().await;
    let name = "absent";
    world.buckets(name).await;
    world.upload(name, release("one")).await;
    let failed = world.create(&pipeline(name, &[check("nobody", 1), publish(name, 2)])).await;
    let (code, message) = world.failure(name, &failed, "Check").await;
    assert_eq!(code, "ConfigurationError");
    assert!(message.contains("no function 'nobody'") && message.contains("FunctionName"), "{message}");
    assert!(world.keys("absent-site").await.is_empty(), "what comes later does not run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_answered_once_and_only_by_its_id() {
    let world = World::start().await;
    let name = "jobs";
    world.buckets(name).await;
    let (jobs, mut handed_out) = tokio::sync::mpsc::unbounded_channel();
    world.on_job("worker", move |_, job| {
        let told = jobs.send(text(&job["id"]));
        async move { Ok(json!(told.is_ok())) }
    });
    world.upload(name, release("one")).await;
    world.call("CreatePipeline", json!({ "pipeline": pipeline(name, &[check("worker", 1)]) })).await;
    let job = handed_out.recv().await.expect("the function is registered");

    let failure = json!({ "type": "JobFailed", "message": "no" });
    for operation in ["PutJobSuccessResult", "PutJobFailureResult"] {
        let with = |id: &str| match operation {
            "PutJobSuccessResult" => json!({ "jobId": id }),
            _ => json!({ "jobId": id, "failureDetails": failure }),
        };
        let (exception, message) = world.refused(operation, with(NOBODY)).await;
        assert_eq!(exception, "JobNotFoundException", "{message}");
        let (exception, message) = world.refused(operation, with("x")).await;
        assert_eq!(exception, "ValidationException", "{message}");
    }
    world.call("PutJobSuccessResult", json!({ "jobId": job })).await;
    let ended = world.execution(name, "the end", |one| one["status"] != "InProgress").await;
    assert_eq!(ended["status"], "Succeeded");
    let (exception, _) = world.refused("PutJobSuccessResult", json!({ "jobId": job })).await;
    assert_eq!(exception, "InvalidJobStateException");
    let (exception, _) = world.refused("PutJobFailureResult", json!({ "jobId": job, "failureDetails": failure })).await;
    assert_eq!(exception, "InvalidJobStateException");
    let ended = world.ended(name, &text(&ended["pipelineExecutionId"])).await;
    assert_eq!(ended["status"], "Succeeded", "a late failure changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_takes_its_own_token_and_one_answer() {
    let world = World::start().await;
    let name = "asks";
    world.buckets(name).await;
    world.upload(name, release("one")).await;
    world.call("CreatePipeline", json!({ "pipeline": pipeline(name, &[approval(1), publish(name, 2)]) })).await;
    let token = eventually("the question", async || {
        world.stage(name, 1).await["actionStates"][0]["latestExecution"]["token"].as_str().map(str::to_owned)
    })
    .await;
    let answer = |token: &str, status: &str| {
        json!({ "pipelineName": name, "stageName": "Deploy", "actionName": "Approve", "token": token,
            "result": { "summary": "seen", "status": status } })
    };
    let (exception, message) = world.refused("PutApprovalResult", answer(NOBODY, "Approved")).await;
    assert_eq!(exception, "InvalidApprovalTokenException");
    assert!(message.contains("GetPipelineState"), "{message}");
    assert!(world.keys("asks-site").await.is_empty(), "nobody approved");

    world.call("PutApprovalResult", answer(&token, "Approved")).await;
    let (exception, _) = world.refused("PutApprovalResult", answer(&token, "Rejected")).await;
    assert_eq!(exception, "ApprovalAlreadyCompletedException");
    let ended = world.execution(name, "the end", |one| one["status"] != "InProgress").await;
    assert_eq!(ended["status"], "Succeeded");
    assert_eq!(world.page(name).await, "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_client_token_starts_one_execution() {
    let world = World::start().await;
    let name = "token";
    world.buckets(name).await;
    world.create(&pipeline(name, &[publish(name, 1)])).await;
    let input = json!({ "name": name, "clientRequestToken": "release-41" });
    let (one, other) = tokio::join!(
        world.call("StartPipelineExecution", input.clone()),
        world.call("StartPipelineExecution", input.clone())
    );
    assert_eq!(one, other, "asked twice at the same time");
    world.ended(name, &text(&one["pipelineExecutionId"])).await;
    assert_eq!(world.call("StartPipelineExecution", input).await, one, "asked again later");
    assert_eq!(world.executions(name).await.len(), 2, "the pipeline's first, and this one");
    let other = world.call("StartPipelineExecution", json!({ "name": name, "clientRequestToken": "release-42" })).await;
    assert_ne!(other, one);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deployed_into_the_bucket_of_definitions() {
    let world = World::start().await;
    world.buckets("shop").await;
    world.upload("shop", release("1")).await;
    let mut publish = publish("shop", 1);
    publish["configuration"]["BucketName"] = json!(BUCKET);
    let failed = world.create(&pipeline("shop", &[publish])).await;
    let (code, message) = world.failure("shop", &failed, "Publish").await;
    assert_eq!(code, "ConfigurationError");
    assert!(message.contains("Lastgood's own pipeline definitions"), "{message}");
    assert!(!world.keys(BUCKET).await.iter().any(|key| key.contains("index.html")));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_from_the_bucket_of_definitions() {
    let world = World::start().await;
    world.buckets("shop").await;
    let mut reader = pipeline("shop", &[publish("shop", 1)]);
    reader["stages"][0]["actions"][0]["configuration"]["S3Bucket"] = json!(BUCKET);
    let failed = world.create(&reader).await;
    let (code, message) = world.failure("shop", &failed, "Upload").await;
    assert_eq!(code, "ConfigurationError");
    assert!(message.contains("Lastgood's own pipeline definitions"), "{message}");
}

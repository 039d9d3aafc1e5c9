//! Forms.

use engine::{
    HasStore,
    ports::{Row, Store, Write},
};

use super::*;
use crate::world::{Driven, shop_name};

#[tokio::test]
async fn a_stage_goes_back_with_a_reason_and_the_way_in_is_opened() {
    let (bench, good) = Bench::with_release().await;
    bench.objects.store("uploads", "app.zip", "release 2");
    let newer = another(&bench).await;
    let target = good.to_string();
    let preview = page(&bench, &format!("/pipelines/shop/stages/Prod/rollback?target={target}")).await;
    assert!(
        preview.contains("held until a person lifts the hold") && preview.contains(&newer.to_string()),
        "{preview}"
    );
    let fields = [("target", target.as_str()), ("reason", "Prices are wrong.")];
    let to = done(&bench, "/pipelines/shop/stages/Prod/rollback", &fields).await;
    let (back, said) = to.split_once('?').unwrap();
    assert_eq!(said, "done=rollback");
    let back = back.strip_prefix("/console").unwrap();
    let html = page(&bench, &format!("{back}?{said}")).await;
    assert!(html.contains("The rollback was started.") && html.contains("Prices are wrong."), "{html}");
    bench.pass(back.rsplit_once('/').unwrap().1.parse().unwrap()).await;

    // Linked both ways, and told on the way.
    let html = page(&bench, &format!("/pipelines/shop/executions/{newer}")).await;
    assert!(html.contains("Taken back in Prod") && html.contains(back), "{html}");
    let html = page(&bench, "/pipelines/shop").await;
    assert!(html.contains("Held") && html.contains("brought back by rollback"), "{html}");
    assert!(page(&bench, "").await.contains("1 stage is held"));
    assert!(page(&bench, "/attention").await.contains("Prices are wrong."));
    let html = page(&bench, "/pipelines/shop/rollbacks").await;
    assert!(html.contains("0 automatic, 1 by hand"), "{html}");
    assert!(page(&bench, "/pipelines/shop/history?type=ROLLBACK").await.contains("Manual rollback"));

    let html = page(&bench, "/attention").await;
    let content = html.split("name=\"content\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let again = [("content", content.as_str()), ("reason", "It was the cache.")];
    let to = done(&bench, "/pipelines/shop/reinstate", &again).await;
    assert_eq!(to, "/console/attention?done=reinstated");
    assert!(page(&bench, "/attention").await.contains("No revision is revoked."));
    let (status, _) = refused(&bench, form("/pipelines/shop/reinstate", &again)).await;
    assert_eq!(status, 404, "there is nothing to reinstate any more");
    let to = done(&bench, "/pipelines/shop/stages/Prod/release", &[("comment", "Prices are right again.")]).await;
    assert_eq!(to, "/console/pipelines/shop?done=released");
    assert_eq!(prod(&bench).await["inboundTransitionState"]["enabled"], true);
}

#[tokio::test]
async fn forms_of_others_do_nothing() {
    let (bench, _) = Bench::with_release().await;
    let closing = || form("/pipelines/shop/stages/Prod/transition", &[("to", "disabled"), ("reason", "x")]);
    let with = |name: &str, value: &str| {
        let mut event = closing();
        event.headers.insert(name.to_owned(), value.to_owned());
        event
    };
    let mut silent = closing();
    silent.headers.clear();
    let mut unknown = closing();
    unknown.request_context.authorizer = None;
    for (event, status) in [
        (with("sec-fetch-site", "cross-site"), 403),
        (with("sec-fetch-site", "same-site"), 403),
        (silent, 403),
        (ApiEvent { cookies: Vec::new(), ..closing() }, 403),
        (ApiEvent { cookies: vec!["lastgood-form=ffffffffffffffffffffffffffffffff".into()], ..closing() }, 403),
        (ApiEvent { body: Some("to=disabled&reason=x".into()), ..closing() }, 403),
        (signed_in(closing(), "[dev]"), 403),
        (unknown, 401),
    ] {
        assert_eq!(refused(&bench, event).await.0, status);
        assert_eq!(prod(&bench).await["inboundTransitionState"]["enabled"], true);
    }
    let taken = bench.send(signed_in(closing(), "[dev release]")).await;
    assert_eq!(taken.status_code, 303);
    let state = prod(&bench).await["inboundTransitionState"].clone();
    assert_eq!(state["lastChangedBy"], "arn:aws:sts::111122223333:federated-user/ana@example.com");
}

#[tokio::test]
async fn a_token_of_the_console_is_no_way_to_the_operations() {
    let (bench, _) = Bench::with_release().await;
    for path in ["/console", "/console/x", "/", "/service/CodePipeline_20150709/operation/DeletePipeline"] {
        let mut event = signed_in(visit("POST", ""), "[release]");
        event.raw_path = path.to_owned();
        event.headers.insert("x-amz-target".to_owned(), "CodePipeline_20150709.DeletePipeline".to_owned());
        event.body = Some(json!({"name": "shop"}).to_string());
        let (status, _) = refused(&bench, event).await;
        assert!([404, 405].contains(&status), "{path}: {status}");
        page(&bench, "/pipelines/shop").await;
    }
}

#[tokio::test]
async fn who_may_only_look_finds_no_form() {
    let (bench, first) = Bench::with_release().await;
    for path in [
        "",
        "/pipelines/shop",
        "/pipelines/shop/start",
        "/pipelines/shop/configure",
        &format!("/pipelines/shop/stages/Prod/rollback?target={first}"),
    ] {
        let reply = bench.send(signed_in(visit("GET", path), "[dev]")).await;
        assert_eq!(reply.status_code, 200);
        assert!(reply.body.contains("looking only") && reply.body.contains("ana@example.com"), "{path}");
        for word in [">Start</button>", "Roll back Prod</button>", ">Save", "Disable the transition<"] {
            assert!(!reply.body.contains(word), "{path} has {word}");
        }
    }
}

#[tokio::test]
async fn a_refused_form_says_why_and_keeps_what_was_typed() {
    let (bench, good) = Bench::with_release().await;
    let target = good.to_string();
    let path = "/pipelines/shop/stages/Prod/rollback";
    let (status, html) = refused(&bench, form(path, &[("target", &target), ("reason", "")])).await;
    assert_eq!(status, 400);
    assert!(html.contains("role=\"alert\"") && html.contains("reason") && html.contains("Back to"), "{html}");
    let bad = bench.start().await;
    bench.fail(bad).await;
    let bad = bad.to_string();
    let (status, html) = refused(&bench, form(path, &[("target", &bad), ("reason", "Back, please.")])).await;
    assert_eq!(status, 400);
    assert!(html.contains("It did not succeed in the stage") && !html.contains("Roll back Prod</button>"), "{html}");
    let revision = [("kind.Fetch", "S3_OBJECT_KEY"), ("revision.Fetch", "other.zip"), ("variable.Color", "blue")];
    let (status, html) = refused(&bench, form("/pipelines/shop/start", &revision)).await;
    assert_eq!(status, 400);
    assert!(html.contains("value=\"other.zip\"") && html.contains("value=\"blue\""), "{html}");
}

#[tokio::test]
async fn a_form_that_others_are_faster_than_is_told_so_in_the_words_of_its_own_operation() {
    let (bench, _) = Bench::with_release().await;
    let inside = bench.start().await;
    bench.drive(inside, None).await;
    let waiting = bench.start().await;
    assert_eq!(bench.drive(waiting, None).await, Driven::Waiting);
    // Without the row of whoever would come in next, every decision that frees the stage is taken on a stale view.
    let row = bench.world.store().load_execution(&shop_name(), waiting).await.unwrap().unwrap();
    bench.world.store().commit(vec![Write::Delete(Row::Execution(row))]).await.unwrap();
    let stop = form(&format!("/pipelines/shop/executions/{inside}/stop"), &[("abandon", "yes")]);
    let (status, html) = refused(&bench, stop).await;
    assert!(status == 409 && html.contains("busy handling other changes. Try again in a moment."), "{status}: {html}");
}

#[tokio::test]
async fn executions_are_started_stopped_and_retried() {
    let (bench, _) = Bench::with_release().await;
    let fields = [("once", "7"), ("variable.Color", "blue")];
    let to = done(&bench, "/pipelines/shop/start", &fields).await;
    assert!(to.ends_with("?done=started"));
    assert_eq!(done(&bench, "/pipelines/shop/start", &fields).await, to, "the second click starts nothing");
    let id: ExecutionId = to.split('?').next().unwrap().rsplit_once('/').unwrap().1.parse().unwrap();
    let get = json!({"pipelineName": "shop", "pipelineExecutionId": id});
    let started = bench.ok("GetPipelineExecution", get.clone()).await["pipelineExecution"].clone();
    assert_eq!(started["variables"], json!([{"name": "Color", "resolvedValue": "blue"}]));
    bench.fail(id).await;
    assert!(page(&bench, "/pipelines/shop").await.contains("Retry what failed"));
    let execution = id.to_string();
    let retry = [("execution", execution.as_str()), ("mode", "FAILED_ACTIONS")];
    done(&bench, "/pipelines/shop/stages/Prod/retry", &retry).await;
    let html = page(&bench, "/pipelines/shop").await;
    assert!(html.contains("retried once") && html.contains("#stop"), "{html}");
    let stop = format!("/pipelines/shop/executions/{id}/stop");
    done(&bench, &stop, &[("reason", "Wrong day."), ("abandon", "yes")]).await;
    assert!(page(&bench, &format!("/pipelines/shop/executions/{id}")).await.contains("Wrong day."));
    assert_eq!(refused(&bench, form(&stop, &[])).await.0, 400, "it is being stopped already");
}

#[tokio::test]
async fn approvals_are_answered() {
    let bench = Bench::new().await;
    bench.ok("CreatePipeline", json!({"pipeline": asking()})).await;
    let first = bench.newest().await;
    bench.drive(first, None).await;
    let html = page(&bench, "/pipelines/shop").await;
    assert!(html.contains("Waits for approval") && html.contains("https://shop.example/preview"), "{html}");
    let token = prod(&bench).await["actionStates"][0]["latestExecution"]["token"].as_str().unwrap().to_owned();
    assert!(!bench.send(signed_in(visit("GET", "/pipelines/shop"), "")).await.body.contains(&token));
    let answer =
        [("action", "Check"), ("approval", token.as_str()), ("answer", "Approved"), ("summary", "Looked at it.")];
    assert!(done(&bench, "/pipelines/shop/stages/Prod/approval", &answer).await.ends_with("done=approved"));
    assert!(page(&bench, "/pipelines/shop").await.contains("Looked at it."));
    let (status, html) = refused(&bench, form("/pipelines/shop/stages/Prod/approval", &answer)).await;
    assert!(status == 400 && html.contains("role=\"alert\""), "{html}");
}

#[tokio::test]
async fn automatic_rollback_is_configured_against_the_version_that_was_shown() {
    let (bench, _) = Bench::with_release().await;
    let path = "/pipelines/shop/configure";
    let fields = |version| {
        [
            ("version", version),
            ("stage", "Prod"),
            ("failure", "retry-rollback"),
            ("watch", "yes"),
            ("alarm", "errors"),
            ("minutes", "15"),
            ("shadow", "yes"),
        ]
    };
    assert!(done(&bench, path, &fields("1")).await.ends_with("?done=saved"));
    let stored = bench.ok("GetPipeline", json!({"name": "shop"})).await["pipeline"].clone();
    let stage = &stored["stages"][1];
    assert_eq!(stage["onFailure"]["result"], "ROLLBACK");
    assert_eq!(stage["onFailure"]["retryConfiguration"]["retryMode"], "ALL_ACTIONS");
    let configuration = &stage["onSuccess"]["conditions"][0]["rules"][0]["configuration"];
    let expected = json!({"AlarmName": "errors", "WaitTime": "15", "Watch": "true", "Shadow": "true"});
    assert_eq!(*configuration, expected);
    let html = page(&bench, path).await;
    assert!(html.contains("value=\"errors\"") && html.contains("name=\"version\" value=\"2\""), "{html}");
    let (status, html) = refused(&bench, form(path, &fields("1"))).await;
    assert!(status == 409 && html.contains("was changed since"), "{html}");
    let mut bad = fields("2");
    bad[5].1 = "soon";
    assert_eq!(refused(&bench, form(path, &bad)).await.0, 400);
}

#[tokio::test]
async fn the_way_into_a_stage_is_closed_and_opened() {
    let (bench, _) = Bench::with_release().await;
    let path = "/pipelines/shop/stages/Prod/transition";
    assert!(done(&bench, path, &[("to", "disabled"), ("reason", "Night.")]).await.ends_with("done=closed"));
    let next = bench.start().await;
    bench.drive(next, None).await;
    let html = page(&bench, "/pipelines/shop").await;
    assert!(html.contains("Transition disabled") && html.contains("“Night.”") && html.contains("Waiting"), "{html}");
    assert!(page(&bench, "").await.contains("1 waiting"));
    assert!(done(&bench, path, &[("to", "enabled")]).await.ends_with("done=opened"));
    let (status, html) = refused(&bench, form(path, &[("to", "disabled"), ("reason", " ")])).await;
    assert_eq!(status, 400);
    assert!(html.contains("href=\"/console/pipelines/shop\" data-reload"), "a page to look at again: {html}");
}

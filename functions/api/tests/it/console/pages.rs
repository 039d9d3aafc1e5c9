//! Pages.

use engine::{
    HasStore,
    ports::{DecisionList, ObjectAt, ObjectsError, PageRequest, Store},
};

use super::*;
use crate::{decisions::turn_red, world::Driven};

#[tokio::test]
async fn an_empty_installation_says_what_to_do() {
    let bench = Bench::new().await;
    let html = page(&bench, "").await;
    assert!(html.contains("No pipeline yet") && html.contains("create-pipeline"), "{html}");
    let html = page(&bench, "/attention").await;
    assert!(html.contains("No stage is held.") && html.contains("No revision is revoked."), "{html}");
}

#[tokio::test]
async fn every_page_of_a_pipeline_is_there() {
    let (bench, first) = Bench::with_release().await;
    for (path, words) in [
        ("/", vec!["shop", "Prod", "Succeeded", "v1"]),
        ("/pipelines", vec!["shop"]),
        ("/pipelines/shop", vec!["Fetch", "Check", "Invoke · Lambda", "Live", "/stages/Prod/rollback"]),
        ("/pipelines/shop/history", vec!["Succeeded", "Creation of the pipeline", "v1"]),
        ("/pipelines/shop/start", vec!["variable.Color", "placeholder=\"green\"", "S3_OBJECT_VERSION_ID"]),
        ("/pipelines/shop/configure", vec!["roll back to the last good release", "name=\"alarm\""]),
        ("/pipelines/shop/rollbacks", vec!["No rollback yet"]),
        ("/pipelines/shop/stages/Prod/rollback", vec!["Eligible", "Live now"]),
        (&format!("/pipelines/shop/executions/{first}"), vec!["Timeline", "Fetch", "green v1", "v1"]),
        (&format!("/pipelines/shop/stages/Prod/rollback?target={first}"), vec!["Back to", "Roll back Prod"]),
    ] {
        let html = page(&bench, path).await;
        for word in words {
            assert!(html.contains(word), "{path} lacks {word}: {html}");
        }
        assert!(!html.contains("/stages/Source/rollback"), "the first stage cannot go back: {path}");
    }
}

#[tokio::test]
async fn an_artifact_that_cannot_be_read_is_told_of_its_candidate() {
    let (bench, first) = Bench::with_release().await;
    let row = bench.world.store().load_execution(&crate::world::shop_name(), first).await.unwrap().unwrap();
    let at = ObjectAt::from(&row.artifacts["App"]);
    bench.objects.fail(&at, ObjectsError::AccessDenied { operation: "HeadObject", at: at.clone() });
    let path = "/pipelines/shop/stages/Prod/rollback";
    let listed = page(&bench, path).await;
    assert!(listed.contains("cannot be read: access denied"), "{listed}");
    let previewed = page(&bench, &format!("{path}?target={first}")).await;
    assert!(previewed.contains("Cannot be read") && !previewed.contains("Roll back Prod</button>"), "{previewed}");
}

#[tokio::test]
async fn pages_carry_their_policy_and_files_never_change() {
    let (bench, _) = Bench::with_release().await;
    let reply = bench.send(visit("GET", "/pipelines/shop")).await;
    let policy = &reply.headers["content-security-policy"];
    assert!(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self'"), "{policy}");
    for (name, value) in [("x-content-type-options", "nosniff"), ("cache-control", "no-store")] {
        assert_eq!(reply.headers[name], value);
    }
    assert!(reply.cookies.is_empty(), "the browser has its cookie");
    for inline in [" style=", "<style", " onclick=", "<script>"] {
        assert!(!reply.body.contains(inline), "{inline}");
    }
    let style = reply.body.split('"').find(|part| part.ends_with("console.css")).unwrap().to_owned();
    let path = style.strip_prefix("/console").unwrap();
    // Whoever is not known gets them too: the page that says so needs them.
    let mut stranger = visit("GET", path);
    stranger.request_context.authorizer = None;
    let file = bench.send(stranger).await;
    assert_eq!((file.status_code, file.headers["content-type"].as_str()), (200, "text/css; charset=utf-8"));
    assert!(file.headers["cache-control"].contains("immutable"));
    let other = bench.send(visit("GET", "/assets/0000000000000000/console.css")).await;
    assert_eq!(other.status_code, 404, "another version is not there");
}

#[tokio::test]
async fn a_browser_gets_its_token_once_and_only_for_the_console() {
    let bench = Bench::new().await;
    for (cookies, expected) in [(vec![], true), (vec!["lastgood-form=<b>".to_owned()], true)] {
        let reply = bench.send(ApiEvent { cookies, ..visit("GET", "") }).await;
        assert_eq!(!reply.cookies.is_empty(), expected);
        let cookie = &reply.cookies[0];
        assert!(cookie.ends_with("; Path=/console; HttpOnly; SameSite=Strict; Secure"), "{cookie}");
    }
    let head = bench.send(visit("HEAD", "")).await;
    assert_eq!((head.status_code, head.body.as_str()), (200, ""));
}

#[tokio::test]
async fn nobody_sees_anything_whom_no_authoriser_named() {
    let (bench, first) = Bench::with_release().await;
    for path in ["", "/pipelines/shop", &format!("/pipelines/shop/executions/{first}"), "/nothing"] {
        for authorizer in [None, Some(Authorizer::default())] {
            let mut event = visit("GET", path);
            event.request_context.authorizer = authorizer;
            let (status, html) = refused(&bench, event).await;
            assert_eq!(status, 401, "{path}");
            assert!(!html.contains("shop") && html.contains("Sign in"), "{html}");
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_missing() {
    let (bench, _) = Bench::with_release().await;
    for path in [
        "/nothing",
        "/pipelines/gone",
        "/pipelines/gone/history",
        "/pipelines/gone/start",
        "/pipelines/gone/configure",
        "/pipelines/gone/rollbacks",
        "/pipelines/gone/stages/Prod/rollback",
        "/pipelines/shop/stages/Gone/rollback",
        &format!("/pipelines/shop/executions/{NOBODY}"),
        &format!("/pipelines/gone/executions/{NOBODY}"),
        &format!("/pipelines/shop/stages/Prod/rollback?target={NOBODY}"),
    ] {
        let (status, html) = refused(&bench, visit("GET", path)).await;
        assert_eq!(status, 404, "{path}: {html}");
        assert!(html.contains("All pipelines"), "{path}");
    }
    for (method, path, allow) in [
        ("DELETE", "/pipelines/shop", "GET, HEAD"),
        ("POST", "/pipelines/shop", "GET, HEAD"),
        ("GET", "/pipelines/shop/stages/Prod/retry", "POST"),
        ("PUT", "/pipelines/shop/start", "GET, HEAD, POST"),
    ] {
        let reply = bench.send(visit(method, path)).await;
        assert_eq!((reply.status_code, reply.headers["allow"].as_str()), (405, allow), "{method} {path}");
    }
}

#[tokio::test]
async fn queries_are_bounded() {
    let (bench, _) = Bench::with_release().await;
    let long = "x".repeat(5000);
    for path in [
        "?sort=created&page=0".to_owned(),
        "?sort=created&page=99999999999999999999".to_owned(),
        format!("?after={long}"),
        "?page=-1&sort=none&done=none".to_owned(),
        format!("?q={long}"),
        format!("/pipelines/shop/history?status={long}&type=x"),
    ] {
        let html = page(&bench, &path).await;
        assert!(html.len() < 100_000 && !html.contains(&"x".repeat(101)), "{}", html.len());
    }
    for path in [
        "/pipelines/shop/history?after=x",
        "/pipelines/shop/stages/Prod/rollback?after=x&target=",
        "/pipelines/shop/stages/Prod/rollback?target=x",
    ] {
        assert_eq!(refused(&bench, visit("GET", path)).await.0, 400, "{path}");
    }
    let none = page(&bench, "?q=none").await;
    assert!(none.contains("No name holds") && none.contains("Show all pipelines"), "{none}");
}

#[tokio::test]
async fn the_history_is_filtered_and_turned_page_by_page() {
    let (bench, first) = Bench::with_release().await;
    for _ in 0..27 {
        bench.start().await;
    }
    let newest = page(&bench, "/pipelines/shop/history").await;
    let older = newest.split('"').find(|part| part.contains("after=")).unwrap().replace("&#38;", "&");
    assert!(!newest.contains(&format!("executions/{first}")));
    let oldest = page(&bench, older.strip_prefix("/console").unwrap()).await;
    assert!(oldest.contains(&format!("executions/{first}")) && !oldest.contains("after="), "{oldest}");
    let good = page(&bench, "/pipelines/shop/history?status=Succeeded").await;
    assert!(good.contains(&format!("executions/{first}")) && !good.contains("In progress"), "{good}");
    let back = page(&bench, "/pipelines/shop/history?type=ROLLBACK").await;
    assert!(back.contains("<h2>None</h2>"), "{back}");
}

#[tokio::test]
async fn nothing_that_others_wrote_is_markup() {
    let bench = Bench::new().await;
    let mut pipeline = shop();
    pipeline["variables"] = json!([{"name": "Color", "defaultValue": MARKUP, "description": MARKUP}]);
    bench.ok("CreatePipeline", json!({ "pipeline": pipeline })).await;
    let first = bench.newest().await;
    bench.fail(first).await;
    bench
        .ok(
            "RetryStageExecution",
            json!({"pipelineName": "shop", "stageName": "Prod", "pipelineExecutionId": first,
        "retryMode": "ALL_ACTIONS"}),
        )
        .await;
    bench.pass(first).await;
    let second = another(&bench).await;
    let target = first.to_string();
    let back = done(&bench, "/pipelines/shop/stages/Prod/rollback", &[("target", &target), ("reason", MARKUP)]).await;
    // A reason may not hold it, and the refusal quotes it.
    let closing = form("/pipelines/shop/stages/Prod/transition", &[("to", "disabled"), ("reason", MARKUP)]);
    let (status, html) = refused(&bench, closing).await;
    assert!(status == 400 && html.contains("&#60;img") && !html.contains("<img"), "{html}");
    let back = back.strip_prefix("/console").unwrap().split('?').next().unwrap().to_owned();
    let mut seen = 0;
    for path in [
        "",
        "/attention",
        "/pipelines/shop",
        "/pipelines/shop/start",
        "/pipelines/shop/history",
        "/pipelines/shop/rollbacks",
        &back,
        &format!("/pipelines/shop/executions/{second}"),
        &format!("/pipelines/shop/stages/Prod/rollback?target={target}"),
        "?q=%3Cimg+src%3Dx+onerror%3Dalert(1)%3E",
    ] {
        let html = page(&bench, path).await;
        assert!(!html.contains("<img") && !html.contains("onerror=alert(1)>"), "{path}: {html}");
        seen += usize::from(html.contains("&#60;img src=x onerror=alert(1)&#62;"));
    }
    assert!(seen >= 6, "the text is shown on most of them, {seen}");
}

/// As many pipelines as `numbers`, called shop-00 and so on.
async fn pipelines(bench: &Bench, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let mut pipeline = shop();
        pipeline["name"] = json!(format!("shop-{number:02}"));
        bench.ok("CreatePipeline", json!({ "pipeline": pipeline })).await;
    }
}

#[tokio::test]
async fn many_pipelines_are_pages_of_twenty() {
    let bench = Bench::new().await;
    pipelines(&bench, 0..45).await;
    let first = page(&bench, "").await;
    assert!(first.contains("shop-00 to shop-19") && !first.contains("shop-20"), "{first}");
    assert!(first.contains("href=\"/console?after=shop-19\"") && !first.contains(">First</a>"), "{first}");
    let last = page(&bench, "?after=shop-39").await;
    assert!(
        last.contains("shop-40 to shop-44") && last.contains(">First</a>") && !last.contains("rel=\"next\""),
        "{last}"
    );
    assert!(page(&bench, "?after=shop-44").await.contains("No pipeline comes after this"));
    assert!(first.len() < 60_000, "{}", first.len());
    let some = page(&bench, "?q=SHOP-3&sort=created").await;
    assert!(some.contains("1 to 10 of 10 (of 45 in all)"), "{some}");
    let (newest, oldest) = (some.find("shop-39").unwrap(), some.find("shop-30").unwrap());
    assert!(newest < oldest);
    let third = page(&bench, "?sort=created&page=3").await;
    assert!(third.contains("41 to 45 of 45") && third.contains("shop-00") && third.contains("rel=\"prev\""), "{third}");
    let empty = Bench::new().await;
    pipelines(&empty, 0..2).await;
    assert!(page(&empty, "").await.contains("2 in all"));
}

#[tokio::test]
async fn the_list_costs_the_same_however_many_pipelines_and_executions_there_are() {
    let (bench, _) = Bench::with_release().await;
    pipelines(&bench, 0..22).await;
    let cost = async |path: &str| {
        let before = bench.world.store().usage().requests();
        page(&bench, path).await;
        bench.world.store().usage().requests() - before
    };
    let (plain, sorted) = (cost("").await, cost("?sort=created").await);
    // Names, holds, incidents, pipelines, stages, what is live.
    assert!(plain <= 6, "{plain} requests");
    pipelines(&bench, 22..60).await;
    for _ in 0..12 {
        another(&bench).await;
    }
    assert_eq!((cost("").await, cost("?sort=created").await), (plain, sorted));
    // Who waits is asked of those pipelines alone in which somebody can.
    let closing = [("to", "disabled"), ("reason", "Not on Friday.")];
    done(&bench, "/pipelines/shop/stages/Prod/transition", &closing).await;
    assert_eq!(cost("").await, plain);
    let next = bench.start().await;
    assert_eq!(bench.drive(next, None).await, Driven::Waiting);
    assert_eq!(cost("").await, plain + 1);
    assert!(page(&bench, "").await.contains("1 waiting"));
}

#[tokio::test]
async fn names_that_readers_of_addresses_take_for_the_way_up_are_reachable() {
    let bench = Bench::new().await;
    let mut pipeline = shop();
    pipeline["name"] = json!("..");
    pipeline["stages"][1]["name"] = json!(".");
    bench.ok("CreatePipeline", json!({ "pipeline": pipeline })).await;
    let list = page(&bench, "").await;
    assert!(list.contains("href=\"/console/pipelines/~..\""), "{list}");
    let own = page(&bench, "/pipelines/~..").await;
    assert!(own.contains("/console/pipelines/~../stages/~./transition"), "{own}");
    let history = page(&bench, "/pipelines/~../history").await;
    let execution = history.split('"').find(|part| part.contains("/executions/")).unwrap();
    page(&bench, execution.strip_prefix("/console").unwrap()).await;
    page(&bench, "/pipelines/~../stages/~./rollback").await;
    let closing = form("/pipelines/~../stages/~./transition", &[("to", "disabled"), ("reason", "Not now.")]);
    let reply = bench.send(closing).await;
    assert_eq!((reply.status_code, reply.headers["location"].as_str()), (303, "/console/pipelines/~..?done=closed"));
}

#[tokio::test]
async fn evidence_shows_what_the_metric_did_around_the_deploy() {
    for is_known in [true, false] {
        let (bench, _) = Bench::with_release().await;
        let bad = another(&bench).await;
        bench.alarms.denied.store(!is_known, std::sync::atomic::Ordering::SeqCst);
        turn_red(&bench, bad).await;
        let shown = page(&bench, &format!("/pipelines/shop/executions/{bad}")).await;
        for word in
            ["Shop Errors, each 1 min", "threshold 5", "<path class=\"series\" d=\"M", "<td class=\"number\">7</td>"]
        {
            assert_eq!(shown.contains(word), is_known, "{word}: {shown}");
        }
        assert_eq!(shown.contains("What the metric did is not known."), !is_known);
        assert!(
            shown.contains("Suspects, the most suspect first") && shown.contains("What would have changed"),
            "{shown}"
        );
        let all = DecisionList::All;
        let kept = bench.world.store().list_decisions(&all, PageRequest { limit: 9, after: None }).await.unwrap().items;
        assert_eq!((kept.len(), kept[0].series.len()), (1, usize::from(is_known)));
        // Taking the decision again takes no metric.
        let decision = kept[0].id().to_string();
        let replay = json!({"pipelineName": "shop", "stageName": "Prod", "decisionId": decision});
        assert_eq!(bench.ok("ReplayDecision", replay).await["identical"], true);
    }
}

#[tokio::test]
async fn rollbacks_of_all_pipelines_are_one_page() {
    let (bench, first) = Bench::with_release().await;
    let none = page(&bench, "/rollbacks").await;
    assert!(none.contains("No rollback yet") && none.contains("of any pipeline"), "{none}");
    let bad = another(&bench).await;
    turn_red(&bench, bad).await;
    let requests = bench.world.store().usage().requests();
    let all = page(&bench, "/rollbacks").await;
    assert_eq!(bench.world.store().usage().requests() - requests, 2);
    for word in ["/console/pipelines/shop", "alarm errors turned red", "0 helped, 0 did not, of 1", "to detect"] {
        assert!(all.contains(word), "{word}: {all}");
    }
    // Evidence is a link away: a page of many decisions stays light.
    assert!(all.contains(&format!("/executions/{bad}#h-decisions")) && !all.contains("class=\"plot\""), "{all}");
    let own = page(&bench, "/pipelines/shop/rollbacks").await;
    assert!(own.contains("alarm errors turned red") && own.contains(&first.to_string()), "{own}");
}

#[tokio::test]
async fn an_approval_is_answered_where_its_message_leads() {
    let bench = Bench::new().await;
    bench.ok("CreatePipeline", json!({ "pipeline": asking() })).await;
    let execution = bench.newest().await;
    bench.drive(execution, None).await;
    let path = format!("/pipelines/shop/executions/{execution}");
    let shown = page(&bench, &path).await;
    assert!(shown.contains("waits for approval"), "{shown}");
    let looking = bench.send(signed_in(visit("GET", &path), "dev")).await.body;
    assert!(looking.contains("waits for approval") && !looking.contains("name=\"approval\""), "{looking}");
    let value = |name: &str| {
        let (_, rest) = shown.split_once(&format!("name=\"{name}\" value=\"")).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let (action, token) = (value("action"), value("approval"));
    assert!(!looking.contains(&token), "who may only look gets no token: {looking}");
    let fields = [
        ("action", action.as_str()),
        ("approval", &token),
        ("answer", "Approved"),
        ("summary", "Good."),
        ("execution", &execution.to_string()),
    ];
    let to = done(&bench, "/pipelines/shop/stages/Prod/approval", &fields).await;
    assert_eq!(to, format!("/console{path}?done=approved"));
    assert!(!page(&bench, &path).await.contains("waits for approval"));
}

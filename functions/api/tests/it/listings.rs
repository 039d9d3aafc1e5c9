//! What every listing has to do, whatever it lists: a row of [`LISTINGS`] for each.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::world::{ACCOUNT, Bench, NOBODY, REGION, id, shop};

/// A paginated operation, called in one way.
struct Listing {
    operation: &'static str,
    /// Its parameters, with the id of an execution where they need one.
    input: fn(execution: &str) -> Value,
    /// Other parameters, for which its tokens do not hold.
    others: fn(execution: &str) -> Vec<Value>,
    /// The list in its output, and what tells its items apart.
    items: &'static str,
    item: fn(&Value) -> Value,
    /// What is added to the list while it is read.
    grow: Grow,
}

#[derive(Clone, Copy)]
enum Grow {
    Executions,
    Pipelines,
    Rollbacks,
    Tags,
    Webhooks,
}

const LISTINGS: [Listing; 10] = [
    Listing {
        operation: "ListPipelines",
        input: |_| json!({}),
        others: |_| Vec::new(),
        items: "pipelines",
        item: |pipeline| pipeline["name"].clone(),
        grow: Grow::Pipelines,
    },
    Listing {
        operation: "ListPipelineExecutions",
        input: |_| json!({"pipelineName": "shop"}),
        others: |_| vec![json!({"pipelineName": "blog"}), succeeded_in("Prod")],
        items: "pipelineExecutionSummaries",
        item: |execution| execution["pipelineExecutionId"].clone(),
        grow: Grow::Executions,
    },
    Listing {
        operation: "ListPipelineExecutions",
        input: |_| succeeded_in("Prod"),
        others: |_| vec![json!({"pipelineName": "shop"}), succeeded_in("Source")],
        items: "pipelineExecutionSummaries",
        item: |execution| execution["pipelineExecutionId"].clone(),
        grow: Grow::Executions,
    },
    Listing {
        operation: "ListActionExecutions",
        input: |_| json!({"pipelineName": "shop"}),
        others: |execution| vec![json!({"pipelineName": "blog"}), runs_of(execution)],
        items: "actionExecutionDetails",
        item: |run| run["actionExecutionId"].clone(),
        grow: Grow::Executions,
    },
    Listing {
        operation: "ListActionExecutions",
        input: runs_of,
        others: |execution| vec![json!({"pipelineName": "shop"}), runs_of(NOBODY), latest_of(execution)],
        items: "actionExecutionDetails",
        item: |run| run["actionExecutionId"].clone(),
        grow: Grow::Executions,
    },
    Listing {
        operation: "ListActionExecutions",
        input: latest_of,
        others: |execution| vec![json!({"pipelineName": "shop"}), runs_of(execution), latest_of(NOBODY)],
        items: "actionExecutionDetails",
        item: |run| run["actionExecutionId"].clone(),
        grow: Grow::Executions,
    },
    Listing {
        operation: "ListTagsForResource",
        input: |_| json!({"resourceArn": arn("shop")}),
        others: |_| vec![json!({"resourceArn": arn("blog")})],
        items: "tags",
        item: |tag| tag["key"].clone(),
        grow: Grow::Tags,
    },
    Listing {
        operation: "ListRollbackCandidates",
        input: |_| json!({"pipelineName": "shop", "stageName": "Prod"}),
        others: |_| vec![json!({"pipelineName": "shop", "stageName": "Source"})],
        items: "candidates",
        item: |candidate| candidate["pipelineExecutionId"].clone(),
        grow: Grow::Executions,
    },
    Listing {
        operation: "ListRollbackDecisions",
        input: |_| json!({"pipelineName": "shop"}),
        others: |_| vec![json!({"pipelineName": "blog"}), json!({"pipelineName": "shop", "stageName": "Prod"})],
        items: "decisions",
        item: |decision| json!([decision["rollbackPipelineExecutionId"], decision["outcome"]]),
        grow: Grow::Rollbacks,
    },
    Listing {
        operation: "ListWebhooks",
        input: |_| json!({}),
        others: |_| Vec::new(),
        items: "webhooks",
        item: |webhook| webhook["definition"]["name"].clone(),
        grow: Grow::Webhooks,
    },
];

fn succeeded_in(stage: &str) -> Value {
    json!({"pipelineName": "shop", "filter": {"succeededInStage": {"stageName": stage}}})
}

fn runs_of(execution: &str) -> Value {
    json!({"pipelineName": "shop", "filter": {"pipelineExecutionId": execution}})
}

fn latest_of(execution: &str) -> Value {
    let latest = json!({"pipelineExecutionId": execution, "startTimeRange": "Latest"});
    json!({"pipelineName": "shop", "filter": {"latestInPipelineExecution": latest}})
}

fn arn(name: &str) -> String {
    format!("arn:aws:codepipeline:{REGION}:{ACCOUNT}:{name}")
}

impl Listing {
    /// Names of the members of paging: one operation spells them with capitals.
    fn members(&self) -> [&'static str; 2] {
        if self.operation == "ListWebhooks" { ["MaxResults", "NextToken"] } else { ["maxResults", "nextToken"] }
    }

    /// `input` with the members of paging set.
    fn page_of(&self, input: &Value, size: u32, token: Option<&str>) -> Value {
        let ([limit, next], mut input) = (self.members(), input.clone());
        input[limit] = json!(size);
        if let Some(token) = token {
            input[next] = json!(token);
        }
        input
    }

    /// The token of the page after `page`, where there is one.
    fn next<'a>(&self, page: &'a Value) -> Option<&'a str> {
        page[self.members()[1]].as_str()
    }

    fn read(&self, page: &Value) -> Vec<Value> {
        page[self.items].as_array().unwrap().iter().map(self.item).collect()
    }

    /// Everything, by pages of `size`, each of them read after the list has grown.
    async fn read_while_growing(&self, bench: &Bench, input: &Value, size: u32, grown: &mut u32) -> Vec<Value> {
        let mut page = bench.ok(self.operation, self.page_of(input, size, None)).await;
        let mut found = self.read(&page);
        while let Some(token) = self.next(&page).map(str::to_owned) {
            assert!(page[self.items].as_array().unwrap().len() <= size as usize, "{}", self.operation);
            grow(bench, self.grow, *grown).await;
            *grown += 1;
            page = bench.ok(self.operation, self.page_of(input, size, Some(&token))).await;
            found.extend(self.read(&page));
        }
        found
    }
}

async fn grow(bench: &Bench, what: Grow, number: u32) {
    match what {
        Grow::Executions => bench.pass(bench.start().await).await,
        // Some names come before, some after those that are there.
        Grow::Pipelines => create(bench, &format!("{}-{number}", ["a", "n", "z"][number as usize % 3])).await,
        Grow::Rollbacks => go_back(bench).await,
        Grow::Webhooks => put_webhook(bench, &format!("{}-{number}", ["a", "hook-0x", "z"][number as usize % 3])).await,
        Grow::Tags => {
            let tags = json!([{"key": format!("{}{number}", ["A", "key 0", "z"][number as usize % 3]), "value": ""}]);
            bench.ok("TagResource", json!({"resourceArn": arn("shop"), "tags": tags})).await;
        }
    }
}

async fn create(bench: &Bench, name: &str) {
    let mut pipeline = shop();
    pipeline["name"] = json!(name);
    bench.ok("CreatePipeline", json!({"pipeline": pipeline})).await;
}

async fn put_webhook(bench: &Bench, name: &str) {
    let webhook = json!({
        "name": name, "targetPipeline": "shop", "targetAction": "Fetch", "filters": [{"jsonPath": "$.ref"}],
        "authentication": "UNAUTHENTICATED", "authenticationConfiguration": {},
    });
    bench.ok("PutWebhook", json!({"webhook": webhook})).await;
}

/// Brings the oldest execution back once more.
async fn go_back(bench: &Bench) {
    let executions = bench.ok("ListPipelineExecutions", json!({"pipelineName": "shop"})).await;
    let oldest = &executions["pipelineExecutionSummaries"].as_array().unwrap().last().unwrap()["pipelineExecutionId"];
    let rollback = json!({"pipelineName": "shop", "stageName": "Prod", "targetPipelineExecutionId": oldest});
    let started = bench.ok("RollbackStage", rollback).await;
    bench.pass(id(&started["pipelineExecutionId"])).await;
    let transition = json!({"pipelineName": "shop", "stageName": "Prod", "transitionType": "Inbound"});
    bench.ok("EnableStageTransition", transition).await;
}

/// Three executions of `shop` that passed it, three pipelines, tags and webhooks, and a rollback. Returns the first execution.
async fn three_of_everything() -> (Bench, String) {
    let (bench, first) = Bench::with_release().await;
    for _ in 0..2 {
        bench.pass(bench.start().await).await;
    }
    for name in ["blog", "mail"] {
        create(&bench, name).await;
    }
    for number in 0..3 {
        put_webhook(&bench, &format!("hook-{number}")).await;
    }
    go_back(&bench).await;
    let tags: Value = (0..3).map(|number| json!({"key": format!("key {number}"), "value": ""})).collect();
    bench.ok("TagResource", json!({"resourceArn": arn("shop"), "tags": tags})).await;
    (bench, first.to_string())
}

#[tokio::test]
async fn what_was_there_comes_once_and_in_order_whatever_is_added_meanwhile() {
    for listing in &LISTINGS {
        let (bench, execution) = three_of_everything().await;
        let (input, mut grown) = ((listing.input)(&execution), 0);
        for size in [1, 2] {
            let there = listing.read(&bench.ok(listing.operation, listing.page_of(&input, 100, None)).await);
            assert!(there.len() >= 2, "{} {input}: {there:?}", listing.operation);
            let found = listing.read_while_growing(&bench, &input, size, &mut grown).await;
            let told: BTreeSet<String> = found.iter().map(Value::to_string).collect();
            assert_eq!(told.len(), found.len(), "{} {input} repeats: {found:?}", listing.operation);
            let kept: Vec<&Value> = found.iter().filter(|item| there.contains(item)).collect();
            assert_eq!(kept, there.iter().collect::<Vec<_>>(), "{} {input} by {size}", listing.operation);
        }
    }
}

#[tokio::test]
async fn a_token_holds_for_its_listing_alone_and_only_as_it_was_given() {
    let (bench, execution) = three_of_everything().await;
    let mut tokens: Vec<String> = Vec::new();
    for listing in &LISTINGS {
        let page = bench.ok(listing.operation, listing.page_of(&(listing.input)(&execution), 1, None)).await;
        tokens.push(listing.next(&page).unwrap().to_owned());
    }
    for (own, listing) in LISTINGS.iter().enumerate() {
        let input = (listing.input)(&execution);
        let refused = async |input: &Value, token: &str| {
            let error = bench.refused(listing.operation, listing.page_of(input, 1, Some(token))).await;
            assert_eq!(error.0, "InvalidNextTokenException", "{} {input} {token}: {error:?}", listing.operation);
        };
        for (place, token) in tokens.iter().enumerate() {
            if place == own {
                bench.ok(listing.operation, listing.page_of(&input, 7, Some(token))).await;
            } else {
                refused(&input, token).await;
            }
        }
        for other in (listing.others)(&execution) {
            refused(&other, &tokens[own]).await;
        }
        for place in 0..tokens[own].len() {
            let mut altered = tokens[own].clone().into_bytes();
            altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
            refused(&input, &String::from_utf8(altered).unwrap()).await;
        }
        for garbage in ["x", &format!("{}=", tokens[own]), &tokens[own][1..], &"A".repeat(2048)] {
            refused(&input, garbage).await;
        }
    }
}

#[tokio::test]
async fn pages_have_the_sizes_of_the_model() {
    let (bench, execution) = three_of_everything().await;
    for listing in &LISTINGS {
        let most = if listing.operation == "ListPipelines" { 1000 } else { 100 };
        let input = (listing.input)(&execution);
        bench.ok(listing.operation, listing.page_of(&input, most, None)).await;
        for size in [0, most + 1] {
            let error = bench.refused(listing.operation, listing.page_of(&input, size, None)).await;
            assert_eq!(error.0, "ValidationException", "{}: {error:?}", listing.operation);
        }
    }
}

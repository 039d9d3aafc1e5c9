use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

use super::{glob::Glob, *};

const PUSH: &str = include_str!("../../../../tests/fixtures/github/push.json");
const NEW_BRANCH: &str = include_str!("../../../../tests/fixtures/github/push_new_branch.json");
const DELETED_BRANCH: &str = include_str!("../../../../tests/fixtures/github/push_deleted_branch.json");
const TAG: &str = include_str!("../../../../tests/fixtures/github/push_tag.json");
const OPENED: &str = include_str!("../../../../tests/fixtures/github/pull_request.json");
const UPDATED: &str = include_str!("../../../../tests/fixtures/github/pull_request_synchronize.json");
const MERGED: &str = include_str!("../../../../tests/fixtures/github/pull_request_merged.json");
const PING: &str = include_str!("../../../../tests/fixtures/github/ping.json");

fn payload(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn source(configuration: Value) -> ActionDeclaration {
    let mut action = json!({
        "name": "Code",
        "actionTypeId": {"category": "Source", "owner": "AWS", "provider": GIT_CONNECTION, "version": "1"},
        "configuration": {"ConnectionArn": "arn", "FullRepositoryId": "Harbour-Books/shop", "BranchName": "main"},
    });
    for (key, value) in configuration.as_object().unwrap() {
        action["configuration"][key] = value.clone();
    }
    serde_json::from_value(action).unwrap()
}

fn trigger(filters: Value) -> Value {
    let mut configuration = filters;
    configuration["sourceActionName"] = json!("Code");
    json!({"providerType": GIT_CONNECTION, "gitConfiguration": configuration})
}

/// What becomes of a payload where the source has a trigger of these filters, or none.
fn judge(payload: &Value, filters: Option<Value>) -> Result<(), TriggerMiss> {
    let event = GitEvent::read(payload)?;
    judge_git_event(&filters.map(trigger).into_iter().collect::<Vec<_>>(), &source(json!({})), &event)
}

#[test]
fn filters_let_pass_what_they_say() {
    let push = |filter: Value| json!({"push": [filter]});
    let pull = |filter: Value| json!({"pullRequest": [filter]});
    let includes = |pattern: &str| json!({"includes": [pattern]});
    let excludes = |pattern: &str| json!({"excludes": [pattern]});
    let branches = |pattern: &str| push(json!({"branches": {"includes": [pattern]}}));
    let files = |criteria: Value| push(json!({"branches": {"includes": ["**"]}, "filePaths": criteria}));
    let filtered = Err(TriggerMiss::Filtered);
    for (text, filters, expected) in [
        (PUSH, branches("main"), Ok(())),
        (PUSH, branches("m*"), Ok(())),
        (PUSH, branches("release/**"), filtered.clone()),
        (NEW_BRANCH, branches("win*"), Ok(())),
        (TAG, branches("**"), filtered.clone()),
        (PUSH, push(json!({"branches": excludes("main")})), filtered.clone()),
        (PUSH, push(json!({"branches": excludes("dev")})), Ok(())),
        (PUSH, push(json!({"branches": {"includes": ["dev", "main"], "excludes": ["x"]}})), Ok(())),
        (PUSH, push(json!({"branches": {"includes": ["main"], "excludes": ["ma*"]}})), filtered.clone()),
        (TAG, push(json!({"tags": includes("v1.*")})), Ok(())),
        (TAG, push(json!({"tags": {"includes": ["v*"], "excludes": ["v1*"]}})), filtered.clone()),
        (PUSH, push(json!({"tags": includes("**")})), filtered.clone()),
        // Changed are winter/prices.html, index.html and about.html.
        (PUSH, files(includes("winter/**")), Ok(())),
        (PUSH, files(includes("*.css")), filtered.clone()),
        (PUSH, files(excludes("*.html")), Ok(())),
        (PUSH, files(excludes("**.html")), filtered.clone()),
        (PUSH, files(json!({"includes": ["index.html", "*.css"], "excludes": ["winter/**"]})), Ok(())),
        (PUSH, files(json!({"includes": ["winter/**"], "excludes": ["**/prices.html"]})), filtered.clone()),
        (PUSH, push(json!({"branches": includes("dev"), "filePaths": includes("**")})), filtered.clone()),
        (NEW_BRANCH, files(includes("**")), filtered.clone()),
        (PUSH, json!({"push": [{"tags": includes("v*")}, {"branches": includes("main")}]}), Ok(())),
        (OPENED, branches("**"), filtered.clone()),
        (PUSH, pull(json!({"branches": includes("**")})), filtered.clone()),
        (OPENED, pull(json!({"events": ["OPEN"]})), Ok(())),
        (OPENED, pull(json!({"events": ["UPDATED", "CLOSED"]})), filtered.clone()),
        (UPDATED, pull(json!({"events": ["UPDATED", "CLOSED"]})), Ok(())),
        (MERGED, pull(json!({"events": ["CLOSED"], "branches": includes("main")})), Ok(())),
        (OPENED, pull(json!({"branches": includes("winter")})), filtered.clone()),
        (OPENED, pull(json!({"events": ["OPEN"], "branches": includes("main")})), Ok(())),
        (OPENED, json!({"push": [{"branches": includes("x")}], "pullRequest": [{"events": ["OPEN"]}]}), Ok(())),
        (
            OPENED,
            pull(json!({"branches": includes("main"), "filePaths": includes("**")})),
            Err(TriggerMiss::FilesUnknown),
        ),
        (OPENED, pull(json!({"branches": includes("dev"), "filePaths": includes("**")})), filtered.clone()),
        (
            OPENED,
            json!({"pullRequest": [{"branches": includes("main"), "filePaths": includes("**")}, {"events": ["OPEN"]}]}),
            Ok(()),
        ),
        // A trigger without filters is what no trigger is.
        (PUSH, json!({}), Ok(())),
        (NEW_BRANCH, json!({}), Err(TriggerMiss::OtherBranch)),
        (DELETED_BRANCH, branches("**"), Err(TriggerMiss::Deleted)),
        (PING, branches("**"), Err(TriggerMiss::NoGitEvent)),
    ] {
        assert_eq!(judge(&payload(text), Some(filters.clone())), expected, "{filters} {text:.60}");
    }
}

/// `text` with other values at some places.
fn with(text: &str, changes: &[(&str, Value)]) -> Value {
    let mut payload = payload(text);
    for (at, value) in changes {
        *payload.pointer_mut(at).unwrap_or_else(|| panic!("the payload has {at}")) = value.clone();
    }
    payload
}

#[test]
fn odd_payloads_are_judged_by_what_they_say() {
    let main = json!({"includes": ["main"]});
    let on_main = json!({"push": [{"branches": main}]});
    let src = json!({"includes": ["src/**"]});
    let src_on_main = json!({"push": [{"branches": main, "filePaths": src}]});
    let no_docs = json!({"push": [{"branches": main, "filePaths": {"excludes": ["docs/**", "**.md"]}}]});
    let tags = json!({"push": [{"tags": {"includes": ["**"]}}]});
    let commit = |paths: &[&str]| json!({"id": "c", "added": paths});
    let commits = |commits: Value| with(PUSH, &[("/commits", commits)]);
    let many = |last: &str| (0..=20).map(|n| commit(&[if n == 20 { last } else { "docs/a" }])).collect::<Vec<_>>();
    let filtered = Err(TriggerMiss::Filtered);
    for (payload, filters, expected) in [
        // More than twenty commits: each is looked at.
        (commits(json!(many("src/a"))), &src_on_main, Ok(())),
        (commits(json!(many("docs/b"))), &src_on_main, filtered.clone()),
        // A force push is a push; one that only goes back names no commits, so no files.
        (with(PUSH, &[("/forced", json!(true))]), &on_main, Ok(())),
        (with(PUSH, &[("/forced", json!(true)), ("/commits", json!([]))]), &on_main, Ok(())),
        (
            with(PUSH, &[("/forced", json!(true)), ("/commits", json!([]))]),
            &src_on_main,
            Err(TriggerMiss::FilesUnknown),
        ),
        (with(PUSH, &[("/ref", json!("refs/heads/dev")), ("/commits", json!([]))]), &src_on_main, filtered.clone()),
        (commits(json!(null)), &src_on_main, Err(TriggerMiss::FilesUnknown)),
        (commits(json!([{"id": "c"}, {"added": "src/a"}, 7])), &src_on_main, Err(TriggerMiss::FilesUnknown)),
        // Removed files count, and one file that nothing excludes is enough.
        (commits(json!([{"removed": ["src/a"]}])), &src_on_main, Ok(())),
        (commits(json!([commit(&["docs/a", "b.md"])])), &no_docs, filtered.clone()),
        (commits(json!([commit(&["docs/a", "b.md", "c.rs"])])), &no_docs, Ok(())),
        // Tags and branches are apart, whatever they are called, and names have their case.
        (with(TAG, &[("/ref", json!("refs/tags/main"))]), &on_main, filtered.clone()),
        (with(PUSH, &[("/ref", json!("refs/heads/v1.0.0"))]), &tags, filtered.clone()),
        (with(PUSH, &[("/ref", json!("refs/heads/Main"))]), &on_main, filtered.clone()),
        (with(PUSH, &[("/ref", json!("refs/heads/"))]), &on_main, filtered.clone()),
        (with(TAG, &[("/deleted", json!(true))]), &tags, Err(TriggerMiss::Deleted)),
        // A pull request is judged by the branch it goes into, not by the one it comes from.
        (
            with(OPENED, &[("/pull_request/base/ref", json!("dev"))]),
            &json!({"pullRequest": [{"branches": main}]}),
            filtered,
        ),
        (with(OPENED, &[("/action", json!("reopened"))]), &json!({"pullRequest": [{"events": ["OPEN"]}]}), Ok(())),
        (
            with(MERGED, &[("/pull_request/merged_at", json!(null))]),
            &json!({"pullRequest": [{"events": ["CLOSED"], "branches": main}]}),
            Ok(()),
        ),
        (
            with(OPENED, &[("/action", json!("edited"))]),
            &json!({"pullRequest": [{"branches": main}]}),
            Err(TriggerMiss::NoGitEvent),
        ),
    ] {
        assert_eq!(judge(&payload, Some(filters.clone())), expected, "{filters} {:.400}", payload.to_string());
    }
}

#[test]
fn without_a_trigger_pushes_to_the_sources_branch_start() {
    for (text, expected) in [
        (PUSH, Ok(())),
        (NEW_BRANCH, Err(TriggerMiss::OtherBranch)),
        (TAG, Err(TriggerMiss::OtherBranch)),
        (OPENED, Err(TriggerMiss::OtherBranch)),
    ] {
        assert_eq!(judge(&payload(text), None), expected, "{text:.60}");
    }
    let event = GitEvent::read(&payload(PUSH)).unwrap();
    let judge = |triggers: &[Value], configuration| judge_git_event(triggers, &source(configuration), &event);
    assert_eq!(judge(&[], json!({"DetectChanges": "false"})), Err(TriggerMiss::Undetected));
    assert_eq!(judge(&[], json!({"FullRepositoryId": "harbour-books/blog"})), Err(TriggerMiss::OtherRepository));
    // A trigger is for one source, and goes before DetectChanges.
    let mut other = trigger(json!({"push": [{"branches": {"includes": ["dev"]}}]}));
    let own = other.clone();
    other["gitConfiguration"]["sourceActionName"] = json!("Docs");
    assert_eq!(judge(&[other.clone()], json!({})), Ok(()));
    assert_eq!(judge(&[other, own], json!({})), Err(TriggerMiss::Filtered));
    let main = trigger(json!({"push": [{"branches": {"includes": ["main"]}}]}));
    assert_eq!(judge(&[main], json!({"DetectChanges": "false"})), Ok(()));
    let stored = trigger(json!({"push": [{"branches": {"includes": ["["]}}]}));
    assert_eq!(judge(&[stored], json!({})), Err(TriggerMiss::Unreadable));
}

#[test]
fn only_the_first_hundred_files_are_looked_at() {
    let mut push = payload(PUSH);
    for (place, expected) in [(99, Ok(())), (100, Err(TriggerMiss::Filtered))] {
        let mut files: Vec<String> = (0..100).map(|n| format!("docs/{n}.md")).collect();
        files.insert(place, "src/main.rs".to_owned());
        // Named twice they count once.
        let twice = files[..50].to_vec();
        push["commits"] = json!([{"added": twice}, {"modified": files}]);
        let filter = json!({"push": [{"branches": {"includes": ["main"]}, "filePaths": {"includes": ["src/**"]}}]});
        assert_eq!(judge(&push, Some(filter)), expected, "{place}");
    }
}

#[test]
fn an_event_tells_what_started_the_execution_and_what_to_take() {
    for (text, key, name, commit, author) in [
        (PUSH, "branch-name", "main", "c41d07e95b8a4f62a3d0e9b1f8c7265430ab19de", "Ana Lind"),
        (TAG, "tag-name", "v1.4.0", "c41d07e95b8a4f62a3d0e9b1f8c7265430ab19de", "Ana Lind"),
        (OPENED, "pull-request-id", "17", "3b7e21f6a90c4d58be02c1f7a5d4e3981726f0ab", "ana-lind"),
        (MERGED, "pull-request-id", "17", "7d2f90a1c4e86b3759d0f1a2b3c4d5e6f7089abc", "ana-lind"),
    ] {
        let event = GitEvent::read(&payload(text)).unwrap();
        let Trigger { trigger_type, trigger_detail, .. } = event.trigger();
        assert_eq!(trigger_type, TriggerType::WebhookV2);
        let mut expected = json!({"provider-type": "GitHub", "full-repository-name": "harbour-books/shop",
            "commit-id": commit, "author-display-name": author});
        expected[key] = json!(name);
        assert_eq!(payload(&trigger_detail.unwrap()), expected);
        assert_eq!(event.pin(), SourcePin { key: None, version_id: Some(commit.to_owned()) });
    }
}

#[test]
fn no_payload_makes_the_detail_too_long_or_unreadable() {
    for filler in ["x", "\"", "\u{1}", "ö", "😀"] {
        let long = filler.repeat(5_000);
        let mut push = payload(PUSH);
        push["repository"]["full_name"] = json!(long);
        push["ref"] = json!(format!("refs/heads/{long}"));
        push["head_commit"]["author"]["name"] = json!(long);
        let detail = GitEvent::read(&push).unwrap().trigger().trigger_detail.unwrap();
        assert!(detail.chars().count() <= 1024, "{}", detail.len());
        payload(&detail);
    }
}

#[test]
fn what_is_no_push_and_no_step_of_a_pull_request_is_told_apart() {
    let with = |text: &str, at: &str, value: Value| {
        let mut payload = payload(text);
        *payload.pointer_mut(at).unwrap() = value;
        payload
    };
    for other in [
        json!(null),
        json!([]),
        json!("push"),
        with(PUSH, "/ref", json!("refs/notes/x")),
        with(PUSH, "/after", json!(null)),
        with(PUSH, "/head_commit/id", json!("main; rm -rf /")),
        with(OPENED, "/action", json!("labeled")),
        with(OPENED, "/action", json!("submitted")),
        with(OPENED, "/pull_request/base/ref", json!(7)),
        with(OPENED, "/pull_request/head/sha", json!("HEAD")),
    ] {
        assert_eq!(GitEvent::read(&other), Err(TriggerMiss::NoGitEvent), "{other:.200}");
    }
    let closed = with(MERGED, "/pull_request/merged_at", json!(null));
    assert_eq!(GitEvent::read(&closed).unwrap().commit, "c41d07e95b8a4f62a3d0e9b1f8c7265430ab19de", "not merged");
}

#[test]
fn filters_that_cannot_be_are_refused_with_what_to_do() {
    let patterns = |count: usize| json!({"includes": vec!["x"; count]});
    let branches = json!({"includes": ["main"]});
    for (filters, word) in [
        (json!({"push": vec![json!({"branches": branches}); 4]}), "4 push filters"),
        (json!({"pullRequest": vec![json!({"branches": branches}); 4]}), "4 pullRequest filters"),
        (json!({"push": [{"branches": branches}, {}]}), "number 2, that is empty"),
        (json!({"push": [{"tags": branches, "branches": branches}]}), "filter of their own"),
        (json!({"push": [{"tags": branches, "filePaths": branches}]}), "filter of their own"),
        (json!({"push": [{"filePaths": branches}]}), "filePaths without branches"),
        (json!({"push": [{"branches": {}}]}), "without includes and excludes"),
        (json!({"push": [{"branches": patterns(9)}]}), "9 includes of branches"),
        (json!({"push": [{"branches": {"excludes": vec!["x"; 9]}}]}), "9 excludes of branches"),
        (json!({"push": [{"branches": {"includes": [""]}}]}), "0 characters"),
        (json!({"push": [{"branches": {"includes": ["x".repeat(256)]}}]}), "256 characters"),
        (json!({"push": [{"branches": {"includes": ["{a"]}}]}), "'{a'"),
        (json!({"push": "main"}), "cannot be read"),
        (json!({"pullRequest": [{}]}), "is empty"),
        (json!({"pullRequest": [{"events": ["MERGED"]}]}), "'MERGED'"),
        (json!({"pullRequest": [{"tags": branches, "branches": branches}]}), "has tags"),
        (json!({"pullRequest": [{"events": ["OPEN"], "filePaths": branches}]}), "filePaths without branches"),
    ] {
        let refused = GitTrigger::parse(&trigger(filters.clone())).expect_err("it cannot be");
        assert!(refused.contains(word), "{filters}: {refused}");
    }
    let most = json!({"push": vec![json!({"branches": patterns(8), "filePaths": patterns(8)}); 3]});
    assert!(GitTrigger::parse(&trigger(most)).is_ok());
}

#[test]
fn patterns_match_whole_names() {
    for (pattern, text, matches) in [
        ("main", "main", true),
        ("main", "maintenance", false),
        ("*", "main", true),
        ("*", "", true),
        ("*", "release/1", false),
        ("release/*", "release/1", true),
        ("release/*", "release/1/hot", false),
        ("release/**", "release/1/hot", true),
        ("**/*.md", "docs/a/b.md", true),
        ("**/*.md", "README.md", false),
        ("**.md", "README.md", true),
        ("v?.?", "v1.2", true),
        ("v?.?", "v1.", false),
        ("a?b", "a/b", false),
        ("[a-c]x", "bx", true),
        ("[!a-c]x", "bx", false),
        ("[!a-c]x", "zx", true),
        ("[!a]x", "/x", false),
        ("[-a]", "-", true),
        ("[a-]", "-", true),
        ("[*?]", "*", true),
        ("[*?]", "x", false),
        (r"[\]]", "]", true),
        ("{main,dev}", "dev", true),
        ("{main,dev}", "test", false),
        ("{src,test}/**", "test/a/b", true),
        ("x{,y}", "x", true),
        ("x{a*,**b}z", "xq/bz", true),
        (r"\*", "*", true),
        (r"\*", "x", false),
        (r"\{a", "{a", true),
        ("a]b}c,d", "a]b}c,d", true),
        (".*", ".github", true),
        ("ö?", "öß", true),
    ] {
        assert_eq!(Glob::parse(pattern).unwrap().matches(text), matches, "{pattern} {text}");
    }
    for pattern in ["[", "[a", "[]", "[!]", "[b-a]", "[a/b]", r"[\", "{", "{a", "{a,{b}}", r"a\", r"{a\}"] {
        assert!(Glob::parse(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn no_pattern_takes_long() {
    let glob = Glob::parse(&format!("{}b", "{*,?}".repeat(50))).unwrap();
    let text = "a".repeat(4_000);
    assert!(!glob.matches(&text));
    assert!(glob.matches(&format!("{text}b")));
}

/// The meaning of patterns again, by trying everything: braces become several patterns, stars try every length.
fn naive(pattern: &[char], text: &[char]) -> bool {
    let Some((first, rest)) = pattern.split_first() else { return text.is_empty() };
    let one =
        |is: &dyn Fn(char) -> bool, rest: &[char]| text.first().is_some_and(|c| is(*c)) && naive(rest, &text[1..]);
    match first {
        '{' => {
            let end = rest.iter().position(|c| *c == '}').unwrap();
            let alternatives = rest[..end].split(|c| *c == ',');
            alternatives.into_iter().any(|one| naive(&[one, &rest[end + 1..]].concat(), text))
        }
        '*' if rest.first() == Some(&'*') => (0..=text.len()).any(|taken| naive(&rest[1..], &text[taken..])),
        '*' => {
            let part = text.iter().position(|c| *c == '/').unwrap_or(text.len());
            (0..=part).any(|taken| naive(rest, &text[taken..]))
        }
        '?' => one(&|c| c != '/', rest),
        '[' => {
            let end = rest.iter().position(|c| *c == ']').unwrap();
            let (class, negated) = if rest[0] == '!' { (&rest[1..end], true) } else { (&rest[..end], false) };
            let has = |c: char| match class {
                [from, '-', to] => (*from..=*to).contains(&c),
                listed => listed.contains(&c),
            };
            one(&|c| c != '/' && has(c) != negated, &rest[end + 1..])
        }
        '\\' => one(&|c| c == rest[0], &rest[1..]),
        same => one(&|c| c == *same, rest),
    }
}

proptest! {
    #[test]
    fn patterns_mean_what_trying_everything_says(
        parts in prop::collection::vec(
            select(vec!["a", "b", "/", "*", "**", "?", "[ab]", "[a-b]", "[!a]", "{a,b/}", "{*b,,**a}", r"\*", r"\a"]), 0..7),
        text in "[ab*/]{0,7}",
    ) {
        let pattern = parts.concat();
        let characters = |text: &str| text.chars().collect::<Vec<_>>();
        let expected = naive(&characters(&pattern), &characters(&text));
        prop_assert_eq!(Glob::parse(&pattern).unwrap().matches(&text), expected, "{} {}", pattern, text);
    }
}

//! Rules that no verdict could ever come of.

use super::*;

const LAMBDA: (&str, &str) = ("Metrics", "lambda:shop");

#[test]
fn what_can_never_be_judged_is_refused_with_what_to_write() {
    let math = |expression: &str| {
        let metrics = r#"{"a":{"metric":"A"},"b":{"metric":"B"}}"#;
        format!(r#"[{{"expression":"{expression}","namespace":"S","metrics":{metrics}}}]"#)
    };
    let (all, found) = (math("SUM(METRICS())"), math("a + SEARCH('{S}', 'Sum')"));
    let several = math("SORT([a, b], AVG, DESC)");
    let own = r#"[{"namespace":"S","metric":"A","dimensions":{"Z":"a"},"control":{"dimensions":{"Z":"a"}}}]"#;
    for (settings, expected) in [
        (
            vec![LAMBDA, ("Period", "3600")],
            "has a WaitTime of 0 points of 3600 seconds, and the judge needs 3. Use 180 for 'WaitTime' or more (min",
        ),
        (vec![LAMBDA, ("WaitTime", "2")], "has a WaitTime of 2 points of 60 seconds, and the judge needs 3. Use 3 for"),
        (
            vec![LAMBDA, ("MinimumDataPoints", "1440")],
            "has a WaitTime of 30 points of 60 seconds, and the judge needs 1440. Use 1440 for 'WaitTime'",
        ),
        (
            vec![LAMBDA, ("Baseline", "10"), ("Period", "300")],
            "has a Baseline of 2 points of 300 seconds, and the judge needs 8. Use 40 for 'Baseline'",
        ),
        (
            vec![LAMBDA, ("Period", "30"), ("WaitTime", "160")],
            "looks 190 minutes back at its end, with Baseline and WaitTime, and CloudWatch keeps points of 30 seconds for \
             180. Use a multiple of 60",
        ),
        (
            vec![("Metrics", "emf:S:A"), ("Period", "420"), ("WaitTime", "28800")],
            "CloudWatch keeps points of 420 seconds for 21600. Use a multiple of 300",
        ),
        (vec![LAMBDA, ("ControlGroup", "lambda:shop")], "compares 'Errors' with itself"),
        (vec![("Metrics", own)], "compares 'A' with itself"),
        (vec![("Metrics", "emf:Shop:Latency?Service=")], "which has to be like emf:NAMESPACE"),
        (vec![("Metrics", "emf:Shop:Latency?=cart")], "which has to be like emf:NAMESPACE"),
        (vec![("Metrics", "apigateway:rest:")], "like apigateway:API-ID[/STAGE] or apigateway:rest:NAME[/STAGE]"),
        (vec![("Metrics", all.as_str())], "has an expression with METRICS, which reads"),
        (vec![("Metrics", found.as_str())], "has an expression with SEARCH, which reads"),
        (vec![("Metrics", several.as_str())], "has an expression with SORT, which reads"),
    ] {
        let why = rule(&settings).expect_err(expected);
        assert!(why.contains(expected), "{settings:?}: {why}");
    }
}

#[test]
fn what_can_just_be_judged_is_taken() {
    for settings in [
        vec![LAMBDA, ("WaitTime", "3")],
        vec![LAMBDA, ("MinimumDataPoints", "30")],
        vec![LAMBDA, ("Baseline", "40"), ("Period", "300")],
        vec![LAMBDA, ("Period", "30"), ("WaitTime", "150")],
        vec![LAMBDA, ("Period", "3600"), ("WaitTime", "180")],
        vec![LAMBDA, ("ControlGroup", "lambda:shop"), ("ControlRegion", "us-east-1")],
        vec![LAMBDA, ("ControlGroup", "lambda:cart")],
    ] {
        assert!(rule(&settings).is_ok(), "{settings:?}: {:?}", rule(&settings));
    }
}

#[test]
fn a_control_group_in_the_region_of_what_is_deployed_is_something_else() {
    let elsewhere = rule(&[LAMBDA, ("ControlRegion", "us-east-1")]).unwrap();
    assert_eq!(elsewhere.check_control(Some("eu-west-1")), Ok(()));
    assert!(elsewhere.check_control(Some("us-east-1")).unwrap_err().contains("'Errors' with itself"));
    let other = rule(&[LAMBDA, ("ControlGroup", "lambda:cart"), ("ControlRegion", "us-east-1")]).unwrap();
    assert_eq!(other.check_control(Some("us-east-1")), Ok(()));
}

/// `infra/README.md` says what a deploy costs that is judged by it.
#[test]
fn a_lambda_function_is_four_metrics_in_each_region() {
    let billed = |settings: &[(&str, &str)], region: Option<&str>| {
        let rule = rule(settings).unwrap();
        let queries = rule.queries();
        MetricQuery::billed(queries.iter().filter(|(of, _)| *of == region).map(|(_, query)| query))
    };
    assert_eq!(billed(&[LAMBDA], None), 4);
    let both = [LAMBDA, ("ControlRegion", "us-east-1")];
    assert_eq!((billed(&both, None), billed(&both, Some("us-east-1"))), (4, 4));
}

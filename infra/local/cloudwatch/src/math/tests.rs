//! Tables of expressions over small series, most of them AWS's own examples.

use super::*;

const MINUTE: i64 = 60;

/// Six periods of a minute, from 2026-11-23T10:14:00Z, a Monday; the start lies within the first.
const WINDOW: Window = Window { start_s: START + 20, end_s: START + 6 * MINUTE };
const START: i64 = 1_795_428_840;

/// A metric from its values, a minute apart, with gaps.
fn metric(id: &str, values: &[Option<f64>]) -> Metric {
    let times = (0..).map(|index| START + index * MINUTE);
    let points = times.zip(values).filter_map(|(at, value)| Some((at, (*value)?)));
    Metric { id: id.to_owned(), period_s: MINUTE, series: Series::new(&format!("label {id}"), points) }
}

fn metrics() -> Vec<Metric> {
    let gap = None;
    let whole = |values: &[i32]| values.iter().map(|value| Some(f64::from(*value))).collect::<Vec<_>>();
    vec![
        metric("whole", &whole(&[1, 2, 3, 4, 5, 6])),
        metric("zeros", &whole(&[0, 2, 0, 4, 0, 6])),
        metric("sparse", &[gap, Some(2.0), gap, gap, Some(5.0), gap]),
        metric("none", &[]),
        // AWS's examples of comparisons and of IF.
        metric("cmp1", &whole(&[30, 20, 0, 0])),
        metric("cmp2", &[Some(20.0), gap, Some(20.0), gap]),
        metric("if1", &[Some(1.0), Some(1.0), Some(0.0), Some(0.0), gap]),
        metric("if2", &[Some(30.0), gap, Some(0.0), Some(0.0), Some(30.0)]),
        metric("if3", &[Some(0.0), Some(0.0), Some(20.0), gap, Some(20.0)]),
    ]
}

fn expression(id: &str, text: &str) -> Expression {
    let expr = Expr::parse(text).unwrap_or_else(|problem| panic!("{text}: {problem}"));
    Expression { id: id.to_owned(), label: id.to_owned(), period_s: None, expr }
}

fn value(text: &str) -> Result<Value, String> {
    let mut found = compute(&metrics(), &[expression("e", text)], WINDOW)?;
    Ok(found.remove("e").expect("the value"))
}

/// The values of a series, a minute apart; `-` for a gap, and nothing after the last one.
fn shown(series: &Series) -> String {
    let last = series.points().last().map_or(START, |(at, _)| at + MINUTE);
    let values: Vec<String> = (START..last)
        .step_by(60)
        .map(|at| series.at(at).map_or_else(|| "-".to_owned(), |value| ((value * 1e6).round() / 1e6).to_string()))
        .collect();
    values.join(" ")
}

fn all_shown(value: &Value) -> String {
    match value {
        Value::Scalar(number) => panic!("a number, {number}"),
        Value::Series(series) => shown(series),
        Value::Array(all) => all.iter().map(shown).collect::<Vec<_>>().join(" | "),
    }
}

fn check(rows: &[(&str, &str)]) {
    for (text, expected) in rows {
        let value = value(text).unwrap_or_else(|problem| panic!("{text}: {problem}"));
        assert_eq!(all_shown(&value), *expected, "{text}");
    }
}

#[test]
fn arithmetic_drops_divisions_by_zero_and_takes_gaps_as_zero() {
    check(&[
        ("whole", "1 2 3 4 5 6"),
        ("whole * 2 + 1", "3 5 7 9 11 13"),
        ("10 - whole", "9 8 7 6 5 4"),
        ("-whole", "-1 -2 -3 -4 -5 -6"),
        ("whole ^ 2", "1 4 9 16 25 36"),
        ("whole / zeros", "- 1 - 1 - 1"),
        ("100 / zeros", "- 50 - 25 - 16.666667"),
        ("whole + sparse", "1 4 3 4 10 6"),
        ("sparse / whole", "0 1 0 0 1 0"),
        ("whole / sparse", "- 1 - - 1"),
        ("sparse * 2", "- 4 - - 10"),
        ("none + 1", ""),
        ("none + whole", "1 2 3 4 5 6"),
        ("(-1 * whole) ^ 0.5", ""),
    ]);
}

#[test]
fn comparisons_give_ones_and_zeros() {
    check(&[
        ("cmp1 < cmp2", "0 0 1 0"),
        ("cmp1 >= 30", "1 0 0 0"),
        ("cmp1 > 15 AND cmp2 > 15", "1 0 0 0"),
        ("cmp1 > 15 && cmp2 > 15", "1 0 0 0"),
        ("cmp1 > 15 || cmp2 > 15", "1 1 1 0"),
        ("whole == 3 OR whole != 3 AND whole <= 1", "1 0 1 0 0 0"),
        ("whole * (AVG(whole) > 3)", "1 2 3 4 5 6"),
        ("whole * (MAX(none) > 3)", ""),
    ]);
}

#[test]
fn functions_of_each_series() {
    check(&[
        ("ABS(whole - 4)", "3 2 1 0 1 2"),
        ("CEIL(whole / 4)", "1 1 1 1 2 2"),
        ("FLOOR(whole / 4)", "0 0 0 1 1 1"),
        ("LOG10(whole * 0 + 1000)", "3 3 3 3 3 3"),
        ("LOG(zeros)", "- 0.693147 - 1.386294 - 1.791759"),
        ("DIFF(zeros)", "- 2 -2 4 -4 6"),
        ("DIFF(sparse)", "- - - - 3"),
        ("DIFF_TIME(sparse)", "- - - - 180"),
        ("RATE(sparse * 60)", "- - - - 1"),
        ("RUNNING_SUM(whole)", "1 3 6 10 15 21"),
        ("RUNNING_SUM([whole, sparse])", "1 3 6 10 15 21 | - 2 - - 7"),
        ("MINUTE(sparse)", "14 15 16 17 18 19"),
        ("HOUR(none)", "10 10 10 10 10 10"),
        ("IF(DAY(whole) < 6, whole)", "1 2 3 4 5 6"),
        ("DATE(whole) + MONTH(whole) + YEAR(whole)", "2060 2060 2060 2060 2060 2060"),
        ("EPOCH(whole) - 1795428840", "0 60 120 180 240 300"),
    ]);
}

#[test]
fn numbers_from_series_and_series_from_arrays() {
    check(&[
        ("whole * 0 + SUM(whole)", "21 21 21 21 21 21"),
        ("whole - MIN(whole)", "0 1 2 3 4 5"),
        ("MAX(whole) / whole", "6 3 2 1.5 1.2 1"),
        // A gap counts as 0 for the average; that is what DATAPOINT_COUNT is for.
        ("TIME_SERIES(AVG(sparse) * 6)", "7 7 7 7 7 7"),
        ("TIME_SERIES(SUM(sparse) / DATAPOINT_COUNT(sparse))", "3.5 3.5 3.5 3.5 3.5 3.5"),
        ("TIME_SERIES(SUM(none) / DATAPOINT_COUNT(none))", ""),
        ("TIME_SERIES(MAX(none))", ""),
        ("TIME_SERIES(STDDEV(zeros - 1 - zeros + whole))", "1.707825 1.707825 1.707825 1.707825 1.707825 1.707825"),
        ("SUM([whole, sparse])", "1 4 3 4 10 6"),
        ("AVG([cmp1, cmp2])", "25 10 10 0"),
        ("MIN([whole, zeros])", "0 2 0 4 0 6"),
        ("MAX([cmp1, cmp2])", "30 20 20 0"),
        ("STDDEV([whole, zeros])", "0.5 0 1.5 0 2.5 0"),
        ("DATAPOINT_COUNT([cmp1, cmp2, none])", "2 1 2 1"),
        ("whole / PERIOD(whole) * 60", "1 2 3 4 5 6"),
        ("whole / METRIC_COUNT(METRICS())", "0.111111 0.222222 0.333333 0.444444 0.555556 0.666667"),
        ("TIME_SERIES(METRIC_COUNT([METRICS(\"if\"), METRICS('cmp'), whole]))", "6 6 6 6 6 6"),
        ("SUM(METRICS(\"cmp\"))", "50 20 20 0"),
        ("SUM(METRICS(\"nothing\")) + whole", "1 2 3 4 5 6"),
        ("TIME_SERIES(10)", "10 10 10 10 10 10"),
    ]);
}

#[test]
fn arrays_go_with_one_series_or_number() {
    check(&[
        ("METRICS('cmp') / 10", "3 2 0 0 | 2 - 2"),
        ("100 / [cmp1, cmp2]", "3.333333 5 | 5 - 5"),
        ("-[cmp1, cmp2]", "-30 -20 0 0 | -20 - -20"),
        ("[cmp1, cmp2] - cmp1", "0 0 0 0 | -10 -20 20 0"),
        ("cmp1 - [cmp1, cmp2]", "0 0 0 0 | 10 20 -20 0"),
        ("AVG([cmp1, cmp2] / cmp1)", "0.833333 0.5"),
    ]);
}

#[test]
fn fill_fills_every_period() {
    check(&[
        ("FILL(sparse, 0)", "0 2 0 0 5 0"),
        ("FILL(none, 7)", "7 7 7 7 7 7"),
        ("FILL(sparse, MAX(whole))", "6 2 6 6 5 6"),
        ("FILL(sparse, whole)", "1 2 3 4 5 6"),
        ("FILL(sparse, cmp2)", "20 2 20 - 5"),
        ("FILL(sparse, REPEAT)", "- 2 2 2 5 5"),
        ("FILL(sparse, LINEAR)", "- 2 3 4 5"),
        ("FILL(METRICS('cmp'), -1)", "30 20 0 0 -1 -1 | 20 -1 20 -1 -1 -1"),
        ("FILL(sparse, 0) / whole > 0.9", "0 1 0 0 1 0"),
    ]);
}

#[test]
fn if_chooses_for_each_time() {
    check(&[
        ("IF(if1, if2, if3)", "30 0 20"),
        ("IF(if1, 5, if3)", "5 5 20"),
        ("IF(if1, if2, 5)", "30 0 5 5"),
        ("IF(if1, if2)", "30 0"),
        ("IF(whole < 4, whole)", "1 2 3"),
        ("IF(whole < 4, 10, 2)", "10 10 10 2 2 2"),
        ("IF(-1, if2, if3)", "30 - 0 0 30"),
        ("IF(DATAPOINT_COUNT(none) == 0, if3)", "0 0 20 - 20"),
        ("IF(AVG(whole) > 100, whole)", ""),
        ("IF(MAX(none), whole, whole)", ""),
        ("IF(none, 1, 2)", ""),
    ]);
}

#[test]
fn what_has_the_wrong_type_is_refused() {
    let rows = [
        ("1", "must be a time series"),
        ("AVG(whole)", "must be a time series"),
        ("ABS(AVG(whole))", "ABS takes a time series"),
        ("SUM(1)", "SUM takes a time series"),
        ("METRIC_COUNT(whole)", "METRIC_COUNT takes an array"),
        ("PERIOD(whole + 1)", "PERIOD takes the id of a metric"),
        ("TIME_SERIES(whole)", "TIME_SERIES takes a number"),
        ("MINUTE([whole])", "MINUTE takes a time series"),
        ("FILL(1, 2)", "FILL takes a time series"),
        ("FILL(whole, [none])", "FILL fills with"),
        ("[whole, 1]", "an array holds time series"),
        ("[whole] + [zeros]", "one array at most"),
        ("[whole] > 1", "no arrays"),
        ("whole AND METRICS()", "no arrays"),
        ("IF(METRICS(), whole)", "IF takes no arrays"),
        ("IF(whole, METRICS())", "IF takes no arrays"),
        ("IF(1, 2, whole)", "TIME_SERIES makes one"),
        ("whole + gone", "no query of the request has the Id gone"),
        ("e + 1", "it depends on itself: e -> e"),
    ];
    for (text, expected) in rows {
        let error = value(text).expect_err(text);
        assert!(error.starts_with("Error in expression 'e': ") && error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn expressions_refer_to_each_other_in_any_order() {
    let expressions =
        [expression("rate", "100 * sum / whole"), expression("sum", "more + 1"), expression("more", "FILL(sparse, 0)")];
    let found = compute(&metrics(), &expressions, WINDOW).expect("values");
    assert_eq!(all_shown(&found["rate"]), "100 150 33.333333 25 120 16.666667");
    assert_eq!(found.len(), 3, "metrics are not among the results");

    let circle = [expression("a", "whole + b"), expression("b", "c"), expression("c", "b * 2")];
    let error = compute(&metrics(), &circle, WINDOW).expect_err("a circle");
    assert_eq!(error, "Error in expression 'b': it depends on itself: b -> c -> b.");
}

#[test]
fn an_expression_has_one_period() {
    let mut metrics = metrics();
    metrics.push(Metric { period_s: 300, ..metric("slow", &[Some(1.0)]) });
    let with_period = |text, period_s| Expression { period_s: Some(period_s), ..expression("e", text) };
    let rows = [
        (expression("e", "slow + whole"), "periods of 60 and 300 seconds"),
        (with_period("whole", 120), "periods of 60 and 120 seconds"),
        (expression("e", "SUM(METRICS())"), "periods of 60 and 300 seconds"),
        (expression("e", "TIME_SERIES(1)"), "periods of 60 and 300 seconds"),
    ];
    for (expression, expected) in rows {
        let error = compute(&metrics, &[expression], WINDOW).expect_err("two periods");
        assert!(error.contains(expected), "{error}");
    }
    let error = compute(&[], &[expression("e", "TIME_SERIES(1)")], WINDOW).expect_err("no period");
    assert!(error.contains("nothing says which Period"), "{error}");

    let found = compute(&metrics, &[with_period("TIME_SERIES(1)", 300)], WINDOW).expect("a value");
    let Value::Series(series) = &found["e"] else { panic!("no series") };
    let times: Vec<i64> = series.points().iter().map(|(at, _)| *at).collect();
    // 10:14 and 10:19: periods are counted from the minute of the start.
    assert_eq!(times, [START, START + 300]);
}

#[test]
fn one_request_computes_with_a_bounded_number_of_points() {
    let century = Window { start_s: 0, end_s: 4_000_000_000 };
    for text in ["TIME_SERIES(1)", "FILL(whole, 0)", "MINUTE(whole)"] {
        let error = compute(&metrics(), &[expression("e", text)], century).expect_err(text);
        assert!(error.contains("10000000 datapoints"), "{text}: {error}");
    }
    let many = format!("[{}]", ["METRICS()"; 200].join(","));
    let error = compute(
        &metrics(),
        &[expression("e", &format!("{many} * FILL(none, 1)"))],
        Window { start_s: START, end_s: START + 10_000 * MINUTE },
    );
    assert!(error.expect_err("a product").contains("10000000 datapoints"));
}

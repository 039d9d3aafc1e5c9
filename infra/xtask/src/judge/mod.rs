//! `cargo xtask judge`: the judge over a protocol of JSON lines.
//!
//! Reads one case a line from standard input and writes one answer a line to standard output. A line with the member
//! `suspects` asks which of several deploys did it, any other whether one deploy did harm; both are described in
//! `shared/domain/src/judge/README.md`.

mod protocol;
pub(crate) mod replay;

use std::io::{BufRead, Write};

use anyhow::Context;
use clap::Args;
use domain::JudgePolicy;
pub(crate) use protocol::{Answer, Case, DeployCase, SuspectsCase, answer};

/// How to judge.
#[derive(Args)]
pub(crate) struct Options {
    /// A policy as JSON; what it leaves out has its default
    #[arg(long)]
    policy: Option<String>,
    /// Write the whole evidence of each verdict, enough to reproduce it
    #[arg(long)]
    evidence: bool,
}

/// Judges every line of standard input.
///
/// # Errors
/// With the number of the first line that is no valid case, once all others are answered; or when a stream fails.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let policy: JudgePolicy = match &options.policy {
        Some(text) => serde_json::from_str(text).context("the policy cannot be read")?,
        None => JudgePolicy::default(),
    };
    policy.check().context("the policy is invalid")?;
    judge_lines(std::io::stdin().lock(), std::io::stdout().lock(), &policy, options.evidence)
}

fn judge_lines(input: impl BufRead, output: impl Write, policy: &JudgePolicy, evidence: bool) -> anyhow::Result<()> {
    let mut output = std::io::BufWriter::new(output);
    let mut first_invalid = None;
    for (number, line) in input.lines().enumerate() {
        let line = line.with_context(|| format!("line {} cannot be read", number + 1))?;
        if line.trim().is_empty() {
            continue;
        }
        let judged = Case::parse(&line).map(|case| answer(&case, policy, evidence));
        match judged {
            Ok(answer) => writeln!(output, "{}", serde_json::to_string(&answer)?)?,
            Err(error) => {
                first_invalid.get_or_insert_with(|| error.context(format!("line {} is no valid case", number + 1)));
            }
        }
    }
    output.flush()?;
    first_invalid.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(input: &str) -> (String, Option<String>) {
        let mut output = Vec::new();
        let result = judge_lines(input.as_bytes(), &mut output, &JudgePolicy::default(), false);
        (String::from_utf8(output).expect("UTF-8"), result.err().map(|e| format!("{e:#}")))
    }

    #[test]
    fn answers_each_line_and_names_the_first_bad_one() {
        let case =
            r#"{"id":"a","periodSeconds":60,"extra":1,"metrics":[{"name":"m","kind":"gauge","direction":"increase",
            "new":{"before":[1,1,1,1,1,1,1,1,1,1],"after":[5,5,5,5]},"old":null}]}"#
                .replace('\n', "");
        let (output, error) = judged(&format!("{case}\n\n{{\"id\":\"b\"}}\n{{\n{case}\n"));
        assert!(output.starts_with(r#"{"id":"a","verdict":"Degraded","afterPoints":"#), "{output}");
        assert_eq!(output.lines().count(), 2);
        assert_eq!(error.as_deref(), Some("line 3 is no valid case: missing field `metrics` at line 1 column 10"));
    }

    #[test]
    fn series_that_do_not_fit_each_other_are_refused() {
        let case = r#"{"id":"a","metrics":[{"name":"m","kind":"rate","direction":"increase","new":{"before":[0.1],"after":[0.2,0.1]},
            "old":{"before":[0.1],"after":[0.2]}}]}"#
            .replace('\n', "");
        let error = judged(&case).1.expect("refused");
        assert!(error.ends_with("metric \"m\": old has 1 points, 2 are expected"), "{error}");
    }

    /// A case whose metric has these members.
    fn case(metric: &str) -> String {
        format!(r#"{{"id":"a","metrics":[{{"name":"m",{metric}}}]}}"#)
    }

    #[test]
    fn lines_that_are_no_case_are_refused() {
        let gauge = r#""kind":"gauge","direction":"increase""#;
        let (rate, count) = (gauge.replace("gauge", "rate"), gauge.replace("gauge", "count"));
        let new = |before: &str, after: &str| format!(r#""new":{{"before":{before},"after":{after}}}"#);
        for (line, said) in [
            ("{".to_owned(), "EOF"),
            ("7".to_owned(), "invalid type"),
            ("\u{feff}{}".to_owned(), "expected value"),
            (r#"{"id":"a","metrics":{}}"#.to_owned(), "invalid type"),
            (r#"{"metrics":[]}"#.to_owned(), "missing field `id`"),
            (case(gauge), "missing field `new`"),
            (case(&format!("{gauge},{}", new("[]", "7"))), "invalid type"),
            (case(&format!("{gauge},{}", new("[\"1\"]", "[]"))), "invalid type"),
            (case(&format!("{gauge},{}", new("[NaN]", "[]"))), "expected value"),
            (case(&format!("{gauge},{}", new("[1e999]", "[]"))), "number out of range"),
            (case(&format!("{},{}", gauge.replace("gauge", "histogram"), new("[]", "[]"))), "unknown variant"),
            (case(&format!("{},{}", gauge.replace("increase", "up"), new("[]", "[]"))), "unknown variant"),
            (case(&format!("{rate},{}", new("[0.1, 1.5]", "[]"))), "1.5 is no rate from 0 to 1"),
            (case(&format!("{rate},{}", new("[1.001]", "[]"))), "1.001 is no rate from 0 to 1"),
            (case(&format!("{count},{}", new("[]", "[-1]"))), "-1 is no count"),
            (
                case(&format!(r#"{count},{},"requests":{{"new":{{"before":[],"after":[-1]}}}}"#, new("[]", "[1]"))),
                "-1 is no number of requests",
            ),
            (
                case(&format!(r#"{count},{},"requests":{{"new":{{"before":[],"after":[]}}}}"#, new("[]", "[1]"))),
                "requests.new has 0 points, 1 are expected",
            ),
            (case(&format!("{gauge},{}", new(&format!("[{}0]", "0,".repeat(10_080)), "[]"))), "at most 10080"),
            (
                r#"{"id":"a","suspects":[{"id":"b","deployedAt":0,"metrics":[]},{"id":"b","deployedAt":1,"metrics":[]}]}"#
                    .to_owned(),
                "named twice",
            ),
        ] {
            let (output, error) = judged(&format!("{line}\n"));
            let error = error.unwrap_or_default();
            assert!(error.starts_with("line 1 is no valid case") && error.contains(said), "{line}: {error}");
            assert_eq!(output, "");
        }
    }

    #[test]
    fn nothing_known_is_answered_all_the_same() {
        let empty = r#""kind":"count","direction":"either","new":{"before":[],"after":[]}"#;
        let nulls = r#""kind":"rate","direction":"decrease","new":{"before":[null,null],"after":[null]},"scope":null"#;
        let cases = [
            r#"{"id":"a","metrics":[]}"#.to_owned(),
            case(empty),
            case(nulls),
            r#"{"id":"a","suspects":[]}"#.to_owned(),
            r#"{"id":"a","suspects":[{"id":"b","deployedAt":-5.5,"metrics":[]}],"calls":[["x","b"]],"alarmOnset":4200.5}"#
                .to_owned(),
            r#"{"id":"a","suspects":[],"calls":null,"alarmOnset":null}"#.to_owned(),
            // A division's last digit, and the requests of a group that is not there.
            case(
                r#""kind":"rate","direction":"increase","new":{"before":[1.0000000001],"after":[1]},"old":null,"requests":
                {"new":null,"old":{"before":[1,2],"after":[3]}}"#,
            )
            .replace('\n', ""),
        ];
        let (output, error) = judged(&cases.join("\r\n"));
        assert_eq!(error, None);
        let answers: Vec<&str> = output.lines().collect();
        assert_eq!(answers.len(), cases.len());
        assert!(answers[..3].iter().all(|a| a.contains(r#""verdict":"NotEnoughData","afterPoints":null"#)), "{output}");
        assert!(answers[3].contains(r#""ranking":[],"act":null"#), "{output}");
        assert!(answers[4..6].iter().all(|answer| answer.contains(r#""act":null"#)), "{output}");
        assert!(answers[6].contains(r#""verdict":"NotEnoughData""#), "{output}");
    }
}

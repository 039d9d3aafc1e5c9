//! What was measured, for people and for programs.

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::null::Streams;
use super::score::{Figures, SetScore};
use super::speed::{P99_MS_MAX, Speed};

/// Everything that was measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Measured {
    pub(super) scores: Vec<SetScore>,
    pub(super) streams: Vec<Streams>,
    pub(super) alpha: f64,
    pub(super) speed: Speed,
}

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const STRONG: Style = Style::new().bold();

/// Prints for programs.
///
/// # Errors
/// When a figure is not finite, which none is.
pub(super) fn print_json(measured: &Measured) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(measured)?);
    Ok(())
}

/// Prints for people; colours on a terminal only.
///
/// # Errors
/// When standard output fails.
pub(super) fn print(measured: &Measured) -> anyhow::Result<()> {
    use std::io::Write;
    let mut out = anstream::stdout().lock();
    for score in &measured.scores {
        print_set(&mut out, score)?;
    }
    writeln!(out, "{STRONG}Null streams, 60 looks each{STRONG:#} (alpha {})", measured.alpha)?;
    for s in &measured.streams {
        let share = f64::from(s.rolled_back) / f64::from(s.streams);
        let style = if share <= measured.alpha { GOOD } else { BAD };
        writeln!(
            out,
            "  {:<28}{:>8} streams{:>8} rolled back  {style}{share:.4}{style:#}",
            s.kind, s.streams, s.rolled_back
        )?;
    }
    let Speed { runs, median_ms, p99_ms } = measured.speed;
    let style = if p99_ms < P99_MS_MAX { GOOD } else { BAD };
    writeln!(out, "\n{STRONG}20 metrics x 60 points x 10 suspects{STRONG:#}, {runs} runs on this machine")?;
    writeln!(
        out,
        "  median {median_ms:.2} ms, 99 of 100 within {style}{p99_ms:.2} ms{style:#} (limit {P99_MS_MAX} ms)"
    )?;
    if cfg!(debug_assertions) {
        writeln!(out, "  This is a build for development; `cargo run --release -p xtask -- bench judge` is faster.")?;
    }
    Ok(())
}

/// Its title, its figure, and decimals.
type Column = (&'static str, fn(&Figures) -> Option<f64>, usize);

fn print_set(out: &mut impl std::io::Write, score: &SetScore) -> anyhow::Result<()> {
    writeln!(out, "{STRONG}{}{STRONG:#}: {} cases", score.set, score.cases)?;
    let columns: &[Column] = if score.is_attribution {
        &[
            ("HR@1", |f| f.hr1, 3),
            ("HR@3", |f| f.hr3, 3),
            ("precision", |f| f.precision, 3),
            ("recall", |f| f.recall, 3),
            ("false", |f| f.false_rollbacks, 4),
        ]
    } else {
        &[
            ("precision", |f| f.precision, 3),
            ("recall", |f| f.recall, 3),
            ("false", |f| f.false_rollbacks, 4),
            ("placebo", |f| f.false_on_placebo, 4),
            ("delay", |f| f.median_delay, 1),
            ("blind", |f| f.healthy_without_data, 3),
        ]
    };
    write!(out, "  {:<26}", "")?;
    for (title, ..) in columns {
        write!(out, "{title:>11}")?;
    }
    writeln!(out, "{:>9}", "seconds")?;
    for (n, rule) in score.rules.iter().enumerate() {
        let style = if n == 0 { STRONG } else { Style::new() };
        write!(out, "  {style}{:<26}", rule.rule)?;
        for (_, of, digits) in columns {
            match of(&rule.figures) {
                Some(value) => write!(out, "{value:>11.digits$}")?,
                None => write!(out, "{:>11}", "-")?,
            }
        }
        writeln!(out, "{:>9.2}{style:#}", rule.seconds)?;
    }
    let judge = &score.rules[0];
    if let Some(spread) = &judge.spread {
        let show = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.4}"));
        write!(out, "  over {} folds, standard deviation: recall {}", spread.folds, show(spread.recall))?;
        writeln!(out, ", false {}, HR@1 {}", show(spread.false_rollbacks), show(spread.hr1))?;
    }
    for (kind, (said, all)) in &judge.kinds {
        writeln!(out, "    {kind:<30}{said:>6} of {all:>5}")?;
    }
    writeln!(out)?;
    Ok(())
}

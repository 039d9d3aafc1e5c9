//! The model tables, read again without the crate's own reader, so that a mistake there does not hide itself.

use std::sync::LazyLock;

use protocol::{Operation, Service};
use serde_json::Value;

static CODEPIPELINE: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../model/codepipeline-2015-07-09.json")).unwrap());
static LASTGOOD: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../model/lastgood-2026-12-01.json")).unwrap());

/// A shape with the table it stands in.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    table: &'static Value,
    line: &'static Value,
}

/// The whole table.
pub(crate) fn of(service: Service) -> &'static Value {
    match service {
        Service::CodePipeline => &CODEPIPELINE,
        Service::Lastgood => &LASTGOOD,
    }
}

pub(crate) fn input(operation: Operation) -> Shape {
    side(operation, "input").unwrap()
}

pub(crate) fn output(operation: Operation) -> Option<Shape> {
    side(operation, "output")
}

fn side(operation: Operation, side: &str) -> Option<Shape> {
    let table = of(operation.service());
    let name = table["operations"][operation.name()][side].as_str()?;
    Some(Shape { table, line: &table["shapes"][name] })
}

impl Shape {
    pub(crate) fn kind(self) -> &'static str {
        self.line["type"].as_str().unwrap()
    }

    pub(crate) fn is_scalar(self) -> bool {
        !matches!(self.kind(), "structure" | "list" | "map")
    }

    pub(crate) fn is_sensitive(self) -> bool {
        self.line["sensitive"] == true
    }

    fn named(self, name: &Value) -> Shape {
        Shape { table: self.table, line: &self.table["shapes"][name.as_str().unwrap()] }
    }

    /// Name, shape, and whether it is required.
    pub(crate) fn members(self) -> Vec<(&'static str, Shape, bool)> {
        let required = self.line["required"].as_array().map(Vec::as_slice).unwrap_or_default();
        let members = self.line["members"].as_array().unwrap();
        members
            .iter()
            .map(|pair| (pair[0].as_str().unwrap(), self.named(&pair[1]), required.contains(&pair[0])))
            .collect()
    }

    /// The shape under `part`: a list's `member`, a map's `key` or `value`.
    pub(crate) fn part(self, part: &str) -> Shape {
        self.named(&self.line[part])
    }

    pub(crate) fn min(self) -> Option<i64> {
        self.line["min"].as_i64()
    }

    pub(crate) fn max(self) -> Option<i64> {
        self.line["max"].as_i64()
    }

    pub(crate) fn pattern(self) -> Option<&'static str> {
        self.line["pattern"].as_str()
    }

    pub(crate) fn values(self) -> Vec<&'static str> {
        self.line["enum"].as_array().into_iter().flatten().map(|value| value.as_str().unwrap()).collect()
    }
}

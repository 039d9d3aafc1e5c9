//! Whether what was uploaded and what was executed are the same.

use std::collections::BTreeMap;

use anyhow::bail;
use serde::Serialize;

/// So many of each kind are named; all are counted.
const NAMED_MAX: usize = 5;

/// An upload of which S3 has answered.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub(super) pipeline: u32,
    /// The version that S3 gave it.
    pub(super) version: String,
    /// When it was sent, in milliseconds since 1970.
    pub(super) sent_ms: i64,
    /// The execution that it is said to have started, to whoever tells of it again.
    pub(super) execution: String,
}

/// An execution that an upload has started, as the history of its pipeline had it before anything was told again.
#[derive(Debug, Clone)]
pub(super) struct Ran {
    pub(super) pipeline: u32,
    pub(super) id: String,
    /// The version that its source took; absent where it made way before its source began.
    pub(super) version: Option<String>,
    pub(super) status: String,
}

/// What is wrong. Each kind: how many, and the first of them in words.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Found {
    /// Uploads without an execution.
    pub(super) lost: Kind,
    /// Executions beyond one for each upload.
    pub(super) double: Kind,
    /// Uploads whose execution is another upload's, or took another version.
    pub(super) confused: Kind,
    /// Executions that neither succeeded nor made way for a newer one, and newest uploads that did not get to the end.
    pub(super) unfinished: Kind,
}

/// One kind of what is wrong.
#[derive(Debug, Default, Serialize)]
pub(super) struct Kind {
    pub(super) count: usize,
    pub(super) first: Vec<String>,
}

impl Kind {
    pub(super) fn add(&mut self, what: String) {
        self.count += 1;
        if self.first.len() < NAMED_MAX {
            self.first.push(what);
        }
    }
}

impl Found {
    /// Compares. `uploads` are in the order in which they were made, which is the order of versions in each pipeline.
    pub(super) fn of(uploads: &[Upload], ran: &[Ran]) -> Self {
        let mut found = Self::default();
        let mut left: BTreeMap<(u32, &str), &Ran> =
            ran.iter().map(|one| ((one.pipeline, one.id.as_str()), one)).collect();
        let all = left.clone();
        let newest: BTreeMap<u32, &str> =
            uploads.iter().map(|upload| (upload.pipeline, upload.version.as_str())).collect();
        for Upload { pipeline, version, execution, .. } in uploads {
            let key = (*pipeline, execution.as_str());
            let Some(one) = left.remove(&key) else {
                if all.contains_key(&key) {
                    found.confused.add(format!("version {version} of pipeline {pipeline}: {execution} is another's"));
                } else {
                    found.lost.add(format!("version {version} of pipeline {pipeline}"));
                }
                continue;
            };
            if one.version.as_ref().is_some_and(|took| took != version) {
                found.confused.add(format!("version {version} of pipeline {pipeline}: {execution} took another"));
            }
            let is_newest = newest.get(pipeline) == Some(&version.as_str());
            if one.status != "Succeeded" && (is_newest || one.status != "Superseded") {
                found.unfinished.add(format!("execution {execution} of pipeline {pipeline} is {}", one.status));
            }
        }
        for one in left.into_values() {
            found.double.add(format!("execution {} of pipeline {}", one.id, one.pipeline));
        }
        found
    }

    /// Each kind with what it is called.
    pub(super) fn kinds(&self) -> [(&'static str, &Kind); 4] {
        [("lost", &self.lost), ("double", &self.double), ("confused", &self.confused), ("unfinished", &self.unfinished)]
    }

    /// Fails where something is wrong.
    pub(super) fn into_result(self) -> anyhow::Result<()> {
        let wrong: Vec<String> = self
            .kinds()
            .iter()
            .filter(|(_, kind)| kind.count > 0)
            .map(|(name, kind)| format!("{} {name} ({})", kind.count, kind.first.join("; ")))
            .collect();
        if wrong.is_empty() { Ok(()) } else { bail!("uploads and executions differ: {}", wrong.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(pipeline: u32, version: &str) -> Upload {
        let execution = format!("of-{version}");
        Upload { pipeline, version: version.to_owned(), sent_ms: 0, execution }
    }

    fn ran(pipeline: u32, version: &str, status: &str) -> Ran {
        let id = format!("of-{version}");
        Ran { pipeline, id, version: Some(version.to_owned()), status: status.to_owned() }
    }

    fn counts(uploads: &[Upload], executions: &[Ran]) -> [usize; 4] {
        Found::of(uploads, executions).kinds().map(|(_, kind)| kind.count)
    }

    #[test]
    fn one_execution_for_each_upload_is_right() {
        let uploads = [upload(1, "a"), upload(2, "a"), upload(1, "b")];
        let made_way = Ran { version: None, ..ran(1, "a", "Superseded") };
        let executions = [made_way, ran(1, "b", "Succeeded"), ran(2, "a", "Succeeded")];
        assert_eq!(counts(&uploads, &executions), [0; 4]);
        Found::of(&uploads, &executions).into_result().expect("nothing is wrong");
    }

    #[test]
    fn what_is_wrong_is_counted_by_kind() {
        let uploads = [upload(1, "a"), upload(1, "b"), upload(2, "c")];
        let good = [ran(1, "a", "Succeeded"), ran(1, "b", "Succeeded"), ran(2, "c", "Succeeded")];
        assert_eq!(counts(&uploads, &good[1..]), [1, 0, 0, 0]);
        let more = [good.as_slice(), &[ran(2, "a", "Succeeded")]].concat();
        assert_eq!(counts(&uploads, &more), [0, 1, 0, 0]);
        let mut same = uploads.clone();
        same[0].execution = same[1].execution.clone();
        assert_eq!(counts(&same, &good), [0, 1, 2, 0], "an execution is one upload's alone, and takes its version");
        let bad = [ran(1, "a", "Failed"), ran(1, "b", "Superseded"), ran(2, "c", "InProgress")];
        assert_eq!(counts(&uploads, &bad), [0, 0, 0, 3], "the newest makes way for nobody");
        let error = Found::of(&uploads, &bad).into_result().expect_err("wrong").to_string();
        assert!(error.contains("3 unfinished (execution of-a of pipeline 1 is Failed; "), "{error}");
    }

    #[test]
    fn many_are_counted_and_few_are_named() {
        let uploads: Vec<Upload> = (0..9).map(|pipeline| upload(pipeline, "a")).collect();
        let found = Found::of(&uploads, &[]);
        assert_eq!((found.lost.count, found.lost.first.len()), (9, NAMED_MAX));
    }
}

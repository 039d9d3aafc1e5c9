//! Names and identifiers, each its own type so that they cannot be mixed up.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A name breaks CodePipeline's rule for names (spec 1.1: 1 to 100 of `[A-Za-z0-9.@\-_]`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a valid name: use 1 to 100 of the characters A-Z a-z 0-9 . @ - _")]
pub struct InvalidName(pub String);

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;

            fn try_from(name: String) -> Result<Self, InvalidName> {
                let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '@' | '-' | '_');
                if (1..=100).contains(&name.len()) && name.chars().all(allowed) {
                    Ok(Self(name))
                } else {
                    Err(InvalidName(name))
                }
            }
        }

        impl std::str::FromStr for $type {
            type Err = InvalidName;

            fn from_str(name: &str) -> Result<Self, InvalidName> {
                Self::try_from(name.to_owned())
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// Name of a pipeline, unique per account and region.
    PipelineName
}
name! {
    /// Name of a stage, unique in its pipeline.
    StageName
}
name! {
    /// Name of an action, unique in its stage.
    ActionName
}
name! {
    /// Name of a webhook, unique per account and region.
    WebhookName
}

macro_rules! id {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(pub Uuid);

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl std::str::FromStr for $type {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id! {
    /// A pipeline execution. A version 7 UUID, so that ids sort by start time.
    ExecutionId
}
id! {
    /// One run of one action. Derived from what it runs, so that starting it twice is starting it once.
    ActionExecutionId
}
id! {
    /// The job by which somebody is asked for a rule of a condition.
    RuleJobId
}

impl ActionExecutionId {
    /// The run of `action` in an attempt at its stage.
    pub fn of_run(
        execution: ExecutionId,
        stage: &StageName,
        generation: Generation,
        attempt: u32,
        action: &ActionName,
    ) -> Self {
        Self(derived_uuid(&[
            "action",
            &execution.to_string(),
            stage.as_str(),
            &generation.0.to_string(),
            &attempt.to_string(),
            action.as_str(),
        ]))
    }
}

/// Number on a stage, raised whenever the right to act on it changes hands; older holders are refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A UUID that depends on nothing but `parts` (RFC 9562 version 8).
pub fn derived_uuid(parts: &[&str]) -> Uuid {
    let mut digest = Sha256::new();
    for part in parts {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    let digest = digest.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Uuid::new_v8(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_codepipelines_pattern() {
        for good in ["a", "A.b@c-d_e", &"x".repeat(100)] {
            assert!(good.parse::<PipelineName>().is_ok(), "{good}");
        }
        for bad in ["", "a b", "ä", "a/b", &"x".repeat(101)] {
            assert!(bad.parse::<StageName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn derived_ids_depend_on_where_the_parts_end() {
        assert_ne!(derived_uuid(&["ab", "c"]), derived_uuid(&["a", "bc"]));
        assert_eq!(derived_uuid(&["a"]), derived_uuid(&["a"]));
    }
}

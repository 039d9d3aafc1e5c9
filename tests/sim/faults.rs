//! What can go wrong, each with a dial of its own.

use std::{fmt, str::FromStr};

/// One kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dial {
    /// A request has its effect, and its answer is lost.
    LostAnswers,
    /// Calls and events are delivered twice.
    Duplicates,
    /// Events come late and in another order.
    Reorder,
    /// Services and functions refuse for being asked too often.
    Throttles,
    /// A function is given up as timed out, and works on.
    Timeouts,
    /// A function dies wherever it waits.
    Crashes,
    /// A function stands still for a long time and wakes when others have taken over.
    Sleepers,
    /// Clocks differ between functions, and jump.
    Clocks,
    /// Alarms turn at any moment; their events may be lost.
    Alarms,
    /// Whoever has a job may never answer.
    Workers,
    /// The table or the objects are away for minutes.
    Outages,
    /// Some pipelines are judged by a metric, which is bad while a harmful release is live.
    Metrics,
}

impl Dial {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::LostAnswers,
        Self::Duplicates,
        Self::Reorder,
        Self::Throttles,
        Self::Timeouts,
        Self::Crashes,
        Self::Sleepers,
        Self::Clocks,
        Self::Alarms,
        Self::Workers,
        Self::Outages,
        Self::Metrics,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::LostAnswers => "lost-answers",
            Self::Duplicates => "duplicates",
            Self::Reorder => "reorder",
            Self::Throttles => "throttles",
            Self::Timeouts => "timeouts",
            Self::Crashes => "crashes",
            Self::Sleepers => "sleepers",
            Self::Clocks => "clocks",
            Self::Alarms => "alarms",
            Self::Workers => "workers",
            Self::Outages => "outages",
            Self::Metrics => "metrics",
        }
    }
}

impl fmt::Display for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Dial {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|dial| dial.name() == name);
        found.ok_or_else(|| format!("there is no dial {name}; there are {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// How often each kind of trouble comes, in a thousand chances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dials([u32; Dial::ALL.len()]);

impl Dials {
    /// No trouble.
    pub(crate) fn off() -> Self {
        Self([0; Dial::ALL.len()])
    }

    /// Of `dials`, each at a height of its own: calm, usual, or wild.
    pub(crate) fn drawn(dials: &[Dial], chance: &mut crate::chance::Chance) -> Self {
        let heights = Dial::ALL.map(|dial| {
            // Drawn for every dial, so that turning one off changes no other. So many pipelines have metrics in every seed.
            let height = if dial == Dial::Metrics { 1 } else { *chance.one_of(&[0, 1, 1, 4]) };
            if dials.contains(&dial) { height * Self::usual(dial) } else { 0 }
        });
        Self(heights)
    }

    /// In a thousand.
    pub(crate) fn of(&self, dial: Dial) -> u32 {
        self.0[dial as usize]
    }

    fn usual(dial: Dial) -> u32 {
        match dial {
            Dial::LostAnswers | Dial::Throttles => 15,
            Dial::Duplicates => 60,
            Dial::Reorder => 150,
            Dial::Crashes => 8,
            Dial::Timeouts | Dial::Sleepers => 4,
            Dial::Clocks => 20,
            Dial::Alarms => 60,
            Dial::Workers => 60,
            Dial::Outages => 2,
            Dial::Metrics => 500,
        }
    }
}

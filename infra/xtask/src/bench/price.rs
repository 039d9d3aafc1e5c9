//! What AWS asks: list prices, read from `infra/prices.json`, and what something that was counted costs by them.

use std::sync::LazyLock;

use serde::Deserialize;

/// A price as AWS's page has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Price {
    /// US dollars for `per` of `unit`.
    usd: f64,
    per: f64,
    #[cfg_attr(not(test), expect(dead_code, reason = "for whoever reads the list"))]
    unit: String,
    /// What an account has for nothing each month, for ever; not what new accounts have for a year.
    #[serde(default)]
    free_each_month: f64,
    #[cfg_attr(not(test), expect(dead_code, reason = "for whoever reads the list"))]
    page: String,
}

macro_rules! prices {
    ($($name:ident),+ $(,)?) => {
        /// Every price that is used, by what it is for.
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub(super) struct Prices { $(pub(super) $name: Price),+ }

        impl Prices {
            #[cfg(test)]
            fn all(&self) -> Vec<(&'static str, &Price)> {
                vec![$((stringify!($name), &self.$name)),+]
            }
        }
    };
}

prices! {
    transition, invocation, gb_second, write_unit, read_unit, table_gb_month, backup_gb_month, api_request, event,
    object_write, object_read, log_gb, metric_requested, alarm_metric, dashboard, custom_metric, key_request, key_month,
    codepipeline_action_minute,
}

/// Prices of one day in one region.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PriceList {
    pub(super) as_of: String,
    pub(super) region: String,
    pub(super) prices: Prices,
}

/// The list.
pub(super) static LIST: LazyLock<PriceList> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../prices.json")).expect("a test reads infra/prices.json")
});

impl Price {
    /// Dollars for so much.
    pub(super) fn of(&self, quantity: f64) -> f64 {
        quantity * self.usd / self.per
    }

    /// Dollars for so much in a month, in an account that has nothing else of it.
    pub(super) fn beyond_free(&self, quantity: f64) -> f64 {
        self.of((quantity - self.free_each_month).max(0.0))
    }
}

/// Time billed per invocation, in seconds. A stand-in cannot measure it; our functions wait for a few requests within AWS.
pub(super) const BILLED_S: f64 = 0.1;
/// Memory of the functions in the template, in GB.
pub(super) const MEMORY_GB: f64 = 0.25;
/// Memory of run-action in the template, in GB.
pub(super) const RUN_ACTION_MEMORY_GB: f64 = 1.0;

/// Quantities that are billed; of one release, of a month, whatever.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Taken {
    pub(super) transitions: f64,
    pub(super) invocations: f64,
    pub(super) gb_seconds: f64,
    pub(super) read_units: f64,
    pub(super) write_units: f64,
    pub(super) api_requests: f64,
    pub(super) events: f64,
    pub(super) object_writes: f64,
    pub(super) object_reads: f64,
    pub(super) log_gb: f64,
    pub(super) key_requests: f64,
}

impl Taken {
    /// Adds invocations of our functions, given by name, with the memory that they are billed for.
    pub(super) fn invoked<'a>(mut self, invocations: impl IntoIterator<Item = (&'a str, f64)>) -> Self {
        for (name, count) in invocations {
            let name = name.trim_start_matches("lastgood-");
            let memory = if name == "run-action" { RUN_ACTION_MEMORY_GB } else { MEMORY_GB };
            self.invocations += count;
            self.gb_seconds += count * memory * BILLED_S;
            match name {
                "api" => self.api_requests += count,
                // S3 tells of each upload by an event that is billed like one of ours at most.
                "source-trigger" => self.events += count,
                _ => {}
            }
        }
        self
    }

    /// Each quantity with what it is called, what service has it, and its price.
    pub(super) fn lines(&self) -> [Line; 11] {
        let prices = &LIST.prices;
        let line = |service, what, quantity, price| Line { service, what, quantity, price };
        [
            line("Step Functions", "state transitions", self.transitions, &prices.transition),
            line("Lambda", "invocations", self.invocations, &prices.invocation),
            line("Lambda", "GB-seconds (assumed)", self.gb_seconds, &prices.gb_second),
            line("DynamoDB", "read units", self.read_units, &prices.read_unit),
            line("DynamoDB", "write units", self.write_units, &prices.write_unit),
            line("API Gateway", "requests", self.api_requests, &prices.api_request),
            line("EventBridge", "events", self.events, &prices.event),
            line("S3", "writing requests", self.object_writes, &prices.object_write),
            line("S3", "other requests", self.object_reads, &prices.object_read),
            line("CloudWatch Logs", "GB of logs (assumed)", self.log_gb, &prices.log_gb),
            line("KMS", "requests to keys", self.key_requests, &prices.key_request),
        ]
    }

    /// `times` of it.
    pub(super) fn times(self, times: f64) -> Self {
        Self {
            transitions: self.transitions * times,
            invocations: self.invocations * times,
            gb_seconds: self.gb_seconds * times,
            read_units: self.read_units * times,
            write_units: self.write_units * times,
            api_requests: self.api_requests * times,
            events: self.events * times,
            object_writes: self.object_writes * times,
            object_reads: self.object_reads * times,
            log_gb: self.log_gb * times,
            key_requests: self.key_requests * times,
        }
    }

    /// Both together.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            transitions: self.transitions + other.transitions,
            invocations: self.invocations + other.invocations,
            gb_seconds: self.gb_seconds + other.gb_seconds,
            read_units: self.read_units + other.read_units,
            write_units: self.write_units + other.write_units,
            api_requests: self.api_requests + other.api_requests,
            events: self.events + other.events,
            object_writes: self.object_writes + other.object_writes,
            object_reads: self.object_reads + other.object_reads,
            log_gb: self.log_gb + other.log_gb,
            key_requests: self.key_requests + other.key_requests,
        }
    }

    /// US dollars for all of it.
    pub(super) fn dollars(&self) -> f64 {
        self.lines().iter().map(Line::dollars).sum()
    }
}

/// A line of a bill.
pub(super) struct Line {
    pub(super) service: &'static str,
    pub(super) what: &'static str,
    pub(super) quantity: f64,
    pub(super) price: &'static Price,
}

impl Line {
    /// US dollars, by the list.
    pub(super) fn dollars(&self) -> f64 {
        self.price.of(self.quantity)
    }
}

/// What CodePipeline V2 asks for a release, where every action ends within its first minute.
pub(super) fn codepipeline(actions: u32) -> f64 {
    LIST.prices.codepipeline_action_minute.of(f64::from(actions))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_price_says_what_for_and_whence() {
        assert!(LIST.as_of.parse::<jiff::civil::Date>().is_ok(), "{}", LIST.as_of);
        assert_eq!(LIST.region, "us-east-1");
        for (name, price) in LIST.prices.all() {
            assert!(price.usd > 0.0 && price.per >= 1.0 && price.free_each_month >= 0.0, "{name}");
            assert!(!price.unit.is_empty() && price.page.starts_with("https://aws.amazon.com/"), "{name}");
        }
    }

    #[test]
    fn dollars_are_quantities_by_the_list() {
        let taken = Taken { transitions: 1000.0, ..Taken::default() }.invoked([("lastgood-run-action", 10.0)]);
        assert!((taken.gb_seconds - 1.0).abs() < 1e-12);
        let expected = 0.025 + 10.0 * 0.2e-6 + 0.000_013_333_4;
        assert!((taken.dollars() - expected).abs() < 1e-12, "{}", taken.dollars());
        assert!((taken.times(2.0).plus(taken).dollars() - 3.0 * expected).abs() < 1e-12);
        let told = Taken::default().invoked([("lastgood-source-trigger", 2.0), ("api", 1.0)]);
        assert_eq!((told.events, told.api_requests), (2.0, 1.0), "each comes by something that is billed too");
        assert_eq!(LIST.prices.transition.beyond_free(4000.0), 0.0);
        assert!((LIST.prices.transition.beyond_free(5000.0) - 0.025).abs() < 1e-12);
    }
}

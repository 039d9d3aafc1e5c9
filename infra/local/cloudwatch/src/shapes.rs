//! The shapes of the operations served here, from the service's public model (version 2010-08-01).

use crate::schema::{
    Member,
    Shape::{self, Boolean, Choice, Double, Integer, List, Structure, Text, Time},
    optional, required,
};

const I32_MAX: i64 = i32::MAX as i64;
const ANY: usize = usize::MAX;

static TEXT: Shape = Text { min: 0, max: ANY };
static NAME: Shape = Text { min: 1, max: 255 };
static TEXT_1024: Shape = Text { min: 1, max: 1024 };
static DESCRIPTION: Shape = Text { min: 0, max: 1024 };
static POSITIVE: Shape = Integer { min: 1, max: I32_MAX };
static INTEGER: Shape = Integer { min: i32::MIN as i64, max: I32_MAX };
static UNIT: Shape = Choice(&[
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
    "None",
]);
static STATISTIC: Shape = Choice(&["SampleCount", "Average", "Sum", "Minimum", "Maximum"]);
static STATE: Shape = Choice(&["OK", "ALARM", "INSUFFICIENT_DATA"]);
static SCAN_BY: Shape = Choice(&["TimestampDescending", "TimestampAscending"]);
static MAX_RECORDS: Shape = Integer { min: 1, max: 100 };
static MAX_DATAPOINTS: Shape = Integer { min: 1, max: 100_800 };

const fn list(item: &'static Shape, min: usize, max: usize) -> Shape {
    List { item, min, max }
}

static DIMENSION: Shape = Structure(&[required("Name", &NAME), required("Value", &TEXT_1024)]);
static DIMENSIONS: Shape = list(&DIMENSION, 0, 30);
static DIMENSION_FILTER: Shape = Structure(&[required("Name", &NAME), optional("Value", &TEXT_1024)]);
static DIMENSION_FILTERS: Shape = list(&DIMENSION_FILTER, 0, 10);
static DOUBLES: Shape = list(&Double, 0, ANY);
static TIMES: Shape = list(&Time, 0, ANY);
static TEXTS: Shape = list(&TEXT, 0, ANY);
static STATISTIC_SET: Shape = Structure(&[
    required("SampleCount", &Double),
    required("Sum", &Double),
    required("Minimum", &Double),
    required("Maximum", &Double),
]);
static METRIC_DATUM: Shape = Structure(&[
    required("MetricName", &NAME),
    optional("Dimensions", &DIMENSIONS),
    optional("Timestamp", &Time),
    optional("Value", &Double),
    optional("StatisticValues", &STATISTIC_SET),
    optional("Values", &DOUBLES),
    optional("Counts", &DOUBLES),
    optional("Unit", &UNIT),
    optional("StorageResolution", &POSITIVE),
]);
static METRIC_DATA: Shape = list(&METRIC_DATUM, 0, ANY);
static ENTITY_METRIC_DATA: Shape = list(&Structure(&[optional("MetricData", &METRIC_DATA)]), 0, ANY);
static METRIC: Shape = Structure(METRIC_MEMBERS);
const METRIC_MEMBERS: &[Member] =
    &[optional("Namespace", &NAME), optional("MetricName", &NAME), optional("Dimensions", &DIMENSIONS)];
static METRIC_STAT: Shape = Structure(&[
    required("Metric", &METRIC),
    required("Period", &POSITIVE),
    required("Stat", &TEXT),
    optional("Unit", &UNIT),
]);
static METRIC_DATA_QUERY: Shape = Structure(&[
    required("Id", &NAME),
    optional("MetricStat", &METRIC_STAT),
    optional("Expression", &Text { min: 1, max: 2048 }),
    optional("Label", &TEXT),
    optional("ReturnData", &Boolean),
    optional("Period", &POSITIVE),
    optional("AccountId", &NAME),
]);
static METRIC_DATA_QUERIES: Shape = list(&METRIC_DATA_QUERY, 0, ANY);
static ACTIONS: Shape = list(&TEXT_1024, 0, 5);
static TAG: Shape =
    Structure(&[required("Key", &Text { min: 1, max: 128 }), required("Value", &Text { min: 0, max: 256 })]);
static TAGS: Shape = list(&TAG, 0, ANY);
static ALARM_NAMES: Shape = list(&NAME, 0, 100);
static ALARM_TYPES: Shape = list(&Choice(&["CompositeAlarm", "MetricAlarm", "LogAlarm"]), 0, ANY);
/// Structures of features that are refused by name: whatever is inside does not matter.
static REFUSED: Shape = Structure(&[]);

/// Input of operations that take nothing but alarm names.
pub(crate) static ALARM_NAMES_INPUT: Shape = Structure(&[required("AlarmNames", &ALARM_NAMES)]);

/// Output of operations that answer with an empty structure.
pub(crate) static EMPTY_OUTPUT: Shape = Structure(&[]);

pub(crate) static PUT_METRIC_DATA: Shape = Structure(&[
    required("Namespace", &NAME),
    optional("MetricData", &METRIC_DATA),
    optional("EntityMetricData", &ENTITY_METRIC_DATA),
]);

pub(crate) static LIST_METRICS: Shape = Structure(&[
    optional("Namespace", &NAME),
    optional("MetricName", &NAME),
    optional("Dimensions", &DIMENSION_FILTERS),
    optional("NextToken", &TEXT),
    optional("RecentlyActive", &Choice(&["PT3H"])),
]);
pub(crate) static LIST_METRICS_OUTPUT: Shape =
    Structure(&[optional("Metrics", &list(&METRIC, 0, ANY)), optional("NextToken", &TEXT)]);

pub(crate) static GET_METRIC_STATISTICS: Shape = Structure(&[
    required("Namespace", &NAME),
    required("MetricName", &NAME),
    optional("Dimensions", &DIMENSIONS),
    required("StartTime", &Time),
    required("EndTime", &Time),
    required("Period", &POSITIVE),
    optional("Statistics", &list(&STATISTIC, 1, 5)),
    optional("ExtendedStatistics", &list(&TEXT, 1, 10)),
    optional("Unit", &UNIT),
]);
static DATAPOINT: Shape = Structure(&[
    optional("Timestamp", &Time),
    optional("SampleCount", &Double),
    optional("Average", &Double),
    optional("Sum", &Double),
    optional("Minimum", &Double),
    optional("Maximum", &Double),
    optional("Unit", &TEXT),
    optional("ExtendedStatistics", &Shape::Map(&Double)),
]);
pub(crate) static GET_METRIC_STATISTICS_OUTPUT: Shape =
    Structure(&[optional("Label", &TEXT), optional("Datapoints", &list(&DATAPOINT, 0, ANY))]);

pub(crate) static GET_METRIC_DATA: Shape = Structure(&[
    required("MetricDataQueries", &METRIC_DATA_QUERIES),
    required("StartTime", &Time),
    required("EndTime", &Time),
    optional("NextToken", &TEXT),
    optional("ScanBy", &SCAN_BY),
    optional("MaxDatapoints", &MAX_DATAPOINTS),
]);
static METRIC_DATA_RESULT: Shape = Structure(&[
    optional("Id", &TEXT),
    optional("Label", &TEXT),
    optional("Timestamps", &TIMES),
    optional("Values", &DOUBLES),
    optional("StatusCode", &TEXT),
]);
pub(crate) static GET_METRIC_DATA_OUTPUT: Shape = Structure(&[
    optional("MetricDataResults", &list(&METRIC_DATA_RESULT, 0, ANY)),
    optional("NextToken", &TEXT),
    optional("Messages", &list(&EMPTY_OUTPUT, 0, ANY)),
]);

pub(crate) static PUT_METRIC_ALARM: Shape = Structure(&[
    required("AlarmName", &NAME),
    optional("AlarmDescription", &DESCRIPTION),
    optional("ActionsEnabled", &Boolean),
    optional("OKActions", &ACTIONS),
    optional("AlarmActions", &ACTIONS),
    optional("InsufficientDataActions", &ACTIONS),
    optional("MetricName", &NAME),
    optional("Namespace", &NAME),
    optional("Statistic", &STATISTIC),
    optional("ExtendedStatistic", &TEXT),
    optional("Dimensions", &DIMENSIONS),
    optional("Period", &POSITIVE),
    optional("Unit", &UNIT),
    optional("EvaluationPeriods", &POSITIVE),
    optional("DatapointsToAlarm", &POSITIVE),
    optional("Threshold", &Double),
    optional("ComparisonOperator", &COMPARISON),
    optional("TreatMissingData", &NAME),
    optional("EvaluateLowSampleCountPercentile", &NAME),
    optional("Metrics", &METRIC_DATA_QUERIES),
    optional("Tags", &TAGS),
    optional("ThresholdMetricId", &NAME),
    optional("EvaluationWindow", &REFUSED),
    optional("WarmUpConfiguration", &REFUSED),
    optional("EvaluationCriteria", &REFUSED),
    optional("EvaluationInterval", &INTEGER),
]);
static COMPARISON: Shape = Choice(&[
    "GreaterThanOrEqualToThreshold",
    "GreaterThanThreshold",
    "LessThanThreshold",
    "LessThanOrEqualToThreshold",
    "LessThanLowerOrGreaterThanUpperThreshold",
    "LessThanLowerThreshold",
    "GreaterThanUpperThreshold",
]);

pub(crate) static PUT_COMPOSITE_ALARM: Shape = Structure(&[
    optional("ActionsEnabled", &Boolean),
    optional("AlarmActions", &ACTIONS),
    optional("AlarmDescription", &DESCRIPTION),
    required("AlarmName", &NAME),
    required("AlarmRule", &Text { min: 1, max: 10_240 }),
    optional("InsufficientDataActions", &ACTIONS),
    optional("OKActions", &ACTIONS),
    optional("Tags", &TAGS),
    optional("ActionsSuppressor", &Text { min: 1, max: 1600 }),
    optional("ActionsSuppressorWaitPeriod", &INTEGER),
    optional("ActionsSuppressorExtensionPeriod", &INTEGER),
]);

pub(crate) static DESCRIBE_ALARMS: Shape = Structure(&[
    optional("AlarmNames", &ALARM_NAMES),
    optional("AlarmNamePrefix", &NAME),
    optional("AlarmTypes", &ALARM_TYPES),
    optional("ChildrenOfAlarmName", &NAME),
    optional("ParentsOfAlarmName", &NAME),
    optional("StateValue", &STATE),
    optional("ActionPrefix", &TEXT_1024),
    optional("MaxRecords", &MAX_RECORDS),
    optional("NextToken", &TEXT),
]);
static METRIC_ALARM: Shape = Structure(&[
    optional("AlarmName", &TEXT),
    optional("AlarmArn", &TEXT),
    optional("AlarmDescription", &TEXT),
    optional("AlarmConfigurationUpdatedTimestamp", &Time),
    optional("ActionsEnabled", &Boolean),
    optional("OKActions", &TEXTS),
    optional("AlarmActions", &TEXTS),
    optional("InsufficientDataActions", &TEXTS),
    optional("StateValue", &TEXT),
    optional("StateReason", &TEXT),
    optional("StateReasonData", &TEXT),
    optional("StateUpdatedTimestamp", &Time),
    optional("MetricName", &TEXT),
    optional("Namespace", &TEXT),
    optional("Statistic", &TEXT),
    optional("ExtendedStatistic", &TEXT),
    optional("Dimensions", &DIMENSIONS),
    optional("Period", &INTEGER),
    optional("Unit", &TEXT),
    optional("EvaluationPeriods", &INTEGER),
    optional("DatapointsToAlarm", &INTEGER),
    optional("Threshold", &Double),
    optional("ComparisonOperator", &TEXT),
    optional("TreatMissingData", &TEXT),
    optional("EvaluateLowSampleCountPercentile", &TEXT),
    optional("Metrics", &METRIC_DATA_QUERIES),
    optional("StateTransitionedTimestamp", &Time),
]);
static COMPOSITE_ALARM: Shape = Structure(&[
    optional("ActionsEnabled", &Boolean),
    optional("AlarmActions", &TEXTS),
    optional("AlarmArn", &TEXT),
    optional("AlarmConfigurationUpdatedTimestamp", &Time),
    optional("AlarmDescription", &TEXT),
    optional("AlarmName", &TEXT),
    optional("AlarmRule", &TEXT),
    optional("InsufficientDataActions", &TEXTS),
    optional("OKActions", &TEXTS),
    optional("StateReason", &TEXT),
    optional("StateReasonData", &TEXT),
    optional("StateUpdatedTimestamp", &Time),
    optional("StateValue", &TEXT),
    optional("StateTransitionedTimestamp", &Time),
    optional("ActionsSuppressor", &TEXT),
    optional("ActionsSuppressorWaitPeriod", &INTEGER),
    optional("ActionsSuppressorExtensionPeriod", &INTEGER),
]);
static METRIC_ALARMS: Shape = list(&METRIC_ALARM, 0, ANY);
pub(crate) static DESCRIBE_ALARMS_OUTPUT: Shape = Structure(&[
    optional("CompositeAlarms", &list(&COMPOSITE_ALARM, 0, ANY)),
    optional("MetricAlarms", &METRIC_ALARMS),
    optional("NextToken", &TEXT),
]);

pub(crate) static DESCRIBE_ALARMS_FOR_METRIC: Shape = Structure(&[
    required("MetricName", &NAME),
    required("Namespace", &NAME),
    optional("Statistic", &STATISTIC),
    optional("ExtendedStatistic", &TEXT),
    optional("Dimensions", &DIMENSIONS),
    optional("Period", &POSITIVE),
    optional("Unit", &UNIT),
]);
pub(crate) static DESCRIBE_ALARMS_FOR_METRIC_OUTPUT: Shape = Structure(&[optional("MetricAlarms", &METRIC_ALARMS)]);

pub(crate) static DESCRIBE_ALARM_HISTORY: Shape = Structure(&[
    optional("AlarmName", &NAME),
    optional("AlarmTypes", &ALARM_TYPES),
    optional("HistoryItemType", &HISTORY_TYPE),
    optional("StartDate", &Time),
    optional("EndDate", &Time),
    optional("MaxRecords", &MAX_RECORDS),
    optional("NextToken", &TEXT),
    optional("ScanBy", &SCAN_BY),
]);
static HISTORY_TYPE: Shape =
    Choice(&["ConfigurationUpdate", "StateUpdate", "Action", "AlarmContributorStateUpdate", "AlarmContributorAction"]);
static HISTORY_ITEM: Shape = Structure(&[
    optional("AlarmName", &TEXT),
    optional("AlarmType", &TEXT),
    optional("Timestamp", &Time),
    optional("HistoryItemType", &TEXT),
    optional("HistorySummary", &TEXT),
    optional("HistoryData", &TEXT),
]);
pub(crate) static DESCRIBE_ALARM_HISTORY_OUTPUT: Shape =
    Structure(&[optional("AlarmHistoryItems", &list(&HISTORY_ITEM, 0, ANY)), optional("NextToken", &TEXT)]);

pub(crate) static SET_ALARM_STATE: Shape = Structure(&[
    required("AlarmName", &NAME),
    required("StateValue", &STATE),
    required("StateReason", &Text { min: 0, max: 1023 }),
    optional("StateReasonData", &Text { min: 0, max: 4000 }),
]);

static RESOURCE_ARN: Shape = Text { min: 1, max: 1024 };
pub(crate) static TAG_RESOURCE: Shape = Structure(&[required("ResourceARN", &RESOURCE_ARN), required("Tags", &TAGS)]);
pub(crate) static UNTAG_RESOURCE: Shape = Structure(&[
    required("ResourceARN", &RESOURCE_ARN),
    required("TagKeys", &list(&Text { min: 1, max: 128 }, 0, ANY)),
]);
pub(crate) static LIST_TAGS_FOR_RESOURCE: Shape = Structure(&[required("ResourceARN", &RESOURCE_ARN)]);
pub(crate) static LIST_TAGS_FOR_RESOURCE_OUTPUT: Shape = Structure(&[optional("Tags", &TAGS)]);

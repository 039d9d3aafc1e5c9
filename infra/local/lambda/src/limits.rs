//! Limits and their reasons.

use std::time::Duration;

/// Largest event and largest answer of a synchronous invocation: Lambda's 6 MB.
pub const SYNC_PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;

/// Largest event of an asynchronous invocation: 256 KB, the limit that holds in every region and account.
pub const ASYNC_PAYLOAD_BYTES_MAX: usize = 256 * 1024;

/// Longest time one invocation by a process may take: Lambda's 15 minutes.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(900);

/// Processes of one function at a time. Two show what concurrency does to a function, without a laptop running
/// hundreds; further invocations wait their turn.
pub const PROCESSES_PER_FUNCTION_MAX: usize = 2;

/// Asynchronous invocations delivered at a time. Enough for bursts of upload notifications; the rest wait in the queue.
pub const ASYNC_DELIVERIES_MAX: usize = 16;

/// Waits before the second and the third attempt of a failed asynchronous invocation: Lambda's.
pub const RETRY_DELAYS: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];

/// Longest line taken from a process's output in one piece: the size of one CloudWatch log event.
pub(crate) const LOG_LINE_BYTES_MAX: u64 = 256 * 1024;

/// What functions are told they have, in MB: Lambda's default. Nothing enforces it.
pub(crate) const MEMORY_MB: u32 = 128;

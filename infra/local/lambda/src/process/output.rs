//! What processes print.

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use crate::limits::LOG_LINE_BYTES_MAX;

/// Passes on what the process of `function` writes to `stream`, line by line, until it closes it.
pub(crate) async fn forward(function: String, stream: &'static str, from: impl AsyncRead + Unpin) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        // A line without end is passed on in pieces rather than gathered in memory.
        let mut piece = (&mut from).take(LOG_LINE_BYTES_MAX);
        match piece.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                tracing::info!(function, stream, "{function}: {}", text.trim_end());
            }
        }
    }
}

//! The Lambda Runtime API for one process and one invocation: hands out an event, and takes the time of the answer.

use std::{
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    time::Instant,
};

use anyhow::{Context, bail};

const NEXT: &str = "/2018-06-01/runtime/invocation/next";
const INVOCATION: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";
/// Later than any invocation of a benchmark ends.
const DEADLINE_MS: &str = "4102444800000";

/// What a process answered first, and when.
pub(super) struct Answer {
    pub(super) at: Instant,
    /// Whether it is an error of the runtime's or the function's.
    pub(super) is_error: bool,
    pub(super) body: String,
}

/// Listens on a port of its own; the first answer comes through the channel. Threads end with the process they talk to.
pub(super) fn serve(event: &str) -> anyhow::Result<(SocketAddr, Receiver<Answer>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a port for the Runtime API")?;
    let address = listener.local_addr()?;
    let (answers, answer) = channel();
    let event = event.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (answers, event) = (answers.clone(), event.clone());
            std::thread::spawn(move || talk(stream, &event, &answers));
        }
    });
    Ok((address, answer))
}

/// The moment, for who measures how long something takes.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures the time that passes")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// One connection, for as many requests as it brings.
fn talk(stream: TcpStream, event: &str, answers: &Sender<Answer>) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    let mut handed_out = false;
    while let Some((path, body)) = request(&mut reader)? {
        if path == NEXT {
            // The second is never answered: the process waits for it until it is ended.
            if std::mem::replace(&mut handed_out, true) {
                continue;
            }
            let headers = format!(
                "Lambda-Runtime-Aws-Request-Id: {INVOCATION}\r\nLambda-Runtime-Deadline-Ms: {DEADLINE_MS}\r\n\
                 Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:000000000000:function:bench\r\n"
            );
            reply(&mut writer, "200 OK", &headers, event)?;
        } else {
            let is_error = path.ends_with("/error");
            let _ = answers.send(Answer { at: now(), is_error, body });
            reply(&mut writer, "202 Accepted", "", "{}")?;
        }
    }
    Ok(())
}

/// Path and body of the next request; none where the connection is closed.
fn request(reader: &mut impl BufRead) -> anyhow::Result<Option<(String, String)>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).context("no request line")?.to_owned();
    let (mut length, mut chunked) = (0, false);
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse()?,
            "transfer-encoding" => chunked = value.trim().eq_ignore_ascii_case("chunked"),
            _ => {}
        }
    }
    let body = if chunked { chunks(reader)? } else { read(reader, length)? };
    Ok(Some((path, String::from_utf8_lossy(&body).into_owned())))
}

fn chunks(reader: &mut impl BufRead) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim(), 16).context("no length of a chunk")?;
        body.extend(read(reader, length)?);
        reader.read_line(&mut line)?;
        if length == 0 {
            return Ok(body);
        }
        if body.len() > 6 << 20 {
            bail!("more than an answer may have");
        }
    }
}

fn read(reader: &mut impl BufRead, length: usize) -> anyhow::Result<Vec<u8>> {
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(body)
}

fn reply(writer: &mut TcpStream, status: &str, headers: &str, body: &str) -> anyhow::Result<()> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\n{headers}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
    writer.write_all(format!("{head}{body}").as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn requests_are_read_one_after_another() {
        let wire = "GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 2\r\n\r\nokPOST /c HTTP/1.1\r\n\
                    Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        let mut reader = Cursor::new(wire);
        let mut read = || request(&mut reader).expect("well-formed");
        assert_eq!(read(), Some(("/a".to_owned(), String::new())));
        assert_eq!(read(), Some(("/b".to_owned(), "ok".to_owned())));
        assert_eq!(read(), Some(("/c".to_owned(), "abcde".to_owned())));
        assert_eq!(read(), None);
    }
}

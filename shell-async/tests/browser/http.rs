//! HTTP/1.1 to loopback, one connection a request: to chromedriver, and to the server where a test asks it beside the browser.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use crate::support::PATIENCE;

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// As they came, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Asks `address` (`127.0.0.1:7878`); a body is JSON.
pub fn ask(address: &str, method: &str, path: &str, body: Option<&str>) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    // A page may take as long as a test has patience; who asks about it waits a little longer.
    stream.set_read_timeout(Some(PATIENCE * 2))?;
    let length = body.map_or(0, str::len);
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.unwrap_or_default().as_bytes())?;
    let mut reader = BufReader::new(stream);
    let status = line(&mut reader)?.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let mut headers = Vec::new();
    while let Some((name, value)) = line(&mut reader)?.split_once(':') {
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut answer = Answer { status, headers, body: String::new() };
    let mut bytes = Vec::new();
    if answer.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        chunks(&mut reader, &mut bytes)?;
    } else if let Some(length) = answer.header("content-length").and_then(|length| length.parse().ok()) {
        bytes.resize(length, 0);
        reader.read_exact(&mut bytes)?;
    } else {
        reader.read_to_end(&mut bytes)?;
    }
    answer.body = String::from_utf8_lossy(&bytes).into_owned();
    Ok(answer)
}

/// What the server answers to `GET path` of nobody in particular.
pub fn get(address: &str, path: &str) -> Answer {
    ask(address, "GET", path, None).unwrap_or_else(|error| panic!("GET {path}: {error}"))
}

fn chunks(reader: &mut impl BufRead, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    loop {
        let size = usize::from_str_radix(line(reader)?.trim(), 16).unwrap_or(0);
        let begin = bytes.len();
        bytes.resize(begin + size, 0);
        reader.read_exact(&mut bytes[begin..])?;
        line(reader)?;
        if size == 0 {
            return Ok(());
        }
    }
}

fn line(reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

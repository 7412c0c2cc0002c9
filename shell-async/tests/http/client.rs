//! A small HTTP client that sends what it is told and waits for nothing for longer than [`PATIENCE`].

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

pub const PATIENCE: Duration = Duration::from_secs(20);

/// Where a server listens.
#[derive(Debug, Clone)]
pub enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

pub trait Stream: Read + Write + Send + std::os::fd::AsFd {}
impl<T: Read + Write + Send + std::os::fd::AsFd> Stream for T {}

impl Place {
    pub fn connect(&self) -> Box<dyn Stream> {
        match self {
            Place::Tcp(address) => {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_write_timeout(Some(PATIENCE)).unwrap();
                Box::new(stream)
            }
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_write_timeout(Some(PATIENCE)).unwrap();
                Box::new(stream)
            }
        }
    }

    /// Sends a request; the reply's body is yet to be read.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut stream = self.connect();
        stream.write_all(&request(method, path, headers, body)).unwrap();
        Reply::read(stream, method == "HEAD").expect("an answer")
    }

    #[track_caller]
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Whole {
        self.send("GET", path, headers, b"").whole()
    }

    #[track_caller]
    pub fn json(&self, path: &str) -> Value {
        let whole = self.get(path, &[]);
        assert_eq!(whole.status, 200, "{path}: {}", String::from_utf8_lossy(&whole.body));
        serde_json::from_slice(&whole.body).unwrap()
    }

    #[track_caller]
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Whole {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.send("POST", path, &all, body.as_bytes()).whole()
    }

    /// A live view.
    #[track_caller]
    pub fn view(&self, path: &str, headers: &[(&str, &str)]) -> View {
        let mut all = vec![("accept", "text/event-stream")];
        all.extend_from_slice(headers);
        let reply = self.send("GET", path, &all, b"");
        if reply.status != 200 {
            panic!("{path}: {}", reply.whole().text());
        }
        assert_eq!(reply.headers["content-type"], "text/event-stream");
        View { reply }
    }
}

pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if headers.iter().all(|(name, _)| *name != "host") {
        text.push_str("host: localhost\r\n");
    }
    if !body.is_empty() {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    [text.as_bytes(), body].concat()
}

/// How an answer begins.
pub struct Reply {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    is_head: bool,
    /// Bytes of the chunk that is being read.
    chunk: usize,
    reader: BufReader<Box<dyn Stream>>,
}

impl Reply {
    /// `None` where the connection ends before an answer.
    pub fn read(stream: Box<dyn Stream>, is_head: bool) -> Option<Reply> {
        let mut reader = BufReader::with_capacity(4096, stream);
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        Some(Reply { status, headers, is_head, chunk: 0, reader })
    }

    fn is_chunked(&self) -> bool {
        self.headers.get("transfer-encoding").is_some_and(|value| value == "chunked")
    }

    /// The next byte of a chunked body; `None` at its end.
    fn byte(&mut self) -> Option<u8> {
        if self.chunk == 0 {
            let mut line = String::new();
            self.reader.read_line(&mut line).expect("a chunk in time");
            self.chunk = usize::from_str_radix(line.trim(), 16).ok()?;
            if self.chunk == 0 {
                self.reader.read_line(&mut line).unwrap();
                return None;
            }
        }
        let mut byte = [0];
        self.reader.read_exact(&mut byte).expect("a byte in time");
        self.chunk -= 1;
        if self.chunk == 0 {
            let mut end = [0; 2];
            self.reader.read_exact(&mut end).unwrap();
        }
        Some(byte[0])
    }

    pub fn whole(mut self) -> Whole {
        let mut body = Vec::new();
        if self.is_head {
            self.reader.read_to_end(&mut body).unwrap();
            assert!(body.is_empty(), "HEAD has no body");
        } else if self.is_chunked() {
            body.extend(std::iter::from_fn(|| self.byte()));
        } else if let Some(len) = self.headers.get("content-length") {
            body.resize(len.parse().unwrap(), 0);
            self.reader.read_exact(&mut body).unwrap();
        }
        Whole { status: self.status, headers: self.headers, body }
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Whole {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Whole {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("JSON: {}", self.text()))
    }

    /// A problem of this status, whose detail has this text.
    #[track_caller]
    pub fn is_problem(&self, status: u16, detail: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.value();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], "about:blank");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
        assert!(!problem["title"].as_str().unwrap().is_empty());
    }
}

/// One event of a live view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    pub id: u64,
    pub kind: String,
    pub data: String,
}

impl Told {
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

/// A live view that is being read.
pub struct View {
    reply: Reply,
}

impl View {
    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        loop {
            match self.reply.byte()? {
                b'\n' => return Some(String::from_utf8(line).unwrap()),
                byte => line.push(byte),
            }
        }
    }

    /// The next event; comments are stepped over. `None` at the end of the view.
    pub fn next(&mut self) -> Option<Told> {
        let mut told = Told::default();
        let mut lines = 0;
        loop {
            let line = self.line()?;
            match line.split_once(": ") {
                Some(("event", kind)) => told.kind = kind.to_owned(),
                Some(("id", id)) => told.id = id.parse().unwrap(),
                Some(("data", data)) => told.data = data.to_owned(),
                _ if line.is_empty() && lines > 0 => return Some(told),
                _ => continue,
            }
            lines += 1;
        }
    }

    /// The next line as it is, comments too.
    pub fn raw_line(&mut self) -> Option<String> {
        self.line()
    }

    pub fn rest(mut self) -> Vec<Told> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

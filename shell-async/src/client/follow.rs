//! A stream of events that goes on where it was when its connection ends: Last-Event-ID, without gap or repeat.

use std::collections::VecDeque;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ACCEPT, HeaderName};
use hyper::{Method, Response};
use smol::Timer;

use super::sse::{Message, Reader};
use super::{Client, ClientError};

/// How long to wait before a connection is tried again, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How many times in a row it is tried while the server is away.
const TRIES: u32 = 40;

/// What a stream gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// An event.
    Message(Message),
    /// The server closed the stream, which then may be over or not; asked again it is connected to again.
    Closed,
}

/// A stream of server-sent events.
#[derive(Debug)]
pub struct Follow {
    client: Client,
    path: String,
    open: Option<Response<Incoming>>,
    reader: Reader,
    last_id: Option<String>,
    /// It was connected once: a server that is away now comes back.
    was_there: bool,
    /// The last connection gave nothing: the next one is not hurried.
    was_idle: bool,
    waiting: VecDeque<Message>,
}

impl Follow {
    /// Of `path` (below `/api/v1`). Nothing is asked yet.
    pub fn of(client: &Client, path: String) -> Follow {
        Follow {
            client: client.clone(),
            path,
            open: None,
            reader: Reader::default(),
            last_id: None,
            was_there: false,
            was_idle: false,
            waiting: VecDeque::new(),
        }
    }

    /// The next event. A server that goes away meanwhile is waited for, some minutes at most; one that says no, or was not there
    /// at first, is an error.
    pub async fn next(&mut self) -> Result<Next, ClientError> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                self.last_id.clone_from(&message.id);
                return Ok(Next::Message(message));
            }
            let Some(answer) = &mut self.open else {
                if std::mem::take(&mut self.was_idle) {
                    Timer::after(FIRST_PAUSE).await;
                }
                let answer = self.connect().await?;
                self.was_idle = true;
                self.open = Some(answer);
                self.was_there = true;
                continue;
            };
            match self.client.next(answer).await {
                Ok(Some(bytes)) => {
                    let mut messages = Vec::new();
                    self.reader.push(&bytes, &mut messages);
                    self.was_idle &= messages.is_empty();
                    self.waiting.extend(messages);
                }
                // What of an event has come counts for nothing: it comes again.
                Ok(None) | Err(_) => {
                    self.open = None;
                    self.reader = Reader::after(self.last_id.clone());
                    return Ok(Next::Closed);
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<Response<Incoming>, ClientError> {
        const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
        let mut headers = vec![(ACCEPT, "text/event-stream")];
        if let Some(id) = &self.last_id {
            headers.push((LAST_EVENT_ID, id));
        }
        let mut pause = FIRST_PAUSE;
        for _ in 0..TRIES {
            match self.client.request(Method::GET, &self.path, &headers, None).await {
                Err(error) if self.was_there && error.is_passing() => {
                    Timer::after(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                answer => return answer,
            }
        }
        self.client.request(Method::GET, &self.path, &headers, None).await
    }
}

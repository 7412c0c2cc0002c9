//! A reader of server-sent events (WHATWG HTML, "Server-sent events"), fed with bytes that are cut anywhere.

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// `event:`; empty for none.
    pub event: String,
    /// `data:`, several lines joined by newlines.
    pub data: String,
    /// `id:` of this event or of the last one before it that had one.
    pub id: Option<String>,
}

/// Longest line waited for; a longer one is dropped.
const LONGEST_LINE: usize = 8 * 1024 * 1024;

/// The reader. An event that the end of its stream cuts off is none.
#[derive(Debug, Default)]
pub struct Reader {
    line: Vec<u8>,
    /// The last byte was `\r`: a `\n` right after ends no other line.
    after_cr: bool,
    too_long: bool,
    event: String,
    data: Option<String>,
    id: Option<String>,
}

impl Reader {
    /// One that goes on after the event with this id.
    pub fn after(id: Option<String>) -> Reader {
        Reader { id, ..Reader::default() }
    }

    /// Takes bytes; whole events go into `messages`.
    pub fn push(&mut self, mut bytes: &[u8], messages: &mut Vec<Message>) {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr)
                && let Some(rest) = bytes.strip_prefix(b"\n")
            {
                bytes = rest;
                continue;
            }
            match bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
                None => {
                    self.hold(bytes);
                    return;
                }
                Some(at) => {
                    let (line, rest) = bytes.split_at_checked(at).unwrap_or((bytes, &[]));
                    self.hold(line);
                    self.after_cr = rest.first() == Some(&b'\r');
                    bytes = rest.get(1..).unwrap_or_default();
                    let line = std::mem::take(&mut self.line);
                    if !std::mem::take(&mut self.too_long) {
                        messages.extend(self.line(&line));
                    }
                }
            }
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        self.too_long |= self.line.len() + bytes.len() > LONGEST_LINE;
        if self.too_long {
            self.line.clear();
        } else {
            self.line.extend_from_slice(bytes);
        }
    }

    fn line(&mut self, line: &[u8]) -> Option<Message> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            // Without data there is no event, but its id counts.
            return self.data.take().map(|data| Message { event, data, id: self.id.clone() });
        }
        let line = String::from_utf8_lossy(line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event = value.to_owned(),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            // A comment, `retry`, or what is not known.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: &[(&str, &str, Option<&str>)]) {
        let want: Vec<Message> = want
            .iter()
            .map(|(event, data, id)| Message {
                event: (*event).to_owned(),
                data: (*data).to_owned(),
                id: id.map(str::to_owned),
            })
            .collect();
        let bytes = text.as_bytes();
        let read = |parts: &[&[u8]]| {
            let (mut reader, mut messages) = (Reader::default(), Vec::new());
            parts.iter().for_each(|part| reader.push(part, &mut messages));
            messages
        };
        assert_eq!(read(&[bytes]), want, "{text:?}");
        for at in 0..=bytes.len() {
            let (a, b) = bytes.split_at(at);
            assert_eq!(read(&[a, b]), want, "{text:?} split at {at}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&single), want, "{text:?} byte by byte");
    }

    #[test]
    fn events() {
        check("", &[]);
        check("data: a\n", &[]);
        check("data: a\n\n", &[("", "a", None)]);
        check("data:a\r\n\r\ndata:  b\r\rdata\n\n", &[("", "a", None), ("", " b", None), ("", "", None)]);
        check(": hello\n\nid: 1\nevent: e\ndata: x\ndata: y\n\n", &[("e", "x\ny", Some("1"))]);
        check(
            "id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
            &[("", "a", Some("1")), ("", "b", Some("1")), ("", "c", Some(""))],
        );
        check("id: 7\n\nretry: 10\nnonsense\ndata: ü:\u{1f600}\n\n", &[("", "ü:\u{1f600}", Some("7"))]);
        check("data: a\r\n\r\n\r\ndata: b\n\n", &[("", "a", None), ("", "b", None)]);
    }

    #[test]
    fn a_line_without_end_takes_no_more_than_so_much() {
        let (mut reader, mut messages) = (Reader::default(), Vec::new());
        for _ in 0..20 {
            reader.push(&[b'x'; 1 << 20], &mut messages);
            assert!(reader.line.len() <= LONGEST_LINE);
        }
        reader.push(b"\ndata: a\n\n", &mut messages);
        assert_eq!(messages.len(), 1);
    }
}

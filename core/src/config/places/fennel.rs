//! Reads tables and bindings of Fennel.

use super::{Assignment, DEPTH, Field, Key, Node, Reader, Spot};
use crate::pipeline::Token;

impl<'a> Reader<'a> {
    /// The last form is the file's value.
    pub(super) fn fennel(&mut self) {
        while self.peek(0).is_some() {
            let here = self.offset(0);
            if let Some(node) = self.form(0) {
                self.outline.root = Some((Spot { key: here, value: here }, node));
            }
        }
    }

    /// A form; `None` where a bracket closes that none opened.
    fn form(&mut self, depth: usize) -> Option<Node<'a>> {
        // Quotes of some kind, in front of a form.
        while let Some(Token::Other(_)) = self.peek(0) {
            self.at += 1;
        }
        let token = self.peek(0)?;
        if depth >= DEPTH && matches!(token, Token::Open(_)) {
            self.skip_bracket();
            return Some(Node::Other);
        }
        self.at += 1;
        Some(match token {
            Token::Close => return None,
            Token::Open(b'{') => self.fennel_table(depth),
            Token::Open(b'[') => {
                let mut fields = Vec::new();
                while let Some((spot, value)) = self.next_form(depth) {
                    fields.push(Field { key: Key::Nth(fields.len() + 1), spot, value });
                }
                Node::Table(fields)
            }
            Token::Open(_) => self.call(depth),
            Token::Word(name) => Node::Name(name.split('.').collect()),
            Token::Text(_) | Token::LineEnd | Token::Other(_) => Node::Other,
        })
    }

    /// The next form of a bracket, or `None` behind its end.
    fn next_form(&mut self, depth: usize) -> Option<(Spot, Node<'a>)> {
        let here = self.offset(0);
        self.form(depth + 1).map(|node| (Spot { key: here, value: here }, node))
    }

    fn fennel_table(&mut self, depth: usize) -> Node<'a> {
        let mut fields = Vec::new();
        loop {
            let here = self.offset(0);
            let key = match self.peek(0) {
                Some(Token::Text(name)) => Some(name),
                Some(Token::Word(name)) => Some(name),
                _ => None,
            };
            if self.form(depth + 1).is_none() {
                return Node::Table(fields);
            }
            // `{: name}` is `{:name name}`.
            let key = match (key, self.peek(0)) {
                (Some(":"), Some(Token::Word(name))) => Some(name),
                (key, _) => key,
            };
            let Some((spot, value)) = self.next_form(depth) else { return Node::Table(fields) };
            let key = key.map_or(Key::Any, Key::Text);
            fields.push(Field { key, spot: Spot { key: here, value: spot.value }, value });
        }
    }

    /// A call: those that bind names are taken note of, of `let` and `do` the last form is the value.
    fn call(&mut self, depth: usize) -> Node<'a> {
        let head = match self.peek(0) {
            Some(Token::Word(head)) => head,
            _ => "",
        };
        let is_tset = head == "tset";
        let mut keys = Vec::new();
        let mut forms: Vec<(Spot, Node<'a>)> = Vec::new();
        loop {
            if is_tset {
                keys.push(match self.peek(0) {
                    Some(Token::Text(name)) => Key::Text(name),
                    _ => Key::Any,
                });
            }
            match self.next_form(depth) {
                Some(form) => forms.push(form),
                None => break,
            }
        }
        match head {
            "local" | "var" | "global" | "set" => {
                if let [_, (name, Node::Name(names)), (spot, value)] = forms.as_slice() {
                    self.bind(names, Vec::new(), Spot { key: name.key, value: spot.value }, value.clone());
                }
                Node::Other
            }
            "tset" => {
                if let [_, (name, Node::Name(names)), .., (spot, value)] = forms.as_slice() {
                    // The head, the name, the value and what closed the call are no keys.
                    let keys = keys.into_iter().skip(2).take(forms.len().saturating_sub(3)).collect();
                    self.bind(names, keys, Spot { key: name.key, value: spot.value }, value.clone());
                }
                Node::Other
            }
            "let" => {
                if let Some((_, Node::Table(pairs))) = forms.get(1) {
                    let pairs = pairs.clone();
                    for pair in pairs.chunks_exact(2) {
                        if let [Field { value: Node::Name(names), spot, .. }, Field { spot: at, value, .. }] = pair {
                            self.bind(names, Vec::new(), Spot { key: spot.key, value: at.value }, value.clone());
                        }
                    }
                }
                forms.pop().map_or(Node::Other, |(_, node)| node)
            }
            "do" => forms.pop().map_or(Node::Other, |(_, node)| node),
            _ => Node::Other,
        }
    }

    fn bind(&mut self, names: &[&'a str], keys: Vec<Key<'a>>, spot: Spot, value: Node<'a>) {
        if let Some((name, fields)) = names.split_first() {
            let keys = fields.iter().map(|field| Key::Text(field)).chain(keys).collect();
            self.outline.assignments.push(Assignment { name, keys, spot, value });
        }
    }
}

//! Reads tables and assignments of Lua.

use super::{Assignment, DEPTH, Field, Key, Node, Reader, Spot};
use crate::pipeline::Token;

impl<'a> Reader<'a> {
    /// Every `return VALUE` and every assignment, wherever it stands; the last `return` is the file's.
    pub(super) fn lua(&mut self) {
        while let Some(token) = self.peek(0) {
            let Token::Word(word) = token else {
                self.at += 1;
                continue;
            };
            let key = self.offset(0);
            if word == "return" {
                self.at += 1;
                let spot = Spot { key: self.offset(0), value: self.offset(0) };
                let node = self.lua_value(0);
                self.outline.root = Some((spot, node));
                continue;
            }
            self.at += 1;
            let keys = self.lua_keys();
            if self.peek(0) == Some(Token::Other(b'=')) && self.peek(1) != Some(Token::Other(b'=')) {
                self.at += 1;
                let spot = Spot { key, value: self.offset(0) };
                let value = self.lua_value(0);
                self.outline.assignments.push(Assignment { name: word, keys, spot, value });
            }
        }
    }

    /// `.NAME` and `[KEY]`, as many as there are.
    fn lua_keys(&mut self) -> Vec<Key<'a>> {
        let mut keys = Vec::new();
        loop {
            match (self.peek(0), self.peek(1), self.peek(2)) {
                (Some(Token::Other(b'.')), Some(Token::Word(name)), _) => {
                    keys.push(Key::Text(name));
                    self.at += 2;
                }
                (Some(Token::Open(b'[')), Some(Token::Text(name)), Some(Token::Close)) => {
                    keys.push(Key::Text(name));
                    self.at += 3;
                }
                (Some(Token::Open(b'[')), Some(_), _) => {
                    keys.push(Key::Any);
                    self.skip_bracket();
                }
                _ => return keys,
            }
        }
    }

    fn lua_value(&mut self, depth: usize) -> Node<'a> {
        match self.peek(0) {
            Some(Token::Open(b'{')) if depth < DEPTH => self.lua_table(depth),
            Some(Token::Open(_)) => {
                self.skip_bracket();
                Node::Other
            }
            Some(Token::Word(name)) if name != "function" => {
                self.at += 1;
                let keys = self.lua_keys();
                let mut names = vec![name];
                for key in keys {
                    match key {
                        Key::Text(key) => names.push(key),
                        Key::Nth(_) | Key::Any => return Node::Other,
                    }
                }
                Node::Name(names)
            }
            _ => Node::Other,
        }
    }

    fn lua_table(&mut self, depth: usize) -> Node<'a> {
        self.at += 1;
        let mut fields = Vec::new();
        let mut nth = 0;
        loop {
            let here = self.offset(0);
            let key = match (self.peek(0), self.peek(1)) {
                (None, _) => return Node::Table(fields),
                (Some(Token::Close), _) => {
                    self.at += 1;
                    return Node::Table(fields);
                }
                (Some(Token::Other(b',' | b';')), _) => {
                    self.at += 1;
                    continue;
                }
                (Some(Token::Word(name)), Some(Token::Other(b'='))) if self.peek(2) != Some(Token::Other(b'=')) => {
                    self.at += 2;
                    Some((Key::Text(name), here))
                }
                (Some(Token::Open(b'[')), Some(inner)) => {
                    let at = self.offset(1);
                    let is_short = self.peek(2) == Some(Token::Close);
                    self.skip_bracket();
                    if self.peek(0) == Some(Token::Other(b'=')) {
                        self.at += 1;
                    }
                    match inner {
                        Token::Text(name) if is_short => Some((Key::Text(name), at)),
                        Token::Word(n) if is_short && n.bytes().all(|byte| byte.is_ascii_digit()) => {
                            Some((Key::Text(n), at))
                        }
                        _ => Some((Key::Any, at)),
                    }
                }
                _ => None,
            };
            let at = self.offset(0);
            let (key, key_at) = key.unwrap_or_else(|| {
                nth += 1;
                (Key::Nth(nth), at)
            });
            let value = self.lua_value(depth + 1);
            let value = if self.pass_rest_of_field() { value } else { Node::Other };
            fields.push(Field { key, spot: Spot { key: key_at, value: at }, value });
        }
    }

    /// Goes on to the `,`, `;` or bracket that ends a field; whether that stood here.
    fn pass_rest_of_field(&mut self) -> bool {
        let from = self.at;
        let mut blocks = 0_usize;
        loop {
            match self.peek(0) {
                None => break,
                Some(Token::Other(b',' | b';') | Token::Close) if blocks == 0 => break,
                Some(Token::Open(_)) => {
                    self.skip_bracket();
                    continue;
                }
                Some(Token::Word("function" | "do" | "if" | "repeat")) => blocks += 1,
                Some(Token::Word("end" | "until")) => blocks = blocks.saturating_sub(1),
                Some(_) => {}
            }
            self.at += 1;
        }
        // A text was not taken as a value: it is one token.
        self.at == from || (self.at == from + 1 && matches!(self.tokens.get(from), Some((Token::Text(_), _))))
    }
}

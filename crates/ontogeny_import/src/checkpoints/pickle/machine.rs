//! The machine: a stack, marks and a memo.

use super::{Description, Item, Node, Stumble};
use crate::checkpoints::flaw::Flaw;
use std::collections::BTreeMap;

/// Nodes of a description: a state with a million tensors has about so many.
const MAX_NODES: usize = 8 << 20;
/// Containers that are begun and not finished.
const MAX_MARKS: usize = 1 << 16;

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<Item>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: BTreeMap<u64, Item>,
}

/// Reads the description; what follows its end is left alone.
pub(crate) fn load(bytes: &[u8]) -> Result<Description, Stumble> {
    let mut machine = Machine {
        bytes,
        at: 0,
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: BTreeMap::new(),
    };
    loop {
        let at = machine.at;
        match machine.step() {
            Ok(None) => {}
            Ok(Some(root)) => return Ok(Description { nodes: machine.nodes, root }),
            Err(flaw) => return Err(Stumble { at, flaw }),
        }
    }
}

impl<'a> Machine<'a> {
    fn take(&mut self, n: u64) -> Result<&'a [u8], Flaw> {
        let left = &self.bytes[self.at..];
        let taken = usize::try_from(n).ok().and_then(|n| left.get(..n));
        let taken = taken.ok_or(Flaw::Truncated {
            from: self.at as u64,
            to: (self.at as u64).saturating_add(n),
            n_bytes: self.bytes.len() as u64,
        })?;
        self.at += taken.len();
        Ok(taken)
    }

    fn number(&mut self, n: u64) -> Result<u64, Flaw> {
        Ok(self.take(n)?.iter().rev().fold(0, |v, &b| v << 8 | u64::from(b)))
    }

    /// Bytes after their length, which takes `n` bytes.
    fn counted(&mut self, n: u64) -> Result<&'a [u8], Flaw> {
        let len = self.number(n)?;
        self.take(len)
    }

    /// Bytes up to the end of the line, without it.
    fn line(&mut self) -> Result<&'a [u8], Flaw> {
        let left = &self.bytes[self.at..];
        let n = memchr::memchr(b'\n', left).unwrap_or(left.len());
        let line = self.take(n as u64 + 1)?;
        Ok(&line[..n])
    }

    fn text_line(&mut self) -> Result<&'a str, Flaw> {
        std::str::from_utf8(self.line()?).or(Err(Flaw::Expected { what: "text" }))
    }

    fn push(&mut self, item: Item) -> Result<(), Flaw> {
        if self.stack.len() >= MAX_NODES {
            return Err(Flaw::TooMany { what: "values", limit: MAX_NODES });
        }
        self.stack.push(item);
        Ok(())
    }

    fn pop(&mut self) -> Result<Item, Flaw> {
        // What lies below a mark is not to be reached.
        if self.marks.last().is_some_and(|&mark| self.stack.len() <= mark) {
            return Err(Flaw::Stack);
        }
        self.stack.pop().ok_or(Flaw::Stack)
    }

    fn top(&self) -> Result<Item, Flaw> {
        self.stack.last().copied().ok_or(Flaw::Stack)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Item>, Flaw> {
        let mark = self.marks.pop().ok_or(Flaw::Stack)?;
        if mark > self.stack.len() {
            return Err(Flaw::Stack);
        }
        Ok(self.stack.split_off(mark))
    }

    fn add(&mut self, node: Node) -> Result<Item, Flaw> {
        if self.nodes.len() >= MAX_NODES {
            return Err(Flaw::TooMany { what: "values", limit: MAX_NODES });
        }
        self.nodes.push(node);
        Ok(Item::Node(self.nodes.len() as u32 - 1))
    }

    fn make(&mut self, node: Node) -> Result<(), Flaw> {
        let item = self.add(node)?;
        self.push(item)
    }

    /// Text that Python may have written with lone surrogates: those become replacement characters.
    fn make_text(&mut self, bytes: &[u8]) -> Result<(), Flaw> {
        self.make(Node::Text(String::from_utf8_lossy(bytes).into_owned()))
    }

    /// Strings of Python 2, which may be text or bytes.
    fn make_old_string(&mut self, bytes: &[u8]) -> Result<(), Flaw> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.make(Node::Text(text.to_owned())),
            Err(_) => self.make(Node::Bytes(bytes.to_vec())),
        }
    }

    /// A whole number of any length, two's complement: beyond 64 bits it is its digits as text.
    fn make_long(&mut self, bytes: &[u8]) -> Result<(), Flaw> {
        let is_negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
        if bytes.len() <= 8 {
            let start = if is_negative { -1_i64 } else { 0 };
            return self
                .push(Item::Int(bytes.iter().rev().fold(start, |v, &b| v << 8 | i64::from(b))));
        }
        let mut digits = if is_negative { "~0x" } else { "0x" }.to_owned();
        let flip = if is_negative { 0xff } else { 0 };
        for byte in bytes.iter().rev() {
            use std::fmt::Write;
            // Writing to a string does not fail.
            let _ = write!(digits, "{:02x}", byte ^ flip);
        }
        self.make(Node::Text(digits))
    }

    fn make_global(&mut self, module: &str, name: &str) -> Result<(), Flaw> {
        self.make(Node::Global { path: format!("{module}.{name}") })
    }

    fn make_call(&mut self, of: Item, given: Item) -> Result<(), Flaw> {
        self.make(Node::Call {
            of,
            given,
            state: Item::Nothing,
            sequence: Vec::new(),
            pairs: Vec::new(),
        })
    }

    fn extend(&mut self, into: Item, items: Vec<Item>) -> Result<(), Flaw> {
        let Item::Node(i) = into else { return Err(Flaw::Stack) };
        match self.nodes.get_mut(i as usize) {
            Some(Node::Sequence(all) | Node::Call { sequence: all, .. }) => all.extend(items),
            _ => return Err(Flaw::Stack),
        }
        Ok(())
    }

    fn extend_pairs(&mut self, into: Item, items: &[Item]) -> Result<(), Flaw> {
        let Item::Node(i) = into else { return Err(Flaw::Stack) };
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(Flaw::Stack);
        }
        let pairs = pairs.iter().map(|&[key, value]| (key, value));
        match self.nodes.get_mut(i as usize) {
            Some(Node::Pairs(all) | Node::Call { pairs: all, .. }) => all.extend(pairs),
            _ => return Err(Flaw::Stack),
        }
        Ok(())
    }

    fn remember(&mut self, key: u64) -> Result<(), Flaw> {
        let item = self.top()?;
        self.memo.insert(key, item);
        if self.memo.len() > MAX_NODES {
            return Err(Flaw::TooMany { what: "remembered values", limit: MAX_NODES });
        }
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Result<(), Flaw> {
        let item = self.memo.get(&key).copied().ok_or(Flaw::Stack)?;
        self.push(item)
    }

    /// One instruction; `Some` is the end.
    #[expect(clippy::too_many_lines, reason = "one line or two for each instruction")]
    fn step(&mut self) -> Result<Option<Item>, Flaw> {
        let code = self.number(1)? as u8;
        match code {
            b'.' => return self.pop().map(Some),
            0x80 => drop(self.take(1)?), // Protocol.
            0x95 => drop(self.take(8)?), // A frame.
            b'(' => {
                if self.marks.len() >= MAX_MARKS {
                    return Err(Flaw::TooMany { what: "marks", limit: MAX_MARKS });
                }
                self.marks.push(self.stack.len());
            }
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'2' => {
                let top = self.top()?;
                self.push(top)?;
            }

            b'N' => self.push(Item::Nothing)?,
            0x88 => self.push(Item::Bool(true))?,
            0x89 => self.push(Item::Bool(false))?,
            b'J' => {
                let n = self.number(4)? as u32;
                self.push(Item::Int(n.cast_signed().into()))?;
            }
            b'K' => {
                let n = self.number(1)?;
                self.push(Item::Int(n.cast_signed()))?;
            }
            b'M' => {
                let n = self.number(2)?;
                self.push(Item::Int(n.cast_signed()))?;
            }
            0x8a => {
                let bytes = self.counted(1)?;
                self.make_long(bytes)?;
            }
            0x8b => {
                let bytes = self.counted(4)?;
                self.make_long(bytes)?;
            }
            b'I' | b'L' => {
                let text = self.text_line()?.trim_end_matches('L');
                let item = match (code, text) {
                    (b'I', "00") => Some(Item::Bool(false)),
                    (b'I', "01") => Some(Item::Bool(true)),
                    _ => text.parse().ok().map(Item::Int),
                };
                match item {
                    Some(item) => self.push(item)?,
                    None => self.make(Node::Text(text.to_owned()))?,
                }
            }
            b'F' => {
                let number = self.text_line()?.parse().ok();
                self.push(Item::Float(number.ok_or(Flaw::Expected { what: "a number" })?))?;
            }
            b'G' => {
                let bits = self.number(8)?.swap_bytes();
                self.push(Item::Float(f64::from_bits(bits)))?;
            }

            b'S' => {
                let quoted = self.line()?;
                let text = match quoted {
                    [a, text @ .., b] if a == b && matches!(a, b'\'' | b'"') => text,
                    _ => return Err(Flaw::Expected { what: "a quoted string" }),
                };
                self.make_old_string(text)?;
            }
            b'T' => {
                let bytes = self.counted(4)?;
                self.make_old_string(bytes)?;
            }
            b'U' => {
                let bytes = self.counted(1)?;
                self.make_old_string(bytes)?;
            }
            b'V' => {
                let bytes = self.line()?;
                self.make_text(bytes)?;
            }
            b'X' => {
                let bytes = self.counted(4)?;
                self.make_text(bytes)?;
            }
            0x8c => {
                let bytes = self.counted(1)?;
                self.make_text(bytes)?;
            }
            0x8d => {
                let bytes = self.counted(8)?;
                self.make_text(bytes)?;
            }
            b'B' => {
                let bytes = self.counted(4)?.to_vec();
                self.make(Node::Bytes(bytes))?;
            }
            b'C' => {
                let bytes = self.counted(1)?.to_vec();
                self.make(Node::Bytes(bytes))?;
            }
            0x8e | 0x96 => {
                let bytes = self.counted(8)?.to_vec();
                self.make(Node::Bytes(bytes))?;
            }

            b')' | b']' | 0x8f => self.make(Node::Sequence(Vec::new()))?,
            b'}' => self.make(Node::Pairs(Vec::new()))?,
            b't' | b'l' | 0x91 => {
                let items = self.pop_to_mark()?;
                self.make(Node::Sequence(items))?;
            }
            0x85..=0x87 => {
                let mut items = Vec::new();
                for _ in 0x85..=code {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.make(Node::Sequence(items))?;
            }
            b'd' => {
                let items = self.pop_to_mark()?;
                self.make(Node::Pairs(Vec::new()))?;
                self.extend_pairs(self.top()?, &items)?;
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(self.top()?, vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.pop_to_mark()?;
                self.extend(self.top()?, items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.extend_pairs(self.top()?, &[key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.extend_pairs(self.top()?, &items)?;
            }

            b'c' => {
                let (module, name) = (self.text_line()?, self.text_line()?);
                self.make_global(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let text = |item| match item {
                    Item::Node(i) => match self.nodes.get(i as usize) {
                        Some(Node::Text(text)) => Ok(text.clone()),
                        _ => Err(Flaw::Stack),
                    },
                    _ => Err(Flaw::Stack),
                };
                let (module, name) = (text(module)?, text(name)?);
                // Texts can be named again and again for a few bytes.
                if module.len() + name.len() > 1_000 {
                    let (claimed, limit) = ((module.len() + name.len()) as u64, 1_000);
                    return Err(Flaw::Length { claimed, limit });
                }
                self.make_global(&module, &name)?;
            }
            b'R' | 0x81 => {
                let (given, of) = (self.pop()?, self.pop()?);
                self.make_call(of, given)?;
            }
            0x92 => {
                let (_, given, of) = (self.pop()?, self.pop()?, self.pop()?);
                self.make_call(of, given)?;
            }
            b'i' => {
                let (module, name) = (self.text_line()?, self.text_line()?);
                let items = self.pop_to_mark()?;
                let of = self.add(Node::Global { path: format!("{module}.{name}") })?;
                let given = self.add(Node::Sequence(items))?;
                self.make_call(of, given)?;
            }
            b'o' => {
                let mut items = self.pop_to_mark()?;
                if items.is_empty() {
                    return Err(Flaw::Stack);
                }
                let of = items.remove(0);
                let given = self.add(Node::Sequence(items))?;
                self.make_call(of, given)?;
            }
            b'b' => {
                let state = self.pop()?;
                let Item::Node(i) = self.top()? else { return Err(Flaw::Stack) };
                // What a dict or a list would get are attributes, such as `_metadata`: no data.
                if let Some(Node::Call { state: place, .. }) = self.nodes.get_mut(i as usize) {
                    *place = state;
                }
            }
            b'Q' => {
                let id = self.pop()?;
                self.make(Node::Outside(id))?;
            }

            b'p' | b'g' => {
                let key = self.text_line()?.parse().ok();
                let key = key.ok_or(Flaw::Expected { what: "a number" })?;
                if code == b'p' { self.remember(key) } else { self.recall(key) }?;
            }
            b'q' | b'r' => {
                let key = self.number(if code == b'q' { 1 } else { 4 })?;
                self.remember(key)?;
            }
            b'h' | b'j' => {
                let key = self.number(if code == b'h' { 1 } else { 4 })?;
                self.recall(key)?;
            }
            0x94 => self.remember(self.memo.len() as u64)?,

            // Registered extensions, text ids, buffers outside: nothing that tensors need.
            _ => return Err(Flaw::Opcode { code }),
        }
        Ok(None)
    }
}

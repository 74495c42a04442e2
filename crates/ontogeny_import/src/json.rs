//! JSON as it is found in the wild, read as a stream.
//!
//! Python writes `NaN`, `Infinity` and `-Infinity`, which JSON does not know and logs of diverged runs are full
//! of. Files may be larger than memory, so values are taken one by one and what is not wanted is skipped.

use crate::source::Source;
use crate::{ImportError, Problem};
use serde_json::{Map, Number, Value};

/// Levels of nesting.
const MAX_DEPTH: usize = 100;
/// Bytes of a string or number that is kept.
const MAX_TEXT: usize = 1 << 20;
/// Values of a tree that is kept.
const MAX_NODES: usize = 200_000;

/// Bytes to parse.
pub(crate) trait Bytes {
    /// The next byte without taking it; `None` at the end.
    fn peek(&mut self) -> Result<Option<u8>, ImportError>;
    /// Takes the byte that was peeked.
    fn bump(&mut self);
    /// Where the next byte is, from the place where these bytes begin.
    fn offset(&self) -> u64;
}

impl Bytes for &mut Source {
    fn peek(&mut self) -> Result<Option<u8>, ImportError> {
        if self.window().is_empty() {
            return Ok(Source::peek(self, 1)?.first().copied());
        }
        Ok(self.window().first().copied())
    }

    fn bump(&mut self) {
        self.consume(1);
    }

    fn offset(&self) -> u64 {
        Source::offset(self)
    }
}

/// Bytes in memory.
#[derive(Debug)]
pub(crate) struct Slice<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bytes for Slice<'_> {
    fn peek(&mut self) -> Result<Option<u8>, ImportError> {
        Ok(self.bytes.get(self.at).copied())
    }

    fn bump(&mut self) {
        self.at += 1;
    }

    fn offset(&self) -> u64 {
        self.at as u64
    }
}

/// Why a value could not be had.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The text is not JSON, at this place.
    Bad { offset: u64, problem: Problem },
    /// The bytes could not be had.
    Import(ImportError),
}

impl From<ImportError> for Fault {
    fn from(e: ImportError) -> Self {
        Self::Import(e)
    }
}

/// What comes next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    /// An object begins: ask for keys.
    Object,
    /// An array begins: ask for items.
    Array,
    /// A string.
    Text(String),
    /// A number, with the text it was written as.
    Number(f64),
    /// A truth value.
    Bool(bool),
    /// Nothing.
    Null,
}

impl Token {
    /// The number that this is, also if it is one of the words that some writers quote.
    pub(crate) fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(v) => Some(*v),
            Self::Text(t) => match t.as_str() {
                "NaN" | "nan" => Some(f64::NAN),
                "Infinity" | "inf" => Some(f64::INFINITY),
                "-Infinity" | "-inf" => Some(f64::NEG_INFINITY),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A parser that is asked for one thing after another.
#[derive(Debug)]
pub(crate) struct Json<B> {
    bytes: B,
    /// For every open container: whether it still waits for its first entry.
    open: Vec<bool>,
}

impl<'a> Json<Slice<'a>> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes: Slice { bytes, at: 0 }, open: Vec::new() }
    }
}

impl<B: Bytes> Json<B> {
    pub(crate) fn new(bytes: B) -> Self {
        Self { bytes, open: Vec::new() }
    }

    pub(crate) fn offset(&self) -> u64 {
        self.bytes.offset()
    }

    fn bad<T>(&self, what: &'static str) -> Result<T, Fault> {
        Err(Fault::Bad { offset: self.bytes.offset(), problem: Problem::Json { what } })
    }

    /// The next byte that is no blank, without taking it.
    fn next(&mut self) -> Result<u8, Fault> {
        loop {
            match self.bytes.peek()? {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.bytes.bump(),
                Some(b) => return Ok(b),
                None => {
                    let offset = self.bytes.offset();
                    return Err(Fault::Bad { offset, problem: Problem::Truncated });
                }
            }
        }
    }

    /// Whether nothing but blanks is left.
    pub(crate) fn is_over(&mut self) -> Result<bool, Fault> {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.bytes.peek()? {
            self.bytes.bump();
        }
        Ok(self.bytes.peek()?.is_none())
    }

    /// The next value; of an object or array only its beginning.
    pub(crate) fn value(&mut self) -> Result<Token, Fault> {
        match self.next()? {
            open @ (b'{' | b'[') => {
                if self.open.len() >= MAX_DEPTH {
                    return self.bad("nested too deeply");
                }
                self.bytes.bump();
                self.open.push(true);
                Ok(if open == b'{' { Token::Object } else { Token::Array })
            }
            b'"' => Ok(Token::Text(self.string(true)?)),
            b'-' | b'0'..=b'9' | b'N' | b'I' => self.number().map(|(v, _)| Token::Number(v)),
            b't' => self.word("true", Token::Bool(true)),
            b'f' => self.word("false", Token::Bool(false)),
            b'n' => self.word("null", Token::Null),
            _ => self.bad("expected a value"),
        }
    }

    /// The next key of the innermost object; `None` and out of it at its end.
    pub(crate) fn key(&mut self) -> Result<Option<String>, Fault> {
        if !self.goes_on(b'}')? {
            return Ok(None);
        }
        if self.next()? != b'"' {
            return self.bad("expected a key in quotes");
        }
        let key = self.string(true)?;
        if self.next()? != b':' {
            return self.bad("expected a colon after a key");
        }
        self.bytes.bump();
        Ok(Some(key))
    }

    /// Whether the innermost array has another item; out of it at its end.
    pub(crate) fn item(&mut self) -> Result<bool, Fault> {
        self.goes_on(b']')
    }

    fn goes_on(&mut self, end: u8) -> Result<bool, Fault> {
        let next = self.next()?;
        let is_first = self.open.last_mut().is_some_and(std::mem::take);
        if next == end {
            self.bytes.bump();
            self.open.pop();
            return Ok(false);
        }
        if !is_first {
            if next != b',' {
                return self.bad("expected a comma or the end of a list");
            }
            self.bytes.bump();
        }
        Ok(true)
    }

    /// Passes over the rest of a value whose beginning was `token`.
    pub(crate) fn skip(&mut self, token: &Token) -> Result<(), Fault> {
        match token {
            Token::Object => {
                while self.key()?.is_some() {
                    self.skip_value()?;
                }
            }
            Token::Array => {
                while self.item()? {
                    self.skip_value()?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Passes over a value.
    pub(crate) fn skip_value(&mut self) -> Result<(), Fault> {
        if self.next()? == b'"' {
            return self.string(false).map(drop);
        }
        let token = self.value()?;
        self.skip(&token)
    }

    /// A whole value as a tree; what JSON cannot say becomes text.
    pub(crate) fn tree(&mut self) -> Result<Value, Fault> {
        let mut left = MAX_NODES;
        self.subtree(&mut left)
    }

    fn subtree(&mut self, left: &mut usize) -> Result<Value, Fault> {
        let Some(fewer) = left.checked_sub(1) else {
            return self.bad("too many values");
        };
        *left = fewer;
        if matches!(self.next()?, b'-' | b'0'..=b'9' | b'N' | b'I') {
            let (value, text) = self.number()?;
            return Ok(exact_number(value, &text));
        }
        Ok(match self.value()? {
            Token::Object => {
                let mut map = Map::new();
                while let Some(key) = self.key()? {
                    map.insert(key, self.subtree(left)?);
                }
                Value::Object(map)
            }
            Token::Array => {
                let mut items = Vec::new();
                while self.item()? {
                    items.push(self.subtree(left)?);
                }
                Value::Array(items)
            }
            Token::Text(text) => Value::String(text),
            Token::Number(v) => exact_number(v, ""),
            Token::Bool(b) => Value::Bool(b),
            Token::Null => Value::Null,
        })
    }

    fn word(&mut self, word: &'static str, token: Token) -> Result<Token, Fault> {
        for &b in word.as_bytes() {
            if self.bytes.peek()? != Some(b) {
                return self.bad("expected true, false or null");
            }
            self.bytes.bump();
        }
        Ok(token)
    }

    fn number(&mut self) -> Result<(f64, String), Fault> {
        let mut text = String::new();
        while let Some(b @ (b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z')) =
            self.bytes.peek()?
        {
            if text.len() >= 400 {
                return self.bad("a number without end");
            }
            text.push(char::from(b));
            self.bytes.bump();
        }
        // The words of Python and JavaScript, and nothing else that Rust would take for a number.
        let is_word = matches!(text.as_str(), "NaN" | "Infinity" | "-Infinity");
        let is_plain = text.bytes().all(|b| !b.is_ascii_alphabetic() || matches!(b, b'e' | b'E'));
        match text.parse() {
            Ok(v) if is_word || is_plain => Ok((v, text)),
            _ => self.bad("expected a number"),
        }
    }

    /// A string; if it is not wanted, only its end is looked for.
    fn string(&mut self, wanted: bool) -> Result<String, Fault> {
        self.bytes.bump();
        let mut text = Vec::new();
        loop {
            let Some(b) = self.bytes.peek()? else {
                let offset = self.bytes.offset();
                return Err(Fault::Bad { offset, problem: Problem::Truncated });
            };
            self.bytes.bump();
            match b {
                b'"' => break,
                b'\\' => {
                    let escaped = self.escape()?;
                    let mut utf8 = [0; 4];
                    text.extend_from_slice(escaped.encode_utf8(&mut utf8).as_bytes());
                }
                b => text.push(b),
            }
            if !wanted {
                text.clear();
            } else if text.len() > MAX_TEXT {
                return self.bad("a string without end");
            }
        }
        let offset = self.bytes.offset();
        let not_text = |_ignored| Fault::Bad { offset, problem: Problem::NotText };
        String::from_utf8(text).map_err(not_text)
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let Some(b) = self.bytes.peek()? else { return self.bad("expected an escape") };
        self.bytes.bump();
        Ok(match b {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => {
                let high = self.hex4()?;
                if !(0xd800..0xdc00).contains(&high) {
                    return Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                if self.bytes.peek()? != Some(b'\\') {
                    return Ok(char::REPLACEMENT_CHARACTER);
                }
                self.bytes.bump();
                if self.bytes.peek()? != Some(b'u') {
                    return self.bad("expected the second half of a character");
                }
                self.bytes.bump();
                let low = self.hex4()?.wrapping_sub(0xdc00) & 0x3ff;
                let code = 0x10000 + ((high - 0xd800) << 10) + low;
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            other if other.is_ascii() => char::from(other),
            _ => return self.bad("expected an escape"),
        })
    }

    fn hex4(&mut self) -> Result<u32, Fault> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.bytes.peek()?.and_then(|b| char::from(b).to_digit(16));
            let Some(digit) = digit else { return self.bad("expected four hexadecimal digits") };
            self.bytes.bump();
            code = code * 16 + digit;
        }
        Ok(code)
    }
}

/// Whole numbers stay whole; what JSON cannot say becomes text.
fn exact_number(value: f64, text: &str) -> Value {
    if let Ok(n) = text.parse::<i64>() {
        return n.into();
    }
    if let Ok(n) = text.parse::<u64>() {
        return n.into();
    }
    Number::from_f64(value).map_or_else(|| Value::String(value.to_string()), Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&Value>) {
        let tree = Json::of(text.as_bytes()).tree().ok();
        assert_eq!(tree.as_ref(), expected, "{text}");
    }

    #[test]
    fn reads_what_serde_reads_and_the_words_of_python() {
        for text in [
            r#"{"a": [1, 2.5, -3e-7], "b": {"c": null}, "d": "x\n\u00e9\ud83d\ude00\\"}"#,
            "[]",
            "{}",
            "  true ",
            "18446744073709551615",
        ] {
            check(text, serde_json::from_str(text).ok().as_ref());
        }
        check("[NaN, -Infinity]", Some(&serde_json::json!(["NaN", "-inf"])));
        for bad in ["", "{", "[1", "[1 2]", "{\"a\" 1}", "tru", "nan", "inf", "1e", "\"x", "\u{1}"]
        {
            check(bad, None);
        }
        check(&"[".repeat(200), None);
    }

    #[test]
    fn skipping_leaves_the_parser_behind_the_value() {
        let mut json = Json::of(br#"{"a": {"x": [1, {"y": "}"}]}, "b": 7}"#);
        assert_eq!(json.value().unwrap(), Token::Object);
        assert_eq!(json.key().unwrap().unwrap(), "a");
        json.skip_value().unwrap();
        assert_eq!(json.key().unwrap().unwrap(), "b");
        assert_eq!(json.value().unwrap(), Token::Number(7.0));
        assert_eq!(json.key().unwrap(), None);
        assert!(json.is_over().unwrap());
    }
}

//! Pickles as data: a machine that builds a description of what a pickle would make, and calls nothing.
//!
//! Whatever Python would call becomes a [`Node::Call`] with the name and what it was given; who reads the description
//! decides what a few well-known names mean (`interpret.rs`), and the rest is told and left out. Memory is in
//! proportion to the length of the pickle: every instruction adds at most one node.
//! Source: CPython's `pickletools.py`, protocols 0 to 5.

mod interpret;
mod machine;

pub(crate) use interpret::{Array, Interpreter, Stored, View};
pub(crate) use machine::load;

use super::flaw::Flaw;

/// Something in a description.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Item {
    /// `None`.
    Nothing,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Number of a node.
    Node(u32),
}

/// What has parts or a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A tuple, list or set.
    Sequence(Vec<Item>),
    /// A dict, in order.
    Pairs(Vec<(Item, Item)>),
    /// Something that is found by its name.
    Global {
        /// Module, a dot, name.
        path: String,
    },
    /// Something that would be made by a call.
    Call {
        /// What would be called.
        of: Item,
        /// With what.
        given: Item,
        /// What its state would be set to.
        state: Item,
        /// What would be put into it.
        sequence: Vec<Item>,
        /// What would be put into it under keys.
        pairs: Vec<(Item, Item)>,
    },
    /// Something that lies outside the pickle, by its description.
    Outside(Item),
}

/// The description of a pickle.
#[derive(Debug)]
pub(crate) struct Description {
    nodes: Vec<Node>,
    root: Item,
}

impl Description {
    /// What the pickle makes.
    pub(crate) fn root(&self) -> Item {
        self.root
    }

    fn node(&self, item: Item) -> Option<&Node> {
        match item {
            Item::Node(i) => self.nodes.get(i as usize),
            _ => None,
        }
    }

    fn text(&self, item: Item) -> Option<&str> {
        match self.node(item)? {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    fn global(&self, item: Item) -> Option<&str> {
        match self.node(item)? {
            Node::Global { path } => Some(path),
            _ => None,
        }
    }

    fn sequence(&self, item: Item) -> Option<&[Item]> {
        match self.node(item)? {
            Node::Sequence(items) => Some(items),
            _ => None,
        }
    }
}

/// Why a pickle cannot be described, and where.
#[derive(Debug)]
pub(crate) struct Stumble {
    /// Byte of the instruction.
    pub(crate) at: usize,
    pub(crate) flaw: Flaw,
}

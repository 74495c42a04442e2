//! Named activations, handed out when somebody asks.

use std::{collections::BTreeMap, rc::Rc};

use crate::{
    Table, Var,
    host::{Buffer, Real, Slot, Tape},
    var::dispatch,
};

/// What a forward pass leaves behind for probes.
///
/// A network offers its activations by name; nothing is copied unless the name is wanted, so a network
/// with many taps trains as fast as one with none.
#[derive(Debug, Default)]
pub struct Taps {
    wanted: Vec<String>,
    /// Set if gradients are wanted instead of values.
    tape: Option<Rc<Tape>>,
    tables: BTreeMap<String, Table>,
    watched: Vec<(String, Var<2>)>,
}

impl Taps {
    /// Taps that want nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Taps that want the given names.
    pub fn wanting<S: AsRef<str>>(names: &[S]) -> Self {
        let wanted = names.iter().map(|n| n.as_ref().to_owned()).collect();
        Self { wanted, ..Self::default() }
    }

    pub(crate) fn wanting_gradients<S: AsRef<str>>(names: &[S], tape: Rc<Tape>) -> Self {
        Self { tape: Some(tape), ..Self::wanting(names) }
    }

    /// Whether anybody asked for the values of `name`: lets a network skip work that only a probe needs.
    pub fn wants(&self, name: &str) -> bool {
        self.tape.is_none() && self.wanted.iter().any(|w| w == name)
    }

    /// Offers an activation.
    pub fn put(&mut self, name: &str, x: &Var<2>) {
        if self.wants(name) {
            self.tables.insert(name.to_owned(), x.to_table());
        }
    }

    /// Offers numbers that are on the host already, such as an attention pattern.
    pub fn put_table(&mut self, name: &str, table: Table) {
        if self.wants(name) {
            self.tables.insert(name.to_owned(), table);
        }
    }

    /// Offers an activation and returns it for the rest of the forward pass, so that its gradient can be
    /// asked for as well (`h = taps.pass("resid", h)`). Values are unchanged.
    #[must_use]
    pub fn pass(&mut self, name: &str, x: Var<2>) -> Var<2> {
        match &self.tape {
            Some(tape) if self.wanted.iter().any(|w| w == name) => {
                // A leaf of zeros added to an activation has the activation's gradient.
                let leaf = dispatch!(x,
                    slot => Var::host(zeros(slot, tape), x.dims),
                    tensor => Var::of(tensor.zeros_like().without_autodiff().autodiff().require_grad()));
                self.watched.push((name.to_owned(), leaf.clone()));
                x.add(&leaf)
            }
            _ => {
                self.put(name, &x);
                x
            }
        }
    }

    pub(crate) fn into_tables(self) -> BTreeMap<String, Table> {
        self.tables
    }

    pub(crate) fn into_watched(self) -> Vec<(String, Var<2>)> {
        self.watched
    }
}

fn zeros<S: Real>(like: &Slot<S>, tape: &Rc<Tape>) -> Rc<Slot<S>> {
    Slot::leaf(Buffer::zeros(like.len()), tape)
}

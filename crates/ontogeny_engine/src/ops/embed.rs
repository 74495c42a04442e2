//! Table lookup.

use crate::Var;

/// Rows `ids` of `table [n_vocab, d]`: `[ids.len(), d]`. The gradient adds up over repeated ids, in order.
///
/// # Panics
/// If an id is outside the table.
pub fn embed(table: &Var<2>, ids: &[u32]) -> Var<2> {
    let [n_vocab, _] = table.dims();
    if let Some(id) = ids.iter().find(|&&id| id as usize >= n_vocab) {
        panic!("token id {id} is outside a vocabulary of {n_vocab}");
    }
    Var::of(table.tensor.clone().select(0, table.ints(ids)))
}

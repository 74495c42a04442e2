//! Table lookup.

use std::rc::Rc;

use crate::{
    Var,
    host::{Buffer, Real, Slot, simd},
    var::dispatch,
};

/// Rows `ids` of `table [n_vocab, d]`: `[ids.len(), d]`. The gradient adds up over repeated ids, in order.
///
/// # Panics
/// If an id is outside the table.
pub fn embed(table: &Var<2>, ids: &[u32]) -> Var<2> {
    let [n_vocab, d] = table.dims;
    if let Some(id) = ids.iter().find(|&&id| id as usize >= n_vocab) {
        panic!("token id {id} is outside a vocabulary of {n_vocab}");
    }
    dispatch!(table,
        x => Var::host(gather(x, ids, d), [ids.len(), d]),
        x => Var::of(x.clone().select(0, crate::var::ints(x, ids))))
}

fn gather<S: Real>(table: &Rc<Slot<S>>, ids: &[u32], d: usize) -> Rc<Slot<S>> {
    let mut out = Buffer::stale(ids.len() * d);
    if d > 0 {
        for (row, &id) in out.chunks_exact_mut(d).zip(ids) {
            row.copy_from_slice(&table.value()[id as usize * d..][..d]);
        }
    }
    let ids = if table.is_tracked() { ids.to_vec() } else { Vec::new() };
    Slot::result(out, [table], move |[table], _, dy| {
        table.contribute(|dt, is_sum| {
            if !is_sum {
                dt.fill(S::ZERO);
            }
            for (row, &id) in dy.chunks_exact(d).zip(&ids) {
                simd::add(&mut dt[id as usize * d..][..d], row);
            }
        });
    })
}

//! Any sequence of appends, syncs, seals, cuts and reopenings leaves what a map in memory would hold.

use crate::support::{manifest, run_id, scratch};
use ontogeny_core::{Clocks, Step};
use ontogeny_store::{TensorReading, TensorValues};
use proptest::prelude::*;
use std::collections::BTreeMap;

const NAMES: [(&str, &str); 4] = [("a", "1"), ("b.c", "nats"), ("ä", "°"), ("d", "1")];

#[derive(Debug, Clone)]
enum Op {
    Append { step: u64, rows: Vec<(usize, u64)> },
    Tensor { step: u64, name: usize, bits: Vec<u64>, double: bool },
    Sync,
    Seal,
    Reopen,
    Cut { step: u64 },
}

/// Bits of floats, with the special ones often: zeros of both signs, infinities, NaN with a payload.
fn bits() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        proptest::sample::select(vec![
            0,
            1 << 63,
            f64::INFINITY.to_bits(),
            f64::NEG_INFINITY.to_bits(),
            f64::NAN.to_bits() | 0xBEEF,
            0x7FF0_0000_0000_0001,
            0xFFF8_0000_0000_0000,
        ]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let rows = proptest::collection::vec((0..NAMES.len(), bits()), 0..5);
    let values = proptest::collection::vec(bits(), 0..6);
    prop_oneof![
        6 => (0..30_u64, rows).prop_map(|(step, rows)| Op::Append { step, rows }),
        3 => (0..30_u64, 0..NAMES.len(), values, any::<bool>())
            .prop_map(|(step, name, bits, double)| Op::Tensor { step, name, bits, double }),
        1 => Just(Op::Sync),
        2 => Just(Op::Seal),
        1 => Just(Op::Reopen),
        1 => (0..30_u64).prop_map(|step| Op::Cut { step }),
    ]
}

fn f32_of(bits: u64) -> f32 {
    f32::from_bits(bits as u32)
}

fn tensor_bits(reading: &TensorReading) -> (bool, Vec<u64>) {
    match &reading.values {
        TensorValues::F32(v) => (false, v.iter().map(|x| u64::from(x.to_bits())).collect()),
        TensorValues::F64(v) => (true, v.iter().map(|x| x.to_bits()).collect()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_run_holds_what_a_map_would_hold(ops in proptest::collection::vec(op(), 1..40)) {
        let (_dir, store) = scratch();
        let mut w = store.create_run(&manifest("r")).unwrap();
        let mut rows: BTreeMap<(&str, u64), u64> = BTreeMap::new();
        let mut tensors: BTreeMap<(&str, u64), (bool, Vec<u64>)> = BTreeMap::new();
        for op in ops {
            match op {
                Op::Append { step, rows: new } => {
                    let new: Vec<_> = new.iter().map(|&(i, b)| (NAMES[i].0, NAMES[i].1, f64::from_bits(b))).collect();
                    let clocks = Clocks { n_examples: step * 2, lr_time: -0.0, ..Clocks::default() };
                    w.append(Step(step), clocks, &new).unwrap();
                    rows.extend(new.iter().map(|&(name, _, v)| ((name, step), v.to_bits())));
                }
                Op::Tensor { step, name, bits, double } => {
                    let (name, unit) = NAMES[name];
                    let shape = [1, bits.len()];
                    if double {
                        let v: Vec<f64> = bits.iter().map(|&b| f64::from_bits(b)).collect();
                        w.append_tensor_f64(Step(step), name, unit, &shape, &v).unwrap();
                    } else {
                        let v: Vec<f32> = bits.iter().map(|&b| f32_of(b)).collect();
                        w.append_tensor(Step(step), name, unit, &shape, &v).unwrap();
                    }
                    let bits = if double { bits } else { bits.iter().map(|b| b & 0xFFFF_FFFF).collect() };
                    tensors.insert((name, step), (double && !bits.is_empty(), bits));
                }
                Op::Sync => w.sync().unwrap(),
                Op::Seal => w.seal().unwrap(),
                Op::Reopen => {
                    drop(w);
                    w = store.resume_run(&run_id("r")).unwrap();
                    prop_assert!(w.torn_tails().is_empty());
                }
                Op::Cut { step } => {
                    w.truncate_after(Step(step)).unwrap();
                    rows.retain(|k, _| k.1 <= step);
                    tensors.retain(|k, _| k.1 <= step);
                }
            }
        }
        w.flush().unwrap();
        let r = store.run(&run_id("r")).unwrap();
        let mut found = BTreeMap::new();
        for (name, series) in r.all_series().unwrap() {
            let unit = NAMES.iter().find(|n| n.0 == name).map(|n| n.1);
            prop_assert_eq!(Some(series.unit.as_str()), unit);
            prop_assert!(series.points.windows(2).all(|w| w[0].step < w[1].step));
            found.extend(series.points.iter().map(|p| ((name.as_str(), p.step.0), p.value.to_bits())));
        }
        prop_assert_eq!(found, rows);
        for (step, clocks) in r.clocks().unwrap() {
            prop_assert_eq!((clocks.n_examples, clocks.lr_time.to_bits()), (step.0 * 2, (-0.0_f64).to_bits()));
        }
        let names = r.tensor_names().unwrap();
        let mut found = BTreeMap::new();
        for name in &names {
            for reading in r.tensor(name).unwrap() {
                let (double, bits) = tensor_bits(reading);
                prop_assert_eq!(&reading.shape, &[1, bits.len()]);
                found.insert((name.as_str(), reading.step.0), (double && !bits.is_empty(), bits));
            }
        }
        prop_assert_eq!(found, tensors);
        prop_assert!(store.verify().unwrap().is_whole());
    }
}

//! Everything that is written is read back, bit for bit.

mod support;

use ontogeny_core::{Clocks, Step};
use ontogeny_store::{OwnedTensor, Store, TensorValues};
use support::{manifest, run_id, scratch};

#[test]
fn a_run_comes_back_from_log_and_segments() {
    let (_dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    for t in 0..100 {
        let clocks = Clocks { n_examples: t * 8, flop: t as f64, lr_time: 0.5, wall_secs: 1.0 };
        w.append(
            Step(t),
            clocks,
            &[("train.loss", "nats", 1.0 / t as f64), ("acc", "1", f64::NAN)],
        )
        .unwrap();
        if t % 10 == 0 {
            w.append_tensor(Step(t), "spectrum", "1", &[2, 3], &[t as f32; 6]).unwrap();
            w.append_tensor_f64(Step(t), "wide", "1", &[3], &[t as f64; 3]).unwrap();
        }
        if t == 50 {
            w.seal().unwrap();
        }
    }
    w.sync().unwrap();
    let r = store.run(&run_id("r")).unwrap();
    assert_eq!(r.series_names().unwrap(), ["acc", "train.loss"]);
    let s = r.series("train.loss").unwrap().unwrap();
    assert_eq!(
        (s.points.len(), s.points[0].value, s.points[99].value),
        (100, f64::INFINITY, 1.0 / 99.0)
    );
    assert_eq!(r.clocks().unwrap()[&Step(7)].n_examples, 56);
    let t = r.tensor("spectrum").unwrap();
    assert_eq!((t.len(), t[9].step, t[9].shape.clone()), (10, Step(90), vec![2, 3]));
    assert_eq!(r.tensor("wide").unwrap()[8].values, TensorValues::F64(vec![80.0; 3]));
}

#[test]
fn a_checkpoint_comes_back_and_equal_chunks_are_stored_once() {
    let (_dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    let big: Vec<f32> = (0..700_000).map(|i| (i as f32).sin()).collect();
    let tensors = [
        OwnedTensor::from_f32("a", &[3], &[1.0, f32::NAN, -0.0]),
        OwnedTensor::from_f32("big", &[700, 1000], &big),
        OwnedTensor::from_f32("empty", &[0, 4], &[]),
        OwnedTensor::from_f32("scalar", &[], &[7.0]),
    ];
    let views: Vec<_> = tensors.iter().map(OwnedTensor::view).collect();
    let extra = serde_json::json!({"cursor": 17, "lr": 0.1});
    let first = w.checkpoint(Step(10), &views, extra.clone()).unwrap();
    assert_eq!((first.n_chunks, first.n_new_chunks), (4, 4));
    let second = w.checkpoint(Step(20), &views, extra.clone()).unwrap();
    assert_eq!((second.n_new_chunks, second.stored_bytes), (0, 0));
    assert_eq!(first.state_hash, second.state_hash);
    let r = store.run(&run_id("r")).unwrap();
    assert_eq!(r.checkpoints().unwrap(), [Step(10), Step(20)]);
    let c = r.checkpoint(Step(20)).unwrap();
    assert_eq!(
        (c.tensors.as_slice(), c.extra, c.state_hash),
        (&tensors[..], extra, first.state_hash)
    );
}

#[test]
fn a_store_is_reopened() {
    let (dir, store) = scratch();
    drop(store.create_run(&manifest("r")).unwrap());
    assert_eq!(Store::open(dir.path()).unwrap().runs().unwrap().runs, [manifest("r")]);
}

//! What a checkpoint holds and takes is told without its numbers.

use crate::support::{manifest, message, run_id, scratch};
use ontogeny_core::Step;
use ontogeny_store::{Dtype, OwnedTensor, TensorView, state_hash};
use serde_json::json;

#[test]
fn a_summary_tells_what_is_there_and_what_it_takes() {
    let (_dir, store) = scratch();
    let mut writer = store.create_run(&manifest("a")).unwrap();
    // One tensor with chunks of its own, which stays, and a small one, which changes.
    let large = OwnedTensor::from_f32("large", &[1 << 17], &vec![0.5; 1 << 17]);
    for step in [0_u8, 10] {
        let small = OwnedTensor::from_f32("small", &[2], &[f32::from(step), 1.0]);
        let views: Vec<TensorView<'_>> = [&large, &small].map(OwnedTensor::view).into();
        let info = writer.checkpoint(Step(step.into()), &views, json!({ "t": step })).unwrap();
        let reader = store.run(&run_id("a")).unwrap();
        let summary = reader.checkpoint_summary(Step(step.into())).unwrap();
        assert_eq!((summary.raw_bytes, summary.n_chunks), (info.raw_bytes, info.n_chunks));
        assert_eq!(
            (&summary.state_hash, &summary.state_hash),
            (&info.state_hash, &state_hash(&views))
        );
        assert_eq!(summary.extra, json!({ "t": step }));
        let told: Vec<(&str, Dtype, u64)> =
            summary.tensors.iter().map(|t| (t.name.as_str(), t.dtype, t.raw_bytes)).collect();
        assert_eq!(told, [("large", Dtype::F32, 1 << 19), ("small", Dtype::F32, 8)]);
    }
    let reader = store.run(&run_id("a")).unwrap();
    let [first, second] = [0, 10].map(|s| reader.checkpoint_summary(Step(s)).unwrap());
    let on_disk: u64 = second
        .chunks
        .keys()
        .map(|c| store.path().join("objects").join(&c[..2]).join(c).metadata().unwrap().len())
        .sum();
    assert_eq!(second.stored_bytes(), on_disk);
    let shared = first.chunks.keys().filter(|c| second.chunks.contains_key(*c)).count();
    assert!(shared > 0 && shared < second.n_chunks, "{shared} of {}", second.n_chunks);

    // A chunk that is gone is counted, and has no size.
    let gone = second.chunks.keys().next().unwrap();
    std::fs::remove_file(store.path().join("objects").join(&gone[..2]).join(gone)).unwrap();
    let damaged = reader.checkpoint_summary(Step(10)).unwrap();
    assert_eq!(damaged.n_chunks - damaged.chunks.len(), 1);
    insta::assert_snapshot!(
        message(reader.checkpoint_summary(Step(5)), &store),
        @"find a checkpoint of run a at step 5: there is none, the nearest are at 0 and 10"
    );
}

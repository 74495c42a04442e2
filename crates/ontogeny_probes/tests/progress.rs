//! The progress measures on networks whose answer is known.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail like the test")]

mod hand_made;

use hand_made::HandMade;
use ontogeny_probes::{ProbeSet, Readings};

fn measure(network: &HandMade) -> Readings {
    let mut readings = Readings::new();
    let mut probes = ProbeSet::named(["set_loss", "key_frequencies", "progress_measures"]).unwrap();
    probes.measure(&network.observe(0), &mut readings);
    assert_eq!(readings.reasons, []);
    readings
}

#[track_caller]
fn near(readings: &Readings, name: &str, expected: f64, tolerance: f64) {
    let found = readings.scalar(name).unwrap();
    assert!((found - expected).abs() <= tolerance, "{name} is {found}, not {expected}");
}

#[test]
fn the_restricted_loss_of_a_sum_of_cosines_is_its_full_loss_and_the_excluded_loss_is_that_of_guessing()
 {
    for (p, keys, scale) in [
        (3, vec![1], 2.0),
        (13, vec![2, 5], 3.0),
        (31, vec![1, 6, 14], 8.0),
        (53, vec![3, 14, 15, 26], 15.0),
    ] {
        let r = measure(&HandMade::new(p, 8, 40, &keys, scale, 0.0));
        assert_eq!(r.scalar("keys.by_neurons.n"), Some(keys.len() as f64));
        for part in ["train", "test"] {
            let full = r.scalar(&format!("{part}.loss")).unwrap();
            near(&r, &format!("restricted.{part}.loss"), full, 1e-6);
        }
        near(&r, "restricted.all.loss", r.scalar("grid.loss").unwrap(), 1e-6);
        near(&r, "excluded.train.loss", (p as f64).ln(), 1e-6);
        near(&r, "logits.trig_share", 1.0, 1e-6);
        near(&r, "logits.trig_share_all", 1.0, 1e-6);
        let by_frequency = r.vector("excluded.by_frequency").unwrap();
        let amplitudes = r.vector("logits.trig_amplitude").unwrap();
        let full = r.scalar("train.loss").unwrap();
        for k in 1..=p / 2 {
            let is_key = keys.contains(&k);
            let (loss, amplitude) = (f64::from(by_frequency[k - 1]), f64::from(amplitudes[k - 1]));
            assert_eq!(loss > 1.5 * full, is_key, "{loss} without {k}, {full} in full");
            assert!((amplitude - if is_key { scale } else { 0.0 }).abs() < 1e-5);
        }
    }
}

/// Everything again in the plainest way: project the table on two vectors over pairs, and take losses.
#[test]
fn the_fast_formulas_agree_with_projections_of_the_whole_table() {
    let (p, keys) = (11, [2, 4]);
    let network = HandMade::new(p, 4, 20, &keys, 2.0, 0.7);
    let r = measure(&network);
    assert_eq!(r.scalar("keys.by_neurons.n"), Some(0.0), "the noise hides the clusters");
    let logits: Vec<f64> = network.logits.iter().map(|&l| f64::from(l)).collect();
    let projected = |k: usize| {
        let mut out = vec![0.0; logits.len()];
        for wave in [f64::cos, f64::sin] {
            let unit: Vec<f64> = (0..p * p)
                .map(|i| {
                    let angle = std::f64::consts::TAU * (k * (i / p + i % p)) as f64 / p as f64;
                    wave(angle) * (2.0 / (p * p) as f64).sqrt()
                })
                .collect();
            for c in 0..p {
                let inner: f64 = (0..p * p).map(|i| unit[i] * logits[i * p + c]).sum();
                (0..p * p).for_each(|i| out[i * p + c] += unit[i] * inner);
            }
        }
        out
    };
    let loss = |table: &[f64], of: &dyn Fn(usize) -> bool| {
        let pairs: Vec<usize> = (0..p * p).filter(|&i| of(i)).collect();
        let sum: f64 = pairs
            .iter()
            .map(|&i| {
                let row = &table[i * p..][..p];
                row.iter().map(|l| l.exp()).sum::<f64>().ln() - row[network.targets[i] as usize]
            })
            .sum();
        sum / pairs.len() as f64
    };
    let is_train = |i: usize| network.is_train[i];
    for k in 1..=p / 2 {
        let rest: Vec<f64> = logits.iter().zip(projected(k)).map(|(l, d)| l - d).collect();
        let found = f64::from(r.vector("excluded.by_frequency").unwrap()[k - 1]);
        // The reading is a vector of f32.
        assert!((found - loss(&rest, &is_train)).abs() < 1e-6);
    }
    // No key frequency: the class means alone, and nothing taken out.
    let mut means = vec![0.0; p];
    logits.iter().enumerate().for_each(|(i, l)| means[i % p] += l / (p * p) as f64);
    let table: Vec<f64> = (0..logits.len()).map(|i| means[i % p]).collect();
    near(&r, "restricted.test.loss", loss(&table, &|i| !is_train(i)), 1e-9);
    near(&r, "excluded.train.loss", loss(&logits, &is_train), 1e-9);
}

#[test]
fn subtraction_is_followed_along_the_other_diagonal() {
    let p = 13;
    let sum = HandMade::new(p, 4, 20, &[3], 4.0, 0.0);
    let mut difference = HandMade::new(p, 4, 20, &[3], 4.0, 0.0);
    // The network of a - b answers (a, b) as that of a + b answers (a, -b).
    for a in 0..p {
        for b in 0..p {
            let (to, from) = (a * p + b, a * p + (p - b) % p);
            difference.targets[to] = sum.targets[from];
            difference.logits[to * p..][..p].copy_from_slice(&sum.logits[from * p..][..p]);
        }
    }
    let r = measure(&difference);
    near(&r, "restricted.all.loss", r.scalar("grid.loss").unwrap(), 1e-6);
    near(&r, "excluded.train.loss", (p as f64).ln(), 1e-6);
    near(&r, "logits.trig_share", 1.0, 1e-6);
}

#[test]
fn logits_a_thousand_nats_apart_neither_overflow_nor_underflow() {
    for keys in [&[2][..], &[2, 5]] {
        let r = measure(&HandMade::new(13, 4, 20, keys, 1000.0, 0.0));
        near(&r, "train.loss", 0.0, 1e-40);
        near(&r, "restricted.test.loss", 0.0, 1e-40);
        // f32 logits of 1000 are good to 6e-5.
        near(&r, "excluded.train.loss", 13.0_f64.ln(), 1e-3);
        let lone = if keys.len() == 1 { 13.0_f64.ln() } else { 0.0 };
        near(&r, "excluded.max.loss", lone, 1e-3);
    }
}

#[test]
fn memorized_labels_have_no_circuit() {
    let mut network = HandMade::new(23, 4, 20, &[3], 0.0, 1.0);
    for i in (0..23 * 23).filter(|&i| network.is_train[i]) {
        network.logits[i * 23 + network.targets[i] as usize] += 20.0;
    }
    let r = measure(&network);
    assert!(r.scalar("train.loss").unwrap() < 1e-4);
    // The circuit is absent: restricting to it is guessing, and excluding it costs nothing.
    near(&r, "restricted.test.loss", 23.0_f64.ln(), 0.2);
    assert!(r.scalar("excluded.train.loss").unwrap() < 1e-3);
}

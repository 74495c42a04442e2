//! A modular network made by hand: its logits are a sum of `scale cos(w_k (a + b - c))` over chosen frequencies.

use ontogeny_core::Step;
use ontogeny_core::random::Philox;
use ontogeny_engine::{Attacked, Stage};
use ontogeny_probes::{
    Chain, EvalSet, Group, ModularGrid, Neighbourhood, Observation, ParamView, Tap,
};

/// Everything an observation of the network borrows.
#[derive(Debug)]
pub(crate) struct HandMade {
    pub(crate) p: usize,
    pub(crate) d_mlp: usize,
    pub(crate) logits: Vec<f32>,
    pub(crate) targets: Vec<u32>,
    pub(crate) activations: Vec<f32>,
    pub(crate) is_train: Vec<bool>,
    pub(crate) train: Vec<u32>,
    pub(crate) test: Vec<u32>,
    tensors: Vec<(&'static str, Vec<usize>, Vec<f32>)>,
    grads: Vec<f32>,
    update: Vec<f32>,
    previous_update: Vec<f32>,
    marked: Marked,
    near: Near,
}

/// Five of the set's examples as vectors of six numbers, and a chain of layers that reads them.
#[derive(Debug)]
struct Near {
    inputs: Vec<f32>,
    attacked: Attacked,
    stages: [Stage; 3],
}

impl Near {
    fn new() -> Self {
        let draws = Philox::new(1, "near").at(0);
        let inputs: Vec<f32> = (0..30).map(|i| draws.uniform(i) as f32).collect();
        let margins = vec![0.5, -0.1, 0.2, 1.0, -2.0];
        let attacked = Attacked { margins, is_blind: vec![false; 5], worst: inputs.clone() };
        let dense = |l: usize| Stage::Dense { weight: format!("near.{l}.w"), bias: None };
        Self { inputs, attacked, stages: [dense(0), Stage::Relu, dense(1)] }
    }
}

/// Readouts of a sequence.
const SEQUENCE: usize = 4;

/// A set of two classes whose examples have an attribute, with one edit for each of its parts, and with the other class
/// as the rival answer.
#[derive(Debug)]
struct Marked {
    targets: Vec<u32>,
    rivals: Vec<u32>,
    aligned: Vec<u32>,
    conflict: Vec<u32>,
    /// Numbers of the sequences that the readouts make up.
    strings: Vec<u32>,
    /// Of the set, of its shortcut edit and of its core edit.
    logits: [Vec<f32>; 3],
    activations: Vec<f32>,
    /// Gradients on the two sides.
    grads: [Vec<f32>; 2],
}

impl Marked {
    fn new() -> Self {
        let draws = Philox::new(1, "marked").at(0);
        let n = 200_u64;
        let targets: Vec<u32> = (0..n).map(|i| (draws.u64(i) & 1) as u32).collect();
        let (conflict, aligned) = (0..n as u32).partition(|i| i % 5 == 0);
        let table = |from: u64, len: u64| -> Vec<f32> {
            (0..len).map(|i| draws.normal(from + i) as f32).collect()
        };
        let logits = [1, 2, 3].map(|k| table(1000 * k, 2 * n));
        let activations = table(10_000, 3 * n);
        let rivals = targets.iter().map(|t| 1 - t).collect();
        let grads = [table(0, 9), table(9, 9)];
        let strings = (0..n as u32 / SEQUENCE as u32).collect();
        Self { targets, rivals, aligned, conflict, strings, logits, activations, grads }
    }

    fn sets(&self) -> [EvalSet<'_>; 4] {
        let names = ["pairs", "pairs~shortcut", "pairs~core", "pairs~rival"];
        let set = |i: usize| EvalSet {
            name: names[i],
            n_classes: 2,
            logits: &self.logits[i % 3],
            targets: if i == 3 { &self.rivals } else { &self.targets },
            taps: vec![Tap { name: "layers.1.post", width: 3, values: &self.activations }],
            groups: if i == 0 { self.groups() } else { vec![] },
        };
        [set(0), set(1), set(2), set(3)]
    }

    /// The same readouts as strings that were inserted and strings that were not.
    fn sequences(&self) -> [EvalSet<'_>; 2] {
        let set = |name, i: usize, group, members| EvalSet {
            name,
            n_classes: 2,
            logits: &self.logits[i],
            targets: &self.targets,
            taps: vec![],
            groups: vec![Group { name: group, members }],
        };
        [
            set("canaries", 0, "canaries.often", &self.strings[..10]),
            set("controls", 1, "controls.reference", &self.strings[..25]),
        ]
    }

    fn groups(&self) -> Vec<Group<'_>> {
        vec![
            Group { name: "pairs.aligned", members: &self.aligned },
            Group { name: "pairs.conflict", members: &self.conflict },
        ]
    }
}

impl HandMade {
    /// Logits from `keys`, with independent noise of size `noise` on logits, activations and weights.
    pub(crate) fn new(
        p: usize,
        d_model: usize,
        d_mlp: usize,
        keys: &[usize],
        scale: f64,
        noise: f64,
    ) -> Self {
        let cos =
            |k: usize, x: usize| (std::f64::consts::TAU * (k * x % p) as f64 / p as f64).cos();
        let draws = |stream: &str| Philox::new(1, stream).at(0);
        let mut logits = Vec::with_capacity(p * p * p);
        let mut targets = Vec::with_capacity(p * p);
        let mut activations = Vec::with_capacity(p * p * d_mlp);
        let (of_logits, of_neurons) = (draws("logits"), draws("neurons"));
        for a in 0..p {
            for b in 0..p {
                targets.push(((a + b) % p) as u32);
                for c in 0..p {
                    let clean: f64 = keys.iter().map(|&k| cos(k, a + b + p - c)).sum();
                    let at = logits.len() as u64;
                    logits.push((scale * clean + noise * of_logits.normal(at)) as f32);
                }
                for n in 0..d_mlp {
                    let at = activations.len() as u64;
                    let k = keys[n % keys.len()];
                    let clean = cos(k, a + n) + cos(k, b + n) + noise * of_neurons.normal(at);
                    activations.push(clean.max(0.0) as f32);
                }
            }
        }
        let split = draws("split").permutation(p * p);
        let n_train = 45 * p * p / 100;
        let mut is_train = vec![false; p * p];
        split[..n_train].iter().for_each(|&i| is_train[i as usize] = true);
        let group =
            |of: bool| (0..(p * p) as u32).filter(|&i| is_train[i as usize] == of).collect();
        let weights = draws("weights");
        let tensor = |name, shape: [usize; 2], address: u64| {
            let n = (shape[0] * shape[1]) as u64;
            let at = |i: u64| (0.1 * weights.normal(address << 32 | i)) as f32;
            (name, shape.to_vec(), (0..n).map(at).collect::<Vec<f32>>())
        };
        let tensors = vec![
            tensor("embed.tokens", [p + 1, d_model], 0),
            tensor("blocks.0.attn.w", [4 * d_model, d_model], 1),
            tensor("blocks.0.mlp.w_in", [d_model, d_mlp], 2),
            tensor("blocks.0.mlp.w_out", [d_mlp, d_model], 3),
            tensor("unembed.w", [d_model, p], 4),
            tensor("near.0.w", [6, 5], 8),
            tensor("near.1.w", [5, 2], 9),
        ];
        let n_params: usize = tensors.iter().map(|(.., values)| values.len()).sum();
        let flat = |address: u64| {
            (0..n_params as u64).map(|i| weights.normal(address << 32 | i) as f32).collect()
        };
        Self {
            p,
            d_mlp,
            logits,
            targets,
            activations,
            train: group(true),
            test: group(false),
            is_train,
            tensors,
            grads: flat(5),
            update: flat(6),
            previous_update: flat(7),
            marked: Marked::new(),
            near: Near::new(),
        }
    }

    /// Puts `bad` into every table, and into the logits at every target.
    #[allow(dead_code, reason = "not every file that includes this one spoils its network")]
    pub(crate) fn spoil(&mut self, bad: f32) {
        let tables = self.tensors.iter_mut().map(|(.., values)| values);
        let others = [&mut self.activations, &mut self.grads, &mut self.update];
        tables.chain(others).for_each(|table| table[1] = bad);
        self.near.attacked.margins[1] = f64::from(bad);
        self.marked.activations[1] = bad;
        self.marked.logits.iter_mut().chain(&mut self.marked.grads).for_each(|t| t[1] = bad);
        for (row, &target) in self.logits.chunks_mut(self.p).zip(&self.targets) {
            row[target as usize] = bad;
        }
    }

    /// What a trainer would show of it.
    pub(crate) fn observe(&self, step: u64) -> Observation<'_> {
        let mut o = Observation::new(Step(step));
        o.params = self
            .tensors
            .iter()
            .map(|(name, shape, values)| ParamView { name, shape, values })
            .collect();
        o.grads = Some(&self.grads);
        o.update = Some(&self.update);
        o.previous_update = Some(&self.previous_update);
        o.train_loss = 1.0;
        o.sets = vec![EvalSet {
            name: "grid",
            n_classes: self.p,
            logits: &self.logits,
            targets: &self.targets,
            taps: vec![Tap {
                name: "blocks.0.mlp.post",
                width: self.d_mlp,
                values: &self.activations,
            }],
            groups: vec![
                Group { name: "train", members: &self.train },
                Group { name: "test", members: &self.test },
                Group { name: "skill.0", members: &self.test },
            ],
        }];
        o.sets.extend(self.marked.sets());
        for set in self.marked.sequences() {
            o.readouts_per_example.insert(set.name, SEQUENCE);
            o.sets.push(set);
        }
        o.named_grads = vec![
            ("aligned", self.marked.grads[0].as_slice()),
            ("conflict", self.marked.grads[1].as_slice()),
            ("narrow", self.marked.grads[0].as_slice()),
            ("other", self.marked.grads[1].as_slice()),
            ("natural", self.marked.grads[0].as_slice()),
            ("certified", self.marked.grads[1].as_slice()),
        ];
        o.chain = Some(Chain { input: [1, 1, 6], stages: &self.near.stages });
        o.neighbourhoods = vec![Neighbourhood {
            set: "pairs",
            eps: 0.1,
            inputs: &self.near.inputs,
            targets: &self.marked.targets[..5],
            attacked: Some(&self.near.attacked),
        }];
        o.modular = Some(ModularGrid { p: self.p, is_train: &self.is_train });
        o
    }
}

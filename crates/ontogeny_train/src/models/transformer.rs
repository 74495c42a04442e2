//! A decoder transformer, from attention-only toys to small language models.
//!
//! Where the answer is read at the last position only, the last layer computes that position only; and where
//! the last layer is also the first, its keys and values are computed once per distinct (token, position)
//! pair instead of once per example. Both give the gradient of the full computation, for less.

use super::{Activation, mismatch, normal, zeros};
use crate::TrainError;
use crate::config::in_range;
use crate::tasks::{InputShape, TaskShape};
use ontogeny_engine::ops::{Heads, causal_attention, embed, gather_attention};
use ontogeny_engine::{Chunk, Init, Lane, Layout, Network, ParamSpec, Taps, Var};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Sizes and options of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "four independent options of one architecture")]
pub struct TransformerConfig {
    /// Layers.
    pub n_layers: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Attention heads; they divide `d_model`.
    pub n_heads: usize,
    /// Width of the MLP; 0 for attention only.
    pub d_mlp: usize,
    /// Nonlinearity of the MLP.
    pub activation: Activation,
    /// Where layers are normalized.
    pub norm: Norm,
    /// Whether queries, keys, values and outputs have biases.
    pub attention_biases: bool,
    /// Whether the MLP has biases.
    pub mlp_biases: bool,
    /// How positions enter.
    pub positions: Positions,
    /// Whether the embedding is also the unembedding; needs as many classes as tokens.
    pub tied_embeddings: bool,
    /// Standard deviation of all weights; 0 for `1/sqrt(d_model)`, and `1/sqrt(n_classes)` for the unembedding.
    pub init_std: f64,
    /// Whether to compute every position even where only the last one is read (for measurements).
    pub compute_all_positions: bool,
}

/// Where layer norms stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Nowhere.
    None,
    /// Before attention, before the MLP and before the unembedding.
    Pre,
    /// Before the unembedding only.
    Final,
}

/// How positions enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// A learned vector per position is added to the embedding.
    Learned,
    /// A learned key per distance and layer is added to the keys.
    Relative,
}

impl TransformerConfig {
    /// The published model of grokking (Nanda et al. 2023): one layer, no layer norm, ReLU MLP with biases.
    pub fn grokking(d_model: usize, n_heads: usize, d_mlp: usize) -> Self {
        Self {
            n_layers: 1,
            d_model,
            n_heads,
            d_mlp,
            activation: Activation::Relu,
            norm: Norm::None,
            attention_biases: false,
            mlp_biases: true,
            positions: Positions::Learned,
            tied_embeddings: false,
            init_std: 0.0,
            compute_all_positions: false,
        }
    }

    pub(super) fn check(&self, shape: &TaskShape) -> Result<(), TrainError> {
        in_range("model.n_layers", self.n_layers as f64, 1.0, 64.0, "a transformer has layers")?;
        in_range(
            "model.d_model",
            self.d_model as f64,
            1.0,
            16_384.0,
            "the residual stream has a width",
        )?;
        in_range(
            "model.n_heads",
            self.n_heads as f64,
            1.0,
            self.d_model as f64,
            "a head has a width",
        )?;
        in_range("model.d_mlp", self.d_mlp as f64, 0.0, 65_536.0, "0 means no MLP")?;
        in_range("model.init_std", self.init_std, 0.0, 10.0, "0 means 1/sqrt(d_model)")?;
        let InputShape::Tokens { d_vocab, .. } = shape.input else {
            return Err(mismatch("transformer", shape, "a transformer reads tokens"));
        };
        if !self.d_model.is_multiple_of(self.n_heads) {
            return Err(TrainError::Mismatch {
                first: format!("model.d_model = {}", self.d_model),
                second: format!("model.n_heads = {}", self.n_heads),
                why: "the heads must divide the width".into(),
            });
        }
        if self.tied_embeddings && d_vocab != shape.n_classes {
            return Err(mismatch(
                "transformer with tied embeddings",
                shape,
                "classes and tokens differ",
            ));
        }
        Ok(())
    }

    pub(super) fn multiplications(&self, shape: &TaskShape) -> f64 {
        let InputShape::Tokens { n_ctx, .. } = shape.input else { return 0.0 };
        let (d, t) = (self.d_model as f64, n_ctx as f64);
        let readouts = if shape.every_position { t } else { 1.0 };
        let layers = self.n_layers as f64;
        let per_row = 4.0 * d * d + 2.0 * d * self.d_mlp as f64;
        let rows =
            if self.compute_all_positions { layers * t } else { (layers - 1.0) * t + readouts };
        rows * per_row + readouts * d * shape.n_classes as f64
    }

    pub(super) fn build(&self, shape: &TaskShape) -> Transformer {
        let (d, m) = (self.d_model, self.d_mlp);
        let InputShape::Tokens { d_vocab, n_ctx } = shape.input else {
            unreachable!("checked before")
        };
        let var = |default: f64| if self.init_std > 0.0 { self.init_std.powi(2) } else { default };
        let w = |name: String, shape: &[usize]| normal(name, shape, var(1.0 / d as f64));
        let mut specs = vec![w("embed.tokens".into(), &[d_vocab, d])];
        if self.positions == Positions::Learned {
            specs.push(w("embed.positions".into(), &[n_ctx, d]));
        }
        let norm = |name: String, specs: &mut Vec<ParamSpec>| {
            specs.push(ParamSpec::new(format!("{name}.gain"), &[d], Init::Ones));
            specs.push(zeros(format!("{name}.bias"), d));
        };
        for l in 0..self.n_layers {
            let at = |s: &str| format!("blocks.{l}.{s}");
            if self.norm == Norm::Pre {
                norm(at("norm1"), &mut specs);
            }
            for part in ["q", "k", "v", "o"] {
                specs.push(w(at(&format!("attn.w_{part}")), &[d, d]));
                if self.attention_biases {
                    specs.push(zeros(at(&format!("attn.b_{part}")), d));
                }
            }
            if self.positions == Positions::Relative {
                specs.push(w(at("attn.relative"), &[n_ctx, d]));
            }
            if m > 0 {
                if self.norm == Norm::Pre {
                    norm(at("norm2"), &mut specs);
                }
                specs.push(w(at("mlp.w_in"), &[d, m]));
                specs.push(w(at("mlp.w_out"), &[m, d]));
                if self.mlp_biases {
                    specs.push(zeros(at("mlp.b_in"), m));
                    specs.push(zeros(at("mlp.b_out"), d));
                }
            }
        }
        if self.norm != Norm::None {
            norm("final_norm".into(), &mut specs);
        }
        if !self.tied_embeddings {
            let classes = shape.n_classes;
            specs.push(normal("unembed.w", &[d, classes], var(1.0 / classes as f64)));
        }
        let layout = Arc::new(Layout::new(specs));
        Transformer { layout, config: self.clone(), every_position: shape.every_position, d_vocab }
    }
}

/// The network.
#[derive(Debug)]
pub(super) struct Transformer {
    layout: Arc<Layout>,
    config: TransformerConfig,
    every_position: bool,
    d_vocab: usize,
}

/// The rows that enter a layer, and which of them belongs to (example, position).
struct Rows {
    h: Var<2>,
    /// `[n, n_ctx]`, rows of `h`; `None` where row `example * n_ctx + position` is meant.
    idx: Option<Vec<u32>>,
}

impl Transformer {
    fn norm(lane: &Lane<'_>, name: &str, on: bool, x: &Var<2>) -> Var<2> {
        if !on {
            return x.clone();
        }
        let (g, b) = (lane.param(&format!("{name}.gain")), lane.param(&format!("{name}.bias")));
        x.layer_norm(&g, Some(&b), 1e-5)
    }

    fn project(&self, lane: &Lane<'_>, l: usize, part: &str, x: &Var<2>) -> Var<2> {
        let b =
            self.config.attention_biases.then(|| lane.param(&format!("blocks.{l}.attn.b_{part}")));
        x.linear(&lane.param(&format!("blocks.{l}.attn.w_{part}")), b.as_ref())
    }

    /// Embeds every position, or every distinct (token, position) pair once.
    fn embed(&self, lane: &Lane<'_>, ids: &[u32], t: usize, distinct: bool) -> Rows {
        let tokens = lane.param("embed.tokens");
        let learned = self.config.positions == Positions::Learned;
        if !distinct {
            let h = embed(&tokens, ids);
            let h = if learned {
                h.add_tiled(&lane.param::<2>("embed.positions").slice_rows(0..t))
            } else {
                h
            };
            return Rows { h, idx: None };
        }
        let mut seen = vec![u32::MAX; self.d_vocab * t];
        let (mut token_ids, mut positions, mut idx) =
            (Vec::new(), Vec::new(), Vec::with_capacity(ids.len()));
        for (i, &id) in ids.iter().enumerate() {
            let row = &mut seen[i % t * self.d_vocab + id as usize];
            if *row == u32::MAX {
                *row = token_ids.len() as u32;
                token_ids.push(id);
                positions.push((i % t) as u32);
            }
            idx.push(*row);
        }
        let h = embed(&tokens, &token_ids);
        let h = if learned { h.add(&embed(&lane.param("embed.positions"), &positions)) } else { h };
        Rows { h, idx: Some(idx) }
    }

    /// The layer read at the last position only: `[n, d_model]`.
    fn last_position(&self, lane: &Lane<'_>, l: usize, rows: &Rows, n: usize, t: usize) -> Var<2> {
        let c = &self.config;
        let x = Self::norm(lane, &format!("blocks.{l}.norm1"), c.norm == Norm::Pre, &rows.h);
        let (k, v) = (self.project(lane, l, "k", &x), self.project(lane, l, "v", &x));
        let all: Vec<u32> = rows.idx.clone().unwrap_or_else(|| (0..(n * t) as u32).collect());
        let last: Vec<u32> = all.iter().skip(t - 1).step_by(t).copied().collect();
        // One query serves all examples where they end alike, as they do with a final "=".
        let alike = last.iter().all(|&r| r == last[0]);
        let at_last = |x: &Var<2>| if alike { embed(x, &last[..1]) } else { embed(x, &last) };
        let q = self.project(lane, l, "q", &at_last(&x));
        let z = self.project(lane, l, "o", &gather_attention(&q, &k, &v, &all, t, c.n_heads));
        let h = at_last(&rows.h);
        if alike { z.add_tiled(&h) } else { z.add(&h) }
    }

    fn attend(&self, lane: &Lane<'_>, l: usize, h: &Var<2>, t: usize, taps: &mut Taps) -> Var<2> {
        let c = &self.config;
        let x = Self::norm(lane, &format!("blocks.{l}.norm1"), c.norm == Norm::Pre, h);
        let [q, k, v] = ["q", "k", "v"].map(|part| self.project(lane, l, part, &x));
        let relative = (c.positions == Positions::Relative)
            .then(|| lane.param(&format!("blocks.{l}.attn.relative")));
        let pattern = format!("blocks.{l}.attn.pattern");
        let heads = Heads { n_ctx: t, n_heads: c.n_heads };
        let out = causal_attention(&q, &k, &v, heads, relative.as_ref(), taps.wants(&pattern));
        if let Some(table) = out.pattern {
            taps.put_table(&pattern, table);
        }
        h.add(&self.project(lane, l, "o", &out.z))
    }

    fn mlp(&self, lane: &Lane<'_>, l: usize, h: Var<2>, taps: &mut Taps) -> Var<2> {
        let c = &self.config;
        if c.d_mlp == 0 {
            return h;
        }
        let at = |s: &str| format!("blocks.{l}.{s}");
        let bias = |s: &str| c.mlp_biases.then(|| lane.param::<1>(&at(s)));
        let x = Self::norm(lane, &at("norm2"), c.norm == Norm::Pre, &h);
        let post =
            c.activation.of_linear(&x, &lane.param(&at("mlp.w_in")), bias("mlp.b_in").as_ref());
        let post = taps.pass(&at("mlp.post"), post);
        h.add(&post.linear(&lane.param(&at("mlp.w_out")), bias("mlp.b_out").as_ref()))
    }
}

impl Network for Transformer {
    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn forward(&self, lane: &Lane<'_>, chunk: &Chunk<'_>, taps: &mut Taps) -> Var<2> {
        let c = &self.config;
        let (ids, t) = chunk.tokens();
        let n = chunk.n_examples();
        // Relative keys depend on the distance, so they cannot be gathered by token.
        let last_only =
            !self.every_position && !c.compute_all_positions && c.positions == Positions::Learned;
        let mut rows = self.embed(lane, ids, t, last_only && c.n_layers == 1);
        for l in 0..c.n_layers {
            let h = if last_only && l + 1 == c.n_layers {
                self.last_position(lane, l, &rows, n, t)
            } else {
                self.attend(lane, l, &rows.h, t, taps)
            };
            rows = Rows { h: self.mlp(lane, l, h, taps), idx: None };
        }
        let mut h = rows.h;
        if !self.every_position && !last_only {
            h = h.at_position(t - 1, t);
        }
        let h = taps.pass("final", Self::norm(lane, "final_norm", c.norm != Norm::None, &h));
        if c.tied_embeddings {
            h.matmul_transposed(&lane.param("embed.tokens"))
        } else {
            h.linear(&lane.param("unembed.w"), None)
        }
    }
}

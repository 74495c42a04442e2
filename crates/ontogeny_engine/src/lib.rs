//! Tensors, gradients, optimizers, addressed randomness; the only crate that names the tensor library.
//!
//! A [`Network`] is a function from a flat parameter vector (its [`Layout`] says which slice is what) and a
//! [`Chunk`] of examples to logits, written with the operations in [`ops`]. An [`Engine`] differentiates it.
//! The optimizers in [`optim`] are loops over flat slices.
//!
//! ```
//! use std::sync::Arc;
//! use ontogeny_engine::{
//!     Batch, Chunk, Engine, Init, Inputs, Lane, LanePlan, Layout, Network, Objective, ParamSpec, Taps, Var,
//!     optim::{Hyper, OptimState, OptimizerKind},
//! };
//!
//! #[derive(Debug)]
//! struct Mlp(Arc<Layout>);
//!
//! impl Network for Mlp {
//!     fn layout(&self) -> &Arc<Layout> {
//!         &self.0
//!     }
//!
//!     fn forward(&self, lane: &Lane<'_>, chunk: &Chunk<'_>, taps: &mut Taps) -> Var<2> {
//!         let hidden = lane.features(chunk).linear_relu(&lane.param("w1"), Some(&lane.param("b1")));
//!         taps.put("hidden", &hidden);
//!         hidden.linear(&lane.param("w2"), None)
//!     }
//! }
//!
//! let net = Mlp(Arc::new(Layout::new(vec![
//!     ParamSpec::new("w1", &[2, 16], Init::Normal { std: 1.0 }),
//!     ParamSpec::new("b1", &[16], Init::Zeros).without_decay(),
//!     ParamSpec::new("w2", &[16, 2], Init::Normal { std: 0.25 }),
//! ])));
//! let xor = Batch {
//!     inputs: Inputs::Features { values: vec![0., 0., 0., 1., 1., 0., 1., 1.], width: 2 },
//!     targets: vec![0, 1, 1, 0],
//! };
//! let (engine, plan) = (Engine::cpu(1)?, LanePlan { lanes: 1, chunk_examples: 4 });
//! let mut params = net.layout().init(7, 1.0);
//! let mut state = OptimState::new(OptimizerKind::AdamW, params.len());
//! let hyper = Hyper { lr: 0.03, ..Hyper::default() };
//! for _ in 0..300 {
//!     let g = engine.gradient(&net, &params, &xor, plan, Objective::CrossEntropy)?;
//!     OptimizerKind::AdamW.update(&engine, net.layout(), &hyper, &mut state, &mut params, &g.grad);
//! }
//! let learned = engine.gradient(&net, &params, &xor, plan, Objective::CrossEntropy)?;
//! assert_eq!(learned.n_correct, 4);
//! # Ok::<(), ontogeny_engine::EngineError>(())
//! ```
//!
//! # Two roads
//!
//! [`Engine::cpu`] runs on a tape and kernels of this crate (folder `host`; matrix products by the `gemm`
//! crate). [`Engine::gpu`] (feature `gpu`) and `Engine::composite` (feature `composite`) run the same
//! networks on burn, composed of its own operations. Every operation's file holds both, and the tests hold
//! one against the other in single and double precision. Measurements and reasons are in the README.
//!
//! # Traps
//!
//! - **Lanes and chunk size are part of a run's identity.** They fix the order of floating-point additions.
//!   The number of threads is not: it never changes a bit (`any_number_of_threads_gives_the_same_bits`).
//! - **Bits are those of one machine.** Another processor has other vector instructions and another order of
//!   additions inside a matrix product.
//! - **A lane holds a full sum of gradients**, `lanes * parameters * 4` bytes: big models want few lanes.
//! - **No operation mixes examples.** A network whose rows depend on the chunk they are in (batch norm) has no
//!   well-defined loss here.
//! - **A [`Var`] stays in its lane.** It is neither `Send` nor `Sync`, and a network that keeps a
//!   parameter's tensor beyond its forward pass makes the engine panic. On burn, a tracked tensor shared by two concurrent passes joins
//!   their graphs, whose process-global tables then block or lose gradients; that road is therefore
//!   sequential and its inputs are untracked.
//! - **Losses are sums over readouts inside, means outside.** Cross entropy is computed in `f64` from `f32`
//!   logits; in `f32` it stalls memorised examples near 1e-7 and makes artefact slingshots. The graphics
//!   processor has no `f64`: studies of late training belong on the processor.
//! - **First order only.** [`Engine::hvp`] differences `f64` gradients.
//! - **Memory is reused.** Freed buffers stay with their thread; debug builds fill them with NaN so that an
//!   operation that forgets to write shows.

mod ball;
mod batch;
mod bound_statistics;
mod boxes;
mod certified;
#[cfg(feature = "composite")]
mod composite;
mod curvature;
mod engine;
mod gradient;
mod host;
mod lane;
mod layout;
mod network;
pub mod ops;
pub mod optim;
mod outputs;
mod pgd;
mod stage;
mod stash;
mod table;
mod taps;
mod var;
mod workers;

pub use ball::pixel_range;
pub use batch::{Batch, Chunk, Inputs, InputsView, UNREAD};
pub use bound_statistics::{LayerBounds, ReluShares};
pub use certified::{Certified, CertifiedLoss};
pub use engine::{Engine, EngineError};
pub use gradient::{Gradient, LanePlan, Objective};
pub use lane::Lane;
pub use layout::{Init, Layout, ParamSpec};
pub use network::Network;
pub use outputs::Outputs;
pub use pgd::{Attack, Attacked};
pub use stage::Stage;
pub use table::Table;
pub use taps::Taps;
pub use var::Var;

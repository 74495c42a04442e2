//! Where computation happens.

use crate::{Batch, LanePlan, Network, stash::Stash, workers::Workers};

/// Computes gradients and outputs of networks.
///
/// It holds threads and memory and nothing else: no parameters, no randomness, no step. Several engines may
/// live in one process, and one engine may be used from several threads.
#[derive(Debug)]
pub struct Engine {
    pub(crate) workers: Workers,
    pub(crate) stash_f32: Stash<f32>,
    pub(crate) stash_f64: Stash<f64>,
    #[cfg(feature = "composite")]
    pub(crate) device: Option<burn::tensor::Device>,
}

impl Engine {
    /// An engine on the processor with `threads` threads (at least one).
    ///
    /// With one thread, everything runs on the caller's thread; many runs in one process then scale with
    /// the number of engines.
    ///
    /// # Errors
    /// [`EngineError::Threads`] if the system refuses a thread.
    pub fn cpu(threads: usize) -> Result<Self, EngineError> {
        Ok(Self {
            workers: Workers::new(threads)?,
            stash_f32: Stash::default(),
            stash_f64: Stash::default(),
            #[cfg(feature = "composite")]
            device: None,
        })
    }

    /// The same operations composed of the tensor library's own on the processor: slow, and written by
    /// others, which makes it the reference that this crate's fused operations are tested against.
    ///
    /// # Errors
    /// None today.
    #[cfg(feature = "composite")]
    pub fn composite() -> Result<Self, EngineError> {
        Ok(Self { device: Some(burn::tensor::Device::flex()), ..Self::cpu(1)? })
    }

    /// An engine on the graphics processor. Batches are computed whole: it fills itself.
    ///
    /// Bits: other kernels may be chosen in another run, so bit-exactness is not promised.
    ///
    /// # Errors
    /// [`EngineError::GpuNotBuilt`] without the feature `gpu`; [`EngineError::NoAdapter`] if no driver
    /// answers (the tensor library would wait for one forever).
    pub fn gpu() -> Result<Self, EngineError> {
        #[cfg(feature = "gpu")]
        {
            let device = Some(crate::composite::gpu()?);
            Ok(Self { device, ..Self::cpu(1)? })
        }
        #[cfg(not(feature = "gpu"))]
        Err(EngineError::GpuNotBuilt)
    }

    /// Number of threads that compute lanes.
    pub fn threads(&self) -> usize {
        self.workers.threads()
    }

    pub(crate) fn check(
        net: &dyn Network,
        n_params: usize,
        batch: &Batch,
        plan: LanePlan,
    ) -> Result<(), EngineError> {
        let expected = net.layout().len();
        if n_params != expected {
            return Err(EngineError::ParamCount { expected, found: n_params });
        }
        if plan.lanes == 0 || plan.chunk_examples == 0 {
            return Err(EngineError::EmptyPlan);
        }
        let (n_examples, view) = (batch.n_examples(), batch.inputs.view());
        if n_examples == 0 || !view.len().is_multiple_of(view.per_example()) {
            return Err(EngineError::RaggedInputs);
        }
        if !batch.targets.len().is_multiple_of(n_examples) {
            return Err(EngineError::Targets { n_examples, n_targets: batch.targets.len() });
        }
        Ok(())
    }
}

/// Why the engine could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages name every field")]
pub enum EngineError {
    /// The flat vector does not belong to this network.
    #[error("read parameters: the network has {expected} scalars, the vector {found}")]
    ParamCount { expected: usize, found: usize },
    /// Lanes and chunks are counted from one.
    #[error("plan lanes: a plan needs at least one lane and one example per chunk")]
    EmptyPlan,
    /// There is nothing to compute, or the last example is cut short.
    #[error("read a batch: its inputs are not a whole number of examples, at least one")]
    RaggedInputs,
    /// Targets must come per example or per position.
    #[error("read a batch: {n_targets} targets for {n_examples} examples")]
    Targets { n_examples: usize, n_targets: usize },
    /// A gradient needs answers.
    #[error("compute a gradient: the batch has no targets")]
    NoTargets,
    /// The network is no chain of affine maps and ReLUs.
    #[error(
        "bound a network: {network} has a layer without bounds; a certified objective takes affine layers, \
         convolutions and ReLU"
    )]
    NoBounds { network: String },
    /// A number of a certified objective lies outside its range.
    #[error("bound a network: {name} is {value}, but must lie in {allowed}")]
    OutOfRange { name: &'static str, value: f64, allowed: &'static str },
    /// An input is not where the boxes are cut to.
    #[error(
        "bound a network: input {value} of example {example} lies outside the range [{low}, {high}] of inputs"
    )]
    InputOutside { value: f32, example: usize, low: f64, high: f64 },
    /// The centres are other inputs than the batch's.
    #[error("bound a network: {found} centres for {expected} inputs")]
    Centers { expected: usize, found: usize },
    /// Bounds are of one answer per example.
    #[error("bound a network: {n_targets} targets for {n_examples} examples, one each is needed")]
    OneTargetEach { n_examples: usize, n_targets: usize },
    /// An attack's radius or an input lies outside of the range of pixels.
    #[error("attack a network: {name} is {value}, but must lie in [0, 1]")]
    Attack { name: String, value: f64 },
    /// The inputs are tokens, which have no gradient.
    #[error("compute an input gradient: the batch holds tokens, which are not numbers")]
    TokensHaveNoGradient,
    /// The system refused to start a thread.
    #[error("start {threads} threads")]
    Threads { threads: usize, source: rayon::ThreadPoolBuildError },
    /// This build knows no graphics processor.
    #[error("use the graphics processor: this build has none; build with `--features gpu`")]
    GpuNotBuilt,
    /// No driver answered the probe.
    #[error(
        "use the graphics processor: no adapter found; is a Vulkan, Metal or DX12 driver installed?"
    )]
    NoAdapter,
    /// Graphics processors compute in single precision.
    #[error("compute in f64: the graphics processor has no double precision; use Engine::cpu")]
    NoDoublePrecision,
}
